package inspect

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/policy"
	"github.com/sallyport/sallyport/daemon/request"
)

// tiny is a check of a few lines: it notes its calls in a shared diary, and
// does what it was made to do.
type tiny struct {
	name  string
	needs check.Phase
	do    func(v *check.Visit)
	diary *[]string
}

func (c *tiny) Name() string       { return c.name }
func (c *tiny) Needs() check.Phase { return c.needs }
func (c *tiny) Judge(v *check.Visit) {
	*c.diary = append(*c.diary, c.name+map[check.Phase]string{check.Head: " head", check.Body: " body"}[v.Phase])
	if c.do != nil {
		c.do(v)
	}
}

// watching is a tiny check that also observes.
type watching struct {
	tiny
	outcomes []string
}

func (c *watching) Found(v *check.Visit, denied bool) {
	*c.diary = append(*c.diary, map[bool]string{true: "denied", false: "allowed"}[denied])
	for _, f := range v.Findings {
		*c.diary = append(*c.diary, "found "+f.ID)
	}
}

func (c *watching) Ended(o *outcome.Outcome, _ *keyed.Store) {
	c.outcomes = append(c.outcomes, o.Site+"/"+o.Route+" "+o.URI)
}

type recorded struct{ all []*event.Event }

func (r *recorded) Record(e *event.Event) { r.all = append(r.all, e) }

// counted is a Meter that adds up.
type counted struct{ judged, panicked, late []string }

func (m *counted) Judged(r *policy.Route, door string, v *policy.Verdict, _ time.Duration) {
	m.judged = append(m.judged, door)
}
func (m *counted) Panicked(name string) { m.panicked = append(m.panicked, name) }
func (m *counted) Late(door string)     { m.late = append(m.late, door) }

// sources is a ban list, and what it was told.
type sources struct {
	known  request.Source
	banned []time.Duration
}

func (s *sources) Source(netip.Addr, time.Time) request.Source { return s.known }
func (s *sources) Ban(_ netip.Addr, d time.Duration, _ string, _ time.Time) {
	s.banned = append(s.banned, d)
}

// bench is an inspector with everything around it to look at.
type bench struct {
	*Inspector
	diary   []string
	events  recorded
	meter   counted
	sources sources
	route   *policy.Route
	policy  *policy.Policy
}

func newBench(t *testing.T, change func(b *bench) []policy.Slot) *bench {
	t.Helper()
	b := &bench{route: &policy.Route{Site: "s", Name: "r", Mode: policy.Enforce, DenyAt: 80, DenyAtName: "high", MaxInspectBytes: 1000}}
	if err := b.route.Match("", nil); err != nil {
		t.Fatal(err)
	}
	b.policy = &policy.Policy{ID: "p", Sites: []*policy.Site{{Name: "s", Routes: []*policy.Route{b.route}}}}
	slots := change(b)
	b.route.SetChecks(slots)
	for _, s := range slots {
		b.policy.Checks = append(b.policy.Checks, s.Check)
	}
	b.policy.Index()
	b.Inspector = New(b.policy, Options{State: keyed.New(100, 1), Sources: &b.sources, Recorder: &b.events, Meter: &b.meter, GuardBan: time.Minute})
	return b
}

func (b *bench) check(name string, needs check.Phase, do func(*check.Visit)) *tiny {
	return &tiny{name: name, needs: needs, do: do, diary: &b.diary}
}

func on(checks ...check.Check) (slots []policy.Slot) {
	for _, c := range checks {
		slots = append(slots, policy.Slot{Check: c, Mode: policy.Enforce})
	}
	return slots
}

func add(f check.Finding) func(*check.Visit) { return func(v *check.Visit) { v.Add(f) } }

func post(t *testing.T, body string) *request.Request {
	r := request.Get()
	t.Cleanup(r.Release)
	r.ID, r.Method, r.URI, r.Host = []byte("0123456789abcdef0123456789abcdef"), "POST", []byte("/a"), []byte("h")
	r.Client, r.Received = netip.MustParseAddrPort("192.0.2.7:1"), time.Now()
	if body != "" {
		r.Body = request.Body{Present: true, Bytes: []byte(body), Length: int64(len(body))}
	}
	return r
}

// whole leads one request through and ends its walk.
func (b *bench) whole(r *request.Request, door string) policy.Verdict {
	w := b.Begin(r, door)
	v := w.Whole()
	w.End()
	return v
}

