package keyword

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// field is a number in the buffer: in binary of 1 to 10 bytes, or as digits.
type field struct {
	bytes    num
	offset   num
	relative bool
	little   bool
	text     bool
	base     int // of digits; 0 takes 0x and 0 prefixes
	mask     uint64
	// whole asks for all bytes of a text number, as Suricata does; Snort 3
	// takes what there is.
	whole bool
}

func (f *field) Relative() bool { return f.relative }

// read reads the number; end is where it ends in the buffer.
func (f *field) read(c *Cursor) (v uint64, end int, ok bool) {
	at := f.offset.value(c)
	if f.relative {
		at += c.Pos
	}
	n := f.bytes.value(c)
	if at < 0 || n <= 0 || at >= len(c.Buf) {
		return 0, 0, false
	}
	if f.text {
		if f.whole && at+n > len(c.Buf) {
			return 0, 0, false
		}
		b := c.Buf[at:min(at+n, len(c.Buf))]
		v, used, ok := digitsOf(b, f.base)
		if !ok {
			return 0, 0, false
		}
		return f.masked(v), at + used, true
	}
	if n > 8 || at+n > len(c.Buf) {
		return 0, 0, false
	}
	for i := 0; i < n; i++ {
		if f.little {
			v |= uint64(c.Buf[at+i]) << (8 * i)
		} else {
			v = v<<8 | uint64(c.Buf[at+i])
		}
	}
	return f.masked(v), at + n, true
}

func (f *field) masked(v uint64) uint64 {
	if f.mask == 0 {
		return v
	}
	v &= f.mask
	for m := f.mask; m&1 == 0; m >>= 1 {
		v >>= 1
	}
	return v
}

// digitsOf reads the digits that b begins with, behind spaces and a sign, and
// says how many bytes it took.
func digitsOf(b []byte, base int) (v uint64, used int, ok bool) {
	i := 0
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	neg := false
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		neg = b[i] == '-'
		i++
	}
	if base == 16 || base == 0 {
		if i+2 < len(b) && b[i] == '0' && b[i+1]|0x20 == 'x' {
			i += 2
			base = 16
		}
	}
	if base == 0 {
		base = 10
		if i+1 < len(b) && b[i] == '0' {
			base = 8
		}
	}
	start := i
	for ; i < len(b); i++ {
		d := 99
		switch ch := b[i]; {
		case ch >= '0' && ch <= '9':
			d = int(ch - '0')
		case ch|0x20 >= 'a' && ch|0x20 <= 'f':
			d = int(ch|0x20-'a') + 10
		}
		if d >= base || v > 1<<58 {
			break
		}
		v = v*uint64(base) + uint64(d)
	}
	if neg {
		v = -v
	}
	return v, i, i > start
}

// parseField reads the parts that all byte options share and returns the rest.
func (b *Builder) parseField(f *field, parts []string) (rest []string, err error) {
	if f.bytes.v == 0 && (f.bytes.n < 0 || f.bytes.n > 23) {
		return nil, fmt.Errorf("%d bytes, 1 to 23 expected", f.bytes.n)
	}
	for _, p := range parts {
		p = strings.TrimSpace(p)
		key, value, _ := strings.Cut(p, " ")
		switch key {
		case "relative":
			f.relative = true
		case "little":
			f.little = true
		case "big", "":
		case "endian":
			f.little = strings.TrimSpace(value) == "little"
		case "string":
			f.text, f.base = true, max(f.base, 0)
			if value = strings.TrimSpace(value); value != "" {
				if f.base, err = baseOf(value); err != nil {
					return nil, err
				}
			}
		case "hex", "dec", "oct":
			f.base, _ = baseOf(key)
			f.text = true
		case "dce":
			return nil, Skip{"about DCE/RPC"}
		case "bitmask":
			if f.mask, err = strconv.ParseUint(strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(value), "0x"), "0X"), 16, 64); err != nil {
				return nil, fmt.Errorf("%q is no bit mask", clip(value))
			}
		default:
			rest = append(rest, p)
		}
	}
	if f.bytes.v == 0 && f.bytes.n == 0 {
		// Suricata takes 0 bytes of text for all the digits that follow.
		if !f.text {
			return nil, fmt.Errorf("0 bytes of a binary number, 1 to 8 expected")
		}
		f.bytes.n = 23
	} else {
		f.whole = !b.snort3()
	}
	if !f.text && f.bytes.v == 0 && f.bytes.n > 8 {
		return nil, fmt.Errorf("%d bytes of a binary number, at most 8 expected", f.bytes.n)
	}
	return rest, nil
}

