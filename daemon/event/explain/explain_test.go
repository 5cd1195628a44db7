package explain

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/outcome"
)

var update = flag.Bool("update", false, "write the golden files anew: go test ./daemon/event/explain -update")

func denied() *event.Event {
	return &event.Event{
		Kind: event.KindRequest, Time: time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC), ID: "0123456789abcdef0123456789abcdef",
		Client: netip.MustParseAddrPort("192.0.2.7:40000"), TLSVersion: "TLSv1.3", Protocol: "HTTP/1.1", Method: "POST", Host: "api.example.com",
		URI: "/orders?id=1", Headers: []event.Field{{Name: "Host", Value: "api.example.com"}, {Name: "User-Agent", Value: "x\x1b[2J"}},
		Body: []byte("note=' or 1=1--\r\n"), BodyBytes: 9000, BodyCut: true,
		Site: "api", Route: "orders", Mode: "enforce", Door: "body", Verdict: "deny", Status: 403, Score: 90.6, Policy: "5f2a",
		Why: "score 90.6 reaches high (80) of route orders; most from signature 1:100001", SourceReputation: 20,
		Findings: []check.Finding{
			{Check: "signature", ID: "1:100001", Message: "SQL injection", Where: "form:note", Severity: check.High, Score: 80, Excerpt: "' or 1=1--", Mark: [2]int{0, 8}, Rule: "rules/sqli.rules:12", Tags: []string{"CWE-89"}},
			{Check: "score", ID: "sqli", Message: "reads like SQL", Where: "form:note", Severity: check.Medium, Score: 50, Excerpt: "' or 1=1--"},
		},
		Excepted: []check.Finding{{Check: "schema", ID: "type", Where: "query:id", Score: 20, Detail: "excepted: an old client"}},
	}
}

func TestDecisionsAndRequestsReadAsTheGoldenFilesSay(t *testing.T) {
	ended := &event.Event{Kind: event.KindOutcome, Outcome: &outcome.Outcome{Status: 403, RequestTime: 12 * time.Millisecond}}
	asked := denied()
	asked.Findings[1].Deny, asked.Score, asked.Why = true, 90.6, "score sqli asks for a denial"
	detect := denied()
	detect.Verdict, detect.WouldDeny, detect.Mode, detect.Status = "allow", true, "detect", 0
	detect.Why += "; allowed, for the route is in detect mode"
	low := denied()
	low.Verdict, low.Status, low.Findings, low.Score, low.SourceReputation = "allow", 0, low.Findings[1:], 50, 0
	low.Why = "score 50.0 is below high (80) of route orders"
	banned := denied()
	banned.Findings, banned.Excepted, banned.Score, banned.Why = nil, nil, 100, "the source is banned: 5 denials in a minute"
	for name, c := range map[string]func(b *strings.Builder) error{
		"deny":  func(b *strings.Builder) error { return Decision(b, denied(), ended, nil, Plain) },
		"asked": func(b *strings.Builder) error { return Decision(b, asked, &event.Event{}, nil, Plain) },
		"detect": func(b *strings.Builder) error {
			return Decision(b, detect, nil, []Note{{"protocol", "6 values"}}, Plain)
		},
		"low":     func(b *strings.Builder) error { return Decision(b, low, nil, nil, Plain) },
		"banned":  func(b *strings.Builder) error { return Decision(b, banned, nil, nil, Plain) },
		"request": func(b *strings.Builder) error { return Request(b, denied(), ended, Plain) },
	} {
		var b strings.Builder
		if err := c(&b); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), b.String()); d != "" {
			t.Errorf("%s: %s\nif it is meant: go test ./daemon/event/explain -update", name, d)
		}
		if strings.Contains(b.String(), "\x1b") {
			t.Errorf("%s: a stranger's escape sequence reaches the terminal", name)
		}
	}
}

func TestWhatATerminalWouldObeyIsWrittenOut(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 漢": "plain é 漢", "a\x1b[31mb": `a\x1b[31mb`, "\u202eevil": `\u202eevil`, "x\x9b2J": `x\ufffd2J`, "a\nb\tc": `a\x0ab\x09c`,
	} {
		if got := Visible(in); got != want {
			t.Errorf("%q became %q, %q was expected", in, got, want)
		}
	}
}

func TestOnATerminalTheMatchIsMarkedInTheRequestItself(t *testing.T) {
	var b strings.Builder
	if err := Request(&b, denied(), nil, Terminal); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "note="+Terminal.Mark+"' or 1=1"+Terminal.End+"--") {
		t.Fatalf("%q", b.String())
	}
}
