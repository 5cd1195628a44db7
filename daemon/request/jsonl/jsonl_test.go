package jsonl

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/request"
)

func TestALineBecomesARequest(t *testing.T) {
	r := request.Get()
	defer r.Release()
	line := []byte(`{"id":"7","x":{"y":[1,"]"]},"method":"POST","uri":"/\u00e9\udcff?q=\"","headers":{"Host":"X.org:8080","A":["1","2"]},` +
		`"body_base64":"aGk=","client":"::ffff:192.0.2.7","time":"2026-01-02T15:04:05Z"}`)
	id, err := Parse(line, r)
	if err != nil || id != "7" {
		t.Fatalf("id %q, error %v", id, err)
	}
	if r.Method != "POST" || string(r.URI) != "/é\xff?q=\"" || string(r.Host) != "x.org" || string(r.Body.Bytes) != "hi" || !r.Body.Present {
		t.Errorf("got %q %q host %q body %q", r.Method, r.URI, r.Host, r.Body.Bytes)
	}
	if len(r.Headers) != 3 || string(r.Header("a")) != "1" || r.CountHeader("A") != 2 {
		t.Errorf("headers %q", r.Headers)
	}
	if r.Client.String() != "192.0.2.7:0" || r.Received.Unix() != 1767366245 {
		t.Errorf("client %v, time %v", r.Client, r.Received)
	}
}

func TestABadLineSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`{"uri":"/"}`, `"method" is missing`},
		{`{"method":"GET"}`, `"uri" is missing`},
		{`{"method":"GET","uri":7}`, "byte 23: expected a string"},
		{`{"method":"GET","uri":"/"`, "byte 26: expected ','"},
		{`[]`, "byte 1: expected '{'"},
		{`{"method":"GET","uri":"/"} x`, "byte 28: expected the end of the line"},
		{`{"method":"GET","uri":"/","body_base64":"*"}`, "body_base64: illegal base64"},
		{`{"method":"GET","uri":"/","client":"me"}`, `client "me": expected an address`},
		{`{"method":"GET","uri":"/","time":"noon"}`, `time "noon": expected RFC 3339`},
	} {
		r := request.Get()
		if _, err := Parse([]byte(c.line), r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.line, err, c.want)
		}
		r.Release()
	}
}

func TestLinesAreReadPlainAndCompressed(t *testing.T) {
	text := "{}\n\n  \n{\"a\":1}" // no line break at the end
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	for name, in := range map[string]io.Reader{"plain": strings.NewReader(text), "gzip": &packed} {
		r, err := NewReader(in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			line, n, err := r.Next(nil)
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(rune('0'+n))+strings.TrimSpace(string(line)))
		}
		if strings.Join(got, " ") != `1{} 4{"a":1}` {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"id":"1","method":"GET","uri":"/a?b=\u00e9","headers":{"A":["b"]},"body":"x","client":"1.2.3.4:5","time":1e9}`))
	f.Add([]byte(`{"method":"\ud83d\ude00","uri":"\udcff","body_base64":"AAAA"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r := request.Get()
		defer r.Release()
		if _, err := Parse(line, r); err == nil {
			r.HeadValues()
			r.BodyValues()
		}
	})
}

func FuzzStringsComeBack(f *testing.F) {
	f.Add([]byte("a\"\\\x00\x7f\xff\xc0\xafé😀"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := scanner{b: AppendString(nil, b)}
		got, err := s.text()
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%q came back as %q, %v", b, got, err)
		}
	})
}
