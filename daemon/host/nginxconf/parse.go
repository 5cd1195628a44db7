// Package nginxconf reads NGINX configurations as NGINX does, includes
// followed, and remembers where every directive stands, to the byte: so that
// what is changed in a file is exactly that and nothing else.
package nginxconf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds: a configuration past them is refused with an error.
const (
	maxFileBytes = 16 << 20
	maxFiles     = 4096
	maxDepth     = 32 // includes within includes, and blocks within blocks
)

// Directive is one directive: its words, its place, and what its block holds.
type Directive struct {
	Name string
	Args []string
	File string
	Line int
	// Start and End are the bytes of the whole directive in its file, from its
	// first letter to behind its semicolon or closing brace. BodyStart and
	// BodyEnd are those between the braces, 0 without a block.
	Start, End, BodyStart, BodyEnd int
	HasBlock                       bool
	Block                          []*Directive
	Parent                         *Directive
}

// Is says whether the directive has this name and, if given, these first arguments.
func (d *Directive) Is(name string, args ...string) bool {
	return d.Name == name && len(d.Args) >= len(args) && slices.Equal(d.Args[:len(args)], args)
}

// Find lists the directives of this name directly in the block, includes
// followed as if their text stood there.
func (d *Directive) Find(name string) (found []*Directive) {
	for _, c := range d.Block {
		if c.Name == name {
			found = append(found, c)
		}
	}
	return found
}

// Inherited finds the directives of this name that hold in the block: its
// own, or those of the nearest block around it that has any.
func (d *Directive) Inherited(name string) []*Directive {
	for at := d; at != nil; at = at.Parent {
		if own := at.Find(name); len(own) > 0 {
			return own
		}
	}
	return nil
}

// Walk visits every directive below d, and stops going deeper where f says false.
func (d *Directive) Walk(f func(*Directive) bool) {
	for _, c := range d.Block {
		if f(c) {
			c.Walk(f)
		}
	}
}

// Place is where the directive stands, "file:line".
func (d *Directive) Place() string { return fmt.Sprintf("%s:%d", d.File, d.Line) }

// Config is a whole configuration: the main file's directives, and the text of
// every file read.
type Config struct {
	Root  *Directive
	Files map[string]string
	// Reads is how many times each file was included.
	Reads map[string]int
}

// Read reads the main file and all it includes. Relative names start from the
// main file's folder, as NGINX's do.
func Read(path string) (*Config, error) {
	c := &Config{Root: &Directive{Name: "main", File: path, HasBlock: true}, Files: map[string]string{}, Reads: map[string]int{}}
	p := &parser{config: c, base: filepath.Dir(path)}
	if err := p.file(path, c.Root, 0); err != nil {
		return nil, err
	}
	return c, nil
}

type parser struct {
	config *Config
	base   string
}

func (p *parser) file(path string, into *Directive, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: files include each other more than %d deep", path, maxDepth)
	}
	if len(p.config.Files) >= maxFiles {
		return fmt.Errorf("%s: more than %d files", path, maxFiles)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read NGINX's configuration: %w", err)
	}
	if info.Size() > maxFileBytes {
		return fmt.Errorf("read NGINX's configuration: %s has %d bytes, at most %d are read", path, info.Size(), maxFileBytes)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read NGINX's configuration: %w", err)
	}
	p.config.Files[path] = string(text)
	p.config.Reads[path]++
	s := &scanner{text: string(text), file: path, line: 1}
	if err := p.block(s, into, depth, 0); err != nil {
		return err
	}
	return nil
}

func (p *parser) block(s *scanner, into *Directive, depth, nesting int) error {
	if nesting > maxDepth {
		return s.wrong("blocks stand more than %d deep within each other", maxDepth)
	}
	for {
		d, end, err := p.directive(s, into, depth, nesting)
		if err != nil {
			return err
		}
		if end {
			return nil
		}
		if d == nil {
			continue
		}
		into.Block = append(into.Block, d)
		if d.Name == "include" && len(d.Args) == 1 {
			if err := p.include(d, into, depth); err != nil {
				return err
			}
		}
	}
}

// directive reads one directive. end says that the block, or the file, ended.
func (p *parser) directive(s *scanner, into *Directive, depth, nesting int) (d *Directive, end bool, err error) {
	w, err := s.next()
	if err != nil {
		return nil, false, err
	}
	switch {
	case w.kind == eof:
		if nesting > 0 {
			return nil, false, s.wrong("the file ends inside a block: expected }")
		}
		return nil, true, nil
	case w.kind == closing:
		if nesting == 0 {
			return nil, false, s.wrong("unexpected }")
		}
		return nil, true, nil
	case w.kind != word:
		return nil, false, s.wrong("unexpected %q: expected the name of a directive", w.text)
	}
	d = &Directive{Name: w.text, File: s.file, Line: w.line, Start: w.start, Parent: into}
	for {
		if w, err = s.next(); err != nil {
			return nil, false, err
		}
		switch w.kind {
		case word:
			d.Args = append(d.Args, w.text)
		case semicolon:
			d.End = w.end
			return d, false, nil
		case opening:
			d.HasBlock, d.BodyStart = true, w.end
			if strings.HasSuffix(d.Name, "_by_lua_block") {
				err = s.skipLua()
			} else {
				err = p.block(s, d, depth, nesting+1)
			}
			d.BodyEnd, d.End = s.at-1, s.at
			return d, false, err
		default:
			return nil, false, s.wrong("directive %q is not ended: expected ; or {", d.Name)
		}
	}
}

func (p *parser) include(d, into *Directive, depth int) error {
	pattern := d.Args[0]
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(p.base, pattern)
	}
	names, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("%s: include %s: %w", d.Place(), d.Args[0], err)
	}
	if len(names) == 0 && !strings.ContainsAny(pattern, "*?[") {
		return fmt.Errorf("%s: include %s: there is no such file", d.Place(), pattern)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := p.file(name, into, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// Error is what is wrong with a configuration and where.
type Error struct {
	File    string
	Line    int
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message) }

// IsSyntax says whether err tells of a configuration that NGINX would refuse too.
func IsSyntax(err error) bool {
	var e *Error
	return errors.As(err, &e)
}
