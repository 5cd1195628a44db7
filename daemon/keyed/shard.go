package keyed

import (
	"math/bits"
	"sync"
)

const (
	classes   = 8
	probes    = 8 // how far the hand looks for an older entry
	sweepStep = 2 // entries looked at for each new key, to find ended ones
	pinned    = 255
)

// shard is a part of the store under one lock. Its entries lie dense, the
// highest class first; the index finds them by open addressing.
type shard struct {
	mu      sync.Mutex
	entries []entry
	index   []uint32 // position+1 in the low bits, the rest a tag; 0 is free
	posMask uint32
	used    int
	begin   [classes]int // where each class begins; class c ends where c-1 begins
	hand    [classes]int // the next victim of a class, as offset from its begin
	sweep   int
	turn    uint8
	evicted uint64
	rand    uint64
	_       [64]byte // keeps the next shard's lock off this one's cache line
}

func (sh *shard) init(entries []entry, index []uint32, seed uint64) {
	sh.entries, sh.index = entries, index
	sh.posMask = 1<<bits.Len(uint(len(entries))) - 1
	sh.rand = seed*0x9E3779B97F4A7C15 | 1
}

func class(hits uint8) int { return bits.Len8(hits|1) - 1 }

func (sh *shard) end(c int) int {
	if c == 0 {
		return sh.used
	}
	return sh.begin[c-1]
}

func (sh *shard) home(key uint64) int {
	return int(uint64(uint32(key>>32)) * uint64(len(sh.index)) >> 32)
}

// word is the index word of an entry at position pos. The shard took the lowest
// bits and home the highest, so the tag takes bits 6 to 37.
func (sh *shard) word(key uint64, pos int) uint32 {
	return uint32(key>>6)&^sh.posMask | uint32(pos+1)
}

// find returns the position of key, or -1.
func (sh *shard) find(key uint64) int {
	tag := uint32(key>>6) &^ sh.posMask
	for i := sh.home(key); ; {
		w := sh.index[i]
		if w == 0 {
			return -1
		}
		if w&^sh.posMask == tag {
			if p := int(w&sh.posMask) - 1; sh.entries[p].key == key {
				return p
			}
		}
		if i++; i == len(sh.index) {
			i = 0
		}
	}
}

// get returns the live entry of key, or nil.
func (sh *shard) get(key uint64, now int64) *entry {
	p := sh.find(key)
	if p < 0 || sh.entries[p].ended(now) {
		return nil
	}
	return &sh.entries[p]
}

// use returns the entry of key, made or emptied if need be, after counting a
// use. It is valid until the next call on the shard.
func (sh *shard) use(key uint64, now int64, what kind) *entry {
	p := sh.find(key)
	if p < 0 {
		return sh.add(key, now, what)
	}
	e := &sh.entries[p]
	if e.ended(now) {
		sh.remove(p)
		return sh.add(key, now, what)
	}
	if e.hits < 255 {
		e.hits++
		if e.hits&(e.hits-1) == 0 {
			e = &sh.entries[sh.promote(p, class(e.hits))]
		}
	}
	return e
}

// pin moves the entry of key to the highest class.
func (sh *shard) pin(e *entry) *entry {
	if e.hits == pinned {
		return e
	}
	p := sh.find(e.key)
	from := class(e.hits)
	for c := from + 1; c < classes; c++ {
		p = sh.promote(p, c)
	}
	sh.entries[p].hits = pinned
	return &sh.entries[p]
}

// promote moves the entry at p, of class to-1, into class to by a swap with
// the first of its class, and returns its new position.
func (sh *shard) promote(p, to int) int {
	first := sh.begin[to-1]
	sh.begin[to-1]++
	if sh.hand[to-1] > 0 {
		sh.hand[to-1]--
	}
	if p == first {
		return p
	}
	a, b := sh.entries[p].key, sh.entries[first].key
	ia, ib := sh.locate(a, p), sh.locate(b, first)
	sh.index[ia], sh.index[ib] = sh.word(a, first), sh.word(b, p)
	sh.entries[p], sh.entries[first] = sh.entries[first], sh.entries[p]
	return first
}

// locate returns the place in the index that points to the entry of key at p.
func (sh *shard) locate(key uint64, p int) int {
	want := sh.word(key, p)
	i := sh.home(key)
	for sh.index[i] != want {
		if i++; i == len(sh.index) {
			i = 0
		}
	}
	return i
}

