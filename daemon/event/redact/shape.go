package redact

import "bytes"

// A prefix starts the tokens of a service; what follows it are at least min
// characters of a token.
type prefix struct {
	text string
	min  int
}

// prefixes are of published token formats, by their first byte.
var prefixes = func() (by [256][]prefix) {
	for _, p := range []prefix{
		{"AKIA", 16}, {"ASIA", 16}, {"ABIA", 16}, {"ACCA", 16}, // AWS access key ids
		{"ghp_", 20}, {"gho_", 20}, {"ghu_", 20}, {"ghs_", 20}, {"ghr_", 20}, {"github_pat_", 20},
		{"glpat-", 16}, {"gldt-", 16}, {"glrt-", 16}, {"glptt-", 16},
		{"xoxb-", 10}, {"xoxp-", 10}, {"xoxa-", 10}, {"xoxr-", 10}, {"xoxs-", 10}, {"xoxe-", 10}, {"xapp-", 10},
		{"sk_live_", 10}, {"sk_test_", 10}, {"rk_live_", 10}, {"rk_test_", 10}, {"pk_live_", 10}, {"whsec_", 16},
		{"sk-", 20}, {"AIza", 30}, {"ya29.", 20}, {"GOCSPX-", 20}, {"1//0", 20}, {"SG.", 20}, {"npm_", 20}, {"pypi-", 20}, {"hf_", 20},
		{"dop_v1_", 20}, {"doo_v1_", 20}, {"shpat_", 20}, {"shpss_", 20}, {"shpca_", 20}, {"hvs.", 20}, {"hvb.", 20}, {"s.", 24},
		{"AGE-SECRET-KEY-", 20}, {"key-", 30}, {"EAAC", 30}, {"EAAG", 30}, {"sq0atp-", 16}, {"sq0csp-", 16}, {"rubygems_", 20}, {"dckr_pat_", 16},
		{"PMAK-", 20}, {"lin_api_", 20}, {"NRAK-", 20}, {"atlasv1.", 20}, {"eyJ", 20}, {"v1.0-", 40}, {"ATATT3", 20}, {"figd_", 20}, {"sntrys_", 20},
		{"glsa_", 20}, {"dapi", 30}, {"tfp_", 20}, {"vault:", 20}, {"xkeysib-", 30}, {"secret_", 20}, {"ntn_", 20}, {"pat", 40}, {"amzn.mws.", 20},
		{"hooks.slack.com/services/", 20}, {"SK", 32},
	} {
		by[p.text[0]] = append(by[p.text[0]], p)
	}
	return by
}()

// shape returns the length of a service's token that begins at i, or 0.
func shape(text []byte, i int) int {
	for _, p := range prefixes[text[i]] {
		if !bytes.HasPrefix(text[i:], []byte(p.text)) {
			continue
		}
		n := len(p.text)
		for i+n < len(text) && tokenByte(text[i+n]) {
			n++
		}
		if n-len(p.text) >= p.min && (len(p.text) > 3 || tokenLike(text[i:i+n])) {
			return n
		}
	}
	return 0
}

func tokenByte(c byte) bool {
	return wordByte(c) && c < 0x80 || c == '-' || c == '.' || c == '/' || c == '+' || c == '=' || c == ':'
}

// scheme finds the credentials after an HTTP authentication scheme that begins
// the text: skip is the scheme's length, n the whole.
func scheme(text []byte) (skip, n int) {
	for _, s := range [...]string{"bearer ", "basic ", "token ", "apikey ", "digest "} {
		if len(text) <= len(s) || text[0]|0x20 != s[0] || !bytes.EqualFold(text[:len(s)], []byte(s)) {
			continue
		}
		n = len(s)
		for n < len(text) && tokenByte(text[n]) {
			n++
		}
		v := text[len(s):n]
		if s == "basic " || s == "bearer " {
			if len(v) >= 8 && (tokenLike(v) || s == "bearer " && (len(v) >= 16 || bytes.ContainsAny(v, "0123456789")) || bytes.HasSuffix(v, []byte("="))) {
				return len(s), n
			}
		} else if len(v) >= 16 && tokenLike(v) {
			return len(s), n
		}
		return 0, 0
	}
	return 0, 0
}

