package protocol

import (
	"bytes"

	"github.com/sallyport/sallyport/daemon/request"
	"github.com/sallyport/sallyport/daemon/request/decode"
)

// tokenByte are the characters of a token (RFC 9110 section 5.6.2).
var tokenByte = func() (t [256]bool) {
	for c := '0'; c <= 'z'; c++ {
		t[c] = c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a'
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return
}()

func isToken[T string | []byte](s T) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return len(s) > 0
}

// commonMethods are the methods that are no finding: HTTP's, PATCH, and
// WebDAV's and caches' that programs use.
var commonMethods = map[string]bool{"GET": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "HEAD": true,
	"OPTIONS": true, "PROPFIND": true, "PROPPATCH": true, "MKCOL": true, "COPY": true, "MOVE": true, "LOCK": true, "UNLOCK": true,
	"REPORT": true, "SEARCH": true, "QUERY": true, "PURGE": true, "LINK": true, "UNLINK": true, "MKCALENDAR": true, "ACL": true}

func (l *look) requestLine() {
	r := l.r
	switch {
	case !isToken(r.Method):
		l.find(methodToken, "", []byte(r.Method))
	case !commonMethods[r.Method]:
		l.find(methodUnusual, "", []byte(r.Method))
	}
	if len(r.URI) > l.c.s.MaxURIBytes {
		l.find(longURI, "", nil)
	}
	for _, c := range r.URI {
		if c <= ' ' || c >= 0x7f {
			l.find(rawURI, "", r.URI)
		}
		if c == '#' {
			l.find(fragment, "", r.URI)
		}
	}
	l.targetForm()
}

func (l *look) targetForm() {
	r := l.r
	uri := r.URI
	switch {
	case len(uri) > 0 && uri[0] == '/':
	case len(uri) == 1 && uri[0] == '*' && r.Method == "OPTIONS", r.Method == "CONNECT":
	case hasPrefixFold(uri, "http://") || hasPrefixFold(uri, "https://"):
		l.find(absoluteURI, "", uri)
		authority := uri[bytes.Index(uri, []byte("://"))+3:]
		if end := bytes.IndexAny(authority, "/?#"); end >= 0 {
			authority = authority[:end]
		}
		if host := r.Header("host"); host != nil && !bytes.EqualFold(withoutPort(authority), withoutPort(host)) {
			l.find(absoluteHost, "header:host", uri)
		}
	default:
		l.find(uriForm, "", uri)
	}
}

func withoutPort(h []byte) []byte {
	if i := bytes.LastIndexByte(h, ':'); i >= 0 && bytes.IndexByte(h[i:], ']') < 0 {
		return h[:i]
	}
	return h
}

func hasPrefixFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && bytes.EqualFold(b[:len(prefix)], []byte(prefix))
}

// path looks at the raw path for what a proxy and a backend split differently.
func (l *look) path() {
	p := l.r.RawPath()
	if bytes.IndexByte(p, '\\') >= 0 {
		l.find(backslashPath, "path", p)
	}
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '%':
			i = l.pathEscape(p, i)
		case c == '/' && i+1 < len(p) && (p[i+1] == '.' || p[i+1] == '%'):
			l.segment(p, p[i+1:])
		case c == '/' && i+1 < len(p) && p[i+1] == '/' && (i == 0 || p[i-1] != ':'):
			l.find(doubleSlash, "path", p)
		case c < 0x20 && c != 0 || c == 0x7f:
			l.find(controlPath, "path", p)
		}
	}
}

// pathEscape looks at the escape at i and returns its last byte's place.
func (l *look) pathEscape(p []byte, i int) int {
	if i+2 >= len(p) {
		return i
	}
	hi, ok1 := decode.Hex(p[i+1])
	lo, ok2 := decode.Hex(p[i+2])
	if !ok1 || !ok2 {
		return i
	}
	switch c := hi<<4 | lo; {
	case c == '/':
		l.find(encodedSlash, "path", p)
	case c == '\\':
		l.find(backslashPath, "path", p)
	case c == '%' && i+4 < len(p):
		_, a := decode.Hex(p[i+3])
		_, b := decode.Hex(p[i+4])
		if a && b {
			l.find(twiceEncodedPath, "path", p)
		}
	case c < 0x20 && c != 0 || c == 0x7f:
		l.find(controlPath, "path", p)
	}
	return i + 2
}

// segment looks whether a segment that begins with a dot or an escape is a dot
// segment, in plain, encoded, or with a parameter. A separator after the dots
// may be encoded, too.
func (l *look) segment(p, s []byte) {
	dots, encoded := 0, false
	for len(s) > 0 && dots < 3 {
		if s[0] == '.' {
			s = s[1:]
		} else if len(s) >= 3 && s[0] == '%' && s[1] == '2' && s[2]|0x20 == 'e' {
			s, encoded = s[3:], true
		} else if len(s) >= 5 && s[0] == '%' && s[1] == '2' && s[2] == '5' && s[3] == '2' && s[4]|0x20 == 'e' {
			s, encoded = s[5:], true
		} else {
			break
		}
		dots++
	}
	if dots == 0 || dots > 2 {
		return
	}
	end := len(s) == 0 || s[0] == '/' || s[0] == '\\'
	escapedEnd := len(s) >= 3 && s[0] == '%' && (s[1] == '2' && s[2]|0x20 == 'f' || s[1] == '5' && s[2]|0x20 == 'c')
	parameter := len(s) > 0 && s[0] == ';' || len(s) >= 3 && s[0] == '%' && s[1] == '3' && s[2]|0x20 == 'b'
	switch {
	case parameter && dots == 2:
		l.find(dotsParam, "path", p)
	case (end || escapedEnd) && encoded && dots == 2:
		l.find(encodedDots, "path", p)
	case escapedEnd && dots == 2:
		l.find(dotsSlash, "path", p)
	case end:
		l.find(pathDots, "path", p)
	}
}

// malformed looks at a value with bytes outside of ASCII.
func (l *look) malformed(v *request.Value, path bool) {
	invalid, hidden := decode.Malformed(v.Text)
	switch {
	case hidden && path:
		l.find(hiddenUTF8Path, v.Where(), v.Raw)
	case hidden:
		l.find(hiddenUTF8, v.Where(), v.Raw)
	case invalid:
		l.find(invalidUTF8, v.Where(), v.Raw)
	}
}
