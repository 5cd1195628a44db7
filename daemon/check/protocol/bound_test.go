package protocol

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/request"
)

func packed(t *testing.T, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	_ = z.Close()
	return b.Bytes()
}

func TestWhatIsTooLargeIsFound(t *testing.T) {
	c := newCheck(t, with(func(s *Settings) { s.Hosts = []string{"x.org", "*.x.org"} }))
	header := func(name, value string) request.Header {
		return request.Header{Name: []byte(name), Value: []byte(value)}
	}
	gz := header("Content-Encoding", "gzip")
	jsonType := header("Content-Type", "application/json")
	for _, one := range []struct {
		want    string
		uri     string
		headers []request.Header
		body    []byte
	}{
		{want: "uri_long", uri: "/?a=" + strings.Repeat("b", 8<<10)},
		{want: "path_segments", uri: strings.Repeat("/a", request.MaxSegments+1)},
		{want: "headers_many", headers: slices.Repeat([]request.Header{header("A", "b")}, 101)},
		{want: "header_large", headers: []request.Header{header("A", strings.Repeat("b", 17<<10))}},
		{want: "parameters_many", uri: "/?" + strings.Repeat("a&", request.MaxParams+1)},
		{want: "encoded_deep", uri: "/?a=%" + strings.Repeat("25", 20) + "41"},
		{want: "base64_many", uri: "/?a=%26" + strings.Repeat("PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg.", 20)},
		{want: "host_unknown", headers: []request.Header{header("Host", "y.org")}},
		{want: "", headers: []request.Header{header("Host", "a.x.org:8443")}},
		{want: "encoding_broken", headers: []request.Header{gz}, body: []byte("no gzip")},
		{want: "encoding_tail", headers: []request.Header{gz}, body: append(packed(t, []byte("a=b")), " \x00tail"...)},
		{want: "body_bomb", headers: []request.Header{gz}, body: packed(t, make([]byte, 2<<20))},
		{want: "body_decoded_large", headers: []request.Header{gz}, body: packed(t, slices.Repeat([]byte(fmt.Sprint(make([]int, 50), "abcdefghij")), 60_000))},
		{want: "multipart_many", headers: []request.Header{header("Content-Type", "multipart/mixed; boundary=a")}, body: []byte(strings.Repeat("--a\r\n\r\nb\r\n", 2000))},
		{want: "json_deep", headers: []request.Header{jsonType}, body: []byte(strings.Repeat("[", 300) + strings.Repeat("]", 300))},
		{want: "xml_deep", headers: []request.Header{header("Content-Type", "text/xml")}, body: []byte(strings.Repeat("<a>", 200) + strings.Repeat("</a>", 200))},
		{want: "values_many", headers: []request.Header{jsonType}, body: []byte("[" + strings.Repeat("1,", request.MaxValues+1) + "1]")},
	} {
		r := request.Get()
		r.Method, r.URI = "POST", []byte("/")
		if one.uri != "" {
			r.URI = []byte(one.uri)
		}
		r.Headers = append(r.Headers, one.headers...)
		if one.body != nil {
			r.Body = request.Body{Present: true, Bytes: one.body, Length: int64(len(one.body))}
		}
		got := ids(judge(c, r))
		if one.want != "" && !slices.Contains(got, one.want) || one.want == "" && slices.Contains(got, "host_unknown") {
			t.Errorf("found %v, want %s; marks %v", got, one.want, r.Markers())
		}
		r.Release()
	}
}
