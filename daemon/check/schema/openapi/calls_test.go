package openapi

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/request"
)

// sharedDir is the folder of labelled calls, beside the repository.
func sharedDir(t testing.TB) string {
	dir := os.Getenv("SALLYPORT_SHARED")
	for up := "."; dir == "" && len(up) < 40; up += "/.." {
		if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
			dir = filepath.Join(up, "../shared")
		}
	}
	dir = filepath.Join(dir, "schema")
	if _, err := os.Stat(filepath.Join(dir, "calls.jsonl")); err != nil {
		t.Skip("the labelled calls are not here: lay them beside the repository as shared/schema, or name their folder in SALLYPORT_SHARED")
	}
	return dir
}

type call struct {
	ID, Doc, Method, URI, Category, Why, Scheme string
	Headers                                     map[string]string
	Body                                        *string
	BodyB64                                     *string `json:"body_b64"`
	Valid, Policy                               bool
}

func (c *call) request(r *request.Request) {
	r.Method, r.URI = c.Method, []byte(c.URI)
	names := make([]string, 0, len(c.Headers))
	for n := range c.Headers {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		r.Headers = append(r.Headers, request.Header{Name: []byte(n), Value: []byte(c.Headers[n])})
		if strings.EqualFold(n, "host") {
			r.Host = []byte(c.Headers[n])
		}
	}
	switch {
	case c.Body != nil:
		r.Body = request.Body{Present: true, Bytes: []byte(*c.Body), Length: int64(len(*c.Body))}
	case c.BodyB64 != nil:
		b, _ := base64.StdEncoding.DecodeString(*c.BodyB64)
		r.Body = request.Body{Present: true, Bytes: b, Length: int64(len(b))}
	}
}

func readCalls(t testing.TB, name string) (out []call) {
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(bytes.NewReader(text))
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		var c call
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func definite(all []Violation) (out []Violation) {
	for _, v := range all {
		if !v.Open {
			out = append(out, v)
		}
	}
	return out
}

func TestLabelledCalls(t *testing.T) {
	dir := sharedDir(t)
	for _, set := range []struct{ file, docs string }{{"calls.jsonl", "documents"}, {"styles.jsonl", ""}} {
		apis := map[string]*API{}
		right, total, rightPolicy, policy := 0, 0, 0, 0
		for _, c := range readCalls(t, filepath.Join(dir, set.file)) {
			a := apis[c.Doc]
			if a == nil {
				var err error
				if a, err = Load(filepath.Join(dir, set.docs, c.Doc), Options{MatchHost: true}); err != nil {
					t.Errorf("%s: %v", c.Doc, err)
					continue
				}
				apis[c.Doc] = a
				for _, w := range a.Warnings {
					t.Logf("warning: %s", w)
				}
			}
			r := request.Get()
			c.request(r)
			all := a.Judge(r, Head|Body, nil)
			ok := len(definite(all)) == 0
			if c.Policy {
				policy++
				if ok == c.Valid {
					rightPolicy++
				}
				continue
			}
			total++
			if ok == c.Valid {
				right++
				continue
			}
			t.Logf("%s: %s: want valid=%v; %s %s; %+v", c.ID, c.Why, c.Valid, c.Method, c.URI, all)
		}
		t.Logf("%s: %d of %d right (%.2f%%); policy %d of %d", set.file, right, total, 100*float64(right)/float64(total), rightPolicy, policy)
		if float64(right) < 0.995*float64(total) {
			t.Errorf("%s: fewer than 99.5%% right", set.file)
		}
	}
}
