package buffer

import "bytes"

// Part is a part of a request's head.
type Part uint8

// The parts of a head that rules look at. Fields are all header lines.
const (
	Whole Part = iota
	Line
	Target
	Fields
	UserAgent
	Host
	Cookie
	Referer
	ContentType
	ContentLength
	Accept
	AcceptLanguage
	AcceptEncoding
	Connection
	Parts
)

// Head is a request's head as one text and where its parts stand in it.
type Head struct {
	Text []byte
	At   [Parts]struct{ From, To int32 }
}

// part is a field's value. No field begins at 0.
func (h *Head) part(p Part) Value {
	at := h.At[p]
	if at.From == 0 {
		return Value{}
	}
	return one(h.Text[at.From:at.To:at.To])
}

// plainFields are the lines of a plain head's fields without the cookie.
func (s *Set) plainFields() []byte {
	h := &s.headText
	lines := h.Text[h.At[Fields].From : len(h.Text)-2]
	if h.At[Cookie].From == 0 {
		return lines
	}
	from := s.begin()
	cookie := h.At[Cookie].From - int32(len("cookie: ")) - h.At[Fields].From
	s.arena = append(s.arena, lines[:cookie]...)
	s.arena = append(s.arena, lines[h.At[Cookie].To+2-h.At[Fields].From:]...)
	return s.end(from)
}

// partOf are the fields that have a part of their own, in lower case.
func partOf(name []byte) Part {
	switch len(name) {
	case 4:
		if equalFold(name, "host") {
			return Host
		}
	case 6:
		switch {
		case equalFold(name, "accept"):
			return Accept
		case equalFold(name, "cookie"):
			return Cookie
		}
	case 7:
		if equalFold(name, "referer") {
			return Referer
		}
	case 10:
		switch {
		case equalFold(name, "user-agent"):
			return UserAgent
		case equalFold(name, "connection"):
			return Connection
		}
	case 12:
		if equalFold(name, "content-type") {
			return ContentType
		}
	case 14:
		if equalFold(name, "content-length") {
			return ContentLength
		}
	case 15:
		switch {
		case equalFold(name, "accept-language"):
			return AcceptLanguage
		case equalFold(name, "accept-encoding"):
			return AcceptEncoding
		}
	}
	return Whole
}

// Part is the part of a plain head that holds every line of the buffer as it
// is, so that one look at the head does for all such buffers. ok is false for
// buffers of which that cannot be said; see Stands.
func (id ID) Part(arg string) (p Part, ok bool) {
	if arg != "" {
		return Whole, false
	}
	switch id {
	case SStart, SPayload:
		return Whole, true
	case SLine, SProtocol, NRequestLine:
		return Line, true
	case SURIRaw, SURI, NURI, NURIRaw:
		return Target, true
	case SHeader, SHeaderRaw, SRequestHeader, SHeaderNames, NHeaderRaw:
		return Fields, true
	case SUserAgent:
		return UserAgent, true
	case SHost, SHostRaw:
		return Host, true
	case SCookie, NCookieRaw:
		return Cookie, true
	case SReferer:
		return Referer, true
	case SContentType:
		return ContentType, true
	case SContentLen:
		return ContentLength, true
	case SAccept:
		return Accept, true
	case SAcceptLang:
		return AcceptLanguage, true
	case SAcceptEnc:
		return AcceptEncoding, true
	case SConnection:
		return Connection, true
	}
	return Whole, false
}

// Stands says whether a buffer that has a Part stands there in this request:
// a URI does unless normalisation changes it, the payload unless a body
// follows the head.
func (s *Set) Stands(id ID, h *Head) bool {
	switch id {
	case SURI, NURI:
		return bytes.Equal(s.Get(id, "").One, s.Req.URI)
	case SPayload:
		return len(s.Req.Body) == 0 && (s.Req.Raw == nil || bytes.Equal(s.Req.Raw, h.Text))
	}
	return true
}

// Head is the head as one text. plain says that it is written as usual: no
// header twice, none folded, one space behind each colon, no trailers, a
// target that begins with a slash. Of others nothing can be said.
func (s *Set) Head() (h *Head, plain bool) {
	q := s.Req
	h = &s.headText
	if q.Two || len(q.Trailers) > 0 || len(q.URI) == 0 || q.URI[0] != '/' {
		return h, false
	}
	var names uint64
	for i := range q.Headers {
		f := &q.Headers[i]
		n, v := f.Name, f.Value
		if len(n) == 0 || n[0] <= ' ' || n[len(n)-1] <= ' ' || len(v) > 0 && (v[0] <= ' ' || v[len(v)-1] <= ' ') || bytes.IndexByte(v, '\n') >= 0 {
			return h, false
		}
		bit := uint64(1) << ((uint(len(n))*7 + uint(n[0]|0x20)*3 + uint(n[len(n)-1]|0x20)) & 63)
		if names&bit != 0 {
			for j := range q.Headers[:i] {
				if o := q.Headers[j].Name; len(o) == len(n) && bytes.EqualFold(o, n) {
					return h, false
				}
			}
		}
		names |= bit
	}
	s.plain = s.compose(h)
	return h, s.plain
}

// compose writes the head and says whether it is what came.
func (s *Set) compose(h *Head) bool {
	q := s.Req
	t := append(h.Text[:0], q.Method...)
	t = append(t, ' ')
	clear(h.At[:])
	h.At[Target].From = int32(len(t))
	t = append(t, q.URI...)
	h.At[Target].To = int32(len(t))
	if len(q.Protocol) > 0 {
		t = append(t, ' ')
		t = append(t, q.Protocol...)
	}
	h.At[Line].To = int32(len(t))
	t = append(t, '\r', '\n')
	fields := len(t)
	for i := range q.Headers {
		f := &q.Headers[i]
		t = append(t, f.Name...)
		t = append(t, ':', ' ')
		p := partOf(f.Name)
		h.At[p].From = int32(len(t))
		t = append(t, f.Value...)
		h.At[p].To = int32(len(t))
		t = append(t, '\r', '\n')
	}
	t = append(t, '\r', '\n')
	h.Text = t
	h.At[Whole].From, h.At[Whole].To = 0, int32(len(t))
	h.At[Fields].From, h.At[Fields].To = int32(fields), int32(len(t))
	return (q.RawLine == nil || bytes.Equal(q.RawLine, t[:h.At[Line].To])) && (q.RawHeaders == nil || bytes.Equal(q.RawHeaders, t[fields:]))
}