func TestChecksAreAskedInTheirOrderAndOnTheirVisitsAlone(t *testing.T) {
	b := newBench(t, func(b *bench) []policy.Slot {
		return append(on(b.check("one", check.Head, nil), b.check("two", check.Body, nil), b.check("three", check.Head|check.Body, nil)),
			policy.Slot{Check: b.check("off", check.Head|check.Body, nil), Mode: policy.Off})
	})
	for body, want := range map[string]string{"x": "one head,three head,two body,three body", "": "one head,three head"} {
		b.diary = nil
		if v := b.whole(post(t, body), Relay); v.Deny || v.Why != "no finding" {
			t.Errorf("%+v", v)
		}
		if got := strings.Join(b.diary, ","); got != want {
			t.Errorf("body %q: asked %s, want %s", body, got, want)
		}
	}
	if len(b.events.all) != 0 {
		t.Errorf("clean requests left %d events", len(b.events.all))
	}
}

func TestADenialOfTheHeadEndsTheWalkBeforeTheBody(t *testing.T) {
	b := newBench(t, func(b *bench) []policy.Slot {
		return on(b.check("one", check.Head, add(check.Finding{Check: "one", ID: "x", Deny: true, Status: 422})), b.check("two", check.Head|check.Body, nil))
	})
	v := b.whole(post(t, "body"), Relay)
	if !v.Deny || v.Status != 422 || strings.Join(b.diary, ",") != "one head,two head" {
		t.Errorf("%+v after %v", v, b.diary)
	}
	if len(b.events.all) != 1 || b.events.all[0].Verdict != "deny" || b.events.all[0].Policy != "p" || b.events.all[0].Route != "r" {
		t.Errorf("events: %+v", b.events.all)
	}
}

func TestWhatNeedsNoCheckAsksNone(t *testing.T) {
	for title, c := range map[string]struct {
		change func(*bench)
		deny   bool
		why    string
	}{
		"a route that is off":      {func(b *bench) { b.route.Mode = policy.Off }, false, "route r is off"},
		"a banned source":          {func(b *bench) { b.sources.known = request.Source{Banned: true, Why: "too many"} }, true, "the source is banned: too many"},
		"a route that wants TLS":   {func(b *bench) { b.route.RequireTLS, b.route.RequireTLSStatus = true, 426 }, true, "requires encryption"},
		"a route with a newer TLS": {func(b *bench) { b.route.RequireTLS, b.route.MinTLS, b.route.RequireTLSStatus = true, "TLSv1.3", 403 }, true, "requires"},
	} {
		b := newBench(t, func(b *bench) []policy.Slot {
			c.change(b)
			return on(b.check("one", check.Head|check.Body, nil))
		})
		if v := b.whole(post(t, "body"), Relay); v.Deny != c.deny || !strings.Contains(v.Why, c.why) || len(b.diary) != 0 {
			t.Errorf("%s: %+v, asked %v", title, v, b.diary)
		}
	}
}

func TestACheckThatPanicsLeavesTheRequestToTheRoutesPolicy(t *testing.T) {
	for _, c := range []struct {
		title  string
		name   string
		phase  check.Phase
		change func(*policy.Route)
		deny   bool
	}{
		{"closed for heads", "one", check.Head, func(r *policy.Route) { r.FailBodies, r.FailLimits = policy.Open, policy.Open }, true},
		{"open for heads", "one", check.Head, func(r *policy.Route) { r.FailMetadata = policy.Open }, false},
		{"closed for bodies", "one", check.Body, func(r *policy.Route) { r.FailMetadata, r.FailLimits = policy.Open, policy.Open }, true},
		{"open for bodies", "one", check.Body, func(r *policy.Route) { r.FailBodies = policy.Open }, false},
		{"limits are open by themselves", "limit", check.Head, func(r *policy.Route) { r.FailLimits = policy.Open }, false},
		{"limits are closed by themselves", "limit", check.Head, func(r *policy.Route) { r.FailMetadata, r.FailBodies = policy.Open, policy.Open }, true},
		{"in detect mode nothing is denied", "one", check.Head, func(r *policy.Route) { r.Mode = policy.Detect }, false},
	} {
		t.Run(c.title, func(t *testing.T) {
			b := newBench(t, func(b *bench) []policy.Slot {
				c.change(b.route)
				return on(b.check(c.name, c.phase, func(*check.Visit) { panic("a flaw") }), b.check("next", c.phase, nil))
			})
			v := b.whole(post(t, "body"), Relay)
			if v.Deny != c.deny || v.Deny && (v.Status != 503 || v.RetryAfter == 0) {
				t.Errorf("%+v", v)
			}
			if len(b.diary) != 2 {
				t.Errorf("the checks after it were not asked: %v", b.diary)
			}
			if len(b.events.all) != 1 || b.events.all[0].Kind != event.KindPanic || !strings.Contains(b.events.all[0].Message, "check "+c.name+" failed: a flaw") {
				t.Errorf("events: %+v", b.events.all)
			}
			if !slices.Equal(b.meter.panicked, []string{c.name}) {
				t.Errorf("counted %v", b.meter.panicked)
			}
		})
	}
}

