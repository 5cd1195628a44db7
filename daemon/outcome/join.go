package outcome

import (
	"sync"
	"time"
)

// Times and bounds of a Join. An outcome that comes before its event waits
// holdBack; an event waits Within for its outcome, and is remembered for
// lateWithin after it was marked missing. Past maxWaiting waiting events the
// newest is marked missing at once; past maxEarly held outcomes the newest is
// passed on as it is.
const (
	Within     = 5 * time.Second
	holdBack   = 100 * time.Millisecond
	lateWithin = 10 * time.Minute
	maxWaiting = 1 << 16
	maxEarly   = 1 << 12
)

// Join brings the outcome of a request and what was recorded about it
// together. Both come in either order. It is safe for concurrent use.
type Join struct {
	// Ended is called once for each outcome, with Denied filled in; expected
	// says that the request was recorded.
	Ended func(o *Outcome, expected bool)
	// Missing is called for a recorded request whose outcome did not come
	// Within. Should it come later, Ended is called all the same.
	Missing func(id string)

	mu      sync.Mutex
	waiting map[string]*expectation
	first   []due // of waiting, by time
	late    []due // of those that were marked missing, by time
	early   map[string]Outcome
	held    []due // of early, by time
	ready   []delivery
}

type expectation struct {
	denied, missed bool
}

type due struct {
	id string
	at time.Time
}

// delivery is a call of Ended or, without an outcome, of Missing. Calls are
// made by Finished and Tick alone, outside of the lock: Expect is called where
// a verdict was just given and must return at once.
type delivery struct {
	o        *Outcome
	expected bool
	id       string
}

// Expect says that a request was recorded, and whether it was denied. It may
// be called again for the same request. It calls nothing and never waits.
func (j *Join) Expect(id string, denied bool, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if o, ok := j.early[id]; ok {
		delete(j.early, id)
		o.Denied = o.Denied || denied
		j.ready = append(j.ready, delivery{o: &o, expected: true})
		return
	}
	if x := j.waiting[id]; x != nil {
		x.denied = x.denied || denied
		return
	}
	if len(j.waiting) >= maxWaiting {
		if len(j.ready) < maxWaiting {
			j.ready = append(j.ready, delivery{id: id})
		}
		return
	}
	if j.waiting == nil {
		j.waiting = map[string]*expectation{}
	}
	j.waiting[id] = &expectation{denied: denied}
	j.first = append(j.first, due{id, now.Add(Within)})
}

// Finished says how a request ended. One whose event is not there yet is held
// back until it had time to come.
func (j *Join) Finished(o *Outcome, now time.Time) {
	j.mu.Lock()
	switch x := j.waiting[o.ID]; {
	case x != nil:
		delete(j.waiting, o.ID)
		o.Denied = o.Denied || x.denied
		j.ready = append(j.ready, delivery{o: o, expected: true})
	case len(j.early) >= maxEarly:
		j.ready = append(j.ready, delivery{o: o})
	default:
		if j.early == nil {
			j.early = map[string]Outcome{}
		}
		j.early[o.ID] = *o
		j.held = append(j.held, due{o.ID, now.Add(holdBack)})
	}
	j.mu.Unlock()
	j.deliver()
}

// Tick lets time pass: it is to be called some ten times a second.
func (j *Join) Tick(now time.Time) {
	j.mu.Lock()
	j.release(now)
	for len(j.first) > 0 && !now.Before(j.first[0].at) {
		id := j.first[0].id
		j.first = j.first[1:]
		if x := j.waiting[id]; x != nil && !x.missed {
			x.missed = true
			j.ready = append(j.ready, delivery{id: id})
			j.late = append(j.late, due{id, now.Add(lateWithin)})
		}
	}
	for len(j.late) > 0 && !now.Before(j.late[0].at) {
		delete(j.waiting, j.late[0].id)
		j.late = j.late[1:]
	}
	j.mu.Unlock()
	j.deliver()
}

// release passes on what was held back for long enough.
func (j *Join) release(now time.Time) {
	for len(j.held) > 0 && !now.Before(j.held[0].at) {
		if o, ok := j.early[j.held[0].id]; ok {
			delete(j.early, j.held[0].id)
			j.ready = append(j.ready, delivery{o: &o})
		}
		j.held = j.held[1:]
	}
}

// Flush passes on all that is held back. What still waits for its outcome is
// forgotten: it will come to the next daemon.
func (j *Join) Flush() {
	j.mu.Lock()
	j.release(time.Unix(1<<40, 0))
	clear(j.waiting)
	j.first, j.late = nil, nil
	j.mu.Unlock()
	j.deliver()
}

func (j *Join) deliver() {
	j.mu.Lock()
	ready := j.ready
	j.ready = nil
	j.mu.Unlock()
	for _, d := range ready {
		if d.o != nil {
			j.Ended(d.o, d.expected)
		} else {
			j.Missing(d.id)
		}
	}
}
