package keyed

import (
	"math"
	"time"
)

// A window is kept in one of two forms.
//
// As long as no more than 15 events of cost 1 lie in it, it is a log: each
// event's time is kept, to 1/32768 of the window. Counts are exact but for
// that: an event leaves the window at most window/32768 early or late.
//
// Past that it is fifteen parts and a rest: counts of the current fifteenth of
// a window (which is filling), the fourteen before it in full, and the one that
// is being left. For each part it is also kept in which of its tenths the first
// and the last event came. The events of the part that is being left are taken
// to be spread evenly over the tenths from its first to its last. The error
// against an exact log is therefore below the events of that one fifteenth
// whatever the pattern, and none while the window's edge lies before or behind
// these tenths: events that came together, in 1/150 of the window, are told
// apart from those of another time.
//
// Counts are 10-bit numbers with a common unit, a power of two, and what a part
// has beyond them goes over into the next: a sum of whole costs is exact as
// long as it is below 1,024 a part, beyond that to half the unit for each part,
// where the unit is at most 1/512 of the largest part. Costs that are no multiple of 1/256 of the unit are
// rounded to it at random, so that sums stay right on average.
const (
	parts     = 15
	slots     = parts + 1
	logMost   = 15
	logTicks  = 1 << 15
	minUnit   = -12 // fractions of a cost are kept to 1/4096 and 256ths of that
	minWindow = 10 * time.Millisecond
)

// Add adds n to the sliding window of k and returns the count over the last
// window, n included. Windows below 10 ms are taken to be that long. A negative n takes back what was added just before.
func (s *Store) Add(k Key, now time.Time, window time.Duration, n float64) float64 {
	t := nanos(now)
	window = max(window, minWindow)
	sh, key := s.shardOf(k, kindWindow, window)
	sh.mu.Lock()
	e, at := sh.window(key, t, window)
	at = sh.put(e, at, n)
	c := e.count(at)
	sh.mu.Unlock()
	return c
}

// Count is the count of k over the last window.
func (s *Store) Count(k Key, now time.Time, window time.Duration) float64 {
	t := nanos(now)
	window = max(window, minWindow)
	sh, key := s.shardOf(k, kindWindow, window)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.get(key, t); e != nil {
		then := *e
		return then.count(then.moveOn(t, window))
	}
	return 0
}

// Take adds n to the window of k if that leaves it at limit or below. It
// returns the count with n, whether n was added, and if it was not, how long
// until it would be, should nothing else be added: at most window and a
// sixteenth, and window if n alone is over limit.
func (s *Store) Take(k Key, now time.Time, window time.Duration, n, limit float64) (count float64, ok bool, wait time.Duration) {
	t := nanos(now)
	window = max(window, minWindow)
	sh, key := s.shardOf(k, kindWindow, window)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e, at := sh.window(key, t, window)
	count = e.count(at) + n
	if count > limit+1e-9 {
		return count, false, e.wait(at, count-limit)
	}
	sh.put(e, at, n)
	return count, true, 0
}

// Wait is how long until the count of k over window will have fallen by n,
// should nothing be added.
func (s *Store) Wait(k Key, now time.Time, window time.Duration, n float64) time.Duration {
	t := nanos(now)
	window = max(window, minWindow)
	sh, key := s.shardOf(k, kindWindow, window)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.get(key, t); e != nil {
		then := *e
		return then.wait(then.moveOn(t, window), n)
	}
	return 0
}

func partWidth(window time.Duration) int64 { return (int64(window) + parts - 1) / parts }
func tickWidth(window time.Duration) int64 { return (int64(window) + logTicks - 1) / logTicks }

// instant is a time as a window's entry sees it.
type instant struct {
	now    int64
	window time.Duration
	width  int64 // of a part
	rest   int64 // of now in its part, and so of the window's edge in the oldest
}

func (at instant) passed() float64 { return float64(at.rest) / float64(at.width) }

// window returns the entry of key, moved on to now.
func (sh *shard) window(key uint64, now int64, window time.Duration) (*entry, instant) {
	e := sh.use(key, now, kindLog)
	at := e.moveOn(now, window)
	e.expires = ceilSeconds(later(now, window+window/parts))
	return e, at
}

// moveOn takes what left the window out of an entry.
func (e *entry) moveOn(now int64, window time.Duration) instant {
	at := instant{now: now, window: window}
	if e.kind() == kindLog {
		e.dropOld(now / tickWidth(window))
		return at
	}
	e.moveParts(&at)
	return at
}

func (e *entry) moveParts(at *instant) {
	at.width = partWidth(at.window)
	part := at.now / at.width
	at.rest = at.now - part*at.width
	e.advance(part)
	if uint16(part) != e.tick { // another core was a moment ahead: as of its time
		at.rest = 0
	}
}

// put adds n now to an entry that was moved on.
func (sh *shard) put(e *entry, at instant, n float64) instant {
	if e.kind() == kindLog {
		if e.putLog(n) {
			return at
		}
		e.toParts(at.now, at.window)
		e.moveParts(&at)
	}
	sh.putPart(e, int(at.rest*tenths/at.width), n)
	return at
}

// count is the count of a moved-on entry.
func (e *entry) count(at instant) float64 {
	if e.kind() == kindLog {
		return float64(e.logged())
	}
	return e.countParts(at)
}

// wait is how long until the count of a moved-on entry has fallen by n.
func (e *entry) wait(at instant, n float64) time.Duration {
	if e.kind() == kindLog {
		return e.waitLog(at.window, n)
	}
	past, ok := e.waitParts(at.passed(), n)
	if !ok {
		return at.window
	}
	return time.Duration(max(1, math.Ceil(past*float64(at.width))))
}

// toParts turns a log into parts.
func (e *entry) toParts(now int64, window time.Duration) {
	var ages [logMost]int64
	n := e.logged()
	for i := range n {
		ages[i] = int64(e.ageOf(i)) * tickWidth(window)
	}
	width := partWidth(window)
	e.become(kindWindow)
	e.high, e.low = 0, 0
	e.data = [4]uint64{}
	e.tick = uint16(now / width)
	for _, age := range ages[:n] {
		at := max(0, now-age)
		if now/width-at/width < slots {
			i := int(at/width) % slots
			e.setSlot(i, withEvent(e.slot(i), int(at%width*tenths/width))+oneEvent)
		}
	}
}
