package keyed

import (
	"math/bits"
	"time"
)

// kind is what an entry holds.
type kind uint8

const (
	kindLog    kind = iota // a window that still knows each event's time
	kindWindow             // a window of fifteen parts
	kindBits
	kindPace
	kindGauge
	kindScore
	kindBan
)

// entry is one key's state, 48 bytes without pointers.
type entry struct {
	// mark is the key's tag, its upper 48 bits, and below it how often the
	// entry was used, its kind and the epoch in which it came. A free place
	// has mark 0.
	mark    uint64
	expires uint32 // Unix seconds; from then on the entry is as good as gone
	// The clock of a window. Log: the newest tick in tick and high, the oldest
	// event's slot and the number of events in low. Parts: the newest part in
	// tick, 256ths of the unit beyond its count in high, and in low the power
	// of two of the unit.
	tick uint16
	high uint8
	low  uint8
	data [4]uint64
}

const (
	entrySize = 48

	tagShift  = 16 // above it the tag
	usesShift = 8  // 8 bits
	kindShift = 5  // 3 bits
	epochs    = 32 // 5 bits
	pinned    = 255
	classes   = 8
)

func newMark(key uint64, what kind, epoch uint8) uint64 {
	return key>>tagShift<<tagShift | 1<<usesShift | uint64(what)<<kindShift | uint64(epoch)
}

func (e *entry) uses() uint8  { return uint8(e.mark >> usesShift) }
func (e *entry) kind() kind   { return kind(e.mark>>kindShift) & 7 }
func (e *entry) epoch() uint8 { return uint8(e.mark) & (epochs - 1) }

func (e *entry) become(what kind) {
	e.mark = e.mark&^(7<<kindShift) | uint64(what)<<kindShift
}

// class is the length in bits of the number of uses, less one.
func class(uses uint8) int { return bits.Len8(uses|1) - 1 }

func (e *entry) word(i int) uint64       { return e.data[i&3] }
func (e *entry) setWord(i int, v uint64) { e.data[i&3] = v }

// slot is one of the sixteen numbers of a window.
func (e *entry) slot(i int) uint16 { return uint16(e.data[i>>2&3] >> (i & 3 * 16)) }
func (e *entry) setSlot(i int, v uint16) {
	w, shift := &e.data[i>>2&3], i&3*16
	*w = *w&^(0xFFFF<<shift) | uint64(v)<<shift
}

func (e *entry) ended(now int64) bool { return uint64(e.expires)*uint64(time.Second) <= uint64(now) }
