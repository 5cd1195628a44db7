package pressure

import (
	"container/heap"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/request"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func newCheck(t *testing.T, change func(*Settings)) *Check {
	t.Helper()
	s := Defaults()
	s.Shed = true
	s.CPUShare = 0 // the machine under test has its own load
	if change != nil {
		change(&s)
	}
	c, err := New(s, check.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Check)
}

func (c *Check) letIn(priority string, now time.Time) (finding *check.Finding) {
	v := &check.Visit{Request: &request.Request{}, Phase: check.Head, Now: now, Site: "s", Route: priority, Priority: priority}
	c.Judge(v)
	if len(v.Findings) > 0 {
		return &v.Findings[0]
	}
	return nil
}

func (c *Check) hear(priority string, now time.Time, took time.Duration, status int) {
	c.Ended(&outcome.Outcome{Time: now, Site: "s", Route: priority, Status: status, UpstreamTime: took, UpstreamStatus: status, UpstreamAddr: "b"}, nil)
}

// run sends each priority's requests for a time to a backend that takes took
// and answers status, and counts what was shed.
func (c *Check) run(now *time.Time, length time.Duration, took time.Duration, status int) map[string]float64 {
	shed, n := map[string]float64{}, 0.0
	for end := now.Add(length); now.Before(end); *now = now.Add(5 * time.Millisecond) {
		n++
		for _, p := range []string{"critical", "normal", "low"} {
			if c.letIn(p, *now) != nil {
				shed[p]++
			} else {
				c.hear(p, *now, took, status)
			}
		}
	}
	for p := range shed {
		shed[p] /= n
	}
	return shed
}

func TestAQuietBackendShedsNothing(t *testing.T) {
	c := newCheck(t, nil)
	now := start
	if shed := c.run(&now, 30*time.Second, 20*time.Millisecond, 200); len(shed) != 0 {
		t.Errorf("shed %v", shed)
	}
}

func TestASlowBackendShedsLowFirstThenNormalNeverCritical(t *testing.T) {
	for name, trouble := range map[string]struct {
		took   time.Duration
		status int
	}{"slow": {200 * time.Millisecond, 200}, "failing": {20 * time.Millisecond, 502}} {
		c := newCheck(t, nil)
		now := start
		c.run(&now, 30*time.Second, 20*time.Millisecond, 200)
		first := c.run(&now, 2*time.Second, trouble.took, trouble.status)
		if first["low"] == 0 || first["low"] > 0.9 || first["normal"] != 0 || first["critical"] != 0 {
			t.Errorf("%s, at first: %v", name, first)
		}
		c.run(&now, 3*time.Second, trouble.took, trouble.status)
		later := c.run(&now, 2*time.Second, trouble.took, trouble.status)
		if later["low"] < 0.99 || later["normal"] < 0.5 || later["critical"] != 0 {
			t.Errorf("%s, later: %v", name, later)
		}
		c.run(&now, 60*time.Second, 20*time.Millisecond, 200)
		if shed := c.run(&now, 5*time.Second, 20*time.Millisecond, 200); len(shed) != 0 {
			t.Errorf("%s, a minute after it recovered: %v", name, shed)
		}
	}
}

func TestBetweenSufferingAndCalmTheLevelStays(t *testing.T) {
	c := newCheck(t, nil)
	now := start
	c.run(&now, 30*time.Second, 20*time.Millisecond, 200)
	c.run(&now, 2*time.Second, 200*time.Millisecond, 200)
	before, _ := c.Level("s")
	c.run(&now, 30*time.Second, 60*time.Millisecond, 200) // three times normal
	if after, _ := c.Level("s"); after != before && after != before+c.s.Rise {
		t.Errorf("level %v became %v", before, after)
	}
}

func TestARefusalSaysWhenAndWhy(t *testing.T) {
	c := newCheck(t, nil)
	now := start
	c.run(&now, 30*time.Second, 20*time.Millisecond, 200)
	c.run(&now, 10*time.Second, 300*time.Millisecond, 200)
	f := c.letIn("low", now)
	if f == nil || f.Status != 503 || !f.Deny || f.RetryAfter < time.Second || f.RetryAfter > 15*time.Second || f.Score != 0 ||
		!strings.Contains(f.Message, "the backend of site s is under pressure") {
		t.Errorf("%+v", f)
	}
}

