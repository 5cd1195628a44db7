package keyed

import "sync"

const (
	ways       = 4
	bucketSize = ways * entrySize // three cache lines
	dirtyMost  = 32
)

type bucket [ways]entry

// shard is a part of the store under one lock. An entry stands in the bucket
// that its key names, or, when that is full, in the nearest one behind it: from
// the home of a key to where it stands all buckets are full.
type shard struct {
	mu      sync.Mutex
	buckets []bucket
	used    int
	room    int // entries, at most seven ninths of the places
	count   [classes]int
	hand    int // the bucket where the next victim is looked for
	sweep   int // the bucket where ended entries are looked for next
	epoch   uint8
	came    int // new keys in this epoch
	evicted uint64
	rand    uint64
	added   int               // new keys since the last reset
	dirty   [dirtyMost]uint32 // the buckets that the first of them went to
	_       [64]byte          // keeps the next shard's lock off this one's cache line
}

func (sh *shard) init(buckets []bucket, room int, seed uint64) {
	sh.buckets, sh.room = buckets, room
	sh.rand = seed*0x9E3779B97F4A7C15 | 1
}

// home is the bucket of a key or of an entry's mark. The shard took the lowest
// bits of the key, home takes the highest.
func (sh *shard) home(key uint64) int {
	return int((key >> 32) * uint64(len(sh.buckets)) >> 32)
}

func (sh *shard) next(b int) int {
	if b++; b == len(sh.buckets) {
		return 0
	}
	return b
}

func (sh *shard) at(place int) *entry { return &sh.buckets[place/ways][place%ways] }

// find returns the place of key, or -1. It asks for all lines of a bucket
// before it decides on any, so that the memory is waited for once.
func (sh *shard) find(key uint64) int {
	for i := sh.home(key); ; i = sh.next(i) {
		b := &sh.buckets[i]
		m0, m1, m2, m3 := b[0].mark, b[1].mark, b[2].mark, b[3].mark
		is0 := ((m0^key)>>tagShift - 1) >> 63
		is1 := ((m1^key)>>tagShift - 1) >> 63
		is2 := ((m2^key)>>tagShift - 1) >> 63
		is3 := ((m3^key)>>tagShift - 1) >> 63
		if is0|is1|is2|is3 != 0 {
			return i*ways + int(is1|is2<<1|is3*3)
		}
		if m0 == 0 || m1 == 0 || m2 == 0 || m3 == 0 {
			return -1
		}
	}
}

// get returns the live entry of key, or nil.
func (sh *shard) get(key uint64, now int64) *entry {
	p := sh.find(key)
	if p < 0 {
		return nil
	}
	if e := sh.at(p); !e.ended(now) {
		return e
	}
	return nil
}

// use returns the entry of key, made or emptied if need be, after counting a
// use. It is valid until the next call on the shard.
func (sh *shard) use(key uint64, now int64, what kind) *entry {
	p := sh.find(key)
	if p < 0 {
		return sh.add(key, now, what)
	}
	e := sh.at(p)
	if e.ended(now) {
		sh.count[class(e.uses())]--
		sh.count[0]++
		sh.begin(e, key, what)
		return e
	}
	if n := e.uses(); n < pinned {
		e.mark += 1 << usesShift
		if n++; n&(n-1) == 0 {
			c := class(n)
			sh.count[c-1]--
			sh.count[c]++
		}
	}
	return e
}

// pin moves an entry to the highest class.
func (sh *shard) pin(e *entry) *entry {
	sh.count[class(e.uses())]--
	sh.count[classes-1]++
	e.mark |= pinned << usesShift
	return e
}

// add makes an entry for a key that has none.
func (sh *shard) add(key uint64, now int64, what kind) *entry {
	sh.sweepStep(now)
	if sh.used == sh.room {
		sh.evict(now)
	}
	i := sh.home(key)
	for ; ; i = sh.next(i) {
		for w := range ways {
			if e := &sh.buckets[i][w]; e.mark == 0 {
				if sh.added < dirtyMost {
					sh.dirty[sh.added] = uint32(i)
				}
				sh.added++
				sh.used++
				sh.count[0]++
				sh.begin(e, key, what)
				return e
			}
		}
	}
}

// begin makes e the entry of a key seen for the first time.
func (sh *shard) begin(e *entry, key uint64, what kind) {
	if sh.came++; sh.came*epochsARoom > sh.room {
		sh.came = 0
		sh.epoch = (sh.epoch + 1) % epochs
	}
	*e = entry{mark: newMark(key, what, sh.epoch)}
}

// sweepStep takes ended entries out of one bucket.
func (sh *shard) sweepStep(now int64) {
	for w := range ways {
		if e := &sh.buckets[sh.sweep][w]; e.mark != 0 && e.ended(now) {
			sh.remove(sh.sweep*ways + w)
		}
	}
	sh.sweep = sh.next(sh.sweep)
}

// remove empties a place. Entries further on that the full bucket had pushed
// away move closer to their home.
func (sh *shard) remove(p int) {
	hole := sh.at(p)
	sh.used--
	sh.count[class(hole.uses())]--
	at := p / ways
	full := sh.full(at)
	for i := sh.next(at); full; i = sh.next(i) {
		whole := sh.full(i)
		if w := sh.displaced(i, at); w >= 0 {
			e := &sh.buckets[i][w]
			*hole = *e
			hole, at, full = e, i, whole
		} else if !whole {
			break
		}
	}
	*hole = entry{}
}

func (sh *shard) full(i int) bool {
	b := &sh.buckets[i]
	return b[0].mark != 0 && b[1].mark != 0 && b[2].mark != 0 && b[3].mark != 0
}

// displaced finds an entry of bucket i whose home is bucket hole or one before
// it, or -1.
func (sh *shard) displaced(i, hole int) int {
	far := sh.distance(hole, i)
	for w := range ways {
		if e := &sh.buckets[i][w]; e.mark != 0 && sh.distance(sh.home(e.mark), i) >= far {
			return w
		}
	}
	return -1
}

// distance is how many buckets lie from one to another behind it.
func (sh *shard) distance(from, to int) int {
	if d := to - from; d >= 0 {
		return d
	}
	return to - from + len(sh.buckets)
}

// reset empties the shard, in few steps if few keys came since the last time.
func (sh *shard) reset() {
	if sh.added <= dirtyMost {
		for _, i := range sh.dirty[:sh.added] {
			sh.buckets[i] = bucket{}
		}
	} else {
		clear(sh.buckets)
	}
	sh.used, sh.added, sh.sweep, sh.hand, sh.came = 0, 0, 0, 0, 0
	sh.count = [classes]int{}
}

// chance is true with probability p, from 0 to 1.
func (sh *shard) chance(p float64) bool {
	sh.rand ^= sh.rand << 13
	sh.rand ^= sh.rand >> 7
	sh.rand ^= sh.rand << 17
	return float64(sh.rand>>11)/(1<<53) < p
}
