package signature

import (
	"sync"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
)

// MaxSteps is what all rules together may spend on one request. A step is one
// option tried, 64 bytes searched or one step of a regular expression, a few
// nanoseconds; the whole is below 5 ms on the machines measured.
const MaxSteps = 1_000_000

// Hit is a rule that matched. It and what it points to are valid during the
// call alone.
type Hit struct {
	Rule *keyword.Program
	// Where names the buffer that the excerpt is from, empty for none.
	Where string
	// Text is that buffer's contents and At, End the part of it that matched.
	Text    []byte
	At, End int
	// Action is the rule's, or what a rate_filter made of it.
	Action string
}

// Input is one request to match.
type Input struct {
	Request *buffer.Request
	Env     *keyword.Env
	// Phase is Head, Body or both.
	Phase check.Phase
	// Filter, when set, says which rules to look at.
	Filter func(p *keyword.Program) bool
}

type scratch struct {
	buffers    buffer.Set
	values     []buffer.Value
	known      []bool
	stamp      []uint32
	now        uint32
	candidates []int32
	arena      []byte
	vars       [16]int64
	hit        Hit
	seen       []uint32 // texts found, by number: the same stamps
}

// collect notes that a text was found. Its rules are taken once a request.
func (sc *scratch) collect(t *text) {
	if sc.seen[t.number] == sc.now {
		return
	}
	sc.seen[t.number] = sc.now
	for _, r := range t.rules {
		if sc.stamp[r] != sc.now {
			sc.stamp[r] = sc.now
			sc.candidates = append(sc.candidates, r)
		}
	}
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

func (sc *scratch) begin(s *Set, in *Input) {
	sc.buffers.Reset(in.Request, in.Phase&check.Head != 0, in.Phase&check.Body != 0)
	if len(sc.stamp) < len(s.rules) || len(sc.seen) < s.texts {
		sc.stamp, sc.seen = make([]uint32, len(s.rules)), make([]uint32, s.texts)
		sc.now = 0
	}
	if sc.now++; sc.now == 0 {
		clear(sc.stamp)
		clear(sc.seen)
		sc.now = 1
	}
	if len(sc.known) < len(s.slots) {
		sc.known = make([]bool, len(s.slots))
		sc.values = make([]buffer.Value, len(s.slots))
	}
	clear(sc.known)
	sc.candidates = sc.candidates[:0]
	if cap(sc.arena) > 256<<10 {
		sc.arena = nil
	}
	sc.arena = sc.arena[:0]
}

// value is a buffer after its transforms.
func (sc *scratch) value(s *Set, slot int, two bool) *buffer.Value {
	if sc.known[slot] {
		return &sc.values[slot]
	}
	sc.known[slot] = true
	spec := s.slots[slot]
	v := sc.buffers.Get(spec.ID, spec.Arg)
	if len(spec.Transforms) > 0 && v.Present {
		v = sc.transformed(v, spec.Transforms, two)
	}
	sc.values[slot] = v
	return &sc.values[slot]
}

func (sc *scratch) transformed(v buffer.Value, ts []keyword.Transform, two bool) buffer.Value {
	apply := func(b []byte) ([]byte, bool) {
		ok := true
		for _, t := range ts {
			from := len(sc.arena)
			if sc.arena, ok = t.Apply(sc.arena, b, two); !ok {
				return nil, false
			}
			b = sc.arena[from:len(sc.arena):len(sc.arena)]
		}
		return b, ok
	}
	if v.Many == nil {
		b, ok := apply(v.One)
		return buffer.Value{One: b, Present: ok}
	}
	out := buffer.Value{Many: make([][]byte, 0, len(v.Many))}
	for _, m := range v.Many {
		if b, ok := apply(m); ok {
			out.Many = append(out.Many, b)
			out.Present = true
		}
	}
	return out
}

// Match calls hit for every rule that matches the request, in the order of
// evaluation: pass, drop, reject, alert.
func (s *Set) Match(in *Input, hit func(*Hit)) {
	sc := scratches.Get().(*scratch)
	sc.begin(s, in)
	e := in.Env
	if e.Steps == 0 {
		e.Steps = MaxSteps
	}
	s.prefilter(sc, in)
	open := sc.candidates[:0]
	for _, i := range sc.candidates {
		if s.open(&s.gates[i], sc, in) {
			open = append(open, i)
		}
	}
	sortCandidates(open)
	for _, i := range open {
		s.try(&s.rules[i], sc, in, hit)
		if e.Steps < 0 {
			break
		}
	}
	sc.buffers.Req = nil
	scratches.Put(sc)
}

func (in *Input) head() bool { return in.Phase&check.Head != 0 }
func (in *Input) body() bool { return in.Phase&check.Body != 0 }

// prefilter collects the rules that can match.
func (s *Set) prefilter(sc *scratch, in *Input) {
	h, plain := sc.buffers.Head()
	if plain && s.head != nil {
		s.head.scan(h.Text, h, sc)
	}
	sc.candidates = append(sc.candidates, s.always...)
	for i := range s.begins {
		b := &s.begins[i]
		if v := sc.value(s, b.slot, in.Env.Two); v.Present && len(v.One) > 0 {
			sc.candidates = append(sc.candidates, b.rules[v.One[0]]...)
		}
	}
	for slot, a := range s.anchors {
		if a == nil {
			continue
		}
		id := s.slots[slot].ID
		if !in.body() && id.Body() || plain && s.inHead[slot] && sc.buffers.Stands(id, h) {
			continue
		}
		v := sc.value(s, slot, in.Env.Two)
		if !v.Present {
			continue
		}
		if v.Many == nil {
			a.scan(v.One, nil, sc)
		}
		for _, m := range v.Many {
			a.scan(m, nil, sc)
		}
	}
}

// MatchAll is Match without the prefilter: every rule is tried. It exists to
// check the prefilter against.
func (s *Set) MatchAll(in *Input, hit func(*Hit)) {
	sc := scratches.Get().(*scratch)
	sc.begin(s, in)
	if in.Env.Steps == 0 {
		in.Env.Steps = MaxSteps
	}
	for i := range s.rules {
		s.try(&s.rules[i], sc, in, hit)
	}
	sc.buffers.Req = nil
	scratches.Put(sc)
}

// sortCandidates is an insertion sort: the list is short and nearly sorted.
func sortCandidates(c []int32) {
	for i := 1; i < len(c); i++ {
		for j := i; j > 0 && c[j] < c[j-1]; j-- {
			c[j], c[j-1] = c[j-1], c[j]
		}
	}
}

func (s *Set) try(r *compiled, sc *scratch, in *Input, hit func(*Hit)) {
	switch {
	case in.Phase == check.Head && r.body, in.Phase == check.Body && !r.body && !r.value && r.Rule.Action != "pass":
		return
	case in.Filter != nil && !in.Filter(r.Program):
		return
	}
	e := in.Env
	if !r.anywhere && !r.addressed(e) {
		return
	}
	for _, c := range r.Before {
		if !c.Holds(e) {
			return
		}
	}
	h := &sc.hit
	*h = Hit{Rule: r.Program, Action: r.Rule.Action}
	vars := sc.vars[:r.Vars]
	clear(vars)
	for g := range r.groups {
		if !s.group(&r.groups[g], sc, vars, e, h) {
			return
		}
	}
	if r.Filter != nil && !r.Filter.Allow(e) {
		return
	}
	for _, c := range r.After {
		c.Holds(e)
	}
	if r.NoAlert || s.suppressed(r.Program, e) {
		return
	}
	for _, l := range r.Limits {
		if !l.Allow(e) {
			return
		}
	}
	s.rate(h, e)
	hit(h)
}

// addressed compares the rule's header with the request's addresses.
func (r *compiled) addressed(e *keyword.Env) bool {
	x := r.Rule
	switch x.Proto {
	case "http1":
		if e.Two {
			return false
		}
	case "http2":
		if !e.Two {
			return false
		}
	}
	if x.Src.Has(e.Client.Addr()) && x.SrcPorts.Has(e.Client.Port()) && x.Dst.Has(e.Server.Addr()) && x.DstPorts.Has(e.Server.Port()) {
		return true
	}
	return x.Both && x.Dst.Has(e.Client.Addr()) && x.DstPorts.Has(e.Client.Port()) && x.Src.Has(e.Server.Addr()) && x.SrcPorts.Has(e.Server.Port())
}

// group says whether a group holds, and notes where.
func (s *Set) group(g *keyword.Group, sc *scratch, vars []int64, e *keyword.Env, h *Hit) bool {
	v := sc.value(s, g.Slot, e.Two)
	if !v.Present {
		return g.Absent
	}
	if g.OnlyAbsent {
		return false
	}
	if len(g.Steps) == 0 {
		return true
	}
	if v.Many == nil {
		at, end, ok := keyword.Run(g.Steps, v.One, vars, e)
		h.mark(g, v.One, at, end, ok)
		return ok
	}
	for _, b := range v.Many {
		if at, end, ok := keyword.Run(g.Steps, b, vars, e); ok {
			h.mark(g, b, at, end, ok)
			return true
		}
	}
	return false
}

// mark keeps the first excerpt, or a longer match in place of it.
func (h *Hit) mark(g *keyword.Group, b []byte, at, end int, ok bool) {
	if !ok || at < 0 || h.Text != nil && end-at <= h.End-h.At {
		return
	}
	h.Where, h.Text, h.At, h.End = g.Spec.Key, b, at, end
}
