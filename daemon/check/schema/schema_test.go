package schema

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/request"
)

const shop = `openapi: 3.1.0
info: {title: Shop, version: "1"}
servers: [{url: https://shop.example/v1}]
paths:
  /orders/{id}:
    get:
      operationId: getOrder
      security: [{key: []}]
      parameters:
        - {name: id, in: path, required: true, schema: {type: integer}}
        - {name: limit, in: query, schema: {type: integer, maximum: 50}}
      responses: {"200": {description: ok}}
  /orders:
    post:
      operationId: newOrder
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [item]
              properties: {item: {type: string}, count: {type: integer, minimum: 1}}
              additionalProperties: false
      responses: {"200": {description: ok}}
components:
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Key}
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func build(t *testing.T, s Settings) check.Check {
	t.Helper()
	c, err := New(s, check.Env{Warn: func(m string) { t.Log(m) }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask judges a request written as "METHOD URI", header lines, and a body.
func ask(c check.Check, line, body string, headers ...string) []check.Finding {
	r := request.Get()
	method, uri, _ := strings.Cut(line, " ")
	r.Method, r.URI, r.Host = method, []byte(uri), []byte("shop.example")
	for _, h := range headers {
		n, v, _ := strings.Cut(h, ": ")
		r.Headers = append(r.Headers, request.Header{Name: []byte(n), Value: []byte(v)})
	}
	if body != "" {
		r.Body = request.Body{Present: true, Bytes: []byte(body), Length: int64(len(body))}
	}
	v := &check.Visit{Request: r, Phase: check.Head | check.Body, Last: true}
	c.Judge(v)
	return v.Findings
}

func ids(fs []check.Finding) string {
	var out []string
	for _, f := range fs {
		id := f.ID
		if f.Deny {
			id += "!"
		}
		out = append(out, id)
	}
	return strings.Join(out, " ")
}

func TestEachViolationHasItsFinding(t *testing.T) {
	c := build(t, Settings{APIs: []API{{File: write(t, "shop.yaml", shop)}}})
	json := "Content-Type: application/json"
	for _, tc := range []struct {
		line, body string
		headers    []string
		want       string
	}{
		{"GET /v1/orders/7?limit=5", "", []string{"X-Key: k"}, ""},
		{"HEAD /v1/orders/7", "", []string{"X-Key: k"}, ""},
		{"GET /v1/orders/7", "", nil, "missing_credential!"},
		{"GET /v1/orders/x", "", []string{"X-Key: k"}, "param_type!"},
		{"GET /v1/orders/7?limit=51", "", []string{"X-Key: k"}, "param_range!"},
		{"GET /v1/orders/7?zz=1", "", []string{"X-Key: k"}, "param_undeclared"},
		{"GET /orders/7", "", []string{"X-Key: k"}, "unknown_path!"},
		{"PUT /v1/orders/7", "", []string{"X-Key: k"}, "unknown_method!"},
		{"OPTIONS /v1/orders/7", "", []string{"Origin: https://a", "Access-Control-Request-Method: GET"}, ""},
		{"OPTIONS /v1/orders/7", "", nil, "unknown_method!"},
		{"POST /v1/orders", `{"item":"a"}`, []string{json}, ""},
		{"POST /v1/orders", `{"item":"a","z":1}`, []string{json}, "body_unknown_property!"},
		{"POST /v1/orders", `{"count":0}`, []string{json}, "body_range! body_required!"},
		{"POST /v1/orders", `{"item":null}`, []string{json}, "body_null!"},
		{"POST /v1/orders", `{"item":`, []string{json}, "body_malformed!"},
		{"POST /v1/orders", "item=a", []string{"Content-Type: text/csv"}, "content_type!"},
		{"POST /v1/orders", "", nil, "body_missing!"},
		{"POST /v1/orders", strings.Repeat("[", 300), []string{json}, "body_too_deep!"},
	} {
		if got := ids(ask(c, tc.line, tc.body, tc.headers...)); got != tc.want {
			t.Errorf("%s %s: got %q, want %q", tc.line, tc.body, got, tc.want)
		}
	}
}

func TestAFindingSaysWhereWhatAndWhy(t *testing.T) {
	file := write(t, "shop.yaml", shop)
	f := ask(build(t, Settings{APIs: []API{{File: file}}}), "GET /v1/orders/7?limit=51", "", "X-Key: k")[0]
	if f.Where != "query:limit" || f.Excerpt != "51" || f.Status != 400 || f.Rule != file+":11:44" ||
		f.Message != "query:limit: want at most 50, got 51" || f.Detail != "GET /orders/{id}; keyword maximum" {
		t.Errorf("%+v", f)
	}
}

func TestModesOfADocumentAndOfItsOperations(t *testing.T) {
	file := write(t, "shop.yaml", shop)
	c := build(t, Settings{APIs: []API{{File: file, Mode: "detect", Undeclared: "deny", Routes: []Route{{[]string{"getOrder"}, "enforce"}, {[]string{"POST /orders"}, "off"}}}}})
	for line, want := range map[string]string{
		"GET /v1/orders/x": "param_type! missing_credential!",
		"GET /v1/zz":       "unknown_path",
		"POST /v1/orders":  "",
		"PUT /v1/orders":   "unknown_method",
	} {
		if got := ids(ask(c, line, "")); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

func TestSchemasAttachedToPaths(t *testing.T) {
	body := write(t, "body.json", `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","required":["a"],"properties":{"a":{"type":"integer"}}}`)
	query := write(t, "query.yaml", "type: object\nproperties: {n: {type: integer, maximum: 9}, tag: {type: array, items: {maxLength: 2}}}\nadditionalProperties: false\n")
	c := build(t, Settings{Schemas: []Attached{{Path: "/a/{x}", Body: body, Query: query, Methods: []string{"POST"}}}})
	for _, tc := range []struct{ line, body, want string }{
		{"POST /a/1?n=5&tag=ab", `{"a":1}`, ""},
		{"POST /a/1?n=50", `{"a":1}`, "param_range!"},
		{"POST /a/1?tag=a&tag=abc", `{"a":1}`, "param_length!"},
		{"POST /a/1?z=1", `{"a":"x"}`, "param_unknown_property! body_type!"},
		{"POST /a/1", ``, "body_missing!"},
		{"GET /a/1?n=50", ``, ""},
		{"POST /b/1?n=50", ``, ""},
	} {
		if got := ids(ask(c, tc.line, tc.body)); got != tc.want {
			t.Errorf("%s %s: got %q, want %q", tc.line, tc.body, got, tc.want)
		}
	}
}

