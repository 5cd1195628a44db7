package model

// gateClass sorts bytes for Harmless.
const (
	gateSuspect = iota // may be part of an attack
	gatePlain          // stands in ids, numbers, dates, versions, mail addresses
	gateDot
	gateProse // stands between words
)

var gateClass = func() (t [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		t[c] = gatePlain
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-32] = gatePlain, gatePlain
	}
	for _, c := range []byte("_-:+@,~") {
		t[c] = gatePlain
	}
	t['.'] = gateDot
	t[' '], t['!'], t['?'] = gateProse, gateProse, gateProse
	return
}()

// Harmless says that text cannot be an attack of any class. Either it is
// empty or one word made of letters, digits and the marks of ids, dates,
// numbers, versions and mail addresses, with no two dots in a row. Or it is
// words and blanks, the words not being what an interpreter acts upon. It
// reads each byte twice at most and allocates nothing.
func Harmless(text []byte) bool {
	last := uint8(gateSuspect)
	prose := false
	for _, c := range text {
		k := gateClass[c]
		switch k {
		case gateSuspect:
			return false
		case gateDot:
			if last == gateDot {
				return false
			}
		case gateProse:
			prose = true
		}
		last = k
	}
	return !prose || harmlessProse(text)
}

// actingWords are families whose words an interpreter acts upon even without
// any punctuation around them; English has many of them, and prose with one
// goes through the model.
const actingWords = famSQLVerb | famSQLSchema | famShell | famSink | famHandler | famLookup | famJava

// numberedWords need a number beside them to act: OR 1, ORDER BY 9.
const numberedWords = famSQLLogic | famSQLClause | famSQLFunc

func harmlessProse(text []byte) bool {
	numbered, digits := false, false
	for i := 0; i < len(text); {
		c := text[i]
		if !wordByte(c) {
			if c == '-' && i+1 < len(text) && text[i+1] == '-' || c == ':' && i+1 < len(text) && text[i+1] == ':' {
				return false
			}
			i++
			continue
		}
		if byteClass[c] == classDigit {
			digits = true
			for i < len(text) && wordByte(text[i]) {
				i++
			}
			continue
		}
		h := uint64(wordSeed)
		for i < len(text) && wordByte(text[i]) {
			c := text[i]
			if byteClass[c] == classUpper {
				c |= 0x20
			}
			h = (h ^ uint64(c)) * wordPrime
			i++
		}
		switch f := families(finish(h)); {
		case f&actingWords != 0:
			return false
		case f&numberedWords != 0:
			numbered = true
		}
	}
	return !(numbered && digits)
}
