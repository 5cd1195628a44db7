package signature

import (
	"bytes"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
)

// MaxSteps is what all rules together may spend on one request. A step is one
// option tried, 4 bytes looked at by the prefilter, 64 bytes searched or one
// step of a regular expression, some nanoseconds.
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
	seen       []uint32 // texts found, by number: the pass they were found in
	pass       uint32
	at         int32      // value that is looked at, -1 for none of several
	ends       [][2]int32 // by rule: its first and last spot
	spots      []spot
	crowded    bool
}

// spot is one of a buffer's values in which a rule's text stands.
type spot struct{ value, next int32 }

// maxSpots bounds what is remembered of one request; past it rules are tried
// on all values.
const maxSpots = 8192

// collect notes that a text was found. Its rules are taken once a request,
// the values it stands in each once.
func (sc *scratch) collect(t *text, e *keyword.Env) {
	if sc.seen[t.number] == sc.pass {
		return
	}
	sc.seen[t.number] = sc.pass
	e.Steps -= len(t.rules) >> 1
	for _, r := range t.rules {
		if sc.stamp[r] != sc.now {
			sc.stamp[r] = sc.now
			sc.ends[r] = [2]int32{-1, -1}
			sc.candidates = append(sc.candidates, r)
		}
		if sc.at >= 0 {
			sc.note(r)
		}
	}
}

// note remembers that a rule is to be tried on the value being looked at.
func (sc *scratch) note(r int32) {
	ends, n := &sc.ends[r], int32(len(sc.spots))
	switch {
	case n >= maxSpots:
		sc.crowded = true
		return
	case ends[0] < 0:
		ends[0] = n
	case sc.spots[ends[1]].value == sc.at:
		return
	default:
		sc.spots[ends[1]].next = n
	}
	ends[1] = n
	sc.spots = append(sc.spots, spot{sc.at, -1})
}

// spot is the first of the values that a rule is to be tried on, -1 for all.
func (sc *scratch) spot(r int32) int32 {
	if sc.crowded || sc.stamp[r] != sc.now {
		return -1
	}
	return sc.ends[r][0]
}

