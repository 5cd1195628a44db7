package train

import (
	"math/rand/v2"

	"github.com/sallyport/sallyport/daemon/check/score/model"
)

// fitHeads trains, on the chosen windows alone, one weight vector a class
// against all others.
func (s *set) fitHeads(o Options) (heads [][]float32, bias []float32) {
	classes := model.Classes()
	var chosen []int
	for k := range s.bags {
		if s.bags[k].chosen >= 0 && s.bags[k].class >= 0 {
			chosen = append(chosen, k)
		}
	}
	heads, bias = make([][]float32, len(classes)), make([]float32, len(classes))
	squares := make([][]float32, len(classes))
	for c := range classes {
		heads[c], squares[c] = make([]float32, model.ClassFeatures), make([]float32, model.ClassFeatures)
		bias[c] = -2
		for i := range squares[c] {
			squares[c][i] = 0.01
		}
	}
	random := rand.New(rand.NewPCG(o.Seed, 77))
	for e := 0; e < 2; e++ {
		random.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
		for _, k := range chosen {
			b := &s.bags[k]
			w := &s.windows[b.chosen]
			fs := s.features[w.from : w.from+uint64(w.hashed)+uint64(w.lexical)]
			for c := range classes {
				h, q := heads[c], squares[c]
				l := bias[c]
				worth := func(j int) float32 {
					switch {
					case j < int(w.chars):
						return w.charW
					case j < int(w.hashed):
						return w.tokenW
					}
					return 1
				}
				for j, x := range fs {
					if i := model.ClassFeature(x); i >= 0 {
						l += h[i] * worth(j)
					}
				}
				g := sigmoid(l)
				if int(b.class) == c {
					g--
				}
				if g < 1e-3 && g > -1e-3 {
					continue
				}
				for j, x := range fs {
					if i := model.ClassFeature(x); i >= 0 {
						d := g * worth(j)
						q[i] += d * d
						h[i] -= 0.2 * d / sqrt(q[i])
					}
				}
				bias[c] -= 0.02 * g
			}
		}
	}
	return heads, bias
}