func TestADenialOfAnotherCheckStandsBesideAPanic(t *testing.T) {
	b := newBench(t, func(b *bench) []policy.Slot {
		b.route.FailMetadata = policy.Open
		return on(b.check("one", check.Head, func(*check.Visit) { panic("a flaw") }),
			b.check("two", check.Head, add(check.Finding{Check: "two", ID: "x", Severity: check.Critical, Status: 451})))
	})
	if v := b.whole(post(t, ""), Relay); !v.Deny || v.Status != 451 {
		t.Errorf("%+v", v)
	}
}

func TestChecksPastTheirTimeAreNotAskedAndTheRoutesPolicyAnswers(t *testing.T) {
	for _, failure := range []policy.Failure{policy.Closed, policy.Open} {
		b := newBench(t, func(b *bench) []policy.Slot {
			b.route.FailMetadata = failure
			return on(b.check("slow", check.Head, nil), b.check("never", check.Head, nil))
		})
		b.HeadBudget = time.Minute
		b.Now = func() time.Time { return time.Now().Add(-time.Hour) } // it began long ago
		w := b.Begin(post(t, ""), Enter)
		v := w.Head(true)
		w.End()
		if v.Deny != (failure == policy.Closed) || strings.Join(b.diary, ",") != "slow head" {
			t.Errorf("%+v, asked %v", v, b.diary)
		}
		if len(b.events.all) != 1 || b.events.all[0].Kind != event.KindLate || !strings.Contains(b.events.all[0].Message, "never and what follows it were not asked") {
			t.Errorf("events: %+v", b.events.all)
		}
		if !slices.Equal(b.meter.late, []string{Enter}) {
			t.Errorf("counted %v", b.meter.late)
		}
	}
}

func TestAnExceptionTakesAFindingAndIsRecorded(t *testing.T) {
	b := newBench(t, func(b *bench) []policy.Slot {
		b.policy.Exceptions = []policy.Exception{
			{Route: "r", Check: "one", ID: "x", Where: "query:*", Reason: "known"},
			{Route: "r", Check: "one", ID: "old", Reason: "was known", Expires: time.Now().Add(-time.Hour)},
		}
		return on(b.check("one", check.Head, func(v *check.Visit) {
			v.Add(check.Finding{Check: "one", ID: "x", Where: "query:q", Deny: true})
			if strings.Contains(string(v.Request.URI), "old") {
				v.Add(check.Finding{Check: "one", ID: "old", Deny: true})
			}
		}))
	})
	v := b.whole(post(t, ""), Relay)
	if v.Deny || len(b.events.all) != 1 || len(b.events.all[0].Excepted) != 1 || b.events.all[0].Excepted[0].Detail != "excepted: known" || len(b.events.all[0].Findings) != 0 {
		t.Fatalf("%+v, events %+v", v, b.events.all)
	}
	r := post(t, "")
	r.URI = []byte("/old")
	if v := b.whole(r, Relay); !v.Deny {
		t.Errorf("an exception that expired still holds: %+v", v)
	}
}

func TestObserversHearTheVerdictOnceAndAfterIt(t *testing.T) {
	var c *watching
	b := newBench(t, func(b *bench) []policy.Slot {
		c = &watching{tiny: *b.check("one", check.Head|check.Body, nil)}
		return on(c, b.check("two", check.Body, add(check.Finding{Check: "two", ID: "x", Deny: true})))
	})
	// ENTER hands on, so that nobody hears of it yet; BODY decides.
	r := post(t, "body")
	w := b.Begin(r, Enter)
	w.Head(false)
	carry := EncodeCarry(w.Carry())
	w.End()
	w = b.Begin(r, Body)
	w.Body(DecodeCarry([]byte(carry)))
	if got := strings.Join(b.diary, ","); got != "one head,one body,two body" {
		t.Fatalf("heard before the end: %s", got)
	}
	w.End()
	if got := strings.Join(b.diary, ","); got != "one head,one body,two body,denied,found x" {
		t.Errorf("heard %s", got)
	}
	b.Ended(&outcome.Outcome{Method: "GET", URI: "/z", Host: "h"})
	if !slices.Equal(c.outcomes, []string{"s/r /z"}) {
		t.Errorf("outcomes: %v", c.outcomes)
	}
}