func baseOf(s string) (int, error) {
	switch s {
	case "hex":
		return 16, nil
	case "dec":
		return 10, nil
	case "oct":
		return 8, nil
	}
	return 0, fmt.Errorf("expected hex, dec or oct, found %q", clip(s))
}

type byteTest struct {
	field
	op      byte // < > = & ^, l for <=, g for >=
	negated bool
	value   num
}

func (t *byteTest) Match(c *Cursor) bool {
	v, _, ok := t.read(c)
	if !ok {
		return false
	}
	w := uint64(t.value.n)
	if t.value.v > 0 {
		w = uint64(c.Vars[t.value.v-1])
	}
	switch t.op {
	case '<':
		ok = v < w
	case '>':
		ok = v > w
	case 'l':
		ok = v <= w
	case 'g':
		ok = v >= w
	case '=':
		ok = v == w
	case '&':
		ok = v&w != 0
	case '^':
		ok = v^w != 0
	}
	return ok != t.negated
}

var byteTestKeyword = &Keyword{
	Name: "byte_test",
	Help: "byte_test:N,[!]op,value,offset[,relative][,endian][,string,base][,bitmask]: compares a number in the buffer",
	Parse: func(b *Builder, o rule.Option) error {
		p := strings.Split(o.Value, ",")
		if len(p) < 4 {
			return fmt.Errorf("expected bytes, operator, value and offset")
		}
		t := &byteTest{}
		var err error
		if t.bytes, err = b.number(p[0]); err != nil {
			return err
		}
		op := strings.TrimSpace(p[1])
		if rest, ok := strings.CutPrefix(op, "!"); ok {
			t.negated, op = true, strings.TrimSpace(rest)
			if op == "" {
				op = "="
			}
		}
		switch op {
		case "<", ">", "=", "&", "^":
			t.op = op[0]
		case "<=":
			t.op = 'l'
		case ">=":
			t.op = 'g'
		default:
			return fmt.Errorf("unknown operator %q", clip(op))
		}
		if t.value, err = b.number(p[2]); err != nil {
			return err
		}
		if t.offset, err = b.number(p[3]); err != nil {
			return err
		}
		rest, err := b.parseField(&t.field, p[4:])
		if err != nil {
			return err
		}
		if len(rest) > 0 {
			return fmt.Errorf("unknown parameter %q", clip(rest[0]))
		}
		b.add(b.spec(t.relative), t)
		return nil
	},
}

type byteJump struct {
	field
	multiplier int
	align      bool
	fromBegin  bool
	fromEnd    bool
	post       num
}

func (j *byteJump) moves() bool { return true }
func (j *byteJump) Match(c *Cursor) bool {
	v, end, ok := j.read(c)
	if !ok || v > 1<<31 && v < 1<<63 {
		return false
	}
	jump := int(int64(v)) * j.multiplier
	if j.align && jump%4 != 0 {
		jump += 4 - jump%4
	}
	switch {
	case j.fromBegin:
		end = 0
	case j.fromEnd:
		end = len(c.Buf)
		jump = -jump
		if v == 0 {
			jump = 0
		}
		jump = -jump
	}
	pos := end + jump + j.post.value(c)
	if pos < 0 && j.whole {
		pos = 0 // Suricata's jump back ends at the begin
	}
	if pos < 0 || pos > len(c.Buf) {
		return false
	}
	c.Pos = pos
	return true
}

var byteJumpKeyword = &Keyword{
	Name: "byte_jump",
	Help: "byte_jump:N,offset[,relative][,multiplier M][,endian][,string,base][,align][,from_beginning|from_end][,post_offset P][,bitmask]: moves the cursor by a number in the buffer",
	Parse: func(b *Builder, o rule.Option) error {
		p := strings.Split(o.Value, ",")
		if len(p) < 2 {
			return fmt.Errorf("expected bytes and offset")
		}
		j := &byteJump{multiplier: 1}
		var err error
		if j.bytes, err = b.number(p[0]); err != nil {
			return err
		}
		if j.offset, err = b.number(p[1]); err != nil {
			return err
		}
		rest, err := b.parseField(&j.field, p[2:])
		if err != nil {
			return err
		}
		for _, r := range rest {
			key, value, _ := strings.Cut(r, " ")
			switch key {
			case "align":
				j.align = true
			case "from_beginning":
				j.fromBegin = true
			case "from_end":
				j.fromEnd = true
			case "multiplier":
				if j.multiplier, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || j.multiplier < 1 || j.multiplier > 65535 {
					return fmt.Errorf("multiplier %q is not in 1 to 65535", clip(value))
				}
			case "post_offset":
				if j.post, err = b.number(value); err != nil {
					return err
				}
			default:
				return fmt.Errorf("unknown parameter %q", clip(r))
			}
		}
		b.add(b.spec(j.relative), j)
		return nil
	},
}

