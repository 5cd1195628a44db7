package buffer

import (
	"bytes"
	"net/url"
	"strconv"
)

func (s *Set) snort3(id ID, arg string) Value {
	q := s.Req
	some := func(b []byte) Value { return Value{One: b, Present: len(b) > 0} }
	switch id {
	case NURI:
		return some(s.snortURI(arg, true))
	case NURIRaw:
		return some(s.snortURI(arg, false))
	case NMethod:
		return some(q.Method)
	case NVersion:
		return some(q.Protocol)
	case NRequestLine:
		return some(s.line())
	case NHeaderRaw:
		if arg != "" {
			return s.snortField(arg, false)
		}
		return some(s.snortHeaders())
	case NHeader:
		if arg != "" {
			return s.snortField(arg, true)
		}
		return some(s.classic(s.snortHeaders()))
	case NCookieRaw:
		return s.snortField("cookie", true)
	case NCookie:
		v := s.snortField("cookie", true)
		v.One = s.classic(v.One)
		return v
	case NBody:
		return some(s.classic(s.decoded()))
	case NBodyRaw, NFileData:
		return some(s.decoded())
	case NTrailer, NTrailerRaw:
		return s.trailer(arg)
	case NTrueIP:
		for _, name := range [...]string{"x-forwarded-for", "true-client-ip"} {
			if v, ok := s.header(name); ok {
				// "the last IP address listed", Snort 3's manual of http_inspect.
				return some(trim(v[bytes.LastIndexByte(v, ',')+1:]))
			}
		}
		return Value{}
	case NParam:
		return s.param(arg)
	case NPayload:
		if arg == "body" {
			return some(s.decoded())
		}
		return s.sections()
	case NNumHeaders, NNumTrailers, NNumCookies, NMaxHeader, NMaxTrailer:
		from := s.begin()
		s.arena = strconv.AppendInt(s.arena, int64(s.counted(id)), 10)
		return one(s.end(from))
	}
	return Value{}
}

// counted is a number of http_inspect's: of lines, of cookies, of bytes.
func (s *Set) counted(id ID) int {
	q := s.Req
	switch id {
	case NNumHeaders:
		return len(q.Headers)
	case NNumTrailers:
		return len(q.Trailers)
	case NNumCookies:
		n := 0
		for _, h := range q.Headers {
			if equalFold(trim(h.Name), "cookie") {
				n += bytes.Count(h.Value, []byte(";")) + 1
			}
		}
		return n
	}
	lines := q.Headers
	if id == NMaxTrailer {
		lines = q.Trailers
	}
	longest := 0
	for _, h := range lines {
		longest = max(longest, len(h.Name)+len(": ")+len(h.Value))
	}
	return longest
}

// sections are what Snort 3 looks at one after another: the head, then the
// body.
func (s *Set) sections() Value {
	first := len(s.parts)
	head := bytes.TrimRight(s.rawHeaders(), "\r\n")
	s.parts = append(s.parts, head)
	if b := s.decoded(); len(b) > 0 {
		s.parts = append(s.parts, b)
	}
	return Value{Many: s.parts[first:len(s.parts):len(s.parts)], Present: true}
}

// snortURI is the target or one of its parts.
func (s *Set) snortURI(part string, norm bool) []byte {
	u := s.Req.URI
	p := s.parts4()
	absolute := p.hasScheme && len(p.authority) > 0
	host, port := p.authority, []byte(nil)
	if i := bytes.IndexByte(host, ':'); i >= 0 {
		host, port = host[:i], host[i+1:]
	}
	clean := func(b []byte, path bool) []byte {
		if !norm {
			return b
		}
		return s.normalise(b, path)
	}
	switch part {
	case "":
	case "scheme":
		return p.scheme
	case "host":
		return clean(host, false)
	case "port":
		return port
	case "path":
		return clean(p.path, true)
	case "query":
		return clean(p.query, false)
	case "fragment":
		return clean(p.fragment, false)
	}
	if !norm || bytes.Equal(u, []byte("*")) || bytes.Equal(s.Req.Method, []byte("CONNECT")) {
		return u
	}
	if len(u) > 0 && u[0] != '/' && !absolute {
		return u
	}
	path, query, frag := clean(p.path, true), clean(p.query, false), clean(p.fragment, false)
	if absolute {
		host = clean(host, false)
	}
	from := s.begin()
	if absolute {
		s.arena = append(append(append(s.arena, p.scheme...), "://"...), host...)
		if port != nil {
			s.arena = append(append(s.arena, ':'), port...)
		}
	}
	s.arena = append(s.arena, path...)
	if p.hasQuery {
		s.arena = append(append(s.arena, '?'), query...)
	}
	if p.hasFrag {
		s.arena = append(append(s.arena, '#'), frag...)
	}
	return s.end(from)
}

