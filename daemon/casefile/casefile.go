// Package casefile reads tables of requests from text files that a stranger can
// extend, for tests:
//
//	== a sentence that names the case
//	> POST /path?query
//	> Name: value
//	>
//	> the body
//	what the test wants of it, one thing a line
//
// Of the lines that begin with > the first is method and target, then come
// headers, an empty one, and the body, whose lines are joined by a line feed.
// \n, \r, \t, \xHH, \uHHHH and \\ mean what they mean in Go. Empty lines and
// those that begin with # are passed over.
package casefile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Case is one case.
type Case struct {
	Name string
	At   string // file:line, for failures
	Raw  []byte // the lines of the request, joined by line feeds
	Want []string
}

// Header is a header line.
type Header struct{ Name, Value []byte }

// Request is a case's request in its parts.
type Request struct {
	Method  string
	URI     []byte
	Headers []Header
	Body    []byte // nil when there is none, not even an empty one
}

// Read reads the cases of all files that a pattern names.
func Read(t testing.TB, pattern string) (cases []Case) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no case files at %s: %v", pattern, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if cases, err = parse(cases, file, string(text)); err != nil {
			t.Fatal(err)
		}
	}
	return cases
}

func parse(cases []Case, file, text string) ([]Case, error) {
	first := len(cases)
	for i, line := range strings.Split(text, "\n") {
		at := fmt.Sprintf("%s:%d", file, i+1)
		switch {
		case strings.HasPrefix(line, "== "):
			cases = append(cases, Case{Name: line[3:], At: at})
		case strings.TrimSpace(line) == "" || line[0] == '#':
		case len(cases) == first:
			return nil, fmt.Errorf("%s: a line before the first case: expected == and a name", at)
		case line[0] == '>':
			c := &cases[len(cases)-1]
			raw, err := Unquote(strings.TrimPrefix(line[1:], " "))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", at, err)
			}
			if c.Raw != nil {
				raw = "\n" + raw
			}
			c.Raw = append(c.Raw, raw...)
		default:
			c := &cases[len(cases)-1]
			c.Want = append(c.Want, line)
		}
	}
	return cases, nil
}

// Unquote undoes a line's escapes.
func Unquote(s string) (string, error) {
	return strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
}

// Quote writes text as a line that Unquote reads back.
func Quote(b []byte) string {
	q := strconv.Quote(string(b))
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// Request takes the case's lines apart. It takes any bytes: fuzzers hand it theirs.
func (c Case) Request() Request {
	head, body, found := bytes.Cut(c.Raw, []byte("\n\n"))
	lines := bytes.Split(head, []byte("\n"))
	method, target, _ := bytes.Cut(lines[0], []byte(" "))
	r := Request{Method: string(method), URI: target}
	for _, line := range lines[1:] {
		if len(line) < 2 {
			continue
		}
		cut := bytes.IndexByte(line[1:], ':') + 1 // a name may begin with a colon
		r.Headers = append(r.Headers, Header{line[:cut], bytes.TrimPrefix(line[cut+1:], []byte(" "))})
	}
	if found {
		r.Body = append([]byte{}, body...)
	}
	return r
}
