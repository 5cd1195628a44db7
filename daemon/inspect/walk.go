package inspect

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/policy"
	"github.com/sallyport/sallyport/daemon/request"
)

// Doors a walk can begin at.
const (
	Enter   = "enter"
	Body    = "body"
	Leave   = "leave"
	Relay   = "relay"
	Guard   = "guard"   // a body judged after its request was let pass
	Observe = "observe" // judged beside the request, never denied
	Offline = "offline"
)

// Walk is one visit of a request: judged, answered, then ended. It belongs to
// one goroutine.
type Walk struct {
	i       *Inspector
	policy  *policy.Policy
	route   *policy.Route
	door    string
	started time.Time
	at      policy.Moment
	visit   check.Visit
	verdict policy.Verdict
	// excepted gathers what exceptions took on each decision of the walk.
	excepted []check.Finding
	more     bool // another visit of this request follows
	silent   bool // nothing is recorded and nobody is told
	failed   *failure
}

type failure struct {
	kind  event.Kind
	check string
	how   policy.Failure
	text  string
}

var walks = sync.Pool{New: func() any { return new(Walk) }}

// Begin starts a walk: it resolves the client, finds the route and attaches
// the source.
func (i *Inspector) Begin(r *request.Request, door string) *Walk {
	w := walks.Get().(*Walk)
	w.i, w.policy, w.door = i, i.current.Load(), door
	w.started = r.Received
	if i.Now != nil {
		w.started = i.Now()
	}
	peer := r.Client.Addr()
	resolveClient(r, w.policy.Trusted)
	i.keepSource(r, peer, w.started)
	w.route = w.policy.Route(r)
	w.at = i.moment(w.route, w.started)
	if door == Observe {
		w.at.Ceiling, w.at.CeilingWhy = min(w.at.Ceiling, policy.Detect), "the location only observes"
	}
	if i.Sources != nil {
		r.Source = i.Sources.Source(r.Client.Addr(), w.started)
	}
	w.visit = check.Visit{
		Request: r, Now: w.started, Site: w.route.Site, Route: w.route.Name, Priority: w.route.Priority, Token: w.route.Token,
		State: i.State, Stateless: i.Stateless, Findings: w.visit.Findings[:0],
	}
	return w
}

// Route is the route the request is on.
func (w *Walk) Route() *policy.Route { return w.route }

// Explain has checks say what they looked at.
func (w *Walk) Explain(f func(check, note string)) { w.visit.Explain = f }

// Head judges the request line and headers. last says that no body follows.
func (w *Walk) Head(last bool) policy.Verdict {
	w.more = !last
	w.visit.Last = last
	if w.canary(false) {
		return w.verdict
	}
	if v, ok := w.policy.Before(w.route, w.visit.Request, w.at); ok {
		w.verdict = v
		if v.Deny || !v.WouldDeny {
			w.more = w.more && !v.Deny
			return v
		}
	}
	before := w.verdict
	w.run(w.route.Head, check.Head)
	w.decide()
	if before.WouldDeny && !w.verdict.Deny {
		// Detect mode: a list or TLS would have refused it before any check.
		before.Kept, before.Excepted = w.verdict.Kept, w.verdict.Excepted
		w.verdict = before
	}
	w.more = w.more && !w.verdict.Deny
	return w.verdict
}

// Body judges the body, with the findings its head was let pass with.
func (w *Walk) Body(carried []check.Finding) policy.Verdict {
	w.more = false
	w.visit.Last = true
	if w.canary(true) {
		return w.verdict
	}
	if v, ok := w.policy.Before(w.route, w.visit.Request, w.at); ok && !v.WouldDeny {
		w.verdict = v
		return v
	}
	w.visit.Findings = append(w.visit.Findings, carried...)
	w.bounds()
	w.run(w.route.Body, check.Body)
	w.decide()
	return w.verdict
}

// canary denies a request that holds one, in every mode, and leaves no other
// trace: it is ours.
func (w *Walk) canary(body bool) bool {
	if w.i.Canaries == nil {
		return false
	}
	where := w.i.Canaries.Look(w.visit.Request, w.door, body)
	if where == "" {
		return false
	}
	w.more, w.silent = false, true
	w.verdict = policy.Verdict{Deny: true, Status: 403, Score: 100, Mode: w.at.Ceiling, Why: "a canary of sallyport prove stands in the " + where, Unanswered: where == "away"}
	return true
}

// Whole judges a request of which everything is here.
func (w *Walk) Whole() policy.Verdict {
	r := w.visit.Request
	if v := w.Head(!r.Body.Present); v.Deny || !r.Body.Present {
		return v
	}
	return w.Body(nil)
}

// bounds says what became of a body past its bound.
func (w *Walk) bounds() {
	b := &w.visit.Request.Body
	if !b.Cut {
		return
	}
	f := check.Finding{
		Check: "bounds", ID: "body_cut", Where: "body", Severity: check.Info,
		Message: fmt.Sprintf("only the first %d of %d bytes of the body were inspected", len(b.Bytes), b.Length),
	}
	switch w.route.LargeBody {
	case policy.LargeDeny:
		f.Severity, f.Deny, f.Status = check.High, true, 413
		f.Message = fmt.Sprintf("the body of %d bytes is past what can be inspected (%d bytes held)", b.Length, len(b.Bytes))
	case policy.LargeAllow:
		f.ID, f.Message = "body_uninspected", fmt.Sprintf("the body of %d bytes is past the inspection bound and was not inspected", b.Length)
		b.Bytes = b.Bytes[:0]
	}
	w.visit.Add(f)
}

