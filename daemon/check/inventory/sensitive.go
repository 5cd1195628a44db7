package inventory

import (
	"bytes"

	"github.com/sallyport/sallyport/daemon/endpoint"
	"github.com/sallyport/sallyport/daemon/request"
)

// Class is a class of sensitive data.
type Class uint8

// The classes. Card numbers hold by length, issuer and Luhn sum, IBANs by
// their check digits (ISO 13616), national ids by their own.
const (
	Email Class = iota
	Card
	IBAN
	NationalID
	JWT
	APIKey
	PrivateKey
	Password
	classes
)

var classNames = [classes]string{"email", "card_number", "iban", "national_id", "jwt", "api_key", "private_key", "password"}

// String is the class's name.
func (c Class) String() string {
	if c < classes {
		return classNames[c]
	}
	return "unknown"
}

// Where data was seen, as bits.
const (
	inPath uint8 = 1 << iota
	inQuery
	inBody
	inHeader
)

var placeNames = []string{"path", "query", "body", "header"}

// sightings are what was seen in one request.
type sightings struct {
	places [classes]uint8
	any    bool
}

func (s *sightings) see(c Class, place uint8) {
	s.places[c] |= place
	s.any = true
}

const maxQueryScan = 8 << 10

// search looks through path, query and body. Percent encoding is undone for
// the at sign and the space alone, which is all that these classes need.
func (c *Check) search(r *request.Request) (s sightings) {
	s.scan(r.Path(), inPath)
	if q := queryOf(r.URI); len(q) > 0 {
		s.scan(q[:min(len(q), maxQueryScan)], inQuery)
		s.passwords(q[:min(len(q), maxQueryScan)], inQuery)
	}
	if b := r.Body.Bytes; len(b) > 0 {
		b = b[:min(len(b), c.s.MaxScanBytes)]
		s.scan(b, inBody)
		s.passwords(b, inBody)
	}
	return s
}

func queryOf(uri []byte) []byte {
	if i := bytes.IndexByte(uri, '?'); i >= 0 {
		return uri[i+1:]
	}
	return nil
}

const maxWord = 128 // bytes of an e-mail address or a key

// scan walks the words of a text. A run of short words of digits and letters
// with single spaces between is one number as people write it.
func (s *sightings) scan(b []byte, place uint8) {
	var run [48]byte // a number without its spaces
	n := 0
	flush := func() {
		if n > 0 {
			s.number(run[:n], place)
			n = 0
		}
	}
	for i := 0; i < len(b); {
		if !wordByte[b[i]] {
			if b[i] == '%' && i+2 < len(b) && b[i+1] == '2' && b[i+2] == '0' {
				i += 3
				continue
			}
			if b[i] != ' ' && b[i] != '+' || i > 0 && !wordByte[b[i-1]] {
				flush()
			}
			i++
			continue
		}
		start := i
		var w about
		for i < len(b) {
			switch c := b[i]; {
			case c >= '0' && c <= '9':
				w.digits++
			case wordByte[c]:
				w.at = w.at || c == '@'
				w.marks = w.marks || c == '@' || c == '.' || c == '-' || c == '_'
			case c == '%' && atSign(b, i):
				w.encoded, w.marks = true, true
				i += 2
			default:
				goto end
			}
			i++
		}
	end:
		word := b[start:i]
		if len(word) <= 6 && !w.marks && n+len(word) <= len(run) && (n > 0 || w.digits > 0) {
			n += copy(run[n:], word)
			continue
		}
		flush()
		s.word(word, &w, place)
	}
	flush()
}

func atSign(b []byte, i int) bool {
	return b[i] == '%' && i+2 < len(b) && b[i+1] == '4' && b[i+2] == '0'
}

// wordByte holds the bytes that e-mail addresses, numbers and keys are made of.
var wordByte = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-0x20] = true, true
	}
	for _, c := range ".-_@" {
		t[c] = true
	}
	return t
}()

