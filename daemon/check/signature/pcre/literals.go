package pcre

import (
	"math/bits"
	"strings"
)

// Bounds of the literal texts that are drawn from a pattern.
const (
	maxTexts  = 96 // in one set
	maxText   = 24 // bytes
	maxClass  = 10 // bytes of a class that is written out, case folded
	maxNeeded = 24 // sets of one pattern
)

// texts is what is known of the texts a node matches, in lower case: all of
// them (exact, nil when there are too many), or sets of which each has a
// member in every match (need).
type texts struct {
	exact []string
	need  [][]string
}

// needed are the sets of texts, in lower case, of which each has a member in
// every match of n.
func needed(n *node) [][]string {
	t := textsOf(n)
	return t.all()
}

// all is need with exact as one more set.
func (t texts) all() [][]string {
	out := t.need
	if t.exact != nil && shortest(t.exact) > 0 {
		out = append(out[:len(out):len(out)], reduce(t.exact))
	}
	return out
}

func textsOf(n *node) texts {
	nothing := []string{""}
	switch n.kind {
	case kEmpty, kAssert, kKeep:
		return texts{exact: nothing}
	case kLook:
		t := texts{exact: nothing}
		if !n.neg {
			t.need = textsOf(n.sub[0]).all()
		}
		return t
	case kSet:
		return texts{exact: members(&n.set)}
	case kCat:
		return concatenated(n.sub)
	case kGroup, kAtomic:
		return textsOf(n.sub[0])
	case kAlt, kCond:
		return alternatives(n.sub)
	case kRepeat:
		return repeated(n)
	}
	return texts{}
}

// members are the bytes of a set, letters in lower case; nil for many.
func members(s *byteSet) []string {
	if s.len() > 2*maxClass {
		return nil
	}
	var folded byteSet
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			folded.add(lower(byte(64*i + bits.TrailingZeros64(w))))
		}
	}
	n := folded.len()
	if n == 0 || n > maxClass {
		return nil
	}
	out := make([]string, 0, n)
	for i, w := range folded {
		for ; w != 0; w &= w - 1 {
			out = append(out, oneByte[64*i+bits.TrailingZeros64(w)])
		}
	}
	return out
}

var oneByte = func() (t [256]string) {
	for c := range t {
		t[c] = string([]byte{byte(c)})
	}
	return t
}()

func concatenated(sub []*node) texts {
	var need [][]string
	whole := true
	run := []string{""}
	end := func() {
		if shortest(run) > 0 && len(need) < maxNeeded {
			need = append(need, reduce(run))
		}
	}
	for _, s := range sub {
		t := textsOf(s)
		need = append(need, t.need[:min(len(t.need), maxNeeded-min(len(need), maxNeeded))]...)
		if t.exact != nil && len(run)*len(t.exact) <= maxTexts && longest(run)+longest(t.exact) <= maxText {
			run = cross(run, t.exact)
			continue
		}
		whole = false
		end()
		run = t.exact
		if run == nil {
			run = []string{""}
		}
	}
	if whole {
		return texts{exact: run, need: need}
	}
	end()
	return texts{need: need}
}

func alternatives(sub []*node) texts {
	var exact, any []string
	isExact, known := true, true
	for _, s := range sub {
		t := textsOf(s)
		if isExact = isExact && t.exact != nil && len(exact)+len(t.exact) <= maxTexts; isExact {
			exact = append(exact, t.exact...)
		}
		best := telling(t.all())
		if known = known && best != nil && len(any)+len(best) <= maxTexts; known {
			any = append(any, best...)
		}
	}
	var t texts
	if isExact {
		t.exact = unique(exact)
	} else if known {
		t.need = [][]string{reduce(any)}
	}
	return t
}

func repeated(n *node) texts {
	if n.max == 0 {
		return texts{exact: []string{""}}
	}
	t := textsOf(n.sub[0])
	switch {
	case n.min == 0 && n.max == 1 && t.exact != nil && len(t.exact) < 16:
		return texts{exact: unique(append([]string{""}, t.exact...))}
	case n.min == 0:
		return texts{}
	case n.min != n.max || t.exact == nil:
		return texts{need: t.all()}
	}
	run := t.exact
	for i := 1; i < n.min; i++ {
		if len(run)*len(t.exact) > maxTexts || longest(run)+longest(t.exact) > maxText {
			return texts{need: append(t.need[:len(t.need):len(t.need)], reduce(run))}
		}
		run = cross(run, t.exact)
	}
	return texts{exact: run, need: t.need}
}

// telling is the set whose members are longest, the smaller one of two.
func telling(sets [][]string) (best []string) {
	score := 0
	for _, s := range sets {
		if x := shortest(s)*256 - len(s); x > 0 && (best == nil || x > score) {
			best, score = s, x
		}
	}
	return best
}

func cross(a, b []string) []string {
	if len(b) == 1 && b[0] == "" {
		return a
	}
	out := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			out = append(out, x+y)
		}
	}
	return unique(out)
}

func unique(in []string) []string {
	if len(in) < 2 {
		return in
	}
	out := in[:0:0]
	for i, s := range in {
		twice := false
		for _, t := range in[:i] {
			twice = twice || t == s
		}
		if !twice {
			out = append(out, s)
		}
	}
	return out
}

// reduce leaves out texts that hold another one of the set.
func reduce(in []string) []string {
	out := in[:0:0]
	for i, s := range in {
		holds := false
		for j, t := range in {
			holds = holds || i != j && len(t) <= len(s) && (len(t) < len(s) || j < i) && strings.Contains(s, t)
		}
		if !holds {
			out = append(out, s)
		}
	}
	return out
}

func shortest(s []string) int {
	n := maxText
	for _, t := range s {
		n = min(n, len(t))
	}
	return n
}

func longest(s []string) (n int) {
	for _, t := range s {
		n = max(n, len(t))
	}
	return n
}
