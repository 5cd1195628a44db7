package model

import "unicode/utf8"

// Bounds of the canonical views.
const (
	maxDecodeRounds = 4
	// maxViewText bounds the bytes of a value that views are made of.
	maxViewText = 128 << 10
)

// viewTrigger marks bytes without which decode changes nothing.
var viewTrigger = func() (t [256]bool) {
	for _, c := range []byte("%&\\") {
		t[c] = true
	}
	for c := 0x80; c < 0x100; c++ {
		t[c] = true
	}
	t[0] = true
	return
}()

// plainTrigger marks bytes without which simplify changes nothing.
var plainTrigger = func() (t [256]bool) {
	for _, c := range []byte("'\"`/\\$^{+|*") {
		t[c] = true
	}
	t[0] = true
	return
}()

func hasAny(text []byte, t *[256]bool) bool {
	for _, c := range text {
		if t[c] {
			return true
		}
	}
	return false
}

// decode appends to dst the text with one layer of encoding undone wherever
// one stands: percent and %u escapes, HTML character references, JavaScript
// escapes, overlong UTF-8 and full-width forms. changed says whether anything was.
func decode(dst, text []byte) (out []byte, changed bool) {
	for i := 0; i < len(text); {
		c := text[i]
		if !viewTrigger[c] {
			dst = append(dst, c)
			i++
			continue
		}
		r, n := -1, 0
		switch c {
		case '%':
			r, n = percentEscape(text[i:])
		case '&':
			r, n = entity(text[i:])
		case '\\':
			r, n = scriptEscape(text[i:])
		case 0:
			// UTF-16 text read as bytes, and NULs put between letters.
			if i > 0 && i+1 < len(text) && text[i-1] != 0 && text[i+1] != 0 {
				i++
				changed = true
				continue
			}
		default:
			r, n = oddUTF8(text, i)
		}
		if n == 0 {
			dst = append(dst, c)
			i++
			continue
		}
		changed = true
		i += n
		switch {
		case r < 0: // a character that shows nothing
		case r < 0x100 && c == '%':
			dst = append(dst, byte(r))
		default:
			dst = utf8.AppendRune(dst, rune(r))
		}
	}
	return dst, changed
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// hexNumber reads up to most hexadecimal digits and says how many there were.
func hexNumber(s []byte, most int) (v, n int) {
	for n < len(s) && n < most {
		d := unhex(s[n])
		if d < 0 {
			break
		}
		v = v<<4 | d
		n++
	}
	return
}

func percentEscape(s []byte) (r, n int) {
	if len(s) >= 6 && (s[1] == 'u' || s[1] == 'U') {
		if v, k := hexNumber(s[2:], 4); k == 4 {
			return foldWide(v), 6
		}
		return 0, 0
	}
	if len(s) >= 3 {
		if v, k := hexNumber(s[1:], 2); k == 2 {
			return v, 3
		}
	}
	// Each digit escaped by itself, %%32%%65, leaves %2%e to a lax decoder.
	if len(s) >= 4 && s[2] == '%' {
		if high, low := unhex(s[1]), unhex(s[3]); high >= 0 && low >= 0 {
			if v := high<<4 | low; v == '.' || v == '/' || v == '\\' {
				return v, 4
			}
		}
	}
	return 0, 0
}

// percentEscaped says that text has a percent escape.
func percentEscaped(text []byte) bool {
	for i := 0; i+2 < len(text); i++ {
		if text[i] == '%' {
			if _, n := percentEscape(text[i:]); n > 0 {
				return true
			}
		}
	}
	return false
}

// plusAsBlank turns each + of a text that has no blank into one: what was
// escaped twice as a form stands so after one decoding.
func plusAsBlank(text []byte) {
	for _, c := range text {
		if byteClass[c] == classSpace {
			return
		}
	}
	for i, c := range text {
		if c == '+' {
			text[i] = ' '
		}
	}
}

// foldWide maps the full-width forms of ASCII to ASCII, other values stay.
func foldWide(v int) int {
	if v >= 0xff01 && v <= 0xff5e {
		return v - 0xfee0
	}
	return v
}

// entities are the named character references that hide what a filter looks
// for, by HTML's names.
var entities = map[string]int{
	"lt": '<', "gt": '>', "amp": '&', "quot": '"', "apos": '\'', "nbsp": ' ', "tab": '\t', "newline": '\n',
	"colon": ':', "lpar": '(', "rpar": ')', "sol": '/', "bsol": '\\', "period": '.', "excl": '!', "num": '#',
	"semi": ';', "comma": ',', "equals": '=', "lbrace": '{', "rbrace": '}', "lsqb": '[', "rsqb": ']', "lbrack": '[',
	"rbrack": ']', "grave": '`', "quest": '?', "dollar": '$', "percnt": '%', "ast": '*', "plus": '+', "vert": '|', "lowbar": '_',
	"lcub": '{', "rcub": '}', "hat": '^', "commat": '@',
}

func entity(s []byte) (r, n int) {
	if len(s) < 3 {
		return 0, 0
	}
	if s[1] == '#' {
		v, k, from := 0, 0, 2
		if s[2] == 'x' || s[2] == 'X' {
			from = 3
			v, k = hexNumber(s[from:], 8)
		} else {
			for from+k < len(s) && k < 10 && s[from+k] >= '0' && s[from+k] <= '9' {
				v = v*10 + int(s[from+k]-'0')
				k++
			}
		}
		if k == 0 || v > utf8.MaxRune {
			return 0, 0
		}
		n = from + k
		if n < len(s) && s[n] == ';' {
			n++
		}
		return foldWide(v), n
	}
	var name [8]byte
	k := 0
	for k < len(name) && 1+k < len(s) && byteClass[s[1+k]] >= classLower && byteClass[s[1+k]] <= classUpper {
		name[k] = s[1+k] | 0x20
		k++
	}
	v, ok := entities[string(name[:k])]
	if !ok || 1+k >= len(s) || s[1+k] != ';' {
		return 0, 0
	}
	return v, k + 2
}

func scriptEscape(s []byte) (r, n int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case 'x', 'X':
		if v, k := hexNumber(s[2:], 2); k == 2 {
			return v, 4
		}
	case 'u', 'U':
		if len(s) > 3 && s[2] == '{' {
			v, k := hexNumber(s[3:], 6)
			if k > 0 && 3+k < len(s) && s[3+k] == '}' && v <= utf8.MaxRune {
				return foldWide(v), 4 + k
			}
			return 0, 0
		}
		if v, k := hexNumber(s[2:], 4); k == 4 {
			return foldWide(v), 6
		}
	case '0', '1', '2', '3':
		if len(s) >= 4 && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7' {
			return int(s[1]-'0')<<6 | int(s[2]-'0')<<3 | int(s[3]-'0'), 4
		}
	}
	return 0, 0
}

