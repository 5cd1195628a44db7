package model

// Marks in the normal form. None of them can come from a request: control
// bytes of a value are mapped to ctl and nul.
const (
	markStart = 0x01 // the value begins here
	markEnd   = 0x02 // the value ends here
	markCtl   = 0x03 // a control byte other than white space
	markNul   = 0x04 // a NUL byte
	markHigh  = 0x05 // a run of bytes above 0x7f
)

// Bounds of the normal form, in bytes.
const (
	windowSize    = 512
	windowOverlap = 96
	// maxWindows bounds the windows looked at in one view of one value; with
	// windowSize it covers the first 100 KB of a value's normal form. What
	// lies behind is not scored.
	maxWindows = 240
	// A run of letters and digits longer than longRun is kept by its first
	// and last bytes alone: tokens, hashes and base64 text would dilute
	// everything that stands beside them.
	longRun      = 28
	longRunFirst = 10
	longRunLast  = 4
)

// byteClass says what normal does with a byte.
const (
	classOther = iota
	classLower
	classUpper
	classDigit
	classSpace
	classControl
	classHigh
)

var byteClass = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c >= 'a' && c <= 'z':
			t[c] = classLower
		case c >= 'A' && c <= 'Z':
			t[c] = classUpper
		case c >= '0' && c <= '9':
			t[c] = classDigit
		case c == ' ' || c >= '\t' && c <= '\r':
			t[c] = classSpace
		case c < ' ' || c == 0x7f:
			t[c] = classControl
		case c >= 0x80:
			t[c] = classHigh
		}
	}
	return
}()

// normal appends the normal form of text to dst: lower case, runs of white
// space as one blank, of digits as at most three zeros, of non-ASCII bytes as
// one mark, long alphanumeric runs shortened. Numbers that name private
// networks keep their digits. With at not nil it also appends, for each byte
// written, the offset in text it came from.
func normal(dst, text []byte, at []uint32) ([]byte, []uint32) {
	keep := func(c byte, from int) {
		dst = append(dst, c)
		if at != nil {
			at = append(at, uint32(from))
		}
	}
	keep(markStart, 0)
	for i := 0; i < len(text); {
		c := text[i]
		switch byteClass[c] {
		case classOther:
			keep(c, i)
			i++
		case classLower, classUpper, classDigit:
			end := i + 1
			for end < len(text) && byteClass[text[end]] >= classLower && byteClass[text[end]] <= classDigit {
				end++
			}
			if end-i <= longRun {
				i = normalRun(&dst, &at, text, i, end)
				continue
			}
			normalRun(&dst, &at, text, i, i+longRunFirst)
			normalRun(&dst, &at, text, end-longRunLast, end)
			i = end
		case classSpace:
			keep(' ', i)
			for i < len(text) && byteClass[text[i]] == classSpace {
				i++
			}
		case classControl:
			if c == 0 {
				keep(markNul, i)
			} else {
				keep(markCtl, i)
			}
			for i < len(text) && text[i] == c {
				i++
			}
		default:
			keep(markHigh, i)
			for i < len(text) && text[i] >= 0x80 {
				i++
			}
		}
	}
	keep(markEnd, max(len(text)-1, 0))
	return dst, at
}

// normalRun appends the letters and digits of text[i:end] and returns end.
func normalRun(dst *[]byte, at *[]uint32, text []byte, i, end int) int {
	d, a := *dst, *at
	for i < end {
		if byteClass[text[i]] != classDigit {
			d = append(d, text[i]|0x20)
			if a != nil {
				a = append(a, uint32(i))
			}
			i++
			continue
		}
		from := i
		for i < end && byteClass[text[i]] == classDigit {
			i++
		}
		keepDigits := i-from == 3 && privateNumber(text[from:i])
		for k := from; k < i && k < from+3; k++ {
			c := byte('0')
			if keepDigits {
				c = text[k]
			}
			d = append(d, c)
			if a != nil {
				a = append(a, uint32(k))
			}
		}
	}
	*dst, *at = d, a
	return end
}

// privateNumber tells the parts of loopback, link-local and private addresses.
func privateNumber(d []byte) bool {
	switch string(d) {
	case "127", "169", "254", "192", "168", "172":
		return true
	}
	return false
}