// normalise is http_inspect's normalisation with its defaults: percent signs
// decoded, UTF-8 behind them reduced, doubly encoded once more, backslash to
// slash, plus to space; in a path also dot segments and double slashes.
func (s *Set) normalise(b []byte, path bool) []byte {
	if !needsNormal(b, path) {
		return b
	}
	from := s.begin()
	again, wide := false, false
	for i := 0; i < len(b); i++ {
		if b[i] != '%' {
			s.arena = append(s.arena, b[i])
			continue
		}
		if i+2 < len(b) && hexValue(b[i+1]) >= 0 && hexValue(b[i+2]) >= 0 {
			c := byte(hexValue(b[i+1])<<4 | hexValue(b[i+2]))
			again = again || c == '%'
			wide = wide || c >= 0xc0
			s.arena = append(s.arena, c)
			i += 2
			continue
		}
		if i+1 < len(b) && b[i+1] == '%' {
			i++
		}
		again = true
		s.arena = append(s.arena, '%')
	}
	if wide {
		s.reduceUTF8(from)
	}
	if again {
		w := from
		for i := from; i < len(s.arena); i++ {
			c := s.arena[i]
			if c == '%' && i+2 < len(s.arena) && hexValue(s.arena[i+1]) >= 0 && hexValue(s.arena[i+2]) >= 0 {
				c = byte(hexValue(s.arena[i+1])<<4 | hexValue(s.arena[i+2]))
				i += 2
			}
			s.arena[w] = c
			w++
		}
		s.arena = s.arena[:w]
	}
	for i := from; i < len(s.arena); i++ {
		switch s.arena[i] {
		case '\\':
			s.arena[i] = '/'
		case '+':
			s.arena[i] = ' '
		}
	}
	if path {
		s.cleanPath(from)
	}
	return s.end(from)
}

func needsNormal(b []byte, path bool) bool {
	for i, c := range b {
		switch c {
		case '%', '\\', '+':
			return true
		case '/', '.':
			if path && i > 0 && (b[i-1] == '/' || b[i-1] == '.') {
				return true
			}
		}
	}
	return false
}

// reduceUTF8 replaces two- and three-byte sequences by one byte: the code
// point where it fits, else 0xff.
func (s *Set) reduceUTF8(from int) {
	b := s.arena
	w := from
	for i := from; i < len(b); i++ {
		v := -1
		switch {
		case b[i]&0xe0 == 0xc0 && i+1 < len(b) && b[i+1]&0xc0 == 0x80:
			v = int(b[i]&0x1f)<<6 | int(b[i+1]&0x3f)
			i++
		case b[i]&0xf0 == 0xe0 && i+2 < len(b) && b[i+1]&0xc0 == 0x80 && b[i+2]&0xc0 == 0x80:
			v = int(b[i]&0xf)<<12 | int(b[i+1]&0x3f)<<6 | int(b[i+2]&0x3f)
			i += 2
		}
		if v < 0 {
			b[w] = b[i]
		} else if v <= 0xff {
			b[w] = byte(v)
		} else {
			b[w] = 0xff
		}
		w++
	}
	s.arena = b[:w]
}

// cleanPath removes double slashes and dot segments from the arena's end, as
// if a slash followed it. A ".." that has nothing before it stays.
func (s *Set) cleanPath(from int) {
	in := s.arena[from:]
	n := len(in)
	w := 0
	for k := 0; k <= n; k++ {
		if k < n && in[k] != '/' || k == 0 {
			if k < n {
				in[w] = in[k]
				w++
			}
			continue
		}
		switch {
		case k < n && w >= 1 && in[w-1] == '/':
		case w >= 2 && in[w-1] == '.' && in[w-2] == '/':
			w--
		case w >= 3 && in[w-1] == '.' && in[w-2] == '.' && in[w-3] == '/':
			if w == 3 || w >= 6 && string(in[w-6:w-3]) == "/.." {
				if k < n {
					in[w] = '/'
					w++
				}
				break
			}
			for w -= 3; w > 0 && in[w-1] != '/'; w-- {
			}
		case k < n:
			in[w] = '/'
			w++
		}
	}
	s.arena = s.arena[:from+w]
}

