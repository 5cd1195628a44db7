package keyed

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// exact is a log of every event: what a window should say.
type exact struct {
	at   []time.Duration
	cost []float64
}

func (x *exact) add(at time.Duration, n float64) {
	x.at, x.cost = append(x.at, at), append(x.cost, n)
}

// between is the cost of events in (from, to].
func (x *exact) between(from, to time.Duration) (sum float64) {
	for i := len(x.at) - 1; i >= 0 && x.at[i] > from; i-- {
		if x.at[i] <= to {
			sum += x.cost[i]
		}
	}
	return sum
}

// arrivals draws the gaps of a random pattern: steady, random, bursts, silence.
func arrivals(t *rapid.T, window time.Duration) []time.Duration {
	var at []time.Duration
	now := time.Duration(rapid.Int64Range(0, int64(window)).Draw(t, "phase"))
	for i, n := 0, rapid.IntRange(1, 12).Draw(t, "episodes"); i < n; i++ {
		count := rapid.IntRange(1, 60).Draw(t, "count")
		gap := window / time.Duration(rapid.IntRange(1, 400).Draw(t, "pace"))
		switch rapid.SampledFrom([]string{"steady", "random", "burst", "silence"}).Draw(t, "pattern") {
		case "steady":
			for range count {
				now += gap
				at = append(at, now)
			}
		case "random":
			for range count {
				now += time.Duration(rapid.Int64Range(0, 2*int64(gap)).Draw(t, "gap"))
				at = append(at, now)
			}
		case "burst":
			for range count {
				at = append(at, now)
			}
		case "silence":
			now += time.Duration(rapid.Int64Range(0, 2*int64(window)).Draw(t, "silence"))
		}
	}
	return at
}

func drawWindow(t *rapid.T) time.Duration {
	return rapid.SampledFrom([]time.Duration{time.Second, 7 * time.Second, time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour, 1234567891}).Draw(t, "window")
}

// The error against an exact log stays below the events of the fifteenth that
// is leaving the window.
func TestCountStaysWithinTheOldestFifteenthOfAnExactLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(100, 1)
		k := s.Key("t", []byte("a"))
		window := drawWindow(t)
		width := time.Duration(partWidth(window))
		tick := time.Duration(tickWidth(window))
		var x exact
		for _, at := range arrivals(t, window) {
			x.add(at, 1)
			got := s.Add(k, start.Add(at), window, 1)
			lo := x.between(at-window+width+tick, at)
			hi := x.between(at-window-width-tick, at)
			if len(x.at) <= logMost {
				lo, hi = x.between(at-window+tick, at), x.between(at-window-tick, at)
			}
			if got < lo-1e-6 || got > hi+1e-6 {
				t.Fatalf("at %v: count %v, an exact log says %v to %v", at, got, lo, hi)
			}
		}
	})
}

// Events that came in one tenth of a part, 1/150 of the window, are counted all
// as long as that tenth lies in the window and not at all once it lies before
// it, whatever came in other parts.
func TestEventsThatCameTogetherLeaveTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(100, 1)
		k := s.Key("t")
		window := drawWindow(t)
		tenth := time.Duration(partWidth(window) / tenths)
		slack := 2*tenth + time.Duration(tickWidth(window))
		var x exact
		at := time.Duration(0)
		for range rapid.IntRange(1, 12).Draw(t, "bursts") {
			// No two bursts in one part.
			at += time.Duration(rapid.Int64Range(2*partWidth(window), int64(window)).Draw(t, "gap"))
			for range rapid.IntRange(1, 900).Draw(t, "size") {
				x.add(at, 1)
				s.Add(k, start.Add(at), window, 1)
			}
			asked := at + time.Duration(rapid.Int64Range(0, partWidth(window)).Draw(t, "later"))
			got := s.Count(k, start.Add(asked), window)
			if lo, hi := x.between(asked-window+slack, asked), x.between(asked-window-slack, asked); got < lo || got > hi {
				t.Fatalf("count %v, an exact log says %v to %v", got, lo, hi)
			}
			at = asked
		}
	})
}

