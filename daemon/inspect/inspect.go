// Package inspect leads a request through the checks to the policy's verdict,
// and tells whoever listens what happened. It holds the one pointer to the
// policy: a walk loads it once, so a request is judged under one policy even
// while another is being put in its place.
package inspect

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/policy"
	"github.com/sallyport/sallyport/daemon/request"
)

// Sources knows what clients did before and keeps the ban list.
type Sources interface {
	Source(addr netip.Addr, now time.Time) request.Source
	Ban(addr netip.Addr, d time.Duration, why string, now time.Time)
}

// Recorder takes events. It must not block and owns the event from then on.
type Recorder interface{ Record(*event.Event) }

// Meter counts what the walk does.
type Meter interface {
	Judged(route *policy.Route, door string, v *policy.Verdict, took time.Duration)
	Panicked(check string)
	Late(door string)
}

// Canaries knows the harmless attacks that prove what is inspected.
type Canaries interface {
	// Look says where in r one stands, "" when there is none, and "away" for one
	// that no door is to answer.
	Look(r *request.Request, door string, body bool) string
}

// Options are the parts an Inspector works with. Every field but State may be nil.
type Options struct {
	State    *keyed.Store
	Sources  Sources
	Recorder Recorder
	Meter    Meter
	Canaries Canaries
	// Stateless judges each request as if it stood alone, for offline use.
	Stateless bool
	// HeadBudget and BodyBudget are how long the checks of one visit may take,
	// at ENTER and at the doors that see bodies, before the route's failure
	// policy answers; 0 sets no bound.
	HeadBudget, BodyBudget time.Duration
	// GuardBan is how long a source is refused after a body that mode guard
	// let pass was found hostile.
	GuardBan time.Duration
	// Now is the clock; nil takes the time a request was received.
	Now func() time.Time
}

// Inspector judges requests. It is safe for concurrent use.
type Inspector struct {
	Options
	current  atomic.Pointer[policy.Policy]
	override atomic.Pointer[Override]
}

// Override lowers the mode of all routes, or of one, until a time: break glass.
type Override struct {
	Mode  policy.Mode
	Route string // empty for all
	Until time.Time
	Why   string
}

// New makes an inspector that judges by p.
func New(p *policy.Policy, o Options) *Inspector {
	i := &Inspector{Options: o}
	i.current.Store(p)
	return i
}

// Policy is the policy in force.
func (i *Inspector) Policy() *policy.Policy { return i.current.Load() }

// Apply puts p in force. Walks under way finish under the policy they began with.
func (i *Inspector) Apply(p *policy.Policy) { i.current.Store(p) }

// SetOverride puts an override in force; nil ends it.
func (i *Inspector) SetOverride(o *Override) { i.override.Store(o) }

// Override is the override in force at a time, or nil.
func (i *Inspector) Override(now time.Time) *Override {
	if o := i.override.Load(); o != nil && now.Before(o.Until) {
		return o
	}
	return nil
}

func (i *Inspector) moment(route *policy.Route, now time.Time) policy.Moment {
	at := policy.Moment{Now: now, Ceiling: policy.Enforce}
	if o := i.Override(now); o != nil && (o.Route == "" || o.Route == route.Name) {
		at.Ceiling, at.CeilingWhy = o.Mode, o.Why
	}
	return at
}

// Ended tells every observer how a request ended. Site, route and the client
// behind a trusted proxy are filled in.
func (i *Inspector) Ended(o *outcome.Outcome) {
	p := i.current.Load()
	i.resolveEnded(o, p)
	r := request.Get()
	defer r.Release()
	r.Method, r.URI, r.Host = o.Method, []byte(o.URI), []byte(o.Host)
	route := p.Route(r)
	o.Site, o.Route = route.Site, route.Name
	for _, c := range p.Checks {
		if ob, ok := c.(check.OutcomeObserver); ok {
			ob.Ended(o, i.State)
		}
	}
	if ob, ok := i.Sources.(check.OutcomeObserver); ok {
		ob.Ended(o, i.State)
	}
}

// Event records an event that is not about one request's judgement.
func (i *Inspector) Event(e *event.Event) {
	if i.Recorder != nil {
		i.Recorder.Record(e)
	}
}
