package request

import (
	"bytes"

	"github.com/sallyport/sallyport/daemon/request/decode"
)

// Bounds of layers.
const (
	// MaxLayers bounds the decodings of one value, base64 tokens not counted.
	MaxLayers = 8
	// MaxTokens bounds the base64 tokens decoded in one value.
	MaxTokens = 16
	// maxBase64Depth bounds base64 inside base64.
	maxBase64Depth = 2
)

// span is where in parsed.layers a value's layers are.
type span struct {
	from, to int32
	done     bool
}

// needs are what a text could still be wrapped in.
type needs uint8

const (
	needPercent needs = 1 << iota
	needHTML
	needJS
	needUTF8
	needPlus
	needBase64
)

// Layers are a value's further decodings, outermost first: each is its
// predecessor with one more wrapping undone, starting from v.Text. The "base64"
// ones are tokens that stand in the value, each followed by its own decodings.
// A value that nothing is wrapped in has none. They are kept, so a second call
// costs nothing.
func (r *Request) Layers(v *Value) []Layer {
	if v.id == 0 {
		from := len(r.layers)
		r.unwrap(v)
		return r.layers[from:len(r.layers):len(r.layers)]
	}
	for len(r.spans) < int(r.ids) {
		r.spans = append(r.spans, span{})
	}
	s := &r.spans[v.id-1]
	if !s.done {
		from := len(r.layers)
		r.unwrap(v)
		*s = span{int32(from), int32(len(r.layers)), true}
	}
	return r.layers[s.from:s.to:s.to]
}

func (r *Request) unwrap(v *Value) {
	need := wrappings(v.Text)
	if need == 0 && !spaced(v) {
		return
	}
	last := r.chain(v, v.Text, need)
	layers := len(r.layers)
	if whole := r.broken(v); whole != nil {
		r.tokens(v, whole, 1)
	}
	if need&needBase64 != 0 && len(r.layers) == layers {
		r.tokens(v, v.Text, 1)
	}
	if len(last) != len(v.Text) {
		r.tokens(v, last, 1)
	}
}

// chain undoes one wrapping after another and returns the innermost text.
func (r *Request) chain(v *Value, text []byte, need needs) []byte {
	body := v.Kind != Path && v.Kind != Query && v.Kind != Cookie && v.Kind != HeaderKind
	for n := 0; ; n++ {
		if n == MaxLayers {
			r.mark(MarkLayers, body, v.Kind, v.Name)
			return text
		}
		next, by, ok := r.peel(text, need, v.Kind, body)
		if !ok {
			return text
		}
		r.layers = append(r.layers, Layer{By: by, Text: next})
		text = next
		need = wrappings(text)
	}
}

// peel undoes the first wrapping that changes text.
func (r *Request) peel(text []byte, need needs, k Kind, body bool) (out []byte, by string, ok bool) {
	if need&(needPercent|needHTML|needJS|needUTF8|needPlus) == 0 {
		return nil, "", false
	}
	room, ok := r.arena.open(len(text))
	if !ok {
		r.mark(MarkDerived, body, k, nil)
		return nil, "", false
	}
	changed := false
	if need&needPercent != 0 && percentChanged(text) {
		// Where no space stands beside the escapes, a plus was meant as one.
		plus := need&needPlus != 0 && bytes.IndexByte(text, ' ') < 0
		out, _, _ = decode.Percent(room, text, plus)
		return r.arena.keep(out), "percent", true
	}
	if need&needHTML != 0 {
		if out, changed = decode.HTML(room, text); changed {
			return r.arena.keep(out), "html", true
		}
	}
	if need&needJS != 0 {
		if out, changed = decode.JS(room, text); changed {
			return r.arena.keep(out), "js", true
		}
	}
	if need&needUTF8 != 0 {
		if out, changed = decode.UTF8(room, text); changed {
			return r.arena.keep(out), "utf8", true
		}
	}
	if need&needPlus != 0 && plusMeansSpace(text, k) {
		out, _, _ = decode.Percent(room, text, true)
		return r.arena.keep(out), "plus", true
	}
	return nil, "", false
}

