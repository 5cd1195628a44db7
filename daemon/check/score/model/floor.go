package model

import "bytes"

// floorScore is what an exact signature scores at least.
const floorScore = 97

// floor finds the few attacks that are certain from their text and that long
// random tokens around them would hide from the model: lookup expressions
// (CVE-2021-44228 and those after it) and function definitions in the
// environment (CVE-2014-6271).
func floor(text []byte) (name string, class Class) {
	if i := bytes.IndexByte(text, '$'); i >= 0 && lookup(text[i:]) {
		return "lookup expression", Lookup
	}
	if functionDefinition(text) {
		return "function definition", Command
	}
	return "", 0
}

// Bounds of the floor's own scans, in bytes.
const (
	maxLookup = 1024
	maxName   = 16
)

// lookup finds "${jndi:" and forms that nested lookups build it from.
func lookup(text []byte) bool {
	for {
		i := bytes.Index(text, []byte("${"))
		if i < 0 {
			return false
		}
		text = text[i:]
		if lookupAt(text[:min(len(text), maxLookup)]) {
			return true
		}
		text = text[2:]
	}
}

// lookupAt resolves the lookup at the start of s as far as needed to see
// whether it spells jndi: inner lookups give the text behind their last ":"
// or ":-" (their default, or what lower and upper are given).
func lookupAt(s []byte) bool {
	var name [maxName]byte
	n, depth, nested := 0, 0, false
	var inner [8]int // where in name each open lookup's text began
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '$' && i+1 < len(s) && s[i+1] == '{':
			if depth == len(inner) {
				return true // nested this deep, it hides something
			}
			inner[depth] = n
			depth++
			nested = nested || depth > 1
			i++
		case c == '}':
			depth--
			if depth <= 0 {
				return false
			}
		case c == ':' && depth > 1:
			n = inner[depth-1]
			if i+1 < len(s) && s[i+1] == '-' {
				i++
			}
		case c == ':':
			return jndi(name[:n], nested)
		case c <= ' ' || c == '\'' || c == '"':
		default:
			if n == len(name) {
				return false
			}
			name[n] = c | 0x20
			n++
		}
	}
	return false
}

// jndi says that a lookup's resolved name is jndi, or so nearly that only
// nesting explains it.
func jndi(name []byte, nested bool) bool {
	if string(name) == "jndi" {
		return true
	}
	return nested && len(name) >= 3 && (bytes.HasPrefix(name, []byte("jn")) || name[0] == 'j' && bytes.HasSuffix(name, []byte("i")))
}

// functionDefinition finds "() {" where a value begins, with code behind the
// braces. Inside a longer text it is how scripts write functions.
func functionDefinition(text []byte) bool {
	for i := 0; i+4 < len(text); {
		k := bytes.Index(text[i:], []byte("()"))
		if k < 0 {
			return false
		}
		i += k + 2
		if definitionAt(text, i-2) {
			return true
		}
	}
	return false
}

func definitionAt(text []byte, i int) bool {
	before := bytes.TrimRight(text[:i], " \t")
	if n := len(before); n > 0 && (wordByte(before[n-1]) || n != i || bytes.IndexByte([]byte("='\":,&"), before[n-1]) < 0) {
		return false
	}
	rest := bytes.TrimLeft(text[i+2:min(len(text), i+96)], " \t")
	if len(rest) == 0 || rest[0] != '{' {
		return false
	}
	end := bytes.IndexByte(rest, '}')
	if end < 0 {
		return false
	}
	after := bytes.TrimLeft(rest[end+1:], " \t")
	return len(after) > 1 && bytes.IndexByte([]byte(";>/&|"), after[0]) >= 0 && shellNoop(bytes.TrimSpace(rest[1:end]))
}

// shellNoop is a body such as ":;", "_;", "foo;", "test;" or "x;": the
// definitions that carry the attack do nothing themselves.
func shellNoop(b []byte) bool {
	if len(b) < 1 || len(b) > 24 || b[len(b)-1] != ';' {
		return len(b) == 0 || len(b) <= 12 && bytes.HasPrefix(b, []byte("_;"))
	}
	for _, c := range b[:len(b)-1] {
		if !wordByte(c) && c != ':' && c != ' ' && c != ';' {
			return false
		}
	}
	return true
}
