package keyword

import (
	"errors"
	"time"

	"github.com/sallyport/sallyport/daemon/check/signature/pcre"
)

// Stride is how many steps go by between two looks at the clock, some tens of
// microseconds.
const Stride = 4096

// strideTime is the most that one stride counts for. Where more time went by
// the process was not running, which no request is to pay for.
const strideTime = 64 * time.Microsecond

// budget is what all rules together may take on one request, in steps and in
// time.
type budget struct {
	rest    int // steps behind the current stride
	clock   func() time.Duration
	left    time.Duration
	last    time.Duration
	started bool
	out     bool
}

// Start begins to count: steps in all, and time by a clock that only goes
// forward, where there is one. The time of the first stride is not counted, so
// that a request that takes no more costs no look at the clock.
func (e *Env) Start(steps int, clock func() time.Duration, most time.Duration) {
	e.Steps = min(steps, Stride)
	e.Spent = false
	e.budget = budget{rest: steps - e.Steps, clock: clock, left: most}
}

// StartClock has the first stride counted too.
func (e *Env) StartClock() {
	if b := &e.budget; b.clock != nil {
		b.started, b.last = true, b.clock()
	}
}

// Take pays for n steps, and says whether there were as many.
func (e *Env) Take(n int) bool {
	e.Steps -= n
	return e.Steps >= 0 || e.further()
}

// Out says that all steps or all time is used up.
func (e *Env) Out() bool { return e.budget.out }

// further begins as many strides as are needed to pay what is owed.
func (e *Env) further() bool {
	b := &e.budget
	strides := 0
	for e.Steps < 0 && !b.out {
		n := min(b.rest, Stride)
		b.out = n == 0
		b.rest -= n
		e.Steps += n
		strides++
	}
	if b.clock != nil && !b.out {
		now := b.clock()
		if b.started {
			b.left -= min(now-b.last, time.Duration(strides)*strideTime)
			b.out = b.left <= 0
		}
		b.started, b.last = true, now
	}
	if b.out {
		e.Spent = true
		e.Steps = min(e.Steps, -1)
	}
	return !b.out
}

// More hands the next stride to a search.
func (e *Env) More() int {
	e.Steps = -1
	if !e.further() {
		return 0
	}
	n := e.Steps + 1
	e.Steps = 0
	return n
}

// find searches for a regular expression and pays for it. gaveUp says whether
// the last search ended for want of steps.
func (e *Env) find(re *pcre.Regexp, s []byte, from int) (at, end int, ok bool) {
	steps := max(e.Steps, 0)
	e.Steps = 0
	at, end, left, err := re.Find(s, from, steps, e)
	e.Steps += left
	if e.budget.out {
		e.Steps = -1
	}
	e.gaveUp = errors.Is(err, pcre.ErrSteps)
	if e.gaveUp {
		e.Spent = true
		return 0, 0, false
	}
	return at, end, at >= 0
}
