package signature

import (
	"encoding/binary"
	"sort"

	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
)

// anchors find, in one pass over a buffer, which of many texts may stand in
// it: each text is known by four neighbouring bytes of it, the rarest, whose
// hash is a bit in a map. A set bit is looked up and the text compared. Case
// is folded: the rule's own content decides about case afterwards.
//
// Texts of two and three bytes have a map of their own by two bytes, single
// bytes one by themselves.
type anchors struct {
	bits    []uint64
	shift   uint
	heads   []int32 // by a shorter hash: first index into entries
	hshift  uint
	entries []anchor

	pairs   []uint64 // 65536 bits, nil without short texts
	short   map[uint16][]anchor
	single  *[256][]int32 // rules by the one byte they ask for, nil without such
	texts   []text
	minimum int
}

// anchor is a text known by the bytes at off.
type anchor struct {
	value uint32
	text  int32
	off   int32
}

// text is one text, in lower case, and the rules whose first condition it is.
type text struct {
	b     []byte
	rules []int32
}

const (
	hashFactor = 0x9E3779B1
	// Setting this bit of every byte folds the case of letters, and makes a few
	// other bytes one, which the comparison tells apart.
	fold32 = 0x20202020
	fold16 = 0x2020
)

func window(s string) uint32 {
	return (uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24) | fold32
}

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
func buildAnchors(texts map[string][]int32) *anchors {
	if len(texts) == 0 {
		return nil
	}
	names := make([]string, 0, len(texts))
	for t := range texts {
		names = append(names, t)
	}
	sort.Strings(names)
	a := &anchors{minimum: 1 << 20}
	var long []anchor
	used := map[uint32]int{}
	for _, n := range names {
		id := int32(len(a.texts))
		a.texts = append(a.texts, text{[]byte(n), texts[n]})
		a.minimum = min(a.minimum, len(n))
		if len(n) == 1 {
			if a.single == nil {
				a.single = new([256][]int32)
			}
			a.single[n[0]] = texts[n]
			continue
		}
		if len(n) < 4 {
			if a.pairs == nil {
				a.pairs = make([]uint64, 1024)
				a.short = map[uint16][]anchor{}
			}
			v := (uint16(n[0]) | uint16(n[1])<<8) | fold16
			a.pairs[v>>6] |= 1 << (v & 63)
			a.short[v] = append(a.short[v], anchor{uint32(v), id, 0})
			continue
		}
		value, off := rarest(n, used)
		used[value]++
		long = append(long, anchor{value, id, off})
	}
	a.build(long)
	return a
}

// rarest chooses the four bytes of a text that are least likely in a request
// and least used by other texts.
func rarest(s string, used map[uint32]int) (value uint32, off int32) {
	best := 1 << 30
	for i := 0; i+4 <= len(s) && i < 64; i++ {
		v := window(s[i : i+4])
		score := 8 * used[v]
		for j := i; j < i+4; j++ {
			score += keyword.Frequency(s[j])
		}
		if common[s[i:i+4]] {
			score += 400
		}
		if score < best {
			best, value, off = score, v, int32(i)
		}
	}
	return value, off
}

// common are windows that stand in nearly every request.
var common = func() map[string]bool {
	m := map[string]bool{}
	for _, s := range []string{
		"accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8\r\naccept-language: en-us,en;q=0.5",
		"accept-encoding: gzip, deflate, br\r\nconnection: keep-alive\r\nhost: www..com\r\ncache-control: no-cache\r\n",
		"user-agent: mozilla/5.0 (windows nt 10.0; win64; x64) applewebkit/537.36 (khtml, like gecko) chrome/ safari/537.36",
		"content-type: application/x-www-form-urlencoded\r\ncontent-length: multipart/form-data; boundary=application/json; charset=utf-8",
		"referer: http://https://www. HTTP/1.1\r\n http/1.0\r\n.html.php.asp index.php?id=&action= macintosh; intel mac os x linux x86_64 firefox/ gecko/20100101 compatible; msie",
		"accept: */*\r\naccept: http/1.1\r\nhost: http/1.0\r\naccept-get /post / http/1.1\r\ncookie: \r\n\r\nuser",
		"x-forwarded-for: sec-fetch-dest: document mode: navigate site: same-origin session= http:// https:// ://www.",
		"authorization: bearer basic origin: sec-fetch-mode: cors sec-fetch-site: x-requested-with: xmlhttprequest x-forwarded-for: upgrade-insecure-requests: 1 cookie: session",
	} {
		for i := 0; i+4 <= len(s); i++ {
			m[s[i:i+4]] = true
		}
	}
	return m
}()