// classic is the normalisation of headers, cookies and bodies: that of a
// query.
func (s *Set) classic(b []byte) []byte { return s.normalise(b, false) }

// snortHeaders is the header block as it came, without cookies and without
// the end of its last line.
func (s *Set) snortHeaders() []byte {
	raw := bytes.TrimRight(s.rawHeaders(), "\r\n")
	if _, ok := s.header("cookie"); !ok {
		return raw
	}
	from := s.begin()
	for len(raw) > 0 {
		end := lineEnd(raw)
		line := raw[:end]
		raw = raw[end:]
		if len(line) >= 7 && bytes.EqualFold(line[:6], []byte("cookie")) && bytes.HasPrefix(bytes.TrimLeft(line[6:], " \t"), []byte(":")) {
			continue
		}
		s.arena = append(s.arena, line...)
	}
	return s.end(from)
}

// lineEnd is where the header that b begins with ends, folded lines and
// separators included.
func lineEnd(b []byte) int {
	for i := 0; i < len(b); i++ {
		if b[i] != '\n' {
			continue
		}
		if i+1 < len(b) && (b[i+1] == ' ' || b[i+1] == '\t') {
			continue
		}
		return i + 1
	}
	return len(b)
}

// snortField is one header's value: normalised, all of that name joined by
// commas; raw, the first as it came.
func (s *Set) snortField(name string, norm bool) Value {
	var found [][]byte
	first := len(s.parts)
	for _, h := range s.Req.Headers {
		if equalFold(trim(h.Name), name) {
			s.parts = append(s.parts, h.Value)
		}
	}
	found = s.parts[first:]
	if len(found) == 0 {
		return Value{}
	}
	if !norm {
		return Value{One: found[0], Present: len(found[0]) > 0}
	}
	if len(found) == 1 && bytes.IndexByte(found[0], '\n') < 0 {
		v := trim(found[0])
		return Value{One: v, Present: len(v) > 0}
	}
	from := s.begin()
	for i, f := range found {
		if i > 0 {
			s.arena = append(s.arena, ',')
		}
		s.arena = append(s.arena, s.unfoldTrim(f)...)
	}
	v := s.end(from)
	return Value{One: v, Present: len(v) > 0}
}

func (s *Set) unfoldTrim(v []byte) []byte {
	v = trim(v)
	if bytes.IndexByte(v, '\n') < 0 {
		return v
	}
	return bytes.Join(bytes.Fields(v), []byte(" "))
}

func (s *Set) trailer(arg string) Value {
	from := s.begin()
	for _, h := range s.Req.Trailers {
		if arg != "" {
			if equalFold(trim(h.Name), arg) {
				v := trim(h.Value)
				return Value{One: v, Present: len(v) > 0}
			}
			continue
		}
		if len(s.arena) > from {
			s.arena = append(s.arena, "\r\n"...)
		}
		s.arena = append(append(append(s.arena, h.Name...), ": "...), h.Value...)
	}
	v := s.end(from)
	return Value{One: v, Present: len(v) > 0 && arg == ""}
}

// maxParams bounds the parameters of one name that are looked at.
const maxParams = 64

// param are the values of a parameter in the query and in a form body. A
// leading "~" asks for the name in any case.
func (s *Set) param(name string) Value {
	fold := false
	if len(name) > 0 && name[0] == '~' {
		fold, name = true, name[1:]
	}
	first := len(s.parts)
	take := func(text []byte) {
		for len(text) > 0 && len(s.parts)-first < maxParams {
			var pair []byte
			pair, text, _ = bytes.Cut(text, []byte("&"))
			k, v, _ := bytes.Cut(pair, []byte("="))
			key, err := url.QueryUnescape(string(k))
			if err != nil {
				key = string(k)
			}
			if key == name || fold && bytes.EqualFold([]byte(key), []byte(name)) {
				s.parts = append(s.parts, s.normalise(v, false))
			}
		}
	}
	take(s.parts4().query)
	if ct, _ := s.header("content-type"); bytes.HasPrefix(bytes.ToLower(ct), []byte("application/x-www-form-urlencoded")) {
		take(s.decoded())
	}
	return Value{Many: s.parts[first:len(s.parts):len(s.parts)], Present: len(s.parts) > first}
}
