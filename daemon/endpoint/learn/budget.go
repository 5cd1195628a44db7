package learn

import "github.com/sallyport/sallyport/daemon/endpoint"

// profile takes one from the budget; nil when there is none left, or the
// client has brought too many that nobody confirmed.
func (b *budget) profile(client uint64) *profile {
	if b.left <= 0 || b.owned[client] >= b.quota {
		b.dropped++
		return nil
	}
	b.left--
	b.owned[client]++
	return &profile{owner: client}
}

// confirm takes a profile off the account of the client that brought it, once
// another client sends the same.
func (b *budget) confirm(p *profile, client uint64) {
	if p.confirmed || p.owner == client {
		return
	}
	p.confirmed = true
	b.release(p.owner)
}

func (b *budget) release(owner uint64) {
	if b.owned[owner]--; b.owned[owner] <= 0 {
		delete(b.owned, owner)
	}
}

func (b *budget) forgetProfile(p *profile) {
	b.left++
	if !p.confirmed {
		b.release(p.owner)
	}
}

func (b *budget) forgetShape(s *shape) {
	if s == nil {
		return
	}
	b.forgetProfile(&s.profile)
	for _, m := range s.members {
		b.forgetShape(m)
	}
	b.forgetShape(s.items)
	b.forgetShape(s.filled)
}

func (b *budget) forget(op *operation) {
	for _, p := range op.params {
		b.forgetProfile(p)
	}
	for _, s := range op.media {
		b.forgetShape(s)
	}
}

// evictParam drops a parameter that one client alone sent.
func evictParam(op *operation, b *budget) bool {
	for k, p := range op.params {
		if !p.confirmed && k.in != "path" {
			delete(op.params, k)
			b.forgetProfile(p)
			b.dropped++
			return true
		}
	}
	return false
}

func evictMedia(op *operation, b *budget) bool {
	for k, s := range op.media {
		if !s.confirmed {
			delete(op.media, k)
			b.forgetShape(s)
			b.dropped++
			return true
		}
	}
	return false
}

// audit counts the budget anew, and with sweep drops every profile of fewer
// than MinClients clients first: when all room is taken, what few clients
// brought goes before what is new is refused.
func (l *Learner) audit(sweep bool) {
	l.swept = l.seen.Calls
	used := 0
	owned := map[uint64]int32{}
	count := func(p *profile) {
		used++
		if !p.confirmed {
			owned[p.owner]++
		}
	}
	few := func(p *profile) bool { return sweep && p.clients.Count() < l.o.MinClients }
	var walk func(s *shape)
	walk = func(s *shape) {
		count(&s.profile)
		for k, m := range s.members {
			if few(&m.profile) {
				delete(s.members, k)
				l.dropped++
				continue
			}
			walk(m)
		}
		for _, inner := range []**shape{&s.items, &s.filled} {
			if *inner != nil && few(&(*inner).profile) {
				*inner = nil
				l.dropped++
			}
			if *inner != nil {
				walk(*inner)
			}
		}
	}
	l.book.Each(func(e *endpoint.Entry[operation]) {
		op := &e.Value
		for k, p := range op.params {
			if few(p) {
				delete(op.params, k)
				l.dropped++
				continue
			}
			count(p)
		}
		for k, s := range op.media {
			if few(&s.profile) {
				delete(op.media, k)
				l.dropped++
				continue
			}
			walk(s)
		}
	})
	l.left, l.owned = l.o.MaxProfiles-used, owned
}
