package request

import (
	"bytes"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/daemon/request/decode"
)

// Bounds of values.
const (
	// MaxValues bounds the values of the head, and those of the body. What
	// stands behind the last one is one value more, Part "rest".
	MaxValues = 20_000
	// MaxNesting bounds values inside values: JSON in a string of a URL in a
	// parameter. Deeper ones are not taken apart.
	MaxNesting = 4
	// maxWhere bounds the bytes of a name in Where.
	maxWhere = 200
)

var kindNames = [...]string{Path: "path", Query: "query", Form: "form", JSON: "json", Multipart: "multipart",
	Cookie: "cookie", HeaderKind: "header", XML: "xml", GraphQL: "graphql", Protobuf: "protobuf", BodyText: "body"}

// String is the kind as it stands in Where.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return ""
}

// Where names the value's place for people, exceptions and records:
// "query:q", "json:/user/name", "multipart:file.filename",
// "header:referer?url:page". A long name is cut to 200 bytes; control characters
// are written as \xHH.
func (v *Value) Where() string {
	b := make([]byte, 0, 64)
	return string(v.AppendWhere(b))
}

// AppendWhere appends Where to dst.
func (v *Value) AppendWhere(dst []byte) []byte {
	dst = append(dst, v.Kind.String()...)
	if len(v.Name) > 0 {
		dst = append(dst, ':')
		dst = appendPlain(dst, v.Name)
	}
	if v.Part != "" {
		sep := byte('?')
		if v.Kind == Multipart && v.Part != "url" && v.Part != "json" && v.Part != "base64" && v.Part != "charset" {
			sep = '.'
		}
		dst = append(append(dst, sep), v.Part...)
	}
	if len(v.Inner) > 0 {
		if v.Inner[0] != '/' {
			dst = append(dst, ':')
		}
		dst = appendPlain(dst, v.Inner)
	}
	return dst
}

// appendPlain appends a name with control characters, and bytes that are no
// UTF-8, as \xHH: it ends up in logs and on terminals.
func appendPlain(dst, name []byte) []byte {
	for i := 0; i < min(len(name), maxWhere); {
		r, n := utf8.DecodeRune(name[i:])
		if r == utf8.RuneError && n == 1 || unicode.IsControl(r) {
			for _, c := range name[i : i+n] {
				dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
			}
		} else {
			dst = append(dst, name[i:i+n]...)
		}
		i += n
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// place is where a running walk puts the values that it finds.
type place struct {
	body   bool
	kind   Kind
	part   string
	name   []byte // for values inside a value
	parent int
	depth  uint8
	graph  bool // a GraphQL document may stand at /query
}

// values is the slice a place belongs to.
func (r *Request) values(body bool) *[]Value {
	if body {
		return &r.body
	}
	return &r.head
}

// add appends a value and returns its index, or -1 past MaxValues.
func (r *Request) add(body bool, v Value) int {
	to := r.next(body)
	if to == nil {
		return -1
	}
	v.id = to.id
	*to = v
	return len(*r.values(body)) - 1
}

// next appends an empty value and returns it to be filled, or nil past
// MaxValues. What lies behind a slice's length is always empty.
func (r *Request) next(body bool) *Value {
	vs := r.values(body)
	n := len(*vs)
	if n >= MaxValues {
		r.mark(MarkValues, body, 0, nil)
		return nil
	}
	if n < cap(*vs) {
		*vs = (*vs)[:n+1]
	} else {
		*vs = append(*vs, Value{})
	}
	r.ids++
	v := &(*vs)[n]
	v.id = r.ids
	return v
}

// addName adds a name as a value of its own, unless it is a plain word, which
// means nothing.
func (r *Request) addName(body bool, k Kind, name, raw, text []byte) {
	if !plainWord(text) {
		r.add(body, Value{Kind: k, Name: name, Part: "name", Raw: raw, Text: text, Parent: -1})
	}
}

// plainWord says that b holds nothing but letters, digits, _ and -, that it is
// no longer than a name is, and that it does not begin like a language's own
// names (__proto__).
func plainWord(b []byte) bool {
	if len(b) > 64 || len(b) > 4 && b[0] == '_' && b[1] == '_' {
		return false
	}
	for _, c := range b {
		if !wordByte[c] {
			return false
		}
	}
	return true
}

var wordByte = func() (t [256]bool) {
	for c := '0'; c <= 'z'; c++ {
		t[c] = c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a'
	}
	t['_'], t['-'] = true, true
	return
}()

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

// jsonSink makes values of what the JSON walk finds.
type jsonSink struct{ r *Request }

func (s jsonSink) value(pointer, raw, text []byte, part string) {
	r, at := s.r, &s.r.into
	v := r.next(at.body)
	if v == nil {
		return
	}
	v.Kind, v.Raw, v.Text, v.Parent, v.depth = at.kind, raw, text, at.parent, at.depth
	if at.part == "" {
		v.Name, v.Part = r.arena.copy(pointer), part
		return
	}
	v.Name, v.Inner, v.Part = at.name, r.arena.copy(pointer), part
	if part == "" {
		v.Part = at.part
	}
}

func (s jsonSink) JSONLeaf(pointer, raw []byte, str, escaped bool) {
	if len(*s.r.values(s.r.into.body)) >= MaxValues {
		s.r.mark(MarkValues, s.r.into.body, JSON, nil)
		return
	}
	text := s.unescape(raw, escaped)
	if s.r.into.graph && str && isGraphQLPointer(pointer) {
		s.r.graphQL(s.r.into.body, text)
	}
	s.value(pointer, raw, text, "")
}

func (s jsonSink) unescape(raw []byte, escaped bool) []byte {
	if !escaped {
		return raw
	}
	room, ok := s.r.arena.open(len(raw))
	if !ok {
		s.r.mark(MarkDerived, s.r.into.body, JSON, nil)
		return raw
	}
	return s.r.arena.keep(decode.JSONString(room, raw))
}

func (s jsonSink) JSONKey(pointer, raw []byte, escaped bool) {
	if !escaped && plainWord(raw) {
		return
	}
	if text := s.unescape(raw, escaped); !plainWord(text) {
		s.value(pointer, raw, text, "name")
	}
}

var jsonMarks = [...]Mark{
	decode.JSONSyntax: MarkJSONSyntax, decode.JSONDuplicate: MarkJSONDuplicate, decode.JSONDepth: MarkJSONDeep,
	decode.JSONNumber: MarkJSONNumber, decode.JSONComment: MarkJSONComment, decode.JSONTrailing: MarkJSONTrailing,
	decode.JSONSurrogate: MarkJSONSurrogate, decode.JSONControl: MarkJSONControl, decode.JSONCut: MarkJSONCut,
	decode.JSONKeys: MarkJSONKeys,
}

// JSONFlaw marks the flaws of a body. JSON inside a string may be anything:
// only its duplicate names and bounds are marked.
func (s jsonSink) JSONFlaw(f decode.JSONFlaw, pointer []byte) {
	at := &s.r.into
	if at.part != "" && f != decode.JSONDuplicate && f != decode.JSONDepth {
		return
	}
	if at.part != "" {
		pointer = at.name
	}
	s.r.mark(jsonMarks[f], at.body, at.kind, pointer)
}

// smallNumbers are the names of path segments.
var smallNumbers = func() (t [MaxSegments + 2][]byte) {
	for i := range t {
		t[i] = []byte(strconv.Itoa(i))
	}
	return
}()
