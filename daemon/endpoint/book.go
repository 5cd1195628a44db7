package endpoint

import (
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Options are a Book's bounds and thresholds.
type Options struct {
	// Max is how many endpoints are held at most. 0 means 4096.
	Max int
	// MinClients is how many distinct clients establish an endpoint. 0 means 3.
	MinClients int
	// MinShare is the share of all clients, 0 to 1, that must have sent names
	// under one prefix before these names are folded into a placeholder, so
	// that a minority cannot fold what the others use. 0 means 0.1.
	MinShare float64
	// Seed goes into every hash; take a random one.
	Seed uint64
}

// Book holds what is known of each endpoint, keyed by site, method and path
// template, in bounded memory.
//
// A new endpoint is on probation, in a quarter of the room, until MinClients
// distinct clients have used it. When probation is full, whoever brought most
// of what is there loses first, so a client that invents paths evicts its own
// inventions. An established endpoint gives way only to one that more distinct
// clients use.
//
// A Book is safe for concurrent use.
type Book[V any] struct {
	o      Options
	shards []shard[V]
	folds  atomic.Pointer[folds]
	spread *spreads
	merge  func(dst, src *V)
	gone   func(*V)
}

// Entry is one endpoint. Value is the caller's.
type Entry[V any] struct {
	Site, Method, Template string

	First, Last time.Time
	Count       uint64
	Clients     Distinct
	Value       V

	hash        uint64
	shard       *shard[V]
	at          int // place in the shard's list of probation or established entries
	count       int // of Clients, kept since an estimate takes a microsecond
	owner       uint8
	established bool
}

// Established says that enough distinct clients have used the endpoint.
func (e *Entry[V]) Established() bool { return e.established }

// Release ends the exclusive use that Acquire gave.
func (e *Entry[V]) Release() { e.shard.mu.Unlock() }

type shard[V any] struct {
	mu          sync.Mutex
	byHash      map[uint64]*Entry[V]
	probation   []*Entry[V]
	established []*Entry[V]
	owners      [64]int32 // entries on probation by the client that brought them
	clients     Distinct  // all clients seen
	evicted     uint64
	turn        int
}

// NewBook makes an empty book. merge adds src to dst when two endpoints turn
// out to be one; it may be nil when V needs no merging.
func NewBook[V any](o Options, merge func(dst, src *V)) *Book[V] {
	b := &Book[V]{o: o.withDefaults(), merge: merge}
	n := max(1, min(32, 1<<(bits.Len(uint(b.o.Max/64))))/2)
	b.shards = make([]shard[V], n)
	for i := range b.shards {
		b.shards[i].byHash = make(map[uint64]*Entry[V])
	}
	b.spread = newSpreads(b.o)
	return b
}

// OnEvict has f hear of every value that is forgotten for want of room, for
// exclusive use during the call; f must not call the book. It must be set
// before the first call.
func (b *Book[V]) OnEvict(f func(*V)) { b.gone = f }

func (o Options) withDefaults() Options {
	if o.Max <= 0 {
		o.Max = 4096
	}
	if o.MinClients <= 0 {
		o.MinClients = 3
	}
	if o.MinShare <= 0 {
		o.MinShare = 0.1
	}
	return o
}

// room is how many entries a shard may hold on probation and established.
func (b *Book[V]) room() (probation, established int) {
	each := max(4, b.o.Max/len(b.shards))
	return each / 4, each - each/4
}

func hashKey(seed uint64, site, method string, template []byte) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(seed)
	_, _ = d.WriteString(site)
	_, _ = d.WriteString("\x00")
	_, _ = d.WriteString(method)
	_, _ = d.WriteString("\x00")
	_, _ = d.Write(template)
	return d.Sum64()
}

// Acquire counts one call of an endpoint by a client (see Client) and returns
// the endpoint, made if need be, for exclusive use until Release: hold it
// briefly and do not call the book meanwhile. For a known endpoint nothing is
// allocated.
func (b *Book[V]) Acquire(site, method string, template []byte, client uint64, now time.Time) *Entry[V] {
	if e := b.find(site, method, template, client, now); e != nil {
		return e
	}
	if f := b.folds.Load(); f != nil {
		var buf [MaxTemplate]byte
		if folded := f.rewrite(buf[:0], site, template); string(folded) != string(template) {
			if e := b.find(site, method, folded, client, now); e != nil {
				return e
			}
			return b.insert(site, method, string(folded), client, now)
		}
	}
	return b.insert(site, method, string(template), client, now)
}

func (b *Book[V]) shardOf(hash uint64) *shard[V] { return &b.shards[hash>>32%uint64(len(b.shards))] }

func (b *Book[V]) find(site, method string, template []byte, client uint64, now time.Time) *Entry[V] {
	h := hashKey(b.o.Seed, site, method, template)
	s := b.shardOf(h)
	s.mu.Lock()
	e := s.byHash[h]
	if e == nil {
		s.mu.Unlock()
		return nil
	}
	b.seen(s, e, client, now)
	return e
}

func (b *Book[V]) seen(s *shard[V], e *Entry[V], client uint64, now time.Time) {
	e.Count++
	if now.After(e.Last) {
		e.Last = now
	}
	if e.Clients.Add(client) {
		s.clients.Add(client)
		e.count = e.Clients.Count()
		if !e.established && e.count >= b.o.MinClients {
			b.establish(s, e)
		}
	}
}

