package pattern

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// What ECMA-262 calls white space and line terminators (22.2.2.9, \s), in the
// syntax of a class.
const (
	spaces    = `\t\n\x0b\f\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}`
	notSpaces = `\x{0}-\x08\x0e-\x1f!-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}`
)

// translator rewrites an expression for Go's regexp. What that cannot do sets
// backtracks. Loose syntax that ECMA-262 allows without the flag u (a brace
// that opens no quantifier, an escape that stands for itself) is allowed.
type translator struct {
	in         []rune
	at         int
	out        strings.Builder
	backtracks bool
	depth      int
	items      []item // of a plain sequence, see sequence
	plain      bool   // items say all
}

func (t *translator) run() (string, error) {
	t.plain = true
	if err := t.alternatives(); err != nil {
		return "", err
	}
	if t.at < len(t.in) {
		return "", errors.New("unmatched closing parenthesis")
	}
	return t.out.String(), nil
}

func (t *translator) more() bool { return t.at < len(t.in) }

func (t *translator) peek(s string) bool {
	for i, r := range []rune(s) {
		if t.at+i >= len(t.in) || t.in[t.at+i] != r {
			return false
		}
	}
	return true
}

func (t *translator) alternatives() error {
	if t.depth++; t.depth > 200 {
		return errors.New("groups nested deeper than 200")
	}
	defer func() { t.depth-- }()
	for t.more() {
		c := t.in[t.at]
		var err error
		switch c {
		case ')':
			return nil
		case '|':
			t.plain = false
			t.at++
			t.out.WriteByte('|')
			continue
		case '^', '$':
			t.at++
			t.anchor(byte(c))
			continue
		case '(':
			t.plain = false
			err = t.group()
		case '[':
			err = t.class()
		case '.':
			t.at++
			t.emit(`[^\n\r\x{2028}\x{2029}]`, nil)
		case '\\':
			err = t.escape()
		case '*', '+', '?':
			return fmt.Errorf("nothing before the quantifier %q", c)
		default:
			t.at++
			t.emit(literal(c), single(c))
		}
		if err != nil {
			return err
		}
		if err := t.quantifier(); err != nil {
			return err
		}
	}
	return nil
}

func (t *translator) anchor(c byte) {
	if t.depth > 1 || (c == '^') != (len(t.items) == 0) {
		t.plain = false
	}
	t.items = append(t.items, item{anchor: c})
	if c == '$' {
		t.out.WriteString(`\z`)
		return
	}
	t.out.WriteByte(c)
}

// emit writes one atom. set is its ASCII class, nil if it has others.
func (t *translator) emit(s string, set *asciiSet) {
	t.out.WriteString(s)
	if set == nil {
		t.plain = false
		return
	}
	t.items = append(t.items, item{set: *set, min: 1, max: 1})
}

func (t *translator) group() error {
	switch {
	case t.peek("(?="), t.peek("(?!"), t.peek("(?<="), t.peek("(?<!"):
		t.backtracks = true
		t.at += 3
		if t.in[t.at-1] == '<' {
			t.at++
		}
		t.out.WriteString("(?:")
	case t.peek("(?<"):
		end := t.at + 3
		for end < len(t.in) && t.in[end] != '>' {
			end++
		}
		if end == len(t.in) {
			return errors.New("group name without an end")
		}
		t.at = end + 1
		t.out.WriteString("(?:")
	case t.peek("(?"):
		end := t.at + 2
		for end < len(t.in) && strings.ContainsRune("imsu-", t.in[end]) {
			end++
		}
		if end == len(t.in) || (t.in[end] != ':' && t.in[end] != ')') {
			return errors.New("unknown kind of group after (?")
		}
		flags := strings.ReplaceAll(string(t.in[t.at+2:end]), "u", "")
		if t.in[end] == ')' {
			t.at = end + 1
			if flags != "" {
				t.out.WriteString("(?" + flags + ")")
			}
			return nil
		}
		t.at = end + 1
		t.out.WriteString("(?" + flags + ":")
	default:
		t.at++
		t.out.WriteString("(?:")
	}
	if err := t.alternatives(); err != nil {
		return err
	}
	if !t.more() {
		return errors.New("group without an end")
	}
	t.at++
	t.out.WriteByte(')')
	return nil
}