// oddUTF8 folds what a strict decoder refuses but a lax one reads as ASCII:
// overlong forms, where the text around them is ASCII or overlong too (in a
// legacy charset such byte pairs are letters), and full-width or invisible
// characters.
func oddUTF8(text []byte, i int) (r, n int) {
	c := text[i]
	s := text[i:]
	switch {
	case (c == 0xc0 || c == 0xc1) && len(s) >= 2:
		if !aloneInASCII(text, i, 2) {
			return 0, 0
		}
		if s[1]&0xc0 == 0x80 {
			return int(c&0x1f)<<6 | int(s[1]&0x3f), 2
		}
		// Cut forms that lax decoders finish: %c0%2f, %c0%5c, %c0%2e.
		if s[1] == '/' || s[1] == '\\' || s[1] == '.' {
			return int(s[1]), 2
		}
	case c == 0xe0 && len(s) >= 3 && s[1]&0xe0 == 0x80 && s[2]&0xc0 == 0x80:
		if v := int(s[1]&0x3f)<<6 | int(s[2]&0x3f); v < 0x80 && aloneInASCII(text, i, 3) {
			return v, 3
		}
	case c == 0xf0 && len(s) >= 4 && s[1] == 0x80 && s[2]&0xc0 == 0x80 && s[3]&0xc0 == 0x80:
		if v := int(s[2]&0x3f)<<6 | int(s[3]&0x3f); v < 0x80 {
			return v, 4
		}
	case c == 0xef && len(s) >= 3:
		v := int(c&0x0f)<<12 | int(s[1]&0x3f)<<6 | int(s[2]&0x3f)
		if v >= 0xff01 && v <= 0xff5e {
			return foldWide(v), 3
		}
		if v == 0xfeff {
			return -1, 3
		}
	case c == 0xe2 && len(s) >= 3 && s[1] == 0x80:
		switch s[2] {
		case 0x8b, 0x8c, 0x8d, 0xae: // zero-width space and joiners, bidirectional override
			return -1, 3
		case 0x98, 0x99:
			return '\'', 3
		case 0x9c, 0x9d:
			return '"', 3
		case 0xa8, 0xa9:
			return '\n', 3
		}
	case c == 0xc2 && len(s) >= 2 && s[1] == 0xad: // soft hyphen
		return -1, 2
	case c == 0xc2 && len(s) >= 2 && s[1] == 0xa0:
		return ' ', 2
	case c == 0xc2 && len(s) >= 3 && s[1] == 0xbc && (s[2] == '/' || byteClass[s[2]] == classLower || byteClass[s[2]] == classUpper):
		return '<', 2 // < with its eighth bit set, read as Latin-1
	case c == 0xc2 && len(s) >= 2 && s[1] == 0xbe && i > 0 && text[i-1] < 0x80:
		return '>', 2
	}
	return 0, 0
}

func aloneInASCII(text []byte, i, n int) bool {
	if i > 0 && text[i-1] >= 0x80 && !(i > 1 && text[i-2] == text[i]) {
		return false
	}
	return i+n >= len(text) || text[i+n] < 0x80 || text[i+n] == text[i]
}

