package keyed

import (
	"math"
	"time"
)

// A log holds the times of up to fifteen events in ticks of 1/32768 of the
// window, in a ring of slots: 24 bits of the newest tick in tick and high, the
// slot of the oldest event in the upper half of low and their number in the
// lower.

func (e *entry) logTick() int32 { return int32(e.tick) | int32(e.high)<<16 }

func (e *entry) setLogTick(t int32) { e.tick, e.high = uint16(t), uint8(t>>16) }

func (e *entry) logged() int { return int(e.low & 15) }

// ageOf is how many ticks before the newest the i-th oldest event came.
func (e *entry) ageOf(i int) uint16 {
	return e.tick - e.slot((int(e.low>>4)+i)%slots)
}

// dropOld takes the events that left the window out of a log. A clock that
// went back by more than a window empties it: no one is locked out by it.
func (e *entry) dropOld(at int64) {
	tick := int32(at & (1<<24 - 1))
	n := e.logged()
	if n == 0 {
		e.setLogTick(tick)
		e.low = 0
		return
	}
	switch d := (tick - e.logTick()) << 8 >> 8; {
	case d >= logTicks || d < -logTicks:
		e.setLogTick(tick)
		e.low = 0
		return
	case d > 0:
		e.setLogTick(tick)
	}
	head := int(e.low >> 4)
	for n > 0 && e.tick-e.slot(head) >= logTicks {
		n--
		head = (head + 1) % slots
	}
	e.low = uint8(head<<4 | n)
}

// putLog adds n, if a log can hold it.
func (e *entry) putLog(n float64) bool {
	have := e.logged()
	switch {
	case n == 1 && have < logMost:
		e.setSlot((int(e.low>>4)+have)%slots, e.tick)
		e.low++
	case n == -1 && have > 0:
		e.low--
	case n != 0:
		return false
	}
	return true
}

func (e *entry) waitLog(window time.Duration, n float64) time.Duration {
	need := int(math.Ceil(n - 1e-9))
	if need <= 0 {
		return 0
	}
	if need > e.logged() {
		return window
	}
	return time.Duration(max(1, int64(window)-int64(e.ageOf(need-1))*tickWidth(window)))
}
