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
	var (
		path  = scratch[:0]
		ends  [maxGraphQLDepth]int
		depth int
		name  []byte // the last name read
		arg   []byte // the argument, when the colon after it was read
	)
	if cap(path) < maxGraphQLPath {
		path = make([]byte, 0, maxGraphQLPath)
	}
	emit := func(raw []byte, escaped bool) {
		base := len(path)
		if len(arg) > 0 && len(path)+len(arg) < maxGraphQLPath {
			path = append(append(path, '/'), arg...)
		}
		sink.GraphQLLeaf(path, raw, escaped)
		path = path[:base]
	}
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case c == '"':
			raw, next, escaped := graphQLString(src, i)
			emit(raw, escaped)
			i = next
		case c == '#':
			n := bytes.IndexByte(src[i:], '\n')
			if n < 0 {
				n = len(src) - i
			}
			emit(src[i+1:i+n], false)
			i += n
		case c == '{' || c == '(':
			if depth < maxGraphQLDepth {
				ends[depth] = len(path)
				if depth > 0 && len(name) > 0 && len(path)+len(name)+1 < maxGraphQLPath {
					path = append(append(path, '/'), name...)
				}
			}
			depth++
			if arg = nil; c == '{' {
				name = nil
			}
			i++
		case c == '}' || c == ')':
			if depth > 0 {
				if depth--; depth < maxGraphQLDepth {
					last := path[ends[depth]:]
					path = path[:ends[depth]]
					// After the arguments the field's own selection follows.
					if name = nil; c == ')' && len(last) > 1 {
						name = last[1:]
					}
				}
			}
			arg = nil
			i++
		case c == ':':
			arg = name
			i++
		case isAlpha(c) || c == '_':
			start := i
			for i < len(src) && (isAlpha(src[i]) || src[i] == '_' || src[i] >= '0' && src[i] <= '9') {
				i++
			}
			name = src[start:i]
		default:
			i++
		}
	}
	return true
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
