// Package example reads the request files that stand beside rules and show
// what each rule must match and what it must pass.
//
// Beside NAME.rules stands NAME.test, UTF-8 text. A case is a line
//
//	match SID [title]
//	pass SID [title]
//
// followed by an HTTP/1.1 request and a line that holds a single dot. Lines
// may be indented by one common margin. In the head a line feed alone ends a
// line. Behind an empty line comes the body, as it stands, its last line end
// left out. In the request line, the headers and the body the escapes \xHH,
// \r, \n, \t and \\ are decoded. Content-Length is filled in when neither it
// nor Transfer-Encoding is there. A line that begins with # between cases is
// a comment.
package example

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/request"
)

// Case is one request and what a rule is to say of it.
type Case struct {
	File  string
	Line  int // of the verb
	Match bool
	SID   uint32
	Title string

	Method, URI, Protocol string
	Headers               []request.Header
	Body                  []byte
	HasBody               bool
}

// Load reads an example file.
func Load(path string) ([]Case, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read examples: %w", err)
	}
	return Parse(path, data)
}

// Beside is the name of the example file that belongs to a rule file.
func Beside(rules string) string {
	return strings.TrimSuffix(rules, filepath.Ext(rules)) + ".test"
}

// Parse reads the text of an example file and reports every mistake with
// file:line.
func Parse(path string, data []byte) ([]Case, error) {
	var cases []Case
	var errs []error
	lines := strings.Split(string(data), "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimRight(lines[i], " \t\r")
		if line == "" || line[0] == '#' {
			continue
		}
		c := Case{File: path, Line: i + 1}
		if err := c.verb(line); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", path, i+1, err))
			continue
		}
		start := i + 1
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "."; i++ {
		}
		if i >= len(lines) {
			errs = append(errs, fmt.Errorf("%s:%d: the request is not ended by a line with a dot", path, c.Line))
			break
		}
		if err := c.request(lines[start:i]); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", path, c.Line, err))
			continue
		}
		cases = append(cases, c)
	}
	return cases, errors.Join(errs...)
}

func (c *Case) verb(line string) error {
	f := strings.Fields(line)
	if len(f) < 2 || f[0] != "match" && f[0] != "pass" {
		return fmt.Errorf("%q: expected match SID or pass SID", clip(line))
	}
	c.Match = f[0] == "match"
	n, err := strconv.ParseUint(f[1], 10, 32)
	if err != nil {
		return fmt.Errorf("%q is no sid", clip(f[1]))
	}
	c.SID, c.Title = uint32(n), strings.Join(f[2:], " ")
	return nil
}

func (c *Case) request(lines []string) error {
	lines = unindent(lines)
	if len(lines) > 0 && strings.HasPrefix(lines[0], "```") {
		lines = lines[1:]
		if n := len(lines); n > 0 && strings.HasPrefix(lines[n-1], "```") {
			lines = lines[:n-1]
		}
	}
	if len(lines) == 0 {
		return errors.New("no request")
	}
	line := string(unescape(strings.TrimRight(lines[0], "\r")))
	first, last := strings.IndexByte(line, ' '), strings.LastIndex(line, " HTTP/")
	if first <= 0 {
		return fmt.Errorf("request line %q has no target", clip(line))
	}
	c.Method, c.Protocol = line[:first], "HTTP/1.1"
	if last >= first {
		c.Protocol = line[last+1:]
	} else {
		last = len(line)
	}
	if last > first {
		c.URI = line[first+1 : last]
	}
	i := 1
	for ; i < len(lines); i++ {
		h := strings.TrimRight(lines[i], "\r")
		if h == "" {
			break
		}
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return fmt.Errorf("header line %q has no colon", clip(h))
		}
		c.Headers = append(c.Headers, request.Header{Name: []byte(name), Value: unescape(strings.TrimLeft(value, " \t"))})
	}
	if i+1 < len(lines) {
		c.Body = unescape(strings.Join(lines[i+1:], "\n"))
		c.HasBody = len(c.Body) > 0
	}
	if c.HasBody && !c.has("content-length") && !c.has("transfer-encoding") {
		c.Headers = append(c.Headers, request.Header{Name: []byte("Content-Length"), Value: strconv.AppendInt(nil, int64(len(c.Body)), 10)})
	}
	return nil
}

func (c *Case) has(name string) bool {
	for _, h := range c.Headers {
		if strings.EqualFold(string(h.Name), name) {
			return true
		}
	}
	return false
}

// unindent removes the margin that all lines but empty ones share.
func unindent(lines []string) []string {
	margin := -1
	for _, l := range lines {
		if strings.TrimSpace(l) == "" {
			continue
		}
		n := len(l) - len(strings.TrimLeft(l, " \t"))
		if margin < 0 || n < margin {
			margin = n
		}
	}
	if margin <= 0 {
		return lines
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l[min(margin, len(l)):]
	}
	return out
}

func unescape(s string) []byte {
	if strings.IndexByte(s, '\\') < 0 {
		return []byte(s)
	}
	var b bytes.Buffer
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 >= len(s) {
			b.WriteByte(s[i])
			continue
		}
		switch s[i+1] {
		case 'r':
			b.WriteByte('\r')
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case '\\':
			b.WriteByte('\\')
		case 'x':
			if i+3 < len(s) {
				if v, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
					b.WriteByte(byte(v))
					i += 3
					continue
				}
			}
			b.WriteByte('\\')
			continue
		default:
			b.WriteByte('\\')
			continue
		}
		i++
	}
	return b.Bytes()
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}
