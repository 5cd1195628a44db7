package score

import (
	"bytes"
	"unicode/utf8"
)

// maxName bounds what is taken for a name or a short phrase, in bytes.
const maxName = 48

// joining are words that continue a query behind a quote.
var joining = map[string]bool{
	"or": true, "and": true, "union": true, "having": true, "group": true, "order": true, "like": true, "is": true,
	"in": true, "between": true, "limit": true, "select": true, "xor": true, "not": true, "procedure": true, "into": true,
}

// nameLike says that a value is a name or short phrase with one apostrophe
// inside a word (d'or, O'Brien, can't stop) and nothing else but letters,
// spaces and hyphens. It ends no query: what follows the quote is one word,
// or words that do not continue one.
func nameLike(text []byte) bool {
	if len(text) > maxName {
		return false
	}
	at := bytes.IndexByte(text, '\'')
	if at <= 0 || at == len(text)-1 {
		return false
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r >= 0xc0 && r != utf8.RuneError
		switch {
		case i == at:
		case letter:
		case (r == ' ' || r == '-') && i != at-1 && i != at+1:
		default:
			return false
		}
		i += n
	}
	word, rest, _ := bytes.Cut(bytes.ToLower(text[at+1:]), []byte{' '})
	return len(bytes.TrimSpace(rest)) == 0 || !joining[string(word)]
}
