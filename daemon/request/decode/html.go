package decode

import (
	"bytes"
	"unicode/utf8"
)

// named are the character references that stand for characters an attack
// needs, out of the 2231 of the HTML standard (section 13.5). A browser takes
// those of loose without a semicolon, too.
var named = map[string]rune{
	"lt": '<', "LT": '<', "gt": '>', "GT": '>', "amp": '&', "AMP": '&', "quot": '"', "QUOT": '"',
	"apos": '\'', "colon": ':', "semi": ';', "sol": '/', "bsol": '\\', "lpar": '(', "rpar": ')',
	"lbrack": '[', "lsqb": '[', "rbrack": ']', "rsqb": ']', "lbrace": '{', "lcub": '{',
	"rbrace": '}', "rcub": '}', "equals": '=', "excl": '!', "num": '#', "dollar": '$',
	"percnt": '%', "ast": '*', "midast": '*', "plus": '+', "comma": ',', "period": '.',
	"quest": '?', "commat": '@', "Hat": '^', "lowbar": '_', "UnderBar": '_', "grave": '`',
	"DiacriticalGrave": '`', "verbar": '|', "vert": '|', "VerticalLine": '|', "Tab": '\t',
	"NewLine": '\n', "nbsp": ' ', "hyphen": '-', "dash": '-',
}

var loose = map[string]bool{
	"lt": true, "LT": true, "gt": true, "GT": true, "amp": true, "AMP": true,
	"quot": true, "QUOT": true, "nbsp": true,
}

const maxNamed = len("DiacriticalGrave")

// HTML undoes character references: decimal and hexadecimal with any number of
// leading zeros, with or without the semicolon, and the names above.
func HTML(dst, src []byte) (out []byte, changed bool) {
	for {
		amp := bytes.IndexByte(src, '&')
		if amp < 0 {
			return append(dst, src...), changed
		}
		dst = append(dst, src[:amp]...)
		src = src[amp:]
		r, n := reference(src)
		if n == 0 {
			dst = append(dst, '&')
			src = src[1:]
			continue
		}
		changed = true
		dst = utf8.AppendRune(dst, r)
		src = src[n:]
	}
}

// reference reads the character reference at the start of b, which begins with
// an ampersand, and says how long it is; 0 if it is none.
func reference(b []byte) (rune, int) {
	if len(b) < 3 {
		return 0, 0
	}
	if b[1] == '#' {
		return numeric(b)
	}
	n := 1
	for n < len(b) && n <= maxNamed && isAlpha(b[n]) {
		n++
	}
	if n < len(b) && b[n] == ';' {
		if r, ok := named[string(b[1:n])]; ok {
			return r, n + 1
		}
	}
	for end := min(n, 5); end > 2; end-- {
		if loose[string(b[1:end])] {
			// In an URL, &lt=1 is a parameter named lt, not a reference.
			if end < len(b) && b[end] == '=' {
				return 0, 0
			}
			return named[string(b[1:end])], end
		}
	}
	return 0, 0
}

func numeric(b []byte) (rune, int) {
	i, base := 2, rune(10)
	if i < len(b) && b[i]|0x20 == 'x' {
		i, base = 3, 16
	}
	start, r := i, rune(0)
	for ; i < len(b); i++ {
		v := hexVal[b[i]]
		if v == 0xff || rune(v) >= base {
			break
		}
		if r <= utf8.MaxRune {
			r = r*base + rune(v)
		}
	}
	if i == start {
		return 0, 0
	}
	if i < len(b) && b[i] == ';' {
		i++
	}
	if r > utf8.MaxRune {
		r = utf8.RuneError
	}
	// A short reference such as &#9 is shorter than some runes; none is
	// shorter than the rune it names.
	return r, i
}

func isAlpha(c byte) bool { c |= 0x20; return c >= 'a' && c <= 'z' }
