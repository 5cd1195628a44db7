package decode

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Bounds of a JSON walk. Past a bound the walk goes on and still reports every
// value, but under a shortened pointer; the flaw says so.
const (
	MaxJSONDepth   = 256 // nested arrays and objects that the pointer tells apart
	MaxJSONPointer = 512 // bytes of a pointer
	MaxJSONKey     = 64  // bytes of one key inside a pointer
	MaxJSONKeys    = 1e5 // keys of a document compared for duplicates
	maxJSONDigits  = 19  // digits of a number that 64 bits may hold
	maxJSONExp     = 308 // decimal exponent that a double may hold
	minKeyTable    = 1 << 7
)

// JSONFlaw is something about a document that parsers read differently.
type JSONFlaw uint8

// The flaws.
const (
	JSONSyntax    JSONFlaw = iota // not RFC 8259: some parsers refuse it, lenient ones don't
	JSONDuplicate                 // a name twice in one object: first, last or both count
	JSONDepth                     // deeper than MaxJSONDepth
	JSONNumber                    // more digits or a larger exponent than 64 bits hold
	JSONComment                   // a comment
	JSONTrailing                  // more than one document
	JSONSurrogate                 // half a surrogate pair in a string
	JSONControl                   // a raw control character in a string
	JSONCut                       // the document ends too early
	JSONKeys                      // more than MaxJSONKeys keys: duplicates were no longer sought
)

// JSONSink takes what a walk finds. The pointer (RFC 6901) is valid during the
// call; raw points into the document, without quotes for a string.
type JSONSink interface {
	// JSONLeaf is a string, number, true, false or null. str says that it was
	// quoted, escaped that it holds a backslash.
	JSONLeaf(pointer, raw []byte, str, escaped bool)
	// JSONKey is an object's key.
	JSONKey(pointer, raw []byte, escaped bool)
	JSONFlaw(f JSONFlaw, pointer []byte)
}

// JSON walks documents. It keeps its buffers between walks; the zero value is
// ready. It never recurses, so depth costs no stack.
type JSON struct {
	src     []byte
	pos     int
	sink    JSONSink
	stack   []jsonFrame
	over    int // nesting beyond MaxJSONDepth
	pointer []byte
	objects uint64
	hashes  []uint64 // of the first keys of the objects that are open
	keys    []uint64 // of the other keys, by open addressing
	count   int
	key     []byte // a decoded key
	lines   bool   // a series of documents, which RFC 7464 begins with 0x1e each
	flawed  bool
}

type jsonFrame struct {
	object bool
	base   int  // the pointer's length outside of this value
	index  int  // of the element being read
	need   bool // a comma must come before the next element
	id     uint64
	keys   int // of the object's hashes at the end of hashes
}

// Walk reports everything in src to sink and says whether src is one
// well-formed document, or, with lines, a series of them.
func (w *JSON) Walk(src []byte, lines bool, sink JSONSink) bool {
	w.src, w.pos, w.sink = src, 0, sink
	w.stack, w.pointer = w.stack[:0], w.pointer[:0]
	if w.count > 0 {
		clear(w.keys)
	}
	w.hashes = w.hashes[:0]
	w.over, w.objects, w.count, w.flawed, w.lines = 0, 0, 0, false, lines
	if len(src) >= 3 && src[0] == 0xef && src[1] == 0xbb && src[2] == 0xbf {
		w.pos = 3
	}
	for documents := 0; ; documents++ {
		w.space()
		if w.pos >= len(src) {
			if documents == 0 {
				w.flaw(JSONCut)
			}
			break
		}
		if documents == 1 && !lines {
			w.flaw(JSONTrailing)
		}
		if lines && w.src[w.pos] == ',' {
			w.pos++
			w.flaw(JSONSyntax)
			continue
		}
		w.document()
	}
	w.src, w.sink = nil, nil
	return !w.flawed
}

// Reset drops buffers that one large document has grown.
func (w *JSON) Reset() {
	if cap(w.keys) > 1<<14 {
		w.keys = nil
	}
	if cap(w.key) > 4<<10 {
		w.key = nil
	}
}

func (w *JSON) flaw(f JSONFlaw) {
	if f != JSONNumber && f != JSONDuplicate && f != JSONDepth && f != JSONKeys && f != JSONSurrogate {
		w.flawed = true
	}
	w.sink.JSONFlaw(f, w.pointer)
}

// space skips white space and comments. Most often there is none.
func (w *JSON) space() {
	if w.pos < len(w.src) && w.src[w.pos] > ' ' && w.src[w.pos] != '/' {
		return
	}
	w.spaces()
}

func (w *JSON) spaces() {
	for w.pos < len(w.src) {
		switch c := w.src[w.pos]; {
		case c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0x1e && w.lines && len(w.stack) == 0:
			w.pos++
		case c == '/' && w.pos+1 < len(w.src) && (w.src[w.pos+1] == '*' || w.src[w.pos+1] == '/'):
			w.comment()
		default:
			return
		}
	}
}

