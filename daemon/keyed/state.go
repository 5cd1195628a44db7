package keyed

import (
	"math"
	"time"
)

// Bits returns the 64 bits kept under k, 0 when none are kept or they expired.
func (s *Store) Bits(k Key, now time.Time) uint64 {
	t := nanos(now)
	sh, key := s.shardOf(k, kindBits, 0)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.get(key, t); e != nil && t < int64(e.word(1)) {
		return e.word(0)
	}
	return 0
}

// SetBits changes the bits kept under k to bits&^clear|set, to be forgotten
// after ttl, and returns them.
func (s *Store) SetBits(k Key, now time.Time, ttl time.Duration, clear, set uint64) uint64 {
	t := nanos(now)
	sh, key := s.shardOf(k, kindBits, 0)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.use(key, t, kindBits)
	v := uint64(0)
	if t < int64(e.word(1)) {
		v = e.word(0)
	}
	v = v&^clear | set
	end := later(t, ttl)
	e.setWord(0, v)
	e.setWord(1, uint64(end))
	e.expires = ceilSeconds(end)
	return v
}

// Pace lets n through if calls under k keep to one each interval, with burst
// of them allowed back to back. If not it says how long to wait. It is the
// generic cell rate algorithm (ITU-T I.371), exact to the nanosecond.
func (s *Store) Pace(k Key, now time.Time, interval time.Duration, burst, n float64) (ok bool, wait time.Duration) {
	return s.Reserve(k, now, interval, burst, n, 0)
}

// TakeBits returns the bits kept under k and forgets them.
func (s *Store) TakeBits(k Key, now time.Time) uint64 {
	t := nanos(now)
	sh, key := s.shardOf(k, kindBits, 0)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	p := sh.find(key)
	if p < 0 {
		return 0
	}
	e := sh.at(p)
	v, live := e.word(0), t < int64(e.word(1))
	sh.remove(p)
	if !live {
		return 0
	}
	return v
}

// Reserve is Pace for callers who can wait: n is let through, to be done after
// wait, if that is at most longest.
func (s *Store) Reserve(k Key, now time.Time, interval time.Duration, burst, n float64, longest time.Duration) (ok bool, wait time.Duration) {
	t := nanos(now)
	sh, key := s.shardOf(k, kindPace, interval)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.use(key, t, kindPace)
	room := float64(interval) * max(burst, 1)
	due := float64(interval) * n
	at := int64(e.word(0)) // when all let through so far is worked off
	if at < t || float64(at-t) > room+float64(longest)+float64(interval) {
		at = t // behind, or left over from a clock that ran ahead
	}
	wait = time.Duration(min(max(float64(at-t)+due-room, 0), 1e18))
	if ok = wait <= longest; ok {
		at = later(at, time.Duration(due))
		e.setWord(0, uint64(at))
	}
	e.expires = ceilSeconds(at)
	return ok, wait
}

// Held is a request, or anything else that begins and ends, for Release.
type Held uint64

// Hold adds one to what is held under k if that leaves it at limit or below.
// What is not released is forgotten after ttl to twice ttl, so that a lost
// release does not lock a client out.
func (s *Store) Hold(k Key, now time.Time, ttl time.Duration, limit float64) (token Held, held float64, ok bool) {
	t := nanos(now)
	ttl = max(ttl, time.Second)
	k &^= 1 // the token's lowest bit tells the period in which it was given
	sh, key := s.shardOf(k, kindGauge, 0)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.get(key, t)
	if e != nil {
		e.turnPeriod(t, ttl)
		held = float64(e.word(0) + e.word(1))
	}
	if held+1 > limit {
		return 0, held + 1, false
	}
	e = sh.pin(sh.use(key, t, kindGauge))
	e.turnPeriod(t, ttl)
	period := e.word(2)
	e.setWord(int(period&1), e.word(int(period&1))+1)
	e.expires = ceilSeconds(later(t, 2*ttl))
	return Held(uint64(k) | period&1), held + 1, true
}

// turnPeriod empties the count of the period before the last when a new one
// begins: words 0 and 1 are the counts of even and odd periods, word 2 the
// present period's number.
func (e *entry) turnPeriod(now int64, ttl time.Duration) {
	switch period := uint64(now / int64(ttl)); {
	case period == e.word(2) || period+1 == e.word(2):
	case period == e.word(2)+1:
		e.setWord(int(period&1), 0)
		e.setWord(2, period)
	default:
		e.setWord(0, 0)
		e.setWord(1, 0)
		e.setWord(2, period)
	}
}

// Release ends what Hold gave the token for, and returns what is still held.
func (s *Store) Release(token Held, now time.Time) (held float64) {
	t := nanos(now)
	sh, key := s.shardOf(Key(token&^1), kindGauge, 0)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	p := sh.find(key)
	if p < 0 {
		return 0
	}
	e := sh.at(p)
	if i := int(token & 1); e.word(i) > 0 {
		e.setWord(i, e.word(i)-1)
	}
	sum := e.word(0) + e.word(1)
	if sum == 0 || e.ended(t) {
		sh.remove(p)
		return 0
	}
	return float64(sum)
}

