package rule

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"
)

// Class is a line of a classification.config.
type Class struct {
	Name, Text string
	Priority   int
}

// Limit is a line of a threshold.config: event_filter, threshold, suppress
// or rate_filter.
type Limit struct {
	Kind      string
	GID, SID  int // SID 0: every rule
	Type      string
	Track     string
	Count     int
	Seconds   int
	NewAction string
	Timeout   int
	IP        *Addresses
}

// Files is what a number of rule files hold.
type Files struct {
	Rules   []*Rule
	Classes map[string]Class
	// References maps a reference's system to the prefix of its URL.
	References map[string]string
	Limits     []Limit
	// Errors are rules and lines that cannot be read, with the rule's text if
	// it is known where it begins.
	Errors []*Error
	Broken []*Rule // the rules that Errors are about, index for index; nil for other lines
	Vars   *Vars

	depth int
}

// NewFiles is an empty set that begins with these variables.
func NewFiles(vars *Vars) *Files {
	return &Files{Classes: map[string]Class{}, References: map[string]string{}, Vars: vars.Clone()}
}

// Load reads a file: rules, variables, includes, classifications, references
// and thresholds, told apart line by line. Mistakes go to Errors; the error
// returned is about reading the file itself.
func (f *Files) Load(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read rules: %w", err)
	}
	if info.Size() > MaxFile {
		return fmt.Errorf("read rules: %s has %d bytes, at most %d expected", path, info.Size(), MaxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read rules: %w", err)
	}
	for magic, kind := range packed {
		if bytes.HasPrefix(data, []byte(magic)) {
			return fmt.Errorf("read rules: %s is %s, unpack it first", path, kind)
		}
	}
	f.Parse(path, data)
	return nil
}

// packed are what files begin with that are no text.
var packed = map[string]string{"\x1f\x8b": "compressed by gzip", "PK\x03\x04": "a zip archive", "BZh": "compressed by bzip2", "\x28\xb5\x2f\xfd": "compressed by zstd", "\xfd7zXZ": "compressed by xz"}

// Parse reads the text of a file; data must not change afterwards.
func (f *Files) Parse(path string, data []byte) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	l := &lines{text: unsafe.String(unsafe.SliceData(data), len(data))}
	first := len(f.Rules)
	for l.next() {
		word, _, _ := strings.Cut(l.trimmed, " ")
		word, _, _ = strings.Cut(word, "\t")
		switch {
		case l.trimmed == "" || l.trimmed[0] == '#':
		case strings.HasPrefix(l.trimmed, "/*"):
			l.comment()
		case word == "config" && strings.HasPrefix(l.trimmed, "config classification:"), word == "config" && strings.HasPrefix(l.trimmed, "config reference:"):
			f.configLine(path, l)
		case word == "config" && !strings.Contains(l.trimmed, "("):
			// Settings of a snort.conf for other parts of that engine.
		case IsAction(word):
			f.rule(path, l)
		case word == "include":
			f.include(path, l)
		case word == "var" || word == "ipvar" || word == "portvar":
			f.variable(path, l, word)
		case word == "threshold" || word == "event_filter" || word == "suppress" || word == "rate_filter":
			f.limit(path, l, word)
		case ignoredLine(word):
			l.join()
		default:
			n, col := l.line, l.indent+1
			l.join()
			f.fail(&Error{File: path, Line: n, Col: col, Msg: fmt.Sprintf("unknown line %q, expected a rule, include, var, ipvar, portvar, config, threshold, event_filter, rate_filter or suppress", clip(word))}, nil)
		}
	}
	settleDialects(f.Rules[first:])
}

// ignoredLine says whether a line configures a part of Snort that does not
// exist here, as a snort.conf is full of.
func ignoredLine(word string) bool {
	switch strings.TrimSuffix(word, ":") {
	case "preprocessor", "output", "dynamicpreprocessor", "dynamicengine", "dynamicdetection", "event_queue", "ruletype", "stream", "attribute_table", "detection":
		return true
	}
	return false
}