func TestABackendThatAnswersNothingIsNoticed(t *testing.T) {
	c := newCheck(t, nil)
	now := start
	c.run(&now, 30*time.Second, 20*time.Millisecond, 200)
	for range 2000 { // ten seconds without an outcome
		now = now.Add(5 * time.Millisecond)
		c.letIn("critical", now)
	}
	if level, _ := c.Level("s"); level < 0.3 {
		t.Errorf("level %v", level)
	}
}

func TestNothingIsShedUnlessAskedFor(t *testing.T) {
	c := newCheck(t, func(s *Settings) { s.Shed = false })
	now := start
	c.run(&now, 30*time.Second, 20*time.Millisecond, 200)
	c.run(&now, 10*time.Second, 300*time.Millisecond, 200)
	if level, _ := c.Level("s"); level < 0.9 || c.letIn("low", now) != nil {
		t.Errorf("level %v, low let in: %v", level, c.letIn("low", now) == nil)
	}
}

func TestSitesArePressedApart(t *testing.T) {
	c := newCheck(t, nil)
	now := start
	c.run(&now, 30*time.Second, 20*time.Millisecond, 200)
	c.run(&now, 10*time.Second, 300*time.Millisecond, 200)
	if level, _ := c.Level("other"); level != 0 {
		t.Errorf("level of another site %v", level)
	}
}

func TestAFullTableOfHeldRequestsSheds(t *testing.T) {
	c := newCheck(t, nil)
	full := 0.5
	c.WatchHeld(func() float64 { return full })
	now := start
	if shed := c.run(&now, 5*time.Second, 20*time.Millisecond, 200); len(shed) != 0 {
		t.Errorf("half full: %v", shed)
	}
	full = 0.9
	c.run(&now, 5*time.Second, 20*time.Millisecond, 200)
	if shed := c.run(&now, 2*time.Second, 20*time.Millisecond, 200); shed["low"] < 0.9 || shed["critical"] != 0 {
		t.Errorf("nearly full: %v", shed)
	}
	if f := c.letIn("low", now); f == nil || !strings.Contains(f.Message, "the daemon itself") {
		t.Errorf("%+v", f)
	}
}

// The CPU time is the test's own: 80% of all CPUs is under the bound of 0.9,
// 95% is past it, and below it again the level goes down step by step.
func TestADaemonShortOfCPUSheds(t *testing.T) {
	c := newCheck(t, func(s *Settings) { s.CPUShare = 0.9 })
	share, used, at := 0.8, time.Duration(0), start
	c.m.own.cpu = func() (time.Duration, time.Time) {
		used += time.Duration(share * float64(c.interval) * float64(runtime.GOMAXPROCS(0)))
		at = at.Add(c.interval)
		return used, at
	}
	now := start
	if shed := c.run(&now, 5*time.Second, 20*time.Millisecond, 200); len(shed) != 0 {
		t.Errorf("below cpu_share: %v", shed)
	}
	share = 0.95
	c.run(&now, 5*time.Second, 20*time.Millisecond, 200)
	if shed := c.run(&now, 2*time.Second, 20*time.Millisecond, 200); shed["low"] < 0.9 || shed["normal"] < 0.8 || shed["critical"] != 0 {
		t.Errorf("past cpu_share: %v", shed)
	}
	if f := c.letIn("low", now); f == nil || f.Status != 503 || !strings.Contains(f.Message, "the daemon itself") {
		t.Errorf("%+v", f)
	}
	share = 0.8
	_, high := c.Level("s")
	c.run(&now, 6*time.Second, 20*time.Millisecond, 200)
	if _, own := c.Level("s"); own >= high || own == 0 {
		t.Errorf("six seconds of calm: level %v, before %v, want a gradual fall", own, high)
	}
	c.run(&now, 40*time.Second, 20*time.Millisecond, 200)
	if _, own := c.Level("s"); own != 0 {
		t.Errorf("after calm: level %v", own)
	}
}

// The same with a process that is really busy: this one.
func TestABusyProcessNoticesItself(t *testing.T) {
	c := newCheck(t, func(s *Settings) { s.CPUShare, s.IntervalMS = 0.01, 50 })
	now, sink := start, 0
	for used, _ := processTime(); ; now = now.Add(time.Second) {
		c.letIn("low", now)
		if _, own := c.Level("s"); own > 0 {
			return
		}
		for i := range 20_000_000 {
			sink += i * i
		}
		if spent, _ := processTime(); spent-used > 20*time.Second {
			t.Fatal("20 seconds of CPU time went unnoticed", sink)
		}
	}
}