func TestBrokenSettingsNameTheKeyAndThePlace(t *testing.T) {
	bad := write(t, "bad.json", "{\n \"type\": \"objekt\"}")
	for _, tc := range []struct {
		s         Settings
		key, want string
	}{
		{Settings{APIs: []API{{File: "none.yaml"}}}, "api.0.file", "no such file"},
		{Settings{APIs: []API{{File: write(t, "a.yaml", shop), Mode: "on"}}}, "api.0.mode", "expected enforce, detect or off"},
		{Settings{APIs: []API{{File: write(t, "a.yaml", "a: [")}}}, "api.0.file", "not YAML"},
		{Settings{Schemas: []Attached{{Path: "/a", Body: bad}}}, "json.0.body", bad + ":2:17"},
		{Settings{Schemas: []Attached{{Path: "a", Body: bad}}}, "json.0.path", "begins with a slash"},
		{Settings{Schemas: []Attached{{Path: "/a"}}}, "json.0.body", "no schema"},
		{Settings{Caps: []Cap{{Max: 1}}}, "cap.0.names", "needs names"},
	} {
		_, err := New(tc.s, check.Env{})
		var se *check.SettingError
		if !errors.As(err, &se) || se.Key != tc.key || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: want %s: ...%s", err, tc.key, tc.want)
		}
	}
}

func TestCapsHoldInQueryFormAndBody(t *testing.T) {
	c := build(t, Settings{Caps: []Cap{{Names: []string{"limit", "per_page"}, Max: 100}}})
	for _, tc := range []struct{ line, body, kind, want string }{
		{"GET /a?limit=100", "", "", ""},
		{"GET /a?limit=101", "", "", "asks_too_much!"},
		{"GET /a?per_page=1e9", "", "", "asks_too_much!"},
		{"GET /a?limit=%31%30%31", "", "", "asks_too_much!"},
		{"POST /a", "limit=500", "application/x-www-form-urlencoded", "asks_too_much!"},
		{"POST /a", `{"limit":500}`, "application/json", "asks_too_much!"},
		{"POST /a", `{"limit":5}`, "application/json", ""},
	} {
		if got := ids(ask(c, tc.line, tc.body, "Content-Type: "+tc.kind)); got != tc.want {
			t.Errorf("%s %s: got %q, want %q", tc.line, tc.body, got, tc.want)
		}
	}
}

