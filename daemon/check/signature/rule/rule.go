// Package rule is the language of Snort and Suricata rule files: it reads
// files, joins their lines, follows includes and variables, and takes each
// rule apart into header and options with the place of every part. What an
// option means is the business of package keyword.
//
// Three dialects share the language: Snort 2 (option modifiers follow a
// content), Snort 3 (modifiers stand inside the content, buffers before it)
// and Suricata (sticky buffers with dotted names, beside the Snort 2 forms).
// They are told apart rule by rule; see Dialect.
package rule

import (
	"fmt"
	"strings"
)

// Bounds of what is read. A longer rule is an error, a deeper include too.
const (
	MaxRule     = 64 << 10 // bytes of one rule, its lines joined
	MaxFile     = 256 << 20
	MaxIncludes = 16
	MaxOptions  = 1024
)

// Dialect is the engine a rule was written for.
type Dialect uint8

// The dialects. Snort2 and Suricata rules are evaluated alike: Suricata reads
// Snort 2 rules, and its documented behaviour is the one followed.
const (
	Unknown Dialect = iota
	Snort2
	Suricata
	Snort3
)

// String names the dialect as people write it.
func (d Dialect) String() string {
	return [...]string{"unknown", "snort2", "suricata", "snort3"}[d]
}

// Option is one option of a rule, "content:\"x\"".
type Option struct {
	Name  string
	Value string // as written, spaces around it removed; quotes kept
	Has   bool   // a colon stood there
	Off   int    // byte offset in Rule.Text
}

// Rule is one rule, taken apart.
type Rule struct {
	File    string
	Line    int // of its first line, from 1
	Text    string
	Dialect Dialect
	// Action is alert, log, pass, drop, block, reject, sdrop, rewrite, ...
	Action string
	// Proto is the protocol in lower case, Hook what follows it after a colon.
	Proto, Hook string
	// Bare says that the header holds no addresses (Snort 3's short form).
	Bare      bool
	Src, Dst  *Addresses
	SrcPorts  *Ports
	DstPorts  *Ports
	DstIsHTTP bool // the port was written as $HTTP_PORTS
	Both      bool // the arrow was <>
	Options   []Option
	lines     []join
}

// join says that from this offset of Text on, the text stands on that line.
type join struct{ off, line, col int }

// Pos is the line and column of a byte of Text, from 1.
func (r *Rule) Pos(off int) (line, col int) {
	line, col = r.Line, off+1
	for _, j := range r.lines {
		if j.off > off {
			break
		}
		line, col = j.line, j.col+off-j.off
	}
	return line, col
}

// Errorf is an error at an offset of the rule's text.
func (r *Rule) Errorf(off int, format string, args ...any) *Error {
	line, col := r.Pos(off)
	return &Error{File: r.File, Line: line, Col: col, Msg: fmt.Sprintf(format, args...)}
}

// Error is a mistake in a rule file.
type Error struct {
	File      string
	Line, Col int
	Msg       string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
}

// Option finds an option by name.
func (r *Rule) Option(name string) (Option, bool) {
	for _, o := range r.Options {
		if o.Name == name {
			return o, true
		}
	}
	return Option{}, false
}

// Unquote removes the quotes around a value and the escapes of quote,
// semicolon, colon and backslash inside it.
func Unquote(v string) string {
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		v = v[1 : len(v)-1]
	}
	if strings.IndexByte(v, '\\') < 0 {
		return v
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+1 < len(v) && strings.IndexByte(`";:\`, v[i+1]) >= 0 {
			i++
		}
		b.WriteByte(v[i])
	}
	return b.String()
}

// Fields splits a value at commas outside quotes and trims the parts.
func Fields(v string) []string {
	var out []string
	start, quoted := 0, false
	for i := 0; i <= len(v); i++ {
		switch {
		case i == len(v) || v[i] == ',' && !quoted:
			out = append(out, strings.TrimSpace(v[start:i]))
			start = i + 1
		case v[i] == '\\' && quoted && i+1 < len(v):
			i++
		case v[i] == '"':
			quoted = !quoted
		}
	}
	return out
}
