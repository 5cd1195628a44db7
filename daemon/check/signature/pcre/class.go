package pcre

import (
	"strconv"
	"strings"
)

var digits, spaces, words, horizontal, vertical byteSet

func init() {
	digits.addRange('0', '9')
	for _, c := range " \t\n\r\f\v" {
		spaces.add(byte(c))
	}
	words = digits
	words.addRange('a', 'z')
	words.addRange('A', 'Z')
	words.add('_')
	horizontal.add(' ')
	horizontal.add('\t')
	horizontal.add(0xa0)
	vertical.addRange('\n', '\r')
	vertical.add(0x85)
}

// shorthand is the set of \d, \W and their like.
func shorthand(c byte) (s byteSet, ok bool) {
	switch c | 0x20 {
	case 'd':
		s = digits
	case 's':
		s = spaces
	case 'w':
		s = words
	case 'h':
		s = horizontal
	case 'v':
		s = vertical
	default:
		return s, false
	}
	if c < 'a' {
		s.not()
	}
	return s, true
}

// escape reads what begins with a backslash, outside a class.
func (p *reader) escape(f *flags) (*node, error) {
	p.i++
	if p.i >= len(p.s) {
		return nil, p.errorf("the pattern ends with a backslash")
	}
	c := p.s[p.i]
	if s, ok := shorthand(c); ok {
		p.i++
		return &node{kind: kSet, set: s}, nil
	}
	place := func(a assertKind) (*node, error) {
		p.i++
		return &node{kind: kAssert, assert: a}, nil
	}
	switch c {
	case 'b':
		return place(aWord)
	case 'B':
		return place(aNotWord)
	case 'A':
		return place(aBegin)
	case 'z':
		return place(aEndOnly)
	case 'Z':
		return place(aEnd)
	case 'G':
		return place(aStart)
	case 'K':
		p.i++
		return &node{kind: kKeep}, nil
	case 'N':
		p.i++
		n := &node{kind: kSet}
		n.set.add('\n')
		n.set.not()
		return n, nil
	case 'R':
		p.i++
		crlf := &node{kind: kCat, sub: []*node{p.byteNode('\r', &flags{}), p.byteNode('\n', &flags{})}}
		return &node{kind: kAtomic, sub: []*node{{kind: kAlt, sub: []*node{crlf, {kind: kSet, set: vertical}}}}}, nil
	case 'Q':
		p.i++
		end := strings.Index(p.s[p.i:], `\E`)
		text, skip := p.s[p.i:], len(p.s)-p.i
		if end >= 0 {
			text, skip = p.s[p.i:p.i+end], end+2
		}
		p.i += skip
		n := &node{kind: kCat}
		for i := 0; i < len(text); i++ {
			n.sub = append(n.sub, p.byteNode(text[i], f))
		}
		return n, nil
	case 'E':
		p.i++
		return nil, nil
	case 'k':
		if p.i+1 < len(p.s) && strings.IndexByte("<'{", p.s[p.i+1]) >= 0 {
			end := strings.IndexAny(p.s[p.i+2:], ">'}")
			if end >= 0 {
				name := p.s[p.i+2 : p.i+2+end]
				p.i += 3 + end
				return p.namedRef(name, f)
			}
		}
		return nil, p.errorf(`\k needs a group name`)
	case 'g':
		return p.numberedRef(f)
	case 'p', 'P', 'X', 'C':
		return nil, p.errorf(`\%c is not supported: rules match bytes`, c)
	}
	if c >= '1' && c <= '9' {
		end := p.i
		for end < len(p.s) && p.s[end] >= '0' && p.s[end] <= '9' && end-p.i < 3 {
			end++
		}
		n, _ := strconv.Atoi(p.s[p.i:end])
		if n <= 9 || n <= p.groups {
			p.i = end
			p.backrefs++
			return &node{kind: kBackref, n: n, fold: f.fold}, nil
		}
	}
	b, err := p.escapedByte()
	if err != nil {
		return nil, err
	}
	return p.byteNode(b, f), nil
}