func (w *JSON) comment() {
	w.flaw(JSONComment)
	body := w.src[w.pos+2:]
	end, closing := bytes.IndexByte(body, '\n'), 1
	if w.src[w.pos+1] == '*' {
		end, closing = bytes.Index(body, []byte("*/")), 2
	}
	if end < 0 {
		end, closing = len(body), 0
	}
	w.sink.JSONLeaf(w.pointer, body[:end], false, false)
	w.pos += 2 + end + closing
}

// document reads one value and everything in it.
func (w *JSON) document() {
	if !w.value() {
		return
	}
	for len(w.stack) > 0 {
		w.space()
		if w.pos >= len(w.src) {
			w.flaw(JSONCut)
			w.stack, w.pointer, w.hashes, w.over = w.stack[:0], w.pointer[:0], w.hashes[:0], 0
			return
		}
		f := &w.stack[len(w.stack)-1]
		switch c := w.src[w.pos]; {
		case c == ',':
			w.comma(f)
		case c == '}' || c == ']':
			w.close(f, c == '}')
		default:
			if f.need && w.over == 0 {
				w.flaw(JSONSyntax)
				f.index++
			}
			f.need = true
			if f.object && w.over == 0 {
				w.member(f)
			} else {
				w.element(f)
			}
		}
	}
}

// comma steps to the next element. A comma that nothing stands before, or that
// a bracket follows, is a flaw that lenient parsers pass over.
func (w *JSON) comma(f *jsonFrame) {
	w.pos++
	w.pointer = w.pointer[:f.base]
	if w.over > 0 {
		return
	}
	stray := !f.need
	f.index++
	f.need = false
	if w.space(); w.pos < len(w.src) && (w.src[w.pos] == ']' || w.src[w.pos] == '}') {
		stray = true
	}
	if stray {
		w.flaw(JSONSyntax)
	}
}

func (w *JSON) close(f *jsonFrame, object bool) {
	w.pos++
	if w.over > 0 {
		w.over--
		return
	}
	if f.object != object {
		w.flaw(JSONSyntax)
	}
	w.pointer = w.pointer[:f.base]
	w.hashes = w.hashes[:len(w.hashes)-min(f.keys, fewKeys)]
	w.stack = w.stack[:len(w.stack)-1]
	if n := len(w.stack); n > 0 {
		w.pointer = w.pointer[:w.stack[n-1].base]
	}
}

// element reads an array's element, or, where the pointer does not tell values
// apart any more, a key or a value of either.
func (w *JSON) element(f *jsonFrame) {
	if w.over == 0 {
		w.pointer = w.pointer[:f.base]
		w.pointer = appendIndex(w.pointer, f.index)
		w.value()
		return
	}
	if w.src[w.pos] != '"' {
		if w.src[w.pos] == ':' {
			w.pos++
		} else {
			w.value()
		}
		return
	}
	raw, escaped := w.text('"')
	if w.space(); w.pos < len(w.src) && w.src[w.pos] == ':' {
		w.pos++
		w.sink.JSONKey(w.pointer, raw, escaped)
		return
	}
	w.sink.JSONLeaf(w.pointer, raw, true, escaped)
}

// member reads a key, a colon and a value.
func (w *JSON) member(f *jsonFrame) {
	w.pointer = w.pointer[:f.base]
	var raw []byte
	escaped := false
	switch c := w.src[w.pos]; c {
	case '"', '\'':
		if c == '\'' {
			w.flaw(JSONSyntax)
		}
		raw, escaped = w.text(c)
	default:
		w.flaw(JSONSyntax)
		raw = w.bare()
	}
	key := raw
	if escaped {
		w.key = JSONString(w.key[:0], raw)
		key = w.key
	}
	w.pointer = appendKey(w.pointer, key)
	w.sink.JSONKey(w.pointer, raw, escaped)
	w.seen(f, key)
	w.space()
	if w.pos < len(w.src) && w.src[w.pos] == ':' {
		w.pos++
		w.space()
	} else {
		w.flaw(JSONSyntax)
		if w.pos < len(w.src) && w.src[w.pos] == '=' {
			w.pos++
			w.space()
		}
	}
	if w.pos < len(w.src) {
		if c := w.src[w.pos]; c != ',' && c != '}' && c != ']' {
			w.value()
			return
		}
	}
	w.flaw(JSONSyntax)
}

