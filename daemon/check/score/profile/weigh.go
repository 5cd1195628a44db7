package profile

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/score/model"
)

// A value's suspicious signs are explained by the profile from explainedFrom
// of their weight on, and wholly from explainedWholly on.
const (
	explainedFrom   = 0.8
	explainedWholly = 0.95
	// raiseEach is what each class of bytes adds that no client sent before.
	raiseEach = 0.4
	// raiseMembers is how many panel members must have sent a parameter before
	// a value is called unlike theirs.
	raiseMembers = 16
	// badReputation is the reputation from which a source's values count for more.
	badReputation = 20
)

func (b *Book) weigh(p *Profile, s *Seen, reputation float64) {
	q := p.params[s.Key]
	members := 0
	if q != nil {
		members = bits.OnesCount64(q.seen)
	}
	var why []string
	if members >= b.o.MinClients && q.signs != nil && !s.Keep {
		if share := b.explained(q, s.Evidence, members); share > explainedFrom {
			part := min(1, (share-explainedFrom)/(explainedWholly-explainedFrom))
			s.Change -= float32(b.o.Discount * part)
			why = append(why, fmt.Sprintf("%.0f%% of what counted is normal in this parameter, where %d of %d sampled clients send such values",
				100*share, bits.OnesCount64(q.fired), members))
		}
	}
	if s.Change == 0 && members >= max(raiseMembers, b.o.MinClients) {
		if up, said := unlike(q, s); up > 0 {
			s.Change += float32(min(up, b.o.Raise))
			why = append(why, said)
		}
	}
	if reputation >= badReputation && s.Change >= 0 {
		s.Change += float32(min(reputation/100, 1))
		why = append(why, fmt.Sprintf("the source's reputation is %.0f", reputation))
	}
	s.Why = strings.Join(why, "; ")
}

// explained is the share of the evidence's weight that is normal here.
func (b *Book) explained(q *param, evidence []model.Evidence, members int) float64 {
	least := max(float64(b.o.MinClients)/2, b.o.NormalShare*float64(members))
	var all, normal float64
	for _, e := range evidence {
		if e.Logit <= 0 {
			continue
		}
		all += float64(e.Logit)
		if float64(bits.OnesCount64(q.signs[e.ID])) >= least {
			normal += float64(e.Logit)
		}
	}
	if all == 0 {
		return 0
	}
	return normal / all
}

// unlike says what in a value no panel member has sent in this parameter.
func unlike(q *param, s *Seen) (up float64, said string) {
	var names []string
	for m := s.Classes; m != 0; m &= m - 1 {
		c := bits.TrailingZeros16(m)
		if q.classes[c] == 0 {
			names = append(names, classNames[c])
		}
	}
	if s.Length > 64 && s.Length > 8*int(q.longest) {
		names = append(names, "such length")
	}
	if len(names) == 0 {
		return 0, ""
	}
	return raiseEach * float64(len(names)), "no client sent " + strings.Join(names, ", ") + " here before"
}
