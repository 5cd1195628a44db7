package main

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// queue is a backend that works on few requests at a time: more of them wait,
// and each takes the longer, as a database does that everybody asks.
type queue struct {
	workers chan struct{}
	cost    time.Duration
	reached atomic.Int64
}

func (q *queue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q.reached.Add(1)
	select {
	case q.workers <- struct{}{}:
		time.Sleep(q.cost)
		<-q.workers
	case <-time.After(2 * time.Second):
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// Printed by: go test -run SlowedByItsOwnLoad -v ./daemon/cmd/sallyport
func TestCriticalRoutesSurviveARealBackendSlowedByItsOwnLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	const bound = 500 * time.Millisecond
	measure := func(shed string) (critical float64, low float64) {
		backend := &queue{workers: make(chan struct{}, 4), cost: 40 * time.Millisecond} // 100 a second
		r := limitRig(t, backend, `
[check.pressure]
shed = `+shed+`
interval_ms = 200
[[site]]
name = "shop"
[[site.route]]
name = "checkout"
path = "/checkout"
priority = "critical"
[[site.route]]
name = "reports"
path = "/reports"
priority = "low"
`)
		var mu sync.Mutex
		ok, all := map[string]float64{}, map[string]float64{}
		var wg sync.WaitGroup
		// offer sends n requests at a pace, whether or not they are answered.
		offer := func(path string, every time.Duration, length time.Duration, count func() bool) {
			for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(every) {
				wg.Go(func() {
					counted := count()
					begin := time.Now()
					s, _ := r.call("192.0.2.1", "GET", path, "")
					if counted {
						mu.Lock()
						all[path]++
						if s == 200 && time.Since(begin) < bound {
							ok[path]++
						}
						mu.Unlock()
					}
				})
			}
		}
		never := func() bool { return false }
		// Quiet: 20 a second, in which normal is learned.
		offer("/checkout", 100*time.Millisecond, 6*time.Second, never)
		offer("/reports", 100*time.Millisecond, 6*time.Second, never)
		wg.Wait()
		// Too much: 20 critical and 160 low a second, in the first three seconds
		// of which pressure is noticed.
		begin := time.Now()
		counted := func() bool { return time.Since(begin) > 3*time.Second }
		var offers sync.WaitGroup
		offers.Go(func() { offer("/checkout", 50*time.Millisecond, 12*time.Second, counted) })
		offers.Go(func() { offer("/reports", 6*time.Millisecond, 12*time.Second, counted) })
		offers.Wait()
		wg.Wait()
		return ok["/checkout"] / all["/checkout"], ok["/reports"] / all["/reports"]
	}
	without, withoutLow := measure("false")
	with, withLow := measure("true")
	t.Logf("answered within %v at 1.8 times the capacity: critical %.1f%% without shedding, %.1f%% with; low %.1f%% without, %.1f%% with",
		bound, 100*without, 100*with, 100*withoutLow, 100*withLow)
	if with < 0.95 {
		t.Errorf("critical routes: %.1f%% with shedding, want 95%% (%.1f%% without)", 100*with, 100*without)
	}
}
