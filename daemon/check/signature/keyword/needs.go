package keyword

// Needs is what a buffer must fulfil for a group to hold in it: what can be
// asked without running the group's steps.
type Needs struct {
	// Min and Max bound the buffer's length in bytes.
	Min, Max int
	// First holds the bytes that the buffer can begin with, nil for any.
	First *[4]uint64
	// Exact is a text that stands in the buffer as it is, nil for none.
	Exact []byte
	// Texts are sets of texts in lower case: of each set one text stands in
	// the buffer, in whatever case.
	Texts [][]string
	// Marked is the place in Texts of what the rule's author took for the most
	// telling, -1 for none.
	Marked int
}

// Needs draws what it can from the group's steps; what it does not know asks
// for nothing.
func (g *Group) Needs() Needs {
	n := Needs{Max: far, Marked: -1}
	for _, s := range g.Steps {
		switch s := s.(type) {
		case *Content:
			if !s.Negated {
				s.needs(&n)
			}
		case *PCRE:
			if !s.negated {
				s.needs(&n)
			}
		case *length:
			if !s.relative && !s.not {
				n.Min, n.Max = max(n.Min, s.lo), min(n.Max, s.hi)
			}
		}
	}
	return n
}

func (c *Content) needs(n *Needs) {
	if c.Fast {
		n.Marked = len(n.Texts)
	}
	low := make([]byte, len(c.Text))
	for i, b := range c.Text {
		if b >= 'A' && b <= 'Z' {
			b += 32
		}
		low[i] = b
	}
	n.Texts = append(n.Texts, []string{string(low)})
	if exact := c.exact(); len(exact) > len(n.Exact) {
		n.Exact = exact
	}
	n.Min = max(n.Min, len(c.Text))
	if c.Relative() || c.offset.v > 0 || c.depth.v > 0 {
		return
	}
	from := max(int(c.offset.n), 0)
	n.Min = max(n.Min, from+len(c.Text))
	to := far
	if c.hasDepth {
		to = from + int(c.depth.n)
	}
	if c.starts {
		to = min(to, from+len(c.Text))
	}
	if c.ends {
		n.Max = min(n.Max, to)
	}
	if from == 0 && to == len(c.Text) && n.First == nil {
		n.First = new([4]uint64)
		for _, b := range [...]byte{c.Text[0], low[0]} {
			n.First[b>>6] |= 1 << (b & 63)
			if b >= 'a' && b <= 'z' && c.Nocase {
				b -= 32
				n.First[b>>6] |= 1 << (b & 63)
			}
		}
	}
}

// exact is the content's text or, where case may differ, the longest part of
// it without letters.
func (c *Content) exact() []byte {
	if !c.Nocase {
		return c.Text
	}
	var best []byte
	from := 0
	for i := 0; i <= len(c.Text); i++ {
		if i == len(c.Text) || c.Text[i] >= 'a' && c.Text[i] <= 'z' {
			if i-from > len(best) {
				best = c.Text[from:i]
			}
			from = i + 1
		}
	}
	return best
}

func (p *PCRE) needs(n *Needs) {
	n.Texts = append(n.Texts, p.re.Needed()...)
	n.Min = max(n.Min, p.re.Shortest())
	if set, ok := p.re.First(); ok && !p.relative && n.First == nil {
		n.First = &set
	}
}
