package openapi

import (
	"bytes"
	"unicode/utf8"
)

func (j *judge) queryParam(p *param) {
	if p.content != "" {
		j.contentQuery(p)
		return
	}
	if p.style == deepObject {
		j.deepQuery(p)
		return
	}
	if p.style == form && p.explode && p.shape.Object && len(p.members)+boolInt(p.open) > 0 && !j.has(p.name) {
		if p.shape.Primitive || p.shape.Array {
			if !j.hasAny(p) {
				j.absent(p)
				return
			}
		}
		j.explodedObject(p)
		return
	}
	n, first := 0, []byte(nil)
	for i := range j.pairs {
		pr := &j.pairs[i]
		if string(pr.key) != p.name {
			continue
		}
		pr.used = true
		if plain, ok := decode(pr.raw, true, &j.buf); !ok || !utf8.Valid(plain) {
			j.malformed(p, pr.raw, "percent-encoded UTF-8")
			return
		}
		if n++; n == 1 {
			first = pr.raw
		}
	}
	switch {
	case n == 0:
		j.absent(p)
	case n == 1 && len(first) == 0 && p.allowEmpty:
	case n == 1:
		j.attempts(p, first, func(kind shapeKind) bool {
			if kind == asArray && p.explode {
				j.in.OpenArray(nil)
				j.in.Text(nil, j.piece(p, first))
				j.in.Close()
				return true
			}
			return j.build(p, kind, first)
		})
	case p.explode && p.shape.Array:
		j.attempts(p, first, func(kind shapeKind) bool {
			if kind != asArray {
				return false
			}
			j.in.OpenArray(nil)
			for i := range j.pairs {
				if string(j.pairs[i].key) == p.name {
					j.in.Text(nil, j.piece(p, j.pairs[i].raw))
				}
			}
			j.in.Close()
			return true
		})
	default:
		j.repeated(p)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// repeated judges each value of a parameter that should be there once, and
// tells that it is not: which one counts, backends decide differently.
func (j *judge) repeated(p *param) {
	for i := range j.pairs {
		if string(j.pairs[i].key) != p.name {
			continue
		}
		raw := j.pairs[i].raw
		mark := len(j.out)
		j.attempts(p, raw, func(kind shapeKind) bool { return j.build(p, kind, raw) })
		if len(j.out) > mark {
			return
		}
	}
	j.add(Violation{ID: "param_repeated", Where: p.where, Want: "the parameter once", Got: "more", At: p.at, Status: 400, Open: true})
}

func (j *judge) has(name string) bool {
	for i := range j.pairs {
		if string(j.pairs[i].key) == name {
			return true
		}
	}
	return false
}

func (j *judge) hasAny(p *param) bool {
	for _, m := range p.members {
		if j.has(m) {
			return true
		}
	}
	return false
}

// explodedObject reads an object whose members are parameters of their own.
func (j *judge) explodedObject(p *param) {
	found := false
	build := func(kind shapeKind) bool {
		if kind != asObject {
			return false
		}
		j.in.OpenObject(nil)
		defer j.in.Close()
		for i := range j.pairs {
			pr := &j.pairs[i]
			if p.hasMember(pr.key) || p.open && !j.declared(pr.key, p) {
				found, pr.used = true, true
				j.in.Text(pr.key, j.piece(p, pr.raw))
			}
		}
		return true
	}
	j.in.Reset()
	build(asObject)
	if !found {
		j.absent(p)
		return
	}
	j.attempts(p, nil, build)
}

// declared says that a name in the query is another parameter's.
func (j *judge) declared(name []byte, not *param) bool {
	for _, p := range j.op.params {
		if p != not && p.in == "query" && (string(name) == p.name || p.style == deepObject && bytes.HasPrefix(name, []byte(p.name+"["))) {
			return true
		}
	}
	return j.api.keys[string(name)]
}

func (j *judge) contentQuery(p *param) {
	found := false
	for i := range j.pairs {
		if string(j.pairs[i].key) == p.name {
			j.pairs[i].used = true
			if !found {
				j.contentValue(p, j.pairs[i].raw, true, true)
			}
			found = true
		}
	}
	if !found {
		j.absent(p)
	}
}

func (j *judge) deepQuery(p *param) {
	entries := j.tree[:0]
	for i := range j.pairs {
		pr := &j.pairs[i]
		path, ok := brackets(pr.key, p.name)
		if !ok {
			continue
		}
		pr.used = true
		plain, good := decode(pr.raw, true, &j.buf)
		if !good || !utf8.Valid(plain) {
			j.malformed(p, pr.raw, "percent-encoded UTF-8")
			return
		}
		entries = append(entries, entry{path, plain})
	}
	j.tree = entries
	if len(entries) == 0 {
		j.absent(p)
		return
	}
	j.in.Reset()
	if !j.deep(nil, entries, schemas{p.schema}, 0) {
		j.malformed(p, entries[0].value, "names in brackets at most 16 deep")
		return
	}
	if !p.schema.Valid(&j.in) {
		j.explain(p.schema, "param", p.where, 0, "")
	}
}
