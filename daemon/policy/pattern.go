package policy

import (
	"bytes"
	"fmt"
	"strings"
)

// pattern is a path pattern: segments that match themselves, {name} matches
// one segment, and ** at the end any rest, none included.
type pattern struct {
	all      bool // matches every path
	segments []string
	rest     bool
}

const (
	anySegment    = ""  // {name}
	trailingSlash = "/" // an empty last segment
)

func parsePattern(s string) (pattern, error) {
	if s == "" || s == "/**" {
		return pattern{all: true}, nil
	}
	if s[0] != '/' {
		return pattern{}, fmt.Errorf("path pattern %q must begin with /", s)
	}
	var p pattern
	parts := strings.Split(s[1:], "/")
	for i, seg := range parts {
		switch {
		case seg == "**":
			if i != len(parts)-1 {
				return pattern{}, fmt.Errorf("path pattern %q: ** may stand only at the end", s)
			}
			p.rest = true
		case len(seg) > 2 && seg[0] == '{' && seg[len(seg)-1] == '}' && !strings.ContainsAny(seg[1:len(seg)-1], "*{}"):
			p.segments = append(p.segments, anySegment)
		case strings.ContainsAny(seg, "*{}"):
			return pattern{}, fmt.Errorf("path pattern %q: segment %q: expected plain text, {name} for one segment, or ** at the end", s, seg)
		case seg == "" && i != len(parts)-1:
			return pattern{}, fmt.Errorf("path pattern %q has an empty segment; paths are matched with doubled slashes merged", s)
		case seg == "":
			p.segments = append(p.segments, trailingSlash)
		default:
			p.segments = append(p.segments, seg)
		}
	}
	return p, nil
}

func (p *pattern) match(path []byte) bool {
	if p.all {
		return true
	}
	if len(path) == 0 || path[0] != '/' {
		return false
	}
	path = path[1:]
	more := true
	for _, want := range p.segments {
		if !more {
			return false
		}
		var seg []byte
		seg, path, more = bytes.Cut(path, []byte{'/'})
		switch want {
		case anySegment:
			if len(seg) == 0 {
				return false
			}
		case trailingSlash:
			if len(seg) != 0 || more {
				return false
			}
		default:
			if string(seg) != want {
				return false
			}
		}
	}
	return p.rest || !more
}