// Whole costs below 1,024 a part are summed exactly, larger ones to half the
// unit a part, far below 1/128 of the sum.
func TestWholeCostsAreSummedExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(100, rapid.Uint64().Draw(t, "seed"))
		k := s.Key("t")
		var want, part, largest float64
		at := time.Duration(0)
		for range rapid.IntRange(1, 2000).Draw(t, "n") {
			if rapid.IntRange(0, 300).Draw(t, "next part") == 0 && at < 12*time.Second {
				at, part = at+time.Duration(rapid.IntRange(1, 2).Draw(t, "parts"))*time.Second, 0
			}
			want++
			part++
			largest = max(largest, part)
			got := s.Add(k, start.Add(at), 15*time.Second, 1)
			if most := want / 128; math.Abs(got-want) > most || (largest < 1024 && got != want) {
				t.Fatalf("%v, want %v", got, want)
			}
		}
	})
}

// While at most 15 events lie in a window the count is that of an exact log.
func TestAFewEventsAreCountedExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(100, 1)
		k := s.Key("t")
		window := drawWindow(t)
		tick := time.Duration(tickWidth(window))
		var x exact
		for _, at := range arrivals(t, window) {
			if x.between(at-window-tick, at) >= logMost {
				continue
			}
			x.add(at, 1)
			s.Add(k, start.Add(at), window, 1)
			later := at + time.Duration(rapid.Int64Range(0, int64(window)/7).Draw(t, "later"))
			got := s.Count(k, start.Add(later), window)
			if lo, hi := x.between(later-window+tick, later), x.between(later-window-tick, later); got < lo || got > hi {
				t.Fatalf("at %v: count %v, exact %v to %v", later, got, lo, hi)
			}
		}
	})
}

// After the time that Take says to wait, the same Take succeeds; shortly
// before it does not.
func TestWaitIsWhenTheNextCallFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(100, 1)
		k := s.Key("t")
		window := drawWindow(t)
		limit := float64(rapid.IntRange(1, 60).Draw(t, "limit"))
		for _, at := range arrivals(t, window) {
			now := start.Add(at)
			_, ok, wait := s.Take(k, now, window, 1, limit)
			if ok {
				continue
			}
			if wait <= 0 || wait > window+window/parts+1000 {
				t.Fatalf("wait %v for a window of %v", wait, window)
			}
			slack := time.Duration(2 * tickWidth(window))
			if c := s.Count(k, now.Add(wait+slack), window); c+1 > limit+1e-6 {
				t.Fatalf("after %v the count is still %v, limit %v", wait+slack, c, limit)
			}
			if before := wait - slack; before > 0 {
				if c := s.Count(k, now.Add(before), window); c+1 <= limit-0.01 {
					t.Fatalf("%v before the wait of %v is over the count is %v, limit %v", slack, wait, c, limit)
				}
			}
		}
	})
}

// Costs of any size are summed right: to the rounding of a 256th of the unit
// each, and half the unit for each part.
func TestCostsOfAnySizeAreSummed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(100, rapid.Uint64().Draw(t, "seed"))
		k := s.Key("t")
		window := time.Minute
		var want float64
		n := rapid.IntRange(1, 40).Draw(t, "n")
		for i := range n {
			c := rapid.OneOf(rapid.Float64Range(0.001, 10), rapid.Float64Range(1, 1e9)).Draw(t, "cost")
			want += c
			got := s.Add(k, start.Add(time.Duration(i)*time.Second), window, c)
			tolerance := want*float64(n)/(1<<14) + float64(n)/(1<<-minUnit)
			if math.Abs(got-want) > tolerance {
				t.Fatalf("after %d: %v, want %v within %v", i+1, got, want, tolerance)
			}
		}
	})
}

func TestWholeCostsPastTenBitsStayNearlyExact(t *testing.T) {
	s := New(10, 1)
	k := s.Key("t")
	var got float64
	for i := range 2_000_000 {
		got = s.Add(k, start.Add(time.Duration(i)*time.Microsecond), time.Minute, 1)
	}
	if math.Abs(got-2e6) > 2e6*0.002 {
		t.Errorf("2,000,000 events are counted as %v", got)
	}
}

