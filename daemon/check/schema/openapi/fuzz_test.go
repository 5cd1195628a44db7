package openapi

import (
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/daemon/request"
)

// fuzzDocument has every style, place and media type.
const fuzzDocument = `openapi: 3.1.0
info: {title: t, version: "1"}
paths:
  /a/{s}/{l}/{m}/x{p}-{q}:
    post:
      parameters:
        - {name: s, in: path, required: true, schema: {type: array, items: {type: integer}}}
        - {name: l, in: path, required: true, style: label, explode: true, schema: {type: object, additionalProperties: {type: string}}}
        - {name: m, in: path, required: true, style: matrix, schema: {type: array, items: {type: string}}}
        - {name: p, in: path, required: true, schema: {type: string, format: date}}
        - {name: f, in: query, schema: {type: object, properties: {a: {type: integer}, b: {type: string}}}}
        - {name: d, in: query, style: deepObject, schema: {type: object, additionalProperties: {type: array, items: {type: object}}}}
        - {name: v, in: query, style: pipeDelimited, explode: false, schema: {type: array, uniqueItems: true, items: {type: number, multipleOf: 0.1}}}
        - {name: w, in: query, style: spaceDelimited, explode: false, schema: {type: object}}
        - {name: c, in: query, content: {application/json: {schema: {type: object, unevaluatedProperties: false}}}}
        - {name: X-H, in: header, explode: true, schema: {type: object, minProperties: 1}}
        - {name: k, in: cookie, schema: {type: array, contains: {const: "1"}, items: {pattern: '^(?!x).$'}}}
      requestBody:
        content:
          application/json: {schema: {$ref: '#/components/schemas/T'}}
          application/x-www-form-urlencoded: {schema: {$ref: '#/components/schemas/T'}, encoding: {kids: {style: deepObject, explode: true}}}
          multipart/form-data: {schema: {$ref: '#/components/schemas/T'}, encoding: {v: {contentType: 'image/*', headers: {X-A: {schema: {type: integer}}}}}}
          application/xml: {}
          text/*: {schema: {type: string, maxLength: 9}}
      responses: {}
components:
  schemas:
    T:
      type: object
      properties:
        v: {type: [integer, "null"]}
        kids: {type: array, items: {$ref: '#/components/schemas/T'}}
        any: {oneOf: [{type: string, format: uri}, {$ref: '#/components/schemas/T'}, {type: array, prefixItems: [{}], items: false}]}
      patternProperties: {'^x-': {type: boolean}}
      propertyNames: {maxLength: 9}
`

func FuzzJudge(f *testing.F) {
	a, err := Parse("fuzz.yaml", []byte(fuzzDocument), Options{})
	if err != nil || len(a.Warnings) > 0 {
		f.Fatal(err, a.Warnings)
	}
	uri := "/a/1,2/.a=1.b=2/;m=3,4/x2024-01-01-z?a=1&b=2&d[x][0][y]=1&v=1%7C2&w=a%20b&c=%7B%7D"
	for _, seed := range []struct{ kind, body string }{
		{"application/json", `{"v":1,"kids":[{"v":null,"any":"http://a/"}],"x-a":true}`},
		{"application/x-www-form-urlencoded", "v=1&kids[0][v]=2&kids[1][any][v]=3&x-a=true&any=%5B1%5D"},
		{"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"v\"\r\nContent-Type: image/png\r\nX-A: 1\r\n\r\n1\r\n--b--\r\n"},
		{"application/xml", "<a><b/></a>"},
		{"text/plain", "abc"},
	} {
		f.Add("POST", uri, seed.kind, "a=1,b=2", "k=1; k=x", []byte(seed.body))
	}
	if dir, err := filepath.Abs("../../../../../shared/schema"); err == nil {
		if calls, _ := filepath.Glob(filepath.Join(dir, "styles.jsonl")); len(calls) == 1 {
			for _, c := range readCalls(f, calls[0])[:200] {
				body := ""
				if c.Body != nil {
					body = *c.Body
				}
				f.Add(c.Method, c.URI, c.Headers["Content-Type"], c.Headers["X-Color"], c.Headers["Cookie"], []byte(body))
			}
		}
	}
	f.Fuzz(func(t *testing.T, method, uri, kind, header, cookie string, body []byte) {
		r := &request.Request{Method: method, URI: []byte(uri)}
		for _, h := range [][2]string{{"Content-Type", kind}, {"X-H", header}, {"Cookie", cookie}} {
			r.Headers = append(r.Headers, request.Header{Name: []byte(h[0]), Value: []byte(h[1])})
		}
		r.Body = request.Body{Present: len(body) > 0, Bytes: body, Length: int64(len(body))}
		first := a.Judge(r, Head|Body, nil)
		again := a.Judge(r, Head|Body, nil)
		if len(first) != len(again) {
			t.Fatalf("judged differently the second time: %+v then %+v", first, again)
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(fuzzDocument))
	f.Add([]byte(routesDocument))
	f.Add([]byte(`{"swagger":"2.0","basePath":"/a","paths":{"/b/{c}":{"post":{"consumes":["a/b"],"parameters":[{"in":"body","name":"x","schema":{"$ref":"#/definitions/D"}},{"in":"formData","name":"f","type":"file"}]}}},"definitions":{"D":{"allOf":[{"$ref":"#/definitions/D"}],"discriminator":"k"}}}`))
	f.Add([]byte("openapi: 3.1.0\npaths: &a\n  /x: {get: {parameters: [{in: query, name: q, schema: {$dynamicRef: '#n', $dynamicAnchor: n, $id: 'http://a/b', unevaluatedItems: {$ref: '#'}}}]}}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := Parse("fuzz.yaml", text, Options{MatchHost: true})
		if err != nil {
			return
		}
		r := &request.Request{Method: "POST", URI: []byte("/x?q=1"), Host: []byte("a"), Headers: []request.Header{{Name: []byte("Content-Type"), Value: []byte("application/json")}}}
		r.Body = request.Body{Present: true, Bytes: []byte(`{"a":[1]}`), Length: 9}
		a.Judge(r, Head|Body, nil)
	})
}
