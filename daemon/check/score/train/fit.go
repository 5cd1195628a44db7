package train

import (
	"math"
	"math/rand/v2"

	"github.com/sallyport/sallyport/daemon/check/score/model"
)

// Options are how a model is trained. The same options and data give the
// same bytes.
type Options struct {
	Seed   uint64
	Epochs int // passes over the windows, in each round
	// Rounds of choosing in each hostile request the one window that makes it
	// hostile: train, take the highest, train again.
	Rounds int
	Rate   float64 // of AdaGrad
	// Decay is the L2 penalty on each weight, per visit of its feature.
	Decay float64
	// BenignWeight is the loss of a benign window against a hostile one's: a
	// false alarm costs users more than a miss.
	BenignWeight float64
	// MadeBenign and MadeAttacks are how many requests are generated beside
	// the given ones.
	MadeBenign, MadeAttacks int
	// Text are folders of ordinary text files (sources, documentation, pages)
	// of which up to TextPieces pieces are taken as benign.
	Text       []string
	TextPieces int
	// Without names sources of the data that are left out, to measure on them
	// what the model says of a source it never saw.
	Without []string
	// Cut is the logit that scores 80, and Slope how steep the score rises
	// there; both are read off held-out benign requests (model evaluate).
	Cut, Slope float64
	// Progress, when set, is told what is being done.
	Progress func(format string, args ...any)
}

// DefaultOptions are what the embedded model was trained with.
func DefaultOptions() Options {
	return Options{Seed: 1, Epochs: 12, Rounds: 2, Rate: 0.25, Decay: 2e-6, BenignWeight: 1.5, MadeBenign: 130000, MadeAttacks: 120000, TextPieces: 60000, Cut: 0, Slope: 1}
}

// fitter is one logistic regression by AdaGrad, windows in an order that the
// seed alone decides.
type fitter struct {
	set     *set
	weights []float32
	squares []float32
	bias    float32
	biasSq  float32
	rate    float32
	decay   float32
}

func newFitter(s *set, o Options) *fitter {
	f := &fitter{set: s, weights: make([]float32, model.Features), squares: make([]float32, model.Features), rate: float32(o.Rate),
		decay: float32(o.Decay)}
	for i := range f.squares {
		f.squares[i] = 0.01
	}
	f.biasSq = 1
	return f
}

func (f *fitter) logit(i int32) float32 {
	w := &f.set.windows[i]
	fs := f.set.features[w.from : w.from+uint64(w.hashed)+uint64(w.lexical)]
	var char, token, lexical float32
	for _, x := range fs[:w.chars] {
		char += f.weights[x]
	}
	for _, x := range fs[w.chars:w.hashed] {
		token += f.weights[x]
	}
	for _, x := range fs[w.hashed:] {
		lexical += f.weights[x]
	}
	return f.bias + char*w.charW + token*w.tokenW + lexical
}

// lexicalRate slows the lexical features, which are worth more than hashed
// ones and would be learned first and alone.
const lexicalRate = 0.3

func (f *fitter) learn(i int32, hostile bool, weight float32) {
	p := sigmoid(f.logit(i))
	g := p * weight
	if hostile {
		g = (p - 1) * weight
	}
	if g < 1e-4 && g > -1e-4 {
		return
	}
	w := &f.set.windows[i]
	fs := f.set.features[w.from : w.from+uint64(w.hashed)+uint64(w.lexical)]
	f.step(fs[:w.chars], g*w.charW, f.rate)
	f.step(fs[w.chars:w.hashed], g*w.tokenW, f.rate)
	f.step(fs[w.hashed:], g, f.rate*lexicalRate)
	f.biasSq += g * g
	f.bias -= f.rate * g / sqrt(f.biasSq)
}

func (f *fitter) step(fs []uint32, g, rate float32) {
	gg := g * g
	for _, x := range fs {
		f.squares[x] += gg
		v := f.weights[x]
		f.weights[x] = v - (rate*g+f.decay*v)/sqrt(f.squares[x])
	}
}

func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

// example is a window with what it counts as.
type example struct {
	window  int32
	hostile bool
	weight  float32
}

// fit trains afresh on the examples.
func (s *set) fit(examples []example, o Options, epochs int, seed uint64) *fitter {
	f := newFitter(s, o)
	random := rand.New(rand.NewPCG(o.Seed, seed))
	order := make([]int32, len(examples))
	for i := range order {
		order[i] = int32(i)
	}
	average := make([]float32, len(f.weights))
	var averageBias float32
	averaged := 0
	for e := 0; e < epochs; e++ {
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		f.rate = float32(o.Rate) / float32(math.Sqrt(1+float64(e)*0.5))
		for _, k := range order {
			f.learn(examples[k].window, examples[k].hostile, examples[k].weight)
		}
		if e >= epochs/2 {
			for i, w := range f.weights {
				average[i] += w
			}
			averageBias += f.bias
			averaged++
		}
	}
	for i := range f.weights {
		f.weights[i] = average[i] / float32(averaged)
	}
	f.bias = averageBias / float32(averaged)
	return f
}

// examples are all benign windows and, of each bag, the chosen one or, before
// any is chosen, every one that stands in no benign request.
func (s *set) examples(o Options) []example {
	var out []example
	for i := range s.windows {
		if w := &s.windows[i]; w.benign {
			weight := o.BenignWeight * (1 + 0.25*math.Log2(float64(min(w.count, 64))))
			out = append(out, example{int32(i), false, float32(weight)})
		}
	}
	weights := map[int32]float32{}
	var order []int32
	add := func(i int32, w float32) {
		if _, ok := weights[i]; !ok {
			order = append(order, i)
		}
		weights[i] += w
	}
	for k := range s.bags {
		b := &s.bags[k]
		switch {
		case b.chosen >= 0:
			add(b.chosen, b.weight)
		case b.chosen == -1:
			for _, i := range b.windows {
				if !s.windows[i].benign {
					add(i, b.weight/float32(len(b.windows)))
				}
			}
		}
	}
	for _, i := range order {
		w := weights[i]
		if w > 1 {
			w = 1 + 0.5*float32(math.Log2(float64(w)))
		}
		out = append(out, example{i, true, w})
	}
	return out
}

// dropBelow is the logit under which a hostile request's most hostile window
// is taken for a mislabelled one: much of what exploit collections send only
// prepares, and payload lists hold fragments that mean nothing alone.
const dropBelow = -3

// choose picks in each bag the window that f finds most hostile.
func (s *set) choose(f *fitter, last bool) (empty int) {
	for k := range s.bags {
		b := &s.bags[k]
		best := float32(math.Inf(-1))
		b.chosen = -2
		for _, i := range b.windows {
			if s.windows[i].benign {
				continue
			}
			if l := f.logit(i); l > best {
				best, b.chosen = l, i
			}
		}
		if last && b.chosen >= 0 && best < dropBelow {
			b.chosen = -2
		}
		if b.chosen < 0 {
			empty++
		}
	}
	return
}
