package learn

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/endpoint"
)

func heard(calls *[]string) func(Call) {
	return func(c Call) {
		r := c.Request
		*calls = append(*calls, fmt.Sprintf("%s %s %s %s %d %s %s", r.Client.Addr(), r.Received.UTC().Format("15:04:05"), r.Method, r.URI, c.Status, r.Host, r.Body.Bytes))
	}
}

func TestAccessLogsAreRead(t *testing.T) {
	var got []string
	n, err := ReadAccessLog(strings.NewReader(strings.Join([]string{
		`192.0.2.7 - - [24/Nov/2026:12:00:00 +0100] "GET /a?b=c HTTP/1.1" 200 17 "-" "curl/8"`,
		`2001:db8::1 - jane [24/Nov/2026:12:00:01 +0000] "POST /x\x22y HTTP/2.0" 201 0 "http://r/" "a \"quoted\" agent" 0.123`,
		`shop.example:443 192.0.2.8 - - [24/Nov/2026:12:00:02 +0000] "GET / HTTP/1.1" 304 0`,
		``,
		`192.0.2.9 - - [24/Nov/2026:12:00:02 +0000] "\x16\x03\x01" 400 0 "-" "-"`,
		`not a line`,
		`{"id":"ab","t":"1795521600.123","client":"192.0.2.10","host":"h","method":"GET","uri":"/z","proto":"HTTP/1.1","status":"404","ut":"-"}`,
		`<190>Nov 24 12:00:00 sallyport: {"id":"ac","t":"1795521601.000","client":"192.0.2.10","host":"h","method":"PUT","uri":"/z","status":"200"}`,
		strings.Repeat("x", 200<<10),
		`192.0.2.7 - - [24/Nov/2026:12:00:09 +0000] "GET /last HTTP/1.1" 200 17`,
	}, "\n")), heard(&got))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"192.0.2.7 11:00:00 GET /a?b=c 200  ",
		`2001:db8::1 12:00:01 POST /x"y 201  `,
		"192.0.2.8 12:00:02 GET / 304 shop.example ",
		"192.0.2.10 12:00:00 GET /z 404 h ",
		"192.0.2.10 12:00:01 PUT /z 200 h ",
		"192.0.2.7 12:00:09 GET /last 200  ",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("read:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n.Read != 6 || n.Skipped != 3 || !strings.Contains(n.Why, "line 5") {
		t.Errorf("%+v", n)
	}
}

const archive = `{"log":{"version":"1.2","pages":[{"x":[1,{"y":2}]}],"entries":[
 {"startedDateTime":"2026-11-24T12:00:00.000Z","request":{"method":"GET","url":"https://Shop.example:8443/a%2Fb?x=1","headers":[{"name":":method","value":"GET"},{"name":"Accept","value":"*/*"}]},"response":{"status":200}},
 {"startedDateTime":"2026-11-24T12:00:01.000Z","request":{"method":"POST","url":"https://shop.example/o","headers":[],"postData":{"mimeType":"application/json","text":"{\"a\":1}"}},"response":{"status":201}},
 {"startedDateTime":"2026-11-24T12:00:02.000Z","request":{"method":"POST","url":"https://shop.example/f","headers":[],"postData":{"mimeType":"application/x-www-form-urlencoded","params":[{"name":"a","value":"b c"}]}},"response":{"status":200}},
 {"request":{"method":"GET","url":"https://shop.example/blocked"},"response":{"status":0}},
 {"request":{"method":"GET","url":"data:text/plain,x"},"response":{"status":200}}
]}}`

func TestArchivesAreRead(t *testing.T) {
	var got []string
	n, err := ReadHAR(strings.NewReader(archive), netip.MustParseAddr("192.0.2.1"), heard(&got))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"192.0.2.1 12:00:00 GET /a%2Fb?x=1 200 shop.example ",
		`192.0.2.1 12:00:01 POST /o 201 shop.example {"a":1}`,
		"192.0.2.1 12:00:02 POST /f 200 shop.example a=b+c",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || n.Read != 3 || n.Skipped != 2 || !strings.Contains(n.Why, "entry 4") {
		t.Errorf("%+v read:\n%s", n, strings.Join(got, "\n"))
	}
	for _, bad := range []string{``, `{}`, `[]`, `{"log":{"entries":{}}}`, archive[:len(archive)-9]} {
		if _, err := ReadHAR(strings.NewReader(bad), netip.Addr{}, func(Call) {}); err == nil {
			t.Errorf("%.20q is taken", bad)
		}
	}
}

