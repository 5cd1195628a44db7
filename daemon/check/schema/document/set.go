package document

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// File is one file of a Set.
type File struct {
	// Name is the file's name as the person who named it wrote it, or as the
	// reference to it did.
	Name string
	Path string // absolute
	Root *Node
	err  error
}

// Set is a document with every file it refers to. It is not safe for
// concurrent use; nothing of it is needed once schemas are compiled.
type Set struct {
	files map[string]*File
	root  *File
	// resources are the schemas that say by $id what they are, and the
	// anchors in them, by absolute URI.
	resources map[string]*Node
}

// Open reads the file that a document begins in.
func Open(name string) (*Set, *Node, error) {
	s := &Set{files: map[string]*File{}}
	path, err := filepath.Abs(name)
	if err != nil {
		return nil, nil, fmt.Errorf("open document %s: %w", name, err)
	}
	s.root = s.load(path, name)
	return s, s.root.Root, s.root.err
}

// Parse reads a document from memory; references to other files start from
// the folder of name.
func Parse(name string, text []byte) (*Set, *Node, error) {
	s := &Set{files: map[string]*File{}}
	path, err := filepath.Abs(name)
	if err != nil {
		return nil, nil, fmt.Errorf("document %s: %w", name, err)
	}
	f := &File{Name: name, Path: path}
	s.files[path], s.root = f, f
	f.Root, f.err = parse(f, text)
	return s, f.Root, f.err
}

func (s *Set) load(path, name string) *File {
	if f, ok := s.files[path]; ok {
		return f
	}
	f := &File{Name: name, Path: path}
	if len(s.files) >= MaxFiles {
		f.err = fmt.Errorf("open %s: the document refers to more than %d files", name, MaxFiles)
		return f
	}
	s.files[path] = f
	info, err := os.Stat(path)
	if err == nil && info.Size() > MaxFileBytes {
		err = fmt.Errorf("open %s: larger than %d bytes", name, MaxFileBytes)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		f.err = err
		return f
	}
	f.Root, f.err = parse(f, text)
	return f
}

func parse(f *File, text []byte) (*Node, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	trimmed := bytes.TrimLeft(text, " \t\r\n")
	if len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		n, err := parseJSON(f, text)
		if err == nil {
			return n, nil
		}
		// YAML's flow style begins the same way and allows more; a file that
		// says it is JSON is told what JSON's reader found.
		if y, yamlErr := parseYAML(f, text); yamlErr == nil && y.Kind == Object {
			return y, nil
		}
		return nil, err
	}
	return parseYAML(f, text)
}

// ErrRemote is the error of a reference that would have to be fetched.
var ErrRemote = errors.New("refers to another host, and nothing is fetched: copy the file beside the document and refer to that")

// Resolve finds what a $ref in the node from points to. base is the base URI
// that an $id around from sets, or "". The error does not say where from
// stands.
func (s *Set) Resolve(ref string, from *Node, base string) (*Node, error) {
	n, err := s.resolve(ref, from, base)
	if err != nil {
		return nil, fmt.Errorf("$ref %q: %w", ref, err)
	}
	return n, nil
}

func (s *Set) resolve(ref string, from *Node, base string) (*Node, error) {
	target, fragment, _ := strings.Cut(ref, "#")
	if f, err := url.PathUnescape(fragment); err == nil {
		fragment = f
	}
	if n := s.byURI(target, fragment, base); n != nil {
		return n, nil
	}
	if u, err := url.Parse(target); err == nil && (u.Host != "" || (u.Scheme != "" && u.Scheme != "file" && len(u.Scheme) > 1)) {
		return nil, ErrRemote
	}
	file := from.File
	if target != "" {
		name, err := url.PathUnescape(target)
		if err != nil {
			name = target
		}
		name = strings.TrimPrefix(name, "file://")
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(file.Path), filepath.FromSlash(name))
		}
		display := name
		if !filepath.IsAbs(name) {
			display = filepath.Join(filepath.Dir(file.Name), filepath.FromSlash(name))
		}
		file = s.load(filepath.Clean(path), display)
		if file.err != nil {
			return nil, file.err
		}
	}
	if fragment == "" || fragment[0] == '/' {
		n, err := file.Root.Pointer(fragment)
		if err != nil && target == "" && file != s.root && s.root != nil {
			// Documents cut into files often mean the first one by "#/...".
			if n, rootErr := s.root.Root.Pointer(fragment); rootErr == nil {
				return n, nil
			}
		}
		return n, err
	}
	return nil, fmt.Errorf("no anchor of this name")
}

// byURI looks among the schemas that have an $id or an anchor.
func (s *Set) byURI(target, fragment, base string) *Node {
	if len(s.resources) == 0 {
		return nil
	}
	uri := Join(base, target)
	root := s.resources[uri]
	if fragment == "" {
		if target == "" && base == "" {
			return nil
		}
		return root
	}
	if fragment[0] == '/' {
		if root == nil || (target == "" && base == "") {
			return nil
		}
		n, err := root.Pointer(fragment)
		if err != nil {
			return nil
		}
		return n
	}
	return s.resources[uri+"#"+fragment]
}

// Join resolves a URI reference against a base (RFC 3986 section 5), without
// its fragment.
func Join(base, ref string) string {
	ref, _, _ = strings.Cut(ref, "#")
	if base == "" {
		return ref
	}
	b, err := url.Parse(base)
	if err != nil {
		return ref
	}
	r, err := url.Parse(ref)
	if err != nil {
		return ref
	}
	if ref == "" {
		return base
	}
	u := b.ResolveReference(r)
	u.Fragment = ""
	return u.String()
}

// Declare makes a schema known under a URI: what its $id says, or an anchor.
// The first declaration of a URI holds.
func (s *Set) Declare(uri string, n *Node) {
	if s.resources == nil {
		s.resources = map[string]*Node{}
	}
	if _, ok := s.resources[uri]; !ok {
		s.resources[uri] = n
	}
}

// Resource is the schema declared under a URI, or nil.
func (s *Set) Resource(uri string) *Node { return s.resources[uri] }

// Release lets the trees go: what schemas keep of them, the values of enums,
// stays, and the rest is garbage. The set is of no use after it.
func (s *Set) Release() {
	for _, f := range s.files {
		f.Root = nil
	}
	s.files, s.root, s.resources = nil, nil, nil
}