// next begins to look at one more buffer, or value of a buffer.
func (sc *scratch) next(value int) {
	sc.at = int32(value)
	if sc.pass++; sc.pass == 0 {
		clear(sc.seen)
		sc.pass = 1
	}
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

func (sc *scratch) begin(s *Set, in *Input) {
	sc.buffers.Reset(in.Request, in.Phase&check.Head != 0, in.Phase&check.Body != 0)
	if len(sc.stamp) < len(s.rules) || len(sc.seen) < s.texts {
		sc.stamp, sc.seen = make([]uint32, len(s.rules)), make([]uint32, s.texts)
		sc.ends = make([][2]int32, len(s.rules))
		sc.now, sc.pass = 0, 0
	}
	sc.spots, sc.crowded = sc.spots[:0], false
	if sc.now++; sc.now == 0 {
		clear(sc.stamp)
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
func (sc *scratch) value(s *Set, slot int, e *keyword.Env) *buffer.Value {
	if sc.known[slot] {
		return &sc.values[slot]
	}
	sc.known[slot] = true
	spec := s.slots[slot]
	v := sc.buffers.Get(spec.ID, spec.Arg)
	if len(spec.Transforms) > 0 && v.Present {
		v = sc.transformed(v, spec.Transforms, e)
	}
	size := len(v.One)
	for _, m := range v.Many {
		size += len(m)
	}
	if spec.ID == buffer.SValue {
		size <<= 2 // reading them is more than copying
	}
	e.Take(size >> 5)
	sc.values[slot] = v
	return &sc.values[slot]
}

func (sc *scratch) transformed(v buffer.Value, ts []keyword.Transform, e *keyword.Env) buffer.Value {
	apply := func(b []byte) ([]byte, bool) {
		ok := true
		for _, t := range ts {
			from := len(sc.arena)
			if !e.Take(len(b)>>2 + 8) {
				return nil, false
			}
			if sc.arena, ok = t.Apply(sc.arena, b, e.Two); !ok {
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
	e := in.begin()
	s.prefilter(sc, in)
	open := sc.candidates[:0]
	for _, i := range sc.candidates {
		if e.Out() {
			break
		}
		if s.open(&s.gates[i], sc, in) {
			open = append(open, i)
		}
	}
	sortCandidates(open)
	for _, i := range open {
		if e.Out() {
			break
		}
		s.try(i, sc, in, hit)
	}
	sc.buffers.Req = nil
	scratches.Put(sc)
}

// largeBody is the length from which a body's values are dear to read, in
// bytes.
const largeBody = 16 << 10

// begin counts from here on.
func (in *Input) begin() *keyword.Env {
	e := in.Env
	if e.Steps <= 0 {
		e.Steps = MaxSteps
	}
	e.Start(e.Steps, e.Clock, e.Most)
	if len(in.Request.Body) > largeBody {
		e.StartClock() // reading what stands in it takes time, too
	}
	return e
}

func (in *Input) head() bool { return in.Phase&check.Head != 0 }
func (in *Input) body() bool { return in.Phase&check.Body != 0 }

// prefilter collects the rules that can match.
func (s *Set) prefilter(sc *scratch, in *Input) {
	e := in.Env
	h, plain := sc.buffers.Head()
	if plain && s.head != nil {
		sc.next(-1)
		s.head.scan(h.Text, h, sc, e)
	}
	sc.candidates = append(sc.candidates, s.always...)
	for i := range s.begins {
		b := &s.begins[i]
		if v := sc.value(s, b.slot, e); v.Present && len(v.One) > 0 {
			sc.candidates = append(sc.candidates, b.rules[v.One[0]]...)
		}
	}
	body := in.body() && len(in.Request.Body) > 0
	if body && s.whole != nil {
		sc.next(-1)
		s.whole.scan(sc.buffers.Body(), nil, sc, e)
	}
	for slot, a := range s.anchors {
		if a == nil || e.Out() {
			continue
		}
		id := s.slots[slot].ID
		if !in.body() && id.Body() || plain && s.inHead[slot] && sc.buffers.Stands(id, h) {
			continue
		}
		v := sc.value(s, slot, e)
		if !v.Present {
			continue
		}
		if body && showsBody(s.slots[slot]) {
			s.scanBefore(a, v, sc, e)
			continue
		}
		sc.next(-1)
		if v.Many == nil {
			a.scan(v.One, nil, sc, e)
		}
		for i, m := range v.Many {
			sc.next(i)
			a.scan(m, nil, sc, e)
		}
	}
}

// scanBefore looks at what a buffer has that is not the body, which was looked
// at already, or at all of it where the body is not its end.
func (s *Set) scanBefore(a *anchors, v *buffer.Value, sc *scratch, e *keyword.Env) {
	body := sc.buffers.Body()
	sc.next(-1)
	rest := func(b []byte) []byte {
		if len(b) > len(body) && bytes.HasSuffix(b, body) {
			return b[:min(len(b)-len(body)+a.longest, len(b))]
		}
		return b
	}
	if v.Many == nil {
		if !buffer.Within(v.One, body) {
			a.scan(rest(v.One), nil, sc, e)
		}
		return
	}
	for _, m := range v.Many {
		if !buffer.Within(m, body) {
			a.scan(rest(m), nil, sc, e)
		}
	}
}

// MatchAll is Match without the prefilter: every rule is tried. It exists to
// check the prefilter against.
func (s *Set) MatchAll(in *Input, hit func(*Hit)) {
	sc := scratches.Get().(*scratch)
	sc.begin(s, in)
	in.begin()
	for i := range s.rules {
		s.try(int32(i), sc, in, hit)
	}
	sc.buffers.Req = nil
	scratches.Put(sc)
}

// sortCandidates sorts a list that is short and nearly sorted, or, for a
// hostile request, long.
func sortCandidates(c []int32) {
	if len(c) > 64 {
		slices.Sort(c)
		return
	}
	for i := 1; i < len(c); i++ {
		for j := i; j > 0 && c[j] < c[j-1]; j-- {
			c[j], c[j-1] = c[j-1], c[j]
		}
	}
}

func (s *Set) try(i int32, sc *scratch, in *Input, hit func(*Hit)) {
	r := &s.rules[i]
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
		first := int32(-1)
		if g == r.anchored {
			first = sc.spot(i)
		}
		if !s.group(&r.groups[g], first, sc, vars, e, h) {
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

// group says whether a group holds, and notes where. Where a buffer has several
// values, first is the first spot to look at, -1 for all of them.
func (s *Set) group(g *keyword.Group, first int32, sc *scratch, vars []int64, e *keyword.Env, h *Hit) bool {
	v := sc.value(s, g.Slot, e)
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
	for ; first >= 0; first = sc.spots[first].next {
		b := v.Many[sc.spots[first].value]
		if at, end, ok := keyword.Run(g.Steps, b, vars, e); ok {
			h.mark(g, b, at, end, ok)
			return true
		}
		if sc.spots[first].next < 0 {
			return false
		}
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
