package decode

import "unicode/utf8"

// JSONString appends what a JSON string (without its quotes) stands for.
// Escapes that JSON does not know stand for the character after the backslash;
// half a surrogate pair becomes U+FFFD.
func JSONString(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		c := src[i]
		if c != '\\' || i+1 == len(src) {
			dst = append(dst, c)
			i++
			continue
		}
		switch e := src[i+1]; e {
		case 'u':
			r, ok := hex4(src[i+2:])
			if !ok {
				dst = append(dst, e)
				i += 2
				continue
			}
			i += 6
			if utf16High(r) && i+5 < len(src) && src[i] == '\\' && src[i+1] == 'u' {
				if lo, ok := hex4(src[i+2:]); ok && utf16Low(lo) {
					r = utf16Join(r, lo)
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		case 'b', 'f', 'n', 'r', 't', 'v':
			dst = append(dst, letter[e])
		default:
			dst = append(dst, e)
		}
		i += 2
	}
	return dst
}

// QuotedPairs appends what a quoted string of RFC 9110 section 5.6.4 (without
// its quotes) stands for: a backslash makes the next character plain. Three
// octal digits are a byte, as Python's cookies have them.
func QuotedPairs(dst, src []byte) []byte {
	for i := 0; i < len(src); i++ {
		switch {
		case src[i] != '\\' || i+1 == len(src):
			dst = append(dst, src[i])
		case i+3 < len(src) && src[i+1] <= '3' && octal(src[i+1]) && octal(src[i+2]) && octal(src[i+3]):
			dst = append(dst, (src[i+1]-'0')<<6|(src[i+2]-'0')<<3|(src[i+3]-'0'))
			i += 3
		default:
			i++
			dst = append(dst, src[i])
		}
	}
	return dst
}