func (t *translator) quantifier() error {
	if !t.more() {
		return nil
	}
	low, high := 1, 1
	switch t.in[t.at] {
	case '*':
		low, high = 0, -1
		t.at++
		t.out.WriteByte('*')
	case '+':
		high = -1
		t.at++
		t.out.WriteByte('+')
	case '?':
		low = 0
		t.at++
		t.out.WriteByte('?')
	case '{':
		end, ok := t.at+1, false
		for end < len(t.in) && (t.in[end] >= '0' && t.in[end] <= '9' || t.in[end] == ',') {
			end++
		}
		if end < len(t.in) && t.in[end] == '}' {
			low, high, ok = bounds(string(t.in[t.at+1 : end]))
		}
		if !ok {
			return nil // a brace that stands for itself
		}
		if high >= 0 && low > high {
			return errors.New("numbers out of order in {}")
		}
		t.out.WriteString(string(t.in[t.at : end+1]))
		t.at = end + 1
	default:
		return nil
	}
	if t.more() && t.in[t.at] == '?' {
		t.at++
		t.out.WriteByte('?')
	}
	if n := len(t.items); n > 0 {
		t.items[n-1].min, t.items[n-1].max = low, high
	}
	if t.more() && strings.ContainsRune("*+?", t.in[t.at]) {
		return errors.New("two quantifiers in a row")
	}
	return nil
}

func bounds(s string) (low, high int, ok bool) {
	a, b, comma := strings.Cut(s, ",")
	low, err := strconv.Atoi(a)
	if err != nil {
		return 0, 0, false
	}
	if !comma {
		return low, low, true
	}
	if b == "" {
		return low, -1, true
	}
	high, err = strconv.Atoi(b)
	return low, high, err == nil
}

