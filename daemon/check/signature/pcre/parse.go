package pcre

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// kind is what a node of a parsed pattern is.
type kind uint8

const (
	kEmpty kind = iota
	kSet        // one byte of a set
	kCat
	kAlt
	kRepeat // sub[0], min..max times
	kGroup  // capture n
	kAssert // a place: a
	kLook   // sub[0] ahead or behind
	kAtomic
	kBackref
	kCond // if group n: sub[0] else sub[1]
	kKeep // \K
)

// A byte set; bit b says that byte b is in it.
type byteSet [4]uint64

func (s *byteSet) add(b byte)      { s[b>>6] |= 1 << (b & 63) }
func (s *byteSet) has(b byte) bool { return s[b>>6]&(1<<(b&63)) != 0 }
func (s *byteSet) addRange(lo, hi byte) {
	for c := int(lo); c <= int(hi); c++ {
		s.add(byte(c))
	}
}
func (s *byteSet) not() {
	for i := range s {
		s[i] = ^s[i]
	}
}
func (s *byteSet) or(o *byteSet) {
	for i := range s {
		s[i] |= o[i]
	}
}
func (s *byteSet) fold() {
	for c := byte('a'); c <= 'z'; c++ {
		if s.has(c) || s.has(c-32) {
			s.add(c)
			s.add(c - 32)
		}
	}
}

func (s *byteSet) len() int {
	return bits.OnesCount64(s[0]) + bits.OnesCount64(s[1]) + bits.OnesCount64(s[2]) + bits.OnesCount64(s[3])
}

// single is the only byte of a set.
func (s *byteSet) single() (byte, bool) {
	if s.len() != 1 {
		return 0, false
	}
	for i, w := range s {
		if w != 0 {
			return byte(64*i + bits.TrailingZeros64(w)), true
		}
	}
	return 0, false
}

type assertKind uint8

const (
	aBegin   assertKind = iota // \A, ^
	aLine                      // ^ with m
	aEnd                       // $: at the end or before a last newline
	aEndOnly                   // \z, $ with E
	aLineEnd                   // $ with m
	aWord                      // \b
	aNotWord                   // \B
	aStart                     // \G: where the search began
)

type node struct {
	kind       kind
	set        byteSet
	sub        []*node
	min, max   int // max -1: no end
	lazy       bool
	possessive bool
	n          int // capture or backreference
	fold       bool
	assert     assertKind
	behind     bool
	neg        bool
}

// flags of a pattern, some of which change inside it.
type flags struct {
	fold, multi, dotall, extended, anchored, endonly, ungreedy bool
}

// Bounds of a pattern.
const (
	maxPattern = 32 << 10
	maxDepth   = 200
	maxRepeat  = 65535
	maxGroups  = 100
)

type reader struct {
	s      string
	i      int
	groups int
	names  map[string]int
	depth  int
	// refs are backreferences by name that may come before their group.
	backrefs int
}

func (p *reader) errorf(format string, args ...any) error {
	return fmt.Errorf("at byte %d: %s", p.i+1, fmt.Sprintf(format, args...))
}

func parse(pattern string, f flags) (*node, *reader, error) {
	p := &reader{s: pattern, names: map[string]int{}}
	if len(pattern) > maxPattern {
		return nil, p, fmt.Errorf("pattern of %d bytes, at most %d expected", len(pattern), maxPattern)
	}
	n, err := p.alternatives(&f)
	if err != nil {
		return nil, p, err
	}
	if p.i < len(p.s) {
		return nil, p, p.errorf("unmatched )")
	}
	return n, p, nil
}

// alternatives reads a|b|c up to a closing bracket or the end.
func (p *reader) alternatives(f *flags) (*node, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return nil, p.errorf("groups nested more than %d deep", maxDepth)
	}
	var alts []*node
	for {
		n, err := p.sequence(f)
		if err != nil {
			return nil, err
		}
		alts = append(alts, n)
		if p.i >= len(p.s) || p.s[p.i] != '|' {
			break
		}
		p.i++
	}
	if len(alts) == 1 {
		return alts[0], nil
	}
	return &node{kind: kAlt, sub: alts}, nil
}

