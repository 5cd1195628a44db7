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

// uriParts are the parts of a request target.
type uriParts struct {
	scheme, authority, path, query, fragment []byte
	hasScheme, hasPath, hasQuery, hasFrag    bool
}

// splitURI takes a request target apart as libhtp does: a scheme is looked
// for only where the target does not begin with a slash.
func splitURI(u []byte) (p uriParts) {
	rest := u
	if len(rest) > 0 && rest[0] != '/' {
		if i := bytes.IndexByte(rest, ':'); i > 0 && bytes.HasPrefix(rest[i+1:], []byte("//")) {
			p.scheme, p.hasScheme = rest[:i], true
			rest = rest[i+3:]
			end := bytes.IndexAny(rest, "/?#")
			if end < 0 {
				end = len(rest)
			}
			p.authority, rest = rest[:end], rest[end:]
		} else if i > 0 && !bytes.ContainsAny(rest[:i], "/?#") && !bytes.HasPrefix(rest, []byte("*")) {
			// scheme:path, without an authority
			p.scheme, p.hasScheme = rest[:i], true
			rest = rest[i+1:]
		}
	}
	if i := bytes.IndexByte(rest, '#'); i >= 0 {
		p.fragment, p.hasFrag = rest[i+1:], true
		rest = rest[:i]
	}
	if i := bytes.IndexByte(rest, '?'); i >= 0 {
		p.query, p.hasQuery = rest[i+1:], true
		rest = rest[:i]
	}
	p.path, p.hasPath = rest, len(rest) > 0
	return p
}

