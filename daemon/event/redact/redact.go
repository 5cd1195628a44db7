// Package redact takes secrets out of text that is about to be kept: values of
// credentials by their name, and what is a secret by its shape (tokens of
// known services, JSON Web Tokens, card numbers, private keys, the user part
// of a URL).
//
// It errs towards masking: a value whose name says password is masked whatever
// it holds. What a check matched is kept in outline where it lies in such a
// value, so that a person can still see the attack: words that are not of an
// attack's vocabulary become an asterisk.
//
// Everything is linear in the text. Percent and backslash encodings are looked
// through up to three times; base64 and compression are not: a body in them is
// not kept at all (see package event).
package redact

import (
	"bytes"
	"slices"
	"strings"
)

// Mask stands for what was taken out.
const Mask = "[redacted]"

// Bounds. Text past MaxText is cut by the caller's own bounds first; decoding
// looks no deeper than maxRounds; no more than maxSecrets values of one
// request are remembered.
const (
	maxRounds  = 3
	maxSecrets = 64
	minSecret  = 6
	maxSecret  = 2048
)

// Redactor holds the names of secrets. It never changes and is safe for
// concurrent use.
type Redactor struct {
	extra map[string]bool
}

// New makes a redactor that also masks values of the extra names; case and
// the characters - _ . are of no account.
func New(extra []string) *Redactor {
	r := &Redactor{extra: make(map[string]bool, len(extra))}
	for _, n := range extra {
		r.extra[string(normalName(nil, []byte(n)))] = true
	}
	return r
}

// span is a part of a text to be masked. A hard one is a secret by its shape
// and is masked even where a check matched it.
type span struct {
	from, to int
	hard     bool
}

// Text masks the secrets in free text.
func (r *Redactor) Text(s string) string {
	spans := r.spans(nil, []byte(s), false)
	if len(spans) == 0 {
		return s
	}
	out, _ := apply([]byte(s), spans, [2]int{})
	return string(out)
}

// Session redacts the parts of one request and remembers what it masked, so
// that the same value is masked wherever else it turns up: in a message, in an
// excerpt cut out of its context. It is not safe for concurrent use.
type Session struct {
	r       *Redactor
	secrets [][]byte
}

// Session starts a request.
func (r *Redactor) Session() *Session { return &Session{r: r} }

// Header masks one header's value by the header's name.
func (s *Session) Header(name, value string) string {
	v := []byte(value)
	return s.mask(v, s.r.headerSpans(nil, []byte(name), v))
}

// URI masks a request target.
func (s *Session) URI(uri string) string {
	u := []byte(uri)
	path, query, _ := bytes.Cut(u, []byte("?"))
	spans := s.r.spans(nil, path, false)
	if len(query) > 0 {
		spans = shift(s.r.spans(nil, query, true), len(path)+1, spans)
	}
	return s.mask(u, pathSpans(spans, u))
}

// Body masks a body that is text; form says that it is a URL-encoded form.
func (s *Session) Body(body []byte, form bool) string {
	return s.mask(body, s.r.spans(nil, body, form))
}

// Text masks free text about the request, such as a message.
func (s *Session) Text(text string) string {
	out, _ := s.excerpt(text, [2]int{})
	return out
}

// Excerpt masks the text of a finding about the value at where, "query:q",
// and returns where its mark now lies.
func (s *Session) Excerpt(where, text string, mark [2]int) (string, [2]int) {
	mark = clampMark(mark, len(text))
	if s.r.secretPlace(where) {
		b := []byte(text)
		return applyString(b, []span{{0, len(b), false}}, mark)
	}
	return s.excerpt(text, mark)
}

func (s *Session) excerpt(text string, mark [2]int) (string, [2]int) {
	b := []byte(text)
	spans := s.r.spans(nil, b, false)
	for _, secret := range s.secrets {
		for from := 0; ; {
			i := bytes.Index(b[from:], secret)
			if i < 0 {
				break
			}
			spans = append(spans, span{from + i, from + i + len(secret), false})
			from += i + len(secret)
		}
	}
	if len(spans) == 0 {
		return text, mark
	}
	return applyString(b, spans, mark)
}

func (s *Session) mask(b []byte, spans []span) string {
	if len(spans) == 0 {
		return string(b)
	}
	spans = merge(spans)
	for _, sp := range spans {
		secret := b[sp.from:sp.to]
		s.remember(secret)
		s.rememberParts(secret, bytes.HasSuffix(b[:sp.from], []byte("://")))
	}
	out, _ := apply(b, spans, [2]int{})
	return string(out)
}

