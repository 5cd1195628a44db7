package event

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/daemon/outcome"
)

// notes is a recorder that keeps what it is given.
type notes struct {
	mu     sync.Mutex
	events []*Event
}

func (n *notes) Record(e *Event) { n.mu.Lock(); defer n.mu.Unlock(); n.events = append(n.events, e) }

func (n *notes) of(kind Kind) (out []*Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.events {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

func TestEachRecordedRequestGetsItsOutcomeAndObserversHearOfAll(t *testing.T) {
	rec := &notes{}
	var mu sync.Mutex
	heard := map[string]bool{}
	j := NewJoined(rec, func(o *outcome.Outcome) {
		mu.Lock()
		defer mu.Unlock()
		o.Route = "all"
		heard[o.ID] = o.Denied
	})
	const n = 400
	var wg sync.WaitGroup
	for part := range 4 {
		wg.Add(2)
		go func() {
			defer wg.Done()
			for i := part; i < n; i += 4 {
				j.Record(refused(fmt.Sprint("r", i)))
			}
		}()
		go func() {
			defer wg.Done()
			for i := part; i < n; i += 4 {
				j.Ended(&outcome.Outcome{ID: fmt.Sprint("r", i), Status: 403, Client: netip.MustParseAddr("192.0.2.1")})
				j.Ended(&outcome.Outcome{ID: fmt.Sprint("clean", i), Status: 200})
			}
		}()
	}
	wg.Wait()
	until(t, "all outcomes", func() bool { mu.Lock(); defer mu.Unlock(); return len(heard) == 2*n })
	j.Close()
	if got := len(rec.of(KindOutcome)); got != n {
		t.Fatalf("%d outcome events, %d were expected", got, n)
	}
	for id, denied := range heard {
		if denied != (id[0] == 'r') {
			t.Fatalf("%s: denied is %v", id, denied)
		}
	}
	if e := rec.of(KindOutcome)[0]; e.Route != "all" || e.Outcome == nil || !e.Outcome.Denied {
		t.Fatalf("%+v", e)
	}
}

func TestWhatFailedOpenIsAnEventWithoutBeingExpected(t *testing.T) {
	rec := &notes{}
	j := NewJoined(rec, nil)
	j.Record(&Event{Kind: KindReload, ID: "x"})
	j.Ended(&outcome.Outcome{ID: "open", Status: 200, FailedOpen: true, Method: "GET", URI: "/"})
	until(t, "the event", func() bool { return len(rec.of(KindFailOpen)) == 1 })
	j.Close()
	if len(rec.of(KindOutcome)) != 0 {
		t.Fatal("an outcome was recorded for what nobody judged")
	}
}
