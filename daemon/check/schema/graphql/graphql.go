// Package graphql bounds what a GraphQL query may ask for, without knowing the
// schema it is asked of: depth, aliases, directives, fields, queries in one
// call, how many things a page may hold, what all of it may cost, and whether
// the schema may be asked for.
//
// A query is parsed by vektah/gqlparser, at most MaxTokens of it. Fragments are
// measured once each, so that fragments within fragments cost no more than
// their text.
package graphql

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// Settings bound a query; a bound of 0 is none.
type Settings struct {
	// Paths are those that GraphQL is served under; none: no query is looked at.
	Paths []string
	// MaxDepth is how many fields may stand within each other. Fields of the
	// schema itself (introspection) are not counted.
	MaxDepth int
	// MaxAliases, MaxDirectives and MaxFields count over the whole query, a
	// fragment as often as it is used.
	MaxAliases    int
	MaxDirectives int
	MaxFields     int
	// MaxBatch is how many queries one call may hold.
	MaxBatch int
	// MaxTokens bounds the parser.
	MaxTokens int
	// MaxCost bounds the cost: 1 for a field, and what a field holds as often
	// as its page arguments ask for.
	MaxCost int
	// PageArguments ask for so many things; MaxPage is the most of each.
	PageArguments []string
	MaxPage       int
	// Introspection allows __schema and __type.
	Introspection bool
}

// Limits are ready to judge queries, from many goroutines.
type Limits struct {
	s    Settings
	page map[string]bool
}

// New checks the settings; nil means that nothing is to be judged.
func New(s Settings) (*Limits, error) {
	for _, n := range []int{s.MaxDepth, s.MaxAliases, s.MaxDirectives, s.MaxFields, s.MaxBatch, s.MaxTokens, s.MaxCost, s.MaxPage} {
		if n < 0 {
			return nil, errors.New("a bound is below 0; 0 is none")
		}
	}
	if len(s.Paths) == 0 {
		return nil, nil
	}
	l := &Limits{s: s, page: map[string]bool{}}
	for _, a := range s.PageArguments {
		l.page[a] = true
	}
	return l, nil
}

// Serves says that GraphQL is served under the path.
func (l *Limits) Serves(path []byte) bool {
	for _, p := range l.s.Paths {
		if p == string(path) {
			return true
		}
	}
	return false
}

// Violation is one bound that a query does not keep.
type Violation struct{ ID, Want, Got string }

// Batch judges how many queries a call holds.
func (l *Limits) Batch(n int) *Violation {
	if l.s.MaxBatch > 0 && n > l.s.MaxBatch {
		return &Violation{"graphql_batch", fmt.Sprintf("at most %d queries in one call", l.s.MaxBatch), strconv.Itoa(n)}
	}
	return nil
}

// measure is what a selection asks for.
type measure struct {
	depth, aliases, directives, fields int
	cost                               float64
	introspects                        bool
}

func (m *measure) add(o measure) {
	m.depth = max(m.depth, o.depth)
	m.aliases = saturate(m.aliases, o.aliases)
	m.directives = saturate(m.directives, o.directives)
	m.fields = saturate(m.fields, o.fields)
	m.cost = math.Min(m.cost+o.cost, 1e18)
	m.introspects = m.introspects || o.introspects
}

func saturate(a, b int) int { return min(a+b, math.MaxInt32) }

type walker struct {
	l         *Limits
	doc       *ast.QueryDocument
	variables func(name string) (number float64, ok bool)
	done      map[string]measure
	within    map[string]bool
	cycle     string
	page      float64
	pageArg   string
	defaults  map[string]string
}

// Judge judges one query. variables gives the numbers that the call passes
// beside it; it may be nil.
func (l *Limits) Judge(query string, variables func(string) (float64, bool)) []Violation {
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: query}, l.s.MaxTokens)
	if err != nil {
		id := "graphql_malformed"
		if strings.Contains(err.Error(), "limit") {
			id = "graphql_too_large"
		}
		return []Violation{{id, "a GraphQL query", clip(err.Error())}}
	}
	w := &walker{l: l, doc: doc, variables: variables, done: map[string]measure{}, within: map[string]bool{}, defaults: map[string]string{}}
	var worst measure
	for _, op := range doc.Operations {
		for _, v := range op.VariableDefinitions {
			if v.DefaultValue != nil {
				w.defaults[v.Variable] = v.DefaultValue.Raw
			}
		}
		m := w.set(op.SelectionSet)
		m.directives = saturate(m.directives, len(op.Directives))
		worst.add(m)
	}
	return w.violations(worst)
}

