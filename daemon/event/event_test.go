package event

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/event/redact"
	"github.com/sallyport/sallyport/daemon/outcome"
)

var update = flag.Bool("update", false, "write the golden file anew: go test ./daemon/event -run Golden -update")

var noon = time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.UTC)

// examples are one event of each kind, the first with every field.
func examples() []*Event {
	full := &Event{
		Kind: KindRequest, Time: noon, ID: "0123456789abcdef0123456789abcdef",
		Client: netip.MustParseAddrPort("192.0.2.7:40123"), ServerAddr: netip.MustParseAddrPort("[2001:db8::1]:443"),
		TLSVersion: "TLSv1.3", Protocol: "HTTP/2.0", Method: "POST", Host: "api.example.com",
		URI:     "/login?next=%2Fhome&token=abcdef123456",
		Headers: []Field{{"Content-Type", "application/json"}, {"User-Agent", "curl/8.5.0"}, {"Authorization", "Bearer abcdef"}, {"X-Empty", ""}},
		Body:    []byte(`{"user":"' or 1=1--","password":"hunter2"}`), BodyBytes: 42,
		Site: "api", Route: "login", Mode: "enforce", Door: "body", Verdict: "deny", Status: 403, Score: 97.2,
		Why: "score 97.2 reaches high (80) of route login; most from signature 1:100001",
		Findings: []check.Finding{{
			Check: "signature", ID: "1:100001", Message: "SQL injection", Where: "json:/user", Severity: check.Critical, Score: 95, Deny: true,
			Excerpt: "' or 1=1--", Mark: [2]int{0, 8}, Detail: "content \"or 1=1\"", Rule: "rules/sqli.rules:12", Tags: []string{"CWE-89"},
			Status: 403, Delay: 20 * time.Millisecond, Ban: time.Minute,
		}, {Check: "score", ID: "attack", Message: "reads like an attack", Where: "json:/user", Severity: check.Low, Score: 40, Excerpt: "' or 1=1--", Mark: [2]int{0, 10}}},
		Excepted: []check.Finding{{Check: "schema", ID: "type", Message: "a number was expected", Where: "query:page", Severity: check.Low, Detail: "excepted: an old client"}},
		Dropped:  2, SourceReputation: 12.5, Duration: 180 * time.Microsecond, Policy: "5f2a9c",
	}
	o := &outcome.Outcome{
		ID: full.ID, Time: noon.Add(time.Second), Client: netip.MustParseAddr("192.0.2.7"), Host: "api.example.com", Method: "GET", URI: "/a",
		Site: "api", Route: "items", Protocol: "HTTP/1.1", Status: 200, RequestBytes: 300, ResponseBytes: 1500,
		RequestTime: 250 * time.Millisecond, UpstreamTime: 200 * time.Millisecond, UpstreamStatus: 200, UpstreamAddr: "10.0.0.1:80", Authenticated: true,
	}
	known := ofOutcome(o)
	known.Outcome = o
	open := *o
	open.FailedOpen = true
	return []*Event{
		full,
		{Kind: KindRequest, Time: noon, ID: "detect", Method: "GET", Host: "x", URI: "/", Route: "all", Mode: "detect", Verdict: "allow", WouldDeny: true, Score: 80, Why: "score 80"},
		{Kind: KindPanic, Time: noon, ID: "p", Method: "GET", Host: "x", URI: "/", Verdict: "allow", Message: "check schema failed: index out of range", Why: "the route fails open"},
		{Kind: KindReload, Time: noon, Verdict: "refused", Message: "sallyport.toml:3:1: unknown key", Policy: "5f2a9c"},
		{Kind: KindAudit, Time: noon, Actor: "root (uid 0)", Message: "mode detect on all routes", Why: "a false alarm"},
		{Kind: KindState, Time: noon, Message: "event sink syslog is stalled"},
		known,
		{Kind: KindOutcome, Time: noon, ID: "gone"},
		OfFailOpen(&open),
	}
}

