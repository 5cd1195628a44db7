package event

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// gate is a sink that can be held shut or made to fail.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // a write waits until it is closed; nil when open
	err  error
	got  []string
}

func (g *gate) Name() string { return "gate" }
func (g *gate) Write(es []Entry) (int, error) {
	g.mu.Lock()
	shut, err := g.shut, g.err
	g.mu.Unlock()
	if shut != nil {
		<-shut
	}
	if err != nil {
		return 0, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range es {
		g.got = append(g.got, e.Event.ID)
	}
	return len(es), nil
}
func (g *gate) Close() error { return nil }
func (g *gate) set(f func()) { g.mu.Lock(); defer g.mu.Unlock(); f() }
func (g *gate) count() int   { g.mu.Lock(); defer g.mu.Unlock(); return len(g.got) }

func balanced(t *testing.T, s Stats) {
	t.Helper()
	for _, k := range s.Sinks {
		if s.Recorded != s.Lost+k.Written+k.Dropped+uint64(k.Queued) {
			t.Fatalf("%d recorded, but %d lost + %d written + %d dropped + %d queued", s.Recorded, s.Lost, k.Written, k.Dropped, k.Queued)
		}
	}
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain for " + what)
		}
	}
}

func refused(id string) *Event {
	return &Event{Kind: KindRequest, ID: id, Method: "GET", URI: "/", Verdict: "deny", Status: 403}
}

func TestAStalledSinkLosesExactlyWhatItsQueueCannotHoldAndTheOtherNothing(t *testing.T) {
	stalled, well := &gate{shut: make(chan struct{})}, &gate{}
	r := NewRecorder(RecorderOptions{Queue: 64, Sinks: []Sink{stalled, well}})
	const n = 5000
	for range n {
		r.Record(refused("x"))
		if s := r.Stats(); s.Waiting+s.Sinks[1].Queued > 32 {
			until(t, "the well sink", func() bool { s := r.Stats(); return s.Waiting+s.Sinks[1].Queued == 0 })
		}
	}
	until(t, "the well sink", func() bool { return well.count() >= n })
	s := r.Stats()
	balanced(t, s)
	if s.Sinks[0].Dropped < n-64-maxBatch-1 || s.Sinks[0].Written != 0 || s.Sinks[1].Dropped != 0 {
		t.Fatalf("%+v", s)
	}
	held := s.Sinks[0].Queued
	close(stalled.shut)
	stalled.set(func() { stalled.shut = nil })
	until(t, "the stalled sink", func() bool { return r.Stats().Sinks[0].Queued == 0 })
	if got := stalled.count(); got < held {
		t.Fatalf("%d of %d held events were written", got, held)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	balanced(t, r.Stats())
}

func TestASinkThatFailsIsOfferedTheSameEventsAgainInOrder(t *testing.T) {
	g := &gate{err: errors.New("no space left on device")}
	var mu sync.Mutex
	var states []string
	r := NewRecorder(RecorderOptions{Queue: 64, Sinks: []Sink{g}, OnState: func(sink string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			states = append(states, sink+" failed")
		} else {
			states = append(states, sink+" works")
		}
	}})
	for _, id := range []string{"a", "b", "c"} {
		r.Record(refused(id))
	}
	until(t, "the trouble", func() bool { return r.Stats().Sinks[0].Trouble != "" })
	g.set(func() { g.err = nil })
	until(t, "all events", func() bool { return g.count() >= 5 })
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(g.got[:3], ""); got != "abc" {
		t.Fatalf("order %q", got)
	}
	if got := strings.Join(states, ", "); got != "gate failed, gate works" {
		t.Fatalf("states %q", got)
	}
	balanced(t, r.Stats())
}

func TestCloseGivesUpOnASinkThatNeverComesBackAndCountsTheRest(t *testing.T) {
	g := &gate{shut: make(chan struct{})}
	defer close(g.shut)
	r := NewRecorder(RecorderOptions{Queue: 64, Sinks: []Sink{g}})
	for range 20 {
		r.Record(refused("x"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.Close(ctx); err == nil || !strings.Contains(err.Error(), "20 events were not written") {
		t.Fatal(err)
	}
	r.Record(refused("late"))
	s := r.Stats()
	if s.Recorded != 21 || s.Lost != 1 || s.Sinks[0].Dropped != 20 || s.Sinks[0].Queued != 0 {
		t.Fatalf("%+v", s)
	}
}

func TestTheMemoryOfEventsOnTheirWayIsBounded(t *testing.T) {
	g := &gate{shut: make(chan struct{})}
	r := NewRecorder(RecorderOptions{Queue: 1 << 16, QueueBytes: 1 << 20, Sinks: []Sink{g}})
	for range 1000 {
		e := refused("x")
		e.Body = make([]byte, MaxBody)
		r.Record(e)
	}
	if n := r.bytes.Load(); n > 1<<20 || n < 1<<19 {
		t.Fatalf("%d bytes are held", n)
	}
	if s := r.Stats(); s.Lost < 800 {
		t.Fatalf("%d were refused", s.Lost)
	}
	close(g.shut)
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := r.bytes.Load(); n != 0 {
		t.Fatalf("%d bytes were not given back", n)
	}
	balanced(t, r.Stats())
}

func TestRecordIsSafeBesideClose(t *testing.T) {
	g := &gate{}
	r := NewRecorder(RecorderOptions{Queue: 64, Sinks: []Sink{g}})
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 2000 {
				r.Record(refused("x"))
			}
		}()
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if s := r.Stats(); s.Recorded != 8000 || s.Lost+s.Sinks[0].Written+s.Sinks[0].Dropped+uint64(s.Waiting) != 8000 {
		t.Fatalf("%+v", s)
	}
}

// Record's own cost, beside a sink that works and one that is stalled: the
// two figures are the "verdict latency unchanged".
func BenchmarkRecord(b *testing.B) {
	for name, shut := range map[string]chan struct{}{"sink works": nil, "sink stalled": make(chan struct{})} {
		b.Run(name, func(b *testing.B) {
			g := &gate{shut: shut}
			r := NewRecorder(RecorderOptions{Queue: 4096, Sinks: []Sink{g}})
			e := examples()[0]
			for b.Loop() {
				c := *e
				r.Record(&c)
			}
			if shut != nil {
				close(shut)
			}
			_ = r.Close(context.Background())
		})
	}
}
