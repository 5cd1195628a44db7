package generate

import (
	"fmt"
	"strings"
)

// Mutate changes how an attack is written, not what it does: encodings,
// comments, case, white space, concatenation and look-alike characters, by
// the class's interpreter.
func (m *Maker) Mutate(text, class string) string { return m.mutate(text, class) }

type mutation func(w *writer, text string) string

var anyMutations = []mutation{
	func(_ *writer, s string) string { return escapeAll(s) },
	func(_ *writer, s string) string { return escapeAll(escapeAll(s)) },
	func(w *writer, s string) string { return w.escapeSome(s) },
	func(w *writer, s string) string { return w.pad(s) },
	func(w *writer, s string) string { return w.fullWidth(s) },
}

var classMutations = map[string][]mutation{
	"sqli": {
		func(w *writer, s string) string { return w.blanks(s, sqlBlanks) },
		func(w *writer, s string) string { return w.blanks(s, sqlBlanks) },
		func(w *writer, s string) string { return w.randomCase(s) },
		func(w *writer, s string) string { return w.versionComment(s) },
		func(w *writer, s string) string { return strings.ToUpper(s) },
	},
	"xss": {
		func(w *writer, s string) string { return w.randomCase(s) },
		func(w *writer, s string) string { return w.tagBlanks(s) },
		func(w *writer, s string) string { return w.entities(s) },
		func(w *writer, s string) string { return w.scriptEscapes(s) },
		func(_ *writer, s string) string { return jsonInner(s) },
	},
	"cmdi": {
		func(w *writer, s string) string { return w.blanks(s, shellBlanks) },
		func(w *writer, s string) string { return w.shellQuotes(s) },
		func(w *writer, s string) string { return w.shellQuotes(s) },
	},
	"path": {
		func(w *writer, s string) string { return strings.ReplaceAll(s, "/", `\`) },
		func(w *writer, s string) string { return strings.ReplaceAll(s, "../", "..//") },
		func(w *writer, s string) string { return strings.ReplaceAll(s, "/", "%2f") },
		func(w *writer, s string) string { return strings.ReplaceAll(s, ".", "%2e") },
		func(w *writer, s string) string { return strings.ReplaceAll(s, "../", "....//") },
		func(w *writer, s string) string { return strings.ReplaceAll(s, "/", "/./") },
	},
	"lookup": {
		func(w *writer, s string) string { return w.lookups(s) },
		func(w *writer, s string) string { return w.lookups(s) },
	},
	"ssti": {func(w *writer, s string) string { return w.blanks(s, []string{" ", "  ", "\t", "\n"}) }},
}

var (
	sqlBlanks   = []string{"/**/", "\t", "\n", "+", "%20", "/*x*/", "  ", "%0a", "\v", "\r\n", "/*!*/", "%a0", "--%0a"}
	shellBlanks = []string{"${IFS}", "$IFS", "\t", "  ", "$IFS$9", "+", "%20", "%09"}
)

func (m *Maker) mutate(text, class string) string {
	w := m.w
	own := classMutations[class]
	for n := 1 + w.r.IntN(2); n > 0; n-- {
		list := anyMutations
		if len(own) > 0 && w.r.IntN(3) > 0 {
			list = own
		}
		text = list[w.r.IntN(len(list))](w, text)
	}
	return text
}

// each replaces each rune that pick accepts, with odds of one in odds.
func (w *writer) each(s string, odds int, change func(r rune) string) string {
	var b strings.Builder
	for _, r := range s {
		if w.r.IntN(odds) == 0 {
			b.WriteString(change(r))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func (w *writer) escapeSome(s string) string {
	return w.each(s, 3, func(r rune) string {
		if r < 0x80 {
			return fmt.Sprintf("%%%02x", r)
		}
		return string(r)
	})
}

func (w *writer) pad(s string) string {
	word := w.pronounceable()
	switch w.r.IntN(5) {
	case 0:
		return word + s
	case 1:
		return word + " " + s
	case 2:
		return s + " " + word
	case 3:
		return w.expand("int", 0) + s
	}
	return word + " " + w.pronounceable() + " " + s + " " + w.pronounceable()
}

func (w *writer) fullWidth(s string) string {
	return w.each(s, 4, func(r rune) string {
		if strings.ContainsRune(`<>'"()/\.;`, r) {
			return string(r + 0xfee0)
		}
		return string(r)
	})
}

func (w *writer) blanks(s string, with []string) string {
	one := with[w.r.IntN(len(with))]
	mixed := w.r.IntN(2) == 0
	return w.each(s, 1, func(r rune) string {
		if r != ' ' {
			return string(r)
		}
		if mixed {
			return with[w.r.IntN(len(with))]
		}
		return one
	})
}

func (w *writer) versionComment(s string) string {
	words := strings.Split(s, " ")
	for i, word := range words {
		if len(word) > 2 && strings.Trim(strings.ToLower(word), "abcdefghijklmnopqrstuvwxyz") == "" && w.r.IntN(2) == 0 {
			words[i] = "/*!" + []string{"", "50000", "12345"}[w.r.IntN(3)] + word + "*/"
		}
	}
	return strings.Join(words, " ")
}

func (w *writer) tagBlanks(s string) string {
	return w.blanks(s, []string{"/", "\t", "\n", "\r", "\f", "  ", "%09", "%0a", "/x/"})
}

func (w *writer) entities(s string) string {
	return w.each(s, 4, func(r rune) string {
		switch {
		case r == '<' || r == '>':
			return string(r)
		case w.r.IntN(2) == 0:
			return fmt.Sprintf("&#%d;", r)
		}
		return fmt.Sprintf("&#x%x;", r)
	})
}

func (w *writer) scriptEscapes(s string) string {
	return w.each(s, 4, func(r rune) string {
		if r < 0x80 && w.r.IntN(2) == 0 {
			return fmt.Sprintf(`\x%02x`, r)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})
}

func (w *writer) shellQuotes(s string) string {
	quote := []string{"''", `""`, `\`, "$@", "^"}[w.r.IntN(5)]
	last := rune(0)
	var b strings.Builder
	for _, r := range s {
		letter := r >= 'a' && r <= 'z'
		if letter && last >= 'a' && last <= 'z' && w.r.IntN(4) == 0 {
			b.WriteString(quote)
		}
		b.WriteRune(r)
		last = r
	}
	return b.String()
}

func (w *writer) lookups(s string) string {
	return w.each(s, 5, func(r rune) string {
		if r < 'a' || r > 'z' {
			return string(r)
		}
		switch w.r.IntN(4) {
		case 0:
			return "${lower:" + string(r) + "}"
		case 1:
			return "${::-" + string(r) + "}"
		case 2:
			return "${upper:" + string(r) + "}"
		}
		return "${env:" + strings.ToUpper(w.pronounceable()) + ":-" + string(r) + "}"
	})
}