func TestGoldenEventsHaveTheDocumentedNames(t *testing.T) {
	var got bytes.Buffer
	r := redact.New(nil)
	for _, e := range examples() {
		line := AppendJSON(nil, Redacted(e, r, true))
		if !json.Valid(line) {
			t.Fatalf("no JSON: %s", line)
		}
		got.Write(append(line, '\n'))
	}
	const golden = "testdata/events.jsonl"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("%s\nif the new names are meant: go test ./daemon/event -run Golden -update", d)
	}
}

func TestEveryNameOfAnEventIsInTheReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				walk(strings.TrimPrefix(prefix+"."+k, "."), x)
			}
		case []any:
			if len(v) > 0 {
				if _, ok := v[0].(map[string]any); ok {
					for _, x := range v {
						walk(prefix+"[]", x)
					}
					return
				}
			}
			names[prefix] = true
		default:
			names[prefix] = true
		}
	}
	for _, e := range examples() {
		var v any
		if err := json.Unmarshal(AppendJSON(nil, e), &v); err != nil {
			t.Fatal(err)
		}
		walk("", v)
	}
	for n := range names {
		if !strings.Contains(string(readme), "`"+n+"`") {
			t.Errorf("README.md does not say what `%s` is", n)
		}
	}
}

func TestAnEventIsReadBackAsItWasWritten(t *testing.T) {
	r := redact.New(nil)
	for _, e := range examples() {
		want := Redacted(e, r, true)
		got, err := Parse(AppendJSON(nil, want))
		if err != nil {
			t.Fatal(err)
		}
		if want.Outcome != nil {
			want.Outcome.Time = want.Time
		}
		if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{}), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Event{}, "Verdict")); d != "" {
			t.Errorf("%s %s: %s", e.Kind, e.ID, d)
		}
	}
	for _, bad := range []string{"", "{}", "[]", `{"event":{"action":"request"}}`} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q was taken for an event", bad)
		}
	}
}

func TestBytesThatAreNoTextDoNotBreakAnEvent(t *testing.T) {
	e := &Event{
		Kind: KindRequest, Time: noon, ID: "x", Method: "P\xffST", Host: "h\xfe", URI: "/a\xff?b=\xc3\x28", Verdict: "deny", Status: 403,
		Headers:  []Field{{"X\xff", "\x00\x1f\u2028\xf0\x28"}},
		Body:     []byte("caf\xc3"),
		Findings: []check.Finding{{Check: "c", ID: "i", Excerpt: "\xff\xfeabc\xff", Mark: [2]int{2, 3}}},
	}
	e.BodyBytes = 10
	c := Redacted(e, redact.New(nil), true)
	line := AppendJSON(nil, c)
	if !json.Valid(line) || bytes.ContainsAny(line, "\x00\x1f\n") || bytes.Contains(line, []byte("\u2028")) {
		t.Fatalf("%q", line)
	}
	if c.URI != "/a%FF?b=%C3(" || string(c.Body) != "caf" {
		t.Fatalf("uri %q, body %q", c.URI, c.Body)
	}
	f := c.Findings[0]
	if f.Excerpt != `\xff\xfeabc\xff` || f.Excerpt[f.Mark[0]:f.Mark[0]+f.Mark[1]] != "abc" {
		t.Fatalf("excerpt %q, mark %v", f.Excerpt, f.Mark)
	}
}

func TestAPlaceKeepsItsName(t *testing.T) {
	for where, want := range map[string]string{
		"cookie:sid": "cookie:sid", "header:authorization": "header:authorization", "json:/user/password": "json:/user/password", "": "", "body": "body",
		"query:a=b&token=abcdef123456": "query:a=b&token=[redacted]", "query:\xff": `query:\xff`,
	} {
		e := &Event{Findings: []check.Finding{{Where: where}}}
		if got := Redacted(e, redact.New(nil), true).Findings[0].Where; got != want {
			t.Errorf("%q became %q", where, got)
		}
	}
}