// percentChanged says that an escape stands in text.
func percentChanged(text []byte) bool {
	for i := bytes.IndexByte(text, '%'); i >= 0 && i+2 < len(text); {
		_, a := decode.Hex(text[i+1])
		_, b := decode.Hex(text[i+2])
		if a && b {
			return true
		}
		if text[i+1]|0x20 == 'u' && i+5 < len(text) {
			all := true
			for _, c := range text[i+2 : i+6] {
				_, ok := decode.Hex(c)
				all = all && ok
			}
			if all {
				return true
			}
		}
		next := bytes.IndexByte(text[i+1:], '%')
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}

// plusMeansSpace says that plus signs stand where a sentence has spaces: no
// space beside them, and a letter or quote on each side of one. A query and a
// form have had theirs undone already.
func plusMeansSpace(text []byte, k Kind) bool {
	if k == Query || k == Form || bytes.IndexByte(text, ' ') >= 0 {
		return false
	}
	if start, end, ok := decode.Base64Token(text, 0); ok && start == 0 && end >= len(text)-2 {
		return false
	}
	for i := 1; i+1 < len(text); i++ {
		if text[i] == '+' && (text[i-1] > '9' || text[i-1] < '0') && text[i+1] != '+' {
			return true
		}
	}
	return false
}

// spaced says that a value is made of base64 characters and padding with line
// breaks between them, or with the spaces that a form's decoding makes of plus
// signs. Short prose in a form is, too.
func spaced(v *Value) bool {
	b := v.Text
	if len(b) < decode.MinBase64 {
		return false
	}
	breaks := 0
	for _, c := range b {
		switch {
		case c == '\n' || c == '\r' || c == ' ' && (v.Kind == Query || v.Kind == Form):
			breaks++
		case !decode.IsBase64(c) && c != '=':
			return false
		}
	}
	return breaks > 0 && breaks*8 <= len(b)
}

// broken is a text that is one base64 token broken into lines, or one whose
// plus signs a form's decoding made spaces, as one token again; else nil.
func (r *Request) broken(v *Value) []byte {
	if !spaced(v) {
		return nil
	}
	b := v.Text
	room, ok := r.arena.open(len(b))
	if !ok {
		return nil
	}
	for _, c := range b {
		switch c {
		case '\n', '\r':
		case ' ':
			room = append(room, '+')
		default:
			room = append(room, c)
		}
	}
	return r.arena.keep(room)
}

// tokens decodes the base64 tokens in text and what is wrapped inside them.
func (r *Request) tokens(v *Value, text []byte, depth int) {
	for at, n := 0, 0; ; n++ {
		start, end, ok := decode.Base64Token(text, at)
		if !ok {
			return
		}
		at = end
		if n == MaxTokens {
			r.mark(MarkTokens, v.Kind >= Form && v.Kind != Cookie && v.Kind != HeaderKind, v.Kind, v.Name)
			return
		}
		room, ok := r.arena.open(end - start)
		if !ok {
			return
		}
		out, ok := decode.Base64(room, text[start:end])
		if !ok {
			continue
		}
		out = r.arena.keep(out)
		r.layers = append(r.layers, Layer{By: "base64", Text: out})
		last := r.chain(v, out, wrappings(out))
		if depth < maxBase64Depth {
			r.tokens(v, last, depth+1)
		}
	}
}

// wrapByte says what a byte hints at.
var wrapByte = func() (t [256]needs) {
	t['%'], t['&'], t['\\'], t['+'], t[0] = needPercent, needHTML, needJS, needPlus, needUTF8
	for i := 0x80; i < 0x100; i++ {
		t[i] = needUTF8
	}
	return
}()

// wrappings scans text once for what could be undone in it.
func wrappings(text []byte) (n needs) {
	for _, c := range text {
		n |= wrapByte[c]
	}
	if len(text) >= decode.MinBase64 {
		if _, _, ok := decode.Base64Token(text, 0); ok {
			n |= needBase64
		}
	}
	return n
}
