package request

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/casefile"
)

// opened makes a request of a case's.
func opened(c casefile.Case) *Request {
	from := c.Request()
	r := Get()
	r.Method, r.URI, r.Protocol = from.Method, from.URI, "HTTP/1.1"
	for _, h := range from.Headers {
		r.Headers = append(r.Headers, Header(h))
	}
	if from.Body != nil {
		r.Body = Body{Present: true, Bytes: from.Body, Length: int64(len(from.Body))}
	}
	return r
}

func describe(r *Request) (lines []string) {
	one := func(vs []Value) {
		for i := range vs {
			lines = append(lines, vs[i].Where()+" = "+casefile.Quote(vs[i].Text))
			for _, l := range r.Layers(&vs[i]) {
				lines = append(lines, "  "+l.By+" = "+casefile.Quote(l.Text))
			}
		}
	}
	one(r.HeadValues())
	one(r.BodyValues())
	for _, m := range r.Markers() {
		lines = append(lines, "! "+m.Mark.String())
	}
	return lines
}

// kindOfLine is what a line of a case is about: a value's kind, or "!".
func kindOfLine(line string) string {
	end := strings.IndexAny(line, ":?. ")
	if end < 0 {
		end = len(line)
	}
	return line[:end]
}

func TestRequestsAreReadAsTheirCasesSay(t *testing.T) {
	for _, c := range casefile.Read(t, "testdata/*.txt") {
		t.Run(strings.ReplaceAll(c.Name, " ", "_"), func(t *testing.T) {
			r := opened(c)
			defer r.Release()
			asked := map[string]bool{}
			var want []string
			for _, line := range c.Want {
				if !strings.HasPrefix(line, "  ") {
					asked[kindOfLine(line)] = true
				}
				if line != "!" {
					want = append(want, line)
				}
			}
			var got []string
			show := false
			for _, line := range describe(r) {
				if !strings.HasPrefix(line, "  ") {
					show = asked[kindOfLine(line)]
				}
				if show {
					got = append(got, line)
				}
			}
			if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
				t.Errorf("%s: %s\n--- got\n%s\n--- want\n%s", c.At, c.Name, g, w)
			}
		})
	}
}
