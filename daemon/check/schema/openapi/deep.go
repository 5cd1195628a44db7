package openapi

import (
	"bytes"
	"strconv"

	"github.com/sallyport/sallyport/daemon/check/schema/jsonschema"
)

// entry is a value with the names in brackets that lead to it: a[b][0]=x.
type entry struct {
	path  [][]byte
	value []byte
}

// schemas are the schemas that may judge one value.
type schemas []*jsonschema.Schema

func (s schemas) shape() (out jsonschema.Shape) {
	for _, one := range s {
		sh := one.Shape()
		out.Array = out.Array || sh.Array
		out.Object = out.Object || sh.Object
		out.Primitive = out.Primitive || sh.Primitive
	}
	return out
}

func (s schemas) member(name string) (out schemas) {
	for _, one := range s {
		out = append(out, one.Member(name)...)
	}
	return out
}

func (s schemas) items() (out schemas) {
	for _, one := range s {
		if it := one.Items(); it != nil {
			out = append(out, it)
		}
	}
	return out
}

// brackets splits name[a][b] into a and b; ok is false when the key does not
// begin with the name, or goes on otherwise after it.
func brackets(key []byte, name string) (path [][]byte, ok bool) {
	rest, found := bytes.CutPrefix(key, []byte(name))
	if !found {
		return nil, false
	}
	whole := rest
	for len(rest) > 0 {
		if whole[0] != '[' || len(path) > MaxDepth {
			return nil, false
		}
		end := bytes.IndexByte(rest, ']')
		if rest[0] != '[' || end < 0 {
			// A name with brackets of its own, in one pair of them.
			return [][]byte{whole[1 : len(whole)-1]}, whole[len(whole)-1] == ']'
		}
		path = append(path, rest[1:end])
		rest = rest[end+1:]
	}
	return path, true
}

// deep puts the value together that the entries make: an object, or an array
// where the names are numbers or nothing and the schema can accept one.
// The specification defines one level (deepObject); more are read the way
// that the servers which use them do.
func (j *judge) deep(key []byte, entries []entry, s schemas, depth int) bool {
	if depth > MaxDepth {
		return false
	}
	shape := s.shape()
	leaves, numeric := 0, true
	for _, e := range entries {
		if len(e.path) == 0 {
			leaves++
			continue
		}
		if _, err := strconv.ParseUint(string(e.path[0]), 10, 31); err != nil && len(e.path[0]) > 0 {
			numeric = false
		}
	}
	if leaves == len(entries) {
		if leaves > 1 || shape.Array && !shape.Primitive && !shape.Object {
			j.in.OpenArray(key)
			for _, e := range entries {
				j.in.Text(nil, e.value)
			}
			j.in.Close()
			return true
		}
		j.in.Text(key, entries[0].value)
		return true
	}
	if leaves > 0 {
		return false
	}
	if numeric && (shape.Array || !shape.Object) {
		j.in.OpenArray(key)
		defer j.in.Close()
		items := s.items()
		return j.groups(entries, func(name []byte, group []entry) bool {
			if len(name) == 0 { // a[]=x&a[]=y: an item each
				for i := range group {
					if !j.deep(nil, group[i:i+1], items, depth+1) {
						return false
					}
				}
				return true
			}
			return j.deep(nil, group, items, depth+1)
		})
	}
	j.in.OpenObject(key)
	defer j.in.Close()
	return j.groups(entries, func(name []byte, group []entry) bool {
		return j.deep(name, group, s.member(string(name)), depth+1)
	})
}

// groups visits the entries by their first name, in the order of its first
// appearance.
func (j *judge) groups(entries []entry, visit func(name []byte, group []entry) bool) bool {
	index := map[string]int{}
	var order [][]byte
	var lists [][]entry
	for _, e := range entries {
		name := e.path[0]
		k, ok := index[string(name)]
		if !ok {
			k = len(order)
			index[string(name)] = k
			order = append(order, name)
			lists = append(lists, nil)
		}
		lists[k] = append(lists[k], entry{e.path[1:], e.value})
	}
	for k, name := range order {
		if !visit(name, lists[k]) {
			return false
		}
	}
	return true
}
