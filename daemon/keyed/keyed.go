// Package keyed is one bounded, sharded store of counters and small state by
// key: sliding windows, rule thresholds, flow bits, pace, held requests,
// decaying scores and bans stand on it.
//
// # Memory
//
// A store of max keys is two flat tables without pointers, made once: 56 bytes
// an entry and 4/3 of 4 bytes of index, with four standard deviations of room
// for uneven shards. 1,000,000 keys take 63.3 MB and are resident only as far
// as they were used. No operation allocates.
//
// # What is forgotten, and what cannot be made to be
//
// State ends by itself when its window, ttl or half-lives have passed. Only
// when a shard is full must something live give way to a new key. Entries are
// kept in eight classes by how often they were used: once, 2 to 3, 4 to 7, and
// so on to 128 and more; state that must not be lost (bans, held requests) is
// in the highest. The rule:
//
//   - Of entries used once the oldest gives way, as long as they fill half of
//     the shard or more. So a key used once outlives at least a quarter of a
//     store of newly invented keys (nearly half, but for the order that
//     promotions disturb).
//   - Otherwise an entry of the lowest class above that gives way. So a key
//     used n times is lost only when half of the store is held by keys used
//     at least n/2 times each: who invents keys to have his own counter
//     forgotten sends max/2 * n/2 further requests, all within its window.
//
// # Hashing
//
// Keys are 64-bit xxHash values under a seed that no client knows. Two keys
// that collide share their state; among a million keys the odds of any
// collision are 1 in 37 million.
package keyed

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Key is a seeded hash of what is counted. Two spaces never share a key.
type Key uint64

// Store holds state by key. Its methods may be called from many goroutines.
type Store struct {
	seed   uint64
	mask   uint64
	shards []shard
}

const (
	maxShards     = 64
	keysPerShard  = 256 // a smaller store has fewer shards
	minShardRoom  = 16
	maxKeys       = 64 << 20
	indexPer3Keys = 4
)

// New makes a store that holds at least so many keys, 1 to 64 Mi, all memory
// reserved at once. The seed should be random in a daemon and fixed in a test.
func New(keys int, seed uint64) *Store {
	keys = min(maxKeys, max(1, keys))
	n := 1
	for n < maxShards && keys/n > keysPerShard {
		n *= 2
	}
	mean := (keys + n - 1) / n
	room := mean
	if n > 1 {
		room += int(4*math.Sqrt(float64(mean))) + 1
	}
	room = max(minShardRoom, room)
	slots := room*indexPer3Keys/3 + 1
	entries := make([]entry, n*room)
	index := make([]uint32, n*slots)
	s := &Store{seed: seed, mask: uint64(n - 1), shards: make([]shard, n)}
	for i := range s.shards {
		s.shards[i].init(entries[i*room:(i+1)*room:(i+1)*room], index[i*slots:(i+1)*slots:(i+1)*slots], seed+uint64(i))
	}
	return s
}

// Key hashes parts into a key of the named space. Parts are told apart:
// ("ab", "c") and ("a", "bc") are two keys.
func (s *Store) Key(space string, parts ...[]byte) Key { return KeyOf(s.seed, space, parts...) }

// KeyOf is Key for stores of several daemons, under a seed they agreed on.
func KeyOf(seed uint64, space string, parts ...[]byte) Key {
	var d xxhash.Digest
	d.ResetWithSeed(seed)
	var size [4]byte
	binary.LittleEndian.PutUint32(size[:], uint32(len(space)))
	_, _ = d.Write(size[:])
	_, _ = d.WriteString(space)
	for _, p := range parts {
		binary.LittleEndian.PutUint32(size[:], uint32(len(p)))
		_, _ = d.Write(size[:])
		_, _ = d.Write(p)
	}
	return Key(d.Sum64())
}

// Len counts the entries held, ended ones not yet swept included.
func (s *Store) Len() int {
	n := 0
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		n += sh.used
		sh.mu.Unlock()
	}
	return n
}

// Evicted counts the live entries that gave way to new keys since New.
func (s *Store) Evicted() uint64 {
	var n uint64
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		n += sh.evicted
		sh.mu.Unlock()
	}
	return n
}

// Bytes is the memory that the tables reserve.
func (s *Store) Bytes() int {
	n := 0
	for i := range s.shards {
		n += cap(s.shards[i].entries)*entrySize + cap(s.shards[i].index)*4
	}
	return n
}

// Reset forgets everything. It costs in proportion to what is held.
func (s *Store) Reset() {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		s.shards[i].reset()
		s.shards[i].mu.Unlock()
	}
}

// shardOf returns the shard and the entry key of one kind of state under k.
func (s *Store) shardOf(k Key, what kind, of time.Duration) (*shard, uint64) {
	x := uint64(k) ^ (uint64(of)*0x9E3779B97F4A7C15 + uint64(what))
	x ^= x >> 32
	x *= 0xD6E8FEB86659FD93
	x ^= x >> 32
	return &s.shards[x&s.mask], x
}

// nanos is the time as the store counts it. Times before 1970 are 1970.
func nanos(t time.Time) int64 { return max(0, t.UnixNano()) }

// ceilSeconds is the second at or after t, as entries keep their end.
func ceilSeconds(t int64) uint32 {
	s := t/int64(time.Second) + 1
	return uint32(min(s, math.MaxUint32))
}

// later is t+d without overflow.
func later(t int64, d time.Duration) int64 {
	if d > 0 && t > math.MaxInt64-int64(d) {
		return math.MaxInt64
	}
	return t + int64(d)
}

// kind is what an entry holds.
type kind uint8

const (
	kindLog    kind = iota // a window that still knows each event's time
	kindWindow             // a window of sixteen parts
	kindBits
	kindPace
	kindGauge
	kindScore
	kindBan
)

// entry is one key's state, 56 bytes without pointers.
type entry struct {
	key     uint64
	expires uint32 // Unix seconds; from then on the entry is as good as gone
	tick    uint32 // windows: the time of the newest event, in parts or log ticks
	hits    uint8  // uses, up to 255; its length in bits is the class
	kind    kind
	turn    uint8 // the round of the shard's hand in which it came
	head    uint8 // windows: the newest part, or the oldest event
	aux     int8  // parts: the power of two of their unit; log: number of events
	_       uint8
	data    [34]byte
}

const entrySize = 56

func (e *entry) word(i int) uint64       { return binary.LittleEndian.Uint64(e.data[i*8:]) }
func (e *entry) setWord(i int, v uint64) { binary.LittleEndian.PutUint64(e.data[i*8:], v) }
func (e *entry) slot(i int) uint16       { return binary.LittleEndian.Uint16(e.data[i*2:]) }
func (e *entry) setSlot(i int, v uint16) { binary.LittleEndian.PutUint16(e.data[i*2:], v) }

func (e *entry) ended(now int64) bool { return uint64(e.expires)*uint64(time.Second) <= uint64(now) }
