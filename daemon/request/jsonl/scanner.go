package jsonl

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDepth bounds the nesting of members that are passed over.
const maxDepth = 1000

// scanner reads one JSON object strictly, but for the bytes of strings.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}

// peek is the next byte that is no space, or 0.
func (s *scanner) peek() byte {
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) expect(c byte) error {
	if s.peek() != c {
		return fmt.Errorf("expected %q", c)
	}
	s.i++
	return nil
}

// object calls member at each member's value.
func (s *scanner) object(member func(key []byte) error) error {
	if err := s.expect('{'); err != nil {
		return err
	}
	if s.peek() == '}' {
		s.i++
		return nil
	}
	for {
		key, err := s.text()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		s.space()
		if err := member(key); err != nil {
			return err
		}
		if s.peek() == '}' {
			s.i++
			return nil
		}
		if err := s.expect(','); err != nil {
			return err
		}
		s.space()
	}
}

func (s *scanner) array(element func() error) error {
	if err := s.expect('['); err != nil {
		return err
	}
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		s.space()
		if err := element(); err != nil {
			return err
		}
		if s.peek() == ']' {
			s.i++
			return nil
		}
		if err := s.expect(','); err != nil {
			return err
		}
	}
}

// skip passes over any value and returns its bytes.
func (s *scanner) skip() ([]byte, error) {
	s.space()
	start, depth := s.i, 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			end, err := s.closing()
			if err != nil {
				return nil, err
			}
			s.i = end + 1
		case '{', '[':
			if depth++; depth > maxDepth {
				return nil, errors.New("nested too deep")
			}
			s.i++
		case '}', ']', ',':
			if depth == 0 {
				return s.b[start:s.i], s.some(start)
			}
			if s.b[s.i] != ',' {
				depth--
			}
			s.i++
		default:
			s.i++
		}
		if depth == 0 && (s.b[start] == '"' || s.b[start] == '{' || s.b[start] == '[') {
			break
		}
	}
	if depth > 0 {
		return nil, errors.New("the line ends inside a value")
	}
	return bytes.TrimSpace(s.b[start:s.i]), s.some(start)
}

func (s *scanner) some(start int) error {
	if s.i == start {
		return errors.New("expected a value")
	}
	return nil
}

// closing is where the string that begins at the scanner ends.
func (s *scanner) closing() (int, error) {
	for i := s.i + 1; i < len(s.b); i++ {
		switch s.b[i] {
		case '"':
			return i, nil
		case '\\':
			i++
		}
	}
	return 0, errors.New("the line ends inside a string")
}

// text reads a string and unescapes it in place.
func (s *scanner) text() ([]byte, error) {
	if s.peek() != '"' {
		return nil, errors.New("expected a string")
	}
	end, err := s.closing()
	if err != nil {
		return nil, err
	}
	raw := s.b[s.i+1 : end : end]
	if bytes.IndexByte(raw, '\\') < 0 {
		s.i = end + 1
		return raw, nil
	}
	out := raw[:0]
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			out = append(out, c)
			i++
			continue
		}
		i++
		switch c = raw[i]; c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, n := codeUnit(raw[i:])
			if n == 0 {
				s.i += i
				return nil, errors.New(`expected four hexadecimal digits behind \u`)
			}
			i += n
			out = appendUnit(out, r, raw, &i)
			continue
		default:
			s.i += i
			return nil, fmt.Errorf(`unknown escape \%c`, c)
		}
		i++
	}
	s.i = end + 1
	return out, nil
}

// codeUnit reads uXXXX at the start of b.
func codeUnit(b []byte) (r rune, n int) {
	if len(b) < 5 || b[0] != 'u' {
		return 0, 0
	}
	for _, c := range b[1:5] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, 0
		}
		r = r<<4 | rune(c)
	}
	return r, 5
}

// appendUnit appends a code unit, with its partner if it is half of a pair.
func appendUnit(out []byte, r rune, raw []byte, i *int) []byte {
	if r >= 0xd800 && r < 0xdc00 && *i+1 < len(raw) && raw[*i] == '\\' {
		if lo, n := codeUnit(raw[*i+1:]); n > 0 && lo >= 0xdc00 && lo < 0xe000 {
			*i += 1 + n
			return utf8.AppendRune(out, (r-0xd800)<<10|(lo-0xdc00)+0x10000)
		}
	}
	if r >= 0xdc80 && r <= 0xdcff {
		return append(out, byte(r-0xdc00))
	}
	return utf8.AppendRune(out, r)
}