// numberedRef reads \g1, \g{1}, \g{-1}, \g{name}.
func (p *reader) numberedRef(f *flags) (*node, error) {
	rest := p.s[p.i+1:]
	name := ""
	if strings.HasPrefix(rest, "{") {
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return nil, p.errorf(`\g{ is not closed`)
		}
		name = rest[1:end]
		p.i += 2 + end
	} else {
		n := 0
		for n < len(rest) && (rest[n] >= '0' && rest[n] <= '9' || n == 0 && rest[n] == '-') {
			n++
		}
		name = rest[:n]
		p.i += 1 + n
	}
	n, err := strconv.Atoi(name)
	if err != nil {
		return p.namedRef(name, f)
	}
	if n < 0 {
		n = p.groups + 1 + n
	}
	if n < 1 {
		return nil, p.errorf(`\g refers to no group`)
	}
	p.backrefs++
	return &node{kind: kBackref, n: n, fold: f.fold}, nil
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// escapedByte reads an escape that stands for one byte; p.i is behind the
// backslash.
func (p *reader) escapedByte() (byte, error) {
	c := p.s[p.i]
	p.i++
	switch c {
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'f':
		return '\f', nil
	case 'a':
		return 7, nil
	case 'e':
		return 27, nil
	case 'c':
		if p.i >= len(p.s) {
			return 0, p.errorf(`\c at the end of the pattern`)
		}
		b := p.s[p.i]
		p.i++
		if b >= 'a' && b <= 'z' {
			b -= 32
		}
		return b ^ 64, nil
	case 'x':
		if p.i < len(p.s) && p.s[p.i] == '{' {
			end := strings.IndexByte(p.s[p.i:], '}')
			if end < 0 {
				return 0, p.errorf(`\x{ is not closed`)
			}
			v, err := strconv.ParseUint(p.s[p.i+1:p.i+end], 16, 32)
			if err != nil || v > 255 {
				return 0, p.errorf(`\x{...} over FF: rules match bytes`)
			}
			p.i += end + 1
			return byte(v), nil
		}
		v := 0
		for n := 0; n < 2 && p.i < len(p.s) && hexValue(p.s[p.i]) >= 0; n++ {
			v = v<<4 | hexValue(p.s[p.i])
			p.i++
		}
		return byte(v), nil
	case 'o':
		if p.i < len(p.s) && p.s[p.i] == '{' {
			if end := strings.IndexByte(p.s[p.i:], '}'); end > 0 {
				v, err := strconv.ParseUint(p.s[p.i+1:p.i+end], 8, 8)
				if err == nil {
					p.i += end + 1
					return byte(v), nil
				}
			}
		}
		return 0, p.errorf(`\o needs {octal}`)
	}
	if c >= '0' && c <= '7' {
		v := int(c - '0')
		for n := 0; n < 2 && p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '7'; n++ {
			v = v<<3 | int(p.s[p.i]-'0')
			p.i++
		}
		return byte(v), nil
	}
	return c, nil
}

// class reads [...].
func (p *reader) class(f *flags) (*node, error) {
	start := p.i
	p.i++
	n := &node{kind: kSet}
	neg := false
	if p.i < len(p.s) && p.s[p.i] == '^' {
		neg = true
		p.i++
	}
	for first := true; ; first = false {
		if p.i >= len(p.s) {
			p.i = start
			return nil, p.errorf("[ is not closed by ]")
		}
		if p.s[p.i] == ']' && !first {
			p.i++
			break
		}
		lo, set, isSet, err := p.classItem()
		if err != nil {
			return nil, err
		}
		if isSet {
			n.set.or(&set)
			continue
		}
		if p.i+1 < len(p.s) && p.s[p.i] == '-' && p.s[p.i+1] != ']' {
			save := p.i
			p.i++
			hi, hset, hIsSet, err := p.classItem()
			if err != nil {
				return nil, err
			}
			if hIsSet {
				// [a-\d]: the hyphen is itself.
				n.set.add(lo)
				n.set.add('-')
				n.set.or(&hset)
				continue
			}
			if hi < lo {
				p.i = save
				return nil, p.errorf("range in a class is out of order")
			}
			n.set.addRange(lo, hi)
			continue
		}
		n.set.add(lo)
	}
	if f.fold {
		n.set.fold()
	}
	if neg {
		n.set.not()
	}
	return n, nil
}

// classItem reads one byte or one set inside a class.
func (p *reader) classItem() (b byte, set byteSet, isSet bool, err error) {
	c := p.s[p.i]
	if c == '[' && p.i+1 < len(p.s) && p.s[p.i+1] == ':' {
		if end := strings.Index(p.s[p.i:], ":]"); end > 0 {
			name := p.s[p.i+2 : p.i+end]
			if s, ok := posix(name); ok {
				p.i += end + 2
				return 0, s, true, nil
			}
		}
	}
	if c != '\\' {
		p.i++
		return c, set, false, nil
	}
	p.i++
	if p.i >= len(p.s) {
		return 0, set, false, p.errorf("the pattern ends with a backslash")
	}
	if s, ok := shorthand(p.s[p.i]); ok {
		p.i++
		return 0, s, true, nil
	}
	switch p.s[p.i] {
	case 'b':
		p.i++
		return 8, set, false, nil
	case 'Q', 'E':
		p.i++
		return 0, set, true, nil
	}
	b, err = p.escapedByte()
	return b, set, false, err
}

func posix(name string) (s byteSet, ok bool) {
	neg := strings.HasPrefix(name, "^")
	name = strings.TrimPrefix(name, "^")
	lower := func() { s.addRange('a', 'z') }
	upper := func() { s.addRange('A', 'Z') }
	switch name {
	case "alpha":
		lower()
		upper()
	case "digit":
		s = digits
	case "alnum":
		lower()
		upper()
		s.or(&digits)
	case "lower":
		lower()
	case "upper":
		upper()
	case "space":
		s = spaces
	case "blank":
		s.add(' ')
		s.add('\t')
	case "punct":
		s.addRange('!', '/')
		s.addRange(':', '@')
		s.addRange('[', '`')
		s.addRange('{', '~')
	case "xdigit":
		s = digits
		s.addRange('a', 'f')
		s.addRange('A', 'F')
	case "word":
		s = words
	case "print":
		s.addRange(' ', '~')
	case "graph":
		s.addRange('!', '~')
	case "cntrl":
		s.addRange(0, 31)
		s.add(127)
	case "ascii":
		s.addRange(0, 127)
	default:
		return s, false
	}
	if neg {
		s.not()
	}
	return s, true
}