func TestABodyThatIsNoTextIsNotKept(t *testing.T) {
	for _, c := range []struct {
		name, encoding string
		body           string
		keep           bool
		want, omitted  string
	}{
		{"text", "", "a=b", true, "a=b", ""},
		{"binary", "", "a\x00b", true, "", "binary"},
		{"no UTF-8 inside", "", "a\xff\xffb", true, "", "binary"},
		{"compressed", "gzip", "a=b", true, "", "encoded"},
		{"identity", "identity", "a=b", true, "a=b", ""},
		{"not wanted", "", "a=b", false, "", "off"},
	} {
		e := &Event{Body: []byte(c.body), BodyBytes: int64(len(c.body)), Headers: []Field{{"Content-Encoding", c.encoding}}}
		got := Redacted(e, redact.New(nil), c.keep)
		if string(got.Body) != c.want || got.BodyOmitted != c.omitted {
			t.Errorf("%s: %q, %q", c.name, got.Body, got.BodyOmitted)
		}
	}
}

func TestSettingsSayWhatTheyExpect(t *testing.T) {
	ok := Defaults()
	if err := ok.Check(); err != nil {
		t.Fatal(err)
	}
	for key, change := range map[string]func(*Settings){
		"queue":               func(s *Settings) { s.Queue = 1 },
		"queue_bytes":         func(s *Settings) { s.QueueBytes = 1 },
		"store_max_bytes":     func(s *Settings) { s.StoreMaxBytes = 1 },
		"store_max_age_hours": func(s *Settings) { s.StoreMaxAgeHours = 0 },
		"file":                func(s *Settings) { s.File = "relative" },
		"store":               func(s *Settings) { s.Store = "relative" },
		"syslog.address":      func(s *Settings) { s.Syslog.Address = "http://x" },
		"syslog.facility":     func(s *Settings) { s.Syslog.Address, s.Syslog.Facility = "udp://x", "nowhere" },
		"syslog.format":       func(s *Settings) { s.Syslog.Address, s.Syslog.Format = "udp://x", "xml" },
		"syslog.max_bytes":    func(s *Settings) { s.Syslog.Address, s.Syslog.MaxBytes = "udp://x", 1 },
		"syslog.cert_file":    func(s *Settings) { s.Syslog.Address, s.Syslog.CertFile = "tls://x", "/c" },
	} {
		s := Defaults()
		change(&s)
		err := s.Check()
		if err == nil || !strings.HasPrefix(err.Error(), key+": ") {
			t.Errorf("%s: %v", key, err)
		}
	}
	for addr, want := range map[string]string{"unix:///dev/log": "unix /dev/log", "udp://h": "udp h:514", "tls://[::1]": "tls [::1]:6514", "tcp://h:99": "tcp h:99"} {
		transport, to, err := SyslogSettings{Address: addr}.Target()
		if err != nil || transport+" "+to != want {
			t.Errorf("%s: %s %s %v", addr, transport, to, err)
		}
	}
}

func FuzzRedactedIsValidJSON(f *testing.F) {
	f.Add("/a?token=x", "Cookie", "a=b", []byte(`{"password":"x"}`), "x' or 1", 0, 3)
	f.Add("/\xff", "\xff", "\x00", []byte("\xff\x00"), "\xffabc\xfe", 1, 2)
	r := redact.New(nil)
	f.Fuzz(func(t *testing.T, uri, name, value string, body []byte, excerpt string, from, length int) {
		e := &Event{Kind: KindRequest, Method: "GET", Verdict: "deny", URI: uri, Headers: []Field{{name, value}}, Body: body, BodyBytes: int64(len(body)),
			Findings: []check.Finding{{Check: "c", ID: "i", Where: "query:" + name, Excerpt: excerpt, Mark: [2]int{from, length}, Message: value}}}
		c := Redacted(e, r, true)
		line := AppendJSON(nil, c)
		if !json.Valid(line) {
			t.Fatalf("%q", line)
		}
		if m := c.Findings[0].Mark; m[0] < 0 || m[1] < 0 || m[0]+m[1] > len(c.Findings[0].Excerpt) {
			t.Fatalf("mark %v of %q", m, c.Findings[0].Excerpt)
		}
		if _, err := Parse(line); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkRedactAndEncode(b *testing.B) {
	e := examples()[0]
	r := redact.New(nil)
	buf := make([]byte, 0, 4096)
	for b.Loop() {
		buf = AppendJSON(buf[:0], Redacted(e, r, true))
	}
}

func BenchmarkEncode(b *testing.B) {
	e := examples()[0]
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendJSON(buf[:0], e)
	}
}
