// Package pcre matches Perl-compatible regular expressions on bytes, with a
// bound on the steps one match may take.
//
// Rules are written for PCRE: they use look-around, back-references, atomic
// groups and possessive quantifiers, and they match bytes, not characters. Go's regexp
// has none of these. This engine backtracks as PCRE does, so what it finds
// first is what PCRE finds first, and counts its steps: a match that needs
// more than its share ends with ErrSteps instead of taking a core.
//
// Not supported, and refused by Compile: recursion, branch reset, verbs,
// Unicode properties.
package pcre

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
)

// MaxSteps is how many steps a search may take unless told otherwise. A step
// costs a few nanoseconds.
const MaxSteps = 200_000

// maxStack bounds the memory of one search, in saved states of 16 bytes.
const maxStack = 1 << 16

// ErrSteps says that a search was given up: it needed too many steps.
var ErrSteps = errors.New("regular expression needs too many steps")

// Regexp is a compiled pattern. It is safe for concurrent use.
type Regexp struct {
	code     []inst
	slots    int // captures and loop marks
	groups   int
	anchored bool
	lines    bool // a match begins at the start or behind a line feed
	starts   byteSet
	anyStart bool
	need     [][]string
	minLen   int
}

// Compile compiles a pattern with PCRE's option letters: i, m, s, x, A
// (anchored), E ($ is the end alone), G (ungreedy).
func Compile(pattern, options string) (*Regexp, error) {
	var f flags
	for i := 0; i < len(options); i++ {
		switch options[i] {
		case 'i':
			f.fold = true
		case 'm':
			f.multi = true
		case 's':
			f.dotall = true
		case 'x':
			f.extended = true
		case 'A':
			f.anchored = true
		case 'E':
			f.endonly = true
		case 'G':
			f.ungreedy = true
		default:
			return nil, fmt.Errorf("unknown option %q", options[i])
		}
	}
	n, p, err := parse(pattern, f)
	if err != nil {
		return nil, err
	}
	c := &compiler{slots: 2 * (p.groups + 1), sets: map[byteSet]*byteSet{}}
	c.node(n)
	c.emit(inst{op: opMatch})
	if c.err != nil {
		return nil, c.err
	}
	for i := range c.code {
		if in := &c.code[i]; in.op == opBackref && int(in.x) > p.groups || in.op == opCond && int(in.y) > p.groups {
			return nil, fmt.Errorf("reference to a group that is not there")
		}
	}
	re := &Regexp{code: append([]inst(nil), c.code...), slots: c.slots, groups: p.groups}
	re.anchored = f.anchored || beginsAt(n, aBegin)
	re.lines = !re.anchored && beginsAt(n, aLine)
	re.anyStart = first(n, &re.starts)
	re.need = needed(n)
	re.minLen, _ = width(n)
	return re, nil
}

// beginsAt says whether every match begins at such a place.
func beginsAt(n *node, a assertKind) bool {
	switch n.kind {
	case kAssert:
		return n.assert == a
	case kCat:
		return len(n.sub) > 0 && beginsAt(n.sub[0], a)
	case kGroup, kAtomic:
		return beginsAt(n.sub[0], a)
	case kAlt:
		for _, s := range n.sub {
			if !beginsAt(s, a) {
				return false
			}
		}
		return true
	}
	return false
}

// Needed are sets of texts in lower case: of each set one text, in whatever
// case, stands in every match or in what its look-arounds see.
func (re *Regexp) Needed() [][]string { return re.need }

// Shortest is the least number of bytes a match has.
func (re *Regexp) Shortest() int { return re.minLen }

// First is the set of bytes that a subject with a match begins with, where
// there is one: for a pattern that matches at the start alone.
func (re *Regexp) First() (set [4]uint64, ok bool) {
	return re.starts, re.anchored && !re.anyStart
}

// Groups is the number of capturing groups.
func (re *Regexp) Groups() int { return re.groups }

// Anchored says whether a match can begin at the start of the subject alone.
func (re *Regexp) Anchored() bool { return re.anchored }

type state struct {
	pc  int32 // <0: restore slot ^pc to val
	pos int32
	val int32 // repeats: how many more may be given back; restores: the value
	gen int32
}

// Meter hands out the steps that a search may take, a few at a time: whoever
// pays for them can stop it in between.
type Meter interface {
	// More gives further steps, 0 when there are no more.
	More() int
}

type machine struct {
	re    *Regexp
	s     []byte
	slot  []int32
	stack []state
	steps int
	spare int // how many more may be asked for
	more  Meter
	keep  int32
	from  int32
	fail  error
}

var machines = sync.Pool{New: func() any { return new(machine) }}

