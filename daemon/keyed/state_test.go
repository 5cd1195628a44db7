package keyed

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBitsAreForgottenAfterTheirTime(t *testing.T) {
	s := New(10, 1)
	k := s.Key("t")
	s.SetBits(k, start, 1500*time.Millisecond, 0, 0b101)
	s.SetBits(k, start, 1500*time.Millisecond, 0b001, 0b010)
	if got := s.Bits(k, start.Add(1499*time.Millisecond)); got != 0b110 {
		t.Errorf("bits %b", got)
	}
	if got := s.Bits(k, start.Add(1500*time.Millisecond)); got != 0 {
		t.Errorf("bits %b after their time", got)
	}
	if got := s.SetBits(k, start.Add(1500*time.Millisecond), time.Second, 0, 1); got != 1 {
		t.Errorf("set anew: %b", got)
	}
}

func TestPaceLetsABurstThroughAndThenOneEachInterval(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(10, 1)
		k := s.Key("t")
		interval := time.Duration(rapid.Int64Range(1000, int64(time.Second)).Draw(t, "interval"))
		burst := rapid.IntRange(1, 20).Draw(t, "burst")
		var passed []time.Duration
		at := time.Duration(0)
		for range 100 {
			at += time.Duration(rapid.Int64Range(0, 2*int64(interval)).Draw(t, "gap"))
			ok, wait := s.Pace(k, start.Add(at), interval, float64(burst), 1)
			if ok {
				passed = append(passed, at)
				continue
			}
			if ok, _ := New(10, 1).Pace(k, start, interval, float64(burst), 1); !ok {
				t.Fatal("the first call was refused")
			}
			if wait <= 0 || wait > interval {
				t.Fatalf("wait %v for an interval of %v", wait, interval)
			}
		}
		for i := range passed {
			for j := i; j < len(passed); j++ {
				if most := float64(burst) + float64(passed[j]-passed[i])/float64(interval); float64(j-i+1) > most+1e-6 {
					t.Fatalf("%d calls in %v, at most %v expected", j-i+1, passed[j]-passed[i], most)
				}
			}
		}
	})
}

func TestWhatIsHeldStaysWithinItsLimit(t *testing.T) {
	s := New(10, 1)
	k := s.Key("t")
	var tokens []Held
	for i := range 5 {
		token, _, ok := s.Hold(k, start, time.Minute, 3)
		if ok != (i < 3) {
			t.Errorf("hold %d: %v", i+1, ok)
		}
		if ok {
			tokens = append(tokens, token)
		}
	}
	s.Release(tokens[0], start)
	if _, held, ok := s.Hold(k, start, time.Minute, 3); !ok || held != 3 {
		t.Errorf("after a release: %v %v", held, ok)
	}
	if held := s.Holding(k, start.Add(3*time.Minute)); held != 0 {
		t.Errorf("held %v after its time", held)
	}
	for range 9 {
		s.Release(tokens[1], start)
	}
	if s.Holding(k, start) != 0 || s.Len() != 0 {
		t.Error("released more often than held, and something is left")
	}
}

// Releases that are lost now and then do not add up, however busy the key.
func TestALostReleaseIsForgottenUnderLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(10, 1)
		k := s.Key("t")
		type open struct {
			token Held
			since time.Duration
		}
		var under []open
		lost := map[int]time.Duration{}
		ttl := 10 * time.Second
		for i := range 400 {
			at := time.Duration(i) * 250 * time.Millisecond
			now := start.Add(at)
			token, held, ok := s.Hold(k, now, ttl, 1e9)
			if !ok {
				t.Fatal("refused")
			}
			under = append(under, open{token, at})
			truth, lostLately := len(under), 0
			for _, since := range lost {
				if at-since <= 2*ttl {
					lostLately++
				}
			}
			if held < float64(truth) || held > float64(truth+lostLately) {
				t.Fatalf("at %v: %v held, %d under way, %d lost lately", at, held, truth, lostLately)
			}
			for len(under) > 0 && (len(under) > 5 || rapid.Bool().Draw(t, "end")) {
				if rapid.IntRange(0, 20).Draw(t, "lose") == 0 {
					lost[i*10+len(under)] = under[0].since
				} else {
					s.Release(under[0].token, now)
				}
				under = under[1:]
			}
		}
	})
}

