package jsonl

import (
	"strconv"
	"unicode/utf8"
)

// AppendString appends b as a JSON string. Bytes that are no UTF-8 become
// \udc80 to \udcff, which Parse reads back as the bytes they were.
func AppendString(dst, b []byte) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20 || c == 0x7f:
			dst = appendU(dst, rune(c))
		case c >= utf8.RuneSelf:
			if r, n := utf8.DecodeRune(b[i:]); r != utf8.RuneError || n > 1 {
				dst = append(dst, b[i:i+n]...)
				i += n
				continue
			}
			dst = appendU(dst, 0xdc00+rune(c))
		default:
			dst = append(dst, c)
		}
		i++
	}
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

func appendU(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// AppendScore appends a score with at most one digit behind the point.
func AppendScore(dst []byte, score float64) []byte {
	return strconv.AppendFloat(dst, float64(int64(score*10+0.5))/10, 'f', -1, 64)
}