func TestGraphQLQueriesAreBounded(t *testing.T) {
	s := Defaults()
	s.GraphQL.MaxDepth, s.GraphQL.MaxAliases, s.GraphQL.MaxBatch, s.GraphQL.MaxPage, s.GraphQL.Introspection = 3, 2, 2, 100, false
	c := build(t, s)
	json := "application/json"
	for _, tc := range []struct{ line, body, kind, want string }{
		{"POST /graphql", `{"query":"{a{b{c}}}"}`, json, ""},
		{"POST /graphql", `{"query":"{a{b{c{d}}}}"}`, json, "graphql_depth!"},
		{"POST /graphql", `{"query":"query{a{...f}} fragment f on T{b{c{d}}}"}`, json, "graphql_depth!"},
		{"POST /graphql", `{"query":"{x:a y:a z:a}"}`, json, "graphql_aliases!"},
		{"POST /graphql", `[{"query":"{a}"},{"query":"{a}"},{"query":"{a}"}]`, json, "graphql_batch!"},
		{"POST /graphql", `{"query":"query($n:Int){a(first:$n){b}}","variables":{"n":500}}`, json, "graphql_page!"},
		{"POST /graphql", `{"query":"{__schema{types{name}}}"}`, json, "graphql_introspection!"},
		{"POST /graphql", `{"query":"{a"}`, json, "graphql_malformed!"},
		{"POST /graphql", `{"query":"query{...f} fragment f on T{...f}"}`, json, "graphql_malformed!"},
		{"GET /graphql?query=%7Ba%7Bb%7Bc%7Bd%7D%7D%7D%7D", "", "", "graphql_depth!"},
		{"POST /graphql", `{a{b{c{d}}}}`, "application/graphql", "graphql_depth!"},
		{"POST /graphql", `{"extensions":{"persistedQuery":{"sha256Hash":"00"}}}`, json, ""},
		{"POST /other", `{"query":"{a{b{c{d}}}}"}`, json, ""},
	} {
		if got := ids(ask(c, tc.line, tc.body, "Content-Type: "+tc.kind)); got != tc.want {
			t.Errorf("%s %s: got %q, want %q", tc.line, tc.body, got, tc.want)
		}
	}
}

func TestHeadAndBodyAreJudgedOnTheirOwnVisits(t *testing.T) {
	c := build(t, Settings{APIs: []API{{File: write(t, "shop.yaml", shop)}}})
	visit := func(phase check.Phase, last bool, method, uri, body string) string {
		r := request.Get()
		defer r.Release()
		r.Method, r.URI = method, []byte(uri)
		r.Headers = []request.Header{{Name: []byte("Content-Type"), Value: []byte("application/json")}}
		if body != "" {
			r.Body = request.Body{Present: true, Bytes: []byte(body), Length: int64(len(body))}
		}
		v := &check.Visit{Request: r, Phase: phase, Last: last}
		c.Judge(v)
		return ids(v.Findings)
	}
	for _, tc := range []struct {
		phase             check.Phase
		last              bool
		method, uri, body string
		want              string
	}{
		{check.Head, false, "POST", "/v1/orders", "", ""}, // the body is still to come
		{check.Body, true, "POST", "/v1/orders", `{"item":1}`, "body_type!"},
		{check.Head, true, "POST", "/v1/orders", "", "body_missing!"}, // none will come
		{check.Head, false, "PUT", "/v1/orders", "", "unknown_method!"},
		{check.Body, true, "PUT", "/v1/orders", `{}`, ""},       // was said on the first visit
		{check.Body, true, "GET", "/v1/orders/x", ``, ""},       // so was this
		{check.Body, true, "GET", "/v1/nowhere", `{"a":1}`, ""}, // and this
	} {
		if got := visit(tc.phase, tc.last, tc.method, tc.uri, tc.body); got != tc.want {
			t.Errorf("phase %d last %v %s %s %s: got %q, want %q", tc.phase, tc.last, tc.method, tc.uri, tc.body, got, tc.want)
		}
	}
}

// Every TOML example of the README must be one that the settings read.
func TestTheExampleInTheReadmeIsRead(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```toml\n")
	example, _, _ := strings.Cut(rest, "```")
	var all struct {
		Check struct{ Schema Settings }
	}
	all.Check.Schema = Defaults()
	md, err := toml.Decode(example, &all)
	if err != nil || len(md.Undecoded()) > 0 {
		t.Fatal(err, md.Undecoded())
	}
	s := all.Check.Schema
	if len(s.APIs) != 1 || len(s.APIs[0].Routes) != 1 || len(s.Schemas) != 1 || len(s.Caps) != 1 || s.GraphQL.MaxDepth != 12 || s.GraphQL.MaxAliases != 100 {
		t.Errorf("%+v", s)
	}
}