func (p *reader) sequence(f *flags) (*node, error) {
	cat := &node{kind: kCat}
	for p.i < len(p.s) {
		c := p.s[p.i]
		if c == '|' || c == ')' {
			break
		}
		if f.extended && (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v') {
			p.i++
			continue
		}
		if f.extended && c == '#' {
			for p.i < len(p.s) && p.s[p.i] != '\n' {
				p.i++
			}
			continue
		}
		n, err := p.atom(f)
		if err != nil {
			return nil, err
		}
		if n == nil {
			continue
		}
		if n, err = p.quantified(n, f); err != nil {
			return nil, err
		}
		cat.sub = append(cat.sub, n)
	}
	if len(cat.sub) == 1 {
		return cat.sub[0], nil
	}
	return cat, nil
}

// quantified reads the quantifiers behind an atom.
func (p *reader) quantified(n *node, f *flags) (*node, error) {
	for p.i < len(p.s) {
		if f.extended {
			for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t') {
				p.i++
			}
			if p.i >= len(p.s) {
				break
			}
		}
		lo, hi := 0, -1
		switch p.s[p.i] {
		case '*':
		case '+':
			lo = 1
		case '?':
			hi = 1
		case '{':
			var width int
			lo, hi, width = braces(p.s[p.i:])
			if width == 0 {
				return n, nil
			}
			if lo > maxRepeat || hi > maxRepeat || hi >= 0 && lo > hi {
				return nil, p.errorf("repeat counts out of order or over %d", maxRepeat)
			}
			p.i += width - 1
		default:
			return n, nil
		}
		p.i++
		r := &node{kind: kRepeat, sub: []*node{n}, min: lo, max: hi, lazy: f.ungreedy}
		if p.i < len(p.s) && p.s[p.i] == '?' {
			r.lazy = !r.lazy
			p.i++
		} else if p.i < len(p.s) && p.s[p.i] == '+' {
			r.possessive = true
			p.i++
		}
		if r.possessive {
			r = &node{kind: kAtomic, sub: []*node{r}}
		}
		n = r
	}
	return n, nil
}

// braces reads {n}, {n,} or {n,m} and says how many bytes it took; anything
// else is literal text and takes 0.
func braces(s string) (lo, hi, width int) {
	end := strings.IndexByte(s, '}')
	if end < 2 || end > 14 {
		return 0, 0, 0
	}
	a, b, comma := strings.Cut(s[1:end], ",")
	lo, err := strconv.Atoi(a)
	if err != nil || a[0] == '+' || a[0] == '-' {
		return 0, 0, 0
	}
	switch {
	case !comma:
		hi = lo
	case b == "":
		hi = -1
	default:
		if hi, err = strconv.Atoi(b); err != nil || b[0] == '+' || b[0] == '-' {
			return 0, 0, 0
		}
	}
	return lo, hi, end + 1
}

func (p *reader) byteNode(c byte, f *flags) *node {
	n := &node{kind: kSet}
	n.set.add(c)
	if f.fold {
		n.set.fold()
	}
	return n
}

func (p *reader) atom(f *flags) (*node, error) {
	c := p.s[p.i]
	switch c {
	case '(':
		return p.group(f)
	case '[':
		return p.class(f)
	case '.':
		p.i++
		n := &node{kind: kSet}
		n.set.not()
		if !f.dotall {
			n.set[0] &^= 1 << '\n'
		}
		return n, nil
	case '^':
		p.i++
		if f.multi {
			return &node{kind: kAssert, assert: aLine}, nil
		}
		return &node{kind: kAssert, assert: aBegin}, nil
	case '$':
		p.i++
		switch {
		case f.multi:
			return &node{kind: kAssert, assert: aLineEnd}, nil
		case f.endonly:
			return &node{kind: kAssert, assert: aEndOnly}, nil
		}
		return &node{kind: kAssert, assert: aEnd}, nil
	case '\\':
		return p.escape(f)
	case '*', '+', '?':
		return nil, p.errorf("quantifier %c has nothing to repeat", c)
	}
	p.i++
	return p.byteNode(c, f), nil
}

