package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/daemon/check"
)

// maxHeader bounds a JWT's header, in bytes of base64.
const maxHeader = 4096

// header holds the parameters of RFC 7515, section 4.1, that decide.
type header struct {
	Alg string          `json:"alg"`
	Kid string          `json:"kid"`
	Typ string          `json:"typ"`
	Cty string          `json:"cty"`
	JKU *string         `json:"jku"`
	X5U *string         `json:"x5u"`
	JWK json.RawMessage `json:"jwk"`
	X5C json.RawMessage `json:"x5c"`
	Enc string          `json:"enc"`
	B64 *bool           `json:"b64"`
	Cri json.RawMessage `json:"crit"`
}

// claims are the claims of a token whose signature holds. They never change.
type claims struct {
	all      map[string]any
	exp, nbf time.Time
	scopes   scopeSet
}

// acceptJWT judges one JWT, first by what was verified before.
func (c *Check) acceptJWT(v *check.Visit, t *credential) result {
	cl, f := c.read(t.text)
	if f != nil {
		f.Where = t.where
		v.Add(*f)
		return result{state: refused}
	}
	if f := c.inTime(cl, v.Now); f != nil {
		f.Where = t.where
		v.Add(*f)
		return result{state: refused}
	}
	return result{held, cl.scopes}
}

func refuse(id, message, detail string) (*claims, *check.Finding) {
	f := finding(id, check.High, 401, "", message, detail)
	return nil, &f
}

// verify checks all of a token that does not depend on the time.
func (c *Check) verify(text []byte) (*claims, *check.Finding) {
	head, _, _ := bytes.Cut(text, []byte("."))
	switch dots := bytes.Count(text, []byte(".")); {
	case dots == 4:
		return refuse("nested", "the token is encrypted (JWE), so it cannot be judged", "a signed token: three parts with dots between")
	case dots != 2:
		return refuse("malformed", "the token has "+strconv.Itoa(dots+1)+" parts", "three parts with dots between (RFC 7515, section 7.1)")
	case len(head) > maxHeader:
		return refuse("oversized", "the token's header is longer than "+strconv.Itoa(maxHeader)+" bytes", "")
	}
	h, err := readHeader(head)
	if err != nil {
		return refuse("malformed", "the token's header cannot be read", err.Error())
	}
	if f := c.judgeHeader(h); f != nil {
		return nil, f
	}
	decoded, f := c.checkSignature(string(text), h)
	if f != nil {
		return nil, f
	}
	cl, f := c.readClaims(decoded)
	if f != nil {
		return nil, f
	}
	return cl, c.judgeClaims(cl)
}

func readHeader(b []byte) (*header, error) {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(string(b))
	if err != nil {
		return nil, err
	}
	var names map[string]json.RawMessage
	if err := json.Unmarshal(decoded, &names); err != nil {
		return nil, err
	}
	// encoding/json takes names of any case, and the last of two equal ones:
	// what one reader takes for alg another does not see (RFC 7515, section 4).
	if n := countNames(decoded); n != len(names) {
		return nil, fmt.Errorf("%d names, %d of them distinct", n, len(names))
	}
	for name := range names {
		if l := strings.ToLower(name); l != name && names[l] != nil || l != name && len(l) <= 4 {
			return nil, fmt.Errorf("the name %.20q is not in lower case", name)
		}
	}
	h := &header{}
	return h, json.Unmarshal(decoded, h)
}

// countNames counts the members of a JSON object, duplicates too.
func countNames(object []byte) (n int) {
	d := json.NewDecoder(bytes.NewReader(object))
	depth := 0
	key := false
	for {
		tok, err := d.Token()
		if err != nil {
			return n
		}
		if delim, ok := tok.(json.Delim); ok {
			if delim == '{' || delim == '[' {
				depth++
			} else {
				depth--
			}
			key = depth == 1
			continue
		}
		if depth == 1 {
			if key {
				n++
			}
			key = !key
		}
	}
}

// judgeHeader refuses what must not be trusted before any key is looked for.
func (c *Check) judgeHeader(h *header) *check.Finding {
	bad := func(id, message, detail string) *check.Finding {
		_, f := refuse(id, message, detail)
		return f
	}
	switch {
	case strings.EqualFold(h.Cty, "jwt"):
		return bad("nested", "the token holds another token (cty JWT)", "a token with claims")
	case h.Enc != "":
		return bad("nested", "the token is encrypted (enc), so it cannot be judged", "a signed token")
	case h.Cri != nil || h.B64 != nil:
		return bad("malformed", "the token demands an extension (crit) that is not understood", "a token without crit (RFC 7515, section 4.1.11)")
	case h.JWK != nil || h.X5C != nil:
		return bad("foreign_key", "the token brings its own key (jwk or x5c)", "a kid that names a key of the JWK set")
	case h.JKU != nil && !c.ownURL(*h.JKU), h.X5U != nil && !c.ownURL(*h.X5U):
		return bad("foreign_key", "the token points to keys elsewhere (jku or x5u)", "a URL that begins with one of key_urls")
	}
	for _, a := range c.s.Algorithms {
		if a == h.Alg {
			return nil
		}
	}
	if strings.HasPrefix(h.Alg, "HS") && c.keys != nil && !c.keys.hmac {
		return bad("key_confusion", "the token asks for a MAC (alg "+strconv.Quote(cut(h.Alg))+") where keys are public", "one of "+strings.Join(c.s.Algorithms, ", "))
	}
	return bad("algorithm", "the token's algorithm "+strconv.Quote(cut(h.Alg))+" is not accepted", "one of "+strings.Join(c.s.Algorithms, ", "))
}

