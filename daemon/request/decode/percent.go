package decode

import "unicode/utf8"

// Percent undoes one level of percent-encoding (RFC 3986 section 2.1) and the
// %uXXXX form that IIS and JavaScript's escape know. With plus set, + becomes
// a space, as in application/x-www-form-urlencoded. bad counts percent signs
// that begin no escape; they are kept.
func Percent(dst, src []byte, plus bool) (out []byte, changed bool, bad int) {
	for i := 0; i < len(src); {
		c := src[i]
		switch {
		case c == '+' && plus:
			dst = append(dst, ' ')
			changed = true
			i++
		case c != '%':
			dst = append(dst, c)
			i++
		case i+2 < len(src) && hexVal[src[i+1]] != 0xff && hexVal[src[i+2]] != 0xff:
			dst = append(dst, hexVal[src[i+1]]<<4|hexVal[src[i+2]])
			changed = true
			i += 3
		case i+5 < len(src) && (src[i+1] == 'u' || src[i+1] == 'U'):
			r, ok := hex4(src[i+2:])
			if !ok {
				bad++
				dst = append(dst, c)
				i++
				continue
			}
			i += 6
			if utf16High(r) && i+5 < len(src) && src[i] == '%' && (src[i+1]|0x20) == 'u' {
				if lo, ok := hex4(src[i+2:]); ok && utf16Low(lo) {
					r = utf16Join(r, lo)
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
			changed = true
		default:
			bad++
			dst = append(dst, c)
			i++
		}
	}
	return dst, changed, bad
}

func utf16High(r rune) bool { return r >= 0xd800 && r < 0xdc00 }
func utf16Low(r rune) bool  { return r >= 0xdc00 && r < 0xe000 }
func utf16Join(hi, lo rune) rune {
	return (hi-0xd800)<<10 | (lo - 0xdc00) + 0x10000
}
