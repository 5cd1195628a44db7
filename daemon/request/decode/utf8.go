package decode

import (
	"unicode/utf8"
)

// UTF8 folds what lenient decoders read as plain ASCII: overlong sequences
// (RFC 3629 section 3 forbids them), full-width forms, and bytes that belong
// to no character, which many decoders drop. Zero-width characters and NUL
// bytes are dropped, too.
//
// Text in a legacy charset is full of bytes that are not UTF-8, and two of
// them in a row can look overlong (a GBK character can). So nothing malformed
// is folded in text where such bytes stand side by side or outnumber one in
// four; an overlong sequence must decode to ASCII punctuation or stand between
// ASCII.
func UTF8(dst, src []byte) (out []byte, changed bool) {
	legacy := looksLegacy(src)
	for i := 0; i < len(src); {
		c := src[i]
		if c < 0x80 {
			if c == 0 {
				changed = true
			} else {
				dst = append(dst, c)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n == 1 {
			if o, m := overlong(src[i:]); m > 0 && !legacy {
				dst = append(dst, o)
				changed = true
				i += m
				continue
			}
			if legacy {
				dst = append(dst, c)
			} else {
				changed = true
			}
			i++
			continue
		}
		i += n
		switch {
		case r >= 0xff01 && r <= 0xff5e:
			dst = append(dst, byte(r-0xff01+'!'))
			changed = true
		case r == 0x200b || r == 0x200c || r == 0x200d || r == 0xfeff || r == 0xad || r == 0x2060:
			changed = true
		case r >= 0x80 && r < 0xa0:
			// C1 controls written as UTF-8 are kept: they are no ASCII in any reading.
			dst = append(dst, src[i-n:i]...)
		default:
			if f := lookalike(r); f != 0 {
				dst = append(dst, f)
				changed = true
			} else {
				dst = append(dst, src[i-n:i]...)
			}
		}
	}
	return dst, changed
}

// lookalike folds the characters that databases and Windows' best-fit mapping
// turn into ASCII syntax.
func lookalike(r rune) byte {
	switch r {
	case 0x2018, 0x2019, 0x02b9, 0x02bc, 0x2032, 0x02c8:
		return '\''
	case 0x201c, 0x201d, 0x02ba, 0x2033:
		return '"'
	case 0x2039, 0x2329, 0x3008, 0xfe64:
		return '<'
	case 0x203a, 0x232a, 0x3009, 0xfe65:
		return '>'
	case 0x2215, 0x2044:
		return '/'
	case 0x2216, 0xfe68:
		return '\\'
	case 0x2024, 0xfe52:
		return '.'
	}
	return 0
}

// overlong reads an overlong form of an ASCII character.
func overlong(b []byte) (byte, int) {
	cont := func(i int) bool { return i < len(b) && b[i]&0xc0 == 0x80 }
	switch c := b[0]; {
	case (c == 0xc0 || c == 0xc1) && cont(1):
		return c&1<<6 | b[1]&0x3f, 2
	case (c == 0xc0 || c == 0xc1) && len(b) > 1 && b[1] < 0x80 && b[1] >= 0x20 && c == 0xc0 && b[1]&0x40 == 0:
		// %c0%2f: decoders that do not check the second byte mask it.
		return b[1] & 0x3f, 2
	case c == 0xe0 && cont(1) && cont(2) && b[1] < 0xa0 && b[1]&0x3f>>1 == 0:
		return b[1]&1<<6 | b[2]&0x3f, 3
	case c == 0xf0 && cont(1) && cont(2) && cont(3) && b[1]&0x3f == 0 && b[2]&0x3f>>1 == 0:
		return b[2]&1<<6 | b[3]&0x3f, 4
	}
	return 0, 0
}

// looksLegacy says that src reads like text in a single- or double-byte
// charset: bytes outside UTF-8 that no overlong sequence explains, in runs.
func looksLegacy(src []byte) bool {
	bad, run, good := 0, 0, 0
	for i := 0; i < len(src); {
		if src[i] < 0x80 {
			run = 0
			i++
			continue
		}
		r, n := utf8.DecodeRune(src[i:])
		if r != utf8.RuneError || n > 1 {
			good++
			run = 0
			i += n
			continue
		}
		if o, m := overlong(src[i:]); m > 0 && syntax(o) {
			run = 0
			i += m
			continue
		}
		bad++
		if run++; run >= 3 {
			return true
		}
		i++
	}
	return bad > 0 && bad*4 > len(src)-bad
}

// syntax says that an attack would have a reason to hide c.
func syntax(c byte) bool {
	switch {
	case c < 0x20, c >= '0' && c <= '9', isAlpha(c), c == 0x7f:
		return c == 0 || c == '\n' || c == '\r' || isAlpha(c)
	}
	return true
}

// Malformed says whether b is no UTF-8, and whether it hides an ASCII character
// in an overlong sequence. Text that reads like a legacy charset's hides none.
func Malformed(b []byte) (invalid, hidden bool) {
	if utf8.Valid(b) {
		return false, false
	}
	if looksLegacy(b) {
		return true, false
	}
	for i := range b {
		if b[i] < 0xc0 {
			continue
		}
		if c, n := overlong(b[i:]); n > 0 && syntax(c) && (n > 2 || b[i+1] >= 0x80) {
			return true, true
		}
	}
	return true, false
}
