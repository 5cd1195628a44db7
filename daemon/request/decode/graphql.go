package decode

import "bytes"

const (
	maxGraphQLDepth = 64
	maxGraphQLPath  = 256
)

// GraphQLSink takes what a walk finds. The path of the fields and the argument
// ("/user/name") is valid during the call.
type GraphQLSink interface {
	// GraphQLLeaf is a string, a block string or a comment. escaped says that
	// it holds JSON-like escapes.
	GraphQLLeaf(path, raw []byte, escaped bool)
}

// GraphQL reports the strings of a GraphQL document. It tokenises only: whether
// the document is valid is the schema's business. ok is false when src does not
// begin like a document. scratch holds the path and may be nil.
func GraphQL(src, scratch []byte, sink GraphQLSink) (ok bool) {
	trimmed := bytes.TrimLeft(src, " \t\r\n\ufeff,")
	if len(trimmed) == 0 || !graphQLStart(trimmed) {
		return false
	}
	w := graphQL{src: src, path: scratch[:0], sink: sink}
	if cap(w.path) < maxGraphQLPath {
		w.path = make([]byte, 0, maxGraphQLPath)
	}
	for i := 0; i < len(src); {
		i = w.token(i)
	}
	return true
}

// graphQL is a walk: the path to where it is, and the names read last.
type graphQL struct {
	src  []byte
	sink GraphQLSink
	path []byte
	ends [maxGraphQLDepth]int
	// depth counts open brackets; those past maxGraphQLDepth share a path.
	depth int
	name  []byte // the last name read
	arg   []byte // the argument, once the colon behind it was read
}

// token reads what begins at i and returns where the next one does.
func (w *graphQL) token(i int) int {
	switch c := w.src[i]; {
	case c == '"':
		raw, next, escaped := graphQLString(w.src, i)
		w.emit(raw, escaped)
		return next
	case c == '#':
		n := bytes.IndexByte(w.src[i:], '\n')
		if n < 0 {
			n = len(w.src) - i
		}
		w.emit(w.src[i+1:i+n], false)
		return i + n
	case c == '{' || c == '(':
		w.open(c == '{')
	case c == '}' || c == ')':
		w.close(c == ')')
	case c == ':':
		w.arg = w.name
	case isAlpha(c) || c == '_':
		start := i
		for i < len(w.src) && (isAlpha(w.src[i]) || w.src[i] == '_' || w.src[i] >= '0' && w.src[i] <= '9') {
			i++
		}
		w.name = w.src[start:i]
		return i
	}
	return i + 1
}

func (w *graphQL) emit(raw []byte, escaped bool) {
	base := len(w.path)
	if len(w.arg) > 0 {
		w.push(w.arg)
	}
	w.sink.GraphQLLeaf(w.path, raw, escaped)
	w.path = w.path[:base]
}

func (w *graphQL) push(name []byte) {
	if len(name) > 0 && len(w.path)+len(name)+1 < maxGraphQLPath {
		w.path = append(append(w.path, '/'), name...)
	}
}

// open begins a selection or a list of arguments. The name of an operation is
// no part of a path.
func (w *graphQL) open(selection bool) {
	if w.depth < maxGraphQLDepth {
		w.ends[w.depth] = len(w.path)
		if w.depth > 0 {
			w.push(w.name)
		}
	}
	w.depth++
	w.arg = nil
	if selection {
		w.name = nil
	}
}

// close ends one. Behind its arguments a field's own selection may follow, so
// its name is the last one again.
func (w *graphQL) close(arguments bool) {
	w.arg = nil
	if w.depth == 0 {
		return
	}
	if w.depth--; w.depth >= maxGraphQLDepth {
		return
	}
	last := w.path[w.ends[w.depth]:]
	w.path = w.path[:w.ends[w.depth]]
	if w.name = nil; arguments && len(last) > 1 {
		w.name = last[1:]
	}
}

func graphQLStart(b []byte) bool {
	if b[0] == '{' || b[0] == '#' {
		return true
	}
	for _, w := range [...]string{"query", "mutation", "subscription", "fragment"} {
		if len(b) > len(w) && string(b[:len(w)]) == w && (b[len(w)] == ' ' || b[len(w)] == '{' ||
			b[len(w)] == '(' || b[len(w)] == '\n' || b[len(w)] == '\r' || b[len(w)] == '\t' || b[len(w)] == '@') {
			return bytes.IndexByte(b, '{') > 0
		}
	}
	return false
}

// graphQLString reads a string or block string at i.
func graphQLString(src []byte, i int) (raw []byte, next int, escaped bool) {
	if bytes.HasPrefix(src[i:], []byte(`"""`)) {
		body := src[i+3:]
		n := bytes.Index(body, []byte(`"""`))
		if n < 0 {
			return body, len(src), false
		}
		return body[:n], i + n + 6, false
	}
	for j := i + 1; j < len(src); j++ {
		switch src[j] {
		case '\\':
			escaped = true
			j++
		case '"':
			return src[i+1 : j], j + 1, escaped
		}
	}
	return src[i+1:], len(src), escaped
}
