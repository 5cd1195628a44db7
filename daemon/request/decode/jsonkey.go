package decode

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

var (
	jsonSeed = maphash.MakeSeed()
	// Two secrets, of which no client can know a thing.
	keySeed1 = maphash.String(jsonSeed, "first") | 1
	keySeed2 = maphash.String(jsonSeed, "second") | 1
)

// keyHash is a seeded hash of a key. Most keys have at most 16 bytes: two words,
// mixed by one wide multiplication, tell those apart.
func keyHash(key []byte) uint64 {
	var a, b uint64
	switch n := len(key); {
	case n > 16:
		return maphash.Bytes(jsonSeed, key)
	case n >= 8:
		a, b = binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[n-8:])
	case n >= 4:
		a, b = uint64(binary.LittleEndian.Uint32(key)), uint64(binary.LittleEndian.Uint32(key[n-4:]))
	case n > 0:
		a = uint64(key[0])<<16 | uint64(key[n/2])<<8 | uint64(key[n-1])
	}
	hi, lo := bits.Mul64(a^keySeed1, b^keySeed2)
	hi, lo = bits.Mul64(hi^keySeed2, lo^keySeed1^uint64(len(key)))
	return hi ^ lo
}

// fewKeys is how many keys of an object are compared one by one.
const fewKeys = 12

// seen reports a key that its object already has. Keys are compared by a
// seeded 64-bit hash, so that nobody can choose colliding ones. The hashes of
// an object's first keys stand at the end of w.hashes: those of what was
// nested before them are gone by then. The rest go into a table.
func (w *JSON) seen(f *jsonFrame, key []byte) {
	h := keyHash(key)
	if f.keys < fewKeys {
		for _, other := range w.hashes[len(w.hashes)-f.keys:] {
			if other == h {
				w.flaw(JSONDuplicate)
				return
			}
		}
		w.hashes = append(w.hashes, h)
		f.keys++
		return
	}
	if f.keys == fewKeys {
		f.keys++
		for _, first := range w.hashes[len(w.hashes)-fewKeys:] {
			w.insert(f.id, first)
		}
	}
	if !w.insert(f.id, h) {
		w.flaw(JSONDuplicate)
	}
}

// insert puts an object's key into the table and says whether it is new.
func (w *JSON) insert(object, h uint64) bool {
	if w.count >= MaxJSONKeys {
		if w.count == MaxJSONKeys {
			w.count++
			w.flaw(JSONKeys)
		}
		return true
	}
	if 2*(w.count+1) > len(w.keys) {
		w.grow()
	}
	hi, lo := bits.Mul64(h^object, 0x9e3779b97f4a7c15)
	if h = hi ^ lo ^ object<<1; h == 0 {
		h = 1
	}
	mask := uint64(len(w.keys) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch w.keys[i] {
		case 0:
			w.keys[i] = h
			w.count++
			return true
		case h:
			return false
		}
	}
}

func (w *JSON) grow() {
	old := w.keys
	w.keys = make([]uint64, max(minKeyTable, 2*len(old)))
	mask := uint64(len(w.keys) - 1)
	for _, h := range old {
		if h == 0 {
			continue
		}
		i := h & mask
		for w.keys[i] != 0 {
			i = (i + 1) & mask
		}
		w.keys[i] = h
	}
}

// appendKey adds a key to a pointer, escaped by RFC 6901.
func appendKey(p, key []byte) []byte {
	if len(p)+len(key) > MaxJSONPointer {
		return p
	}
	p = append(p, '/')
	key = key[:min(len(key), MaxJSONKey)]
	plain := true
	for _, c := range key {
		plain = plain && c != '~' && c != '/'
	}
	if plain {
		return append(p, key...)
	}
	for _, c := range key {
		switch c {
		case '~':
			p = append(p, '~', '0')
		case '/':
			p = append(p, '~', '1')
		default:
			p = append(p, c)
		}
	}
	return p
}

func appendIndex(p []byte, i int) []byte {
	if len(p) > MaxJSONPointer {
		return p
	}
	return appendNumber(append(p, '/'), uint64(i))
}

func appendNumber(p []byte, i uint64) []byte {
	if i < 10 {
		return append(p, '0'+byte(i))
	}
	var b [20]byte
	n := len(b)
	for ; i > 0; i /= 10 {
		n--
		b[n] = '0' + byte(i%10)
	}
	return append(p, b[n:]...)
}
