package event

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/event/redact"
	"github.com/sallyport/sallyport/daemon/outcome"
)

// Redacted is a copy of e without its secrets and in valid UTF-8: a byte that
// is none becomes \xNN, in a URI %NN. keepBody false leaves the body out. A
// body that cannot be read as text is always left out, for nobody could tell
// what secrets it holds.
func Redacted(e *Event, r *redact.Redactor, keepBody bool) *Event {
	c := *e
	s := r.Session()
	// The order matters: what is masked in the request is then known, and
	// masked in whatever the checks say about it.
	c.Headers = make([]Field, len(e.Headers))
	for i, h := range e.Headers {
		c.Headers[i] = Field{printable(h.Name), printable(s.Header(h.Name, h.Value))}
	}
	c.URI = percentEncode(s.URI(e.URI))
	c.Body, c.BodyOmitted = redactBody(e, s, keepBody)
	c.BodyCut = len(c.Body) > 0 && (e.BodyCut || int64(len(e.Body)) < e.BodyBytes)
	c.Host, c.Method = printable(s.Text(e.Host)), printable(e.Method)
	c.Protocol = printable(e.Protocol)
	c.Findings = redactFindings(e.Findings, s)
	c.Excepted = redactFindings(e.Excepted, s)
	c.Why = printable(s.Text(e.Why))
	c.Message = printable(s.Text(e.Message))
	c.Outcome = redactOutcome(e.Outcome, s)
	return &c
}

func redactFindings(fs []check.Finding, s *redact.Session) []check.Finding {
	if len(fs) == 0 {
		return nil
	}
	out := slices.Clone(fs)
	for i := range out {
		f := &out[i]
		f.Excerpt, f.Mark = s.Excerpt(f.Where, f.Excerpt, f.Mark)
		f.Excerpt, f.Mark = printableMark(f.Excerpt, f.Mark)
		// The kind of a place is ours; the name behind it is the client's.
		if kind, name, ok := strings.Cut(f.Where, ":"); ok {
			f.Where = kind + ":" + printable(s.Text(name))
		}
		f.Message = printable(s.Text(f.Message))
		f.Detail = printable(s.Text(f.Detail))
		f.ID = printable(f.ID)
	}
	return out
}

func redactOutcome(o *outcome.Outcome, s *redact.Session) *outcome.Outcome {
	if o == nil {
		return nil
	}
	c := *o
	c.URI = percentEncode(s.URI(o.URI))
	c.Host, c.Method, c.Protocol = printable(o.Host), printable(o.Method), printable(o.Protocol)
	return &c
}

// redactBody keeps a body that is text.
func redactBody(e *Event, s *redact.Session, keep bool) ([]byte, string) {
	if len(e.Body) == 0 {
		return nil, e.BodyOmitted
	}
	if enc := strings.TrimSpace(e.Header("Content-Encoding")); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, "encoded"
	}
	body := e.Body
	if int64(len(body)) < e.BodyBytes || len(body) == MaxBody {
		body = trimRune(body)
	}
	if !utf8.Valid(body) || bytes.IndexByte(body, 0) >= 0 {
		return nil, "binary"
	}
	kind := strings.ToLower(e.Header("Content-Type"))
	structured := strings.Contains(kind, "json") || strings.Contains(kind, "xml") || strings.Contains(kind, "multipart")
	text := s.Body(body, !structured && looksLikeForm(body))
	if !keep {
		return nil, "off"
	}
	return []byte(text), ""
}

// looksLikeForm says that a name and an equals sign begin the body: whatever
// its Content-Type, a backend may read it as a form.
func looksLikeForm(body []byte) bool {
	eq := bytes.IndexByte(body[:min(len(body), 256)], '=')
	return eq > 0 && !bytes.ContainsAny(body[:eq], "<{\" \r\n")
}

// trimRune drops a rune that was cut at the end.
func trimRune(b []byte) []byte {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-n:]) {
				return b[:len(b)-n]
			}
			break
		}
	}
	return b
}

func printable(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	out, _ := printableMark(s, [2]int{})
	return out
}

// printableMark writes bytes that are no UTF-8 as \xNN and moves the mark along.
func printableMark(s string, mark [2]int) (string, [2]int) {
	if utf8.ValidString(s) {
		return s, mark
	}
	var b strings.Builder
	from, to := mark[0], mark[0]+mark[1]
	for i := 0; i < len(s); {
		if i == from {
			mark[0] = b.Len()
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
		if i >= to && i-n < to {
			mark[1] = b.Len() - mark[0]
		}
	}
	return b.String(), mark
}

func percentEncode(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}
