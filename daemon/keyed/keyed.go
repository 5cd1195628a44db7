// Package keyed is one bounded, sharded store of counters and small state by
// key: sliding windows, rule thresholds, flow bits and reputation stand on it.
package keyed

import (
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Key is a seeded hash of what is counted. Two spaces never share a key.
type Key uint64

// Store holds state by key.
type Store struct {
	seed   uint64
	shards [64]shard
}

type shard struct {
	mu sync.Mutex
	m  map[Key]*entry
}

type entry struct {
	start   time.Time
	expires time.Time
	prev    float64
	cur     float64
	bits    uint64
}

// New makes a store that holds at most max keys.
func New(max int, seed uint64) *Store {
	s := &Store{seed: seed}
	for i := range s.shards {
		s.shards[i].m = make(map[Key]*entry)
	}
	return s
}

// Key hashes parts into a key of the named space.
func (s *Store) Key(space string, parts ...[]byte) Key {
	var d xxhash.Digest
	d.ResetWithSeed(s.seed)
	_, _ = d.WriteString(space)
	for _, p := range parts {
		_, _ = d.Write([]byte{0})
		_, _ = d.Write(p)
	}
	return Key(d.Sum64())
}

// Add adds n to the sliding window of k and returns the count over the last
// window, n included.
func (s *Store) Add(k Key, now time.Time, window time.Duration, n float64) float64 {
	return s.window(k, now, window, n)
}

// Count is the count of k over the last window.
func (s *Store) Count(k Key, now time.Time, window time.Duration) float64 {
	return s.window(k, now, window, 0)
}

func (s *Store) window(k Key, now time.Time, window time.Duration, n float64) float64 {
	sh := &s.shards[k%64]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.get(k)
	past := now.Sub(e.start)
	switch {
	case past >= 2*window:
		e.prev, e.cur, e.start = 0, 0, now
		past = 0
	case past >= window:
		e.prev, e.cur, e.start = e.cur, 0, e.start.Add(window)
		past -= window
	}
	e.cur += n
	return e.prev*(1-float64(past)/float64(window)) + e.cur
}

// Bits returns the 64 bits kept under k, 0 when none are kept or they expired.
func (s *Store) Bits(k Key, now time.Time) uint64 {
	sh := &s.shards[k%64]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.m[k]; e != nil && now.Before(e.expires) {
		return e.bits
	}
	return 0
}

// SetBits changes the bits kept under k to bits&^clear|set, to be forgotten
// after ttl, and returns them.
func (s *Store) SetBits(k Key, now time.Time, ttl time.Duration, clear, set uint64) uint64 {
	sh := &s.shards[k%64]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.get(k)
	if !now.Before(e.expires) {
		e.bits = 0
	}
	e.bits = e.bits&^clear | set
	e.expires = now.Add(ttl)
	return e.bits
}

// Reset forgets everything.
func (s *Store) Reset() {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		clear(s.shards[i].m)
		s.shards[i].mu.Unlock()
	}
}

func (sh *shard) get(k Key) *entry {
	e := sh.m[k]
	if e == nil {
		e = &entry{}
		sh.m[k] = e
	}
	return e
}
