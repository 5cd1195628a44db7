// Package config turns TOML into checks and one whole Policy. It is the only
// package that knows every check. A configuration is taken whole or refused
// whole, with every problem's file, line and column.
package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/cespare/xxhash/v2"
)

// MaxFileBytes bounds one configuration file; a larger one is refused.
const MaxFileBytes = 8 << 20

// builtIn stands for the file where there is none.
const builtIn = "built-in"

// file is one configuration file as read.
type file struct {
	path string
	main bool
	text string
	md   toml.MetaData
	at   map[string]position
	// broken are tables that could not be read.
	broken []string
	Settings
}

// reading gathers what is read and everything wrong with it.
type reading struct {
	files    []*file
	problems Problems
}

// read reads the main file and conf.d/*.toml beside it. An empty path reads
// nothing: every setting at its default.
func read(path string) *reading {
	r := &reading{}
	if path == "" {
		r.add(builtIn, true, "")
		return r
	}
	r.addFile(path, true)
	more, err := filepath.Glob(filepath.Join(filepath.Dir(path), "conf.d", "*.toml"))
	if err != nil {
		r.problem(Problem{File: path, Message: fmt.Sprintf("list conf.d: %v", err)})
	}
	slices.Sort(more)
	for _, p := range more {
		r.addFile(p, false)
	}
	return r
}

func (r *reading) addFile(path string, main bool) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > MaxFileBytes {
		r.problem(Problem{File: path, Message: fmt.Sprintf("%d bytes, expected at most %d", info.Size(), MaxFileBytes)})
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		r.problem(Problem{File: path, Message: fmt.Sprintf("cannot be read: %v", errors.Unwrap(err))})
		return
	}
	r.add(path, main, string(text))
}

func (r *reading) add(path string, main bool, text string) {
	f := &file{path: path, main: main, text: text, at: locations(text)}
	if !r.take(f) {
		return
	}
	r.files = append(r.files, f)
	if !main {
		for _, table := range []string{"server", "defaults", "events", "reputation"} {
			if f.md.IsDefined(table) {
				r.problem(f.wrong(table, "table [%s] stands in the main file alone: move it to sallyport.toml", table))
			}
		}
	}
}

// maxWrongTypes bounds how many values of a wrong type one file is told of.
const maxWrongTypes = 20

// take decodes a file. The TOML library gives up at the first value of a wrong
// type; so that a person is told of all of them, its line is left out and the
// rest read again. It says whether the file's other problems can be looked for.
func (r *reading) take(f *file) bool {
	lines := strings.Split(f.text, "\n")
	for n := 0; ; n++ {
		f.Settings = Settings{Server: DefaultServer(), Defaults: DefaultRoute()}
		var err error
		if f.md, err = toml.Decode(strings.Join(lines, "\n"), &f.Settings); err == nil {
			return true
		}
		p, syntax := f.decodeProblem("", err)
		if syntax && n > 0 {
			return false // the line left out was a part of something longer
		}
		r.problem(p)
		if syntax || n == maxWrongTypes || p.Line == 0 || strings.HasPrefix(strings.TrimSpace(lines[p.Line-1]), "[") {
			return false
		}
		lines[p.Line-1] = ""
	}
}

// problem notes one, once: what all routes share is met at each of them.
func (r *reading) problem(p Problem) {
	if !slices.Contains(r.problems, p) {
		r.problems = append(r.problems, p)
	}
}

// wrong is a problem with the value of a key.
func (f *file) wrong(key, format string, args ...any) Problem {
	p := Problem{File: f.path, Message: fmt.Sprintf(format, args...)}
	for path := key; ; {
		if at, ok := f.at[path]; ok {
			p.Line, p.Column = at.line, at.column
			return p
		}
		cut := strings.LastIndexByte(path, '.')
		if cut < 0 {
			return p
		}
		path = path[:cut]
	}
}

// wrongEntry is a problem with one text in a list: its own line, where the list
// has several.
func (f *file) wrongEntry(key, entry, format string, args ...any) Problem {
	p := f.wrong(key, format, args...)
	lines := strings.Split(f.text, "\n")
	for n := p.Line; n > 0 && n <= len(lines); n++ {
		if at := strings.Index(lines[n-1], strconv.Quote(entry)); at >= 0 {
			if n > p.Line {
				p.Line, p.Column = n, at+1
			}
			break
		}
	}
	return p
}

// positionInMessage is how the TOML library tells the place of a wrong type.
var positionInMessage = regexp.MustCompile(`^(?s:toml: )?(?s:: )?(?:line (\d+) )?\(last key "([^"]*)"\): (.*)$`)

// decodeProblem gives an error of the TOML library its place, and words for
// whoever wrote the file. syntax says that the file cannot be read as TOML.
func (f *file) decodeProblem(table string, err error) (p Problem, syntax bool) {
	var parse toml.ParseError
	if errors.As(err, &parse) && parse.Position.Line > 0 && parse.Message != "" {
		return f.syntaxProblem(parse)
	}
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "toml: "), ": ")
	if m := positionInMessage.FindStringSubmatch(text); m != nil {
		p := f.wrong(f.numbered(m[2]), "%s: %s", m[2], m[3])
		if said := wrongType(m[3]); said != "" {
			p.Message = m[2] + " is " + said
		}
		if line, _ := strconv.Atoi(m[1]); line > 0 && line != p.Line {
			p.Line, p.Column = line, 1
		}
		return p, false
	}
	return f.wrong(table, "%s: %s", table, text), false
}