func (sh *shard) add(key uint64, now int64, what kind) *entry {
	for i := 0; i < sweepStep && sh.used > 0; i++ {
		if sh.sweep >= sh.used {
			sh.sweep = 0
		}
		if sh.entries[sh.sweep].ended(now) {
			sh.remove(sh.sweep)
		} else {
			sh.sweep++
		}
	}
	if sh.used == len(sh.entries) {
		sh.evict()
	}
	p := sh.used
	sh.used++
	sh.entries[p] = entry{key: key, hits: 1, kind: what, turn: sh.turn}
	sh.link(key, p)
	return &sh.entries[p]
}

func (sh *shard) link(key uint64, p int) {
	i := sh.home(key)
	for sh.index[i] != 0 {
		if i++; i == len(sh.index) {
			i = 0
		}
	}
	sh.index[i] = sh.word(key, p)
}

// evict makes room for one entry, by the rule in the package's comment.
func (sh *shard) evict() {
	c := 0
	if sh.end(0)-sh.begin[0] < len(sh.entries)/2 {
		for c = 1; c < classes-1 && sh.end(c) == sh.begin[c]; c++ {
		}
	}
	size := sh.end(c) - sh.begin[c]
	if size == 0 {
		c, size = 0, sh.end(0)-sh.begin[0]
	}
	sh.evicted++
	if sh.hand[c] >= size {
		sh.hand[c] = 0
		sh.turn++
	}
	h := sh.hand[c]
	if c == 0 {
		h = sh.oldest(h, size)
	}
	sh.hand[c] = h + 1
	sh.removeInto(sh.begin[c]+h, c)
}

// oldest finds the entry of the lowest class that came before most others,
// from offset h on. An entry that came in the hand's present round stood
// elsewhere and was moved into its way.
func (sh *shard) oldest(h, size int) int {
	for i := h; i < min(h+probes, size); i++ {
		if sh.entries[sh.begin[0]+i].turn != sh.turn {
			return i
		}
	}
	sh.turn++ // all are of this round: a new one begins here
	if h == size-1 {
		return 0 // the last is the newest of all
	}
	return h
}

func (sh *shard) remove(p int) { sh.removeInto(p, class(sh.entries[p].hits)) }

// removeInto removes the entry at p of class c: the last of its class fills
// the hole, the last of the next lower class that one's place, and so on.
func (sh *shard) removeInto(p, c int) {
	sh.unlink(p)
	for ; ; c-- {
		last := sh.end(c) - 1
		if last != p {
			moved := sh.entries[last].key
			sh.index[sh.locate(moved, last)] = sh.word(moved, p)
			sh.entries[p] = sh.entries[last]
			p = last
		}
		if c == 0 {
			sh.used--
			return
		}
		sh.begin[c-1]--
		sh.hand[c-1]++ // what moves to the class's front is not next to go
	}
}

// unlink takes the entry at p out of the index and closes the gap.
func (sh *shard) unlink(p int) {
	key := sh.entries[p].key
	n := len(sh.index)
	i := sh.locate(key, p)
	for j := i; ; {
		if j++; j == n {
			j = 0
		}
		w := sh.index[j]
		if w == 0 {
			break
		}
		h := sh.home(sh.entries[int(w&sh.posMask)-1].key)
		// The word at j may move to i unless its home lies cyclically in (i, j].
		if (j > i && (h <= i || h > j)) || (j < i && h <= i && h > j) {
			sh.index[i] = w
			i = j
		}
	}
	sh.index[i] = 0
}

func (sh *shard) reset() {
	switch {
	case sh.used == 0:
	case sh.used*8 < len(sh.index):
		for p := sh.used - 1; p >= 0; p-- {
			sh.unlink(p)
		}
	default:
		clear(sh.index)
	}
	sh.used, sh.sweep = 0, 0
	sh.begin, sh.hand = [classes]int{}, [classes]int{}
}

// chance is true with probability p, from 0 to 1.
func (sh *shard) chance(p float64) bool {
	sh.rand ^= sh.rand << 13
	sh.rand ^= sh.rand >> 7
	sh.rand ^= sh.rand << 17
	return float64(sh.rand>>11)/(1<<53) < p
}