// remember keeps a secret as sent and as decoded.
func (s *Session) remember(secret []byte) {
	secret = bytes.Trim(secret, "\"' \t\r\n")
	for round := 0; round <= maxRounds; round++ {
		if len(s.secrets) >= maxSecrets || len(secret) < minSecret || len(secret) > maxSecret {
			return
		}
		if !slices.ContainsFunc(s.secrets, func(b []byte) bool { return bytes.Equal(b, secret) }) {
			s.secrets = append(s.secrets, bytes.Clone(secret))
		}
		decoded, _, changed := decode(secret, nil)
		if !changed && bytes.Contains(secret, []byte(`\"`)) {
			decoded, changed = bytes.ReplaceAll(secret, []byte(`\"`), []byte(`"`)), true
		}
		if !changed && bytes.IndexByte(secret, '+') >= 0 {
			decoded, changed = bytes.ReplaceAll(secret, []byte("+"), []byte(" ")), true
		}
		if !changed {
			return
		}
		secret = decoded
	}
}

// rememberParts keeps the parts of a secret that is made of several: user and
// password, the parameters of a digest, the lines of a key. A part without a
// digit is most likely a word of its format; not so the password in a URL.
func (s *Session) rememberParts(secret []byte, userinfo bool) {
	if user, password, ok := bytes.Cut(secret, []byte(":")); ok && userinfo && len(user) > 0 {
		s.remember(password)
		return
	}
	if !bytes.ContainsAny(secret, ":\"',=; \t\r\n") {
		return
	}
	for _, part := range bytes.FieldsFunc(secret, func(r rune) bool { return strings.ContainsRune(":\"',=; \t\r\n", r) }) {
		if bytes.ContainsAny(part, "0123456789") {
			s.remember(part)
		}
	}
}

func applyString(b []byte, spans []span, mark [2]int) (string, [2]int) {
	out, m := apply(b, merge(spans), mark)
	return string(out), m
}

func clampMark(m [2]int, n int) [2]int {
	from := min(max(m[0], 0), n)
	length := min(max(m[1], 0), n-from)
	return [2]int{from, length}
}

func shift(spans []span, by int, onto []span) []span {
	for _, s := range spans {
		onto = append(onto, span{s.from + by, s.to + by, s.hard})
	}
	return onto
}

// merge sorts spans and joins those that overlap; a join of hard and soft is hard
// only where it was.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int {
		if a.from != b.from {
			return a.from - b.from
		}
		return b.to - a.to
	})
	out := spans[:0]
	for _, s := range spans {
		if s.to <= s.from {
			continue
		}
		if n := len(out); n > 0 && s.from < out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			out[n-1].hard = out[n-1].hard || s.hard
			continue
		}
		out = append(out, s)
	}
	return out
}

// apply masks spans, which are sorted and apart, and carries the mark along.
// Where a soft span meets the mark, the mark's part is kept in outline.
func apply(b []byte, spans []span, mark [2]int) ([]byte, [2]int) {
	out := make([]byte, 0, len(b)+len(spans)*len(Mask))
	m0, m1 := mark[0], mark[0]+mark[1]
	moved := [2]int{-1, -1}
	at := 0
	// note tells where the mark's ends come to lie: an end inside what was
	// copied keeps its place in it.
	copyTo := func(to int) {
		if m0 >= at && m0 < to && moved[0] < 0 {
			moved[0] = len(out) + m0 - at
		}
		if m1 >= at && m1 <= to && m1 > m0 {
			moved[1] = len(out) + m1 - at
		}
		out = append(out, b[at:to]...)
		at = to
	}
	replace := func(to int, outline bool) {
		start := len(out)
		if outline {
			out = appendOutline(out, b[at:to])
		} else {
			out = append(out, Mask...)
		}
		if m0 >= at && m0 < to && moved[0] < 0 {
			moved[0] = start
		}
		if m1 > at && m1 <= to && m1 > m0 {
			moved[1] = len(out)
		}
		at = to
	}
	for _, s := range spans {
		copyTo(s.from)
		k0, k1 := max(m0, s.from), min(m1, s.to)
		if s.hard || k0 >= k1 || !showsAttack(b[k0:k1]) {
			replace(s.to, false)
			continue
		}
		if k0 > s.from {
			replace(k0, false)
		}
		replace(k1, true)
		if k1 < s.to {
			replace(s.to, false)
		}
	}
	copyTo(len(b))
	if mark[1] == 0 {
		return out, [2]int{}
	}
	if moved[0] < 0 || moved[1] < moved[0] {
		return out, [2]int{}
	}
	return out, [2]int{moved[0], moved[1] - moved[0]}
}
