package train

import (
	"cmp"
	"slices"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/score"
	"github.com/sallyport/sallyport/daemon/check/score/generate"
	"github.com/sallyport/sallyport/daemon/check/score/model"
	"github.com/sallyport/sallyport/daemon/request"
)

// Evasion is how a class of attacks fares when it is written differently.
type Evasion struct {
	Class          string
	Attacks, Found int // as they are
	Mutants        int // mutations of them
	FoundMutants   int
}

// Evade mutates the hostile value of every attack in the report n times and
// scores each mutant in a request of its own, at a score. "all" comes first.
func Evade(m *model.Model, r *Report, n int, threshold float32, seed uint64) ([]Evasion, error) {
	maker, err := generate.New(seed)
	if err != nil {
		return nil, err
	}
	scratch := &model.Scratch{}
	found := func(text string) bool {
		hit := false
		score.Values(maker.Place(text), check.Head|check.Body, func(v *request.Value, text []byte) {
			hit = hit || score.Look(m, scratch, v, text).Score >= threshold
		})
		return hit
	}
	by := map[string]*Evasion{}
	at := func(class string) *Evasion {
		if by[class] == nil {
			by[class] = &Evasion{Class: class}
		}
		return by[class]
	}
	for i := range r.All {
		j := &r.All[i]
		if !j.Malicious || j.Text == "" || len(j.Text) >= 4*maxListed {
			continue
		}
		both := []*Evasion{at("all"), at(j.Class)}
		count := func(add func(e *Evasion)) {
			for _, e := range both {
				add(e)
			}
		}
		count(func(e *Evasion) { e.Attacks++ })
		if found(j.Text) {
			count(func(e *Evasion) { e.Found++ })
		}
		class := j.Class
		if c, ok := classOf(j.Class); ok {
			class = c.String()
		}
		for range n {
			count(func(e *Evasion) { e.Mutants++ })
			if found(maker.Mutate(j.Text, class)) {
				count(func(e *Evasion) { e.FoundMutants++ })
			}
		}
	}
	var out []Evasion
	for _, e := range by {
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b Evasion) int {
		return cmp.Or(cmp.Compare(b2i(b.Class == "all"), b2i(a.Class == "all")), cmp.Compare(a.Class, b.Class))
	})
	return out, nil
}
