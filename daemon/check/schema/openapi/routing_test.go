package openapi

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/request"
)

const routesDocument = `openapi: 3.1.0
info: {title: t, version: "1"}
servers: [{url: https://a.example/v1}]
paths:
  /files:
    get: {responses: {}}
    post: {servers: [{url: https://up.example/v1}], responses: {}}
    put: {servers: [{url: https://up.example/raw}], responses: {}}
  /users/{id}: {get: {parameters: [{name: id, in: path, required: true, schema: {type: integer}}], responses: {}}, delete: {responses: {}}}
  /users/me: {get: {responses: {}}}
  /users/{name}: {patch: {responses: {}}}
  /p/{a}.{b}: {get: {parameters: [{name: a, in: path, required: true, schema: {pattern: '^[a-z.]+$'}}, {name: b, in: path, required: true, schema: {enum: [gz]}}], responses: {}}}
  /p/{x}: {get: {parameters: [{name: x, in: path, required: true, schema: {type: integer}}], responses: {}}}
  /lost: {$ref: 'nowhere.yaml'}
  /half: {get: {$ref: 'nowhere.yaml#/get'}}
`

func TestRouting(t *testing.T) {
	a, err := Parse("routes.yaml", []byte(routesDocument), Options{MatchHost: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ line, want string }{
		{"GET a.example /v1/files", ""},
		{"GET a.example:8443 /v1/files", ""},
		{"GET b.example /v1/files", "unknown_path"},
		{"POST up.example /v1/files", ""},
		{"POST a.example /v1/files", "unknown_method"},
		{"PUT up.example /raw/files", ""},
		{"GET a.example /v1/users/5", ""},
		{"GET a.example /v1/users/me", ""},
		{"DELETE a.example /v1/users/me", "unknown_method"}, // the concrete path is the one meant
		{"PATCH a.example /v1/users/x", ""},                 // the same template under another name
		{"GET a.example /v1/users/x", "param_type"},
		{"get a.example /v1/users/5", "unknown_method"},
		{"GET a.example /v1/p/a.b.gz", ""}, // the split that fits
		{"GET a.example /v1/p/a.b.zip", "param_enum"},
		{"GET a.example /v1/p/17", ""},
		{"GET a.example /v1/users/..", "unknown_path"},
		{"GET a.example /v1/users/%2e%2e", "unknown_path"},
		{"GET a.example /v1/users/", "unknown_path"},
		{"GET a.example http://a.example/v1/users/5", ""},
		{"GET a.example *", "unknown_path"},
		{"TRACE a.example /v1/lost", ""},
		{"GET a.example /v1/half", ""},
		{"PUT a.example /v1/half", "unknown_method"},
		{"GET a.example /" + strings.Repeat("a/", 500), "unknown_path"},
	} {
		parts := strings.SplitN(tc.line, " ", 3)
		r := &request.Request{Method: parts[0], Host: []byte(parts[1]), URI: []byte(parts[2])}
		var got []string
		for _, v := range a.Judge(r, Head|Body, nil) {
			got = append(got, v.ID)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: got %q, want %q", tc.line, got, tc.want)
		}
	}
	if len(a.Warnings) != 2 {
		t.Errorf("warnings: %v", a.Warnings)
	}
}
