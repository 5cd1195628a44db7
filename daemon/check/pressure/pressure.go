// Package pressure sheds load before a backend, or the daemon itself, breaks
// under it: routes of low priority first, then normal ones, gradually, never
// critical ones.
//
// A site's backend is judged by the outcomes of its requests, against its own
// normal: how long each route's answers took in quiet times, and how many were
// 5xx. Every interval the level of pressure, 0 to 1, goes up a step if the
// backend suffers, down a smaller one after a time of calm, and stays where
// it is between the two: the bounds of suffering and calm lie apart, so that
// it does not flap.
//
//	level      0 ......... 0.5 ......... 1
//	low        none shed   all shed      all shed
//	normal     none shed   none shed     95% shed
//	critical   none shed   none shed     none shed
package pressure

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/outcome"
)

// Name is the check's name.
const Name = "pressure"

// Bounds. Past maxSites all further sites share one level; past maxRoutes
// a site's further routes share one normal.
const (
	maxSites  = 1024
	maxRoutes = 1024
)

// Settings are the table [check.pressure].
type Settings struct {
	// Shed has requests refused under pressure. Without it pressure is measured alone.
	Shed bool `toml:"shed"`
	// SlowFactor is how many times slower than normal answers are on average
	// when the backend suffers.
	SlowFactor float64 `toml:"slow_factor"`
	// ErrorShare is the share of 5xx answers above normal, 0 to 1, at which it suffers.
	ErrorShare float64 `toml:"error_share"`
	// CalmFactor is how many times slower than normal answers may be for calm.
	CalmFactor float64 `toml:"calm_factor"`
	// IntervalMS is how often the level is set, in milliseconds.
	IntervalMS int `toml:"interval_ms"`
	// Rise is the step up of the level in an interval of suffering, and Fall
	// the step down in one of calm.
	Rise float64 `toml:"rise"`
	// Fall is the step down of the level in an interval of calm.
	Fall float64 `toml:"fall"`
	// CalmSeconds is how long calm must last before the level goes down, in seconds.
	CalmSeconds float64 `toml:"calm_seconds"`
	// MinRequests is how many outcomes an interval needs to say anything.
	MinRequests int `toml:"min_requests"`
	// NormalMS is what a route's answers take in quiet times, in milliseconds; 0 learns it.
	NormalMS float64 `toml:"normal_ms"`
	// CPUShare is the share of all CPUs that the daemon may use, 0 to 1, past
	// which it is itself overloaded; 0 never is.
	CPUShare float64 `toml:"cpu_share"`
	// HeldShare is the share of server.max_held past which it is overloaded.
	HeldShare float64 `toml:"held_share"`
}

// Defaults are the settings where none are given.
func Defaults() Settings {
	return Settings{SlowFactor: 4, ErrorShare: 0.1, CalmFactor: 2, IntervalMS: 500, Rise: 0.1, Fall: 0.02, CalmSeconds: 3, MinRequests: 10, CPUShare: 0.9, HeldShare: 0.8}
}

// Check sheds.
type Check struct {
	s        Settings
	interval time.Duration
	m        *memory
	turn     atomic.Uint64
}

// memory is what survives a reload.
type memory struct {
	mu    sync.Mutex
	sites atomic.Pointer[map[string]*backend]
	own   own
	held  atomic.Pointer[func() float64]
}

// New builds the check. Errors are *check.SettingError.
func New(s Settings, env check.Env) (check.Check, error) {
	for _, x := range []struct {
		key      string
		v        float64
		min, max float64
	}{
		{"slow_factor", s.SlowFactor, 1.1, 1000},
		{"calm_factor", s.CalmFactor, 1, s.SlowFactor},
		{"error_share", s.ErrorShare, 0.001, 1},
		{"interval_ms", float64(s.IntervalMS), 50, 60000},
		{"rise", s.Rise, 0.001, 1},
		{"fall", s.Fall, 0.0001, 1},
		{"calm_seconds", s.CalmSeconds, 0, 3600},
		{"min_requests", float64(s.MinRequests), 1, 1e6},
		{"normal_ms", s.NormalMS, 0, 3.6e6},
		{"cpu_share", s.CPUShare, 0, 1},
		{"held_share", s.HeldShare, 0.01, 1},
	} {
		if !(x.v >= x.min && x.v <= x.max) {
			return nil, &check.SettingError{Key: x.key, Err: fmt.Errorf("is %v, expected %v to %v", x.v, x.min, x.max)}
		}
	}
	c := &Check{s: s, interval: time.Duration(s.IntervalMS) * time.Millisecond, m: &memory{own: own{cpu: processTime}}}
	if old, ok := env.Old.(*Check); ok {
		c.m = old.m
	} else {
		c.m.sites.Store(&map[string]*backend{})
	}
	return c, nil
}

