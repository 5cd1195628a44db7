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
	f := &file{path: path, main: main, text: text}
	f.Server, f.Defaults = DefaultServer(), DefaultRoute()
	var err error
	if f.md, err = toml.Decode(text, &f.Settings); err != nil {
		r.problem(f.decodeProblem("", err))
		return
	}
	f.at = locations(text)
	r.files = append(r.files, f)
	if !main {
		for _, table := range []string{"server", "defaults", "events", "reputation"} {
			if f.md.IsDefined(table) {
				r.problem(f.wrong(table, "table [%s] stands in the main file alone: move it to sallyport.toml", table))
			}
		}
	}
}

func (r *reading) problem(p Problem) { r.problems = append(r.problems, p) }

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

// positionInMessage is how the TOML library tells the place of a wrong type.
var positionInMessage = regexp.MustCompile(`^(?s:toml: )?(?s:: )?(?:line (\d+) )?\(last key "([^"]*)"\): (.*)$`)

// decodeProblem gives an error of the TOML library its place.
func (f *file) decodeProblem(table string, err error) Problem {
	if f.at == nil {
		f.at = locations(f.text)
	}
	var parse toml.ParseError
	if errors.As(err, &parse) && parse.Position.Line > 0 && parse.Message != "" {
		message := parse.Message
		if parse.LastKey != "" {
			message = parse.LastKey + ": " + message
		}
		return Problem{File: f.path, Line: parse.Position.Line, Column: max(parse.Position.Col, 1), Message: message}
	}
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "toml: "), ": ")
	if m := positionInMessage.FindStringSubmatch(text); m != nil {
		p := f.wrong(f.numbered(m[2]), "%s: %s", m[2], m[3])
		if line, _ := strconv.Atoi(m[1]); line > 0 && line != p.Line {
			p.Line, p.Column = line, 1
		}
		return p
	}
	return f.wrong(table, "%s: %s", table, text)
}

// decode reads a table left for later into v.
func (r *reading) decode(f *file, table string, p toml.Primitive, v any) {
	if err := f.md.PrimitiveDecode(p, v); err != nil {
		r.problem(f.decodeProblem(table, err))
	}
}

// unknown reports every key that nothing took.
func (r *reading) unknown() {
	for _, f := range r.files {
		seen := map[string]bool{}
		for _, key := range f.md.Undecoded() {
			name := strings.Join(key, ".")
			if underUnknownCheck(key) {
				continue // reported as a whole
			}
			if seen[name] || seen[parent(name)] {
				seen[name] = true
				continue
			}
			seen[name] = true
			r.problem(f.wrong(f.numbered(name), "unknown key %q: expected one of the keys in the reference, %s", name, referenceHint))
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

const referenceHint = "see `sallyport check --reference`"

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
