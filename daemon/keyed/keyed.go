// Package keyed is one bounded, sharded store of counters and small state by
// key: sliding windows, rule thresholds, flow bits, pace, held requests,
// decaying scores and bans stand on it.
//
// # Memory
//
// A store of max keys is one flat table without pointers, made once: 48 bytes a
// key in buckets of four, three cache lines each, of which at most seven ninths
// are used, with four standard deviations of room for uneven shards. 1,000,000
// keys take 63.7 MB. What is known of a key stands where its hash says, so that
// to find and to change it costs one wait for memory; the table asks the kernel
// for pages of 2 MB, without which that wait is a longer one. It is resident as
// far as it was used, with such pages soon all of it. No operation allocates.
//
// # What is forgotten, and what cannot be made to be
//
// State ends by itself when its window, ttl or half-lives have passed. Only
// when a shard is full must something live give way to a new key. Entries are
// in eight classes by how often they were used: once, 2 to 3, 4 to 7, and so on
// to 128 and more; state that must not be lost (bans, held requests) is in the
// highest. The rule:
//
//   - As long as entries used once fill half of the shard or more, one of them
//     gives way that is older than the newest quarter of a shard. So a key used
//     once outlives a quarter of a store of newly invented keys.
//   - Otherwise an entry used more often gives way, of the lowest classes that
//     together fill an eighth of the shard. So a key used n times is lost only
//     when three eighths of the store are held by keys used n/2 times each or
//     more: who invents keys to have his own counter forgotten sends
//     max*3/8 * n/2 further requests, all within its window.
//
// # Hashing
//
// Keys are 64-bit xxHash values under a seed that no client knows, of which 54
// bits tell keys apart. Two keys that collide share their state; among a
// million keys the odds of any collision are 1 in 36,000.
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
	maxShards    = 64
	keysPerShard = 256 // a smaller store has fewer shards
	minShardRoom = 16
	maxKeys      = 64 << 20
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
	buckets := room*9/7/ways + 1
	table := make([]bucket, n*buckets)
	wantHuge(table)
	s := &Store{seed: seed, mask: uint64(n - 1), shards: make([]shard, n)}
	for i := range s.shards {
		s.shards[i].init(table[i*buckets:(i+1)*buckets:(i+1)*buckets], room, seed+uint64(i))
	}
	return s
}

// Key hashes parts into a key of the named space. Parts are told apart:
// ("ab", "c") and ("a", "bc") are two keys.
func (s *Store) Key(space string, parts ...[]byte) Key { return KeyOf(s.seed, space, parts...) }

// KeyOf is Key for stores of several daemons, under a seed they agreed on: the
// hash of the seed, the space and the parts, each with its length before it.
func KeyOf(seed uint64, space string, parts ...[]byte) Key {
	var room [96]byte
	size := 8 + 4 + len(space)
	for _, p := range parts {
		size += 4 + len(p)
	}
	if size > len(room) {
		return longKey(seed, space, parts)
	}
	b := binary.LittleEndian.AppendUint64(room[:0], seed)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(space)))
	b = append(b, space...)
	for _, p := range parts {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return Key(xxhash.Sum64(b))
}

func longKey(seed uint64, space string, parts [][]byte) Key {
	var d xxhash.Digest
	d.Reset()
	var n [8]byte
	size := func(s int) {
		binary.LittleEndian.PutUint32(n[:], uint32(s))
		_, _ = d.Write(n[:4])
	}
	binary.LittleEndian.PutUint64(n[:], seed)
	_, _ = d.Write(n[:])
	size(len(space))
	_, _ = d.WriteString(space)
	for _, p := range parts {
		size(len(p))
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

// Bytes is the memory that the table reserves.
func (s *Store) Bytes() int {
	n := 0
	for i := range s.shards {
		n += cap(s.shards[i].buckets) * bucketSize
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
	if x < 1<<tagShift {
		x |= 1 << tagShift // no tag of a key in use is that of a free place
	}
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
