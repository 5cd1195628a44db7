// Package document reads API documents and JSON Schemas, in JSON or YAML and
// spread over any number of local files, into one tree of nodes that know
// where they stand, and resolves references between them.
//
// Nothing is fetched: a reference to another host is an error of that
// reference. Documents come from the person who runs the daemon, so they are
// trusted not to be hostile, yet every walk over them is bounded: files of at
// most MaxFileBytes, at most MaxFiles of them, nesting of at most MaxDepth.
package document

import (
	"fmt"
	"strconv"
	"strings"
)

// Bounds of a document. A file beyond them is refused with the bound named.
const (
	MaxFileBytes = 64 << 20
	MaxFiles     = 4096
	MaxDepth     = 1000
)

// Kind is the type of a node, as JSON has them.
type Kind uint8

// The kinds of nodes.
const (
	Null Kind = iota + 1
	Bool
	Number
	String
	Array
	Object
)

// String names the kind as JSON Schema does.
func (k Kind) String() string {
	return [...]string{"nothing", "null", "boolean", "number", "string", "array", "object"}[min(k, Object)]
}

// Node is one value of a document.
type Node struct {
	Kind Kind
	// Text is a string's value, a number's literal in JSON syntax, or "true"
	// or "false".
	Text string
	// Keys are an object's names in their order; Items are its values, or
	// those of an array.
	Keys  []string
	Items []*Node

	File *File
	Line int32 // from 1
	Col  int32 // from 1, in bytes

	index map[string]int
}

// Get is the member of an object, or nil. A nil node has none.
func (n *Node) Get(name string) *Node {
	if n == nil || n.Kind != Object {
		return nil
	}
	if n.index != nil {
		if i, ok := n.index[name]; ok {
			return n.Items[i]
		}
		return nil
	}
	for i := len(n.Keys) - 1; i >= 0; i-- {
		if n.Keys[i] == name {
			return n.Items[i]
		}
	}
	return nil
}

// seal builds the index of a large object, once its members are all there.
func (n *Node) seal() {
	if len(n.Keys) < 12 {
		return
	}
	n.index = make(map[string]int, len(n.Keys))
	for i, k := range n.Keys {
		n.index[k] = i
	}
}

// Str is a string's value, or "" when n is no string.
func (n *Node) Str() string {
	if n == nil || n.Kind != String {
		return ""
	}
	return n.Text
}

// True says that n is the value true.
func (n *Node) True() bool { return n != nil && n.Kind == Bool && n.Text == "true" }

// False says that n is the value false.
func (n *Node) False() bool { return n != nil && n.Kind == Bool && n.Text == "false" }

// IsObject says that n is an object.
func (n *Node) IsObject() bool { return n != nil && n.Kind == Object }

// IsArray says that n is an array.
func (n *Node) IsArray() bool { return n != nil && n.Kind == Array }

// Strings are the strings of an array of strings; others are left out.
func (n *Node) Strings() []string {
	if !n.IsArray() {
		return nil
	}
	out := make([]string, 0, len(n.Items))
	for _, item := range n.Items {
		if item.Kind == String {
			out = append(out, item.Text)
		}
	}
	return out
}

// Int is a whole number's value; ok is false when n is none or beyond 64 bits.
// 3.0 is whole.
func (n *Node) Int() (v int64, ok bool) {
	if n == nil || n.Kind != Number {
		return 0, false
	}
	if v, err := strconv.ParseInt(n.Text, 10, 64); err == nil {
		return v, true
	}
	f, err := strconv.ParseFloat(n.Text, 64)
	if err != nil || f != float64(int64(f)) || f > 1<<53 || f < -(1<<53) {
		return 0, false
	}
	return int64(f), true
}

// At is where the node stands, "file:line:column".
func (n *Node) At() string {
	if n == nil || n.File == nil {
		return "?"
	}
	return fmt.Sprintf("%s:%d:%d", n.File.Name, n.Line, n.Col)
}

// Pointer resolves a JSON pointer (RFC 6901) below n; the text is already
// percent-decoded.
func (n *Node) Pointer(pointer string) (*Node, error) {
	if pointer == "" {
		return n, nil
	}
	if pointer[0] != '/' {
		return nil, fmt.Errorf("a JSON pointer begins with a slash, not %q", pointer)
	}
	at := n
	for _, token := range strings.Split(pointer[1:], "/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		var next *Node
		switch at.Kind {
		case Object:
			next = at.Get(token)
		case Array:
			if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(at.Items) {
				next = at.Items[i]
			}
		}
		if next == nil {
			return nil, fmt.Errorf("nothing at %q: the %s at line %d has no %q", pointer, at.Kind, at.Line, token)
		}
		at = next
	}
	return at, nil
}

// EscapeToken writes one token of a JSON pointer.
func EscapeToken(s string) string {
	if !strings.ContainsAny(s, "~/") {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

// List is an array's items, or nil.
func (n *Node) List() []*Node {
	if !n.IsArray() {
		return nil
	}
	return n.Items
}