// value reads a leaf, or opens an array or object; false says that there was
// nothing that begins a value.
func (w *JSON) value() bool {
	switch c := w.src[w.pos]; c {
	case '"', '\'':
		if c == '\'' {
			w.flaw(JSONSyntax)
		}
		raw, escaped := w.text(c)
		w.sink.JSONLeaf(w.pointer, raw, true, escaped)
	case '{', '[':
		w.pos++
		if len(w.stack) >= MaxJSONDepth {
			if w.over == 0 {
				w.flaw(JSONDepth)
			}
			w.over++
			return true
		}
		w.objects++
		w.stack = append(w.stack, jsonFrame{object: c == '{', base: len(w.pointer), id: w.objects})
	default:
		raw := w.bare()
		if len(raw) == 0 {
			w.pos++ // a stray bracket or colon
			w.flaw(JSONSyntax)
			return false
		}
		w.checkBare(raw)
		w.sink.JSONLeaf(w.pointer, raw, false, false)
	}
	return true
}

// text reads a quoted string and returns what stands between the quotes.
func (w *JSON) text(quote byte) (raw []byte, escaped bool) {
	start := w.pos + 1
	src := w.src
	i, control := start, false
	for i < len(src) {
		for i+8 <= len(src) {
			n := plainBytes(binary.LittleEndian.Uint64(src[i:]))
			if i += n; n < 8 {
				break
			}
		}
		if i >= len(src) {
			break
		}
		c := src[i]
		if !jsonSpecial[c] {
			i++
			continue
		}
		switch {
		case c == quote:
			w.pos = i + 1
			if control {
				w.flaw(JSONControl)
			}
			return src[start:i], escaped
		case c == '\\':
			escaped = true
			w.checkEscape(i)
			i++
		case c < 0x20:
			control = true
		}
		i++
	}
	w.pos = len(w.src)
	w.flaw(JSONCut)
	return w.src[start:], escaped
}

// plainBytes counts the bytes of x, from its lowest on, before one that is a
// quote, a backslash or a control character. The usual bit trick finds bytes
// below a bound (Hacker's Delight, section 6-1); bytes from 0x80 on are none.
func plainBytes(x uint64) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	quote, slash, apostrophe := x^ones*'"', x^ones*'\\', x^ones*'\''
	found := (quote - ones) &^ quote
	found |= (slash - ones) &^ slash
	found |= (apostrophe - ones) &^ apostrophe
	found |= (x - ones*0x20) &^ x
	return bits.TrailingZeros64(found&highs) / 8
}

// jsonSpecial are the bytes inside a string that need a look.
var jsonSpecial = func() (t [256]bool) {
	for i := range 0x20 {
		t[i] = true
	}
	t['"'], t['\\'], t['\''] = true, true, true
	return
}()

// checkEscape reports an escape that RFC 8259 does not know, and half a
// surrogate pair.
func (w *JSON) checkEscape(i int) {
	if i+1 >= len(w.src) {
		return
	}
	switch w.src[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
	case 'u':
		r, ok := hex4(w.src[i+2:])
		switch {
		case !ok:
			w.flaw(JSONSyntax)
		case utf16High(r):
			if i+12 <= len(w.src) && w.src[i+6] == '\\' && w.src[i+7] == 'u' {
				if lo, ok := hex4(w.src[i+8:]); ok && utf16Low(lo) {
					return
				}
			}
			w.flaw(JSONSurrogate)
		case utf16Low(r):
			if i < 6 || w.src[i-6] != '\\' || w.src[i-5] != 'u' {
				w.flaw(JSONSurrogate)
			} else if hi, ok := hex4(w.src[i-4:]); !ok || !utf16High(hi) {
				w.flaw(JSONSurrogate)
			}
		}
	default:
		w.flaw(JSONSyntax)
	}
}

// jsonEnd are the bytes that end an unquoted token.
var jsonEnd = [256]bool{' ': true, '\n': true, '\r': true, '\t': true, ',': true, ':': true,
	'{': true, '}': true, '[': true, ']': true, '"': true}

func (w *JSON) bare() []byte {
	start := w.pos
	for w.pos < len(w.src) && !jsonEnd[w.src[w.pos]] {
		w.pos++
	}
	return w.src[start:w.pos]
}

// checkBare reports what is neither true, false, null nor a number, and
// numbers that a double or 64 bits do not hold.
func (w *JSON) checkBare(b []byte) {
	switch string(b) {
	case "true", "false", "null":
		return
	}
	i, digits := 0, 0
	if b[0] == '-' {
		i++
	}
	start := i
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		digits++
	}
	if digits == 0 || digits > 1 && b[start] == '0' {
		w.flaw(JSONSyntax)
		return
	}
	big := digits > maxJSONDigits
	if i < len(b) && b[i] == '.' {
		n := i
		for i++; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		}
		if i == n+1 {
			w.flaw(JSONSyntax)
			return
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		n, exp := i, 0
		for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
			exp = min(exp*10+int(b[i]-'0'), 1<<20)
		}
		if i == n {
			w.flaw(JSONSyntax)
			return
		}
		big = big || exp > maxJSONExp
	}
	if i != len(b) {
		w.flaw(JSONSyntax)
	} else if big {
		w.flaw(JSONNumber)
	}
}
