package buffer

import (
	"bytes"

	"github.com/sallyport/sallyport/daemon/request"
)

// merged is a header with its repetitions joined, as libhtp keeps it.
type merged struct {
	name, value []byte
	times       int
}

// headers joins repeated headers, "a, b", at the place of the first.
func (s *Set) headers() []merged {
	if s.merging {
		return s.merged
	}
	s.merging = true
	n := len(s.Req.Headers)
	if s.plain {
		for i := range s.Req.Headers {
			h := &s.Req.Headers[i]
			s.merged = append(s.merged, merged{h.Name, h.Value, 1})
		}
		return s.merged
	}
	for k := 0; k < n+len(s.Req.Trailers); k++ {
		// Trailers of a chunked body join the headers.
		h := request.Header{}
		if k < n {
			h = s.Req.Headers[k]
		} else {
			h = s.Req.Trailers[k-n]
		}
		name := trim(h.Name)
		value := s.unfold(trim(h.Value))
		at := -1
		for i := range s.merged {
			if len(s.merged[i].name) == len(name) && bytes.EqualFold(s.merged[i].name, name) {
				at = i
				break
			}
		}
		if at < 0 {
			s.merged = append(s.merged, merged{name, value, 1})
			continue
		}
		m := &s.merged[at]
		m.times++
		if m.times > 64 || equalFold(name, "content-length") {
			continue
		}
		from := s.begin()
		s.arena = append(s.arena, m.value...)
		s.arena = append(s.arena, ", "...)
		s.arena = append(s.arena, value...)
		m.value = s.end(from)
	}
	return s.merged
}

// unfold takes the line ends out of a folded value; the space that a folded
// line begins with stays.
func (s *Set) unfold(v []byte) []byte {
	if bytes.IndexByte(v, '\n') < 0 {
		return v
	}
	from := s.begin()
	for i := 0; i < len(v); i++ {
		if v[i] == '\n' || v[i] == '\r' && i+1 < len(v) && v[i+1] == '\n' {
			continue
		}
		s.arena = append(s.arena, v[i])
	}
	return trim(s.end(from))
}

func (s *Set) mergedHeader(lower string) Value {
	if s.plain {
		if p := partOf([]byte(lower)); p != Whole {
			return s.headText.part(p)
		}
	}
	for _, h := range s.headers() {
		if equalFold(h.name, lower) {
			return one(h.value)
		}
	}
	return Value{}
}

func (s *Set) suricata(id ID) Value {
	q := s.Req
	switch id {
	case SURI:
		v := s.normalURI()
		return Value{One: v, Present: len(v) > 0}
	case SURIRaw:
		return Value{One: q.URI, Present: len(q.URI) > 0}
	case SMethod:
		return Value{One: q.Method, Present: len(q.Method) > 0}
	case SLine:
		return one(s.line())
	case SProtocol:
		return Value{One: q.Protocol, Present: len(q.Protocol) > 0}
	case SHeader:
		if s.plain {
			v := s.plainFields()
			return Value{One: v, Present: len(v) > 0}
		}
		cookie := "cookie"
		if q.Answer {
			cookie = "set-cookie"
		}
		s.headers() // joins into the arena first
		from := s.begin()
		for _, h := range s.merged {
			if equalFold(h.name, cookie) {
				continue
			}
			s.arena = append(s.arena, h.name...)
			s.arena = append(s.arena, ": "...)
			s.arena = append(s.arena, h.value...)
			s.arena = append(s.arena, "\r\n"...)
		}
		v := s.end(from)
		return Value{One: v, Present: len(v) > 0}
	case SHeaderRaw:
		v := s.rawHeaders()
		if len(q.RawTrailers) > 0 {
			from := s.begin()
			s.arena = append(append(s.arena, v...), q.RawTrailers...)
			v = s.end(from)
		}
		return Value{One: v, Present: len(v) > 0}
	case SHeaderNames:
		s.headers()
		from := s.begin()
		s.arena = append(s.arena, "\r\n"...)
		for _, h := range s.merged {
			s.arena = append(s.arena, h.name...)
			s.arena = append(s.arena, "\r\n"...)
		}
		s.arena = append(s.arena, "\r\n"...)
		return Value{One: s.end(from), Present: len(s.merged) > 0}
	case SRequestHeader:
		s.headers()
		first := len(s.parts)
		for _, h := range s.merged {
			from := s.begin()
			s.arena = append(s.arena, h.name...)
			s.arena = append(s.arena, ": "...)
			s.arena = append(s.arena, h.value...)
			s.parts = append(s.parts, s.end(from))
		}
		return Value{Many: s.parts[first:len(s.parts):len(s.parts)], Present: len(s.parts) > first}
	case SCookie:
		return s.mergedHeader("cookie")
	case SUserAgent:
		return s.mergedHeader("user-agent")
	case SReferer:
		return s.mergedHeader("referer")
	case SContentType:
		return s.mergedHeader("content-type")
	case SContentLen:
		return s.mergedHeader("content-length")
	case SAccept:
		return s.mergedHeader("accept")
	case SAcceptLang:
		return s.mergedHeader("accept-language")
	case SAcceptEnc:
		return s.mergedHeader("accept-encoding")
	case SConnection:
		return s.mergedHeader("connection")
	case SHost:
		return s.host(false)
	case SHostRaw:
		return s.host(true)
	case SStart:
		s.headers()
		line := s.line()
		from := s.begin()
		s.arena = append(s.arena, line...)
		s.arena = append(s.arena, "\r\n"...)
		for _, h := range s.merged {
			s.arena = append(s.arena, h.name...)
			s.arena = append(s.arena, ": "...)
			s.arena = append(s.arena, h.value...)
			s.arena = append(s.arena, "\r\n"...)
		}
		if len(s.merged) > 0 {
			s.arena = append(s.arena, "\r\n"...)
		}
		return one(s.end(from))
	case SBody:
		b := s.decoded()
		return Value{One: b, Present: len(b) > 0}
	case SFileData:
		return s.files(false)
	case SFileName:
		return s.files(true)
	case SPayload:
		return one(s.raw())
	}
	return Value{}
}

// host is the name the request was sent to: of an absolute target, else of
// the Host header. The normalised form is in lower case, without port.
func (s *Set) host(raw bool) Value {
	var h []byte
	if p := s.parts4(); p.hasScheme && len(p.authority) > 0 {
		h = p.authority
		if i := bytes.LastIndexByte(h, '@'); i >= 0 {
			h = h[i+1:]
		}
		if i := bytes.LastIndexByte(h, ':'); i >= 0 && bytes.IndexByte(h[i:], ']') < 0 {
			h = h[:i]
		}
	} else {
		v := s.mergedHeader("host")
		if !v.Present || raw {
			return v
		}
		h = v.One
	}
	if len(h) > 0 && h[0] == '[' {
		if i := bytes.IndexByte(h, ']'); i > 0 {
			h = h[:i+1]
		}
	} else if i := bytes.IndexByte(h, ':'); i >= 0 {
		h = bytes.TrimRight(h[:i], " \t")
	}
	if len(h) == 0 {
		return Value{}
	}
	from := s.begin()
	for _, c := range h {
		if c >= 'A' && c <= 'Z' {
			c += 32
		}
		s.arena = append(s.arena, c)
	}
	return one(s.end(from))
}