// settleDialects gives rules that read the same in every dialect the one of
// their neighbours.
func settleDialects(rules []*Rule) {
	var seen [4]int
	for _, r := range rules {
		seen[r.Dialect]++
	}
	common := Suricata
	for d := Snort2; d <= Snort3; d++ {
		if seen[d] > seen[common] {
			common = d
		}
	}
	for _, r := range rules {
		if r.Dialect == Unknown {
			r.Dialect = common
		}
	}
}

func (f *Files) fail(e *Error, r *Rule) {
	f.Errors = append(f.Errors, e)
	f.Broken = append(f.Broken, r)
}

func (f *Files) rule(path string, l *lines) {
	r := &Rule{File: path, Line: l.line}
	r.Text, r.lines = l.rule()
	if err := r.parse(f.Vars); err != nil {
		f.fail(err, r)
		return
	}
	f.Rules = append(f.Rules, r)
}

func (f *Files) include(path string, l *lines) {
	line, col := l.line, l.indent+1
	name := strings.Trim(strings.TrimSpace(l.trimmed[len("include"):]), `"`)
	// A snort.conf writes include $RULE_PATH/local.rules.
	for strings.HasPrefix(name, "$") {
		v, rest, _ := strings.Cut(name[1:], "/")
		value, ok := f.Vars.Address[v]
		if !ok {
			f.fail(&Error{path, line, col, fmt.Sprintf("include %s: variable $%s is not set", clip(name), v)}, nil)
			return
		}
		name = filepath.Join(value, rest)
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(path), name)
	}
	if f.depth >= MaxIncludes {
		f.fail(&Error{path, line, col, fmt.Sprintf("includes nested more than %d deep", MaxIncludes)}, nil)
		return
	}
	f.depth++
	err := f.Load(name)
	f.depth--
	if err != nil {
		f.fail(&Error{path, line, col, err.Error()}, nil)
	}
}

func (f *Files) variable(path string, l *lines, kind string) {
	line, col := l.line, l.indent+1
	text := l.join()
	fields := strings.Fields(text)
	if len(fields) < 3 {
		f.fail(&Error{path, line, col, kind + " needs a name and a value"}, nil)
		return
	}
	value := strings.Join(fields[2:], "")
	value, _, _ = strings.Cut(value, "#")
	f.Vars.set(kind, fields[1], value)
}

func (f *Files) configLine(path string, l *lines) {
	line, col := l.line, l.indent+1
	_, text, _ := strings.Cut(l.join(), "config")
	kind, value, _ := strings.Cut(strings.TrimSpace(text), ":")
	switch kind {
	case "classification":
		parts := strings.Split(value, ",")
		if len(parts) < 3 {
			f.fail(&Error{path, line, col, "config classification needs a name, a text and a priority"}, nil)
			return
		}
		n, err := strconv.Atoi(strings.TrimSpace(parts[len(parts)-1]))
		if err != nil || n < 1 || n > 255 {
			f.fail(&Error{path, line, col, "the priority of a classification is a number from 1 to 255"}, nil)
			return
		}
		name := strings.ToLower(strings.TrimSpace(parts[0]))
		f.Classes[name] = Class{Name: name, Text: strings.TrimSpace(parts[1]), Priority: n}
	case "reference":
		fields := strings.Fields(value)
		if len(fields) == 2 {
			f.References[strings.ToLower(fields[0])] = fields[1]
		} else if len(fields) == 1 {
			f.References[strings.ToLower(fields[0])] = ""
		}
	}
}

// limit reads "event_filter gen_id 1, sig_id 2, type limit, ...".
func (f *Files) limit(path string, l *lines, kind string) {
	line, col := l.line, l.indent+1
	text := strings.TrimSpace(l.join())
	t := Limit{Kind: kind, GID: 1}
	bad := func(format string, args ...any) {
		f.fail(&Error{path, line, col, kind + ": " + fmt.Sprintf(format, args...)}, nil)
	}
	for _, part := range splitList(text[len(kind):]) {
		key, value, _ := strings.Cut(strings.TrimSpace(part), " ")
		value = strings.TrimSpace(value)
		number := func(to *int) bool {
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 {
				bad("%s %q is no number", key, clip(value))
				return false
			}
			*to = n
			return true
		}
		ok := true
		switch key {
		case "gen_id":
			ok = number(&t.GID)
		case "sig_id":
			ok = number(&t.SID)
		case "count":
			ok = number(&t.Count)
		case "seconds":
			ok = number(&t.Seconds)
		case "timeout":
			ok = number(&t.Timeout)
		case "type":
			t.Type = value
		case "track":
			t.Track = value
		case "new_action":
			t.NewAction = value
		case "ip":
			a, msg := f.Vars.address(value)
			if msg != "" {
				bad("%s", msg)
				return
			}
			t.IP = a
		default:
			bad("unknown key %q", clip(key))
			return
		}
		if !ok {
			return
		}
	}
	f.Limits = append(f.Limits, t)
}