func (w *Walk) decide() {
	w.verdict = w.policy.Decide(w.route, w.visit.Request, w.visit.Findings, w.at)
	w.visit.Findings = w.verdict.Kept
	w.excepted = append(w.excepted, w.verdict.Excepted...)
	if w.failed != nil && !w.verdict.Deny {
		kept := w.verdict.Kept
		score := w.verdict.Score
		w.verdict = w.route.Fail(w.failed.how, w.failed.text, w.at)
		w.verdict.Kept, w.verdict.Score = kept, score
	}
}

// run calls the checks in order. A check that panics, or the time running
// out, leaves the rest to the route's failure policy.
func (w *Walk) run(checks []check.Check, phase check.Phase) {
	w.visit.Phase = phase
	budget := w.i.BodyBudget
	if w.door == Enter {
		budget = w.i.HeadBudget
	}
	for n, c := range checks {
		if n > 0 && budget > 0 && time.Since(w.started) > budget {
			w.fail(event.KindLate, c.Name(), phase, fmt.Sprintf("the checks took more than %v; %s and what follows it were not asked", budget, c.Name()))
			if w.i.Meter != nil {
				w.i.Meter.Late(w.door)
			}
			return
		}
		w.ask(c, phase)
	}
}

func (w *Walk) ask(c check.Check, phase check.Phase) {
	defer func() {
		if p := recover(); p != nil {
			w.fail(event.KindPanic, c.Name(), phase, fmt.Sprintf("check %s failed: %v\n%s", c.Name(), p, debug.Stack()))
			if w.i.Meter != nil {
				w.i.Meter.Panicked(c.Name())
			}
		}
	}()
	c.Judge(&w.visit)
}

func (w *Walk) fail(kind event.Kind, name string, phase check.Phase, text string) {
	how := w.route.FailMetadata
	switch {
	case name == "limit":
		how = w.route.FailLimits
	case phase == check.Body:
		how = w.route.FailBodies
	}
	if w.failed == nil || how == policy.Closed {
		w.failed = &failure{kind, name, how, text}
	}
}

// Fail gives the verdict that the route's failure policy holds for a request
// that cannot be judged, and records why.
func (w *Walk) Fail(kind event.Kind, how policy.Failure, text string) policy.Verdict {
	w.failed = &failure{kind: kind, how: how, text: text}
	w.verdict = w.route.Fail(how, text, w.at)
	w.more = false
	return w.verdict
}

// Carry is what the next visit must know of this one, for Body to take.
func (w *Walk) Carry() []check.Finding {
	if !w.more {
		return nil
	}
	return w.visit.Findings
}

// End records the walk and tells the observers, after the answer went out.
// The walk must not be used afterwards; the request is the caller's.
func (w *Walk) End() {
	took := time.Duration(0)
	if !w.i.Stateless {
		took = time.Since(w.started)
	}
	if w.i.Meter != nil {
		w.i.Meter.Judged(w.route, w.door, &w.verdict, took)
	}
	w.verdict.Excepted = w.excepted
	if !w.more && !w.silent {
		w.punish()
		w.tell()
		if w.worthRecording() {
			w.record(took)
		}
	}
	clear(w.visit.Findings)
	*w = Walk{visit: check.Visit{Findings: w.visit.Findings[:0]}}
	walks.Put(w)
}

// Verdict is what was decided last.
func (w *Walk) Verdict() *policy.Verdict { return &w.verdict }

// Findings are the findings that counted.
func (w *Walk) Findings() []check.Finding { return w.visit.Findings }

func (w *Walk) punish() {
	v := &w.verdict
	ban := v.Ban
	if w.door == Guard && v.Deny {
		// The request is past the door: its denial can only meet the next one.
		ban = max(ban, w.i.GuardBan)
		v.Deny, v.WouldDeny = false, true
		v.Why += "; too late for this request, in mode guard: the source is banned"
	}
	if ban > 0 && v.Mode == policy.Enforce && w.i.Sources != nil {
		w.i.Sources.Ban(w.visit.Request.Client.Addr(), ban, v.Why, w.at.Now)
	}
}

func (w *Walk) tell() {
	for _, c := range w.policy.Checks {
		if ob, ok := c.(check.FindingObserver); ok {
			ob.Found(&w.visit, w.verdict.Deny)
		}
	}
	if ob, ok := w.i.Sources.(check.FindingObserver); ok {
		ob.Found(&w.visit, w.verdict.Deny)
	}
}

func (w *Walk) worthRecording() bool {
	return w.i.Recorder != nil && (w.route.EveryRequest || w.verdict.Deny || w.verdict.WouldDeny ||
		w.failed != nil || len(w.visit.Findings) > 0 || len(w.excepted) > 0)
}

func (w *Walk) record(took time.Duration) {
	e := event.OfRequest(w.visit.Request)
	e.Site, e.Route, e.Mode, e.Door = w.route.Site, w.route.Name, w.verdict.Mode.String(), w.door
	e.Verdict = "allow"
	if w.verdict.Deny {
		e.Verdict = "deny"
	}
	e.WouldDeny, e.Status, e.Score, e.Why = w.verdict.WouldDeny, w.verdict.Status, w.verdict.Score, w.verdict.Why
	e.Findings = append(e.Findings, w.visit.Findings...)
	e.Excepted = append(e.Excepted, w.excepted...)
	e.Dropped = w.visit.Dropped
	e.Policy, e.Duration = w.policy.ID, took
	if w.failed != nil {
		e.Kind, e.Message = w.failed.kind, w.failed.text
	}
	w.i.Recorder.Record(e)
}

// Moment is when, and under which override, the walk's decisions are made.
func (w *Walk) Moment() policy.Moment { return w.at }
