package jsonschema

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// kind is the type of a value in an instance.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
	// kindText is a parameter's text, whose type only the schema tells: it
	// stands for the string, and for the number, boolean or null it spells.
	kindText
)

// node is one value. A value's children follow it, each with its subtree.
type node struct {
	kind  kind
	truth bool
	key   []byte // the member's name, when the value is a member
	text  []byte // a string's characters, a number's literal
	count int32  // children
	end   int32  // the node after the subtree
}

// Bounds of one instance. Reaching one is an error of the instance.
const (
	MaxDepth = 200     // arrays and objects within each other
	MaxNodes = 1 << 17 // values in all, 64 bytes of memory each
)

// ErrTooDeep and ErrTooLarge are the errors of an instance beyond the bounds.
var (
	ErrTooDeep  = fmt.Errorf("nested deeper than %d", MaxDepth)
	ErrTooLarge = fmt.Errorf("more than %d values", MaxNodes)
)

// SyntaxError says where a text stops being JSON.
type SyntaxError struct {
	Offset int // in bytes, from 0
	What   string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.What, e.Offset) }

// Instance is a value to be judged: parsed from JSON, or put together from
// parameters. It can be used again after Reset; its strings point into the
// text it was parsed from. It is not safe for concurrent use.
type Instance struct {
	nodes []node
	open  []int32
	buf   []byte // decoded strings

	text  []byte
	at    int
	depth int

	eval evaluator
}

// Reset empties the instance and keeps its memory.
func (in *Instance) Reset() {
	in.nodes, in.open, in.buf, in.text, in.depth = in.nodes[:0], in.open[:0], in.buf[:0], nil, 0
}

// Size is how much memory, in values, the instance has grown to hold.
func (in *Instance) Size() int { return cap(in.nodes) }

// OpenObject begins an object; key is its name in the object around it.
func (in *Instance) OpenObject(key []byte) { in.begin(kindObject, key) }

// OpenArray begins an array.
func (in *Instance) OpenArray(key []byte) { in.begin(kindArray, key) }

func (in *Instance) begin(k kind, key []byte) {
	in.add(node{kind: k, key: key})
	in.open = append(in.open, int32(len(in.nodes)-1))
}

// Close ends the innermost open object or array.
func (in *Instance) Close() {
	i := in.open[len(in.open)-1]
	in.open = in.open[:len(in.open)-1]
	in.nodes[i].end = int32(len(in.nodes))
}

// Text adds a parameter's text, of the type that the schema makes of it.
func (in *Instance) Text(key, text []byte) { in.add(node{kind: kindText, key: key, text: text}) }

// String adds a string.
func (in *Instance) String(key, text []byte) { in.add(node{kind: kindString, key: key, text: text}) }

func (in *Instance) add(n node) {
	if len(in.open) > 0 {
		in.nodes[in.open[len(in.open)-1]].count++
	}
	n.end = int32(len(in.nodes) + 1)
	in.nodes = append(in.nodes, n)
}

// Mark and Rewind take back what was added after the mark, at the same level.
func (in *Instance) Mark() int { return len(in.nodes) }

// Rewind forgets the values since mark; they must be direct members of what
// is open now, n of them.
func (in *Instance) Rewind(mark, n int) {
	in.nodes = in.nodes[:mark]
	if len(in.open) > 0 {
		in.nodes[in.open[len(in.open)-1]].count -= int32(n)
	}
}

