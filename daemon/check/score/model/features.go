package model

// Feature spaces. A feature's number is a char bucket, charBuckets plus a
// token bucket, or lexicalBase plus a lexical feature.
const (
	charBuckets  = 1 << 16
	tokenBuckets = 1 << 16
	lexicalBase  = charBuckets + tokenBuckets
	featureCount = lexicalBase + lexicalSize
)

const hashMultiplier = 0x9e3779b97f4a7c15

// vector is the features of one window: hashed ones without repetition, each
// worth 1/sqrt of their number in its space, and lexical ones worth 1 each.
type vector struct {
	char, token []uint16
	lexical     []uint16
	seen        [2][charBuckets / 64]uint64 // all zero between windows
	toks        []token
	counts      counts
}

// of fills v with the features of a window.
func (v *vector) of(win []byte) {
	v.charGrams(win)
	v.toks = tokenize(v.toks, win)
	v.tokenGrams()
	scan(&v.counts, win, v.toks)
	v.lexicals()
}

// charGrams hashes the runs of one to five bytes.
func (v *vector) charGrams(win []byte) {
	out, seen := v.char[:0], &v.seen[0]
	var packed uint64
	for i, c := range win {
		packed = packed<<8 | uint64(c)
		n := min(i+1, 5)
		for k := 1; k <= n; k++ {
			gram := packed&(1<<(8*k)-1) | uint64(k)<<56
			b := uint16(gram * hashMultiplier >> 48)
			if seen[b>>6]>>(b&63)&1 == 0 {
				seen[b>>6] |= 1 << (b & 63)
				out = append(out, b)
			}
		}
	}
	for _, b := range out {
		seen[b>>6] = 0
	}
	v.char = out
}

// tokenGrams hashes each token by its text, and runs of two to five by shape.
func (v *vector) tokenGrams() {
	out, seen := v.token[:0], &v.seen[1]
	put := func(h uint64) {
		b := uint16(h * hashMultiplier >> 48)
		if seen[b>>6]>>(b&63)&1 == 0 {
			seen[b>>6] |= 1 << (b & 63)
			out = append(out, b)
		}
	}
	var s1, s2, s3, s4 uint64
	for i := range v.toks {
		t := &v.toks[i]
		put(t.hash ^ 0x51)
		if i > 0 {
			put((s1*3+t.shape)*hashMultiplier ^ 2)
		}
		if i > 1 {
			put(((s2*5+s1)*hashMultiplier+t.shape)*hashMultiplier ^ 3)
		}
		if i > 2 {
			put((((s3*7+s2)*hashMultiplier+s1)*hashMultiplier+t.shape)*hashMultiplier ^ 4)
		}
		if i > 3 {
			put(((((s4*11+s3)*hashMultiplier+s2)*hashMultiplier+s1)*hashMultiplier+t.shape)*hashMultiplier ^ 5)
		}
		s4, s3, s2, s1 = s3, s2, s1, t.shape
	}
	for _, b := range out {
		seen[b>>6] = 0
	}
	v.token = out
}

func (v *vector) lexicals() {
	out := v.lexical[:0]
	var present [signCount]sign
	n := 0
	for s, k := range v.counts {
		if k == 0 {
			continue
		}
		out = append(out, lexicalBin(sign(s), int(k)))
		for _, a := range present[:n] {
			out = append(out, lexicalPair(a, sign(s)))
		}
		present[n] = sign(s)
		n++
	}
	v.lexical = out
}
