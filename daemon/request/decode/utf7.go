package decode

import "unicode/utf8"

// UTF7 reads UTF-7 (RFC 2152): +...- holds UTF-16 in base64, +- a plus. It can
// write up to one and a half times what it reads.
func UTF7(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		if src[i] != '+' {
			dst = append(dst, src[i])
			i++
			continue
		}
		if i++; i < len(src) && src[i] == '-' {
			dst = append(dst, '+')
			i++
			continue
		}
		var acc uint32
		bits, high := 0, rune(0)
		for ; i < len(src) && src[i] != '-' && b64Val[src[i]] != 0xff; i++ {
			acc = acc<<6 | uint32(b64Val[src[i]])
			if bits += 6; bits < 16 {
				continue
			}
			bits -= 16
			unit := rune(acc >> bits & 0xffff)
			switch {
			case utf16High(unit):
				high = unit
				continue
			case utf16Low(unit) && high != 0:
				unit = utf16Join(high, unit)
			}
			high = 0
			dst = utf8.AppendRune(dst, unit)
		}
		if i < len(src) && src[i] == '-' {
			i++
		}
	}
	return dst
}
