package model

// gateClass sorts bytes for Harmless: 0 may be part of an attack, 1 stands in
// plain values, 2 is a dot, 3 a blank or a prose mark, 4 a letter.
var gateClass = func() (t [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		t[c] = 1
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-32] = 1, 1
	}
	for _, c := range []byte("_-:+@,~") {
		t[c] = 1
	}
	t['.'] = 2
	return
}()

// Harmless says that text cannot be an attack of any class: it is empty, or
// made of letters, digits and the marks of ids, dates, numbers, versions and
// mail addresses, without blanks, and with no two dots in a row. It reads each
// byte once at most and allocates nothing.
func Harmless(text []byte) bool {
	dot := false
	for _, c := range text {
		switch gateClass[c] {
		case 0:
			return false
		case 1:
			dot = false
		default:
			if dot {
				return false
			}
			dot = true
		}
	}
	return true
}