func (w *walker) violations(m measure) (out []Violation) {
	s := &w.l.s
	over := func(id string, got, most int, what string) {
		if most > 0 && got > most {
			out = append(out, Violation{id, fmt.Sprintf("at most %d %s", most, what), strconv.Itoa(got)})
		}
	}
	if w.cycle != "" {
		out = append(out, Violation{"graphql_malformed", "fragments that do not hold themselves", clip(w.cycle)})
	}
	over("graphql_depth", m.depth, s.MaxDepth, "fields within each other")
	over("graphql_aliases", m.aliases, s.MaxAliases, "aliases")
	over("graphql_directives", m.directives, s.MaxDirectives, "directives")
	over("graphql_fields", m.fields, s.MaxFields, "fields")
	if s.MaxCost > 0 && m.cost > float64(s.MaxCost) {
		out = append(out, Violation{"graphql_cost", fmt.Sprintf("a cost of at most %d", s.MaxCost), strconv.FormatFloat(m.cost, 'g', 6, 64)})
	}
	if s.MaxPage > 0 && w.page > float64(s.MaxPage) {
		out = append(out, Violation{"graphql_page", fmt.Sprintf("at most %d for %s", s.MaxPage, clip(w.pageArg)), strconv.FormatFloat(w.page, 'f', -1, 64)})
	}
	if m.introspects && !s.Introspection {
		out = append(out, Violation{"graphql_introspection", "no question about the schema", "__schema or __type"})
	}
	return out
}

func (w *walker) set(set ast.SelectionSet) (total measure) {
	for _, sel := range set {
		switch s := sel.(type) {
		case *ast.Field:
			total.add(w.field(s))
		case *ast.InlineFragment:
			m := w.set(s.SelectionSet)
			m.directives = saturate(m.directives, len(s.Directives))
			total.add(m)
		case *ast.FragmentSpread:
			m := w.fragment(s.Name)
			m.directives = saturate(m.directives, len(s.Directives))
			total.add(m)
		}
	}
	return total
}

func (w *walker) field(f *ast.Field) measure {
	m := w.set(f.SelectionSet)
	if f.Name == "__schema" || f.Name == "__type" {
		return measure{fields: m.fields + 1, aliases: m.aliases, directives: m.directives, cost: 1, introspects: true}
	}
	m.depth++
	if f.Alias != "" && f.Alias != f.Name {
		m.aliases = saturate(m.aliases, 1)
	}
	m.directives = saturate(m.directives, len(f.Directives))
	m.fields = saturate(m.fields, 1)
	times := 1.0
	for _, a := range f.Arguments {
		if !w.l.page[a.Name] {
			continue
		}
		if n, ok := w.number(a.Value); ok {
			times = math.Max(times, n)
			if n > w.page {
				w.page, w.pageArg = n, a.Name
			}
		}
	}
	m.cost = math.Min(1+m.cost*times, 1e18)
	return m
}

func (w *walker) number(v *ast.Value) (float64, bool) {
	if v == nil {
		return 0, false
	}
	switch v.Kind {
	case ast.IntValue, ast.FloatValue:
		n, err := strconv.ParseFloat(v.Raw, 64)
		return n, err == nil
	case ast.Variable:
		if w.variables != nil {
			if n, ok := w.variables(v.Raw); ok {
				return n, true
			}
		}
		n, err := strconv.ParseFloat(w.defaults[v.Raw], 64)
		return n, err == nil
	}
	return 0, false
}

func (w *walker) fragment(name string) measure {
	if m, ok := w.done[name]; ok {
		return m
	}
	if w.within[name] {
		w.cycle = name
		return measure{}
	}
	def := w.doc.Fragments.ForName(name)
	if def == nil {
		return measure{}
	}
	w.within[name] = true
	m := w.set(def.SelectionSet)
	m.directives = saturate(m.directives, len(def.Directives))
	w.within[name] = false
	w.done[name] = m
	return m
}

func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "..."
	}
	return s
}