func TestReserveSpreadsCallsAndRefusesPastTheLongestWait(t *testing.T) {
	s := New(10, 1)
	k := s.Key("t")
	for i, want := range []time.Duration{0, 0, 100, 200, 300} {
		if ok, wait := s.Reserve(k, start, 100*time.Millisecond, 2, 1, 300*time.Millisecond); !ok || wait != want*time.Millisecond {
			t.Errorf("call %d: %v %v", i+1, ok, wait)
		}
	}
	if ok, wait := s.Reserve(k, start, 100*time.Millisecond, 2, 1, 300*time.Millisecond); ok || wait != 400*time.Millisecond {
		t.Errorf("past the longest: %v %v", ok, wait)
	}
}

func TestTakenBitsAreGone(t *testing.T) {
	s := New(10, 1)
	k := s.Key("t")
	s.SetBits(k, start, time.Minute, 0, 7)
	if got := s.TakeBits(k, start); got != 7 || s.Len() != 0 || s.TakeBits(k, start) != 0 {
		t.Errorf("%d, then %d entries", got, s.Len())
	}
}

func TestAScoreHalvesEachHalfLife(t *testing.T) {
	s := New(10, 1)
	k := s.Key("t")
	s.Raise(k, start, time.Hour, 80, 100)
	if got := s.Score(k, start.Add(time.Hour), time.Hour); math.Abs(got-40) > 1e-9 {
		t.Errorf("after a half-life %v", got)
	}
	if got := s.Raise(k, start.Add(2*time.Hour), time.Hour, 95, 100); got != 100 {
		t.Errorf("raised past the ceiling: %v", got)
	}
	if got := s.Raise(k, start.Add(2*time.Hour), time.Hour, -30, 100); got != 70 {
		t.Errorf("lowered: %v", got)
	}
	if got := s.Score(k, start.Add(30*time.Hour), time.Hour); got > forgotten {
		t.Errorf("after a day: %v", got)
	}
	s.Raise(s.Key("clean"), start, time.Hour, -1, 100)
	s.Raise(k, start.Add(2*time.Hour), time.Hour, -100, 100)
	if s.Len() != 0 {
		t.Errorf("%d entries for clients nobody complains of", s.Len())
	}
}

func TestBansGrowOnRepeat(t *testing.T) {
	s := New(10, 1)
	k := s.Key("t")
	g := Growth{First: time.Minute, Max: 5 * time.Minute, Factor: 2, Forget: time.Hour}
	now := start
	for i, want := range []time.Duration{1, 2, 4, 5, 5} {
		until, times := s.Ban(k, now, g)
		if got := until.Sub(now); got != want*time.Minute || times != i+1 {
			t.Errorf("ban %d: %v, %d times", i+1, got, times)
		}
		if again, _ := s.Ban(k, now.Add(time.Second), g); !again.Equal(until) {
			t.Errorf("a banned key was banned anew")
		}
		if _, banned := s.Banned(k, until.Add(-1)); !banned {
			t.Error("not banned before its end")
		}
		if _, banned := s.Banned(k, until); banned {
			t.Error("banned past its end")
		}
		now = until.Add(time.Minute)
	}
	if until, times := s.Ban(k, now.Add(3*time.Hour), g); times != 1 || until.Sub(now.Add(3*time.Hour)) != time.Minute {
		t.Error("growth was not forgotten")
	}
	s.Unban(k)
	if _, banned := s.Banned(k, now); banned {
		t.Error("banned after unban")
	}
}