// Find searches s for the first match at or after from. Its place is
// s[at:end]. steps is what the search may take to begin with and what remains
// is returned; then it asks more, where that is not nil, up to MaxSteps in
// all. After ErrSteps nothing is known.
func (re *Regexp) Find(s []byte, from, steps int, more Meter) (at, end, left int, err error) {
	return re.find(s, from, steps, more, nil)
}

// FindGroups is Find and fills groups with the start and end of each
// capturing group, from group 0 on, -1 for one that took no part.
func (re *Regexp) FindGroups(s []byte, from, steps int, more Meter, groups []int) (at, end, left int, err error) {
	return re.find(s, from, steps, more, groups)
}

func (re *Regexp) find(s []byte, from, steps int, more Meter, groups []int) (at, end, left int, err error) {
	if from < 0 || len(s)-from < re.minLen || len(s) > 1<<30 {
		return -1, -1, steps, nil
	}
	m := machines.Get().(*machine)
	m.re, m.s, m.steps, m.from, m.fail = re, s, steps, int32(from), nil
	m.spare, m.more = MaxSteps-steps, more
	if cap(m.slot) < re.slots {
		m.slot = make([]int32, re.slots)
	}
	m.slot = m.slot[:re.slots]
	at, end = -1, -1
	last := len(s)
	if re.anchored {
		last = from
	}
	for i := from; i <= last; i++ {
		if re.lines && i > 0 && s[i-1] != '\n' {
			next := bytes.IndexByte(s[i:], '\n')
			if next < 0 {
				break
			}
			m.steps -= next >> 6
			i += next + 1
			if i > last {
				break
			}
		}
		if !re.anyStart {
			skipped := i
			for i < len(s) && !re.starts.has(s[i]) {
				i++
			}
			m.steps -= (i - skipped) >> 3
			if i >= len(s) || i > last {
				break
			}
		}
		for j := range m.slot {
			m.slot[j] = -1
		}
		m.stack = m.stack[:0]
		m.keep = int32(i)
		m.slot[0] = int32(i)
		if e := m.run(0, int32(i)); e >= 0 {
			m.slot[1] = e
			at, end = int(m.keep), int(e)
			break
		}
		if m.fail != nil {
			break
		}
	}
	for g := range groups {
		groups[g] = -1
		if at >= 0 && g < 2*(re.groups+1) {
			groups[g] = int(m.slot[g])
		}
	}
	left, err = m.steps, m.fail
	m.s, m.re, m.more = nil, nil, nil
	if cap(m.stack) > 4096 {
		m.stack = nil
	}
	machines.Put(m)
	return at, end, left, err
}

// refill asks for further steps.
func (m *machine) refill() {
	for m.steps < 0 && m.spare > 0 && m.more != nil {
		n := m.more.More()
		if n == 0 {
			break
		}
		m.steps += n
		m.spare -= n
	}
	if m.steps < 0 {
		m.fail = ErrSteps
	}
}

func (m *machine) push(st state) {
	if len(m.stack) >= maxStack {
		m.fail = ErrSteps
		return
	}
	m.stack = append(m.stack, st)
}

func (m *machine) save(slot int32, pos int32) {
	m.push(state{pc: ^slot, val: m.slot[slot]})
	m.slot[slot] = pos
}

func isWord(b byte) bool { return words.has(b) }

func (m *machine) holds(a assertKind, pos int32) bool {
	s := m.s
	n := int32(len(s))
	switch a {
	case aBegin:
		return pos == 0
	case aLine:
		return pos == 0 || s[pos-1] == '\n' && pos < n
	case aEnd:
		return pos == n || pos == n-1 && s[pos] == '\n'
	case aEndOnly:
		return pos == n
	case aLineEnd:
		return pos == n || s[pos] == '\n'
	case aStart:
		return pos == m.from
	}
	before := pos > 0 && isWord(s[pos-1])
	after := pos < n && isWord(s[pos])
	return (before != after) == (a == aWord)
}

