package signature

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sort"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
)

// anchors find, in one pass over a buffer, which of many texts may stand in
// it. The pass looks at every other position. A text of five bytes and more
// is known by two overlapping windows of four bytes, its rarest, of which one
// begins at such a position wherever the text stands; their hashes are bits
// in a map. A set bit is looked up and the text compared. Texts of three and
// four bytes, and longer ones whose windows are all common, are known by three
// bytes, looked for at both the position and the next, those of two and of one
// byte by themselves. Case is folded: the rule's own content decides about
// case afterwards.
type anchors struct {
	long    table // by four bytes
	short   table // by three bytes
	pairs   table // by two bytes, for texts of two
	single  []*text
	texts   []text
	minimum int // of the texts, in bytes
	longest int
}

// text is one text, in lower case, and the rules that it calls up.
type text struct {
	b      []byte
	rules  []int32
	number int32 // among all texts of a Set
}

// place is a text and the part of the buffer that it must stand in.
type place struct {
	part buffer.Part
	text string
}

// table finds the texts that have a value at some place of theirs.
type table struct {
	bits    []uint64
	shift   uint    // of a hash, to a bit
	heads   []int32 // by a shorter hash: first index into entries
	hshift  uint
	entries []anchor
}

// anchor is a text known by the bytes at off.
type anchor struct {
	value uint32
	text  int32
	off   int16
	part  buffer.Part
}

const (
	// shortBits is the size of the map of three bytes, as a power of two;
	// pairBits that of the map of two.
	shortBits  = 16
	pairBits   = 12
	hashFactor = 0x9E3779B1
	// Setting this bit of every byte folds the case of letters, and makes a few
	// other bytes one, which the comparison tells apart.
	fold32 = 0x20202020
)

func window(s string) uint32 {
	return (uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24) | fold32
}

// window3 has its bytes where they are in a window that begins one earlier.
func window3(s string) uint32 {
	return (uint32(s[0])<<8 | uint32(s[1])<<16 | uint32(s[2])<<24) | fold32&^0xff
}

func pair(s string) uint32 { return (uint32(s[0]) | uint32(s[1])<<8) | fold32&0xffff }

var lowerTable = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if i >= 'A' && i <= 'Z' {
			t[i] = byte(i + 32)
		}
	}
	return t
}()

// buildAnchors takes texts in lower case.
func (s *Set) buildAnchors(texts map[place][]int32) *anchors {
	if len(texts) == 0 {
		return nil
	}
	places := make([]place, 0, len(texts))
	for p := range texts {
		places = append(places, p)
	}
	sort.Slice(places, func(i, j int) bool {
		return places[i].text < places[j].text || places[i].text == places[j].text && places[i].part < places[j].part
	})
	a := &anchors{minimum: 1 << 20, texts: make([]text, len(places))}
	var long, short, pairs []anchor
	used := map[uint32]int{}
	for i, p := range places {
		a.texts[i] = text{b: []byte(p.text), rules: texts[p], number: int32(s.texts)}
		s.texts++
		a.minimum, a.longest = min(a.minimum, len(p.text)), max(a.longest, len(p.text))
		switch n := len(p.text); {
		case n == 1:
			a.single = append(a.single, &a.texts[i])
		case n == 2:
			pairs = append(pairs, anchor{pair(p.text), int32(i), 0, p.part})
		default:
			off, seen := rarestWindow(p.text, used)
			if three, often := rarestThree(p.text); 2*often < seen {
				short = append(short, anchor{window3(p.text[three:]), int32(i), int16(three), p.part})
				continue
			}
			for k := off; k < off+2; k++ {
				v := window(p.text[k:])
				used[v]++
				long = append(long, anchor{v, int32(i), int16(k), p.part})
			}
		}
	}
	size := uint(14)
	for size < 20 && 1<<size < 48*len(long) {
		size++
	}
	a.long.build(long, size)
	a.short.build(short, shortBits)
	a.pairs.build(pairs, pairBits)
	return a
}

// rarestWindow is where in a text the five bytes stand whose two windows are
// least likely in a request and least used by other texts, and about how often
// an ordinary head holds one of the two.
func rarestWindow(s string, used map[uint32]int) (off int, seen float64) {
	best := 1e9
	seen = best
	for i := 0; i+5 <= len(s) && i < 64; i++ {
		hits, score := 0.0, 0.0
		for k := i; k < i+2; k++ {
			v := window(s[k:])
			hits += oftenSeen(s[k:k+4], v)
			score += 0.01 * float64(used[v])
		}
		if score += hits; score < best {
			best, off, seen = score, i, hits
		}
	}
	return off, seen
}

// rarestThree is where in a text its rarest three bytes are, and about how
// often an ordinary head holds them.
func rarestThree(s string) (off int, seen float64) {
	seen = 1e9
	for i := 0; i+3 <= len(s) && i < 64; i++ {
		if x := oftenSeen(s[i:i+3], window3(s[i:])); x < seen {
			off, seen = i, x
		}
	}
	return off, seen
}

// build makes the table, with a map of 1<<size bits.
func (t *table) build(entries []anchor, size uint) {
	if len(entries) == 0 {
		return
	}
	t.shift = 32 - size
	t.bits = make([]uint64, 1<<size/64)
	h := uint(bits.Len(uint(2 * len(entries))))
	h = min(max(h, 4), 18)
	t.hshift = 32 - h
	sort.SliceStable(entries, func(i, j int) bool {
		return entries[i].value*hashFactor>>t.hshift < entries[j].value*hashFactor>>t.hshift
	})
	t.entries = entries
	t.heads = make([]int32, 1<<h+1)
	next := 0
	for b := range t.heads {
		for next < len(entries) && int(entries[next].value*hashFactor>>t.hshift) < b {
			next++
		}
		t.heads[b] = int32(next)
	}
	for _, e := range entries {
		x := e.value * hashFactor >> t.shift
		t.bits[x>>6] |= 1 << (x & 63)
	}
}

