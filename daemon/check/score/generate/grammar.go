// Package generate makes labelled requests to train and test the attack model
// with, from grammars in text files: benign API traffic of the kinds that are
// mistaken for attacks, attacks of every class, and mutations of attacks.
// The same seed makes the same requests.
//
// A grammar file holds rules: a line "[name]", then one alternative a line.
// In an alternative, ‹name› is replaced by a random alternative of that rule
// and ‹verb:name› by what the verb makes of it (see verbs). A line that begins
// with "##" is a comment.
package generate

import (
	"bufio"
	"embed"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

//go:embed grammar/*.txt
var files embed.FS

// Bounds of one expansion: deeper calls give nothing, longer texts are cut.
const (
	maxDepth = 24
	maxText  = 16 << 10
)

// Grammar is a set of rules.
type Grammar struct {
	rules map[string][][]part
	names []string // of roots, in order of appearance
}

// part is literal text, or a verb (possibly none) on a rule.
type part struct{ text, verb, rule string }

// load reads all grammar files.
func load() (*Grammar, error) {
	g := &Grammar{rules: map[string][][]part{}}
	entries, err := files.ReadDir("grammar")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		text, err := files.ReadFile("grammar/" + e.Name())
		if err != nil {
			return nil, err
		}
		if err := g.read(e.Name(), string(text)); err != nil {
			return nil, err
		}
	}
	return g, g.check()
}

func (g *Grammar) read(file, text string) error {
	rule := ""
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch {
		case line == "" || strings.HasPrefix(line, "##"):
		case strings.HasPrefix(line, "[[") && strings.HasSuffix(line, "]]"):
			rule = line[2 : len(line)-2]
			if g.rules[rule] == nil {
				g.names = append(g.names, rule)
			}
		case rule == "":
			return fmt.Errorf("%s:%d: an alternative before the first [[rule]]", file, n)
		default:
			parts, err := parse(line)
			if err != nil {
				return fmt.Errorf("%s:%d: %w", file, n, err)
			}
			g.rules[rule] = append(g.rules[rule], parts)
		}
	}
	return lines.Err()
}

func parse(line string) ([]part, error) {
	var out []part
	for line != "" {
		i := strings.Index(line, "‹")
		if i < 0 {
			return append(out, part{text: line}), nil
		}
		if i > 0 {
			out = append(out, part{text: line[:i]})
		}
		line = line[i+len("‹"):]
		name, rest, ok := strings.Cut(line, "›")
		if !ok {
			return nil, fmt.Errorf("‹ without ›")
		}
		verb, rule, ok := strings.Cut(name, ":")
		if !ok {
			verb, rule = "", name
		}
		out = append(out, part{verb: verb, rule: rule})
		line = rest
	}
	return out, nil
}

// check reports names that nothing defines.
func (g *Grammar) check() error {
	var bad []string
	for rule, alternatives := range g.rules {
		for _, a := range alternatives {
			for _, p := range a {
				if p.rule == "" {
					continue
				}
				if _, ok := g.rules[p.rule]; !ok && makers[p.rule] == nil {
					bad = append(bad, fmt.Sprintf("[[%s]] names ‹%s›, which nothing defines", rule, p.rule))
				}
				if p.verb != "" && verbs[p.verb] == nil {
					bad = append(bad, fmt.Sprintf("[[%s]] uses the verb %q, which nothing defines", rule, p.verb))
				}
			}
		}
	}
	slices.Sort(bad)
	if len(bad) > 0 {
		return fmt.Errorf("grammar: %s", strings.Join(bad, "; "))
	}
	return nil
}

// writer expands rules with one source of chance.
type writer struct {
	g *Grammar
	r *rand.Rand
}

func (w *writer) expand(rule string, depth int) string {
	if depth > maxDepth {
		return ""
	}
	alternatives, ok := w.g.rules[rule]
	if !ok {
		if m := makers[rule]; m != nil {
			return m(w)
		}
		return ""
	}
	var b strings.Builder
	for _, p := range alternatives[w.r.IntN(len(alternatives))] {
		switch {
		case p.rule == "":
			b.WriteString(p.text)
		case p.verb != "":
			b.WriteString(verbs[p.verb](w, p.rule, depth+1))
		default:
			b.WriteString(w.expand(p.rule, depth+1))
		}
		if b.Len() > maxText {
			break
		}
	}
	return b.String()
}
