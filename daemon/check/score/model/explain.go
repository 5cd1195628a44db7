package model

import (
	"cmp"
	"slices"
)

// Explanation says in words what made a value's score.
type Explanation struct {
	View View
	// Text is what the view showed around the window, and Mark the part of
	// it, as offset and length, that counted most.
	Text string
	Mark [2]int
	// Signs are what was seen, the strongest first.
	Signs []Contribution
}

// Contribution is one sign's part of the logit.
type Contribution struct {
	Sign  string
	Logit float32
}

// maxSigns bounds the signs an explanation names.
const maxSigns = 6

// Explain looks again at the window that set hit. It allocates: it is for
// the rare value that is worth a finding.
func (m *Model) Explain(s *Scratch, text []byte, hit Hit) Explanation {
	e := Explanation{View: hit.view}
	if Harmless(text) {
		return e
	}
	done := false
	s.views(text, func(view View, text []byte) {
		if view != hit.view || done {
			return
		}
		done = true
		form, offsets := normal(nil, text, make([]uint32, 0, len(text)+2))
		if hit.from >= len(form) {
			return
		}
		end := min(hit.from+windowSize, len(form))
		win := form[hit.from:end]
		s.vec.of(win)
		lo, hi := m.strongest(&s.vec, win)
		from, to := int(offsets[hit.from+lo]), int(offsets[hit.from+hi-1])+1
		first := max(0, from-64)
		last := min(len(text), max(first+192, to+32), first+256)
		e.Text = string(text[first:last])
		e.Mark = [2]int{from - first, min(to, last) - from}
		e.Signs = m.signs(&s.vec)
	})
	return e
}

// strongest finds the stretch of the window whose bytes and tokens say most
// for an attack.
func (m *Model) strongest(v *vector, win []byte) (lo, hi int) {
	worth := make([]float32, len(win))
	spread := func(from, to int, w float32) {
		for i := from; i < to; i++ {
			worth[i] += w / float32(to-from)
		}
	}
	var packed uint64
	scale := m.scale[0] * norm(len(v.char))
	for i, c := range win {
		packed = packed<<8 | uint64(c)
		for k := 1; k <= min(i+1, 5); k++ {
			gram := packed&(1<<(8*k)-1) | uint64(k)<<56
			spread(i+1-k, i+1, float32(m.weights[uint16(gram*hashMultiplier>>48)])*scale)
		}
	}
	scale = m.scale[1] * norm(len(v.token))
	for _, t := range v.toks {
		b := uint16((t.hash ^ 0x51) * hashMultiplier >> 48)
		spread(int(t.from), int(t.to), float32(m.weights[charBuckets+int(b)])*scale)
	}
	var best, sum float32
	start := 0
	lo, hi = 0, len(win)
	for i, w := range worth {
		if sum <= 0 {
			sum, start = 0, i
		}
		sum += w
		if sum > best {
			best, lo, hi = sum, start, i+1
		}
	}
	for lo < hi-1 && (win[lo] <= markHigh || win[lo] == ' ') {
		lo++
	}
	return lo, hi
}

// signs gives each sign what it and half of its pairs are worth.
func (m *Model) signs(v *vector) []Contribution {
	w := m.weights[lexicalBase:]
	var sum [signCount]float32
	var present []sign
	for s, n := range v.counts {
		if n == 0 {
			continue
		}
		sum[s] += float32(w[lexicalBin(sign(s), int(n))]) * m.scale[2]
		for _, a := range present {
			half := float32(w[lexicalPair(a, sign(s))]) * m.scale[2] / 2
			sum[a] += half
			sum[s] += half
		}
		present = append(present, sign(s))
	}
	var out []Contribution
	for _, s := range present {
		if sum[s] > 0 {
			out = append(out, Contribution{signNames[s], sum[s]})
		}
	}
	slices.SortStableFunc(out, func(a, b Contribution) int { return cmp.Compare(b.Logit, a.Logit) })
	return out[:min(len(out), maxSigns)]
}
