package nginxconf

import (
	"fmt"
	"strings"
)

type kind int

const (
	eof kind = iota
	word
	semicolon
	opening
	closing
)

type token struct {
	kind       kind
	text       string
	line       int
	start, end int
}

// scanner cuts a text into words as ngx_conf_read_token does.
type scanner struct {
	text string
	file string
	at   int
	line int
}

func (s *scanner) wrong(format string, args ...any) error {
	return &Error{s.file, s.line, fmt.Sprintf(format, args...)}
}

func (s *scanner) next() (token, error) {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '\n':
			s.line++
			s.at++
		case c == ' ' || c == '\t' || c == '\r':
			s.at++
		case c == '#':
			for s.at < len(s.text) && s.text[s.at] != '\n' {
				s.at++
			}
		case c == ';':
			return s.single(semicolon), nil
		case c == '{':
			return s.single(opening), nil
		case c == '}':
			return s.single(closing), nil
		case c == '"' || c == '\'':
			return s.quoted(c)
		default:
			return s.plain()
		}
	}
	return token{kind: eof, line: s.line, start: s.at, end: s.at}, nil
}

func (s *scanner) single(k kind) token {
	t := token{kind: k, text: s.text[s.at : s.at+1], line: s.line, start: s.at, end: s.at + 1}
	s.at++
	return t
}

func (s *scanner) quoted(quote byte) (token, error) {
	t := token{kind: word, line: s.line, start: s.at}
	var b strings.Builder
	for s.at++; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '\\' && s.at+1 < len(s.text):
			s.at++
			s.escape(&b, s.text[s.at])
		case c == quote:
			s.at++
			t.text, t.end = b.String(), s.at
			return t, nil
		default:
			if c == '\n' {
				s.line++
			}
			b.WriteByte(c)
		}
	}
	return t, s.wrong("a quoted word that begins in line %d is not ended", t.line)
}

// escape is what a backslash means: for anything but these it stays.
func (s *scanner) escape(b *strings.Builder, c byte) {
	switch c {
	case '"', '\'', '\\':
		b.WriteByte(c)
	case 't':
		b.WriteByte('\t')
	case 'r':
		b.WriteByte('\r')
	case 'n':
		b.WriteByte('\n')
	default:
		b.WriteByte('\\')
		b.WriteByte(c)
	}
}

func (s *scanner) plain() (token, error) {
	t := token{kind: word, line: s.line, start: s.at}
	var b strings.Builder
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '\\' && s.at+1 < len(s.text):
			s.at++
			s.escape(&b, s.text[s.at])
			s.at++
		case c == '$' && strings.HasPrefix(s.text[s.at:], "${"):
			// A variable in braces: its brace opens no block.
			end := strings.IndexByte(s.text[s.at:], '}')
			if end < 0 {
				return t, s.wrong("${ is not closed")
			}
			b.WriteString(s.text[s.at : s.at+end+1])
			s.at += end + 1
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';' || c == '{':
			t.text, t.end = b.String(), s.at
			return t, nil
		default:
			b.WriteByte(c)
			s.at++
		}
	}
	t.text, t.end = b.String(), s.at
	return t, nil
}

// skipLua passes over a block of another language, whose braces balance.
func (s *scanner) skipLua() error {
	for depth := 1; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\n':
			s.line++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				s.at++
				return nil
			}
		}
	}
	return s.wrong("the file ends inside a block")
}
