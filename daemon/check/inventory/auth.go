package inventory

import (
	"bytes"

	"github.com/sallyport/sallyport/daemon/request"
)

// Kinds of credential, as bits.
const (
	bearer uint8 = 1 << iota
	basic
	otherScheme
	keyHeader
	sessionCookie
)

var schemeNames = []string{"bearer", "basic", "other", "api_key", "session_cookie"}

// credentials says which kinds of credential a request carries. Whether they
// are good is the check token's business.
func credentials(r *request.Request) (kinds uint8) {
	for i := range r.Headers {
		h := &r.Headers[i]
		switch len(h.Name) {
		case len("authorization"):
			if !bytes.EqualFold(h.Name, []byte("authorization")) || len(h.Value) == 0 {
				continue
			}
			switch scheme, _, _ := bytes.Cut(h.Value, []byte(" ")); {
			case bytes.EqualFold(scheme, []byte("bearer")):
				kinds |= bearer
			case bytes.EqualFold(scheme, []byte("basic")):
				kinds |= basic
			default:
				kinds |= otherScheme
			}
		case len("x-api-key"):
			if bytes.EqualFold(h.Name, []byte("x-api-key")) && len(h.Value) > 0 {
				kinds |= keyHeader
			}
		case len("x-auth-token"):
			if bytes.EqualFold(h.Name, []byte("x-auth-token")) && len(h.Value) > 0 {
				kinds |= keyHeader
			}
		case len("api-key"):
			if bytes.EqualFold(h.Name, []byte("api-key")) && len(h.Value) > 0 {
				kinds |= keyHeader
			}
		case len("cookie"):
			if bytes.EqualFold(h.Name, []byte("cookie")) && hasSession(h.Value) {
				kinds |= sessionCookie
			}
		}
	}
	return kinds
}

// sessionWords are what the names of session cookies hold.
var sessionWords = [][]byte{[]byte("sess"), []byte("sid"), []byte("auth"), []byte("token"), []byte("jwt"), []byte("remember")}

// hasSession looks at the names in a Cookie header alone.
func hasSession(line []byte) bool {
	for len(line) > 0 {
		var pair []byte
		pair, line, _ = bytes.Cut(line, []byte(";"))
		name, value, ok := bytes.Cut(bytes.TrimSpace(pair), []byte("="))
		if !ok || len(value) < 8 || len(name) > 64 {
			continue
		}
		var buf [64]byte
		lower := buf[:len(name)]
		for i, c := range name {
			if c >= 'A' && c <= 'Z' {
				c |= 0x20
			}
			lower[i] = c
		}
		if bytes.Contains(lower, []byte("csrf")) || bytes.Contains(lower, []byte("xsrf")) {
			continue
		}
		for _, w := range sessionWords {
			if bytes.Contains(lower, w) {
				return true
			}
		}
	}
	return false
}
