package jsonschema

import (
	"bytes"
	"hash/maphash"
	"sort"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
)

// equalsConstant compares a node with a value of a schema: numbers by value,
// objects whatever their order.
func (in *Instance) equalsConstant(i int32, v *document.Node) bool {
	n := &in.nodes[i]
	switch n.kind {
	case kindNull:
		return v.Kind == document.Null
	case kindBool:
		return v.Kind == document.Bool && n.truth == v.True()
	case kindNumber:
		return v.Kind == document.Number && parseDecimal(n.text).compare(parseDecimal([]byte(v.Text))) == 0
	case kindString, kindText:
		return v.Kind == document.String && string(n.text) == v.Text
	case kindArray:
		if v.Kind != document.Array || int(n.count) != len(v.Items) {
			return false
		}
		k := 0
		for c := i + 1; c < n.end; c = in.nodes[c].end {
			if !in.equalsConstant(c, v.Items[k]) {
				return false
			}
			k++
		}
		return true
	}
	if v.Kind != document.Object || in.distinct(i) != len(v.Keys) {
		return false
	}
	for c := i + 1; c < n.end; c = in.nodes[c].end {
		m := v.Get(string(in.nodes[c].key))
		if m == nil || !in.equalsConstant(c, m) {
			return false
		}
	}
	return true
}

// equal compares two nodes of the instance.
func (in *Instance) equal(a, b int32) bool {
	x, y := &in.nodes[a], &in.nodes[b]
	if x.kind != y.kind || x.count != y.count {
		return false
	}
	switch x.kind {
	case kindNull:
		return true
	case kindBool:
		return x.truth == y.truth
	case kindNumber:
		return parseDecimal(x.text).compare(parseDecimal(y.text)) == 0
	case kindString, kindText:
		return bytes.Equal(x.text, y.text)
	case kindArray:
		d := b + 1
		for c := a + 1; c < x.end; c = in.nodes[c].end {
			if !in.equal(c, d) {
				return false
			}
			d = in.nodes[d].end
		}
		return true
	}
	if x.count > 16 {
		return in.equalObjects(a, b)
	}
	for c := a + 1; c < x.end; c = in.nodes[c].end {
		d := in.member(b, string(in.nodes[c].key))
		if d < 0 || !in.equal(c, d) {
			return false
		}
	}
	return true
}

// equalObjects compares large objects by an index of the second.
func (in *Instance) equalObjects(a, b int32) bool {
	index := make(map[string]int32, in.nodes[b].count)
	for d := b + 1; d < in.nodes[b].end; d = in.nodes[d].end {
		index[string(in.nodes[d].key)] = d
	}
	for c := a + 1; c < in.nodes[a].end; c = in.nodes[c].end {
		d, ok := index[string(in.nodes[c].key)]
		if !ok || !in.equal(c, d) {
			return false
		}
	}
	return true
}

var hashSeed = maphash.MakeSeed()

// hash is equal for equal nodes.
func (in *Instance) hash(i int32) uint64 {
	n := &in.nodes[i]
	switch n.kind {
	case kindNull:
		return 1
	case kindBool:
		if n.truth {
			return 2
		}
		return 3
	case kindNumber:
		d := parseDecimal(n.text).expand()
		return maphash.Bytes(hashSeed, d.digits) + uint64(d.exp)
	case kindString, kindText:
		return maphash.Bytes(hashSeed, n.text) * 5
	case kindArray:
		h := uint64(6)
		for c := i + 1; c < n.end; c = in.nodes[c].end {
			h = h*0x100000001b3 ^ in.hash(c)
		}
		return h
	}
	h := uint64(7)
	for c := i + 1; c < n.end; c = in.nodes[c].end {
		h += (maphash.Bytes(hashSeed, in.nodes[c].key) ^ in.hash(c)*31) * 0x9e3779b97f4a7c15
	}
	return h
}

// uniqueItems sorts the items by a hash and compares those of equal hash, so
// that a long array costs no square of its length.
func (in *Instance) uniqueItems(i int32) bool {
	n := &in.nodes[i]
	if n.count <= 8 {
		for c := i + 1; c < n.end; c = in.nodes[c].end {
			for b := i + 1; b < c; b = in.nodes[b].end {
				if in.equal(b, c) {
					return false
				}
			}
		}
		return true
	}
	type hashed struct {
		hash uint64
		at   int32
	}
	items := make([]hashed, 0, n.count)
	for c := i + 1; c < n.end; c = in.nodes[c].end {
		items = append(items, hashed{in.hash(c), c})
	}
	sort.Slice(items, func(a, b int) bool { return items[a].hash < items[b].hash })
	for k := 1; k < len(items); k++ {
		for j := k - 1; j >= 0 && items[j].hash == items[k].hash; j-- {
			if in.equal(items[j].at, items[k].at) {
				return false
			}
		}
	}
	return true
}
