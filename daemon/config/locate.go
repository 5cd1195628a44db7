package config

import (
	"strconv"
	"strings"
)

// position is a place in a file, counted from 1.
type position struct{ line, column int }

// locations maps dotted key paths of a TOML text to where they stand: tables
// as "check.limit", entries of arrays of tables with their number,
// "site.0.route.1.path". The TOML library tells positions of syntax errors
// alone, and a person needs one for a wrong value too. The text has been read
// without error before, so this only has to find keys, not to judge them.
func locations(text string) map[string]position {
	l := locator{at: map[string]position{}, counts: map[string]int{}}
	text = strings.TrimPrefix(text, "\ufeff")
	for n, line := range strings.Split(text, "\n") {
		l.line(line, n+1)
	}
	return l.at
}

type locator struct {
	at     map[string]position
	counts map[string]int // entries of each array of tables so far
	prefix string
	open   string // what ends the value under way: `"""`, `'''` or "]"
	depth  int
}

func (l *locator) line(line string, number int) {
	if l.open != "" {
		l.continueValue(line)
		return
	}
	trimmed := strings.TrimLeft(line, " \t")
	column := len(line) - len(trimmed) + 1
	switch {
	case trimmed == "" || trimmed[0] == '#':
	case strings.HasPrefix(trimmed, "[["):
		key := l.resolve(splitKey(trimmed[2:], ']'))
		n := l.counts[key]
		l.counts[key] = n + 1
		l.prefix = key + "." + strconv.Itoa(n)
		l.at[l.prefix] = position{number, column}
		if n == 0 {
			l.at[key] = position{number, column}
		}
	case trimmed[0] == '[':
		l.prefix = l.resolve(splitKey(trimmed[1:], ']'))
		if _, known := l.at[l.prefix]; !known {
			l.at[l.prefix] = position{number, column}
		}
	default:
		parts := splitKey(trimmed, '=')
		path := l.prefix
		for _, p := range parts {
			path = join(path, p)
			if _, known := l.at[path]; !known {
				l.at[path] = position{number, column}
			}
		}
		_, value, _ := strings.Cut(trimmed, "=")
		l.startValue(strings.TrimSpace(value))
	}
}

// resolve puts the number of the current entry behind each array of tables
// that a header goes through.
func (l *locator) resolve(parts []string) string {
	path := ""
	for i, p := range parts {
		path = join(path, p)
		if n := l.counts[path]; n > 0 && i < len(parts)-1 {
			path += "." + strconv.Itoa(n-1)
		}
	}
	return path
}

func (l *locator) startValue(v string) {
	for _, quote := range []string{`"""`, `'''`} {
		if strings.HasPrefix(v, quote) {
			if !strings.Contains(v[3:], quote) {
				l.open = quote
			}
			return
		}
	}
	if strings.HasPrefix(v, "[") {
		l.open, l.depth = "]", 0
		l.continueValue(v)
	}
}

func (l *locator) continueValue(line string) {
	if l.open != "]" {
		if strings.Contains(line, l.open) {
			l.open = ""
		}
		return
	}
	quote := byte(0)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote != 0:
			if c == '\\' && quote == '"' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '#':
			return
		case c == '[':
			l.depth++
		case c == ']':
			if l.depth--; l.depth == 0 {
				l.open = ""
				return
			}
		}
	}
}

// splitKey splits a dotted, possibly quoted key that ends before stop.
func splitKey(s string, stop byte) []string {
	var parts []string
	var cur strings.Builder
	quote := byte(0)
	flush := func() {
		parts = append(parts, strings.TrimSpace(cur.String()))
		cur.Reset()
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			} else {
				cur.WriteByte(c)
			}
		case c == '"' || c == '\'':
			quote = c
		case c == stop:
			flush()
			return parts
		case c == '.':
			flush()
		default:
			cur.WriteByte(c)
		}
	}
	flush()
	return parts
}

func join(path, part string) string {
	if path == "" {
		return part
	}
	return path + "." + part
}