// simplify appends to dst the text as an interpreter would see it after the
// tricks that change nothing for it: SQL comments become blanks, literals
// joined by an operator become one, quotes and escapes inside words go, and
// $IFS is a blank. changed says whether anything was done.
func simplify(dst, text []byte) (out []byte, changed bool) {
	base := len(dst)
	for i := 0; i < len(text); {
		c := text[i]
		if !plainTrigger[c] {
			dst = append(dst, c)
			i++
			continue
		}
		n, blank := foldAt(text, i, dst[base:])
		if n == 0 {
			dst = append(dst, c)
			i++
			continue
		}
		changed = true
		i += n
		if blank {
			dst = append(dst, ' ')
		}
	}
	return dst, changed
}

func wordByte(c byte) bool {
	k := byteClass[c]
	return k >= classLower && k <= classDigit || c == '_'
}

// foldAt says how many bytes at text[i] mean nothing, and whether they
// separate words. before is what was written so far.
func foldAt(text []byte, i int, before []byte) (n int, blank bool) {
	s := text[i:]
	afterWord := len(before) > 0 && wordByte(before[len(before)-1])
	switch c := s[0]; c {
	case 0:
		return 1, false
	case '/':
		if len(s) > 2 && s[1] == '*' {
			return sqlComment(s), true
		}
	case '*':
		if len(s) > 1 && s[1] == '/' {
			return 2, true
		}
	case '\'', '"', '`':
		if n := joinedLiteral(s, c); n > 0 {
			return n, false
		}
		if len(s) > 1 && s[1] == c && (afterWord || len(s) > 2 && wordByte(s[2])) && c != '`' {
			return 2, false // c''at
		}
		if afterWord && len(s) > 1 && wordByte(s[1]) && c != '`' && quotedInWord(text, i) {
			return 1, false // c'a't
		}
	case '\\', '^':
		if len(s) > 1 && afterWord && byteClass[s[1]] >= classLower && byteClass[s[1]] <= classUpper {
			return 1, false // c\at, c^at
		}
	case '$':
		if len(s) >= 4 && string(s[1:4]) == "IFS" {
			n = 4
			if len(s) > 5 && s[4] == '$' && s[5] == '9' {
				n = 6
			}
			return n, true
		}
		if len(s) >= 6 && string(s[1:5]) == "{IFS" {
			for n = 5; n < len(s) && n < 12; n++ {
				if s[n] == '}' {
					return n + 1, true
				}
			}
			return 0, false
		}
		if len(s) > 2 && (s[1] == '@' || s[1] == '*') && afterWord && wordByte(s[2]) {
			return 2, false // who$@ami
		}
	}
	return 0, false
}

// sqlComment is the length of the comment at s, or of what opens one whose
// text MySQL runs ("/*!50000").
func sqlComment(s []byte) int {
	if s[2] == '!' {
		n := 3
		for n < len(s) && n < 9 && byteClass[s[n]] == classDigit {
			n++
		}
		return n
	}
	for n := 2; n+1 < len(s) && n < windowSize; n++ {
		if s[n] == '*' && s[n+1] == '/' {
			return n + 2
		}
	}
	return 0
}

// joinedLiteral is the length of "quote, operator, quote" at s: the seam of
// 'ab'+'cd', 'ab'||'cd', "ab"."cd".
func joinedLiteral(s []byte, quote byte) int {
	n, ops := 1, 0
	for n < len(s) && n < 12 {
		switch s[n] {
		case ' ', '\t', '\n', '\r':
		case '+', '|', '.':
			ops++
		case quote:
			if ops > 0 && ops < 3 && n+1 < len(s) && s[n+1] != quote {
				return n + 1
			}
			return 0
		default:
			return 0
		}
		n++
	}
	return 0
}

// quotedInWord tells the quotes of c'a't from the apostrophe of O'Brien: a
// second quote of the kind follows within the same word.
func quotedInWord(text []byte, i int) bool {
	for k := i + 1; k < len(text) && k < i+16; k++ {
		if text[k] == text[i] {
			return true
		}
		if !wordByte(text[k]) {
			break
		}
	}
	for k := i - 1; k >= 0 && k > i-16; k-- {
		if text[k] == text[i] {
			return k > 0 && wordByte(text[k-1])
		}
		if !wordByte(text[k]) {
			break
		}
	}
	return false
}

// pathView appends to dst the text with path separators folded: backslashes
// turned, doubled separators and "." segments dropped, "..;" and "...." read
// as "..". It is made only of text with ".." in it.
func pathView(dst, text []byte) (out []byte, changed bool) {
	base := len(dst)
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' {
			c, changed = '/', true
		}
		have := dst[base:]
		n := len(have)
		switch {
		case c == '/' && n > 0 && have[n-1] == '/' && !(n > 1 && have[n-2] == ':'):
			changed = true
			continue
		case c == '/' && n > 1 && have[n-1] == '.' && have[n-2] == '/':
			dst = dst[:len(dst)-1]
			changed = true
			continue
		case c == ';' && n > 1 && have[n-1] == '.' && have[n-2] == '.':
			changed = true
			continue
		case c == '.' && n > 1 && have[n-1] == '.' && have[n-2] == '.':
			changed = true
			continue
		case c == 0:
			changed = true
			continue
		}
		dst = append(dst, c)
	}
	return dst, changed
}
