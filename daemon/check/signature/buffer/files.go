package buffer

import "bytes"

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
// does not matter to Suricata; a semicolon in quotes parts nothing, where it
// counts quotes from the second byte on.
func boundary(ct []byte) []byte {
	ct = trim(ct)
	from, quoted := 0, false
	for i := 1; i <= len(ct); i++ {
		if i < len(ct) {
			if ct[i] == '"' && ct[i-1] != '\\' {
				quoted = !quoted
			}
			if quoted || ct[i] != ';' {
				continue
			}
		}
		part := trim(ct[from:i])
		from = i + 1
		if len(part) < 10 || !equalFold(part[:9], "boundary=") {
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
