package jsonl

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/request"
)

func TestALineBecomesARequest(t *testing.T) {
	r := request.Get()
	defer r.Release()
	line := []byte(`{"id":"7","x":{"y":[1,"]"]},"method":"POST","uri":"/\u00e9\udcff?q=\"","headers":{"Host":"X.org:8080","A":["1","2"]},` +
		`"body_base64":"aGk=","client":"::ffff:192.0.2.7","time":"2026-01-02T15:04:05Z"}`)
	id, err := Parse(line, r)
	if err != nil || id.Text != "7" {
		t.Fatalf("id %q, error %v", id.Text, err)
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

func TestALineMayBeWrittenAsProgramsWriteThem(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"an id that is a number", `{"id":7.50,"method":"GET","uri":"/"}`, `7.50 GET "/" [] "" 192.0.2.1:0 0`},
		{"an id that is null", `{"id":null,"method":"GET","uri":"/"}`, `null GET "/" [] "" 192.0.2.1:0 0`},
		{"an id that is an object", `{"id":{"a":[1]},"method":"GET","uri":"/"}`, `{"a":[1]} GET "/" [] "" 192.0.2.1:0 0`},
		{"no id", `{"method":"GET","uri":"/"}`, `"" GET "/" [] "" 192.0.2.1:0 0`},
		{"members that are null", `{"method":"GET","uri":"/","headers":null,"body":null,"body_base64":null,"client":null,"time":null}`, `"" GET "/" [] "" 192.0.2.1:0 0`},
		{"headers as pairs", `{"method":"GET","uri":"/","headers":[["A","1"],["b",2],["A","3"]]}`, `"" GET "/" [{A 1} {b 2} {A 3}] "" 192.0.2.1:0 0`},
		{"headers that are no strings", `{"method":"GET","uri":"/","headers":{"A":5,"B":true,"C":null,"D":[1,"2",null]}}`, `"" GET "/" [{A 5} {B true} {D 1} {D 2}] "" 192.0.2.1:0 0`},
		{"base64 without padding", `{"method":"GET","uri":"/","body_base64":"aGk"}`, `"" GET "/" [] "hi" 192.0.2.1:0 0`},
		{"base64 of the other alphabet", `{"method":"GET","uri":"/","body_base64":"_-8="}`, `"" GET "/" [] "\xff\xef" 192.0.2.1:0 0`},
		{"an empty client", `{"method":"GET","uri":"/","client":""}`, `"" GET "/" [] "" 192.0.2.1:0 0`},
		{"a client with a port", `{"method":"GET","uri":"/","client":"[2001:db8::1]:80"}`, `"" GET "/" [] "" [2001:db8::1]:80 0`},
		{"a time without a zone", `{"method":"GET","uri":"/","time":"2026-01-02 15:04:05.5"}`, `"" GET "/" [] "" 192.0.2.1:0 1767366245`},
		{"a time in seconds", `{"method":"GET","uri":"/","time":1767366245.25}`, `"" GET "/" [] "" 192.0.2.1:0 1767366245`},
		{"raw bytes, spaces and control characters", "{\"method\":\"G T\",\"uri\":\"/a b\xff\x01\"}", `"" G T "/a b\xff\x01" [] "" 192.0.2.1:0 0`},
		{"NUL and lone surrogates", `{"method":"GET","uri":"/\u0000\ud800x\udcff","body":"\ud83d\u0000"}`, `"" GET "/\x00�x\xff" [] "�\x00" 192.0.2.1:0 0`},
		{"a carriage return", `{"method":"GET","uri":"/"}` + "\r\n", `"" GET "/" [] "" 192.0.2.1:0 0`},
	} {
		r := request.Get()
		id, err := Parse([]byte(c.line), r)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		headers := []string{}
		for _, h := range r.Headers {
			headers = append(headers, fmt.Sprintf("{%s %s}", h.Name, h.Value))
		}
		if r.Received.IsZero() {
			r.Received = time.Unix(0, 0)
		}
		if got := fmt.Sprintf("%s %s %q %v %q %v %d", id.Append(nil), r.Method, r.URI, headers, r.Body.Bytes, r.Client, r.Received.Unix()); got != c.want {
			t.Errorf("%s: got  %s\nwant %s", c.name, got, c.want)
		}
		r.Release()
	}
}

func TestALineThatIsTooLongIsPassedOver(t *testing.T) {
	r, err := NewReader(io.MultiReader(strings.NewReader("\xef\xbb\xbf{}\n"), io.LimitReader(endless{}, MaxLine+1), strings.NewReader("\n{\"a\":1}\n")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		line, n, err := r.Next(nil)
		if err == io.EOF {
			break
		}
		got = append(got, fmt.Sprint(n, " ", strings.TrimSpace(string(line)), " ", err))
	}
	if strings.Join(got, ", ") != `1 {} <nil>, 2  longer than 67108864 bytes, 3 {"a":1} <nil>` {
		t.Errorf("got %q", got)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}
