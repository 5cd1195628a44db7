package keyed

import "math"

// A slot of the parts form is a count in units and, below it, in which tenths
// of the part the first and the last event came.
const (
	tenths     = 10
	spanBits   = 6
	spanMask   = 1<<spanBits - 1
	oneEvent   = 1 << spanBits
	countMost  = 1<<(16-spanBits) - 1
	countsMask = 0xFFFF_FFFF_FFFF_FFFF / 0xFFFF * countMost
	lowest16   = 0xFFFF_FFFF_FFFF_FFFF / 0xFFFF
	remainder  = 256 // parts of a unit in entry.high
	slotMost   = (countMost+1)*remainder - 1
)

// span is the tenths from the first to the last event of a part.
type span struct{ first, last uint8 }

var (
	spans   [1 << spanBits]span           // by code; unused codes are a whole part
	codes   [tenths][tenths]uint16        // by first and last
	widened [1 << spanBits][tenths]uint16 // the code of a span with an event more
)

func init() {
	n := uint16(0)
	for first := range tenths {
		for last := first; last < tenths; last++ {
			spans[n], codes[first][last] = span{uint8(first), uint8(last)}, n
			n++
		}
	}
	for ; int(n) < len(spans); n++ {
		spans[n] = span{0, tenths - 1}
	}
	for c, s := range spans {
		for t := range tenths {
			widened[c][t] = codes[min(int(s.first), t)][max(int(s.last), t)]
		}
	}
}

// withEvent is the slot with the tenth in its span. Its count is as before.
func withEvent(slot uint16, tenth int) uint16 {
	if slot < oneEvent {
		return codes[tenth][tenth]
	}
	return slot&^spanMask | widened[slot&spanMask][tenth]
}

// left is how much of a part's events still lies in the window whose edge has
// passed the given share of the part.
func left(slot uint16, passed float64) float64 {
	s := spans[slot&spanMask]
	end := float64(s.last+1) / tenths
	return min(max((end-passed)*tenths/float64(s.last+1-s.first), 0), 1)
}

func (e *entry) unit() int { return int(int8(e.low)) }

// advance empties the parts that begin between the entry's last use and now's.
// A clock that went back by more than a window empties all: no one is locked
// out by it.
func (e *entry) advance(part int64) {
	d := int16(uint16(part) - e.tick)
	switch {
	case d == 0:
		return
	case d < -slots || d >= slots:
		e.data = [4]uint64{}
		e.tick, e.high, e.low = uint16(part), 0, 0
		return
	case d > 1 && e.high >= remainder/2:
		if i := int(e.tick % slots); e.slot(i) < countMost<<spanBits {
			e.setSlot(i, e.slot(i)+oneEvent)
		}
	}
	if d > 1 {
		e.high = 0
	}
	for ; d > 0; d-- {
		e.tick++
		e.setSlot(int(e.tick%slots), 0)
	}
}

// countParts is the count over the window that ends at an instant.
func (e *entry) countParts(at instant) float64 {
	var sum uint64 // four sums of four: at most 4 * 1023 each
	for _, w := range e.data {
		sum += w >> spanBits & countsMask
	}
	total := float64(sum * lowest16 >> 48)
	if oldest := e.slot(int(e.tick+1) % slots); oldest >= oneEvent {
		total -= float64(oldest>>spanBits) * (1 - left(oldest, at.passed()))
	}
	total += float64(e.high) / remainder
	if e.low == 0 {
		return total
	}
	return math.Ldexp(total, e.unit())
}

// putPart adds n, which came in the given tenth, to the newest part.
func (sh *shard) putPart(e *entry, tenth int, n float64) {
	i := int(e.tick % slots)
	v := withEvent(e.slot(i), tenth)
	if n == 1 && e.low == 0 && v < countMost<<spanBits {
		e.setSlot(i, v+oneEvent)
		return
	}
	if n == 0 || math.IsNaN(n) {
		return
	}
	e.setSlot(i, v)
	n = min(max(n, -1e30), 1e30)
	n = math.Ldexp(n, -e.unit()) * remainder
	for e.unit() > minUnit && n != math.Trunc(n) && math.Abs(n) < 1<<15 && e.slot(i) < (countMost+1)/2*oneEvent && e.largest() <= countMost/2 {
		e.halveUnit(i)
		n *= 2
	}
	for e.newest(i)+n > slotMost {
		sh.doubleUnit(e, i)
		n /= 2
	}
	whole := math.Floor(n)
	if frac := n - whole; frac > 0 && sh.chance(frac) {
		whole++
	}
	sum := int(min(max(e.newest(i)+whole, 0), slotMost))
	e.high = uint8(sum % remainder)
	e.setSlot(i, uint16(sum/remainder)<<spanBits|e.slot(i)&spanMask)
}

// newest is what the newest part holds, in 256ths of a unit.
func (e *entry) newest(i int) float64 {
	return float64(int(e.slot(i)>>spanBits)*remainder + int(e.high))
}

func (e *entry) largest() uint16 {
	var m uint16
	for i := range slots {
		m = max(m, e.slot(i)>>spanBits)
	}
	return m
}

func (e *entry) halveUnit(newest int) {
	for i := range slots {
		v := e.slot(i)
		e.setSlot(i, v>>spanBits<<1<<spanBits|v&spanMask)
	}
	if e.high >= remainder/2 {
		e.setSlot(newest, e.slot(newest)+oneEvent)
	}
	e.high *= 2
	e.low--
}

// doubleUnit halves all counts. What is odd in one part goes over into the
// next, so that the sum changes by a 256th of a unit at most.
func (sh *shard) doubleUnit(e *entry, newest int) {
	odd := 0
	for n := 1; n < slots; n++ {
		i := (newest + n) % slots
		v := e.slot(i)
		sum := int(v>>spanBits) + odd
		odd = sum & 1
		e.setSlot(i, uint16(sum/2)<<spanBits|v&spanMask)
	}
	v := e.slot(newest)
	sum := (int(v>>spanBits)+odd)*remainder + int(e.high)
	if sum&1 == 1 && sh.chance(0.5) {
		sum++
	}
	sum = min(sum/2, slotMost)
	e.setSlot(newest, uint16(sum/remainder)<<spanBits|v&spanMask)
	e.high = uint8(sum % remainder)
	e.low++
}

// waitParts is how many part widths it takes until the count has fallen by n,
// when the window's edge has passed the given share of the oldest part.
func (e *entry) waitParts(passed, n float64) (widths float64, ok bool) {
	n = math.Ldexp(n, -e.unit())
	if n <= 0 {
		return 0, true
	}
	for step := range slots {
		v := e.slot(int(e.tick+1+uint16(step)) % slots)
		s := spans[v&spanMask]
		from := float64(step) - passed + float64(s.first)/tenths
		to := float64(step) - passed + float64(s.last+1)/tenths
		events := float64(v >> spanBits)
		if step == 0 {
			events *= left(v, passed)
			from = max(from, 0)
		}
		if step == slots-1 {
			events += float64(e.high) / remainder
		}
		if events >= n && events > 0 {
			return from + (to-from)*n/events, true
		}
		n -= events
	}
	return 0, false
}
