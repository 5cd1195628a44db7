package token

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/daemon/request"
)

type scopeSet []string

func (s scopeSet) has(scope string) bool { return contains(s, scope) }

// lookup finds a claim; a dot goes into an object unless a claim has the
// whole name.
func lookup(all map[string]any, name string) any {
	if v, ok := all[name]; ok {
		return v
	}
	first, rest, ok := strings.Cut(name, ".")
	if !ok {
		return nil
	}
	inner, ok := all[first].(map[string]any)
	if !ok {
		return nil
	}
	return lookup(inner, rest)
}

func appendScopes(out scopeSet, v any) scopeSet {
	switch v := v.(type) {
	case string:
		return append(out, strings.Fields(v)...)
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

// need is what a request must bring.
type need struct {
	required     bool
	always       []string   // scopes of the settings
	alternatives [][]string // one of these sets of scopes
	why          string
}

// lacking names a scope that is missing, unless one alternative is complete.
func (n *need) lacking(have scopeSet) (string, bool) {
	for _, s := range n.always {
		if !have.has(s) {
			return s, false
		}
	}
	first := ""
	for _, set := range n.alternatives {
		missing := ""
		for _, s := range set {
			if !have.has(s) {
				missing = s
				break
			}
		}
		if missing == "" {
			return "", true
		}
		if first == "" {
			first = missing
		}
	}
	return first, first == ""
}

// needs finds what a request must bring: by the first rule that matches, else
// by the documents, else by the settings for all.
func (c *Check) needs(r *request.Request) need {
	if len(c.rules) == 0 && c.ops == nil {
		return need{required: c.s.Required, always: c.s.Scopes, why: "required by the settings"}
	}
	path := r.Path()
	for i := range c.rules {
		rule := &c.rules[i]
		if !rule.matches(r.Method, path) {
			continue
		}
		if rule.public {
			return need{why: "public by rule " + rule.text}
		}
		return need{required: true, always: c.s.Scopes, alternatives: [][]string{rule.scopes}, why: "required by rule " + rule.text}
	}
	if c.ops != nil {
		if op := c.ops.find(r.Method, path); op != nil {
			if op.public {
				return need{why: "public by " + op.text}
			}
			return need{required: true, always: c.s.Scopes, alternatives: op.alternatives, why: "required by " + op.text}
		}
	}
	return need{required: c.s.Required, always: c.s.Scopes, why: "required by the settings"}
}

// template is a path template: segments, where {x} takes one segment and a
// last * any rest.
type template struct {
	segments []string // "" takes any one segment
	rest     bool
	literal  int // segments without braces, for precedence
}

func newTemplate(path string) (template, error) {
	var t template
	if path == "" || path[0] != '/' {
		return t, fmt.Errorf("path is %q, expected one that begins with a slash", path)
	}
	for _, s := range strings.Split(path[1:], "/") {
		switch {
		case t.rest:
			return t, fmt.Errorf("path is %q, expected * as its last segment alone", path)
		case s == "*":
			t.rest = true
		case strings.Contains(s, "{"):
			t.segments = append(t.segments, "")
		default:
			t.segments = append(t.segments, s)
			t.literal++
		}
	}
	return t, nil
}

func (t *template) matches(path []byte) bool {
	if len(path) > 0 && path[0] == '/' {
		path = path[1:]
	}
	for i, want := range t.segments {
		seg, rest, more := bytes.Cut(path, []byte("/"))
		if want == "" && len(seg) == 0 || want != "" && string(seg) != want {
			return want == "" && len(t.segments) == 1 && len(path) == 0
		}
		path = rest
		if !more {
			return i == len(t.segments)-1
		}
	}
	return t.rest
}

type scopeRule struct {
	template
	methods []string
	scopes  []string
	public  bool
	text    string
}

func newScopeRule(s RuleSettings) (scopeRule, error) {
	t, err := newTemplate(s.Path)
	if err == nil && s.Public && len(s.Scopes) > 0 {
		err = errors.New("public and scopes exclude each other")
	}
	return scopeRule{template: t, methods: s.Methods, scopes: s.Scopes, public: s.Public, text: s.Path}, err
}

func (r *scopeRule) matches(method string, path []byte) bool {
	return (len(r.methods) == 0 || contains(r.methods, method)) && r.template.matches(path)
}

// operations are the security requirements of OpenAPI documents.
type operations struct{ list []operation }

type operation struct {
	scopeRule
	alternatives [][]string
}

// find takes the most literal template that matches (OpenAPI 3.1, "Path
// Templating Matching").
func (o *operations) find(method string, path []byte) (best *operation) {
	for i := range o.list {
		op := &o.list[i]
		if (best == nil || op.literal > best.literal) && op.scopeRule.matches(method, path) {
			best = op
		}
	}
	return best
}

// secured is the part of an OpenAPI 3 or Swagger 2.0 document that is read.
type secured struct {
	Servers []struct {
		URL string `yaml:"url"`
	} `yaml:"servers"`
	BasePath string                `yaml:"basePath"`
	Security []map[string][]string `yaml:"security"`
	Paths    map[string]yaml.Node  `yaml:"paths"`
}

var methods = map[string]string{"get": "GET", "put": "PUT", "post": "POST", "delete": "DELETE", "options": "OPTIONS", "head": "HEAD", "patch": "PATCH", "trace": "TRACE", "query": "QUERY"}

func (o *operations) add(name string, text []byte, warn func(string)) error {
	var doc secured
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	bases := []string{strings.TrimSuffix(doc.BasePath, "/")}
	for i, s := range doc.Servers {
		if i == 0 {
			bases = nil
		}
		bases = append(bases, basePath(s.URL))
	}
	for path, node := range doc.Paths {
		if !strings.HasPrefix(path, "/") {
			continue // an extension
		}
		var item map[string]yaml.Node
		if err := node.Decode(&item); err != nil {
			return fmt.Errorf("%s:%d:%d: path %s: %w", name, node.Line, node.Column, path, err)
		}
		if _, ref := item["$ref"]; ref && warn != nil {
			warn(fmt.Sprintf("%s: the path %s is a reference; its security requirements are not read", name, path))
		}
		for key, node := range item {
			method := methods[key]
			if method == "" {
				continue
			}
			var op struct {
				Security *[]map[string][]string `yaml:"security"`
			}
			if err := node.Decode(&op); err != nil {
				return fmt.Errorf("%s:%d:%d: security of %s %s: %w", name, node.Line, node.Column, method, path, err)
			}
			security := doc.Security
			if op.Security != nil {
				security = *op.Security
			}
			for _, base := range bases {
				if err := o.addOperation(name, method, base+path, security); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	}
	return nil
}

func (o *operations) addOperation(name, method, path string, security []map[string][]string) error {
	t, err := newTemplate(path)
	if err != nil {
		return err
	}
	op := operation{scopeRule: scopeRule{template: t, methods: []string{method}, public: len(security) == 0, text: name + ", " + method + " " + path}}
	if method == "GET" {
		op.methods = append(op.methods, "HEAD")
	}
	for _, set := range security {
		if len(set) == 0 {
			op.public = true
		}
		var scopes []string
		for _, s := range set {
			scopes = append(scopes, s...)
		}
		op.alternatives = append(op.alternatives, scopes)
	}
	o.list = append(o.list, op)
	return nil
}

// basePath is the path of a server URL; variables are taken as they stand.
func basePath(url string) string {
	if _, rest, ok := strings.Cut(url, "://"); ok {
		slash := strings.IndexByte(rest, '/')
		if slash < 0 {
			return ""
		}
		url = rest[slash:]
	}
	return strings.TrimSuffix(url, "/")
}
