package event

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/daemon/outcome"
)

// Joined is a recorder that also brings events and outcomes together. It
// hands events on, expects an outcome for each that is about a request, and
// records a second event, of KindOutcome, when it comes or is missing.
//
//	joined := event.NewJoined(out.Recorder, inspector.Ended)
//	listener, err := outcome.Listen(path, group, door, joined.Ended)
//	...
//	joined.Close() // after the listener, before the recorder
type Joined struct {
	to   interface{ Record(*Event) }
	tell func(*outcome.Outcome)
	join outcome.Join
	stop chan struct{}
	done chan struct{}
}

// NewJoined hands events to to, and each outcome once to tell: the walk's
// observers. tell fills in Site and Route
// and may be nil.
func NewJoined(to interface{ Record(*Event) }, tell func(*outcome.Outcome)) *Joined {
	j := &Joined{to: to, tell: tell, stop: make(chan struct{}), done: make(chan struct{})}
	j.join.Ended, j.join.Missing = j.ended, j.missing
	go j.tick()
	return j
}

// Record hands e on. It never waits.
func (j *Joined) Record(e *Event) {
	expects := e.ID != "" && e.Method != "" && e.Door != "offline" && e.Kind != KindFailOpen && e.Kind != KindOutcome && e.Kind != KindBypass
	id, denied := e.ID, e.Verdict == "deny"
	j.to.Record(e)
	if expects {
		j.join.Expect(id, denied, time.Now())
	}
}

// Ended takes a finished request from the access log. One that a backend
// answered was not denied, so observers hear of it at once: limits by status
// let in as many more as are under way meanwhile.
func (j *Joined) Ended(o *outcome.Outcome) {
	if answered(o) && j.tell != nil {
		j.tell(o)
	}
	j.join.Finished(o, time.Now())
}

func answered(o *outcome.Outcome) bool { return o.UpstreamAddr != "" }

func (j *Joined) tick() {
	defer close(j.done)
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			j.join.Tick(now)
		case <-j.stop:
			j.join.Flush()
			return
		}
	}
}

func (j *Joined) ended(o *outcome.Outcome, expected bool) {
	if j.tell != nil && !answered(o) {
		j.tell(o)
	}
	if o.FailedOpen {
		j.to.Record(OfFailOpen(o))
		return
	}
	if expected {
		e := ofOutcome(o)
		e.Outcome = o
		j.to.Record(e)
	}
}

func (j *Joined) missing(id string) {
	j.to.Record(&Event{Kind: KindOutcome, Time: time.Now(), ID: id})
}

func ofOutcome(o *outcome.Outcome) *Event {
	e := &Event{
		Kind: KindOutcome, Time: o.Time, ID: o.ID, Protocol: o.Protocol, Method: o.Method, Host: o.Host,
		URI: o.URI[:min(len(o.URI), MaxURI)], Site: o.Site, Route: o.Route,
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if o.Client.IsValid() {
		e.Client = netip.AddrPortFrom(o.Client, 0)
	}
	return e
}

// OfFailOpen is the event of a request that NGINX let pass unjudged.
func OfFailOpen(o *outcome.Outcome) *Event {
	e := ofOutcome(o)
	e.Kind, e.Verdict, e.Outcome = KindFailOpen, "allow", o
	e.Why = "NGINX could not reach the daemon and the location fails open: nothing of this request was judged"
	return e
}

// Close passes on what was held back. What still waits for its outcome is
// left to the next daemon.
func (j *Joined) Close() {
	close(j.stop)
	<-j.done
}
