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
