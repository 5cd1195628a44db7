package endpoint

import (
	"strings"
	"testing"
)

const petDocument = `openapi: 3.1.0
servers: [{url: "https://api.example/v1"}, {url: /v2/}]
security: [{oauth: [read]}]
paths:
  x-ext: text
  /pets:
    get: {deprecated: true, parameters: [{$ref: '#/components/parameters/Limit'}], responses: {}}
    post:
      security: []
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}
  /pets/{id}:
    parameters: [{name: id, in: path, required: true}]
    get: {security: [{oauth: [a, b]}, {}], responses: {}}
  /pets/mine: {get: {responses: {}}}
  /files/{name}.json: {get: {responses: {}}}
  /elsewhere: {$ref: other.yaml}
components:
  parameters: {Limit: {name: limit, in: query}}
  schemas:
    Pet: {allOf: [{$ref: '#/components/schemas/Base'}, {properties: {tag: {}}}]}
    Base: {required: [name], properties: {name: {}}}
`

func TestADocumentsOperationsAreRead(t *testing.T) {
	var warned []string
	ops, err := ParseOperations("pets.yaml", []byte(petDocument), func(m string) { warned = append(warned, m) })
	if err != nil {
		t.Fatal(err)
	}
	if len(ops.All()) != 10 || len(warned) != 1 || !strings.Contains(warned[0], "pets.yaml:16") {
		t.Errorf("%d operations, warned of %q", len(ops.All()), warned)
	}
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/v1/pets", "/v1/pets"},
		{"HEAD", "/v2/pets", "/v2/pets"},
		{"DELETE", "/v1/pets", ""},
		{"GET", "/v1/pets/7", "/v1/pets/{id}"},
		{"GET", "/v1/pets/{int}", "/v1/pets/{id}"},
		{"GET", "/v1/pets/mine", "/v1/pets/mine"},
		{"GET", "/v1/pets/", ""},
		{"GET", "/v1/pets/7/x", ""},
		{"GET", "/v1/files/a.json", "/v1/files/{name}.json"},
		{"GET", "/v1/files/a.xml", ""},
		{"GET", "/pets", ""},
	} {
		got := ""
		if op := ops.Find(c.method, []byte(c.path)); op != nil {
			got = op.Path
		}
		if got != c.want {
			t.Errorf("%s %s: %q, want %q", c.method, c.path, got, c.want)
		}
	}
	get, post := ops.Find("GET", []byte("/v1/pets")), ops.Find("POST", []byte("/v1/pets"))
	if !get.Deprecated || get.Public || len(get.Params) != 1 || get.Params[0] != (Parameter{"limit", "query", false}) {
		t.Errorf("%+v", get)
	}
	if !post.Public || len(post.Params) != 2 || post.Params[0] != (Parameter{"name", "body", true}) {
		t.Errorf("%+v", post)
	}
}

func TestPatternsTakeARest(t *testing.T) {
	p, err := ParsePattern("/admin/*")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/admin/a": true, "/admin/a/b": true, "/admin": true, "/administrator": false, "/x/admin/a": false} {
		if p.Matches([]byte(path)) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
	if _, err := ParsePattern("/a/*/b"); err == nil {
		t.Error("* in the middle is taken")
	}
}

func FuzzParseOperations(f *testing.F) {
	f.Add([]byte(petDocument))
	f.Add([]byte(`{"swagger":"2.0","basePath":"/x","paths":{"/a":{"get":{"parameters":[{"in":"body","schema":{"$ref":"#/paths"}}]}}}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		if ops, err := ParseOperations("x", doc, nil); err == nil {
			ops.Find("GET", doc)
		}
	})
}
