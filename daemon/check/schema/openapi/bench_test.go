package openapi

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check/schema/jsonschema"
	"github.com/sallyport/sallyport/daemon/request"
)

// orderDocument is a shop's order: nested objects, arrays, patterns, formats,
// enums and references, as public documents have them.
func orderDocument(version string) string {
	nullable := `{type: string, nullable: true, maxLength: 200}`
	if version >= "3.1" {
		nullable = `{type: [string, "null"], maxLength: 200}`
	}
	return `openapi: ` + version + `
info: {title: Shop, version: "1"}
paths:
  /orders/{id}:
    put:
      parameters:
        - {name: id, in: path, required: true, schema: {type: integer}}
        - {name: dry, in: query, schema: {type: boolean}}
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}
      responses: {"200": {description: ok}}
components:
  schemas:
    Order:
      type: object
      required: [number, customer, lines]
      properties:
        number: {type: string, pattern: '^[A-Z]{2}-[0-9]{6}$'}
        placed: {type: string, format: date-time}
        note: ` + nullable + `
        customer: {$ref: '#/components/schemas/Customer'}
        lines: {type: array, minItems: 1, maxItems: 1000, items: {$ref: '#/components/schemas/Line'}}
      additionalProperties: false
    Customer:
      type: object
      required: [id, email]
      properties:
        id: {type: string, format: uuid}
        email: {type: string, format: email}
        name: {type: string, minLength: 1, maxLength: 100}
        address: {$ref: '#/components/schemas/Address'}
    Address:
      type: object
      required: [street, city, country]
      properties:
        street: {type: string, maxLength: 200}
        city: {type: string, maxLength: 100}
        country: {type: string, enum: [DE, FR, NL, GB, US, CH, AT]}
        zip: {type: string, pattern: '^[0-9A-Z -]{3,10}$'}
    Line:
      allOf:
        - $ref: '#/components/schemas/Item'
        - type: object
          required: [quantity]
          properties:
            quantity: {type: integer, minimum: 1, maximum: 999}
            discount: {type: number, minimum: 0, maximum: 100}
            payment:
              oneOf:
                - {type: object, required: [card], properties: {card: {type: string, pattern: '^[0-9]{12,19}$'}}}
                - {type: object, required: [iban], properties: {iban: {type: string, maxLength: 34}}}
    Item:
      type: object
      required: [sku, price]
      properties:
        sku: {type: string, pattern: '^[a-z0-9-]{4,40}$'}
        title: {type: string, maxLength: 300}
        price: {type: number, minimum: 0, multipleOf: 0.01}
        tags: {type: array, uniqueItems: true, items: {type: string, maxLength: 20}}
`
}

