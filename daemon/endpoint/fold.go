package endpoint

import (
	"strings"
	"time"
)

// Thresholds of folding. Names alone cannot tell /users/jane from
// /users/search; how many there are under one prefix, and from how many
// clients, can.
const (
	foldValues  = 32 // distinct names under one prefix, most of them rare
	foldClients = 8  // distinct clients that brought such names
	foldAlike   = 64 // names that are used by many, with the same endpoints below each
	maxSpreads  = 2048
	maxFolds    = 1024
	maxPrefixes = 8 // positions of a path that are looked at
	// NamePlaceholder stands for names that were folded.
	NamePlaceholder = "{name}"
)

// spreads counts, per site and prefix, the names that newly appeared after it
// and the clients that brought them.
type spreads struct {
	book *Book[spread]
}

type spread struct {
	names Distinct
}

func newSpreads(o Options) *spreads {
	// A book whose own spread is nil: prefixes are not folded themselves.
	b := &Book[spread]{o: o}
	b.o.Max = min(maxSpreads, max(64, o.Max))
	b.shards = make([]shard[spread], 4)
	for i := range b.shards {
		b.shards[i].byHash = make(map[uint64]*Entry[spread])
	}
	return &spreads{book: b}
}

// note counts a template that the book did not know.
func (s *spreads) note(site, template string, client uint64, now time.Time) {
	if s == nil {
		return
	}
	for i, p := range prefixes(template) {
		if i == maxPrefixes {
			break
		}
		if p.name == "" || strings.IndexByte(p.name, '{') >= 0 {
			continue
		}
		e := s.book.Acquire(site, "", []byte(p.prefix), client, now)
		e.Value.names.Add(hashKey(s.book.o.Seed, p.name, "", nil))
		e.Release()
	}
}

type position struct{ prefix, name, suffix string }

// prefixes cuts a template at each of its segments: "/a/b" gives "" and "a",
// "/a" and "b".
func prefixes(template string) (out []position) {
	for i := 0; i < len(template); {
		end := strings.IndexByte(template[i+1:], '/')
		if end < 0 {
			end = len(template)
		} else {
			end += i + 1
		}
		out = append(out, position{template[:i], template[i+1 : end], template[end:]})
		i = end
	}
	return out
}

// folds are the prefixes whose names were folded. It never changes.
type folds struct {
	at map[foldKey]map[string]bool // the names that stay as they are
}

type foldKey struct{ site, prefix string }

// rewrite appends template to dst with the names under folded prefixes
// replaced, from left to right, so that a prefix may hold a placeholder.
func (f *folds) rewrite(dst []byte, site string, template []byte) []byte {
	for len(template) > 0 {
		seg, left, _ := nextSegment(template)
		literal := len(seg) > 0
		for _, c := range seg {
			literal = literal && c != '{'
		}
		replaced := false
		if literal {
			if keep, ok := f.at[foldKey{site, string(dst)}]; ok && !keep[string(seg)] {
				replaced = true
			}
		}
		dst = append(dst, '/')
		if replaced {
			dst = append(dst, NamePlaceholder...)
		} else {
			dst = append(dst, seg...)
		}
		template = left
	}
	return dst
}

// Fold looks for prefixes under which clients fill in names, and folds these
// names into NamePlaceholder: either at least 32 names, most of them not
// established, or more than 64 that many clients use and that have the same
// endpoints below them. The rare names must have come from at least 8 clients
// and MinShare of all clients, and so must each of the many. A name that as
// many use among rare ones stays. It returns how many prefixes it folded;
// whoever owns the book calls it now and then (every minute, every 10,000 calls).
func (b *Book[V]) Fold(now time.Time) int {
	total := b.Stats().Clients
	need := max(foldClients, int(b.o.MinShare*float64(total)+0.999))
	byPrefix := b.namesByPrefix(max(b.o.MinClients, int(b.o.MinShare*float64(total)+0.999)))
	next := &folds{at: map[foldKey]map[string]bool{}}
	if old := b.folds.Load(); old != nil {
		for k, v := range old.at {
			next.at[k] = v
		}
	}
	added := 0
	b.spread.book.Each(func(e *Entry[spread]) {
		k := foldKey{e.Site, e.Template}
		if _, done := next.at[k]; done || len(next.at) >= maxFolds || e.count < need {
			return
		}
		under := byPrefix[k]
		if under == nil {
			under = &noNames
		}
		if n := e.Value.names.Count(); n >= foldValues && 2*len(under.seen) < n {
			keep := make(map[string]bool, len(under.popular))
			for name := range under.popular {
				keep[name] = true
			}
			next.at[k] = keep
			added++
		}
	})
	for k, under := range byPrefix {
		if _, done := next.at[k]; !done && len(next.at) < maxFolds && len(under.popular) > foldAlike && under.alike() {
			next.at[k] = nil
			added++
		}
	}
	if added > 0 {
		b.folds.Store(next)
		b.refile(next, now)
	}
	return added
}

