package decode

// Bounds of Base64Token.
const (
	// MinBase64 is how many base64 characters in a row make a token.
	MinBase64 = 12
	// MaxBase64Misprint is the share, in percent, of decoded bytes that may be
	// unprintable: random tokens decode to noise, text does not.
	MaxBase64Misprint = 15
)

// b64Val is a base64 digit's value in both alphabets (RFC 4648 sections 4 and
// 5), or 0xff.
var b64Val = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = byte(i)
	}
	t['-'], t['_'] = 62, 63
	return
}()

// Base64Token finds the next token of MinBase64 or more base64 characters at
// or after offset from, and returns where it stands; ok is false when none is
// left. Line breaks inside a token are not followed. It looks first at the last
// character that a token would need, so prose costs a look at every few bytes.
func Base64Token(src []byte, from int) (start, end int, ok bool) {
	for i := from; i+MinBase64 <= len(src); {
		last := i + MinBase64 - 1
		for last >= i && b64Val[src[last]] != 0xff {
			last--
		}
		if last >= i {
			i = last + 1
			continue
		}
		end = i + MinBase64
		for end < len(src) && b64Val[src[end]] != 0xff {
			end++
		}
		return i, end, true
	}
	return 0, 0, false
}

// IsBase64 says that c is a digit of one of the alphabets.
func IsBase64(c byte) bool { return b64Val[c] != 0xff }

// Base64 appends the decoded token, and says whether it is text: at most
// MaxBase64Misprint percent of it unprintable. A token that is itself a word
// or a number (letters of one case, digits alone) is none.
func Base64(dst, token []byte) (out []byte, ok bool) {
	if !mixed(token) {
		return dst, false
	}
	base := len(dst)
	var acc uint32
	bits, misprint := 0, 0
	wide := wideToken(token)
	for _, c := range token {
		acc = acc<<6 | uint32(b64Val[c]&63)
		if bits += 6; bits >= 8 {
			bits -= 8
			b := byte(acc >> bits)
			if b == 0 && wide {
				continue
			}
			dst = append(dst, b)
			if b >= 0x7f || b < 0x20 && b != '\n' && b != '\r' && b != '\t' {
				misprint++
				// Noise shows early; do not decode a megabyte of image first.
				if n := len(dst) - base; n >= 64 && misprint*100 > n*MaxBase64Misprint*2 {
					return dst[:base], false
				}
			}
		}
	}
	n := len(dst) - base
	if n == 0 || misprint*100 > n*MaxBase64Misprint {
		return dst[:base], false
	}
	return dst, true
}

// wideToken says that a token begins with two ASCII characters in UTF-16, as
// PowerShell takes its commands: their NUL bytes are left out.
func wideToken(token []byte) bool {
	var first uint64
	for _, c := range token[:min(6, len(token))] {
		first = first<<6 | uint64(b64Val[c]&63)
	}
	a, b, c, d := byte(first>>28), byte(first>>20), byte(first>>12), byte(first>>4)
	return a >= ' ' && b == 0 && c >= ' ' && d == 0 || a == 0 && b >= ' ' && c == 0 && d >= ' '
}

func mixed(b []byte) bool {
	var lower, upper, digit bool
	for _, c := range b[:min(len(b), 64)] {
		switch {
		case c >= 'a' && c <= 'z':
			lower = true
		case c >= 'A' && c <= 'Z':
			upper = true
		default:
			digit = true
		}
	}
	return lower && upper || digit && (lower || upper)
}