// escape reads what a backslash begins, outside a class.
func (t *translator) escape() error {
	if t.at+1 >= len(t.in) {
		return errors.New("a backslash at the end")
	}
	switch c := t.in[t.at+1]; {
	case c == 'b' || c == 'B':
		t.plain = false
		t.at += 2
		t.out.WriteString(`\` + string(c))
		return nil
	case c >= '1' && c <= '9', c == 'k' && t.at+2 < len(t.in) && t.in[t.at+2] == '<':
		t.backtracks = true
		t.at += 2
		return nil
	case c == 'A':
		t.at += 2
		t.anchor('^')
		return nil
	case c == 'z' || c == 'Z':
		t.at += 2
		t.anchor('$')
		return nil
	}
	class, r, err := t.classEscape()
	if err != nil {
		return err
	}
	if class != "" {
		t.emit("["+class+"]", asciiClass(class))
		return nil
	}
	t.emit(literal(r), single(r))
	return nil
}

// classEscape reads an escape that may stand in a class too: a set of
// characters in class syntax, or one character.
func (t *translator) classEscape() (class string, r rune, err error) {
	c := t.in[t.at+1]
	t.at += 2
	switch c {
	case 'd':
		return `0-9`, 0, nil
	case 'D':
		return `\D`, 0, nil
	case 'w':
		return `A-Za-z0-9_`, 0, nil
	case 'W':
		return `\W`, 0, nil
	case 's':
		return spaces, 0, nil
	case 'S':
		return notSpaces, 0, nil
	case 't':
		return "", '\t', nil
	case 'n':
		return "", '\n', nil
	case 'v':
		return "", '\v', nil
	case 'f':
		return "", '\f', nil
	case 'r':
		return "", '\r', nil
	case '0':
		return "", 0, nil
	case 'c':
		if t.more() && (t.in[t.at] >= 'a' && t.in[t.at] <= 'z' || t.in[t.at] >= 'A' && t.in[t.at] <= 'Z') {
			t.at++
			return "", t.in[t.at-1] % 32, nil
		}
		return "", 0, errors.New(`\c without a letter`)
	case 'x':
		if v, ok := t.hex(2); ok {
			return "", v, nil
		}
		return "", 'x', nil
	case 'u':
		return t.unicodeEscape()
	case 'p', 'P':
		if t.more() && t.in[t.at] == '{' {
			return t.property(c == 'P')
		}
	}
	return "", c, nil
}

func (t *translator) hex(n int) (rune, bool) {
	if t.at+n > len(t.in) {
		return 0, false
	}
	v, err := strconv.ParseUint(string(t.in[t.at:t.at+n]), 16, 32)
	if err != nil {
		return 0, false
	}
	t.at += n
	return rune(v), true
}

func (t *translator) unicodeEscape() (string, rune, error) {
	if t.peek("{") {
		end := t.at
		for end < len(t.in) && t.in[end] != '}' {
			end++
		}
		if end < len(t.in) {
			if v, err := strconv.ParseUint(string(t.in[t.at+1:end]), 16, 32); err == nil && v <= unicode.MaxRune {
				t.at = end + 1
				return "", rune(v), nil
			}
		}
		return "", 'u', nil
	}
	v, ok := t.hex(4)
	if !ok {
		return "", 'u', nil
	}
	if v >= 0xd800 && v < 0xdc00 && t.peek(`\u`) {
		t.at += 2
		if low, ok := t.hex(4); ok && low >= 0xdc00 && low < 0xe000 {
			return "", (v-0xd800)<<10 + low - 0xdc00 + 0x10000, nil
		}
		return "", 0, errors.New("half a surrogate pair")
	}
	if v >= 0xd800 && v < 0xe000 {
		t.backtracks = true // no Go string holds one; the other engine says so in its way
	}
	return "", v, nil
}

func (t *translator) property(negated bool) (string, rune, error) {
	end := t.at
	for end < len(t.in) && t.in[end] != '}' {
		end++
	}
	if end == len(t.in) {
		return "", 0, errors.New(`\p{ without an end`)
	}
	name := string(t.in[t.at+1 : end])
	t.at = end + 1
	kind, value, pair := strings.Cut(name, "=")
	if pair {
		name = value
	}
	if long, ok := categories[name]; ok && (!pair || kind == "gc" || kind == "General_Category") {
		name = long
	}
	letter := `\p`
	if negated {
		letter = `\P`
	}
	switch {
	case name == "Any":
		if negated {
			return "", 0, errors.New(`\P{Any} matches nothing`)
		}
		return `\x{0}-\x{10ffff}`, 0, nil
	case name == "ASCII" && !negated:
		return `\x{0}-\x7f`, 0, nil
	case name == "ASCII":
		return `\x{80}-\x{10ffff}`, 0, nil
	case unicode.Categories[name] != nil, unicode.Scripts[name] != nil:
		return letter + "{" + name + "}", 0, nil
	}
	t.backtracks = true // the other engine knows more properties
	return letter + "{L}", 0, nil
}

// class reads [...].
func (t *translator) class() error {
	t.at++
	var b strings.Builder
	b.WriteByte('[')
	if t.peek("^") {
		t.at++
		b.WriteByte('^')
	}
	empty := true
	for {
		if !t.more() {
			return errors.New("class without an end")
		}
		if t.in[t.at] == ']' {
			t.at++
			break
		}
		empty = false
		set, from, err := t.classAtom()
		if err != nil {
			return err
		}
		if t.at+1 < len(t.in) && t.in[t.at] == '-' && t.in[t.at+1] != ']' && set == "" {
			mark := t.at
			t.at++
			setTo, to, err := t.classAtom()
			if err != nil {
				return err
			}
			if setTo == "" {
				if from > to {
					return fmt.Errorf("range %c-%c is out of order", from, to)
				}
				b.WriteString(literal(from) + "-" + literal(to))
				continue
			}
			t.at = mark // a hyphen before a set stands for itself
			b.WriteString(literal(from))
			t.at++
			b.WriteString(`\-` + setTo)
			continue
		}
		if set != "" {
			b.WriteString(set)
		} else {
			b.WriteString(literal(from))
		}
	}
	b.WriteByte(']')
	s := b.String()
	switch {
	case empty && s == "[]":
		t.emit(`[^\x{0}-\x{10ffff}]`, nil)
	case empty:
		t.emit(`[\x{0}-\x{10ffff}]`, nil)
	case s[1] == '^':
		t.emit(s, nil)
	default:
		t.emit(s, asciiClass(s[1:len(s)-1]))
	}
	return nil
}

func (t *translator) classAtom() (set string, r rune, err error) {
	if t.in[t.at] != '\\' {
		t.at++
		return "", t.in[t.at-1], nil
	}
	if t.at+1 >= len(t.in) {
		return "", 0, errors.New("a backslash at the end")
	}
	switch t.in[t.at+1] {
	case 'b':
		t.at += 2
		return "", '\b', nil
	case 'B':
		return "", 0, errors.New(`\B in a class`)
	}
	return t.classEscape()
}

// literal writes one character so that it stands for itself in Go's syntax.
func literal(r rune) string {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
		return string(r)
	case r > ' ' && r < 0x7f:
		return `\` + string(r)
	}
	return fmt.Sprintf(`\x{%x}`, r)
}

// categories are the long names of Unicode's general categories.
var categories = map[string]string{
	"Letter": "L", "Cased_Letter": "L", "Uppercase_Letter": "Lu", "Lowercase_Letter": "Ll", "Titlecase_Letter": "Lt",
	"Modifier_Letter": "Lm", "Other_Letter": "Lo", "Mark": "M", "Combining_Mark": "M", "Nonspacing_Mark": "Mn",
	"Spacing_Mark": "Mc", "Enclosing_Mark": "Me", "Number": "N", "Decimal_Number": "Nd", "digit": "Nd",
	"Letter_Number": "Nl", "Other_Number": "No", "Punctuation": "P", "punct": "P", "Connector_Punctuation": "Pc",
	"Dash_Punctuation": "Pd", "Open_Punctuation": "Ps", "Close_Punctuation": "Pe", "Initial_Punctuation": "Pi",
	"Final_Punctuation": "Pf", "Other_Punctuation": "Po", "Symbol": "S", "Math_Symbol": "Sm", "Currency_Symbol": "Sc",
	"Modifier_Symbol": "Sk", "Other_Symbol": "So", "Separator": "Z", "Space_Separator": "Zs", "Line_Separator": "Zl",
	"Paragraph_Separator": "Zp", "Control": "Cc", "cntrl": "Cc", "Format": "Cf", "Surrogate": "Cs", "Private_Use": "Co", "Other": "C",
}