// run executes from pc at pos and returns where the match ends, or -1. What
// it leaves on the stack below base is the caller's.
func (m *machine) run(pc, pos int32) int32 {
	base := len(m.stack)
	code, s := m.re.code, m.s
	n := int32(len(s))
	for {
		if m.steps--; m.steps < 0 {
			m.refill()
		}
		if m.fail != nil {
			return -1
		}
		in := &code[pc]
		ok := true
		switch in.op {
		case opByte:
			if ok = pos < n && s[pos] == in.b; ok {
				pos++
				pc++
			}
		case opSet:
			if ok = pos < n && in.set.has(s[pos]); ok {
				pos++
				pc++
			}
		case opJump:
			pc = in.x
		case opSplit:
			m.push(state{pc: in.y, pos: pos, val: -1})
			pc = in.x
		case opSave:
			m.save(in.x, pos)
			pc++
		case opMark:
			m.save(in.x, pos)
			pc++
		case opProgres:
			if m.slot[in.x] == pos {
				// Nothing was consumed: leave the loop.
				pc += 2
			} else {
				pc++
			}
		case opAssert:
			if ok = m.holds(in.a, pos); ok {
				pc++
			}
		case opRepeat:
			pos, ok = m.repeat(in, pc, pos)
			pc++
		case opLook:
			if ok = m.look(in, pos) != in.neg; ok {
				pc = in.y
			}
		case opAtomic:
			mark := len(m.stack)
			end := m.run(in.x, pos)
			if ok = end >= 0; ok {
				m.dropChoices(mark)
				pos, pc = end, in.y
			}
		case opBackref:
			if pos, ok = m.backref(in, pos); ok {
				pc++
			}
		case opCond:
			if m.slot[2*in.y+1] >= 0 {
				pc++
			} else {
				pc = in.x
			}
		case opKeep:
			m.keep = pos
			pc++
		case opMatch:
			return pos
		}
		if ok {
			continue
		}
		var again bool
		if pc, pos, again = m.back(base); !again {
			return -1
		}
	}
}

// back takes the youngest choice above base off the stack.
func (m *machine) back(base int) (pc, pos int32, ok bool) {
	for len(m.stack) > base {
		top := &m.stack[len(m.stack)-1]
		switch {
		case top.pc < 0:
			m.slot[^top.pc] = top.val
		case top.val < 0:
			pc, pos = top.pc, top.pos
			m.stack = m.stack[:len(m.stack)-1]
			return pc, pos, true
		case top.gen > 0: // a lazy repeat takes one more
			in := &m.re.code[top.pc-1]
			m.steps--
			if top.val > 0 && int(top.pos) < len(m.s) && in.set.has(m.s[top.pos]) {
				top.pos++
				top.val--
				return top.pc, top.pos, true
			}
		case top.val > 0: // a greedy repeat gives one back
			top.val--
			top.pos--
			return top.pc, top.pos, true
		}
		m.stack = m.stack[:len(m.stack)-1]
	}
	return 0, 0, false
}

// dropChoices forgets the choices made above mark but keeps what restores
// captures, so that they are undone if the whole fails.
func (m *machine) dropChoices(mark int) {
	w := mark
	for _, st := range m.stack[mark:] {
		if st.pc < 0 {
			m.stack[w] = st
			w++
		}
	}
	m.stack = m.stack[:w]
}

func (m *machine) repeat(in *inst, pc, pos int32) (int32, bool) {
	s := m.s
	limit := int32(len(s)) - pos
	if in.max >= 0 && in.max < limit {
		limit = in.max
	}
	if limit < in.min {
		return pos, false
	}
	want := limit
	if in.lazy {
		want = in.min
	}
	set := in.set
	i := int32(0)
	for i < want && set.has(s[pos+i]) {
		i++
	}
	m.steps -= int(i >> 3)
	if i < in.min {
		return pos, false
	}
	if in.lazy {
		if more := limit - i; more > 0 {
			m.push(state{pc: pc + 1, pos: pos + i, val: more, gen: 1})
		}
	} else if i > in.min {
		m.push(state{pc: pc + 1, pos: pos + i, val: i - in.min})
	}
	return pos + i, true
}

// look tries a look-around's program.
func (m *machine) look(in *inst, pos int32) bool {
	mark := len(m.stack)
	if !in.behind {
		found := m.run(in.x, pos) >= 0
		m.settle(mark, found && !in.neg)
		return found
	}
	for w := in.min; w <= in.max && w <= pos; w++ {
		// The program must end exactly here: cut the subject off behind pos.
		whole := m.s
		m.s = whole[:pos]
		end := m.run(in.x, pos-w)
		m.s = whole
		found := end == pos
		m.settle(mark, found && !in.neg)
		if found {
			return true
		}
	}
	return false
}

// settle ends a look-around: its captures stay if keep is set.
func (m *machine) settle(mark int, keep bool) {
	if keep {
		m.dropChoices(mark)
		return
	}
	for len(m.stack) > mark {
		if top := m.stack[len(m.stack)-1]; top.pc < 0 {
			m.slot[^top.pc] = top.val
		}
		m.stack = m.stack[:len(m.stack)-1]
	}
}

func (m *machine) backref(in *inst, pos int32) (int32, bool) {
	a, b := m.slot[2*in.x], m.slot[2*in.x+1]
	if a < 0 || b < a {
		return pos, false
	}
	if int32(len(m.s))-pos < b-a {
		return pos, false
	}
	m.steps -= int(b-a) >> 3
	for i := a; i < b; i++ {
		x, y := m.s[i], m.s[pos+i-a]
		if x != y && !(in.fold && lower(x) == lower(y)) {
			return pos, false
		}
	}
	return pos + b - a, true
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + 32
	}
	return b
}
