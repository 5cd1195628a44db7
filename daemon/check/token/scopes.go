package token

import (
	"errors"
	"strings"

	"github.com/sallyport/sallyport/daemon/endpoint"
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
		if op := c.ops.Find(r.Method, path); op != nil {
			if op.Public {
				return need{}
			}
			return need{required: true, always: c.s.Scopes, alternatives: op.Scopes, why: "required by the document's security of " + op.Path}
		}
	}
	return need{required: c.s.Required, always: c.s.Scopes, why: "required by the settings"}
}

type scopeRule struct {
	pattern endpoint.Pattern
	methods []string
	scopes  []string
	public  bool
	text    string
}

func newScopeRule(s RuleSettings) (scopeRule, error) {
	p, err := endpoint.ParsePattern(s.Path)
	if err == nil && s.Public && len(s.Scopes) > 0 {
		err = errors.New("public and scopes exclude each other")
	}
	return scopeRule{p, s.Methods, s.Scopes, s.Public, s.Path}, err
}

func (r *scopeRule) matches(method string, path []byte) bool {
	return (len(r.methods) == 0 || contains(r.methods, method)) && r.pattern.Matches(path)
}