func TestWhatWasTakenBackDoesNotCount(t *testing.T) {
	s := New(10, 1)
	k := s.Key("t")
	for i := range 40 {
		now := start.Add(time.Duration(i) * time.Millisecond)
		s.Add(k, now, time.Minute, 1)
		if got := s.Add(k, now, time.Minute, -1); got != float64(i) {
			t.Fatalf("after taking back: %v, want %d", got, i)
		}
		s.Add(k, now, time.Minute, 1)
	}
}

func TestAClockThatWentBackDoesNotLockOut(t *testing.T) {
	s := New(10, 1)
	for _, n := range []int{5, 50} {
		k := s.Key("t", []byte{byte(n)})
		for range n {
			s.Add(k, start, time.Minute, 1)
		}
		if got := s.Add(k, start.Add(-time.Hour), time.Minute, 1); got != 1 {
			t.Errorf("after %d and an hour back: %v, want 1", n, got)
		}
		if got := s.Count(k, start.Add(-time.Hour-time.Millisecond), time.Minute); got != 1 {
			t.Errorf("a moment before the newest event: %v, want 1", got)
		}
	}
}

func TestWindowsOfOneKeyAreApart(t *testing.T) {
	s := New(10, 1)
	k := s.Key("t")
	s.Add(k, start, time.Minute, 3)
	s.Add(k, start, time.Hour, 4)
	if m, h := s.Count(k, start, time.Minute), s.Count(k, start, time.Hour); m != 3 || h != 4 {
		t.Errorf("minute %v, hour %v", m, h)
	}
	if m, h := s.Count(k, start.Add(2*time.Minute), time.Minute), s.Count(k, start.Add(2*time.Minute), time.Hour); m != 0 || h != 4 {
		t.Errorf("two minutes later: minute %v, hour %v", m, h)
	}
}

// twoWindow is the counter that Cloudflare and Kong use: the present fixed
// window, and of the last one the share that a sliding window still covers.
type twoWindow struct {
	window    time.Duration
	start     time.Duration
	prev, cur float64
}

func (w *twoWindow) add(at time.Duration, n float64) float64 {
	begin := at.Truncate(w.window)
	switch {
	case begin == w.start:
	case begin == w.start+w.window:
		w.prev, w.cur = w.cur, 0
	default:
		w.prev, w.cur = 0, 0
	}
	w.start = begin
	w.cur += n
	return w.prev*(1-float64(at-begin)/float64(w.window)) + w.cur
}

// patterns are arrivals over forty windows at about the given number a window.
func patterns(perWindow float64, window time.Duration) map[string][]time.Duration {
	r := rand.New(rand.NewPCG(1, 2))
	end := 40 * window
	poisson := func(rate func(at time.Duration) float64) (out []time.Duration) {
		for at := time.Duration(0); at < end; {
			at += time.Duration(r.ExpFloat64() / (2 * perWindow) * float64(window))
			if r.Float64() < rate(at)/(2*perWindow) {
				out = append(out, at)
			}
		}
		return out
	}
	wave := func(period float64) func(time.Duration) float64 {
		return func(at time.Duration) float64 {
			return perWindow * (1 + math.Sin(2*math.Pi*float64(at)/float64(window)/period))
		}
	}
	onOff := func(at time.Duration) float64 {
		if int(2.5*float64(at)/float64(window))%2 == 0 {
			return 2 * perWindow
		}
		return 0
	}
	var bursts []time.Duration
	for at := time.Duration(0); at < end; at += time.Duration(float64(window) * (0.5 + r.Float64())) {
		for range int(perWindow) {
			bursts = append(bursts, at)
		}
	}
	var spread []time.Duration // each burst over a twentieth of a window
	for _, at := range bursts {
		spread = append(spread, at+time.Duration(r.Float64()*float64(window)/20))
	}
	slices.Sort(spread)
	return map[string][]time.Duration{
		"spread bursts":   spread,
		"random":          poisson(func(time.Duration) float64 { return perWindow }),
		"wave, 3 windows": poisson(wave(3)),
		"on and off":      poisson(onOff),
		"bursts":          bursts,
	}
}

type accuracy struct{ meanError, wrong float64 }

