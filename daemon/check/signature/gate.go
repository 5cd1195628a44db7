package signature

import (
	"bytes"
	"sort"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
)

// test is what one buffer must fulfil for a rule to match, asked before the
// rule's own steps run: most rules that one common text calls up fall here.
type test struct {
	slot     int32
	min, max int32
	first    int32  // index into Set.firsts plus one
	text     []byte // stands in the buffer, nil for none
	absent   bool   // there must be no such buffer
}

// gate holds a rule's tests, Set.tests[from:to], and when it runs.
type gate struct {
	from, to int32
	body     bool // looks at the body
	value    bool // looks at values, of the head and then of the body
	pass     bool
}

// searched is the longest buffer in which a text is looked for, in bytes.
const searched = 4096

// guard makes the gate of a rule.
func (s *Set) guard(c *compiled) gate {
	g := gate{from: int32(len(s.tests)), body: c.body, value: c.value, pass: c.Rule.Action == "pass"}
	for i := range c.groups {
		grp := &c.groups[i]
		switch {
		case grp.OnlyAbsent:
			s.tests = append(s.tests, test{slot: int32(grp.Slot), absent: true})
			continue
		case grp.Absent, len(grp.Spec.Transforms) > 0, grp.Spec.ID == buffer.SValue:
			continue
		}
		n := grp.Needs()
		t := test{slot: int32(grp.Slot), min: int32(min(max(n.Min, 0), 1<<30)), max: int32(min(max(n.Max, -1), 1<<30)), text: n.Exact[:min(len(n.Exact), 32)]}
		if n.First != nil {
			t.first = s.first(*n.First)
		}
		s.tests = append(s.tests, t)
	}
	g.to = int32(len(s.tests))
	order := s.tests[g.from:]
	sort.SliceStable(order, func(a, b int) bool { return s.dear(order[a]) < s.dear(order[b]) })
	return g
}

// dear orders tests by what their buffers cost to make.
func (s *Set) dear(t test) int {
	switch id := s.slots[t.slot].ID; {
	case id == buffer.SMethod || id == buffer.NMethod:
		return 0
	case id.Body():
		return 3
	default:
		if p, ok := id.Part(s.slots[t.slot].Arg); ok && p != buffer.Fields && p != buffer.Whole {
			return 1
		}
	}
	return 2
}

func (s *Set) first(set [4]uint64) int32 {
	for i := range s.firsts {
		if s.firsts[i] == set {
			return int32(i) + 1
		}
	}
	s.firsts = append(s.firsts, set)
	return int32(len(s.firsts))
}

// open says whether a rule may match: whether it is time for it and its tests
// hold.
func (s *Set) open(g *gate, sc *scratch, in *Input) bool {
	switch {
	case !in.body() && g.body, !in.head() && !g.body && !g.value && !g.pass:
		return false
	}
	if !in.Env.Take(2) {
		return false
	}
	for i := g.from; i < g.to; i++ {
		t := &s.tests[i]
		v := sc.value(s, int(t.slot), in.Env)
		if v.Present == t.absent {
			return false
		}
		if t.absent || v.Many != nil {
			continue
		}
		n := len(v.One)
		in.Env.Steps--
		if len(t.text) > 0 && n <= searched {
			in.Env.Steps -= n >> 6
		}
		switch {
		case n < int(t.min) || n > int(t.max):
			return false
		case t.first > 0 && (n == 0 || s.firsts[t.first-1][v.One[0]>>6]&(1<<(v.One[0]&63)) == 0):
			return false
		case len(t.text) > 0 && n <= searched && !bytes.Contains(v.One, t.text):
			return false
		}
	}
	return true
}

// cost orders a rule's groups: those that are short and quick to refute come
// first, those with regular expressions last.
func cost(p *keyword.Program, g *keyword.Group) int {
	dear := 0
	if p.Vars == 0 { // else one group may set what another asks for
		for _, s := range g.Steps {
			if _, ok := s.(*keyword.PCRE); ok {
				dear = 4
			}
		}
	}
	switch g.Spec.ID {
	case buffer.SMethod, buffer.NMethod:
		return dear
	case buffer.SBody, buffer.NBody, buffer.NBodyRaw, buffer.SPayload, buffer.NPayload, buffer.SFileData, buffer.NFileData:
		return dear + 3
	case buffer.SHeader, buffer.NHeader, buffer.SHeaderRaw, buffer.NHeaderRaw, buffer.SStart:
		return dear + 2
	}
	return dear + 1
}
