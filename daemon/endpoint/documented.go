package endpoint

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Operation is one documented operation.
type Operation struct {
	Method     string
	Path       string // with the server's base path
	ID         string // operationId
	Deprecated bool
	// Public says that no credential is needed: no security requirement, or an
	// empty one among the alternatives.
	Public bool
	// Scopes are the alternatives of the security requirements; each is the
	// set of scopes that it asks for, possibly none.
	Scopes [][]string
	Params []Parameter

	template pathTemplate
}

// Parameter is a documented parameter, or a property of a JSON or form body
// (In is "body", properties of the outermost object alone).
type Parameter struct {
	Name, In string
	Required bool
}

// Operations are the operations of OpenAPI 3 and Swagger 2.0 documents, read
// for their paths, security requirements and parameter names alone: what is
// wrong elsewhere in a document does not matter here.
type Operations struct {
	list  []*Operation
	bySeg map[int][]*Operation // by the number of segments
}

// maxDocument bounds a document, in bytes.
const maxDocument = 64 << 20

// ReadOperations reads a document; name is what messages call it. warn, which
// may be nil, hears of parts that are not read: references to other files.
func ReadOperations(path, name string, warn func(string)) (*Operations, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	if info.Size() > maxDocument {
		return nil, fmt.Errorf("%s: %d bytes, expected at most %d", name, info.Size(), maxDocument)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	return ParseOperations(name, text, warn)
}

// ParseOperations reads a document from memory.
func ParseOperations(name string, text []byte, warn func(string)) (*Operations, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(root.Content) != 1 || field(root.Content[0], "paths") == nil {
		return nil, fmt.Errorf("%s: no paths, expected an OpenAPI 3 or Swagger 2.0 document", name)
	}
	r := &reader{name: name, root: root.Content[0], warn: warn, ops: &Operations{bySeg: map[int][]*Operation{}}}
	return r.ops, r.read()
}

// Merge adds another document's operations.
func (o *Operations) Merge(other *Operations) {
	for _, op := range other.list {
		o.add(op)
	}
}

// All are the operations, by path and method.
func (o *Operations) All() []*Operation {
	out := append([]*Operation(nil), o.list...)
	sort.Slice(out, func(i, j int) bool {
		if out[i].Path != out[j].Path {
			return out[i].Path < out[j].Path
		}
		return out[i].Method < out[j].Method
	})
	return out
}

// Find gives the operation that a path, or a template of this package, falls
// under: of several the one with the most literal template (OpenAPI 3.1, "Path
// Templating Matching"). HEAD falls under GET. It is nil when there is none.
func (o *Operations) Find(method string, path []byte) *Operation {
	if op := o.find(method, path); op != nil || method != "HEAD" {
		return op
	}
	return o.find("GET", path)
}

func (o *Operations) find(method string, path []byte) (best *Operation) {
	for _, op := range o.bySeg[bytes.Count(path, []byte("/"))] {
		if op.Method == method && (best == nil || op.template.literal > best.template.literal) && op.template.matches(path) {
			best = op
		}
	}
	return best
}

func (o *Operations) add(op *Operation) {
	o.list = append(o.list, op)
	n := strings.Count(op.Path, "/")
	o.bySeg[n] = append(o.bySeg[n], op)
}

// Pattern is a path template of a setting: {x} takes one segment, a last * any rest.
type Pattern struct{ t pathTemplate }

// ParsePattern reads a pattern.
func ParsePattern(path string) (Pattern, error) {
	t, err := newPathTemplate(path)
	return Pattern{t}, err
}

// Matches says whether a path falls under the pattern.
func (p *Pattern) Matches(path []byte) bool { return p.t.matches(path) }

type pathTemplate struct {
	segments []segment
	rest     bool
	literal  int // segments without braces
}

type segment struct {
	prefix, suffix string
	variable       bool
}

func newPathTemplate(path string) (pathTemplate, error) {
	var t pathTemplate
	if path == "" || path[0] != '/' {
		return t, fmt.Errorf("path is %q, expected one that begins with a slash", path)
	}
	for _, s := range strings.Split(path[1:], "/") {
		open, end := strings.IndexByte(s, '{'), strings.LastIndexByte(s, '}')
		switch {
		case t.rest:
			return t, fmt.Errorf("path is %q, expected * as its last segment alone", path)
		case s == "*":
			t.rest = true
		case open >= 0 && end > open:
			t.segments = append(t.segments, segment{s[:open], s[end+1:], true})
		default:
			t.segments = append(t.segments, segment{prefix: s})
			t.literal++
		}
	}
	return t, nil
}

func (t *pathTemplate) matches(path []byte) bool {
	for i := range t.segments {
		seg, left, more := nextSegment(path)
		if !more || !t.segments[i].takes(seg) {
			return false
		}
		path = left
	}
	return t.rest || len(path) == 0
}

func (s *segment) takes(seg []byte) bool {
	if !s.variable {
		return string(seg) == s.prefix
	}
	n := len(s.prefix) + len(s.suffix)
	return len(seg) > n && string(seg[:len(s.prefix)]) == s.prefix && string(seg[len(seg)-len(s.suffix):]) == s.suffix
}

type reader struct {
	name string
	root *yaml.Node
	warn func(string)
	ops  *Operations
}

var operationMethods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace", "query"}

func (r *reader) read() error {
	bases := r.bases()
	paths := field(r.root, "paths")
	for i := 0; i+1 < len(paths.Content); i += 2 {
		path := paths.Content[i].Value
		if !strings.HasPrefix(path, "/") {
			continue // an extension
		}
		item := r.follow(paths.Content[i+1], "path item "+path)
		if item == nil {
			continue
		}
		for _, m := range operationMethods {
			node := field(item, m)
			if node == nil || node.Kind != yaml.MappingNode {
				continue
			}
			for _, base := range bases {
				op, err := r.operation(strings.ToUpper(m), base+path, node, item)
				if err != nil {
					return fmt.Errorf("%s:%d:%d: %w", r.name, node.Line, node.Column, err)
				}
				r.ops.add(op)
			}
		}
	}
	return nil
}

// bases are the paths of the server URLs; their variables are taken as they
// stand.
func (r *reader) bases() (out []string) {
	if base := text(field(r.root, "basePath")); base != "" {
		return []string{strings.TrimSuffix(base, "/")}
	}
	seen := map[string]bool{}
	if servers := field(r.root, "servers"); servers != nil {
		for _, s := range servers.Content {
			url := text(field(s, "url"))
			if _, rest, ok := strings.Cut(url, "://"); ok {
				slash := strings.IndexByte(rest, '/')
				if slash < 0 {
					url = ""
				} else {
					url = rest[slash:]
				}
			}
			if url = strings.TrimSuffix(url, "/"); url != "" && url[0] != '/' {
				url = "/" + url
			}
			if !seen[url] {
				seen[url] = true
				out = append(out, url)
			}
		}
	}
	if len(out) == 0 {
		out = []string{""}
	}
	return out
}

func (r *reader) operation(method, path string, node, item *yaml.Node) (*Operation, error) {
	t, err := newPathTemplate(path)
	if err != nil {
		return nil, err
	}
	op := &Operation{Method: method, Path: path, ID: text(field(node, "operationId")), Deprecated: text(field(node, "deprecated")) == "true", template: t}
	security := field(node, "security")
	if security == nil {
		security = field(r.root, "security")
	}
	if op.Public, op.Scopes, err = requirements(security); err != nil {
		return nil, err
	}
	for _, list := range []*yaml.Node{field(item, "parameters"), field(node, "parameters")} {
		if list == nil {
			continue
		}
		for _, p := range list.Content {
			if p = r.follow(p, "a parameter"); p == nil {
				continue
			}
			in, name := text(field(p, "in")), text(field(p, "name"))
			if in == "body" { // Swagger 2.0
				r.properties(op, field(p, "schema"), 0)
				continue
			}
			if in == "formData" {
				in = "body"
			}
			op.param(Parameter{name, in, text(field(p, "required")) == "true"})
		}
	}
	if body := r.follow(field(node, "requestBody"), "a body"); body != nil {
		if content := field(body, "content"); content != nil {
			for i := 1; i < len(content.Content); i += 2 {
				r.properties(op, field(content.Content[i], "schema"), 0)
			}
		}
	}
	return op, nil
}

// param adds a parameter; the operation's own goes before the path's.
func (op *Operation) param(p Parameter) {
	if p.In == "header" {
		p.Name = strings.ToLower(p.Name)
	}
	for i := range op.Params {
		if op.Params[i].Name == p.Name && op.Params[i].In == p.In {
			op.Params[i] = p
			return
		}
	}
	op.Params = append(op.Params, p)
}

// properties adds the members of a body's outermost object.
func (r *reader) properties(op *Operation, schema *yaml.Node, depth int) {
	if schema = r.follow(schema, "a schema"); schema == nil || depth > 8 {
		return
	}
	required := map[string]bool{}
	if list := field(schema, "required"); list != nil {
		for _, n := range list.Content {
			required[n.Value] = true
		}
	}
	if props := field(schema, "properties"); props != nil {
		for i := 0; i+1 < len(props.Content); i += 2 {
			name := props.Content[i].Value
			op.param(Parameter{name, "body", required[name]})
		}
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		if list := field(schema, key); list != nil {
			for _, s := range list.Content {
				r.properties(op, s, depth+1)
			}
		}
	}
}

func requirements(n *yaml.Node) (public bool, sets [][]string, err error) {
	if n == nil || len(n.Content) == 0 {
		return true, nil, nil
	}
	if n.Kind != yaml.SequenceNode {
		return false, nil, errors.New("security is no list")
	}
	for _, set := range n.Content {
		var schemes map[string][]string
		if err := set.Decode(&schemes); err != nil {
			return false, nil, fmt.Errorf("security: %w", err)
		}
		var scopes []string
		for _, s := range schemes {
			scopes = append(scopes, s...)
		}
		public = public || len(schemes) == 0
		sets = append(sets, scopes)
	}
	return public, sets, nil
}

// follow resolves a local reference, through at most eight others.
func (r *reader) follow(n *yaml.Node, what string) *yaml.Node {
	for range 8 {
		if n == nil {
			return nil
		}
		if n.Kind == yaml.AliasNode {
			n = n.Alias
			continue
		}
		ref := text(field(n, "$ref"))
		if ref == "" {
			return n
		}
		if !strings.HasPrefix(ref, "#/") {
			if r.warn != nil {
				r.warn(fmt.Sprintf("%s:%d: %s is in another file (%s) and is not read", r.name, n.Line, what, ref))
			}
			return nil
		}
		n = r.root
		for _, token := range strings.Split(ref[2:], "/") {
			n = field(n, strings.NewReplacer("~1", "/", "~0", "~", "%7B", "{", "%7D", "}").Replace(token))
		}
	}
	return nil
}

func field(n *yaml.Node, name string) *yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}
