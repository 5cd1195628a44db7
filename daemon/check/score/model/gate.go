package model

// gateClass sorts bytes for Harmless.
const (
	gateSuspect = iota // may be part of an attack
	gatePlain          // stands in ids, numbers, dates, versions, mail addresses
	gateDot
	gateProse // stands between words
	gateSlash // stands between the names of a relative path, a media type, a time zone
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
	t['/'] = gateSlash
	return
}()

// Harmless says that text cannot be an attack of any class. Either it is
// empty or one word made of letters, digits and the marks of ids, dates,
// numbers, versions and mail addresses, with no two dots in a row, and not the
// name of a Java class; or such words with single slashes between them, as in
// text/xml, Europe/Paris and read/write, that name no file worth stealing and
// no program. Or it is words and blanks, the words not being what an
// interpreter acts upon. It reads each byte twice at most and allocates nothing.
func Harmless(text []byte) bool {
	last := uint8(gateSlash)
	prose, slash := false, false
	for _, c := range text {
		k := gateClass[c]
		switch k {
		case gateSuspect:
			return false
		case gateDot:
			if last == gateDot || last == gateSlash && slash {
				return false
			}
		case gateSlash:
			if last == gateSlash {
				return false
			}
			slash = true
		case gateProse:
			prose = true
		}
		last = k
	}
	if slash {
		return !prose && harmlessNames(text)
	}
	if prose {
		return harmlessProse(text)
	}
	return !className(text)
}

// maxNames bounds the bytes of a value that is passed for names with slashes.
const maxNames = 128

// harmlessNames says that of the words in text, which slashes separate, none is
// a folder of programs and no two neighbours are parts of a sensitive file's path.
func harmlessNames(text []byte) bool {
	if len(text) > maxNames || text[0] == '.' {
		return false
	}
	target := false
	for from := 0; from < len(text); {
		for from < len(text) && !wordByte(text[from]) {
			if text[from] == '@' || text[from] == ':' {
				return false
			}
			from++
		}
		h := uint64(wordSeed)
		i := from
		for ; i < len(text) && wordByte(text[i]); i++ {
			c := text[i]
			if byteClass[c] == classUpper {
				c |= 0x20
			}
			h = (h ^ uint64(c)) * wordPrime
		}
		f := families(finish(h))
		if f&famShellPath != 0 || target && f&famFileTarget != 0 {
			return false
		}
		target = f&famFileTarget != 0
		from = i
	}
	return true
}

// classRoots begin the qualified names of the classes that expressions and
// serialised objects reach for.
var classRoots = [...]string{"java.", "javax.", "com.sun.", "org.omg.", "org.apache.", "sun.misc.", "processbuilder.", "runtime."}

// className says that text, one word, begins as such a class's name does.
func className(text []byte) bool {
	if len(text) < 8 {
		return false
	}
	switch text[0] | 0x20 {
	case 'j', 'c', 'o', 's', 'p', 'r':
	default:
		return false
	}
	for _, root := range classRoots {
		if len(text) > len(root) && foldedPrefix(text, root) {
			return true
		}
	}
	return false
}

// foldedPrefix says that text begins with prefix, of lower case and dots.
func foldedPrefix(text []byte, prefix string) bool {
	for i := range len(prefix) {
		if c := text[i]; c != prefix[i] && (byteClass[c] != classUpper || c|0x20 != prefix[i]) {
			return false
		}
	}
	return true
}

// actingWords are families whose words an interpreter acts upon even without
// any punctuation around them; English has many of them, and prose with one
// goes through the model. A command acts where a value begins: behind another
// word, without a line break or a mark between them, it is an argument.
const (
	actingWords  = famSQLVerb | famSQLSchema | famSink | famHandler | famLookup | famJava
	actingAtHead = actingWords | famShell
)

// numberedWords need a number beside them to act: OR 1, ORDER BY 9.
const numberedWords = famSQLLogic | famSQLClause | famSQLFunc

func harmlessProse(text []byte) bool {
	numbered, digits := false, false
	acting := actingAtHead
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
		case f&acting != 0:
			return false
		case f&numberedWords != 0:
			numbered = true
		}
		acting = actingWords
	}
	return !(numbered && digits)
}
