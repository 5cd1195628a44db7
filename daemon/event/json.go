package event

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// writer appends JSON. Between values it knows whether a comma is due from
// the last byte written.
type writer struct{ b []byte }

func (w *writer) key(name string) {
	if c := w.b[len(w.b)-1]; c != '{' && c != '[' {
		w.b = append(w.b, ',')
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) item() {
	if c := w.b[len(w.b)-1]; c != '{' && c != '[' {
		w.b = append(w.b, ',')
	}
}

func (w *writer) open(name string) { w.key(name); w.b = append(w.b, '{') }
func (w *writer) close()           { w.b = append(w.b, '}') }
func (w *writer) list(name string) { w.key(name); w.b = append(w.b, '[') }
func (w *writer) closeList()       { w.b = append(w.b, ']') }
func (w *writer) openItem()        { w.item(); w.b = append(w.b, '{') }
func (w *writer) strItem(s string) { w.item(); w.b = appendString(w.b, s) }
func (w *writer) str(name, v string) {
	if v != "" {
		w.key(name)
		w.b = appendString(w.b, v)
	}
}

func (w *writer) int(name string, v int64) {
	if v != 0 {
		w.key(name)
		w.b = strconv.AppendInt(w.b, v, 10)
	}
}

func (w *writer) float(name string, v float64) {
	if v != 0 {
		w.key(name)
		w.b = appendFloat(w.b, v)
	}
}

func (w *writer) bool(name string, v bool) {
	if v {
		w.key(name)
		w.b = append(w.b, "true"...)
	}
}

// ms writes a duration in milliseconds.
func (w *writer) ms(name string, d time.Duration) { w.float(name, float64(d)/1e6) }

// appendFloat writes what JSON has no number for as 0.
func appendFloat(b []byte, v float64) []byte {
	if v != v || v > 1e300 || v < -1e300 {
		v = 0
	}
	return strconv.AppendFloat(b, v, 'f', -1, 64)
}

const hexDigits = "0123456789abcdef"

// appendString quotes as RFC 8259, section 7. Line and paragraph separators,
// which some readers take for the end of a line, are escaped too.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < 0x7f {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && n == 1:
				b = append(append(b, s[from:i]...), `\ufffd`...)
			case r == '\u2028', r == '\u2029':
				b = append(append(b, s[from:i]...), '\\', 'u', '2', '0', '2', hexDigits[r&0xf])
			default:
				i += n
				continue
			}
			i += n
			from = i
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		}
		i++
		from = i
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}