// about is what a look at each byte of a word has shown.
type about struct {
	digits             int
	at, encoded, marks bool // an at sign, an encoded one, anything that is neither digit nor letter
}

// word judges one word by what its bytes and its length allow.
func (s *sightings) word(w []byte, about *about, place uint8) {
	switch {
	case len(w) < 6:
		return
	case about.at:
		if len(w) <= maxWord && endpoint.Classify(bytes.TrimRight(w, ".-_")) == endpoint.Email {
			s.see(Email, place)
		}
		return
	case about.encoded:
		i := bytes.Index(w, []byte("%40"))
		if i > 0 && len(w) <= maxWord {
			var buf [maxWord]byte
			plain := append(append(append(buf[:0], w[:i]...), '@'), w[i+3:]...)
			if endpoint.Classify(bytes.TrimRight(plain, ".-_")) == endpoint.Email {
				s.see(Email, place)
			}
		}
		return
	case len(w) >= 36 && w[0] == 'e' && w[1] == 'y' && bytes.Count(w, []byte(".")) == 2:
		s.see(JWT, place)
		return
	case isAPIKey(w):
		s.see(APIKey, place)
		return
	case w[0] == '-' && bytes.HasPrefix(w, []byte("-----BEGIN")): // the words PRIVATE KEY follow
		s.see(PrivateKey, place)
		return
	case about.digits < 6 || len(w) > 40:
		return
	case !about.marks:
		s.number(w, place)
		return
	case isFormattedID(w):
		s.see(NationalID, place)
		return
	}
	var plain [40]byte
	n := 0
	for _, c := range w {
		if c != '-' && c != '.' {
			plain[n] = c
			n++
		}
	}
	if len(w)-n <= 6 {
		s.number(plain[:n], place)
	}
}

// keyPrefixes are how issuers mark their keys, with the least length of the whole.
var keyPrefixes = []struct {
	prefix string
	length int
}{
	{"sk_live_", 20}, {"sk_test_", 20}, {"rk_live_", 20}, {"pk_live_", 20}, {"whsec_", 20},
	{"ghp_", 40}, {"gho_", 40}, {"ghs_", 40}, {"ghu_", 40}, {"github_pat_", 40}, {"glpat-", 26},
	{"AKIA", 20}, {"ASIA", 20}, {"AIza", 39}, {"xoxb-", 24}, {"xoxp-", 24}, {"xoxa-", 24},
	{"SG.", 60}, {"npm_", 40}, {"sk-ant-", 40}, {"sk-proj-", 40}, {"dop_v1_", 64}, {"shpat_", 38}, {"pypi-", 60}, {"hf_", 37},
}

func isAPIKey(w []byte) bool {
	if len(w) < 20 {
		return false
	}
	for i := range keyPrefixes {
		k := &keyPrefixes[i]
		if w[0] == k.prefix[0] && len(w) >= k.length && bytes.HasPrefix(w, []byte(k.prefix)) {
			return true
		}
	}
	return false
}

// number judges digits and letters without separators.
func (s *sightings) number(w []byte, place uint8) {
	switch {
	case len(w) < 9:
	case isCard(w):
		s.see(Card, place)
	case isIBAN(w):
		s.see(IBAN, place)
	case isNationalNumber(w):
		s.see(NationalID, place)
	}
}

// passwords looks for parameters and members that are named for secrets and
// hold something.
func (s *sightings) passwords(b []byte, place uint8) {
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte("passw"))
		if i < 0 {
			return
		}
		at += i + len("passw")
		tail := b[at:min(len(b), at+8)]
		tail = bytes.TrimPrefix(bytes.TrimPrefix(tail, []byte("ord")), []byte("d"))
		if len(tail) > 1 && (tail[0] == '=' && tail[1] != '&' || tail[0] == '"' && bytes.IndexByte(tail, ':') > 0) {
			s.see(Password, place)
			return
		}
	}
}