func cut(s string) string { return s[:min(len(s), 32)] }

func (c *Check) ownURL(u string) bool {
	for _, p := range c.s.KeyURLs {
		if strings.HasPrefix(u, p) {
			return true
		}
	}
	return false
}

func (c *Check) checkSignature(text string, h *header) ([]byte, *check.Finding) {
	keys := c.keys.candidates(h.Kid)
	if len(keys) == 0 {
		_, f := refuse("unknown_kid", "no key has the token's kid "+strconv.Quote(h.Kid[:min(len(h.Kid), 64)]), "a kid of the JWK set; reload after the issuer changed its keys")
		return nil, f
	}
	jws, err := jose.ParseSignedCompact(text, c.algorithms())
	if err != nil {
		_, f := refuse("malformed", "the token cannot be read", cutTo(err.Error(), 128))
		return nil, f
	}
	tried, macOnPublic := 0, false
	for _, k := range keys {
		if !k.suits(h.Alg) {
			_, secret := k.key.([]byte)
			macOnPublic = macOnPublic || !secret && strings.HasPrefix(h.Alg, "HS")
			continue
		}
		if tried++; tried > maxTried {
			break
		}
		if payload, err := jws.Verify(k.key); err == nil {
			return payload, nil
		}
	}
	var f *check.Finding
	switch {
	case macOnPublic && tried == 0:
		_, f = refuse("key_confusion", "the token asks for a MAC (alg "+strconv.Quote(h.Alg)+") by a public key", "the key's own algorithm")
	case tried == 0:
		_, f = refuse("algorithm", "the token's algorithm "+strconv.Quote(h.Alg)+" does not suit its key", "the key's own algorithm")
	default:
		_, f = refuse("signature", "the token's signature does not hold", "")
	}
	return nil, f
}

func cutTo(s string, n int) string { return s[:min(len(s), n)] }

// readClaims reads a payload. Numbers are kept as they stand.
func (c *Check) readClaims(payload []byte) (*claims, *check.Finding) {
	cl := &claims{}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	err := d.Decode(&cl.all)
	if err == nil && cl.all == nil {
		err = errors.New("no object")
	}
	if err == nil && d.More() {
		err = errors.New("something follows the object")
	}
	if err == nil && countNames(payload) != len(cl.all) {
		err = errors.New("a claim stands twice") // RFC 7519, section 4
	}
	if err == nil {
		cl.exp, err = date(cl.all, "exp")
	}
	if err == nil {
		cl.nbf, err = date(cl.all, "nbf")
	}
	if err != nil {
		return refuse("malformed", "the token's claims cannot be read", cutTo(err.Error(), 128))
	}
	for _, name := range c.s.ScopeClaims {
		cl.scopes = appendScopes(cl.scopes, lookup(cl.all, name))
	}
	return cl, nil
}

// date reads a NumericDate (RFC 7519, section 2); a missing one is zero.
func date(all map[string]any, name string) (time.Time, error) {
	v, ok := all[name]
	if !ok {
		return time.Time{}, nil
	}
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, fmt.Errorf("%s is no number", name)
	}
	f, err := n.Float64()
	if err != nil || math.IsNaN(f) || f < 0 || f > 1e12 {
		return time.Time{}, fmt.Errorf("%s is no time", name)
	}
	return time.Unix(int64(f), int64((f-math.Floor(f))*1e9)), nil
}

// judgeClaims checks what does not change with time.
func (c *Check) judgeClaims(cl *claims) *check.Finding {
	if cl.exp.IsZero() && !c.s.AllowNoExpiry {
		_, f := refuse("no_expiry", "the token never expires (no exp)", "a token with exp, or allow_no_expiry")
		return f
	}
	if len(c.s.Issuers) > 0 {
		iss, _ := cl.all["iss"].(string)
		if !contains(c.s.Issuers, iss) {
			_, f := refuse("issuer", "the token's issuer "+strconv.Quote(cutTo(iss, 128))+" is not accepted", "one of issuers")
			return f
		}
	}
	if len(c.s.Audiences) > 0 && !audienceIn(cl.all["aud"], c.s.Audiences) {
		_, f := refuse("audience", "the token is meant for another audience", "aud with one of audiences")
		return f
	}
	return nil
}

func audienceIn(aud any, accepted []string) bool {
	switch a := aud.(type) {
	case string:
		return contains(accepted, a)
	case []any:
		for _, e := range a {
			if s, ok := e.(string); ok && contains(accepted, s) {
				return true
			}
		}
	}
	return false
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// inTime checks exp and nbf at every use.
func (c *Check) inTime(cl *claims, now time.Time) *check.Finding {
	switch {
	case !cl.exp.IsZero() && !now.Before(cl.exp.Add(c.skew())):
		_, f := refuse("expired", "the token expired at "+cl.exp.UTC().Format(time.RFC3339), "")
		f.Severity, f.Score = check.Medium, check.Medium.Score()
		return f
	case !cl.nbf.IsZero() && now.Add(c.skew()).Before(cl.nbf):
		_, f := refuse("not_yet_valid", "the token is not valid before "+cl.nbf.UTC().Format(time.RFC3339), "")
		return f
	}
	return nil
}