func orderBody(size int) []byte {
	var b strings.Builder
	b.WriteString(`{"number":"AB-123456","placed":"2024-02-29T12:00:00Z","note":null,"customer":{"id":"2eb8aa08-aa98-11ea-b4aa-73b441d16380","email":"jo.doe@example.com","name":"Jo Doe","address":{"street":"Long Street 1","city":"Utrecht","country":"NL","zip":"3511 AB"}},"lines":[`)
	for i := 0; b.Len() < size-200 || i == 0; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"sku":"sku-%05d","title":"A thing of some kind","price":19.99,"tags":["new","red","large"],"quantity":%d,"discount":2.5,"payment":{"iban":"NL91ABNA0417164300"}}`, i, i%900+1)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

func orderRequest(body []byte) *request.Request {
	r := request.Get()
	r.Method, r.URI = "PUT", []byte("/orders/17?dry=true")
	r.Headers = []request.Header{{Name: []byte("Host"), Value: []byte("a.example")}, {Name: []byte("Content-Type"), Value: []byte("application/json")}}
	r.Body = request.Body{Present: true, Bytes: body, Length: int64(len(body))}
	return r
}

// BenchmarkCall is a whole judgement: route, parameters, decoding, schema.
func BenchmarkCall(b *testing.B) {
	for _, version := range []string{"3.0.3", "3.1.0"} {
		a, err := Parse("order.yaml", []byte(orderDocument(version)), Options{})
		if err != nil || len(a.Warnings) > 0 {
			b.Fatal(err, a.Warnings)
		}
		for _, size := range []int{2 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("%s/%dKB", version, size>>10), func(b *testing.B) {
				r := orderRequest(orderBody(size))
				b.SetBytes(int64(len(r.Body.Bytes)))
				b.ReportAllocs()
				for b.Loop() {
					if v := a.Judge(r, Head|Body, nil); len(v) > 0 {
						b.Fatal(v)
					}
				}
			})
		}
	}
}

// BenchmarkBody splits a 2 KB and a 64 KB body's cost into decoding and
// validation.
func BenchmarkBody(b *testing.B) {
	a, err := Parse("order.yaml", []byte(orderDocument("3.1.0")), Options{})
	if err != nil {
		b.Fatal(err)
	}
	s := a.router.root.static["orders"].param.paths[0].ops["PUT"].body.media[0].schema
	for _, size := range []int{2 << 10, 64 << 10} {
		text := orderBody(size)
		var in jsonschema.Instance
		b.Run(fmt.Sprintf("decode/%dKB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				in.Reset()
				if err := in.Parse(nil, text); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("validate/%dKB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !s.Valid(&in) {
					b.Fatal("invalid")
				}
			}
		})
	}
}

// BenchmarkRoute shows that the number of operations does not count.
func BenchmarkRoute(b *testing.B) {
	for _, n := range []int{10, 100, 500, 2000} {
		a := manyPaths(b, n)
		b.Run(fmt.Sprintf("%dops", n), func(b *testing.B) {
			j := &judge{api: a, r: &request.Request{Method: "GET", URI: []byte(fmt.Sprintf("/v1/things%d/17/parts/abc?x=1", n/4))}}
			b.ReportAllocs()
			for b.Loop() {
				j.buf = j.buf[:0]
				if len(j.route()) != 1 {
					b.Fatal("no route")
				}
			}
		})
	}
}

func manyPaths(tb testing.TB, operations int) *API {
	var doc strings.Builder
	doc.WriteString(`{"openapi":"3.1.0","info":{"title":"t","version":"1"},"servers":[{"url":"/v1"}],"paths":{`)
	for i := 0; i < (operations+1)/2; i++ {
		if i > 0 {
			doc.WriteByte(',')
		}
		fmt.Fprintf(&doc, `"/things%d/{id}/parts/{part}":{"get":{"responses":{}},"post":{"responses":{}}}`, i)
	}
	doc.WriteString(`}}`)
	a, err := Parse("many.json", []byte(doc.String()), Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// BenchmarkLoad reads the large documents.
func BenchmarkLoad(b *testing.B) {
	files, _ := filepath.Glob(filepath.Join(fixturesDir(b), "*"))
	for _, f := range files {
		b.Run(filepath.Base(f), func(b *testing.B) {
			if info, err := os.Stat(f); err == nil {
				b.SetBytes(info.Size())
			}
			for b.Loop() {
				if _, err := Load(f, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGeneratedCalls judges valid calls of a large document's operations
// and reports the slowest percent of them.
func BenchmarkGeneratedCalls(b *testing.B) {
	for _, name := range []string{"stripe.json", "github.json", "kubernetes.json", "sendgrid31.json"} {
		file := filepath.Join(fixturesDir(b), name)
		if _, err := os.Stat(file); err != nil {
			continue
		}
		b.Run(name, func(b *testing.B) {
			c, a := newCaller(b, file)
			c.roll = rand.New(rand.NewSource(3)).Intn
			var calls []made
			for i, template := range c.root.Get("paths").Keys {
				item := c.deref(c.root.Get("paths").Items[i])
				for _, m := range methods {
					if op := c.deref(item.Get(m)); op != nil {
						if all := c.call(template, item, op, m); all != nil {
							calls = append(calls, all[0])
						}
					}
				}
			}
			times := make([]time.Duration, 0, b.N)
			for i := 0; b.Loop(); i++ {
				r := calls[i%len(calls)].request()
				start := time.Now()
				a.Judge(r, Head|Body, nil)
				times = append(times, time.Since(start))
				r.Release()
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "p50-ns")
			b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds()), "p99-ns")
		})
	}
}
