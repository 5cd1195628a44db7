package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check/limit"
	"github.com/sallyport/sallyport/daemon/check/reputation"
)

func TestLimitsSourcesAndBansReadWell(t *testing.T) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.Local)
	var out bytes.Buffer
	_ = printLimits(&out, []limit.Row{{Limit: "calls", Key: "192.0.2.1", Count: 101, Amount: 100, Window: "1m", Refused: 3, Last: at}, {Limit: "held", Key: "192.0.2.2", Count: 4, Amount: 4, Last: at}})
	_ = printSources(&out, []reputation.Source{{Address: netip.MustParseAddr("2001:db8::"), Network: "2001:db8::/64", Score: 61.25, Findings: 9, Denied: 8, Last: at,
		Why: []reputation.Reason{{Check: "signature", ID: "1:100001", Times: 8}, {Check: "limit", ID: "calls", Times: 1}}, Ban: &reputation.Ban{Until: at}}})
	_ = printBans(&out, []reputation.Ban{{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Since: at, Until: at.Add(time.Hour), Times: 2, Why: "scanning"}})
	_ = printLimits(&out, nil)
	_ = printSources(&out, nil)
	_ = printBans(&out, nil)
	want := `LIMIT  KEY        COUNT  OF   IN       REFUSED  LAST SEEN
calls  192.0.2.1  101    100  1m       3        12:00:00
held   192.0.2.2  4      4    at once  0        12:00:00
SCORE  SOURCE         FINDINGS  DENIED  LAST SEEN            STANDING                          WHY
61.2   2001:db8::/64  9         8       2026-11-24 12:00:00  banned until 2026-11-24 12:00:00  signature 1:100001 8 times; limit calls 1 times
BANNED        UNTIL                SINCE                BY         TIMES  WHY
192.0.2.0/24  2026-11-24 13:00:00  2026-11-24 12:00:00  sallyport  2      scanning
no client is near a limit
no source has findings against it
nobody is banned
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestWhatAClientChoseCannotBreakATable(t *testing.T) {
	var out bytes.Buffer
	_ = printLimits(&out, []limit.Row{{Limit: "calls", Key: "a\tb\n\x1b[2J\u202ehost", Count: 1, Amount: 1}})
	if got := out.String(); strings.ContainsAny(got, "\x1b\t\u202e") || strings.Count(got, "\n") != 2 || !strings.Contains(got, "a?b??[2J?host") {
		t.Errorf("%q", got)
	}
}

func TestLengthsOfBans(t *testing.T) {
	for text, want := range map[string]time.Duration{"10m": 10 * time.Minute, "7d": 7 * 24 * time.Hour, "1h30m": 90 * time.Minute} {
		if got, err := parseLength(text); err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "-1h", "10ms", "99999d", "d"} {
		if _, err := parseLength(text); err == nil || !strings.Contains(err.Error(), "expected one second to ten years") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