type names struct {
	seen map[string]bool // established names
	// popular are the names that a good share of the clients uses, with a
	// sum of what lies below each: the same sum, the same endpoints.
	popular map[string]uint64
}

var noNames names

func (n *names) alike() bool {
	count := map[uint64]int{}
	most := 0
	for _, below := range n.popular {
		count[below]++
		most = max(most, count[below])
	}
	return most*10 >= len(n.popular)*9
}

func (b *Book[V]) namesByPrefix(popular int) map[foldKey]*names {
	out := map[foldKey]*names{}
	b.Each(func(e *Entry[V]) {
		if !e.established {
			return
		}
		for i, p := range prefixes(e.Template) {
			if i == maxPrefixes {
				break
			}
			if strings.IndexByte(p.name, '{') >= 0 {
				continue
			}
			k := foldKey{e.Site, p.prefix}
			n, ok := out[k]
			if !ok {
				n = &names{popular: map[string]uint64{}, seen: map[string]bool{}}
				out[k] = n
			}
			n.seen[p.name] = true
			if e.count >= popular {
				n.popular[p.name] += hashKey(1, e.Method, p.suffix, nil)
			}
		}
	})
	return out
}

// refile moves every entry whose template the folds change to its new key.
func (b *Book[V]) refile(f *folds, now time.Time) {
	var moved []*Entry[V]
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		for _, list := range [][]*Entry[V]{s.established, s.probation} {
			for _, e := range list {
				if string(f.rewrite(nil, e.Site, []byte(e.Template))) != e.Template {
					moved = append(moved, e)
				}
			}
		}
		for _, e := range moved {
			if e.shard == s && s.byHash[e.hash] == e {
				s.remove(e)
			}
		}
		s.mu.Unlock()
	}
	for _, e := range moved {
		b.join(e, string(f.rewrite(nil, e.Site, []byte(e.Template))), now)
	}
}

// join adds what is known of e to the endpoint of another template.
func (b *Book[V]) join(e *Entry[V], template string, now time.Time) {
	hash := hashKey(b.o.Seed, e.Site, e.Method, []byte(template))
	s := b.shardOf(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	to := s.byHash[hash]
	if to == nil {
		to = &Entry[V]{Site: e.Site, Method: e.Method, Template: template, First: e.First, Last: e.Last, hash: hash, owner: e.owner}
		b.admit(s, to)
	}
	to.Count += e.Count
	if e.First.Before(to.First) {
		to.First = e.First
	}
	if e.Last.After(to.Last) {
		to.Last = e.Last
	}
	to.Clients.Merge(&e.Clients)
	to.count = to.Clients.Count()
	s.clients.Merge(&e.Clients)
	if b.merge != nil {
		b.merge(&to.Value, &e.Value)
	}
	if !to.established && to.count >= b.o.MinClients {
		b.establish(s, to)
	}
}

// Known says whether the endpoint that a call with this template belongs to
// is established, and gives its template. It counts nothing.
func (b *Book[V]) Known(site, method string, template []byte) (string, bool) {
	if t, ok := b.lookup(site, method, template); ok {
		return t, true
	}
	if f := b.folds.Load(); f != nil {
		var buf [MaxTemplate]byte
		return b.lookup(site, method, f.rewrite(buf[:0], site, template))
	}
	return "", false
}

func (b *Book[V]) lookup(site, method string, template []byte) (string, bool) {
	h := hashKey(b.o.Seed, site, method, template)
	s := b.shardOf(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byHash[h]; e != nil && e.established {
		return e.Template, true
	}
	return "", false
}
