package openapi

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/request"
)

func TestADocumentInSeveralFiles(t *testing.T) {
	a, err := Load("testdata/split/api.yaml", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ line, body, want string }{
		{"GET /v1/books?page=2", "", ""},
		{"GET /v1/books?page=0", "", "param_range testdata/split/schemas/common.yaml:4:7"},
		{"GET /v1/books/978-0123456789", "", ""},
		{"GET /v1/books/978", "", "param_pattern testdata/split/api.yaml:25:7"}, // "#/..." in a part means the whole
		{"GET /v1/members/7", "", ""},
		{"GET /v1/members/x", "", "param_type testdata/split/schemas/common.yaml:4:7"},
		{"GET /v1/lost", "", ""},
		{"POST /v1/books", `{"isbn":"978-0123456789","title":"a","sequel":{"isbn":"978-0123456789","title":"b"}}`, ""},
		{"POST /v1/books", `{"isbn":"978-0123456789","title":"a","sequel":{"isbn":"978-0123456789"}}`, "body_required testdata/split/schemas/book.yaml:1:1"},
		{"POST /v1/books", `{"isbn":"978-0123456789","title":"a","lent":"x"}`, "body_type testdata/split/schemas/common.yaml:4:7"},
	} {
		method, uri, _ := strings.Cut(tc.line, " ")
		r := &request.Request{Method: method, URI: []byte(uri)}
		if tc.body != "" {
			r.Headers = []request.Header{{Name: []byte("content-type"), Value: []byte("application/json")}}
			r.Body = request.Body{Present: true, Bytes: []byte(tc.body), Length: int64(len(tc.body))}
		}
		got := ""
		for _, v := range a.Judge(r, Head|Body, nil) {
			got += v.ID + " " + v.At
		}
		if got != tc.want {
			t.Errorf("%s %s: got %q, want %q", tc.line, tc.body, got, tc.want)
		}
	}
	if len(a.Warnings) != 1 || !strings.HasPrefix(a.Warnings[0].String(), "testdata/split/api.yaml:18:7: $ref \"paths/lost.yaml\"") {
		t.Errorf("warnings: %v", a.Warnings)
	}
}

// Each file of testdata/flawed holds one flaw in a document that is right
// otherwise. The document loads, tells of the flaw with its place, and judges
// GET /ok?n=1 right and GET /ok?n=x wrong.
func TestFlawsAreWarningsWithTheirPlace(t *testing.T) {
	files, err := filepath.Glob("testdata/flawed/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatal(err, len(files))
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if first, _, _ := strings.Cut(string(text), "\n"); strings.HasPrefix(first, "# ") {
			want = f + strings.TrimPrefix(first, "# ")
		}
		a, err := Load(f, Options{})
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		told := ""
		for _, w := range a.Warnings {
			told += w.String() + "\n"
		}
		if want == f+"no warning" {
			if told != "" {
				t.Errorf("%s: told %s", f, told)
			}
		} else if !strings.Contains(told, want) {
			t.Errorf("%s: told %q, want %q", f, told, want)
		}
		for uri, ok := range map[string]bool{"/ok?n=1": true, "/ok?n=x": false} {
			got := a.Judge(&request.Request{Method: "GET", URI: []byte(uri)}, Head|Body, nil)
			if (len(got) == 0) != ok {
				t.Errorf("%s: %s: %+v", f, uri, got)
			}
		}
	}
}

func TestWhatIsNoDocumentIsRefusedWithThePlace(t *testing.T) {
	for text, want := range map[string]string{
		``:                              "x.yaml:1:1: the file is empty",
		`a: 1`:                          "x.yaml:1:1: neither",
		"openapi: 4.0.0\npaths: {}":     `x.yaml:1:10: OpenAPI version "4.0.0"`,
		"swagger: '1.2'\npaths: {}":     `x.yaml:1:10: Swagger version "1.2"`,
		"openapi: 3.0.0\n  paths: {":    "x.yaml",
		"{\"openapi\": \"3.0.0\",\n ]}": "x.yaml:1:20: not JSON",
	} {
		_, err := Parse("x.yaml", []byte(text), Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