type byteExtract struct {
	field
	multiplier int
	align      bool
	variable   int
}

func (x *byteExtract) Match(c *Cursor) bool {
	v, end, ok := x.read(c)
	if !ok {
		return false
	}
	n := int64(v) * int64(x.multiplier)
	if x.align && n%4 != 0 {
		n += 4 - n%4
	}
	c.Vars[x.variable] = n
	c.Pos = min(end, len(c.Buf))
	return true
}

var byteExtractKeyword = &Keyword{
	Name: "byte_extract",
	Help: "byte_extract:N,offset,name[,relative][,multiplier M][,endian][,string,base][,align][,bitmask]: keeps a number for later options",
	Parse: func(b *Builder, o rule.Option) error {
		p := strings.Split(o.Value, ",")
		if len(p) < 3 {
			return fmt.Errorf("expected bytes, offset and a name")
		}
		x := &byteExtract{multiplier: 1}
		var err error
		if x.bytes, err = b.number(p[0]); err != nil {
			return err
		}
		if x.offset, err = b.number(p[1]); err != nil {
			return err
		}
		rest, err := b.parseField(&x.field, p[3:])
		if err != nil {
			return err
		}
		for _, r := range rest {
			key, value, _ := strings.Cut(r, " ")
			switch key {
			case "align":
				x.align = true
			case "multiplier":
				if x.multiplier, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || x.multiplier < 1 {
					return fmt.Errorf("multiplier %q is no number over 0", clip(value))
				}
			default:
				return fmt.Errorf("unknown parameter %q", clip(r))
			}
		}
		x.variable = b.variable(strings.TrimSpace(p[2]))
		b.add(b.spec(x.relative), x)
		return nil
	},
}

type byteMath struct {
	field
	oper     string
	rvalue   num
	variable int
}

func (m *byteMath) Match(c *Cursor) bool {
	v, end, ok := m.read(c)
	if !ok {
		return false
	}
	r := uint64(m.rvalue.n)
	if m.rvalue.v > 0 {
		r = uint64(c.Vars[m.rvalue.v-1])
	}
	switch m.oper {
	case "+":
		v += r
	case "-":
		v -= r
	case "*":
		v *= r
	case "/":
		if r == 0 {
			return false
		}
		v /= r
	case "<<":
		v <<= min(r, 64)
	case ">>":
		v >>= min(r, 64)
	}
	c.Vars[m.variable] = int64(v)
	c.Pos = min(end, len(c.Buf))
	return true
}

var byteMathKeyword = &Keyword{
	Name: "byte_math",
	Help: "byte_math:bytes N,offset N,oper + - * / << >>,rvalue V,result name[,relative][,endian E][,string base][,bitmask M]: calculates with a number in the buffer",
	Parse: func(b *Builder, o rule.Option) error {
		m := &byteMath{}
		result := ""
		var other []string
		var err error
		for _, p := range strings.Split(o.Value, ",") {
			p = strings.TrimSpace(p)
			key, value, _ := strings.Cut(p, " ")
			value = strings.TrimSpace(value)
			switch key {
			case "bytes":
				m.bytes, err = b.number(value)
			case "offset":
				m.offset, err = b.number(value)
			case "oper":
				m.oper = value
			case "rvalue":
				m.rvalue, err = b.number(value)
			case "result":
				result = value
			default:
				other = append(other, p)
			}
			if err != nil {
				return err
			}
		}
		rest, err := b.parseField(&m.field, other)
		if err != nil {
			return err
		}
		if len(rest) > 0 {
			return fmt.Errorf("unknown parameter %q", clip(rest[0]))
		}
		switch m.oper {
		case "+", "-", "*", "/", "<<", ">>":
		default:
			return fmt.Errorf("unknown operator %q", clip(m.oper))
		}
		if result == "" {
			return fmt.Errorf("expected result and a name")
		}
		m.variable = b.variable(result)
		b.add(b.spec(m.relative), m)
		return nil
	},
}
