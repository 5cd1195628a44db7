package pressure

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/daemon/outcome"
)

// How normal is learned: from the first learnFirst outcomes quickly, then at
// 1/learnSlow each, and only while the backend is calm, so that a backend
// that suffers does not become its own normal.
const (
	learnFirst = 50
	learnSlow  = 2000
	floor      = 5 * time.Millisecond // below it differences in time mean nothing
)

// backend is what is known of one site's backend.
type backend struct {
	gauge
	started atomic.Int64 // let in and not ended, about

	mu     sync.Mutex
	from   time.Time // when the present interval began
	routes map[string]*normal

	n       int
	log     float64 // sum of the logarithms of time against normal
	errors  int
	normal5 float64 // the share of 5xx in calm intervals
	flight  float64 // requests under way in calm intervals
	known   int     // calm intervals learned from
}

// normal is how long a route's answers take in quiet times, as a mean of
// logarithms: one answer in a hundred that takes a minute does not move it.
type normal struct {
	log float64
	n   int
}

// begin ends the present interval if its time is over, and judges it.
func (b *backend) begin(now time.Time, c *Check) {
	b.mu.Lock()
	defer b.mu.Unlock()
	past := now.Sub(b.from)
	if past < c.interval && past > -c.interval {
		return
	}
	if b.from.IsZero() || past < 0 {
		b.from = now
		return
	}
	under := float64(b.started.Load())
	enough := b.n >= c.s.MinRequests
	slow, bad := 1.0, 0.0
	if b.n > 0 {
		slow, bad = math.Exp(b.log/float64(b.n)), float64(b.errors)/float64(b.n)
	}
	// A backend that answers nothing at all is told by what piles up.
	piled := b.known >= 10 && under > 4*b.flight+float64(10*c.s.MinRequests)
	suffers := enough && (slow > c.s.SlowFactor || bad > b.normal5+c.s.ErrorShare) || piled
	calm := !piled && (!enough || slow < c.s.CalmFactor && bad < b.normal5+c.s.ErrorShare/2)
	b.step(suffers, calm, c)
	if calm && enough && b.level() == 0 {
		b.known++
		rate := max(1/float64(b.known), 0.01)
		b.normal5 += rate * (bad - b.normal5)
		b.flight += rate * (under - b.flight)
	}
	b.from, b.n, b.log, b.errors = now, 0, 0, 0
	// Outcomes that were lost must not look like requests under way for ever.
	b.started.Add(-int64(under * 0.02))
}

func (b *backend) ended(o *outcome.Outcome, c *Check) {
	if b.started.Add(-1) < 0 {
		b.started.Store(0)
	}
	took := o.UpstreamTime
	if o.UpstreamAddr == "" && o.UpstreamStatus == 0 && took == 0 {
		return // no backend was asked
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.routes[o.Route]
	if r == nil {
		name := o.Route
		if len(b.routes) >= maxRoutes {
			name = ""
		}
		if r = b.routes[name]; r == nil {
			r = &normal{}
			b.routes[name] = r
		}
	}
	log := math.Log(float64(max(took, floor)))
	bad := o.Status >= 500 && o.Status != 501 && o.Status != 505
	base := r.log
	switch {
	case c.s.NormalMS > 0:
		base = math.Log(max(c.s.NormalMS*float64(time.Millisecond), float64(floor)))
	case r.n < learnFirst:
		r.n++
		r.log += (log - r.log) / float64(r.n)
		base = log // too early to tell
	case b.level() == 0 && !bad && log-r.log < math.Log(c.s.CalmFactor):
		r.log += (log - r.log) / learnSlow
	}
	b.n++
	b.log += max(log-base, 0)
	if bad {
		b.errors++
	}
}
