package decode

import (
	"bytes"
	"unicode/utf8"
)

// JS undoes the backslash escapes of JavaScript and its relatives: \xHH,
// \uHHHH, \u{H...}, \UHHHHHHHH, octal, and an escaped quote, slash or backslash. The
// single letters (\n, \t, ...) are undone only where one of the numeric forms
// stands in the same text: otherwise C:\new would become a line break.
func JS(dst, src []byte) (out []byte, changed bool) {
	if bytes.IndexByte(src, '\\') < 0 {
		return append(dst, src...), false
	}
	letters := hasNumericEscape(src)
	for i := 0; i < len(src); {
		if src[i] != '\\' || i+1 == len(src) {
			dst = append(dst, src[i])
			i++
			continue
		}
		if r, n := jsEscape(src[i:]); n > 0 {
			i += n
			if utf16High(r) && i+5 < len(src) && src[i] == '\\' && src[i+1] == 'u' {
				if lo, ok := hex4(src[i+2:]); ok && utf16Low(lo) {
					r = utf16Join(r, lo)
					i += 6
				}
			}
			if r < 0x100 && src[i-1] != '}' && n == 4 {
				// \xHH names a byte to shells, PHP and Python, a character to
				// JavaScript; below 0x80 they agree, above the byte can be part
				// of an encoded character.
				dst = append(dst, byte(r))
			} else {
				dst = utf8.AppendRune(dst, r)
			}
			changed = true
			continue
		}
		c := src[i+1]
		switch {
		case c == '\'' || c == '"' || c == '/' || c == '\\' || c == '`':
			dst = append(dst, c)
			changed = true
			i += 2
		case letters && letter[c] != 0:
			dst = append(dst, letter[c])
			i += 2
		case letters && c == '\n':
			i += 2
		default:
			dst = append(dst, '\\')
			i++
		}
	}
	return dst, changed
}

var letter = [256]byte{'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f', 'v': '\v'}

func hasNumericEscape(b []byte) bool {
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 || i+1 == len(b) {
			return false
		}
		if _, n := jsEscape(b[i:]); n > 0 {
			return true
		}
		b = b[i+2:]
	}
}

// jsEscape reads a numeric escape at the start of b, which begins with a backslash.
func jsEscape(b []byte) (rune, int) {
	if len(b) < 3 {
		return 0, 0
	}
	switch c := b[1]; {
	case c == 'x' || c == 'X':
		if len(b) >= 4 && hexVal[b[2]] != 0xff && hexVal[b[3]] != 0xff {
			return rune(hexVal[b[2]])<<4 | rune(hexVal[b[3]]), 4
		}
	case c == 'u' || c == 'U':
		if r, ok := long(b); ok {
			return r, 10
		}
		if r, ok := hex4(b[2:]); ok {
			return r, 6
		}
		if b[2] == '{' {
			r := rune(0)
			for i := 3; i < len(b) && i < 12; i++ {
				if b[i] == '}' && i > 3 {
					return r, i + 1
				}
				v := hexVal[b[i]]
				if v == 0xff || r > utf8.MaxRune>>4 {
					break
				}
				r = r<<4 | rune(v)
			}
		}
	case c >= '0' && c <= '3' && len(b) >= 4 && octal(b[2]) && octal(b[3]):
		return rune(c-'0')<<6 | rune(b[2]-'0')<<3 | rune(b[3]-'0'), 4
	case c >= '4' && c <= '7' && octal(b[2]):
		return rune(c-'0')<<3 | rune(b[2]-'0'), 3
	}
	return 0, 0
}

// long reads Python's \UXXXXXXXX, which begins with at least two zeros.
func long(b []byte) (rune, bool) {
	if len(b) < 10 || b[1] != 'U' || b[2] != '0' || b[3] != '0' {
		return 0, false
	}
	high, ok1 := hex4(b[2:])
	low, ok2 := hex4(b[6:])
	return high<<16 | low, ok1 && ok2 && high<<16|low <= utf8.MaxRune
}

func octal(c byte) bool { return c >= '0' && c <= '7' }
