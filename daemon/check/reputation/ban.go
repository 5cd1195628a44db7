package reputation

import (
	"container/heap"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"

	"github.com/sallyport/sallyport/daemon/check"
)

// Ban is one refused address or network.
type Ban struct {
	Prefix netip.Prefix `json:"prefix"`
	Since  time.Time    `json:"since"`
	Until  time.Time    `json:"until"`
	Why    string       `json:"why"`
	// By names the person who set it; empty for a ban that the daemon set itself.
	By string `json:"by,omitempty"`
	// Times is how many bans that grow with each this makes; 0 for any other.
	Times int `json:"times,omitempty"`
}

// ErrFull says that the ban list holds max_bans bans set by people.
var ErrFull = errors.New("the ban list is full")

// bans is the ban list: a table read without a lock and changed by copying
// the touched path, and a heap of the bans that may give way.
type bans struct {
	table atomic.Pointer[bart.Table[*Ban]]
	mu    sync.Mutex
	max   int
	ends  endHeap // automatic bans, the soonest end first; stale ones are skipped
}

func (b *bans) init() { b.table.Store(&bart.Table[*Ban]{}) }

func (b *bans) setMax(n int) {
	b.mu.Lock()
	b.max = n
	b.mu.Unlock()
}

// find returns the live ban that covers an address, the narrowest first.
func (b *bans) find(a netip.Addr, now time.Time) *Ban {
	t := b.table.Load()
	ban, ok := t.Lookup(a)
	if !ok {
		return nil
	}
	if now.Before(ban.Until) {
		return ban
	}
	// An ended ban of an address must not hide a live one of its network.
	for _, ban := range t.Supernets(netip.PrefixFrom(a, a.BitLen())) {
		if now.Before(ban.Until) {
			return ban
		}
	}
	return nil
}

// put adds a ban, or replaces that of the same prefix if it ends later or a
// person set it.
func (b *bans) put(ban Ban, now time.Time) (added bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.table.Load()
	if old, ok := t.Get(ban.Prefix); ok && now.Before(old.Until) && ban.By == "" && !ban.Until.After(old.Until) {
		return false, nil
	} else if !ok && t.Size() >= b.max {
		if t = b.makeRoom(t, now); t == nil {
			return false, fmt.Errorf("%w: max_bans is %d and all were set by people; unban some or raise it", ErrFull, b.max)
		}
	}
	b.table.Store(t.InsertPersist(ban.Prefix, &ban))
	if ban.By == "" {
		heap.Push(&b.ends, ending{ban.Until, ban.Prefix})
		b.compact()
	}
	return true, nil
}

// makeRoom drops the automatic ban that ends soonest; nil if there is none.
func (b *bans) makeRoom(t *bart.Table[*Ban], now time.Time) *bart.Table[*Ban] {
	for b.ends.Len() > 0 {
		e := heap.Pop(&b.ends).(ending)
		if ban, ok := t.Get(e.prefix); ok && ban.By == "" && ban.Until.Equal(e.until) {
			return t.DeletePersist(e.prefix)
		}
	}
	fresh, dropped := live(t, now)
	if dropped == 0 {
		return nil
	}
	return fresh
}

// compact rebuilds the heap when stale entries outnumber live ones.
func (b *bans) compact() {
	t := b.table.Load()
	if len(b.ends) < 1024 || len(b.ends) < 2*t.Size() {
		return
	}
	b.ends = b.ends[:0]
	for p, ban := range t.All() {
		if ban.By == "" {
			b.ends = append(b.ends, ending{ban.Until, p})
		}
	}
	heap.Init(&b.ends)
}

// remove lifts the bans of a prefix and of all within it.
func (b *bans) remove(p netip.Prefix) (removed []Ban) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.table.Load()
	for _, ban := range t.Subnets(p) {
		removed = append(removed, *ban)
	}
	for i := range removed {
		t = t.DeletePersist(removed[i].Prefix)
	}
	b.table.Store(t)
	return removed
}

// purge drops ended bans and says how many.
func (b *bans) purge(now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh, dropped := live(b.table.Load(), now)
	if dropped > 0 {
		b.table.Store(fresh)
		b.compact()
	}
	return dropped
}

func live(t *bart.Table[*Ban], now time.Time) (fresh *bart.Table[*Ban], dropped int) {
	for _, ban := range t.All() {
		if !now.Before(ban.Until) {
			dropped++
		}
	}
	if dropped == 0 {
		return t, 0
	}
	fresh = &bart.Table[*Ban]{}
	for p, ban := range t.All() {
		if now.Before(ban.Until) {
			fresh.Insert(p, ban)
		}
	}
	return fresh, dropped
}

