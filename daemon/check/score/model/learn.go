package model

import "math"

// This file is what training needs of the features; the daemon uses none of it.

// Sizes of what is trained.
const (
	Features      = featureCount
	ClassFeatures = classFeatures
)

// Vector is a window's features as numbers below Features.
type Vector struct {
	Hashed  []uint32 // char buckets, then token buckets
	Chars   int      // how many of Hashed are char buckets
	Lexical []uint32
}

// Worths are what a char, a token and a lexical feature are worth in v.
func (v *Vector) Worths() (char, token, lexical float32) {
	return norm(v.Chars), norm(len(v.Hashed) - v.Chars), 1
}

// Each calls see for every window of every view of text that the gate does
// not pass, with its normal form. win is valid during the call.
func (s *Scratch) Each(text []byte, see func(view View, win []byte)) {
	if Harmless(text) {
		return
	}
	s.views(text, func(view View, text []byte) {
		s.windows(text, func(_ int, win []byte) { see(view, win) })
	})
}

// Vector is the features of a window's normal form, appended to v's slices.
func (s *Scratch) Vector(win []byte, v *Vector) {
	s.vec.of(win)
	v.Hashed, v.Lexical = v.Hashed[:0], v.Lexical[:0]
	for _, f := range s.vec.char {
		v.Hashed = append(v.Hashed, uint32(f))
	}
	v.Chars = len(v.Hashed)
	for _, f := range s.vec.token {
		v.Hashed = append(v.Hashed, charBuckets+uint32(f))
	}
	for _, f := range s.vec.lexical {
		v.Lexical = append(v.Lexical, lexicalBase+uint32(f))
	}
}

// ClassFeature is the feature of the class heads that feature f counts as,
// or -1 for pairs, which the heads do without.
func ClassFeature(f uint32) int {
	switch {
	case f < charBuckets:
		return int(f % classBuckets)
	case f < lexicalBase:
		return classBuckets + int(f%classBuckets)
	case f < lexicalBase+uint32(signCount*4):
		return 2*classBuckets + int(f-lexicalBase)
	}
	return -1
}

// Trained is a model before its weights are rounded.
type Trained struct {
	Info     Info
	Bias     float32
	Weights  []float32 // Features of them
	Heads    [][]float32
	HeadBias []float32
}

// Round makes the model whose weights are t's in eight bits.
func (t *Trained) Round() *Model {
	m := &Model{Info: t.Info, bias: t.Bias, cut: float32(t.Info.Cut), slope: float32(t.Info.Slope)}
	m.Info.Version = featureVersion
	m.weights = make([]int8, featureCount)
	for i, r := range [3][2]int{{0, charBuckets}, {charBuckets, lexicalBase}, {lexicalBase, featureCount}} {
		m.scale[i] = roundTo(m.weights[r[0]:r[1]], t.Weights[r[0]:r[1]])
	}
	m.heads = make([]int8, int(classCount)*classFeatures)
	for c := range m.headScale {
		if c < len(t.Heads) {
			m.headScale[c] = roundTo(m.heads[c*classFeatures:(c+1)*classFeatures], t.Heads[c])
			m.headBias[c] = t.HeadBias[c]
		}
	}
	return m
}

func roundTo(dst []int8, src []float32) float32 {
	var top float32
	for _, w := range src {
		top = max(top, float32(math.Abs(float64(w))))
	}
	if top == 0 {
		return 0
	}
	scale := top / 127
	for i, w := range src {
		dst[i] = int8(math.Round(float64(w / scale)))
	}
	return scale
}

// WithCut is the same model with another operating point.
func (m *Model) WithCut(cut, slope float64) *Model {
	n := *m
	n.Info.Cut, n.Info.Slope = cut, slope
	n.cut, n.slope = float32(cut), float32(slope)
	return &n
}