// Holding is what is held under k.
func (s *Store) Holding(k Key, now time.Time) float64 {
	t := nanos(now)
	sh, key := s.shardOf(k&^1, kindGauge, 0)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.get(key, t); e != nil {
		return float64(e.word(0) + e.word(1))
	}
	return 0
}

// forgotten is the value at which a decaying score ends.
const forgotten = 0.05

// Raise adds delta, which may be negative, to the score of k, which halves
// every halfLife, keeps it between 0 and ceiling, and returns it.
func (s *Store) Raise(k Key, now time.Time, halfLife time.Duration, delta, ceiling float64) float64 {
	t := nanos(now)
	sh, key := s.shardOf(k, kindScore, 0)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if delta <= 0 && sh.get(key, t) == nil {
		return 0 // nothing to lower: no entry for a client nobody complained of
	}
	e := sh.use(key, t, kindScore)
	v := min(max(e.score(t, halfLife)+delta, 0), ceiling)
	if v < forgotten || math.IsNaN(v) {
		sh.remove(sh.find(key))
		return 0
	}
	e.setWord(0, math.Float64bits(v))
	e.setWord(1, uint64(t))
	e.expires = ceilSeconds(later(t, time.Duration(min(float64(halfLife)*math.Log2(v/forgotten), 1e18))))
	return v
}

// Score is the score of k now.
func (s *Store) Score(k Key, now time.Time, halfLife time.Duration) float64 {
	t := nanos(now)
	sh, key := s.shardOf(k, kindScore, 0)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.get(key, t); e != nil {
		return e.score(t, halfLife)
	}
	return 0
}

func (e *entry) score(now int64, halfLife time.Duration) float64 {
	v := math.Float64frombits(e.word(0))
	if past := now - int64(e.word(1)); v > 0 && past > 0 && halfLife > 0 {
		v *= math.Exp2(-float64(past) / float64(halfLife))
	}
	return v
}

// Growth is how long bans last: the first for First, each further one Factor
// times the last, up to Max. A key that stays unbanned for Forget starts anew.
type Growth struct {
	First, Max, Forget time.Duration
	Factor             float64
}

// Ban bans k from now and returns until when and how many bans that makes. A
// key that is banned already stays so until the same time.
func (s *Store) Ban(k Key, now time.Time, g Growth) (until time.Time, times int) {
	t := nanos(now)
	sh, key := s.shardOf(k, kindBan, 0)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.pin(sh.use(key, t, kindBan))
	end, n := int64(e.word(0)), e.word(1)
	if t < end {
		return time.Unix(0, end), int(n)
	}
	d := float64(g.First) * math.Pow(max(g.Factor, 1), float64(min(n, 1000)))
	d = min(max(d, float64(time.Second)), max(float64(g.Max), float64(g.First)))
	end = later(t, time.Duration(d))
	e.setWord(0, uint64(end))
	e.setWord(1, n+1)
	e.expires = ceilSeconds(later(end, g.Forget))
	return time.Unix(0, end), int(n + 1)
}

// Banned says whether k is banned, and until when.
func (s *Store) Banned(k Key, now time.Time) (until time.Time, banned bool) {
	t := nanos(now)
	sh, key := s.shardOf(k, kindBan, 0)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.get(key, t); e != nil && t < int64(e.word(0)) {
		return time.Unix(0, int64(e.word(0))), true
	}
	return time.Time{}, false
}

// Bans says how often k was banned without a pause as long as its growth's
// Forget, and until when the last time.
func (s *Store) Bans(k Key, now time.Time) (times int, until time.Time) {
	t := nanos(now)
	sh, key := s.shardOf(k, kindBan, 0)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.get(key, t); e != nil {
		return int(e.word(1)), time.Unix(0, int64(e.word(0)))
	}
	return 0, time.Time{}
}

// RestoreBans has k be banned as another store's Bans said, unless it was
// banned more often here. It is forgotten as long after until as forget says.
func (s *Store) RestoreBans(k Key, now time.Time, times int, until time.Time, forget time.Duration) {
	t, end := nanos(now), nanos(until)
	ends := later(end, forget)
	if times <= 0 || ends <= t {
		return
	}
	sh, key := s.shardOf(k, kindBan, 0)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.get(key, t); e != nil && e.word(1) >= uint64(times) {
		return
	}
	e := sh.pin(sh.use(key, t, kindBan))
	e.setWord(0, uint64(end))
	e.setWord(1, uint64(times))
	e.expires = ceilSeconds(ends)
}

// Unban lifts the ban of k and forgets how often it was banned.
func (s *Store) Unban(k Key) {
	sh, key := s.shardOf(k, kindBan, 0)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if p := sh.find(key); p >= 0 {
		sh.remove(p)
	}
}