func (a *anchors) build(long []anchor) {
	if len(long) == 0 {
		return
	}
	n := uint(12)
	for n < 20 && 1<<n < 64*len(long) {
		n++
	}
	a.shift = 32 - n
	a.bits = make([]uint64, 1<<n/64)
	h := uint(4)
	for h < 18 && 1<<h < 2*len(long) {
		h++
	}
	a.hshift = 32 - h
	sort.SliceStable(long, func(i, j int) bool {
		return long[i].value*hashFactor>>a.hshift < long[j].value*hashFactor>>a.hshift
	})
	a.entries = long
	a.heads = make([]int32, 1<<h+1)
	next := 0
	for b := range a.heads {
		for next < len(long) && int(long[next].value*hashFactor>>a.hshift) < b {
			next++
		}
		a.heads[b] = int32(next)
	}
	for _, e := range long {
		x := e.value * hashFactor >> a.shift
		a.bits[x>>6] |= 1 << (x & 63)
	}
}

// scan calls found for the rules of every text that stands in b. Each position
// is one load, one multiplication and one look into the map.
func (a *anchors) scan(b []byte, found func(rules []int32)) {
	if len(b) < a.minimum {
		return
	}
	if bits, shift := a.bits, a.shift&31; bits != nil {
		for i := 0; i+4 <= len(b); i++ {
			v := binary.LittleEndian.Uint32(b[i:]) | fold32
			x := v * hashFactor >> shift
			if bits[x>>6]&(1<<(x&63)) != 0 {
				a.look(b, i, v, found)
			}
		}
	}
	if pairs := a.pairs; pairs != nil {
		for i := 0; i+2 <= len(b); i++ {
			v := binary.LittleEndian.Uint16(b[i:]) | fold16
			if pairs[v>>6]&(1<<(v&63)) != 0 {
				a.lookShort(b, i, v, found)
			}
		}
	}
	if a.single != nil {
		a.lookSingle(b, found)
	}
}

// lookSingle finds the bytes that stand in b, each once.
func (a *anchors) lookSingle(b []byte, found func(rules []int32)) {
	var seen [256]bool
	for _, c := range b {
		if c = lowerTable[c]; !seen[c] {
			seen[c] = true
			if rules := a.single[c]; rules != nil {
				found(rules)
			}
		}
	}
}

func (a *anchors) look(b []byte, i int, v uint32, found func(rules []int32)) {
	h := v * hashFactor >> (a.hshift & 31)
	for k := a.heads[h]; k < a.heads[h+1]; k++ {
		e := &a.entries[k]
		if e.value != v {
			continue
		}
		t := &a.texts[e.text]
		start := i - int(e.off)
		if start >= 0 && start+len(t.b) <= len(b) && foldEqual(b[start:], t.b) {
			found(t.rules)
		}
	}
}

func (a *anchors) lookShort(b []byte, i int, v uint16, found func(rules []int32)) {
	for _, e := range a.short[v] {
		if t := &a.texts[e.text]; i+len(t.b) <= len(b) && foldEqual(b[i:], t.b) {
			found(t.rules)
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

// lowerText folds ASCII alone: bytes.ToLower would rewrite what is not UTF-8.
func lowerText(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		out[i] = lowerTable[c]
	}
	return string(out)
}
