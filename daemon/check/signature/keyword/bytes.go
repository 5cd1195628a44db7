package keyword

import (
	"fmt"
	"strconv"
	"strings"
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
	for i < len(b) && isSpace(b[i]) {
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

// beginField reads what byte_test, byte_jump and byte_extract begin with: a
// number of bytes, values that parse takes, an offset as their last, and then
// the parameters that all share. What it does not know it hands to other.
func (b *Builder) beginField(f *field, value string, fixed int, other func(key, value string) error) ([]string, error) {
	p := strings.Split(value, ",")
	if len(p) < fixed {
		return nil, fmt.Errorf("expected %d parameters, found %d", fixed, len(p))
	}
	var err error
	if f.bytes, err = b.number(p[0]); err != nil {
		return nil, err
	}
	rest, err := b.parseField(f, p[fixed:])
	if err != nil {
		return nil, err
	}
	for _, r := range rest {
		key, v, _ := strings.Cut(r, " ")
		if err := other(key, strings.TrimSpace(v)); err != nil {
			return nil, err
		}
	}
	return p[:fixed], nil
}

func unknownParameter(key, _ string) error { return fmt.Errorf("unknown parameter %q", clip(key)) }

// multiplied is what byte_jump and byte_extract do to the number they read.
type multiplied struct {
	by    int64
	align int64 // round up to a multiple, 0: as it is
}

func (m multiplied) of(v int64) int64 {
	v *= m.by
	if m.align > 0 && v%m.align != 0 {
		v += m.align - v%m.align
	}
	return v
}

// parameter reads multiplier and align; ok is false for any other.
func (m *multiplied) parameter(key, value string) (ok bool, err error) {
	switch key {
	case "multiplier":
		if m.by, err = strconv.ParseInt(value, 10, 32); err != nil || m.by < 1 || m.by > 65535 {
			return true, fmt.Errorf("multiplier %q is not in 1 to 65535", clip(value))
		}
		return true, nil
	case "align":
		m.align = 4
		if value == "2" {
			m.align = 2
		} else if value != "" && value != "4" {
			return true, fmt.Errorf("align %q is not 2 or 4", clip(value))
		}
		return true, nil
	}
	return false, nil
}