func (b *Book[V]) insert(site, method, template string, client uint64, now time.Time) *Entry[V] {
	b.spread.note(site, template, client, now)
	e := &Entry[V]{Site: strings.Clone(site), Method: strings.Clone(method), Template: template, First: now, Last: now}
	e.hash = hashKey(b.o.Seed, site, method, []byte(template))
	e.owner = uint8(client >> 32 & 63)
	s := b.shardOf(e.hash)
	s.mu.Lock()
	if other := s.byHash[e.hash]; other != nil { // another goroutine was faster
		b.seen(s, other, client, now)
		return other
	}
	b.admit(s, e)
	b.seen(s, e, client, now)
	return e
}

// admit puts e on probation, evicting if there is no room.
func (b *Book[V]) admit(s *shard[V], e *Entry[V]) {
	room, _ := b.room()
	if len(s.probation) >= room {
		old := s.victim()
		s.drop(old)
		if b.gone != nil {
			b.gone(&old.Value)
		}
	}
	e.shard, e.at = s, len(s.probation)
	s.probation = append(s.probation, e)
	s.owners[e.owner]++
	s.byHash[e.hash] = e
}

// victimScan bounds how many entries an eviction looks at.
const victimScan = 64

// victim is the entry on probation whose owner brought most of the others;
// of these the one unused for longest.
func (s *shard[V]) victim() *Entry[V] {
	n := len(s.probation)
	best := s.probation[s.turn%n]
	for i := 1; i < min(n, victimScan); i++ {
		e := s.probation[(s.turn+i)%n]
		if a, b := s.owners[e.owner], s.owners[best.owner]; a > b || a == b && e.Last.Before(best.Last) {
			best = e
		}
	}
	s.turn += victimScan
	return best
}

// drop forgets an entry on probation.
func (s *shard[V]) drop(e *Entry[V]) {
	s.leaveProbation(e)
	delete(s.byHash, e.hash)
	s.evicted++
}

func (s *shard[V]) leaveProbation(e *Entry[V]) {
	last := s.probation[len(s.probation)-1]
	s.probation[e.at], last.at = last, e.at
	s.probation[len(s.probation)-1] = nil
	s.probation = s.probation[:len(s.probation)-1]
	s.owners[e.owner]--
}

// establish moves e out of probation if there is room, or if it has more
// clients than the established entry with the fewest, which then makes room.
func (b *Book[V]) establish(s *shard[V], e *Entry[V]) {
	_, room := b.room()
	if len(s.established) < room {
		s.leaveProbation(e)
		e.at, e.established = len(s.established), true
		s.established = append(s.established, e)
		return
	}
	weakest := s.established[0]
	for _, o := range s.established[1:] {
		if o.count < weakest.count || o.count == weakest.count && o.Last.Before(weakest.Last) {
			weakest = o
		}
	}
	if weakest.count >= e.count {
		return
	}
	s.leaveProbation(e)
	e.at, e.established = weakest.at, true
	s.established[e.at] = e
	delete(s.byHash, weakest.hash)
	s.evicted++
	if b.gone != nil {
		b.gone(&weakest.Value)
	}
}

// Each calls f with every endpoint, each for exclusive use during the call.
func (b *Book[V]) Each(f func(*Entry[V])) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		for _, e := range s.established {
			f(e)
		}
		for _, e := range s.probation {
			f(e)
		}
		s.mu.Unlock()
	}
}

// Restore puts back an entry that Each once showed: its key, times, counts and
// value. It is dropped when there is no room for it.
func (b *Book[V]) Restore(kept Entry[V]) {
	e := &Entry[V]{
		Site: kept.Site, Method: kept.Method, Template: kept.Template,
		First: kept.First, Last: kept.Last, Count: kept.Count, Clients: kept.Clients, Value: kept.Value,
	}
	e.hash = hashKey(b.o.Seed, e.Site, e.Method, []byte(e.Template))
	e.owner = uint8(e.hash & 63)
	s := b.shardOf(e.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byHash[e.hash] != nil {
		return
	}
	b.admit(s, e)
	s.clients.Merge(&e.Clients)
	e.count = e.Clients.Count()
	if e.count >= b.o.MinClients {
		b.establish(s, e)
	}
}

// Remove forgets one endpoint.
func (b *Book[V]) Remove(site, method, template string) {
	h := hashKey(b.o.Seed, site, method, []byte(template))
	s := b.shardOf(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byHash[h]; e != nil {
		s.remove(e)
	}
}

func (s *shard[V]) remove(e *Entry[V]) {
	if !e.established {
		s.drop(e)
		return
	}
	last := s.established[len(s.established)-1]
	s.established[e.at], last.at = last, e.at
	s.established[len(s.established)-1] = nil
	s.established = s.established[:len(s.established)-1]
	delete(s.byHash, e.hash)
}

// Stats is how full a book is.
type Stats struct {
	Endpoints, Established int
	Clients                int    // distinct clients of all endpoints, an estimate above 16
	Evicted                uint64 // endpoints forgotten for want of room
	Folds                  int    // prefixes whose names were folded into a placeholder
}

// Stats counts.
func (b *Book[V]) Stats() Stats {
	var st Stats
	var clients Distinct
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		st.Established += len(s.established)
		st.Endpoints += len(s.byHash)
		st.Evicted += s.evicted
		clients.Merge(&s.clients)
		s.mu.Unlock()
	}
	st.Clients = clients.Count()
	if f := b.folds.Load(); f != nil {
		st.Folds = len(f.at)
	}
	return st
}