// scanPairs looks at each two bytes that begin in b[from:to].
func (a *anchors) scanPairs(b []byte, from, to int, h *buffer.Head, sc *scratch, e *keyword.Env) {
	pairs := (*[1 << pairBits / 64]uint64)(a.pairs.bits)
	to = min(to, len(b)-1)
	for i := from; i < to; i++ {
		v := (uint32(b[i]) | uint32(b[i+1])<<8) | fold32&0xffff
		if p := v * hashFactor >> (32 - pairBits); pairs[p>>6]&(1<<(p&63)) != 0 {
			a.look(&a.pairs, b, i, v, h, sc, e)
		}
	}
}

var nothing [1]uint64

// scanned is how many bytes are looked at between two payments.
const scanned = 8192

// scan collects the rules of every text that stands in b, or in its part of b
// where h says where the parts are, as far as the steps go. A position is one
// load, and a multiplication and a look for each map.
func (a *anchors) scan(b []byte, h *buffer.Head, sc *scratch, e *keyword.Env) {
	n := len(b)
	if n < a.minimum {
		return
	}
	for from := 0; from < n; from += scanned {
		to := min(from+scanned, n)
		if !e.Take((to-from)>>2 + 2) {
			return
		}
		if a.short.bits != nil {
			a.scanBoth(b, from, to, h, sc, e)
		} else if a.long.bits != nil {
			a.scanLong(b, from, to, h, sc, e)
		}
		if a.pairs.bits != nil {
			a.scanPairs(b, from, to, h, sc, e)
		}
		for _, t := range a.single {
			if sc.seen[t.number] == sc.pass {
				continue
			}
			c := t.b[0]
			if bytes.IndexByte(b[from:to], c) >= 0 || c >= 'a' && c <= 'z' && bytes.IndexByte(b[from:to], c-32) >= 0 {
				sc.collect(t, e)
			}
		}
	}
}

// scanLong looks at the windows of four bytes that begin in b[from:to].
func (a *anchors) scanLong(b []byte, from, to int, h *buffer.Head, sc *scratch, e *keyword.Env) {
	long, shift := a.long.bits, a.long.shift&31
	to = min(to, len(b)-3)
	for i := from; i < to; i += 2 {
		v := binary.LittleEndian.Uint32(b[i:]) | fold32
		x := v * hashFactor >> shift
		if long[x>>6]&(1<<(x&63)) != 0 {
			a.look(&a.long, b, i, v, h, sc, e)
		}
	}
}

// scanBoth looks at the windows of four and of three bytes.
func (a *anchors) scanBoth(b []byte, from, to int, h *buffer.Head, sc *scratch, e *keyword.Env) {
	long, shift := a.long.bits, a.long.shift&31
	if long == nil {
		long, shift = nothing[:], 31
	}
	short := (*[1 << shortBits / 64]uint64)(a.short.bits)
	i, last := from, min(to, len(b)-3)
	for ; i < last; i += 2 {
		v := binary.LittleEndian.Uint32(b[i:]) | fold32
		x := v * hashFactor >> shift
		p, q := v<<8*hashFactor>>(32-shortBits), v&^0xff*hashFactor>>(32-shortBits)
		if long[x>>6]&(1<<(x&63)) != 0 {
			a.look(&a.long, b, i, v, h, sc, e)
		}
		if short[p>>6]&(1<<(p&63)) != 0 {
			a.look(&a.short, b, i, v<<8, h, sc, e)
		}
		if short[q>>6]&(1<<(q&63)) != 0 {
			a.look(&a.short, b, i+1, v&^0xff, h, sc, e)
		}
	}
	for ; i < to && i+3 <= len(b); i++ {
		v := (uint32(b[i])<<8 | uint32(b[i+1])<<16 | uint32(b[i+2])<<24) | fold32&^0xff
		if p := v * hashFactor >> (32 - shortBits); short[p>>6]&(1<<(p&63)) != 0 {
			a.look(&a.short, b, i, v, h, sc, e)
		}
	}
}

// look compares the texts that have this value with what stands at i.
func (a *anchors) look(t *table, b []byte, i int, v uint32, h *buffer.Head, sc *scratch, e *keyword.Env) {
	x := v * hashFactor >> (t.hshift & 31)
	first, end := t.heads[x], t.heads[x+1]
	e.Steps -= 1 + int(end-first)
	for k := first; k < end; k++ {
		known := &t.entries[k]
		if known.value != v {
			continue
		}
		start, limit := i-int(known.off), len(b)
		if known.part != buffer.Whole {
			if start < int(h.At[known.part].From) {
				continue
			}
			limit = int(h.At[known.part].To)
		}
		if start < 0 || start >= limit {
			continue
		}
		t := &a.texts[known.text]
		if start+len(t.b) > limit || sc.seen[t.number] == sc.pass {
			continue
		}
		if foldEqual(b[start:], t.b) {
			sc.collect(t, e)
		}
	}
}

// foldEqual says whether b begins with t, which is in lower case.
func foldEqual(b, t []byte) bool {
	for i, x := range t {
		if lowerTable[b[i]] != x {
			return false
		}
	}
	return true
}