// card returns the length of a payment card number that begins the text, 13
// to 19 digits in groups by single spaces, dashes or plus signs that pass the Luhn check
// (ISO/IEC 7812-1), or 0.
func card(text []byte) int {
	var digits [20]byte
	count, end := 0, 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c >= '0' && c <= '9' {
			if count == 19 {
				return 0
			}
			digits[count] = c - '0'
			count++
			end = i + 1
			continue
		}
		if (c == ' ' || c == '-' || c == '+') && i+1 < len(text) && text[i+1] >= '0' && text[i+1] <= '9' {
			continue
		}
		break
	}
	if count < 13 || end < len(text) && wordByte(text[end]) || !issued(digits[:count]) || !luhn(digits[:count]) {
		return 0
	}
	return end
}

// issued says whether a network issues numbers that begin so; it keeps
// timestamps and ids that pass the Luhn check by chance.
func issued(d []byte) bool {
	switch d[0] {
	case 4, 5, 6:
		return true
	case 3:
		return d[1] == 4 || d[1] == 7 || d[1] == 5 || d[1] == 6 || d[1] == 8 || d[1] == 0
	case 2:
		return d[1] >= 2 && d[1] <= 7
	}
	return false
}

func luhn(d []byte) bool {
	sum := 0
	for i := range d {
		n := int(d[len(d)-1-i])
		if i%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}

// userinfo is the user part of a URL whose scheme ends with the colon at i
// (RFC 3986, section 3.2.1).
func userinfo(text []byte, i int) (from, to int) {
	if i == 0 || !wordByte(text[i-1]) || !bytes.HasPrefix(text[i:], []byte("://")) {
		return 0, 0
	}
	from = i + 3
	at := -1
	for j := from; j < len(text) && j-from < 512; j++ {
		switch text[j] {
		case '@':
			at = j
		case '/', '?', '#', ' ', '\t', '\r', '\n', '"', '<', '>', '\'':
			j = len(text)
		}
	}
	return from, at
}

// pemEnd is the length of a private key in PEM that begins the text, up to
// its last line or the end of the text.
func pemEnd(text []byte) int {
	if !bytes.HasPrefix(text, []byte("-----BEGIN ")) {
		return 0
	}
	head := text[:min(len(text), 64)]
	if !bytes.Contains(head, []byte("PRIVATE KEY")) {
		return 0
	}
	if e := bytes.Index(text, []byte("-----END ")); e >= 0 {
		if close := bytes.Index(text[e+9:], []byte("-----")); close >= 0 {
			return e + 9 + close + 5
		}
	}
	return len(text)
}

// pathSpans adds the token that follows a word such as reset in a path.
func pathSpans(dst []span, uri []byte) []span {
	end := len(uri)
	if q := bytes.IndexByte(uri, '?'); q >= 0 {
		end = q
	}
	asked := false
	for at := 0; at < end; {
		next := end
		if n := bytes.IndexByte(uri[at:end], '/'); n >= 0 {
			next = at + n
		}
		seg := uri[at:next]
		if asked && tokenLike(seg) {
			dst = append(dst, span{at, next, false})
		}
		asked = len(seg) <= 24 && secretStep(bytes.ToLower(seg))
		at = next + 1
	}
	return dst
}

func secretStep(seg []byte) bool {
	for _, w := range [...]string{"reset", "verify", "confirm", "invite", "token", "magic", "activate", "password", "unsubscribe", "hook", "webhook", "secret", "apikey", "api-key", "auth", "session", "login"} {
		if bytes.Contains(seg, []byte(w)) {
			return true
		}
	}
	return false
}
