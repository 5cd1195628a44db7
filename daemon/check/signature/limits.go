package signature

import (
	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// rateFilter changes the action of a rule that matches too often.
type rateFilter struct {
	gid, sid  uint32
	limit     *keyword.Limit
	newAction string
}

// limits gives the rules what a threshold.config says of them.
func (s *Set) limits(programs []*keyword.Program, all []rule.Limit) {
	for _, p := range programs {
		id := uint64(p.GID)<<32 | uint64(p.SID)
		for _, l := range p.Limits {
			l.ID = id
		}
		if p.Filter != nil {
			p.Filter.ID = id
		}
	}
	for _, l := range all {
		switch l.Kind {
		case "suppress":
			s.suppress = append(s.suppress, l)
		case "rate_filter":
			s.rates = append(s.rates, rateFilter{uint32(l.GID), uint32(l.SID), &keyword.Limit{
				Type: "rate", Track: l.Track, Count: uint64(l.Count), Seconds: uint64(l.Seconds),
			}, l.NewAction})
		default:
			for _, p := range programs {
				if uint32(l.GID) != p.GID && l.GID != 0 || uint32(l.SID) != p.SID && l.SID != 0 {
					continue
				}
				p.Limits = []*keyword.Limit{{
					Type: l.Type, Track: l.Track, Count: uint64(l.Count), Seconds: uint64(l.Seconds),
					ID: uint64(p.GID)<<32 | uint64(p.SID),
				}}
			}
		}
	}
}

func (s *Set) suppressed(p *keyword.Program, e *keyword.Env) bool {
	for i := range s.suppress {
		l := &s.suppress[i]
		if uint32(l.GID) != p.GID || l.SID != 0 && uint32(l.SID) != p.SID {
			continue
		}
		switch {
		case l.IP == nil:
			return true
		case l.Track == "by_dst":
			if l.IP.Has(e.Server.Addr()) {
				return true
			}
		case l.Track == "by_either":
			if l.IP.Has(e.Server.Addr()) || l.IP.Has(e.Client.Addr()) {
				return true
			}
		default:
			if l.IP.Has(e.Client.Addr()) {
				return true
			}
		}
	}
	return false
}

// rate applies rate filters to a hit's action.
func (s *Set) rate(h *Hit, e *keyword.Env) {
	for i := range s.rates {
		r := &s.rates[i]
		if r.gid != h.Rule.GID || r.sid != h.Rule.SID {
			continue
		}
		l := *r.limit
		l.ID = uint64(r.gid)<<32 | uint64(r.sid)
		if l.Allow(e) && r.newAction != "" {
			h.Action = r.newAction
		}
	}
}
