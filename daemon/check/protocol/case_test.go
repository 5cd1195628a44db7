package protocol

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/request"
)

type findingCase struct {
	name, at string
	raw      []byte
	want     []string
}

// cases reads the cases; testdata/README.md tells their form.
func cases(t testing.TB) (out []findingCase) {
	t.Helper()
	return casesOf(t, "testdata/*.txt")
}

func casesOf(t testing.TB, pattern string) (out []findingCase) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases at %s: %v", pattern, err)
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
				out = append(out, findingCase{name: line[3:], at: at})
			case strings.TrimSpace(line) == "" || line[0] == '#':
			case len(out) == 0:
				t.Fatalf("%s: a line before the first case", at)
			case line[0] == '>':
				raw, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.TrimPrefix(line[1:], " "), `"`, `\"`) + `"`)
				if err != nil {
					t.Fatalf("%s: %v", at, err)
				}
				c := &out[len(out)-1]
				if c.raw != nil {
					raw = "\n" + raw
				}
				c.raw = append(c.raw, raw...)
			case line != "!":
				out[len(out)-1].want = append(out[len(out)-1].want, line)
			}
		}
	}
	return out
}

func (c findingCase) request() *request.Request {
	r := request.Get()
	head, body, found := bytes.Cut(c.raw, []byte("\n\n"))
	lines := bytes.Split(head, []byte("\n"))
	method, target, _ := bytes.Cut(lines[0], []byte(" "))
	r.Method, r.URI = string(method), target
	for _, line := range lines[1:] {
		if len(line) < 2 {
			continue
		}
		cut := bytes.IndexByte(line[1:], ':') + 1 // a name may begin with a colon
		r.Headers = append(r.Headers, request.Header{Name: line[:cut], Value: bytes.TrimPrefix(line[cut+1:], []byte(" "))})
	}
	if found {
		r.Body = request.Body{Present: true, Bytes: body, Length: int64(len(body))}
	}
	return r
}

func TestFindingsAreWhatTheirCasesSay(t *testing.T) {
	c := newCheck(t, Defaults())
	found := map[string]bool{}
	for _, one := range cases(t) {
		r := one.request()
		var got, want []string
		for _, f := range judge(c, r) {
			found[f.ID] = true
			got = append(got, f.ID)
			for _, w := range one.want {
				if id, where, ok := strings.Cut(w, " "); ok && id == f.ID && where != f.Where {
					t.Errorf("%s: %s is at %q, want %q", one.at, f.ID, f.Where, where)
				}
			}
		}
		for _, w := range one.want {
			id, _, _ := strings.Cut(w, " ")
			want = append(want, id)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %s\n got %v\nwant %v", one.at, one.name, got, want)
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
	for _, c := range cases(f) {
		f.Add(c.raw)
	}
	c := newCheck(f, Defaults())
	f.Fuzz(func(t *testing.T, raw []byte) {
		one := findingCase{raw: raw}
		r := one.request()
		defer r.Release()
		judge(c, r)
	})
}
