package signature

import (
	"math"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
)

// choice is a set of texts of which one must stand in a buffer for a rule to
// match: the rule is tried when one does.
type choice struct {
	texts []string
	slot  int
	group int // among the compiled rule's
	cost  float64
}

// choose finds the texts that ordinary requests hold least often. ok is false
// for a rule that asks for no text.
func (s *Set) choose(c *compiled) (best choice, ok bool) {
	for g := range c.groups {
		grp := &c.groups[g]
		if grp.Absent {
			continue
		}
		needs := grp.Needs()
		for i, texts := range needs.Texts {
			cost := s.cost(texts, grp.Slot)
			if i == needs.Marked {
				cost *= 0.7 // the author knows the traffic it is for
			}
			if !math.IsInf(cost, 1) && (!ok || cost < best.cost) {
				best, ok = choice{texts, grp.Slot, g, cost}, true
			}
		}
	}
	return best, ok
}

// cost is about how often a rule would be tried on ordinary requests if it
// were looked for by these texts.
func (s *Set) cost(texts []string, slot int) (sum float64) {
	spec := s.slots[slot]
	for _, t := range texts {
		t = piece(spec.ID, t)
		switch {
		case len(t) == 0, len(t) < 3 && spec.ID != buffer.SValue:
			return math.Inf(1)
		case len(t) == 1:
			sum += 0.3 // it tells little, but much of a value: most hold no quote
		}
		// What a longer text saves in comparing counts for little.
		sum += expected(t, spec.ID) + 1e-4/float64(len(t))
	}
	return sum
}

// piece is what to look for in the head for a text in one of its buffers. The
// buffers of fields may lack lines that the head has, so a text over several
// lines is looked for by one of them; the names of the fields stand before
// colons there.
func piece(id buffer.ID, t string) string {
	if p, ok := id.Part(""); !ok || p == buffer.Line || p == buffer.Target || !strings.ContainsAny(t, "\r\n") {
		return t
	}
	best, least := "", 1e9
	for from := 0; from < len(t); {
		to := from
		for to < len(t) && t[to] != '\r' && t[to] != '\n' {
			to++
		}
		if to > from {
			part := t[from:to]
			// The first name of all stands behind the request line, not among the fields.
			if from >= 2 && t[from-2:from] == "\r\n" && (from > 2 || id != buffer.SHeaderNames) {
				part = "\r\n" + part
			}
			if strings.HasPrefix(t[to:], "\r\n") {
				if id == buffer.SHeaderNames {
					part += ":"
				} else {
					part += "\r\n"
				}
			}
			if n := expected(part, id); n < least {
				best, least = part, n
			}
		}
		from = to + 1
	}
	return best
}
