package request

import (
	"bytes"

	"github.com/sallyport/sallyport/daemon/request/decode"
)

// expand takes apart the values from index from on: JSON in strings, and the
// parameters of URLs, also behind a value's own encodings, again and again down
// to MaxNesting.
func (r *Request) expand(body bool, from int) {
	for i := from; i < len(*r.values(body)); i++ {
		text := (*r.values(body))[i].Text
		if len(text) < 4 || !mayHold(text) {
			continue
		}
		v := (*r.values(body))[i]
		if v.Part == "name" {
			continue
		}
		if v.Kind == BodyText { // a body was sniffed already
			if query := urlQuery(text); query >= 0 {
				r.expandURL(body, i, &v, text[query:])
			}
			continue
		}
		if !r.expandText(body, i, &v, "json") && v.Part != "raw" {
			r.expandLayers(body, i, &v)
		}
	}
}

// expandText takes v.Text apart as JSON, whose leaves get the part, or as a
// URL; it says whether it was one.
func (r *Request) expandText(body bool, i int, v *Value, part string) bool {
	isJSON, query := looksJSON(v.Text), -1
	if !isJSON {
		query = urlQuery(v.Text)
	}
	switch {
	case !isJSON && query < 0:
		return false
	case v.depth >= MaxNesting:
		r.mark(MarkNesting, body, v.Kind, v.Name)
	case isJSON:
		r.expandJSON(body, i, v, part)
	default:
		r.expandURL(body, i, v, v.Text[query:])
	}
	return true
}

// expandLayers takes apart what a value's decodings uncover: JSON that is
// percent-encoded twice, JSON or a URL in base64. Of a chain of decodings the
// first that is one counts: its leaves have layers of their own.
func (r *Request) expandLayers(body bool, i int, v *Value) {
	if !percentChanged(v.Text) && !holdsToken(v.Text) {
		return
	}
	found, part := false, "json"
	layers := r.Layers(v)
	for k := range layers {
		if layers[k].By == "base64" {
			found, part = false, "base64"
		}
		if !found {
			inner := *v
			inner.Text = layers[k].Text
			found = len(inner.Text) >= 4 && r.expandText(body, i, &inner, part)
		}
	}
}

// mayHold says that a text could hold JSON or a URL, as it is or behind an
// encoding. Most texts could not: one look at their bytes tells.
func mayHold(text []byte) bool {
	if holdByte[text[0]] || holdsToken(text) {
		return true
	}
	if len(text) > 64 {
		return bytes.IndexByte(text, '?') >= 0 || bytes.IndexByte(text, '#') >= 0 || bytes.IndexByte(text, '%') >= 0
	}
	for _, c := range text {
		if c == '?' || c == '#' || c == '%' {
			return true
		}
	}
	return false
}

// holdByte are bytes that JSON, or white space before it, begins with.
var holdByte = func() (t [256]bool) {
	for c := range ' ' + 1 {
		t[c] = true
	}
	t['{'], t['['] = true, true
	return
}()

// holdsToken says that a token begins as {", [{, [" or http do in base64.
func holdsToken(text []byte) bool {
	if len(text) < decode.MinBase64 {
		return false
	}
	at := bytes.LastIndexByte(text[:decode.MinBase64], ' ') + 1 // behind "Bearer"
	if at+3 > len(text) {
		return false
	}
	switch string(text[at : at+3]) {
	case "eyJ", "W3s", "WyJ", "aHR":
		return true
	}
	return false
}

// looksJSON says that a text could be an array or object that holds anything.
func looksJSON(b []byte) bool {
	for len(b) > 0 && b[0] <= ' ' {
		b = b[1:]
	}
	if len(b) < 4 || b[0] != '{' && b[0] != '[' {
		return false
	}
	for i := len(b) - 1; i > 0; i-- {
		if b[i] > ' ' {
			return (b[i] == '}' || b[i] == ']') && (bytes.IndexByte(b, '"') > 0 || bytes.IndexByte(b, ':') > 0)
		}
	}
	return false
}

func (r *Request) expandJSON(body bool, i int, v *Value, part string) {
	before, ids := len(*r.values(body)), r.ids
	saved := r.into
	r.into = place{body: body, kind: v.Kind, part: part, name: v.Name, parent: i, depth: v.depth + 1}
	ok := r.json.Walk(v.Text, false, jsonSink{r})
	r.into = saved
	if !ok && !mostlyJSON(v.Text) {
		// Braces, but no JSON: a template, a set in prose.
		vs := r.values(body)
		clear((*vs)[before:])
		*vs, r.ids = (*vs)[:before], ids
	}
}

// mostlyJSON says that a text that is not well-formed JSON was meant to be.
func mostlyJSON(b []byte) bool {
	return bytes.Contains(b, []byte(`":`)) || bytes.Contains(b, []byte(`" :`))
}

// urlByte are the bytes of a URL before its question mark.
var urlByte = func() (t [256]bool) {
	t = wordByte
	for _, c := range "./:%@~+,;!$*()[]#" {
		t[c] = true
	}
	return
}()

// urlQuery returns where the query or a parameter-like fragment of a URL
// begins, or -1 for what is no URL with parameters.
func urlQuery(b []byte) int {
	q := bytes.IndexByte(b, '?')
	if q < 0 {
		if q = bytes.IndexByte(b, '#'); q < 0 || !bytes.Contains(b[:q], []byte("://")) || bytes.IndexByte(b[q:], '=') < 0 {
			return -1
		}
	}
	if q == 0 || q > 2048 || q+1 == len(b) {
		return -1
	}
	for _, c := range b[:q] {
		if !urlByte[c] {
			return -1
		}
	}
	rest := b[q+1:]
	eq := bytes.IndexByte(rest, '=')
	if eq < 0 {
		// A URL whose query has no parameter is one value.
		if b[0] == '/' || bytes.Contains(b[:q], []byte("://")) {
			return q + 1
		}
		return -1
	}
	for _, c := range rest[:min(eq, 64)] {
		if !urlByte[c] && c != '&' {
			if b[0] == '/' || bytes.Contains(b[:q], []byte("://")) {
				break
			}
			return -1
		}
	}
	return q + 1
}

func (r *Request) expandURL(body bool, parent int, v *Value, query []byte) {
	for n := 0; len(query) > 0; n++ {
		pair, rest := query, []byte(nil)
		if i := bytes.IndexByte(query, '&'); i >= 0 && n < 64 {
			pair, rest = query[:i], query[i+1:]
		}
		query = rest
		name, value := []byte(nil), pair
		if i := bytes.IndexByte(pair, '='); i >= 0 {
			name, value = pair[:i], pair[i+1:]
		}
		inner, _ := r.unescape(name, true)
		text, _ := r.unescape(value, true)
		sub := Value{Kind: v.Kind, Name: v.Name, Part: "url", Inner: inner, Parent: parent, depth: v.depth + 1}
		if !plainWord(inner) {
			sub.Raw, sub.Text = name, inner
			r.add(body, sub)
		}
		if len(value) > 0 {
			sub.Raw, sub.Text = value, text
			r.add(body, sub)
		}
	}
}
