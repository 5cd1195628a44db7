package request

import (
	"strconv"
	"unicode"
	"unicode/utf8"
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

// smallNumbers are the names of path segments.
var smallNumbers = func() (t [MaxSegments + 2][]byte) {
	for i := range t {
		t[i] = []byte(strconv.Itoa(i))
	}
	return
}()
