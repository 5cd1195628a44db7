package limit

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/redistest"
)

// pair is two gateways that share a limit.
func pair(t *testing.T, r *redistest.Redis, limit string) [2]*gate {
	t.Helper()
	var out [2]*gate
	for i := range out {
		c, err := build(`store = { kind = "redis", address = ["unix:`+r.Socket+`"], deadline_ms = 400, sync_ms = 50 }
[[limit]]
name = "shared"
key = ["address"]
`+limit, check.Env{StateDir: t.TempDir(), DoorTimeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.remote.Release)
		out[i] = &gate{Check: c, t: t, state: keyed.New(1000, uint64(i)), id: i << 20}
		for c.remote.Away() {
			time.Sleep(5 * time.Millisecond)
		}
	}
	return out
}

// offer sends calls to a gateway at a pace and notes when calls passed.
func (g *gate) offer(n int, every time.Duration) (passed []time.Time) {
	for range n {
		g.now = time.Now()
		if f := g.ask(a); f == nil {
			passed = append(passed, g.now)
		}
		time.Sleep(every)
	}
	return passed
}

func TestSyncedGatewaysOvershootByWhatOnePeriodLetsThrough(t *testing.T) {
	r := redistest.Start(t)
	const limit = 200
	gates := pair(t, r, fmt.Sprintf("rate = \"%d/1m\"\nshared = \"synced\"", limit))
	var wg sync.WaitGroup
	var passed [2][]time.Time
	for i, g := range gates {
		wg.Go(func() { passed[i] = g.offer(300, 2*time.Millisecond) })
	}
	wg.Wait()
	total := len(passed[0]) + len(passed[1])
	// Each gateway can be behind by what the other let through in a period of
	// 50 ms and a round trip; the busiest 100 ms of each stand for that.
	bound := limit
	for _, p := range passed {
		most := 0
		for i := range p {
			n := 0
			for _, at := range p[i:] {
				if at.Sub(p[i]) <= 100*time.Millisecond {
					n++
				}
			}
			most = max(most, n)
		}
		bound += most
	}
	t.Logf("%d of 600 passed, limit %d, bound %d", total, limit, bound)
	if total > bound || total < limit {
		t.Errorf("%d passed, want %d to %d", total, limit, bound)
	}
}

func TestExactGatewaysDoNotOvershoot(t *testing.T) {
	r := redistest.Start(t)
	gates := pair(t, r, "rate = \"50/1m\"\nshared = \"exact\"")
	var wg sync.WaitGroup
	var passed [2][]time.Time
	for i, g := range gates {
		wg.Go(func() { passed[i] = g.offer(100, time.Millisecond) })
	}
	wg.Wait()
	if total := len(passed[0]) + len(passed[1]); total != 50 {
		t.Errorf("%d passed, want 50", total)
	}
}

// While Redis is away each gateway grants its share of what is left of the
// limit, and when it is back the whole limit holds again.
func TestWithoutRedisEachGatewayGrantsItsShare(t *testing.T) {
	r := redistest.Start(t)
	gates := pair(t, r, "rate = \"40/1m\"\nshared = \"exact\"")
	r.Kill()
	for gates[0].remote.Away() == false || gates[1].remote.Away() == false {
		for _, g := range gates {
			g.now = time.Now()
			g.ask(from("203.0.113.1")) // another key: strikes until Redis counts as away
		}
	}
	for i, g := range gates {
		if got := len(g.offer(60, 0)); got != 20 {
			t.Errorf("gateway %d granted %d without Redis, want half of 40", i, got)
		}
	}
	r.Run()
	for _, g := range gates {
		for g.remote.Away() {
			time.Sleep(5 * time.Millisecond)
		}
	}
	time.Sleep(300 * time.Millisecond) // what was counted meanwhile is told
	for i, g := range gates {
		if got := len(g.offer(10, 0)); got != 0 {
			t.Errorf("gateway %d granted %d more: the 40 granted meanwhile were not told", i, got)
		}
	}
}

func TestAReloadKeepsTheConnection(t *testing.T) {
	r := redistest.Start(t)
	gates := pair(t, r, "rate = \"5/1m\"\nshared = \"exact\"")
	s := Defaults()
	s.Store = gates[0].store
	next, err := New(s, check.Env{StateDir: t.TempDir(), DoorTimeout: time.Second, Old: gates[0].Check})
	if err != nil {
		t.Fatal(err)
	}
	if next.(*Check).remote != gates[0].remote {
		t.Error("equal settings made a new connection")
	}
	next.(*Check).remote.Release()
}
