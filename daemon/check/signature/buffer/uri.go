package buffer

import "bytes"

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
