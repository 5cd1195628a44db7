package score

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/score/model"
	"github.com/sallyport/sallyport/daemon/request"
)

// typicalRequest has ten parameters and is about 1 KB long.
func typicalRequest() *request.Request {
	r := request.Get()
	r.Method, r.Protocol, r.Host = "POST", "HTTP/1.1", []byte("shop.example.com")
	r.URI = []byte("/api/orders/8841?page=2&sort=price_desc&from=2024-05-01&ref=newsletter&lang=en-GB")
	for _, h := range [][2]string{
		{"Host", "shop.example.com"}, {"Accept", "application/json, text/plain, */*"},
		{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"},
		{"Cookie", "session=175299b243c2a803e369a5b687c2ae63; theme=light; _ga=GA1.2.26237698.1708574042"},
		{"Content-Type", "application/x-www-form-urlencoded"}, {"Referer", "https://shop.example.com/orders?page=1"},
	} {
		r.Headers = append(r.Headers, request.Header{Name: []byte(h[0]), Value: []byte(h[1])})
	}
	body := "name=Anne+O%27Brien&street=12+Rue+de+l%27Eglise&city=Lyon&phone=%2B33+1+55+01+02+03&note=" +
		strings.Repeat("please+ring+twice%2C+the+bell+is+on+the+left+", 6)
	r.Body = request.Body{Present: true, Bytes: []byte(body), Length: int64(len(body))}
	return r
}

func benignJSON(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"items":[`)
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"sku":"SKU-%06d","name":"Garden chair, oak","price":%d.90,"tags":["outdoor","wood"],"created":"2024-05-01T10:00:00Z","note":"Delivered on Monday. The customer asked for the blue one."}`, i, i, i%90)
	}
	b.WriteString("]}")
	return b.Bytes()
}

func testCheck(tb testing.TB) *Check {
	tb.Helper()
	c, err := New(Defaults(), check.Env{})
	if err != nil {
		tb.Fatal(err)
	}
	return c.(*Check)
}

func BenchmarkTypicalRequest(b *testing.B) {
	c := testCheck(b)
	b.ReportAllocs()
	for b.Loop() {
		r := typicalRequest()
		v := &check.Visit{Request: r, Phase: check.Head | check.Body, Stateless: true}
		c.Judge(v)
		r.Release()
	}
}

func BenchmarkBenignJSON(b *testing.B) {
	judgeJSON(b, testCheck(b), benignJSON(64<<10))
}

func judgeJSON(b *testing.B, c *Check, body []byte) {
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r := request.Get()
		r.Method, r.URI = "POST", []byte("/api/items")
		r.Headers = append(r.Headers, request.Header{Name: []byte("Content-Type"), Value: []byte("application/json")})
		r.Body = request.Body{Present: true, Bytes: body, Length: int64(len(body))}
		c.Judge(&check.Visit{Request: r, Phase: check.Body, Stateless: true})
		r.Release()
	}
}

func BenchmarkGate(b *testing.B) {
	values := [][]byte{[]byte("8841"), []byte("price_desc"), []byte("2024-05-01"), []byte("175299b243c2a803e369a5b687c2ae63"),
		[]byte("2186776c-bc4b-11ed-ac0f-da7ad0900002"), []byte("anne@example.com")}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if !model.Harmless(values[i%len(values)]) {
			b.Fatal("not harmless")
		}
		i++
	}
}

func BenchmarkValue(b *testing.B) {
	m, err := Embedded()
	if err != nil {
		b.Fatal(err)
	}
	s := new(model.Scratch)
	for name, text := range map[string]string{
		"name":   "Anne O'Brien",
		"prose":  strings.Repeat("The customer's note (see above): ring twice, please! ", 20),
		"attack": "1' union/**/select 1,2,group_concat(table_name) from information_schema.tables-- -",
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				m.Score(s, []byte(text))
			}
		})
	}
}

func BenchmarkLongValues(b *testing.B) {
	c := testCheck(b)
	for name, unit := range map[string]string{"a": "a", "base64": "QUJDREVG", "quotes": "a' ", "percent": "%41%27", "prose": "the note says (see above) ring; ", "hex": "0123456789abcdef", "backslash": `\\x41`, "dots": "../"} {
		body := []byte(`{"v":"` + strings.Repeat(unit, 64<<10/len(unit)) + `"}`)
		b.Run(name, func(b *testing.B) { judgeJSON(b, c, body) })
	}
}