func TestJSONLinesAreRead(t *testing.T) {
	var got []string
	n, err := ReadJSONLines(strings.NewReader(`{"method":"GET","uri":"/a","client":"192.0.2.7"}`+"\n"+`{"method":"GET"}`+"\n"+`{"method":"PUT","uri":"/b","body":"x","client":"192.0.2.8"}`+"\n"), heard(&got))
	if err != nil || n.Read != 2 || n.Skipped != 1 || !strings.Contains(n.Why, "line 2") || !strings.Contains(got[1], "PUT /b 0  x") {
		t.Errorf("%v, %+v, %q", err, n, got)
	}
}

func TestFormatsAreTold(t *testing.T) {
	for head, want := range map[string]Format{
		"\xd4\xc3\xb2\xa1....": PCAP, "\x0a\x0d\x0d\x0a....": PCAP,
		archive: HAR, "{\n  \"log\": {": HAR,
		`{"id":"7","method":"GET","uri":"/"}`: JSONLines,
		`{"id":"ab","t":"1.0","client":"192.0.2.1","host":"h","method":"GET","uri":"/","proto":"HTTP/1.1"`: AccessLog,
		`<190>Nov 24 12:00:00 x: {"id":`: AccessLog,
		`192.0.2.7 - - [24/`:             AccessLog,
		``:                               AccessLog,
	} {
		if got := Detect([]byte(head)); got != want {
			t.Errorf("%.30q: %s, want %s", head, got, want)
		}
	}
}

func TestDifferencesAreFound(t *testing.T) {
	documented, err := endpoint.ParseOperations("api.yaml", []byte(`openapi: 3.0.0
servers: [{url: /v1}]
paths:
  /items: {get: {parameters: [{name: limit, in: query, required: true}, {name: page, in: query, required: true}, {name: q, in: query}]}}
  /items/{id}: {get: {deprecated: true}}
  /old: {get: {}}
  /rare: {get: {}}
  /orders: {post: {requestBody: {content: {application/json: {schema: {required: [total, gone], properties: {total: {}, gone: {}}}}}}}}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	l := New(Options{Seed: 1})
	for c := range 30 {
		uri := "/v1/items?limit=1&debug=1"
		if c%2 == 0 {
			uri += "&page=2"
		}
		l.teach(200, c, "GET", uri, "")
		l.teach(200, c, "GET", fmt.Sprintf("/v1/items/%d", c), "")
		l.teach(200, c, "GET", "/internal/status", "")
		l.teach(200, c, "POST", "/v1/orders", `{"total":1,"hidden":2}`, "Content-Type", "application/json")
	}
	r, _ := result(t, l)
	var got []string
	for _, d := range Diff(documented, r.Operations, func(op *endpoint.Operation) bool { return op.Path == "/v1/rare" }) {
		got = append(got, strings.TrimSpace(d.Kind+" "+d.Method+" "+d.Path+" "+d.Detail))
	}
	want := []string{
		"shadow GET /internal/status",
		"zombie GET /v1/items/{id}",
		`drift GET /v1/items query parameter "debug" is sent but not documented`,
		`drift GET /v1/items query parameter "page" is documented as required but not always sent`,
		`drift POST /v1/orders body member "hidden" is sent but not documented`,
		`drift POST /v1/orders body member "gone" is documented as required but not sent`,
		"orphan GET /v1/old",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAResultSurvivesTheControlSocket(t *testing.T) {
	r, _ := result(t, learnShop(3, nil))
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	for _, write := range []func(*Result) ([]byte, error){(*Result).JSON, (*Result).YAML} {
		a, _ := write(r)
		b, err := write(&back)
		if err != nil || string(a) != string(b) {
			t.Errorf("%v\n%s", err, difference(string(a), string(b)))
		}
	}
}

func FuzzReadAccessLog(f *testing.F) {
	f.Add([]byte(`192.0.2.7 - - [24/Nov/2026:12:00:00 +0100] "GET /a?b=c HTTP/1.1" 200 17 "-" "curl/8"`))
	f.Add([]byte(`v:80 ::1 - - [24/Nov/2026:12:00:00 +0100] "\x2 \`))
	f.Add([]byte(`{"id":"ab","t":"1.1","client":"::1","method":"GET","uri":"/z","status":"404"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := New(Options{Seed: 1, MaxOperations: 64})
		if _, err := ReadAccessLog(strings.NewReader(string(b)), l.Add); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzReadHAR(f *testing.F) {
	f.Add([]byte(archive))
	f.Add([]byte(`{"log":{"entries":[{"request":{"url":"http://[::1]:x/","postData":{"encoding":"base64","text":"="}},"response":{"status":1}}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := New(Options{Seed: 1, MaxOperations: 64})
		_, _ = ReadHAR(strings.NewReader(string(b)), netip.MustParseAddr("192.0.2.1"), l.Add)
		_ = Detect(b)
	})
}
