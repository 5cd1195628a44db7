package protocol

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/casefile"
	"github.com/sallyport/sallyport/daemon/request"
)

// opened makes a request of a case's.
func opened(c casefile.Case) *request.Request {
	from := c.Request()
	r := request.Get()
	r.Method, r.URI = from.Method, from.URI
	for _, h := range from.Headers {
		r.Headers = append(r.Headers, request.Header(h))
	}
	if from.Body != nil {
		r.Body = request.Body{Present: true, Bytes: from.Body, Length: int64(len(from.Body))}
	}
	return r
}

func TestFindingsAreWhatTheirCasesSay(t *testing.T) {
	c := newCheck(t, Defaults())
	found := map[string]bool{}
	for _, one := range casefile.Read(t, "testdata/*.txt") {
		r := opened(one)
		var got, want []string
		for _, f := range judge(c, r) {
			found[f.ID] = true
			got = append(got, f.ID)
			for _, w := range one.Want {
				if id, where, ok := strings.Cut(w, " "); ok && id == f.ID && where != f.Where {
					t.Errorf("%s: %s is at %q, want %q", one.At, f.ID, f.Where, where)
				}
			}
		}
		for _, w := range one.Want {
			if w == "!" {
				continue
			}
			id, _, _ := strings.Cut(w, " ")
			want = append(want, id)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %s\n got %v\nwant %v", one.At, one.Name, got, want)
		}
		r.Release()
	}
	// What is too large for a line has tests of its own.
	elsewhere := map[string]bool{"uri_long": true, "path_segments": true, "headers_many": true, "header_large": true, "parameters_many": true,
		"encoding_tail": true, "encoding_broken": true, "body_bomb": true, "body_decoded_large": true, "multipart_many": true, "json_deep": true, "xml_deep": true,
		"values_many": true, "encoded_deep": true, "base64_many": true, "host_unknown": true}
	for _, k := range kinds {
		if !found[k.name] && !elsewhere[k.name] {
			t.Errorf("no case finds %s", k.name)
		}
	}
}

func FuzzJudge(f *testing.F) {
	for _, c := range casefile.Read(f, "testdata/*.txt") {
		f.Add(c.Raw)
	}
	c := newCheck(f, Defaults())
	f.Fuzz(func(t *testing.T, raw []byte) {
		one := casefile.Case{Raw: raw}
		r := opened(one)
		defer r.Release()
		judge(c, r)
	})
}
