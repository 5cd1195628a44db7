package keyed

import (
	"math"
	"time"
)

// A window is kept in one of two forms.
//
// As long as no more than 17 events of cost 1 lie in it, it is a log: each
// event's time is kept, to 1/32768 of the window. Counts are exact but for
// that: an event leaves the window at most window/32768 early or late.
//
// Past that it is sixteen parts and a rest: counts of the current sixteenth of
// a window (which is filling), the fifteen before it in full, and the one that
// is being left. Of the last, as much counts as of its span still lies in the
// window. The error against an exact log is therefore below the events of that
// one sixteenth, whatever the pattern: for calls that come at a steady or
// random pace it is a fraction of 1/16 of the count.
//
// Part counts are 16-bit numbers with a common unit, a power of two: exact for
// whole costs up to 65,535 a part, beyond that rounded at random to the unit,
// so that sums stay right on average (the unit is at most 1/32768 of the
// largest part).
const (
	parts     = 16
	partSlots = parts + 1
	logTicks  = 1 << 15
	minUnit   = -12 // fractions of a cost are kept to 1/4096
)

// Add adds n to the sliding window of k and returns the count over the last
// window, n included. A negative n takes back what was added just before.
func (s *Store) Add(k Key, now time.Time, window time.Duration, n float64) float64 {
	t := nanos(now)
	window = max(window, 1)
	sh, key := s.shardOf(k, kindWindow, window)
	sh.mu.Lock()
	e := sh.window(key, t, window)
	sh.put(e, t, window, n)
	c := e.count(t, window)
	sh.mu.Unlock()
	return c
}

// Count is the count of k over the last window.
func (s *Store) Count(k Key, now time.Time, window time.Duration) float64 {
	t := nanos(now)
	window = max(window, 1)
	sh, key := s.shardOf(k, kindWindow, window)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.get(key, t); e != nil {
		return e.count(t, window)
	}
	return 0
}

// Take adds n to the window of k if that leaves it at limit or below. It
// returns the count with n, whether n was added, and if it was not, how long
// until it would be, should nothing else be added: at most window and a
// sixteenth, and window if n alone is over limit.
func (s *Store) Take(k Key, now time.Time, window time.Duration, n, limit float64) (count float64, ok bool, wait time.Duration) {
	t := nanos(now)
	window = max(window, 1)
	sh, key := s.shardOf(k, kindWindow, window)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.window(key, t, window)
	count = e.count(t, window) + n
	if count > limit+1e-9 {
		return count, false, e.wait(t, window, count-limit)
	}
	sh.put(e, t, window, n)
	return count, true, 0
}

// Wait is how long until the count of k over window will have fallen by n,
// should nothing be added.
func (s *Store) Wait(k Key, now time.Time, window time.Duration, n float64) time.Duration {
	t := nanos(now)
	window = max(window, 1)
	sh, key := s.shardOf(k, kindWindow, window)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.get(key, t); e != nil {
		return e.wait(t, window, n)
	}
	return 0
}

func partWidth(window time.Duration) int64 { return (int64(window) + parts - 1) / parts }
func tickWidth(window time.Duration) int64 { return (int64(window) + logTicks - 1) / logTicks }

// window returns the entry of key, moved on to now.
func (sh *shard) window(key uint64, now int64, window time.Duration) *entry {
	e := sh.use(key, now, kindLog)
	if e.kind == kindLog {
		e.dropOld(uint32(now / tickWidth(window)))
	} else {
		e.advance(uint32(now / partWidth(window)))
	}
	e.expires = ceilSeconds(later(now, window+window/parts))
	return e
}

// dropOld takes the events that left the window out of a log. A clock that
// went back by more than a window empties it: no one is locked out by it.
func (e *entry) dropOld(tick uint32) {
	n := int(e.aux)
	if n == 0 {
		e.tick, e.head = tick, 0
		return
	}
	switch d := int32(tick - e.tick); {
	case d >= logTicks || d < -logTicks:
		e.aux, e.head, e.tick = 0, 0, tick
		return
	case d > 0:
		e.tick = tick
	}
	for n > 0 && uint16(e.tick)-e.slot(int(e.head)) >= logTicks {
		n--
		if e.head++; e.head == partSlots {
			e.head = 0
		}
	}
	e.aux = int8(n)
}

// advance empties the parts that begin between the entry's last use and tick.
func (e *entry) advance(tick uint32) {
	d := int32(tick - e.tick)
	if d < -partSlots || d >= partSlots {
		e.data = [34]byte{}
		e.tick, e.head, e.aux = tick, 0, 0
		return
	}
	for ; d > 0; d-- {
		if e.head++; e.head == partSlots {
			e.head = 0
		}
		e.setSlot(int(e.head), 0)
		e.tick++
	}
}

// put adds n now to an entry that was moved on.
func (sh *shard) put(e *entry, now int64, window time.Duration, n float64) {
	if e.kind == kindLog {
		switch {
		case n == 1 && e.aux < partSlots:
			i := int(e.head) + int(e.aux)
			if i >= partSlots {
				i -= partSlots
			}
			e.setSlot(i, uint16(e.tick))
			e.aux++
			return
		case n == -1 && e.aux > 0:
			e.aux--
			return
		case n == 0:
			return
		}
		e.toParts(now, window)
	}
	i := int(e.head)
	v := e.slot(i)
	if n == 1 && e.aux == 0 && v < math.MaxUint16 {
		e.setSlot(i, v+1)
		return
	}
	sh.putCost(e, n)
}

