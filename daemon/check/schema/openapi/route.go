package openapi

import (
	"bytes"
	"sort"
	"strings"
)

// router finds the path templates that a path matches: a tree with a level
// for each segment, so that the cost grows with the path's length and not with
// the number of operations.
//
// A concrete segment comes before one with a parameter and letters around it,
// that before a bare parameter (OpenAPI, Path Templating Matching), and where
// a way turns out wrong the next is tried.
type router struct {
	root *branch
}

// branch is where a path has got to after some segments.
type branch struct {
	static map[string]*branch
	mixed  []*mixedEdge
	param  *branch
	paths  []*path
}

// mixedEdge is a segment such as {a}-{b}.json.
type mixedEdge struct {
	text   string
	pieces []string // literal, parameter, literal, ...; parameters are ""
	weight int      // length of the literals
	to     *branch
}

// maxSegments bounds the paths that are looked up: a longer one matches nothing.
const maxSegments = 128

// maxCandidates bounds the templates that are tried for one path.
const maxCandidates = 8

func (b *branch) add(segments []string, p *path) {
	if len(segments) == 0 {
		b.paths = append(b.paths, p)
		return
	}
	seg := segments[0]
	pieces := splitSegment(seg)
	var next *branch
	switch {
	case len(pieces) == 1 && pieces[0].param:
		if b.param == nil {
			b.param = &branch{}
		}
		next = b.param
	case len(pieces) <= 1:
		if b.static == nil {
			b.static = map[string]*branch{}
		}
		var buf []byte
		key := string(normalize([]byte(seg), &buf))
		if b.static[key] == nil {
			b.static[key] = &branch{}
		}
		next = b.static[key]
	default:
		next = b.addMixed(pieces)
	}
	next.add(segments[1:], p)
}

func (b *branch) addMixed(pieces []piece) *branch {
	e := &mixedEdge{to: &branch{}}
	for _, p := range pieces {
		if p.param {
			e.pieces = append(e.pieces, "")
			e.text += "{}"
			continue
		}
		e.pieces = append(e.pieces, p.text)
		e.text += p.text
		e.weight += len(p.text)
	}
	for _, have := range b.mixed {
		if have.text == e.text {
			return have.to
		}
	}
	b.mixed = append(b.mixed, e)
	sort.SliceStable(b.mixed, func(i, j int) bool { return b.mixed[i].weight > b.mixed[j].weight })
	return e.to
}

// piece is a parameter of a template or the letters between two.
type piece struct {
	text  string
	param bool
}

func splitSegment(s string) (out []piece) {
	for s != "" {
		open := strings.IndexByte(s, '{')
		end := -1
		if open >= 0 {
			end = strings.IndexByte(s[open:], '}')
		}
		if end < 0 {
			return append(out, piece{text: s})
		}
		if open > 0 {
			out = append(out, piece{text: s[:open]})
		}
		out = append(out, piece{text: s[open+1 : open+end], param: true})
		s = s[open+end+1:]
	}
	return out
}

// match is one template that a path fits, with what its parameters hold.
type match struct {
	path   *path
	values [][]byte
}

// lookup collects the matches of a path, in the order of precedence.
type lookup struct {
	segments [][]byte
	values   [][]byte
	found    []match
	greedy   bool
	split    bool // a segment held two parameters: it can be split otherwise
}

func (l *lookup) walk(b *branch, depth int) {
	if len(l.found) >= maxCandidates {
		return
	}
	if depth == len(l.segments) {
		for _, p := range b.paths {
			if len(l.found) < maxCandidates {
				l.found = append(l.found, match{p, append([][]byte(nil), l.values...)})
			}
		}
		return
	}
	seg := l.segments[depth]
	if next := b.static[string(seg)]; next != nil {
		l.walk(next, depth+1)
	} else if b.static != nil && bytes.IndexByte(seg, '%') >= 0 {
		var buf []byte
		if plain, ok := decode(seg, false, &buf); ok && bytes.IndexByte(plain, '/') < 0 {
			if next := b.static[string(plain)]; next != nil {
				l.walk(next, depth+1)
			}
		}
	}
	if len(seg) == 0 || string(seg) == "." || string(seg) == ".." {
		return
	}
	mark := len(l.values)
	for _, e := range b.mixed {
		if e.match(seg, l) {
			l.walk(e.to, depth+1)
		}
		l.values = l.values[:mark]
	}
	if b.param != nil {
		l.values = append(l.values, seg)
		l.walk(b.param, depth+1)
		l.values = l.values[:mark]
	}
}

// match splits a segment by the literals of a template. With two parameters
// the first holds as little as can be, or with greedy as much.
func (e *mixedEdge) match(seg []byte, l *lookup) bool {
	for i := 0; i < len(e.pieces); i++ {
		lit := e.pieces[i]
		if lit != "" {
			if !bytes.HasPrefix(seg, []byte(lit)) {
				return false
			}
			seg = seg[len(lit):]
			continue
		}
		if i == len(e.pieces)-1 {
			if len(seg) == 0 {
				return false
			}
			l.values = append(l.values, seg)
			return true
		}
		after := e.pieces[i+1]
		if after == "" { // two parameters side by side
			if len(seg) < 2 {
				return false
			}
			l.values = append(l.values, seg[:1])
			seg = seg[1:]
			continue
		}
		at := -1
		switch {
		case i+1 == len(e.pieces)-1:
			if len(seg) > len(after) && bytes.HasSuffix(seg, []byte(after)) {
				at = len(seg) - len(after)
			}
		case l.greedy:
			at = bytes.LastIndex(seg, []byte(after))
		default:
			if len(seg) > 1 {
				if at = bytes.Index(seg[1:], []byte(after)); at >= 0 {
					at++
				}
			}
		}
		if at < 1 {
			return false
		}
		l.split = l.split || i+2 < len(e.pieces)
		l.values = append(l.values, seg[:at])
		seg = seg[at:]
	}
	return len(seg) == 0
}

// splitPath cuts a normalized path into its segments; ok is false when it does
// not begin with a slash or has too many.
func splitPath(p []byte, into [][]byte) (segments [][]byte, ok bool) {
	if len(p) == 0 || p[0] != '/' {
		return into, false
	}
	p = p[1:]
	for {
		if len(into) >= maxSegments {
			return into, false
		}
		i := bytes.IndexByte(p, '/')
		if i < 0 {
			return append(into, p), true
		}
		into = append(into, p[:i])
		p = p[i+1:]
	}
}