func TestTheLevelSurvivesAReload(t *testing.T) {
	c := newCheck(t, nil)
	now := start
	c.run(&now, 30*time.Second, 20*time.Millisecond, 200)
	c.run(&now, 10*time.Second, 300*time.Millisecond, 200)
	next, err := New(Defaults(), check.Env{Old: c})
	if err != nil {
		t.Fatal(err)
	}
	if level, _ := next.(*Check).Level("s"); level < 0.9 {
		t.Errorf("level %v", level)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	for key, change := range map[string]func(*Settings){
		"slow_factor": func(s *Settings) { s.SlowFactor = 1 }, "calm_factor": func(s *Settings) { s.CalmFactor = 5 },
		"interval_ms": func(s *Settings) { s.IntervalMS = 1 }, "cpu_share": func(s *Settings) { s.CPUShare = 2 },
	} {
		s := Defaults()
		change(&s)
		if _, err := New(s, check.Env{}); err == nil || !strings.HasPrefix(err.Error(), key+": ") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestJudgeAllocatesNothingInQuietTimes(t *testing.T) {
	c := newCheck(t, nil)
	v := &check.Visit{Request: &request.Request{}, Phase: check.Head, Now: start, Site: "s", Route: "r"}
	o := &outcome.Outcome{Time: start, Site: "s", Route: "r", Status: 200, UpstreamTime: time.Millisecond, UpstreamAddr: "b"}
	c.Judge(v)
	c.Ended(o, nil)
	if n := testing.AllocsPerRun(1000, func() { c.Judge(v); c.Ended(o, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// server is a backend with a fixed number of workers and an endless queue.
type server struct {
	free []time.Time // when each worker is free
}

func (s *server) serve(now time.Time, cost time.Duration) (done time.Time) {
	best := 0
	for i := range s.free {
		if s.free[i].Before(s.free[best]) {
			best = i
		}
	}
	begin := now
	if s.free[best].After(now) {
		begin = s.free[best]
	}
	s.free[best] = begin.Add(cost)
	return s.free[best]
}

type end struct {
	at       time.Time
	took     time.Duration
	priority string
}
type ends []end

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(end)) }
func (e *ends) Pop() any          { o := *e; x := o[len(o)-1]; *e = o[:len(o)-1]; return x }

// overload offers a backend of ten workers, 50 ms a request, 200 a second, first
// half of that and then twice as much, and returns the share of critical and
// low requests that were answered within a second while there was too much.
func overload(c *Check) (critical, low float64) {
	r := rand.New(rand.NewPCG(1, 2))
	s := &server{free: make([]time.Time, 10)}
	now := start
	var under ends
	ok, all := map[string]float64{}, map[string]float64{}
	for now.Before(start.Add(120 * time.Second)) {
		rate := 100.0
		busy := now.After(start.Add(30 * time.Second))
		if busy {
			rate = 400
		}
		now = now.Add(time.Duration(r.ExpFloat64() / rate * float64(time.Second)))
		for len(under) > 0 && !under[0].at.After(now) {
			e := heap.Pop(&under).(end)
			if c != nil {
				status := 200
				if e.took > time.Second {
					status = 504
				}
				c.hear(e.priority, e.at, min(e.took, time.Second), status)
			}
		}
		priority := []string{"critical", "low", "low", "low"}[r.IntN(4)]
		if busy {
			all[priority]++
		}
		if c != nil && c.letIn(priority, now) != nil {
			continue
		}
		done := s.serve(now, time.Duration((0.5+r.Float64())*50)*time.Millisecond)
		took := done.Sub(now)
		at := done
		if took > time.Second {
			at = now.Add(time.Second) // NGINX gives up
		} else if busy {
			ok[priority]++
		}
		heap.Push(&under, end{at, took, priority})
	}
	return ok["critical"] / all["critical"], ok["low"] / all["low"]
}

// Printed by: go test -run Critical -v ./daemon/check/pressure
func TestCriticalRoutesSurviveABackendSlowedByItsOwnLoad(t *testing.T) {
	without, withoutLow := overload(nil)
	with, withLow := overload(newCheck(t, nil))
	t.Logf("answered within a second at twice the capacity: critical %.1f%% without, %.1f%% with shedding; low %.1f%% without, %.1f%% with",
		100*without, 100*with, 100*withoutLow, 100*withLow)
	if with < 0.95 || without > 0.5 {
		t.Errorf("critical %v with, %v without", with, without)
	}
	if withLow == 0 {
		t.Error("no low request was let in at all")
	}
}