func TestWhatEnterFoundCountsWithTheBody(t *testing.T) {
	b := newBench(t, func(b *bench) []policy.Slot {
		return on(b.check("one", check.Head, add(check.Finding{Check: "one", ID: "h", Score: 70})), b.check("two", check.Body, add(check.Finding{Check: "two", ID: "b", Score: 70})))
	})
	r := post(t, "body")
	w := b.Begin(r, Enter)
	if v := w.Head(false); v.Deny {
		t.Fatalf("%+v", v)
	}
	carried := DecodeCarry([]byte(EncodeCarry(w.Carry())))
	w.End()
	w = b.Begin(r, Body)
	if v := w.Body(carried); !v.Deny || v.Score != 91 {
		t.Errorf("%+v", v)
	}
	w.End()
	if len(b.events.all) != 1 || len(b.events.all[0].Findings) != 2 {
		t.Errorf("events: %+v", b.events.all)
	}
}

func TestGuardBansTheSourceOfWhatItLetPassAndObserveDeniesNothing(t *testing.T) {
	for door, want := range map[string]int{Guard: 1, Observe: 0} {
		b := newBench(t, func(b *bench) []policy.Slot {
			return on(b.check("one", check.Body, add(check.Finding{Check: "one", ID: "x", Deny: true})))
		})
		b.whole(post(t, "body"), door)
		if len(b.sources.banned) != want || len(b.events.all) != 1 || b.events.all[0].Verdict != "allow" || !b.events.all[0].WouldDeny {
			t.Errorf("%s: bans %v, events %+v", door, b.sources.banned, b.events.all)
		}
	}
}

func TestBreakGlassLowersARouteAndEndsByItself(t *testing.T) {
	b := newBench(t, func(b *bench) []policy.Slot {
		return on(b.check("one", check.Head, add(check.Finding{Check: "one", ID: "x", Deny: true})))
	})
	for _, c := range []struct {
		o    *Override
		deny bool
	}{
		{&Override{Mode: policy.Detect, Until: time.Now().Add(time.Hour), Why: "an alarm"}, false},
		{&Override{Mode: policy.Detect, Route: "r", Until: time.Now().Add(time.Hour)}, false},
		{&Override{Mode: policy.Detect, Route: "other", Until: time.Now().Add(time.Hour)}, true},
		{&Override{Mode: policy.Detect, Until: time.Now().Add(-time.Second)}, true},
		{nil, true},
	} {
		b.SetOverride(c.o)
		if v := b.whole(post(t, ""), Relay); v.Deny != c.deny || !v.Deny && !v.WouldDeny {
			t.Errorf("%+v: %+v", c.o, v)
		}
	}
}

func TestAWalkKeepsThePolicyItBeganWith(t *testing.T) {
	b := newBench(t, func(b *bench) []policy.Slot {
		return on(b.check("one", check.Head, add(check.Finding{Check: "one", ID: "x", Deny: true})))
	})
	w := b.Begin(post(t, ""), Relay)
	b.Apply(newBench(t, func(*bench) []policy.Slot { return nil }).policy)
	if v := w.Whole(); !v.Deny {
		t.Errorf("%+v", v)
	}
	w.End()
	if v := b.whole(post(t, ""), Relay); v.Deny {
		t.Errorf("%+v", v)
	}
}

func TestACutBodyFollowsTheRoute(t *testing.T) {
	for large, want := range map[policy.LargeBody]struct {
		deny bool
		id   string
		seen int
	}{policy.LargeDeny: {true, "body_cut", 4}, policy.LargeInspect: {false, "body_cut", 4}, policy.LargeAllow: {false, "body_uninspected", 0}} {
		seen := -1
		b := newBench(t, func(b *bench) []policy.Slot {
			b.route.LargeBody = large
			return on(b.check("one", check.Body, func(v *check.Visit) { seen = len(v.Request.Body.Bytes) }))
		})
		r := post(t, "body")
		r.Body.Cut, r.Body.Length = true, 9000
		v := b.whole(r, Relay)
		if v.Deny != want.deny || v.Deny && v.Status != 413 || seen != want.seen || len(b.events.all) != 1 || b.events.all[0].Findings[0].ID != want.id {
			t.Errorf("%v: %+v, %d bytes seen, events %+v", large, v, seen, b.events.all)
		}
	}
}