// putCost adds any cost to the current part, and changes the unit if need be.
func (sh *shard) putCost(e *entry, n float64) {
	if math.IsNaN(n) {
		return
	}
	n = min(max(n, -1e30), 1e30)
	i := int(e.head)
	v := math.Ldexp(n, -int(e.aux))
	for e.aux > minUnit && v != math.Trunc(v) && math.Abs(v) < 1<<15 && e.largest() < 1<<15 {
		e.halveUnit()
		v *= 2
	}
	for float64(e.slot(i))+v > math.MaxUint16 {
		sh.doubleUnit(e)
		v /= 2
	}
	whole := math.Floor(v)
	if frac := v - whole; frac > 0 && sh.chance(frac) {
		whole++
	}
	e.setSlot(i, uint16(min(max(float64(e.slot(i))+whole, 0), math.MaxUint16)))
}

func (e *entry) largest() uint16 {
	var m uint16
	for i := range partSlots {
		m = max(m, e.slot(i))
	}
	return m
}

func (e *entry) halveUnit() {
	for i := range partSlots {
		e.setSlot(i, e.slot(i)*2)
	}
	e.aux--
}

func (sh *shard) doubleUnit(e *entry) {
	for i := range partSlots {
		v := e.slot(i)
		if v&1 == 1 && sh.chance(0.5) {
			v++ // 65535 + 1 is 0: halved it would be lost
			if v == 0 {
				e.setSlot(i, 1<<15)
				continue
			}
		}
		e.setSlot(i, v/2)
	}
	e.aux++
}

// toParts turns a log into parts.
func (e *entry) toParts(now int64, window time.Duration) {
	var ages [partSlots]int64
	n := int(e.aux)
	for i := range n {
		j := int(e.head) + i
		if j >= partSlots {
			j -= partSlots
		}
		ages[i] = int64(uint16(e.tick)-e.slot(j)) * tickWidth(window)
	}
	width := partWidth(window)
	e.kind, e.head, e.aux = kindWindow, 0, 0
	e.data = [34]byte{}
	e.tick = uint32(now / width)
	for _, age := range ages[:n] {
		back := int(now/width - max(0, now-age)/width)
		i := (partSlots - back) % partSlots
		if back < partSlots {
			e.setSlot(i, e.slot(i)+1)
		}
	}
}

// count is the count over the window that ends now. The entry need not have
// been moved on.
func (e *entry) count(now int64, window time.Duration) float64 {
	if e.kind == kindLog {
		return float64(e.countLog(uint32(now / tickWidth(window))))
	}
	width := partWidth(window)
	tick := uint32(now / width)
	d := int32(tick - e.tick)
	rest := now % width
	if d < 0 { // another core was a moment ahead: count as of its time
		if d < -partSlots {
			return 0
		}
		d, rest = 0, 0
	}
	if d >= partSlots {
		return 0
	}
	var sum uint32
	i := int(e.head)
	for n := partSlots - 1 - int(d); n > 0; n-- {
		sum += uint32(e.slot(i))
		if i--; i < 0 {
			i = partSlots - 1
		}
	}
	left := float64(e.slot(i)) * (1 - float64(rest)/float64(width))
	return math.Ldexp(float64(sum)+left, int(e.aux))
}

func (e *entry) countLog(tick uint32) int {
	if e.aux == 0 {
		return 0
	}
	if d := int32(tick - e.tick); d < 0 {
		if d < -logTicks {
			return 0
		}
		tick = e.tick
	} else if d >= logTicks {
		return 0
	}
	// Times rise, so what is still inside is found from the oldest on.
	n := int(e.aux)
	i := int(e.head)
	for n > 0 && uint16(tick)-e.slot(i) >= logTicks {
		n--
		if i++; i == partSlots {
			i = 0
		}
	}
	return n
}

// wait is how long until the count of a moved-on entry has fallen by n.
func (e *entry) wait(now int64, window time.Duration, n float64) time.Duration {
	if e.kind == kindLog {
		need := int(math.Ceil(n - 1e-9))
		if need <= 0 {
			return 0
		}
		if need > int(e.aux) {
			return window
		}
		i := (int(e.head) + need - 1) % partSlots
		age := int64(uint16(e.tick)-e.slot(i)) * tickWidth(window)
		return time.Duration(max(1, int64(window)-age))
	}
	width := partWidth(window)
	n = math.Ldexp(n, -int(e.aux))
	if n <= 0 {
		return 0
	}
	d := int(int32(uint32(now/width) - e.tick))
	if d >= partSlots {
		return window
	}
	d = max(0, d)
	rest := width - now%width
	var past int64
	i := (int(e.head) + 1 + d) % partSlots // the oldest part
	for step := range partSlots - d {
		v := float64(e.slot(i))
		span := width
		if step == 0 {
			v *= float64(rest) / float64(width)
			span = rest
		}
		if v >= n && v > 0 {
			return time.Duration(max(1, past+int64(math.Ceil(float64(span)*n/v))))
		}
		n -= v
		past += span
		if i++; i == partSlots {
			i = 0
		}
	}
	return window
}
