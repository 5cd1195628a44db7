package openapi

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// formBody judges application/x-www-form-urlencoded: the fields are put
// together as the object that the schema describes.
func (j *judge) formBody(m *media, text []byte) {
	j.fields, j.fieldsOver = j.split(bytes.TrimRight(text, "\r\n"), '&', j.fields[:0], true)
	if j.fieldsOver {
		j.add(Violation{ID: "form_too_large", Where: "body", Want: "at most 1000 fields", Got: "more", At: m.at, Status: 413})
		return
	}
	for i := range j.fields {
		f := &j.fields[i]
		if plain, ok := decode(f.raw, true, &j.buf); !ok || f.bad || !utf8.Valid(plain) || !utf8.Valid(f.key) {
			j.add(Violation{ID: "form_malformed", Where: "form:" + clip(f.key), Want: "percent-encoded UTF-8", Got: clip(f.raw), At: m.at, Status: 400})
			return
		}
	}
	j.in.Reset()
	j.in.OpenObject(nil)
	for i := range j.fields {
		if !j.fields[i].used {
			j.field(m, i)
		}
	}
	j.in.Close()
	if !m.schema.Valid(&j.in) {
		j.explain(m.schema, "form", "form:", 0, "")
		return
	}
	j.readOnly(m, "form:", "/")
}

// field adds one property, from all fields that belong to it.
func (j *judge) field(m *media, i int) {
	name := j.fields[i].key
	top, deepName := name, false
	if k := bytes.IndexByte(name, '['); k > 0 && !declares(m, name) && m.encodings[string(name)] == nil {
		if _, ok := brackets(name, string(name[:k])); ok && (declares(m, name[:k]) || m.encodings[string(name[:k])] != nil) {
			top, deepName = name[:k], true
		}
	}
	s := m.member(top)
	enc := m.encodings[string(top)]
	if deepName {
		j.deepField(top, s)
		return
	}
	var raws [][]byte
	for k := i; k < len(j.fields); k++ {
		if bytes.Equal(j.fields[k].key, name) {
			j.fields[k].used = true
			raws = append(raws, j.fields[k].raw)
		}
	}
	j.alternatives(top, raws, s, enc)
}

func declares(m *media, name []byte) bool {
	_, ok := m.members[string(name)]
	return ok
}

func (j *judge) deepField(top []byte, s schemas) {
	var entries []entry
	for k := range j.fields {
		f := &j.fields[k]
		if path, ok := brackets(f.key, string(top)); ok && !f.used {
			f.used = true
			plain, _ := decode(f.raw, true, &j.buf)
			entries = append(entries, entry{path, plain})
		}
	}
	mark, members := j.in.Mark(), j.in.Members()
	if !j.deep(top, entries, s, 0) {
		j.in.Rewind(mark, j.in.Members()-members)
		j.in.String(top, entries[0].value)
	}
}

// alternatives adds the property in the first way of writing it that one of
// its schemas accepts, or in the likeliest.
func (j *judge) alternatives(key []byte, raws [][]byte, s schemas, enc *encoding) {
	shape := s.shape()
	ways := make([]func() bool, 0, 4)
	plain := func(raw []byte) []byte { out, _ := decode(raw, true, &j.buf); return out }
	p := &param{in: "query", style: form, explode: true, name: string(key)}
	if enc != nil && enc.styled {
		p.style, p.explode = enc.style, enc.explode
	}
	if shape.Array && (p.explode || len(raws) > 1) {
		ways = append(ways, func() bool {
			items := s.items()
			j.in.OpenArray(key)
			for _, raw := range raws {
				j.item(nil, plain(raw), items)
			}
			j.in.Close()
			return true
		})
	}
	if shape.Array && len(raws) == 1 {
		if !p.explode {
			ways = append(ways, func() bool { return j.keyed(key, func() bool { return j.buildArray(p, raws[0], p.separator()) }) })
		} else {
			ways = append(ways, func() bool { return j.in.Parse(key, plain(raws[0])) == nil })
		}
	}
	if shape.Object && len(raws) == 1 {
		ways = append(ways, func() bool { return j.in.Parse(key, plain(raws[0])) == nil })
		if enc != nil && enc.styled && !p.explode {
			ways = append(ways, func() bool { return j.keyed(key, func() bool { return j.buildObject(p, raws[0], p.separator()) }) })
		}
	}
	if shape.Primitive || len(ways) == 0 {
		ways = append(ways, func() bool {
			for _, raw := range raws {
				j.in.Text(key, plain(raw))
			}
			return true
		})
	}
	j.first(key, ways, s, plain(raws[0]))
}

// keyed builds a value without a name and gives it one.
func (j *judge) keyed(key []byte, build func() bool) bool {
	mark := j.in.Mark()
	j.lenient = true // what writes forms encodes commas too
	ok := build()
	j.lenient = false
	j.in.Rename(mark, key)
	return ok
}

// first keeps the first way that a schema accepts, else the first that can be
// built at all.
func (j *judge) first(key []byte, ways []func() bool, s schemas, fallback []byte) {
	built := -1
	for k, way := range ways {
		mark, members := j.in.Mark(), j.in.Members()
		if way() {
			if built < 0 {
				built = k
			}
			if s.accept(j, mark) {
				return
			}
		}
		j.in.Rewind(mark, j.in.Members()-members)
	}
	if built < 0 {
		j.in.Text(key, fallback)
		return
	}
	ways[built]()
}

func (s schemas) accept(j *judge, at int) bool {
	for _, one := range s {
		if one.ValidAt(&j.in, at) {
			return true
		}
	}
	return len(s) == 0
}

// item adds an item of an array: JSON where its schema asks for an object or
// an array (Encoding Object, contentType's default), else text.
func (j *judge) item(key, text []byte, s schemas) {
	shape := s.shape()
	if len(s) > 0 && (shape.Object || shape.Array) {
		if t := bytes.TrimLeft(text, " \t\r\n"); !shape.Primitive || len(t) > 0 && strings.IndexByte("{[", t[0]) >= 0 {
			if j.in.Parse(key, text) == nil {
				return
			}
		}
	}
	j.in.Text(key, text)
}
