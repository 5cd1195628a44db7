package model

// maxTokens bounds the tokens of one window; a window has at most windowSize bytes.
const maxTokens = windowSize

type kind uint8

const (
	kindWord kind = iota + 1
	kindNumber
	kindMark // one byte of punctuation, or one of the marks
)

// token is a word, a number or one mark of a window's normal form.
type token struct {
	hash     uint64 // of the text
	shape    uint64 // of what it is to an interpreter: words of no family are alike
	fam      family
	kind     kind
	char     byte // the first byte
	blank    bool // white space stands before it
	from, to uint16
}

// shape of a word of no family, by length: very short words are names of
// variables and tables, long ones prose.
func plainShape(n int) uint64 {
	switch {
	case n == 1:
		return 0x11
	case n <= 4:
		return 0x12
	case n <= 14:
		return 0x13
	}
	return 0x14
}

// tokenize splits a window into tokens, reusing dst.
func tokenize(dst []token, win []byte) []token {
	dst = dst[:0]
	blank := false
	for i := 0; i < len(win) && len(dst) < maxTokens; {
		c := win[i]
		k := byteClass[c]
		switch {
		case c == ' ':
			blank = true
			i++
			continue
		case k == classLower || c == '_':
			h := uint64(wordSeed)
			from := i
			for i < len(win) && (byteClass[win[i]] == classLower || byteClass[win[i]] == classDigit || win[i] == '_') {
				h = (h ^ uint64(win[i])) * wordPrime
				i++
			}
			h = finish(h)
			t := token{hash: h, kind: kindWord, char: c, blank: blank, from: uint16(from), to: uint16(i)}
			t.fam = families(h)
			if t.fam == 0 && i-from >= 5 && c == 'o' && win[from+1] == 'n' && handlerFollows(win[i:]) {
				t.fam = famHandler
			}
			switch {
			case t.fam == famHandler:
				t.shape = 0x15
			case t.fam != 0:
				t.shape = h
			default:
				t.shape = plainShape(i - from)
			}
			dst = append(dst, t)
		case k == classDigit:
			from := i
			for i < len(win) && (byteClass[win[i]] == classDigit || byteClass[win[i]] == classLower) {
				i++
			}
			t := token{kind: kindNumber, char: c, blank: blank, from: uint16(from), to: uint16(i), shape: 0x16, hash: 0x16}
			if c != '0' || i-from > 1 && win[from+1] == 'x' {
				t.hash = wordHash(win[from:min(i, from+3)])
				t.shape = 0x17
			}
			dst = append(dst, t)
		default:
			h := uint64(c)<<8 | 1
			dst = append(dst, token{hash: h, shape: h, kind: kindMark, char: c, blank: blank, from: uint16(i), to: uint16(i + 1)})
			i++
		}
		blank = false
	}
	return dst
}

// handlerFollows says that a word that may be an event handler is assigned to.
func handlerFollows(rest []byte) bool {
	for i, c := range rest {
		if c == '=' {
			return true
		}
		if c != ' ' && c != markCtl && c != markNul || i > 4 {
			break
		}
	}
	return false
}
