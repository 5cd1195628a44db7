package openapi

import "bytes"

// unhex answers the value of two hexadecimal digits, or -1.
func unhex(a, b byte) int {
	x, y := hexDigit(a), hexDigit(b)
	if x < 0 || y < 0 {
		return -1
	}
	return x<<4 | y
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// decode undoes percent-encoding, and plus for a space if asked. ok is false
// when an escape is malformed; the rest is decoded all the same. Text without
// escapes is answered as it is; otherwise buf grows by what is answered.
func decode(s []byte, plus bool, buf *[]byte) (out []byte, ok bool) {
	if bytes.IndexByte(s, '%') < 0 && (!plus || bytes.IndexByte(s, '+') < 0) {
		return s, true
	}
	mark := len(*buf)
	ok = true
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%':
			v := -1
			if i+2 < len(s) {
				v = unhex(s[i+1], s[i+2])
			}
			if v < 0 {
				ok = false
				break
			}
			c = byte(v)
			i += 2
		case c == '+' && plus:
			c = ' '
		}
		*buf = append(*buf, c)
	}
	return (*buf)[mark:len(*buf):len(*buf)], ok
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// normalize decodes the escapes of unreserved characters, which RFC 3986
// section 6.2.2.2 makes equal to the characters, and no others: an encoded
// slash stays within its segment.
func normalize(s []byte, buf *[]byte) []byte {
	if bytes.IndexByte(s, '%') < 0 {
		return s
	}
	mark := len(*buf)
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v := unhex(s[i+1], s[i+2]); v >= 0 && unreserved(byte(v)) {
				*buf = append(*buf, byte(v))
				i += 2
				continue
			}
		}
		*buf = append(*buf, s[i])
	}
	return (*buf)[mark:len(*buf):len(*buf)]
}

// target splits a request target (RFC 9112 section 3.2) into its path and its
// query; the authority of an absolute form is answered too.
func target(uri []byte) (authority, path, query []byte) {
	if len(uri) > 0 && uri[0] != '/' {
		if i := bytes.Index(uri, []byte("://")); i > 0 && bytes.IndexByte(uri[:i], '/') < 0 {
			rest := uri[i+3:]
			end := bytes.IndexAny(rest, "/?")
			if end < 0 {
				return rest, []byte("/"), nil
			}
			authority, uri = rest[:end], rest[end:]
		}
	}
	path, query, _ = bytes.Cut(uri, []byte("?"))
	if i := bytes.IndexByte(path, '#'); i >= 0 {
		path, query = path[:i], nil
	}
	if i := bytes.IndexByte(query, '#'); i >= 0 {
		query = query[:i]
	}
	return authority, path, query
}
