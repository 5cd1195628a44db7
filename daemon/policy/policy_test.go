package policy

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gaissmai/bart"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/request"
)

type named struct{ name string }

func (n named) Name() string     { return n.name }
func (named) Needs() check.Phase { return check.Head }
func (named) Judge(*check.Visit) {}

func f(name string, score float64) check.Finding {
	return check.Finding{Check: name, ID: "x", Where: "query:q", Score: score}
}

func deny(name string, score float64) check.Finding {
	out := f(name, score)
	out.Deny, out.Status = true, 422
	return out
}

var now = time.Unix(1_700_000_000, 0)

func testRoute(mode Mode) *Route {
	r := &Route{Site: "s", Name: "r", Mode: mode, DenyAt: 80, DenyAtName: "high"}
	_ = r.Match("", nil)
	r.SetChecks([]Slot{{named{"a"}, Enforce}, {named{"b"}, Enforce}, {named{"idle"}, Detect}})
	return r
}

func TestFindingsBecomeAVerdict(t *testing.T) {
	for _, c := range []struct {
		title      string
		mode       Mode
		ceiling    Mode
		findings   []check.Finding
		reputation float64
		deny       bool
		would      bool
		score      float64
		status     int
	}{
		{title: "nothing found", mode: Enforce, ceiling: Enforce},
		{title: "one high score denies", mode: Enforce, ceiling: Enforce, findings: []check.Finding{f("a", 80)}, deny: true, score: 80, status: 403},
		{title: "one below does not", mode: Enforce, ceiling: Enforce, findings: []check.Finding{f("a", 79)}, score: 79},
		{title: "many of one check are one opinion", mode: Enforce, ceiling: Enforce, findings: []check.Finding{f("a", 50), f("a", 50), f("a", 50)}, score: 50},
		{title: "two checks add up", mode: Enforce, ceiling: Enforce, findings: []check.Finding{f("a", 60), f("b", 60)}, deny: true, score: 84, status: 403},
		{title: "an oddity adds nothing", mode: Enforce, ceiling: Enforce, findings: []check.Finding{f("a", 77), f("b", 20)}, score: 77},
		{title: "a bad reputation takes part of the rest", mode: Enforce, ceiling: Enforce, findings: []check.Finding{f("a", 75)}, reputation: 100, deny: true, score: 82.5, status: 403},
		{title: "a bad reputation alone denies nothing", mode: Enforce, ceiling: Enforce, reputation: 100},
		{title: "a finding that asks for it denies", mode: Enforce, ceiling: Enforce, findings: []check.Finding{deny("a", 20)}, deny: true, score: 20, status: 422},
		{title: "a check in detect mode denies nothing", mode: Enforce, ceiling: Enforce, findings: []check.Finding{deny("idle", 95)}, would: true},
		{title: "a route in detect mode denies nothing", mode: Detect, ceiling: Enforce, findings: []check.Finding{f("a", 95)}, would: true, score: 95, status: 403},
		{title: "break glass denies nothing", mode: Enforce, ceiling: Detect, findings: []check.Finding{f("a", 95)}, would: true, score: 95, status: 403},
	} {
		t.Run(c.title, func(t *testing.T) {
			r := request.Get()
			defer r.Release()
			r.Source.Reputation = c.reputation
			v := (&Policy{}).Decide(testRoute(c.mode), r, c.findings, Moment{Now: now, Ceiling: c.ceiling})
			if v.Deny != c.deny || v.WouldDeny != c.would || v.Score != c.score || v.Status != c.status || v.Why == "" {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestAnExceptionTakesJustWhatItNames(t *testing.T) {
	for _, c := range []struct {
		e    Exception
		took bool
	}{
		{Exception{Check: "a"}, true}, {Exception{Check: "b"}, false}, {Exception{Check: "a", ID: "x"}, true}, {Exception{Check: "a", ID: "y"}, false},
		{Exception{Check: "a", Where: "query:q"}, true}, {Exception{Check: "a", Where: "query:*"}, true}, {Exception{Check: "a", Where: "form:*"}, false},
		{Exception{Check: "a", Route: "r"}, true}, {Exception{Check: "a", Route: "other"}, false}, {Exception{Check: "a", Site: "other"}, false},
		{Exception{Check: "a", Expires: now.Add(time.Hour)}, true}, {Exception{Check: "a", Expires: now.Add(-time.Hour)}, false},
	} {
		r := request.Get()
		c.e.Reason = "known"
		v := (&Policy{Exceptions: []Exception{c.e}}).Decide(testRoute(Enforce), r, []check.Finding{f("a", 90)}, Moment{Now: now, Ceiling: Enforce})
		if v.Deny == c.took || len(v.Excepted) == 1 != c.took {
			t.Errorf("%+v: %+v", c.e, v)
		}
		r.Release()
	}
}

func TestListsBansAndEncryptionDecideBeforeAnyCheck(t *testing.T) {
	list := new(bart.Lite)
	list.Insert(netip.MustParsePrefix("192.0.2.0/24"))
	for _, c := range []struct {
		title  string
		change func(*Route, *request.Request)
		ok     bool
		status int
	}{
		{"nothing", func(*Route, *request.Request) {}, false, 0},
		{"off", func(r *Route, _ *request.Request) { r.Mode = Off }, true, 0},
		{"allowed", func(r *Route, _ *request.Request) { r.Allow, r.Deny = list, list }, true, 0},
		{"denied", func(r *Route, _ *request.Request) { r.Deny = list }, true, 403},
		{"banned", func(_ *Route, q *request.Request) { q.Source.Banned = true }, true, 403},
		{"plain text", func(r *Route, _ *request.Request) { r.RequireTLS, r.RequireTLSStatus = true, 426 }, true, 426},
		{"old TLS", func(r *Route, q *request.Request) { r.RequireTLS, r.MinTLS, q.TLS.Version = true, "TLSv1.2", "TLSv1.1" }, true, 403},
		{"new TLS", func(r *Route, q *request.Request) { r.RequireTLS, r.MinTLS, q.TLS.Version = true, "TLSv1.2", "TLSv1.3" }, false, 0},
	} {
		t.Run(c.title, func(t *testing.T) {
			route, r := testRoute(Enforce), request.Get()
			defer r.Release()
			r.Client = netip.MustParseAddrPort("192.0.2.7:1")
			c.change(route, r)
			v, ok := (&Policy{}).Before(route, r, Moment{Now: now, Ceiling: Enforce})
			if ok != c.ok || v.Status != c.status || v.Deny != (c.status != 0) {
				t.Errorf("%v %+v", ok, v)
			}
		})
	}
}

func TestPathPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"", "/x", true}, {"/**", "/", true}, {"/a", "/a", true}, {"/a", "/a/", false}, {"/a/", "/a/", true}, {"/a/", "/a", false},
		{"/u/{id}", "/u/7", true}, {"/u/{id}", "/u/", false}, {"/u/{id}", "/u/7/x", false}, {"/u/{id}/**", "/u/7/x/y", true}, {"/u/**", "/u", true}, {"/u/**", "/ux", false}, {"/", "/", true}, {"/", "/a", false},
	} {
		p, err := parsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.match([]byte(c.path)); got != c.want {
			t.Errorf("%s on %s: %v", c.pattern, c.path, got)
		}
	}
	for _, bad := range []string{"/{a}-{b}", "/{}}", "x", "/a*", "/**/a", "/a//b", "/{a"} {
		if _, err := parsePattern(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
