package pcre

import "fmt"

type opcode uint8

const (
	opByte opcode = iota // b
	opSet
	opJump    // x
	opSplit   // try x, then y
	opSave    // remember the position in slot x
	opAssert  // a
	opRepeat  // a set, min..max times, greedy or lazy
	opMark    // remember the position in slot x, for opProgress
	opProgres // fail to loop when nothing was consumed since opMark
	opLook    // run x..: sub-program at x, goes on at y
	opAtomic  // the same, keeping the position reached
	opBackref
	opCond // group n set: next, else x
	opKeep
	opMatch
)

type inst struct {
	op       opcode
	b        byte
	a        assertKind
	lazy     bool
	neg      bool
	behind   bool
	fold     bool
	x, y     int32
	min, max int32
	set      *byteSet
}

// maxProgram bounds a compiled pattern, in instructions.
const maxProgram = 20000

type compiler struct {
	code  []inst
	slots int
	err   error
	sets  map[byteSet]*byteSet
}

func (c *compiler) emit(i inst) int {
	if len(c.code) >= maxProgram {
		c.err = fmt.Errorf("the pattern unfolds to more than %d steps", maxProgram)
		return 0
	}
	c.code = append(c.code, i)
	return len(c.code) - 1
}

func (c *compiler) set(s byteSet) *byteSet {
	if p := c.sets[s]; p != nil {
		return p
	}
	p := &s
	c.sets[s] = p
	return p
}

func (c *compiler) node(n *node) {
	if c.err != nil {
		return
	}
	switch n.kind {
	case kEmpty:
	case kSet:
		if b, ok := n.set.single(); ok {
			c.emit(inst{op: opByte, b: b})
		} else {
			c.emit(inst{op: opSet, set: c.set(n.set)})
		}
	case kCat:
		for _, s := range n.sub {
			c.node(s)
		}
	case kAlt:
		var ends []int
		for i, s := range n.sub {
			if i == len(n.sub)-1 {
				c.node(s)
				break
			}
			split := c.emit(inst{op: opSplit})
			c.code[split].x = int32(split + 1)
			c.node(s)
			ends = append(ends, c.emit(inst{op: opJump}))
			c.code[split].y = int32(len(c.code))
		}
		for _, e := range ends {
			c.code[e].x = int32(len(c.code))
		}
	case kRepeat:
		c.repeat(n)
	case kGroup:
		c.emit(inst{op: opSave, x: int32(2 * n.n)})
		c.node(n.sub[0])
		c.emit(inst{op: opSave, x: int32(2*n.n + 1)})
	case kAssert:
		c.emit(inst{op: opAssert, a: n.assert})
	case kLook, kAtomic:
		c.nested(n)
	case kBackref:
		c.emit(inst{op: opBackref, x: int32(n.n), fold: n.fold})
	case kCond:
		at := c.emit(inst{op: opCond, y: int32(n.n)})
		c.node(n.sub[0])
		jump := c.emit(inst{op: opJump})
		c.code[at].x = int32(len(c.code))
		c.node(n.sub[1])
		c.code[jump].x = int32(len(c.code))
	case kKeep:
		c.emit(inst{op: opKeep})
	}
}

// nested compiles a look-around or an atomic group: its own program in line,
// ended by opMatch.
func (c *compiler) nested(n *node) {
	op := opAtomic
	var lo, hi int
	if n.kind == kLook {
		op = opLook
		if n.behind {
			lo, hi = width(n.sub[0])
			if hi < 0 || hi > 255 {
				c.err = fmt.Errorf("a look-behind of no bounded length")
				return
			}
		}
	}
	at := c.emit(inst{op: op, neg: n.neg, behind: n.behind, min: int32(lo), max: int32(hi)})
	c.code[at].x = int32(len(c.code))
	c.node(n.sub[0])
	c.emit(inst{op: opMatch})
	c.code[at].y = int32(len(c.code))
}

func (c *compiler) repeat(n *node) {
	sub := n.sub[0]
	for (sub.kind == kCat) && len(sub.sub) == 1 {
		sub = sub.sub[0]
	}
	if sub.kind == kSet {
		c.emit(inst{op: opRepeat, set: c.set(sub.set), min: int32(n.min), max: int32(n.max), lazy: n.lazy})
		return
	}
	for i := 0; i < n.min && c.err == nil; i++ {
		c.node(sub)
	}
	if n.max < 0 {
		mark := int32(c.slots)
		c.slots++
		split := c.emit(inst{op: opSplit})
		c.emit(inst{op: opMark, x: mark})
		c.node(sub)
		c.emit(inst{op: opProgres, x: mark})
		c.emit(inst{op: opJump, x: int32(split)})
		c.branch(split, split+1, len(c.code), n.lazy)
		return
	}
	var splits []int
	for i := n.min; i < n.max && c.err == nil; i++ {
		splits = append(splits, c.emit(inst{op: opSplit}))
		c.node(sub)
	}
	for _, s := range splits {
		c.branch(s, s+1, len(c.code), n.lazy)
	}
}

func (c *compiler) branch(at, body, out int, lazy bool) {
	if lazy {
		body, out = out, body
	}
	c.code[at].x, c.code[at].y = int32(body), int32(out)
}

// width is the least and the greatest number of bytes a node consumes; the
// greatest is -1 without a bound.
func width(n *node) (lo, hi int) {
	switch n.kind {
	case kSet:
		return 1, 1
	case kCat:
		for _, s := range n.sub {
			a, b := width(s)
			lo += a
			if b < 0 || hi < 0 {
				hi = -1
			} else {
				hi += b
			}
		}
		return lo, hi
	case kAlt, kCond:
		for i, s := range n.sub {
			a, b := width(s)
			if i == 0 || a < lo {
				lo = a
			}
			if b < 0 || hi < 0 {
				hi = -1
			} else {
				hi = max(hi, b)
			}
		}
		return lo, hi
	case kRepeat:
		a, b := width(n.sub[0])
		if n.max < 0 || b < 0 {
			return a * n.min, -1
		}
		return a * n.min, b * n.max
	case kGroup, kAtomic:
		return width(n.sub[0])
	case kBackref:
		return 0, -1
	}
	return 0, 0
}

// first adds the bytes a match of n can begin with to s and says whether n
// can match without consuming any.
func first(n *node, s *byteSet) (empty bool) {
	switch n.kind {
	case kSet:
		s.or(&n.set)
		return false
	case kCat:
		for _, sub := range n.sub {
			if !first(sub, s) {
				return false
			}
		}
		return true
	case kAlt, kCond:
		for _, sub := range n.sub {
			if first(sub, s) {
				empty = true
			}
		}
		return empty
	case kRepeat:
		return first(n.sub[0], s) || n.min == 0
	case kGroup, kAtomic:
		return first(n.sub[0], s)
	case kBackref:
		s.not()
		s.or(&byteSet{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)})
		return true
	}
	return true
}
