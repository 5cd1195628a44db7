package request

import (
	"bytes"

	"github.com/sallyport/sallyport/daemon/request/decode"
)

// MaxSegments bounds the path segments that are told apart; the rest of the
// path is one more segment.
const MaxSegments = 256

func (r *Request) target() {
	if !r.first(doneTarget) {
		return
	}
	r.rawPath = r.URI
	if q := bytes.IndexByte(r.URI, '?'); q >= 0 {
		r.rawPath, r.rawQuery = r.URI[:q], r.URI[q+1:]
	}
}

// RawPath is the path as sent, up to the question mark. Of an absolute URI it
// includes scheme and authority.
func (r *Request) RawPath() []byte { r.target(); return r.rawPath }

// RawQuery is what stands behind the first question mark, as sent.
func (r *Request) RawQuery() []byte { r.target(); return r.rawQuery }

// localPath is the raw path without an absolute URI's scheme and authority.
func (r *Request) localPath() []byte {
	p := r.RawPath()
	if len(p) == 0 || p[0] == '/' {
		return p
	}
	i := bytes.Index(p, []byte("://"))
	if i < 0 {
		return p
	}
	p = p[i+3:]
	if i = bytes.IndexByte(p, '/'); i < 0 {
		return []byte("/")
	}
	return p[i:]
}

// Path is the path as most backends read it: without an absolute URI's scheme
// and authority, percent-decoded once, dot segments removed (RFC 3986 section
// 5.2.4), doubled slashes merged, path parameters kept.
func (r *Request) Path() []byte {
	if !r.first(donePath) {
		return r.path
	}
	raw := r.localPath()
	if cleanPath(raw) {
		r.path = raw
		return raw
	}
	room, ok := r.arena.open(len(raw) + 1)
	if !ok {
		r.path = raw
		return raw
	}
	text, _, _ := decode.Percent(room, raw, false)
	r.path = r.arena.keep(removeDots(text))
	return r.path
}

// cleanPath says that decoding and normalising p would change nothing.
func cleanPath(p []byte) bool {
	if len(p) == 0 || p[0] != '/' {
		return false
	}
	for i, c := range p {
		if c == '%' || c == '/' && i+1 < len(p) && (p[i+1] == '/' || p[i+1] == '.') {
			return false
		}
	}
	return true
}

// removeDots normalises a decoded path in place. It never grows: a path
// without a leading slash is left alone ("*", an authority).
func removeDots(p []byte) []byte {
	if len(p) == 0 || p[0] != '/' {
		return p
	}
	out := p[:0]
	for i := 0; i < len(p); {
		end := bytes.IndexByte(p[i+1:], '/')
		if end < 0 {
			end = len(p)
		} else {
			end += i + 1
		}
		segment := p[i+1 : end]
		last := end == len(p)
		switch {
		case len(segment) == 0, len(segment) == 1 && segment[0] == '.':
			if last {
				out = append(out, '/')
			}
		case len(segment) == 2 && segment[0] == '.' && segment[1] == '.':
			if n := bytes.LastIndexByte(out, '/'); n >= 0 {
				out = out[:n]
			}
			if last {
				out = append(out, '/')
			}
		default:
			out = append(append(out, '/'), segment...)
		}
		i = end
	}
	if len(out) == 0 {
		out = append(out, '/')
	}
	return out
}

// Segments are the segments of Path: "/a/b" has "a" and "b", "/" none. A
// trailing slash makes no segment.
func (r *Request) Segments() [][]byte {
	if !r.first(doneSegments) {
		return r.segments
	}
	p := r.Path()
	for len(p) > 0 {
		if p[0] == '/' {
			p = p[1:]
			continue
		}
		end := bytes.IndexByte(p, '/')
		if end < 0 || len(r.segments) == MaxSegments {
			end = len(p)
		}
		r.segments = append(r.segments, p[:end])
		p = p[end:]
	}
	return r.segments
}
