package openapi

import (
	"bytes"
	"errors"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/schema/jsonschema"
	"github.com/sallyport/sallyport/daemon/request"
)

// Template is one path template, "/orders/{id}", on its own.
type Template struct {
	Names []string // of its parameters, in order
	root  *branch
}

// NewTemplate reads a template.
func NewTemplate(s string) (*Template, error) {
	if !strings.HasPrefix(s, "/") {
		return nil, errors.New(`a path template begins with a slash, as "/orders/{id}"`)
	}
	t := &Template{root: &branch{}}
	segments := strings.Split(s[1:], "/")
	for _, seg := range segments {
		for _, p := range splitSegment(seg) {
			if p.param {
				t.Names = append(t.Names, p.text)
			}
		}
	}
	t.root.add(segments, &path{template: s})
	return t, nil
}

// Match says whether a request target fits, and what its parameters hold,
// decoded.
func (t *Template) Match(uri []byte) (values [][]byte, ok bool) {
	_, p, _ := target(uri)
	var buf []byte
	segments, ok := splitPath(normalize(p, &buf), nil)
	if !ok {
		return nil, false
	}
	l := lookup{segments: segments}
	if l.walk(t.root, 0); len(l.found) == 0 {
		return nil, false
	}
	for _, raw := range l.found[0].values {
		plain, _ := decode(raw, false, &buf)
		values = append(values, plain)
	}
	return values, true
}

// QueryObject puts a query together as an object of texts: a name that comes
// several times is an array, and so is one that the schema wants to be one.
func QueryObject(in *jsonschema.Instance, uri []byte, s *jsonschema.Schema) {
	_, _, q := target(uri)
	j := judge{}
	pairs, _ := j.split(q, '&', nil, true)
	in.OpenObject(nil)
	defer in.Close()
	for i := range pairs {
		if pairs[i].used {
			continue
		}
		var group [][]byte
		for k := i; k < len(pairs); k++ {
			if bytes.Equal(pairs[k].key, pairs[i].key) {
				pairs[k].used = true
				plain, _ := decode(pairs[k].raw, true, &j.buf)
				group = append(group, plain)
			}
		}
		shape := schemas(s.Member(string(pairs[i].key))).shape()
		if len(group) == 1 && (!shape.Array || shape.Primitive) {
			in.Text(pairs[i].key, group[0])
			continue
		}
		in.OpenArray(pairs[i].key)
		for _, v := range group {
			in.Text(nil, v)
		}
		in.Close()
	}
}

// BodyBytes is the body that is judged, its Content-Encoding undone.
func BodyBytes(r *request.Request) []byte { return r.DecodedBody() }

// ParseID is the finding of a body that cannot be read.
func ParseID(err error) string { return parseID(err) }

// ErrorID is the finding of a schema's error.
func ErrorID(prefix string, e jsonschema.Error) string { return prefix + "_" + suffix(e) }