// group reads what begins with a bracket. A nil node says that it only set
// flags or was a comment.
func (p *reader) group(f *flags) (*node, error) {
	start := p.i
	p.i++
	if !strings.HasPrefix(p.s[p.i:], "?") {
		if strings.HasPrefix(p.s[p.i:], "*") {
			return nil, p.errorf("verbs such as (*UTF8) are not supported")
		}
		return p.capture(f, "")
	}
	rest := p.s[p.i:]
	switch {
	case strings.HasPrefix(rest, "?#"):
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return nil, p.errorf("comment is not closed")
		}
		p.i += end + 1
		return nil, nil
	case strings.HasPrefix(rest, "?:"):
		p.i += 2
		return p.closed(f, &node{kind: kCat})
	case strings.HasPrefix(rest, "?|"):
		return nil, p.errorf("branch reset (?| is not supported")
	case strings.HasPrefix(rest, "?>"):
		p.i += 2
		return p.closed(f, &node{kind: kAtomic})
	case strings.HasPrefix(rest, "?="), strings.HasPrefix(rest, "?!"):
		p.i += 2
		return p.closed(f, &node{kind: kLook, neg: rest[1] == '!'})
	case strings.HasPrefix(rest, "?<="), strings.HasPrefix(rest, "?<!"):
		p.i += 3
		return p.closed(f, &node{kind: kLook, behind: true, neg: rest[2] == '!'})
	case strings.HasPrefix(rest, "?P="):
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return nil, p.errorf("(?P= is not closed")
		}
		p.i += end + 1
		return p.namedRef(rest[3:end], f)
	case strings.HasPrefix(rest, "?P<"), strings.HasPrefix(rest, "?<"), strings.HasPrefix(rest, "?'"):
		open := strings.IndexAny(rest, "<'")
		closer := byte('>')
		if rest[open] == '\'' {
			closer = '\''
		}
		end := strings.IndexByte(rest[open+1:], closer)
		if end < 0 {
			return nil, p.errorf("group name is not closed")
		}
		p.i += open + 1 + end + 1
		return p.capture(f, rest[open+1:open+1+end])
	case strings.HasPrefix(rest, "?("):
		return p.condition(f)
	case strings.HasPrefix(rest, "?R"), strings.HasPrefix(rest, "?P>"), strings.HasPrefix(rest, "?&"), len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
		return nil, p.errorf("recursion is not supported")
	}
	// (?i-m) or (?i:...)
	p.i++
	inner := *f
	on := true
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		switch c {
		case 'i':
			inner.fold = on
		case 'm':
			inner.multi = on
		case 's':
			inner.dotall = on
		case 'x':
			inner.extended = on
		case 'U':
			inner.ungreedy = on
		case 'J':
		case '-':
			on = false
		case ')':
			*f = inner
			return nil, nil
		case ':':
			return p.closed(&inner, &node{kind: kCat})
		default:
			p.i = start
			return nil, p.errorf("unknown group %q", clip(p.s[start:]))
		}
	}
	return nil, p.errorf("group is not closed")
}

// closed reads alternatives and the bracket that closes them into n. Flags
// set inside end with the group.
func (p *reader) closed(f *flags, n *node) (*node, error) {
	inner := *f
	sub, err := p.alternatives(&inner)
	if err != nil {
		return nil, err
	}
	if p.i >= len(p.s) {
		return nil, p.errorf("missing )")
	}
	p.i++
	n.sub = append(n.sub, sub)
	return n, nil
}

func (p *reader) capture(f *flags, name string) (*node, error) {
	p.groups++
	if p.groups > maxGroups {
		return nil, p.errorf("more than %d groups", maxGroups)
	}
	n := &node{kind: kGroup, n: p.groups}
	if name != "" {
		p.names[name] = n.n
	}
	return p.closed(f, n)
}

func (p *reader) condition(f *flags) (*node, error) {
	end := strings.IndexByte(p.s[p.i:], ')')
	if end < 0 {
		return nil, p.errorf("condition is not closed")
	}
	name := strings.Trim(p.s[p.i+2:p.i+end], "<>'")
	n, err := strconv.Atoi(name)
	if err != nil {
		var ok bool
		if n, ok = p.names[name]; !ok {
			return nil, p.errorf("condition %q is not supported, only a group", clip(name))
		}
	}
	p.i += end + 1
	p.backrefs++
	c, err := p.closed(f, &node{kind: kCond, n: n})
	if err != nil {
		return nil, err
	}
	yes := c.sub[0]
	c.sub = []*node{yes, {kind: kEmpty}}
	if yes.kind == kAlt {
		if len(yes.sub) > 2 {
			return nil, p.errorf("condition with more than two branches")
		}
		c.sub = []*node{yes.sub[0], yes.sub[1]}
	}
	return c, nil
}

func (p *reader) namedRef(name string, f *flags) (*node, error) {
	n, ok := p.names[name]
	if !ok {
		return nil, p.errorf("backreference to unknown group %q", clip(name))
	}
	p.backrefs++
	return &node{kind: kBackref, n: n, fold: f.fold}, nil
}

func clip(s string) string {
	if len(s) > 24 {
		return s[:24] + "..."
	}
	return s
}