// Parse reads one JSON text (RFC 8259) as the value of key. Repeated names
// are all kept, so that each is judged. An error leaves the instance as it was.
func (in *Instance) Parse(key, text []byte) error {
	if !utf8.Valid(text) {
		at := 0
		for at < len(text) {
			r, n := utf8.DecodeRune(text[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		return &SyntaxError{at, "not UTF-8"}
	}
	mark, open := len(in.nodes), len(in.open)
	in.text, in.at, in.depth = text, 0, 0
	err := in.value(key)
	if err == nil {
		in.space()
		if in.at < len(text) {
			err = in.wrong("more text after the value")
		}
	}
	if err != nil {
		in.open = in.open[:open]
		in.nodes = in.nodes[:mark]
		if open > 0 && mark > 0 {
			in.nodes[in.open[open-1]].count = in.children(in.open[open-1])
		}
	}
	return err
}

// children counts anew the children of a node that is still open.
func (in *Instance) children(i int32) (n int32) {
	for c := i + 1; c < int32(len(in.nodes)); c = in.nodes[c].end {
		n++
	}
	return n
}

func (in *Instance) wrong(what string) error { return &SyntaxError{in.at, what} }

func (in *Instance) space() {
	for in.at < len(in.text) {
		switch in.text[in.at] {
		case ' ', '\t', '\r', '\n':
			in.at++
		default:
			return
		}
	}
}

func (in *Instance) value(key []byte) error {
	in.space()
	if in.at >= len(in.text) {
		return in.wrong("the text ends where a value should be")
	}
	if len(in.nodes) >= MaxNodes {
		return ErrTooLarge
	}
	switch c := in.text[in.at]; c {
	case '{':
		return in.object(key)
	case '[':
		return in.array(key)
	case '"':
		s, err := in.str()
		in.add(node{kind: kindString, key: key, text: s})
		return err
	case 't':
		return in.word("true", node{kind: kindBool, truth: true, key: key})
	case 'f':
		return in.word("false", node{kind: kindBool, key: key})
	case 'n':
		return in.word("null", node{kind: kindNull, key: key})
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return in.number(key)
		}
		return in.wrong("no JSON value begins with " + strconv.QuoteRune(rune(c)))
	}
}

func (in *Instance) word(w string, n node) error {
	if !bytes.HasPrefix(in.text[in.at:], []byte(w)) {
		return in.wrong("no JSON value")
	}
	in.at += len(w)
	in.add(n)
	return nil
}

func (in *Instance) number(key []byte) error {
	start := in.at
	if in.text[in.at] == '-' {
		in.at++
	}
	if in.at < len(in.text) && in.text[in.at] == '0' {
		in.at++
	} else if !in.digits() {
		return in.wrong("a digit is missing")
	}
	if in.at < len(in.text) && in.text[in.at] == '.' {
		in.at++
		if !in.digits() {
			return in.wrong("a digit is missing after the point")
		}
	}
	if in.at < len(in.text) && in.text[in.at]|0x20 == 'e' {
		in.at++
		if in.at < len(in.text) && (in.text[in.at] == '+' || in.text[in.at] == '-') {
			in.at++
		}
		if !in.digits() {
			return in.wrong("a digit is missing in the exponent")
		}
	}
	in.add(node{kind: kindNumber, key: key, text: in.text[start:in.at]})
	return nil
}

func (in *Instance) digits() bool {
	start := in.at
	for in.at < len(in.text) && in.text[in.at] >= '0' && in.text[in.at] <= '9' {
		in.at++
	}
	return in.at > start
}

func (in *Instance) enter() error {
	in.at++
	if in.depth++; in.depth > MaxDepth {
		return ErrTooDeep
	}
	in.space()
	return nil
}

func (in *Instance) array(key []byte) error {
	in.OpenArray(key)
	if err := in.enter(); err != nil {
		return err
	}
	if in.at < len(in.text) && in.text[in.at] == ']' {
		in.leave()
		return nil
	}
	for {
		if err := in.value(nil); err != nil {
			return err
		}
		in.space()
		if in.at >= len(in.text) {
			return in.wrong("the text ends within an array")
		}
		switch in.text[in.at] {
		case ',':
			in.at++
		case ']':
			in.leave()
			return nil
		default:
			return in.wrong("neither comma nor closing bracket")
		}
	}
}

func (in *Instance) leave() {
	in.at++
	in.depth--
	in.Close()
}

func (in *Instance) object(key []byte) error {
	in.OpenObject(key)
	if err := in.enter(); err != nil {
		return err
	}
	if in.at < len(in.text) && in.text[in.at] == '}' {
		in.leave()
		return nil
	}
	for {
		in.space()
		if in.at >= len(in.text) || in.text[in.at] != '"' {
			return in.wrong("no name where a member should begin")
		}
		name, err := in.str()
		if err != nil {
			return err
		}
		in.space()
		if in.at >= len(in.text) || in.text[in.at] != ':' {
			return in.wrong("no colon after a name")
		}
		in.at++
		if err := in.value(name); err != nil {
			return err
		}
		in.space()
		if in.at >= len(in.text) {
			return in.wrong("the text ends within an object")
		}
		switch in.text[in.at] {
		case ',':
			in.at++
		case '}':
			in.leave()
			return nil
		default:
			return in.wrong("neither comma nor closing brace")
		}
	}
}

// str reads a string; without escapes it points into the text.
func (in *Instance) str() ([]byte, error) {
	in.at++
	start := in.at
	for in.at < len(in.text) {
		switch c := in.text[in.at]; {
		case c == '"':
			in.at++
			return in.text[start : in.at-1 : in.at-1], nil
		case c == '\\':
			return in.escaped(start)
		case c < 0x20:
			return nil, in.wrong("a control character in a string")
		}
		in.at++
	}
	return nil, in.wrong("the text ends within a string")
}

var plainEscapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (in *Instance) escaped(start int) ([]byte, error) {
	mark := len(in.buf)
	in.buf = append(in.buf, in.text[start:in.at]...)
	for in.at < len(in.text) {
		c := in.text[in.at]
		switch {
		case c == '"':
			in.at++
			return in.buf[mark:len(in.buf):len(in.buf)], nil
		case c < 0x20:
			return nil, in.wrong("a control character in a string")
		case c != '\\':
			in.buf = append(in.buf, c)
			in.at++
			continue
		}
		if in.at+1 >= len(in.text) {
			return nil, in.wrong("the text ends within a string")
		}
		e := in.text[in.at+1]
		if p := plainEscapes[e]; p != 0 {
			in.buf = append(in.buf, p)
			in.at += 2
			continue
		}
		r, ok := in.hex4()
		if e != 'u' || !ok {
			return nil, in.wrong("no such escape in a string")
		}
		in.at += 6
		if r >= 0xd800 && r < 0xdc00 && in.at+1 < len(in.text) && in.text[in.at] == '\\' && in.text[in.at+1] == 'u' {
			if low, ok := in.hex4(); ok && low >= 0xdc00 && low < 0xe000 {
				r = (r-0xd800)<<10 + low - 0xdc00 + 0x10000
				in.at += 6
			}
		}
		in.buf = utf8.AppendRune(in.buf, r) // half a pair becomes U+FFFD
	}
	return nil, in.wrong("the text ends within a string")
}

func (in *Instance) hex4() (r rune, ok bool) {
	if in.at+6 > len(in.text) {
		return 0, false
	}
	for _, c := range in.text[in.at+2 : in.at+6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// Rename gives the value at a node a name.
func (in *Instance) Rename(at int, key []byte) {
	if at < len(in.nodes) {
		in.nodes[at].key = key
	}
}

// Members counts the children of the innermost open value so far.
func (in *Instance) Members() int {
	if len(in.open) == 0 {
		return 0
	}
	return int(in.nodes[in.open[len(in.open)-1]].count)
}

// Fresh makes the instance a new one that shares no memory with the old.
func (in *Instance) Fresh() { *in = Instance{} }

// TopNumbers visits the numbers, and the strings, that stand under a name in
// the object at the root.
func (in *Instance) TopNumbers(name string, visit func(text []byte)) {
	if len(in.nodes) == 0 || in.nodes[0].kind != kindObject {
		return
	}
	for c := int32(1); c < in.nodes[0].end; c = in.nodes[c].end {
		if n := &in.nodes[c]; string(n.key) == name && (n.kind == kindNumber || n.kind == kindString) {
			visit(n.text)
		}
	}
}