// typeNames are the library's words for types, in TOML's.
var typeNames = map[string]string{
	"string": "text", "integer": "an integer", "int64": "an integer", "float64": "a number with a fraction", "float": "a number", "bool": "true or false",
	"boolean": "true or false", "slice": "a list", "array": "a list", "[]any": "a list", "map[string]any": "a table", "[]map[string]any": "a list of tables ([[...]])",
	"map": "a table", "table": "a table", "time.Time": "a date and time", "datetime": "a date and time",
}

var incompatible = regexp.MustCompile(`^incompatible types: TOML value has type (\S+); destination has type (\S+)$`)

// wrongType says what a value is and what was expected, "" for another message.
func wrongType(message string) string {
	if strings.HasPrefix(message, "parsing time ") {
		return "no date and time, expected such as 2027-03-31T00:00:00Z, without quotes"
	}
	m := incompatible.FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	name := func(s string) string {
		if n, ok := typeNames[s]; ok {
			return n
		}
		return s
	}
	said := name(m[1]) + ", expected " + name(m[2])
	switch {
	case m[1] == "map[string]any" && m[2] == "slice":
		said += " of tables: write [[...]] with two brackets"
	case m[1] == "string" && (m[2] == "integer" || m[2] == "bool" || m[2] == "boolean"):
		said += " without quotes"
	case m[1] == "string" && m[2] == "slice":
		said += `, such as ["..."]`
	}
	return said
}

var definedTwice = regexp.MustCompile(`^Key '(.+)' has already been defined\.?$`)

func (f *file) syntaxProblem(parse toml.ParseError) (Problem, bool) {
	p := Problem{File: f.path, Line: parse.Position.Line, Column: max(parse.Position.Col, 1), Message: parse.Message}
	if m := definedTwice.FindStringSubmatch(p.Message); m != nil {
		p.Message, p.Column = m[1]+" is set twice: keep one", 1
		if first, ok := f.at[m[1]]; ok && first.line != p.Line {
			p.Message = fmt.Sprintf("%s is set already in line %d: keep one", m[1], first.line)
		}
		return p, true
	}
	if said := wrongType(p.Message); said != "" {
		p.Message = parse.LastKey + " is " + said
		return p, false
	}
	if strings.Contains(p.Message, `got '\n'`) && p.Line > 1 { // the library means the line that ended too early
		p.Line--
		p.Column = len(strings.Split(f.text, "\n")[p.Line-1]) + 1
		p.Message = strings.Replace(p.Message, `got '\n' instead`, "the line ends", 1)
	}
	if strings.HasPrefix(p.Message, "expected value but found ") {
		p.Message += "; text stands in quotes"
	}
	if parse.LastKey != "" {
		p.Message = parse.LastKey + ": " + p.Message
	}
	return p, !strings.Contains(p.Message, "is out of range")
}

// decode reads a table left for later into v.
func (r *reading) decode(f *file, table string, p toml.Primitive, v any) {
	if err := f.md.PrimitiveDecode(p, v); err != nil {
		r.undecoded(f, table, err)
	}
}

// undecoded reports a table that could not be read. Its other keys were not
// looked at, so none of them is called unknown.
func (r *reading) undecoded(f *file, table string, err error) {
	p, _ := f.decodeProblem(table, err)
	r.problem(p)
	f.broken = append(f.broken, table)
}

func (f *file) isBroken(name string) bool {
	return slices.ContainsFunc(f.broken, func(table string) bool { return strings.HasPrefix(name+".", unnumbered(table)+".") })
}

// unknown reports every key that nothing took.
func (r *reading) unknown() {
	for _, f := range r.files {
		seen := map[string]bool{}
		for _, key := range f.md.Undecoded() {
			name := strings.Join(key, ".")
			if underUnknownCheck(key) || f.isBroken(name) {
				continue // reported as a whole
			}
			if seen[name] || seen[parent(name)] {
				seen[name] = true
				continue
			}
			seen[name] = true
			r.problem(f.wrong(f.numbered(name), "unknown key %q: expected %s", name, expectedKeys(key)))
		}
	}
}

func underUnknownCheck(key toml.Key) bool {
	for i, part := range key[:len(key)-1] {
		if part == "check" {
			return find(key[i+1]) == nil
		}
	}
	return false
}

func parent(name string) string {
	if cut := strings.LastIndexByte(name, '.'); cut >= 0 {
		return name[:cut]
	}
	return ""
}

// numbered finds the located path that equals name, or else the longest start
// of it (a key inside an inline table has no place of its own), but for the
// numbers of array entries, which the TOML library leaves out.
func (f *file) numbered(name string) string {
	for ; name != ""; name = parent(name) {
		best, line := "", 1<<30
		for path, at := range f.at {
			if at.line < line && unnumbered(path) == name {
				best, line = path, at.line
			}
		}
		if best != "" {
			return best
		}
	}
	return name
}

func unnumbered(path string) string {
	parts := strings.Split(path, ".")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool {
		_, err := strconv.Atoi(p)
		return err == nil
	}), ".")
}

// identity is a hash over all that was read.
func (r *reading) identity() string {
	h := xxhash.New()
	for _, f := range r.files {
		fmt.Fprintf(h, "%s\x00%d\x00%s", f.path, len(f.text), f.text)
	}
	return fmt.Sprintf("%016x", h.Sum64())
}
