package request

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fillGET makes a GET of about 1 KB with ten parameters.
func fillGET() func(*Request) {
	uri := []byte("/api/v2/catalog/products/search?q=winter%20jacket&category=outdoor&brand=northern+light&size=XL&color=dark%2Dblue" +
		"&min_price=50&max_price=300&sort=relevance&page=2&session=8f14e45fceea167a5a36dedd4bea2543")
	headers := []Header{
		{[]byte("Host"), []byte("shop.example.com")},
		{[]byte("User-Agent"), []byte("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36")},
		{[]byte("Accept"), []byte("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8")},
		{[]byte("Accept-Language"), []byte("de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7")},
		{[]byte("Accept-Encoding"), []byte("gzip, deflate, br, zstd")},
		{[]byte("Referer"), []byte("https://shop.example.com/catalog/outdoor?page=1&sort=relevance")},
		{[]byte("Cookie"), []byte("_ga=GA1.2.732268.1705052242; session=b243dc73736bf47cca42a268019d1293; theme=dark; consent=necessary")},
		{[]byte("Sec-Fetch-Mode"), []byte("navigate")},
		{[]byte("Sec-Fetch-Site"), []byte("same-origin")},
		{[]byte("Upgrade-Insecure-Requests"), []byte("1")},
	}
	return func(r *Request) {
		r.Method, r.URI = "GET", uri
		r.Headers = append(r.Headers, headers...)
	}
}

func fillBody(mediaType string, body []byte) func(*Request) {
	uri, media, name := []byte("/api/v2/orders"), []byte(mediaType), []byte("Content-Type")
	return func(r *Request) {
		r.Method, r.URI = "POST", uri
		r.Headers = append(r.Headers, Header{name, media})
		r.Body = Body{Present: true, Bytes: body, Length: int64(len(body))}
	}
}

// orderJSON makes a document of at least size bytes: orders with addresses,
// numbers and some escapes.
func orderJSON(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"orders":[`)
	for i := 0; b.Len() < size-400; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"customer":{"name":"Anna M\u00fcller","email":"anna.mueller%d@example.com","address":{"street":"Lange Stra\u00dfe 12","city":"Berlin","zip":"10115"}},`+
			`"items":[{"sku":"A-%d","title":"Winter jacket, dark blue","quantity":2,"price":129.95},{"sku":"B-7","title":"Wool socks \"warm\"","quantity":5,"price":9.5}],"paid":true,"note":null}`, 1000+i, i, i)
	}
	b.WriteString(`],"total":12345.67}`)
	return b.Bytes()
}

func multipartBody(size int) []byte {
	var b bytes.Buffer
	b.WriteString("--XyZ\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nHolidays\r\n" +
		"--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n")
	noise := uint32(1)
	for b.Len() < size {
		noise = noise*1664525 + 1013904223
		b.WriteByte(byte(noise >> 24))
	}
	b.WriteString("\r\n--XyZ--\r\n")
	return b.Bytes()
}

// loads are the requests that are measured and must not allocate once warm.
var loads = []struct {
	name string
	fill func(*Request)
	size int
}{
	{"GET 1 KB 10 parameters", fillGET(), 0},
	{"JSON 2 KB", fillBody("application/json", orderJSON(2<<10)), 2 << 10},
	{"JSON 64 KB", fillBody("application/json", orderJSON(64<<10)), 64 << 10},
	{"form 2 KB", fillBody("application/x-www-form-urlencoded", []byte(strings.Repeat("name=Anna+M%C3%BCller&city=Berlin&n=42&", 52))), 2 << 10},
	{"multipart 1 MB", fillBody("multipart/form-data; boundary=XyZ", multipartBody(1<<20)), 1 << 20},
	{"GraphQL 1 KB", fillBody("application/json", []byte(`{"query":"query Q { user(name: \"x\", tags: [\"a\"]) { id `+strings.Repeat("name email ", 90)+`} }","variables":{"a":"b"}}`)), 1 << 10},
	{"protobuf 1 KB", fillBody("application/x-protobuf", bytes.Repeat([]byte("\x0a\x0bhello world\x12\x07\x0a\x05world\x18\x07"), 42)), 1 << 10},
	{"XML 64 KB", fillBody("text/xml", []byte("<a>"+strings.Repeat(`<b c="d">some text</b>`, 2900)+"</a>")), 64 << 10},
}

// cpuTime is the time this process spent computing: on a machine that others
// use, too, it says more than the clock.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// walk opens a request and looks at every value, as a check would.
func walk(fill func(*Request), layers bool) (n int) {
	r := Get()
	fill(r)
	for _, vs := range [2][]Value{r.HeadValues(), r.BodyValues()} {
		for i := range vs {
			n += len(vs[i].Text)
			if layers {
				n += len(r.Layers(&vs[i]))
			}
		}
	}
	r.Release()
	return n
}

func BenchmarkWalk(b *testing.B) {
	for _, load := range loads {
		for _, layers := range []bool{false, true} {
			name := load.name
			if layers {
				name += ", layers"
			}
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(load.size))
				start := cpuTime()
				for b.Loop() {
					walk(load.fill, layers)
				}
				b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

func TestAWarmPoolAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("pools are emptied at random under the race detector")
	}
	for _, load := range loads {
		for range 3 {
			walk(load.fill, true)
		}
		if n := testing.AllocsPerRun(50, func() { walk(load.fill, true) }); n >= 1 {
			t.Errorf("%s: %v allocations", load.name, n)
		}
	}
}

// BenchmarkHostile opens the requests that cost the most within the bounds.
func BenchmarkHostile(b *testing.B) {
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	for _, load := range []struct {
		name string
		fill func(*Request)
	}{
		{"million parameters", fillBody("application/x-www-form-urlencoded", []byte(strings.Repeat("a=%27&", 1_000_000)))},
		{"JSON 100,000 deep", fillBody("application/json", []byte(deep))},
		{"1 MiB of keys", fillBody("application/json", []byte("{"+strings.Repeat(`"a":1,`, 170_000)+`"b":1}`))},
		{"1 MiB of percent signs", fillBody("application/x-www-form-urlencoded", []byte("a="+strings.Repeat("%2525", 200_000)))},
		{"1 MiB of entities", fillBody("text/plain", []byte(strings.Repeat("&amp;amp;", 116_000)))},
		{"1 MiB of base64", fillBody("text/plain", []byte(strings.Repeat("PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg== ", 28_000)))},
		{"1 MiB of backslashes", fillBody("text/plain", []byte(strings.Repeat(`\`, 1<<20)))},
		{"1 MiB of open tags", fillBody("text/xml", []byte(strings.Repeat("<a b=c>", 150_000)))},
		{"1 MiB of boundaries", fillBody("multipart/form-data; boundary=X", []byte(strings.Repeat("--X\r\n\r\n", 150_000)))},
	} {
		b.Run(load.name, func(b *testing.B) {
			start := cpuTime()
			for b.Loop() {
				walk(load.fill, true)
			}
			b.ReportMetric(float64(cpuTime()-start)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}