// lines walks a text line by line.
type lines struct {
	text    string
	pos     int // behind the current line
	start   int // of the current line
	line    int
	indent  int
	trimmed string
}

func (l *lines) next() bool {
	if l.pos >= len(l.text) {
		return false
	}
	l.start = l.pos
	end := strings.IndexByte(l.text[l.pos:], '\n')
	if end < 0 {
		l.pos = len(l.text)
		end = len(l.text)
	} else {
		end += l.pos
		l.pos = end + 1
	}
	l.line++
	raw := l.text[l.start:end]
	trimmed := strings.TrimLeft(raw, " \t")
	l.indent = len(raw) - len(trimmed)
	l.trimmed = strings.TrimRight(trimmed, " \t\r")
	return true
}

// comment skips a /* comment */ that begins on the current line.
func (l *lines) comment() {
	for !strings.Contains(l.trimmed, "*/") && l.next() {
	}
}

// join returns the current line with those that a backslash continues it by.
func (l *lines) join() string {
	if !strings.HasSuffix(l.trimmed, "\\") {
		return l.trimmed
	}
	var b strings.Builder
	for {
		b.WriteString(strings.TrimSuffix(l.trimmed, "\\"))
		if !strings.HasSuffix(l.trimmed, "\\") || !l.next() {
			return b.String()
		}
		b.WriteByte(' ')
	}
}

// rule returns the text of the rule that begins on the current line and where
// its further lines stand. A rule goes on after a backslash and, as in Snort
// 3, while its bracket is open, unless the next line begins a rule itself.
func (l *lines) rule() (string, []join) {
	joins := []join{{0, l.line, l.indent + 1}}
	if !strings.HasSuffix(l.trimmed, "\\") && closed(l.trimmed) {
		if l.indent == 0 {
			joins = nil
		}
		return l.trimmed, joins
	}
	var b strings.Builder
	for {
		part := l.trimmed
		if part != "" && part[0] == '#' && b.Len() > 0 {
			part = ""
		}
		more := strings.HasSuffix(part, "\\")
		part = strings.TrimSuffix(part, "\\")
		b.WriteString(part)
		if b.Len() > MaxRule || !more && closed(b.String()) {
			return b.String(), joins
		}
		save := *l
		if !l.next() {
			return b.String(), joins
		}
		word, _, _ := strings.Cut(l.trimmed, " ")
		if !more && (IsAction(word) || l.trimmed == "" && !strings.Contains(b.String(), "(")) {
			*l = save
			return b.String(), joins
		}
		if !more {
			b.WriteByte(' ')
		}
		joins = append(joins, join{b.Len(), l.line, l.indent + 1})
	}
}

// closed says whether a rule's text ends with the bracket that opened its
// options, or cannot be a rule at all.
func closed(s string) bool {
	s = strings.TrimRight(s, " \t\r")
	if strings.HasSuffix(s, ")") {
		// A bracket inside quotes is none: count the quotes that no backslash escapes.
		quotes := 0
		for i := 0; i < len(s); i++ {
			if s[i] == '\\' {
				i++
			} else if s[i] == '"' {
				quotes++
			}
		}
		return quotes%2 == 0 || strings.HasSuffix(s, ";)")
	}
	if i := strings.LastIndex(s, ")"); i > 0 {
		rest := strings.TrimLeft(s[i+1:], " \t")
		return rest != "" && rest[0] == '#'
	}
	return false
}