func (s *Set) parts4() *uriParts {
	if !s.hasURI {
		s.hasURI = true
		s.uri = splitURI(s.Req.URI)
	}
	return &s.uri
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
		s.headers() // joins into the arena first
		from := s.begin()
		for _, h := range s.merged {
			if equalFold(h.name, "cookie") {
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

// normalURI is path, query and fragment after libhtp's normalisation: the
// path decoded, backslashes turned, slashes merged, dot segments removed; the
// query decoded once, its plus signs kept.
func (s *Set) normalURI() []byte {
	if bytes.Equal(s.Req.Method, []byte("CONNECT")) {
		return s.Req.URI
	}
	if simple(s.Req.URI) {
		return s.Req.URI
	}
	p := s.parts4()
	from := s.begin()
	if p.hasPath {
		s.arena = decodePath(s.arena, p.path)
		s.arena = bestFitUTF8(s.arena, from)
		s.arena = removeDots(s.arena, from)
	}
	if p.hasQuery {
		s.arena = append(s.arena, '?')
		s.arena = decodePercent(s.arena, p.query, true)
	}
	if p.hasFrag {
		s.arena = append(s.arena, '#')
		s.arena = decodePercent(s.arena, p.fragment, true)
	}
	return s.end(from)
}

// simple says that normalisation leaves a target as it is.
func simple(u []byte) bool {
	if len(u) == 0 || u[0] != '/' {
		return false
	}
	last := byte(0)
	for _, c := range u {
		if c >= 0x80 || c == '%' || c == '\\' || last == '/' && (c == '/' || c == '.') {
			return false
		}
		last = c
	}
	return true
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// decodePercent appends b with %XX, and with u also %uXXXX, decoded.
func decodePercent(dst, b []byte, u bool) []byte {
	for i := 0; i < len(b); i++ {
		if b[i] != '%' {
			dst = append(dst, b[i])
			continue
		}
		if u && i+5 < len(b) && b[i+1]|0x20 == 'u' {
			if v := hex4(b[i+2:]); v >= 0 {
				dst = append(dst, bestFit(v))
				i += 5
				continue
			}
		}
		if i+2 < len(b) && hexValue(b[i+1]) >= 0 && hexValue(b[i+2]) >= 0 {
			dst = append(dst, byte(hexValue(b[i+1])<<4|hexValue(b[i+2])))
			i += 2
			continue
		}
		dst = append(dst, '%')
	}
	return dst
}

func hex4(b []byte) int {
	v := 0
	for i := 0; i < 4; i++ {
		h := hexValue(b[i])
		if h < 0 {
			return -1
		}
		v = v<<4 | h
	}
	return v
}

// bestFit is the byte a code point is replaced by; full-width forms are read
// as their ASCII twins, what has no twin becomes a question mark.
func bestFit(v int) byte {
	switch {
	case v < 0x100:
		return byte(v)
	case v >= 0xff01 && v <= 0xff5e:
		return byte(v - 0xff01 + 0x21)
	case v == 0x2044 || v == 0x2215:
		return '/'
	case v == 0x2216:
		return '\\'
	}
	return '?'
}

// decodePath appends a path decoded, with backslashes as slashes and runs of
// slashes as one.
func decodePath(dst, b []byte) []byte {
	start := len(dst)
	dst = decodePercent(dst, b, true)
	w := start
	for i := start; i < len(dst); i++ {
		c := dst[i]
		if c == '\\' {
			c = '/'
		}
		if c == '/' && w > start && dst[w-1] == '/' {
			continue
		}
		dst[w] = c
		w++
	}
	return dst[:w]
}

// bestFitUTF8 replaces the UTF-8 sequences in dst[from:], overlong ones too,
// by single bytes, and what is no UTF-8 by question marks.
func bestFitUTF8(dst []byte, from int) []byte {
	p := dst[from:]
	plain := true
	for _, c := range p {
		plain = plain && c < 0x80
	}
	if plain {
		return dst
	}
	w := 0
	for i := 0; i < len(p); {
		v, n := sequence(p[i:])
		if n > 0 {
			p[w] = bestFit(v)
		} else {
			p[w], n = '?', -n
		}
		w++
		i += n
	}
	return dst[:from+w]
}

// sequence decodes the UTF-8 sequence that b begins with, overlong or not; n
// is how many bytes it took, negated if they are no UTF-8.
func sequence(b []byte) (v, n int) {
	c := b[0]
	more := 0
	switch {
	case c < 0x80:
		return int(c), 1
	case c&0xe0 == 0xc0:
		v, more = int(c&0x1f), 1
	case c&0xf0 == 0xe0:
		v, more = int(c&0x0f), 2
	case c&0xf8 == 0xf0 && c < 0xf5:
		v, more = int(c&0x07), 3
	default:
		return 0, -1
	}
	for n = 1; n <= more; n++ {
		if n >= len(b) || b[n]&0xc0 != 0x80 {
			return 0, -n
		}
		v = v<<6 | int(b[n]&0x3f)
	}
	return v, n
}

// removeDots removes the dot segments of dst[from:] as libhtp does. Unlike RFC
// 3986 has it, a path that ends in a dot segment ends without a slash.
func removeDots(dst []byte, from int) []byte {
	p := dst[from:]
	if bytes.IndexByte(p, '.') < 0 {
		return dst
	}
	i, w, n := 0, 0, len(p)
	for i < n && p[i] == '.' {
		rest := p[i:]
		switch {
		case bytes.HasPrefix(rest, []byte("./")):
			i += 2
		case bytes.HasPrefix(rest, []byte("../")):
			i += 3
		case len(rest) == 1 || len(rest) == 2 && rest[1] == '.':
			return dst[:from]
		default:
			p[w] = '.'
			w++
			i++
			for i < n && p[i] == '.' {
				p[w] = '.'
				w++
				i++
			}
		}
		if w > 0 {
			break
		}
	}
	pop := func() {
		for w > 0 && p[w-1] != '/' {
			w--
		}
		w = max(w-1, 0)
	}
	for i < n {
		if p[i] != '/' {
			p[w] = p[i]
			w++
			i++
			continue
		}
		dots := false
	segments:
		for {
			switch rest := p[i+1:]; {
			case bytes.HasPrefix(rest, []byte("./")):
				i += 2
			case bytes.HasPrefix(rest, []byte("../")):
				pop()
				i += 3
			case len(rest) == 1 && rest[0] == '.':
				return dst[:from+w]
			case len(rest) == 2 && rest[0] == '.' && rest[1] == '.':
				pop()
				return dst[:from+w]
			default:
				break segments
			}
			dots = true
		}
		if i+1 < n || !dots {
			p[w] = '/'
			w++
		}
		i++
	}
	return dst[:from+w]
}

// files are the bodies that Suricata takes for files: the parts of a
// multipart form that have a file name, else the body of a POST or PUT, named
// by its path.
func (s *Set) files(name bool) Value {
	if len(s.Req.Body) == 0 {
		if name {
			// The answer's file has the name that was asked for.
			return s.pathName()
		}
		return Value{}
	}
	body := s.decoded()
	if b := boundary(s.mergedHeader("content-type").One); b != nil && bytes.Equal(s.Req.Method, []byte("POST")) {
		first := len(s.parts)
		s.multipart(body, b, name)
		return Value{Many: s.parts[first:len(s.parts):len(s.parts)], Present: len(s.parts) > first}
	}
	if !bytes.Equal(s.Req.Method, []byte("POST")) && !bytes.Equal(s.Req.Method, []byte("PUT")) {
		return Value{}
	}
	if name {
		return s.pathName()
	}
	return one(body)
}

func (s *Set) pathName() Value {
	p := s.parts4()
	from := s.begin()
	s.arena = decodePath(s.arena, p.path)
	s.arena = bestFitUTF8(s.arena, from)
	s.arena = removeDots(s.arena, from)
	v := s.end(from)
	return Value{One: v, Present: len(v) > 0}
}

// indexFold is where a text in lower case stands in b, in any case.
func indexFold(b []byte, lower string) int {
	for i := 0; i+len(lower) <= len(b); i++ {
		if equalFold(b[i:i+len(lower)], lower) {
			return i
		}
	}
	return -1
}

// boundary is the boundary that a content type names, or nil. The type itself
// does not matter to Suricata.
func boundary(ct []byte) []byte {
	for first := true; len(ct) > 0; first = false {
		var part []byte
		part, ct, _ = bytes.Cut(ct, []byte(";"))
		part = trim(part)
		if first || len(part) < 10 || !equalFold(part[:9], "boundary=") {
			continue
		}
		b := part[9:]
		if j := bytes.IndexAny(b, ", \t"); j >= 0 && b[0] != '"' {
			b = b[:j]
		}
		b = bytes.Trim(b, `"`)
		if len(b) > 0 && len(b) <= 200 {
			return b
		}
	}
	return nil
}

// maxFiles bounds the files taken from one multipart body.
const maxFiles = 64

func (s *Set) multipart(body, bound []byte, name bool) {
	from := s.begin()
	s.arena = append(append(s.arena, "--"...), bound...)
	mark := s.end(from)
	for n := 0; n < maxFiles; n++ {
		i := bytes.Index(body, mark)
		if i < 0 {
			return
		}
		body = body[i+len(mark):]
		if bytes.HasPrefix(body, []byte("--")) {
			return
		}
		head, rest, ok := bytes.Cut(body, []byte("\r\n\r\n"))
		if !ok {
			return
		}
		end := bytes.Index(rest, mark)
		part := rest
		if end >= 0 {
			part = bytes.TrimSuffix(rest[:end], []byte("\r\n"))
		}
		if f := attribute(head, "filename="); f != nil {
			if name {
				s.parts = append(s.parts, f)
			} else {
				s.parts = append(s.parts, part)
			}
		}
		body = rest
	}
}

// attribute is a quoted or bare attribute of a part's headers.
func attribute(head []byte, name string) []byte {
	i := indexFold(head, name)
	if i < 0 {
		return nil
	}
	v := head[i+len(name):]
	if len(v) > 0 && v[0] == '"' {
		v = v[1:]
		if j := bytes.IndexByte(v, '"'); j >= 0 {
			return v[:j]
		}
		return v
	}
	if j := bytes.IndexAny(v, "; \r\n"); j >= 0 {
		v = v[:j]
	}
	return v
}
