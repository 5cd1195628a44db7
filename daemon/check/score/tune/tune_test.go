package tune

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/sallyport/sallyport/daemon/check"
)

func events(clients int, reputation float64, more ...check.Finding) (out []Event) {
	for i := range clients * 3 {
		out = append(out, Event{
			Time: time.Date(2024, 5, 1, 0, i, 0, 0, time.UTC), Client: netip.AddrFrom4([4]byte{192, 0, 2, byte(i % clients)}),
			Site: "shop", Route: "cms", Method: "POST", Path: []byte("/cms/pages/17"), Denied: true, Reputation: reputation,
			Findings: append([]check.Finding{{Check: "score", ID: "xss", Where: "form:body", Score: 91, Message: "looks like cross-site scripting",
				Excerpt: "<p onclick=\"x()\">\n\"\"\""}}, more...),
		})
	}
	return out
}

func TestOnlyWhatManyGoodClientsRunIntoIsALikelyFalseAlarm(t *testing.T) {
	signature := check.Finding{Check: "signature", ID: "1:5", Where: "form:body", Score: 80}
	for name, c := range map[string]struct {
		events []Event
		likely bool
	}{
		"many good clients":          {events(12, 0), true},
		"few clients":                {events(3, 0), false},
		"clients of bad reputation":  {events(12, 60), false},
		"something else found there": {events(12, 0, signature), false},
	} {
		got := Groups(c.events, Defaults())
		if len(got) == 0 || got[0].Likely != c.likely {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestAProposalIsTOMLThatSaysWhatItLetsThrough(t *testing.T) {
	o := Defaults()
	o.Now = time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC)
	g := Groups(events(12, 0), o)
	text := g[0].TOML(o)
	var got struct {
		Exception []struct {
			Site, Route, Check, ID, Where, Reason string
			Expires                               time.Time
		}
	}
	if _, err := toml.Decode(text, &got); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if len(got.Exception) != 1 || got.Exception[0].Where != "form:body" || got.Exception[0].ID != "xss" || got.Exception[0].Reason == "" {
		t.Fatalf("got %+v", got)
	}
	if !strings.Contains(text, "let through 36 denied requests") {
		t.Fatalf("no word of what it lets through in\n%s", text)
	}
}