// Name is "pressure".
func (c *Check) Name() string { return Name }

// Needs is the head alone.
func (c *Check) Needs() check.Phase { return check.Head }

// WatchHeld has the check ask how full the table of held requests is, 0 to 1.
func (c *Check) WatchHeld(full func() float64) { c.m.held.Store(&full) }

// Judge lets a request in, or sheds it by its route's priority.
func (c *Check) Judge(v *check.Visit) {
	if v.Phase != check.Head || v.Stateless {
		return
	}
	b := c.backend(v.Site)
	b.begin(v.Now, c)
	c.m.own.look(v.Now, c)
	level, own := b.level(), c.m.own.level()
	share := 0.0
	if c.s.Shed {
		share = shed(v.Priority, max(level, own))
	}
	if share == 0 {
		b.started.Add(1)
		return
	}
	// Multiples of the golden ratio spread evenly: of any few requests in a
	// row the wanted share is shed, not by luck of the draw.
	n := c.turn.Add(1)
	if float64((n*0x9E3779B97F4A7C15)>>11)/(1<<53) >= share {
		b.started.Add(1)
		return
	}
	who := "the backend of site " + v.Site
	if own > level {
		level, who = own, "the daemon itself"
	}
	v.Add(check.Finding{
		Check: Name, ID: "shed", Severity: check.Info, Deny: true, Status: 503,
		Message:    fmt.Sprintf("%s is under pressure (level %.2f): %.0f%% of requests to routes of priority %s are shed", who, level, 100*share, priority(v.Priority)),
		RetryAfter: time.Duration(1+int(9*level)+int(n%3)) * time.Second,
	})
}

func priority(p string) string {
	if p == "" {
		return "normal"
	}
	return p
}

// shed is the share of a priority's requests to shed at a level.
func shed(priority string, level float64) float64 {
	switch priority {
	case "critical":
		return 0
	case "low":
		return min(1, 2*level)
	}
	return min(0.95, max(0, 2*level-1))
}

// Ended learns how a request went.
func (c *Check) Ended(o *outcome.Outcome, _ *keyed.Store) {
	b := c.backend(o.Site)
	b.begin(o.Time, c)
	if o.Denied {
		return
	}
	b.ended(o, c)
}

// Level is the pressure on a site's backend, and on the daemon itself.
func (c *Check) Level(site string) (backend, own float64) {
	return c.backend(site).level(), c.m.own.level()
}

func (c *Check) backend(site string) *backend {
	if b := (*c.m.sites.Load())[site]; b != nil {
		return b
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	old := *c.m.sites.Load()
	if len(old) >= maxSites {
		site = ""
	}
	if b := old[site]; b != nil {
		return b
	}
	fresh := make(map[string]*backend, len(old)+1)
	for k, v := range old {
		fresh[k] = v
	}
	b := &backend{routes: map[string]*normal{}}
	fresh[site] = b
	c.m.sites.Store(&fresh)
	return b
}

// gauge is a level with its rise, fall and calm.
type gauge struct {
	bits atomic.Uint64
	calm time.Duration
}

func (g *gauge) level() float64 { return math.Float64frombits(g.bits.Load()) }

// step moves the level at the end of an interval.
func (g *gauge) step(suffers, calm bool, c *Check) {
	l := g.level()
	switch {
	case suffers:
		l, g.calm = min(1, l+c.s.Rise), 0
	case calm:
		if g.calm += c.interval; g.calm.Seconds() >= c.s.CalmSeconds {
			l = max(0, l-c.s.Fall)
		}
	default:
		g.calm = 0
	}
	g.bits.Store(math.Float64bits(l))
}

// own watches the daemon's own CPU and table of held requests.
type own struct {
	gauge
	next atomic.Int64
	used time.Duration
	at   time.Time
	// cpu reads the CPU time used until a moment, and the moment.
	cpu func() (used time.Duration, at time.Time)
}

func (o *own) look(now time.Time, c *Check) {
	next := o.next.Load()
	if now.UnixNano() < next || !o.next.CompareAndSwap(next, now.Add(c.interval).UnixNano()) {
		return
	}
	suffers := false
	if full := c.m.held.Load(); full != nil && (*full)() > c.s.HeldShare {
		suffers = true
	}
	used, at := o.cpu()
	if c.s.CPUShare > 0 && !o.at.IsZero() {
		// The CPUs that the daemon may use, which a control group may bound.
		elapsed := float64(at.Sub(o.at)) * float64(runtime.GOMAXPROCS(0))
		suffers = suffers || elapsed > 0 && float64(used-o.used) > c.s.CPUShare*elapsed
	}
	o.used, o.at = used, at
	o.step(suffers, !suffers, c)
}

// processTime is the CPU time that this process used until now.
func processTime() (used time.Duration, at time.Time) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		used = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return used, time.Now()
}
