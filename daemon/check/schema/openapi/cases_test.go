package openapi

import (
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/request"
)

// Each file of testdata/calls is a document, a line of dashes, and calls on
// it. A call is a line
//
//	METHOD TARGET = findings
//
// with no findings for a call that is right; those that the specification
// leaves open end with a question mark. Before it may stand the headers, a
// line each as "| Name: value", and a body as "> " and a Go string or plain
// text. # begins a comment.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/calls/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no cases")
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		document, calls, found := strings.Cut(string(text), "\n---\n")
		if !found {
			t.Errorf("%s: no line of dashes", f)
			continue
		}
		a, err := Parse(f, []byte(document), Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		for _, w := range a.Warnings {
			t.Errorf("%s", w)
		}
		r := &request.Request{}
		line := strings.Count(document, "\n") + 2
		for _, s := range strings.Split(calls, "\n") {
			line++
			if r = runCase(t, a, r, f+":"+strconv.Itoa(line), s); r == nil {
				r = &request.Request{}
			}
		}
	}
}

// runCase takes one line; it answers the request that is being put together.
func runCase(t *testing.T, a *API, r *request.Request, at, line string) *request.Request {
	switch {
	case line == "" || line[0] == '#':
		return r
	case strings.HasPrefix(line, "| "):
		name, value, _ := strings.Cut(line[2:], ": ")
		r.Headers = append(r.Headers, request.Header{Name: []byte(name), Value: []byte(value)})
		return r
	case strings.HasPrefix(line, "> "):
		body := line[2:]
		if q, err := strconv.Unquote(body); err == nil {
			body = q
		}
		r.Body = request.Body{Present: true, Bytes: []byte(body), Length: int64(len(body))}
		return r
	}
	call, want, found := strings.Cut(line, " =")
	method, uri, ok := strings.Cut(call, " ")
	if !found || !ok {
		t.Errorf("%s: expected METHOD TARGET = findings", at)
		return nil
	}
	r.Method, r.URI = method, []byte(uri)
	var got []string
	for _, v := range a.Judge(r, Head|Body, nil) {
		id := v.ID
		if v.Open {
			id += "?"
		}
		got = append(got, id)
	}
	sort.Strings(got)
	if strings.Join(got, " ") != strings.TrimSpace(want) {
		t.Errorf("%s: %s: got %q, want %q", at, call, strings.Join(got, " "), strings.TrimSpace(want))
	}
	return nil
}
