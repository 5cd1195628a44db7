// Package decode holds the decoders that undo what a client, or an attacker,
// wrapped a value in. Each is a pure function over bytes that appends to dst
// and says whether it changed anything; none panics, none recurses, and none
// writes more bytes than it reads, so a caller can lay out memory beforehand.
//
// A malformed escape is never an error here: it stays as it is, for that is
// what lenient backends do. Whoever wants to know asks Percent's count.
package decode

// hexVal is a hexadecimal digit's value, or 0xff.
var hexVal = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for c := byte('0'); c <= '9'; c++ {
		t[c] = c - '0'
	}
	for c := byte(0); c < 6; c++ {
		t['a'+c], t['A'+c] = 10+c, 10+c
	}
	return
}()

// Hex is the value of a hexadecimal digit, and whether c is one.
func Hex(c byte) (byte, bool) { v := hexVal[c]; return v, v != 0xff }

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		v := hexVal[c]
		if v == 0xff {
			return 0, false
		}
		r = r<<4 | rune(v)
	}
	return r, true
}