func (b *bans) all() (out []Ban) {
	for _, ban := range b.table.Load().AllSorted() {
		out = append(out, *ban)
	}
	return out
}

type ending struct {
	until  time.Time
	prefix netip.Prefix
}

type endHeap []ending

func (h endHeap) Len() int           { return len(h) }
func (h endHeap) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h endHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *endHeap) Push(x any)        { *h = append(*h, x.(ending)) }
func (h *endHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// Ban refuses a client's source for d, as the policy asked: a ban that ends
// later already stays.
func (b *Book) Ban(addr netip.Addr, d time.Duration, why string, now time.Time) {
	if !addr.IsValid() || d <= 0 {
		return
	}
	source := check.SourceOf(addr)
	ban := Ban{Prefix: netip.PrefixFrom(source, sourceBits(source)), Since: now, Until: now.Add(d), Why: cut(why)}
	if ban.Times, _ = b.o.State.Bans(b.key(source), now); ban.Times > 0 {
		b.remember(source)
	}
	added, err := b.bans.put(ban, ban.Since)
	if err != nil {
		b.o.Event(fmt.Sprintf("%s is not banned: %v", ban.Prefix, err))
		return
	}
	if added {
		b.changed.Store(true)
		b.tell(topicBans, message{Ban: &ban})
	}
}

// remember has the number of a source's bans be in the state file.
func (b *Book) remember(source netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.banned[source]; !ok && len(b.banned) >= maxBanned {
		for any := range b.banned {
			delete(b.banned, any)
			break
		}
	}
	b.banned[source] = struct{}{}
}

// BanPrefix refuses an address or network because a person said so. It is in
// the state file when it returns.
func (b *Book) BanPrefix(p netip.Prefix, d time.Duration, why, by string, now time.Time) (Ban, error) {
	p = unmap(p)
	switch {
	case !p.IsValid():
		return Ban{}, errors.New("ban: no address or network was given")
	case p.Bits() < 8:
		return Ban{}, fmt.Errorf("ban %s: that is more than a /8; ban a smaller network, or use a route's deny list", p)
	case d < time.Second || d > 10*365*24*time.Hour:
		return Ban{}, fmt.Errorf("ban %s for %v: expected a second to ten years", p, d)
	case by == "":
		by = "unknown"
	}
	ban := Ban{Prefix: p, Since: now, Until: now.Add(d), Why: cut(why), By: by}
	if _, err := b.bans.put(ban, now); err != nil {
		return Ban{}, fmt.Errorf("ban %s: %w", p, err)
	}
	b.tell(topicBans, message{Ban: &ban})
	return ban, b.Save()
}

// Unban lifts the bans of an address or network and of all within it, and
// forgets the score and the number of bans of each.
func (b *Book) Unban(p netip.Prefix, now time.Time) ([]Ban, error) {
	p = unmap(p)
	if !p.IsValid() {
		return nil, errors.New("unban: no address or network was given")
	}
	removed := b.bans.remove(p)
	if p.Addr().Is6() && p.Bits() > 64 {
		// An address was banned as its /64.
		whole, _ := p.Addr().Prefix(64)
		removed = append(removed, b.bans.remove(whole)...)
	}
	for _, ban := range removed {
		source := check.SourceOf(ban.Prefix.Addr())
		b.forget(source, now)
	}
	if len(removed) == 0 && p.IsSingleIP() {
		b.forget(check.SourceOf(p.Addr()), now)
	}
	b.tell(topicBans, message{Unban: p.String()})
	return removed, b.Save()
}

func (b *Book) forget(source netip.Addr, now time.Time) {
	k := b.key(source)
	b.o.State.Unban(k)
	b.o.State.Raise(k, now, time.Hour, -200, 100)
	b.mu.Lock()
	delete(b.details, source)
	b.mu.Unlock()
}

// Bans lists the bans in force.
func (b *Book) Bans(now time.Time) (out []Ban) {
	for _, ban := range b.bans.all() {
		if now.Before(ban.Until) {
			out = append(out, ban)
		}
	}
	return out
}

func unmap(p netip.Prefix) netip.Prefix {
	if !p.IsValid() {
		return p
	}
	a, bits := p.Addr(), p.Bits()
	if a.Is4In6() {
		if bits < 96 {
			return netip.Prefix{}
		}
		a, bits = a.Unmap(), bits-96
	}
	return netip.PrefixFrom(a.WithZone(""), bits).Masked()
}

// ParsePrefix reads an address or a network.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return unmap(netip.PrefixFrom(a.WithZone(""), a.BitLen())), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || !unmap(p).IsValid() {
		return netip.Prefix{}, fmt.Errorf("%q is no address or network, expected such as 192.0.2.7 or 2001:db8::/32", s)
	}
	return unmap(p), nil
}
