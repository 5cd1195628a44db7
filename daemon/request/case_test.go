package request

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// requestCase is one case of testdata/*.txt; testdata/README.md tells the form.
type requestCase struct {
	name, at string
	raw      []byte
	want     []string
}

func readCases(t testing.TB, pattern string) (cases []requestCase) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no case files at %s: %v", pattern, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			at := fmt.Sprintf("%s:%d", file, i+1)
			switch {
			case strings.HasPrefix(line, "== "):
				cases = append(cases, requestCase{name: line[3:], at: at})
			case strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "":
			case len(cases) == 0:
				t.Fatalf("%s: a line before the first case", at)
			case strings.HasPrefix(line, ">"):
				c := &cases[len(cases)-1]
				raw, err := unquoteLine(strings.TrimPrefix(line[1:], " "))
				if err != nil {
					t.Fatalf("%s: %v", at, err)
				}
				if len(c.raw) > 0 {
					c.raw = append(c.raw, '\n')
				}
				c.raw = append(c.raw, raw...)
			default:
				c := &cases[len(cases)-1]
				c.want = append(c.want, line)
			}
		}
	}
	return cases
}

// unquoteLine undoes \n, \r, \t, \xHH, \uHHHH and \\ in a line.
func unquoteLine(s string) (string, error) {
	return strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
}

func quoteLine(b []byte) string {
	q := strconv.Quote(string(b))
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// parseCase makes a request of a case's lines: request line, headers, an empty
// line, the body.
func parseCase(raw []byte) *Request {
	r := Get()
	head, body, found := bytes.Cut(raw, []byte("\n\n"))
	lines := bytes.Split(head, []byte("\n"))
	method, target, _ := bytes.Cut(lines[0], []byte(" "))
	r.Method, r.URI, r.Protocol = string(method), target, "HTTP/1.1"
	for _, line := range lines[1:] {
		name, value, _ := bytes.Cut(line, []byte(":"))
		r.Headers = append(r.Headers, Header{name, bytes.TrimPrefix(value, []byte(" "))})
	}
	if found {
		r.Body = Body{Present: true, Bytes: body, Length: int64(len(body))}
	}
	return r
}

func describe(r *Request) (lines []string) {
	one := func(vs []Value) {
		for i := range vs {
			lines = append(lines, vs[i].Where()+" = "+quoteLine(vs[i].Text))
			for _, l := range r.Layers(&vs[i]) {
				lines = append(lines, "  "+l.By+" = "+quoteLine(l.Text))
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
	for _, c := range readCases(t, "testdata/*.txt") {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			r := parseCase(c.raw)
			defer r.Release()
			asked := map[string]bool{}
			var want []string
			for _, line := range c.want {
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
				t.Errorf("%s: %s\n--- got\n%s\n--- want\n%s", c.at, c.name, g, w)
			}
		})
	}
}