func judge(at []time.Duration, window time.Duration, limit float64, add func(time.Duration) float64) accuracy {
	var a accuracy
	oldest := 0
	for i, t := range at {
		for at[oldest] <= t-window {
			oldest++
		}
		want := float64(i - oldest + 1)
		got := add(t)
		a.meanError += math.Abs(got-want) / want
		if (got > limit) != (want > limit) {
			a.wrong++
		}
	}
	n := float64(len(at))
	return accuracy{a.meanError / n * 100, a.wrong / n * 100}
}

// The table is printed by: go test -run TwoWindow -v ./daemon/keyed
func TestTheWindowIsMoreAccurateThanTheTwoWindowCounter(t *testing.T) {
	const window = time.Minute
	t.Logf("%-16s %8s | %21s | %21s", "pattern", "a window", "two windows", "this store")
	t.Logf("%-16s %8s | %10s %10s | %10s %10s", "", "", "error %", "wrong %", "error %", "wrong %")
	for _, rate := range []float64{10, 100, 1000} {
		for _, name := range []string{"random", "wave, 3 windows", "on and off", "bursts", "spread bursts"} {
			at := patterns(rate, window)[name]
			two := &twoWindow{window: window}
			s := New(10, 1)
			k := s.Key("t")
			theirs := judge(at, window, rate, func(at time.Duration) float64 { return two.add(at, 1) })
			ours := judge(at, window, rate, func(at time.Duration) float64 { return s.Add(k, start.Add(at), window, 1) })
			t.Logf("%-16s %8.0f | %10.3f %10.3f | %10.3f %10.3f", name, rate, theirs.meanError, theirs.wrong, ours.meanError, ours.wrong)
			if ours.meanError >= theirs.meanError || ours.wrong > theirs.wrong {
				t.Errorf("%s at %v a window: error %.3f%% and wrong %.3f%%, the two-window counter %.3f%% and %.3f%%",
					name, rate, ours.meanError, ours.wrong, theirs.meanError, theirs.wrong)
			}
		}
	}
}

// Many sources, most of them far from the limit, as a gateway on the open
// network sees: rates from a Pareto distribution, ten minutes, 100 a minute
// allowed. Printed by: go test -run ManySources -v ./daemon/keyed
func TestManySourcesAreJudgedMoreRightlyThanByTheTwoWindowCounter(t *testing.T) {
	const window, limit = time.Minute, 100
	r := rand.New(rand.NewPCG(3, 4))
	s := New(10_000, 1)
	var theirs, ours accuracy
	var events float64
	for source := range 3000 {
		rate := min(math.Pow(r.Float64(), -1/1.1), 2000) // a minute
		k := s.Key("t", id(source))
		two := &twoWindow{window: window}
		var at []time.Duration
		for now := time.Duration(0); now < 10*window; {
			now += time.Duration(r.ExpFloat64() / rate * float64(window))
			at = append(at, now)
		}
		n := float64(len(at))
		a := judge(at, window, limit, func(at time.Duration) float64 { return two.add(at, 1) })
		b := judge(at, window, limit, func(at time.Duration) float64 { return s.Add(k, start.Add(at), window, 1) })
		theirs.meanError, theirs.wrong = theirs.meanError+n*a.meanError, theirs.wrong+n*a.wrong
		ours.meanError, ours.wrong = ours.meanError+n*b.meanError, ours.wrong+n*b.wrong
		events += n
	}
	t.Logf("%.0f requests of 3000 sources: two windows: error %.3f%%, judged wrongly %.4f%%; this store: %.3f%%, %.4f%%",
		events, theirs.meanError/events, theirs.wrong/events, ours.meanError/events, ours.wrong/events)
	if ours.wrong > theirs.wrong/2 || ours.meanError > theirs.meanError/2 {
		t.Error("not twice as good")
	}
}

func ExampleStore_Take() {
	s := New(1000, 42)
	k := s.Key("login", []byte("192.0.2.7"))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 3 {
		_, ok, wait := s.Take(k, now.Add(time.Duration(i)*10*time.Second), time.Minute, 1, 2)
		fmt.Println(ok, wait.Round(time.Second))
	}
	// Output:
	// true 0s
	// true 0s
	// false 40s
}
