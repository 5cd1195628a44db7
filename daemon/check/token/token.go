// Package token judges the credentials a request carries: bearer JWTs by
// their signature, algorithm, times, issuer, audience and scopes, and opaque
// API keys by a list of their hashes. Nothing outside the machine is asked.
//
// Sources: RFC 6750 (bearer tokens), RFC 7515, 7517, 7519 (JWS, JWK, JWT) and
// the advice of RFC 8725.
package token

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/endpoint"
	"github.com/sallyport/sallyport/daemon/request"
)

// Name is the check's name.
const Name = "token"

// maxTokens bounds the credentials of one request that are looked at.
const maxTokens = 8

// Check judges credentials. Build it with New.
type Check struct {
	s        Settings
	keys     *keySet // nil without a JWKS file
	listed   *keyList
	ops      *endpoint.Operations
	rules    []scopeRule
	verified *cache[claims]
	refused  *cache[check.Finding]
	worked   atomic.Uint64 // tokens verified
}

// Name is "token".
func (c *Check) Name() string { return Name }

// Needs says that the head is enough: a credential in a body is not read.
func (c *Check) Needs() check.Phase { return check.Head }

// Judge adds the findings of one request's credentials.
func (c *Check) Judge(v *check.Visit) {
	var buf [maxTokens]credential
	creds := c.credentials(buf[:0], v.Request)
	need := c.needs(v.Request)
	if len(creds) == 0 {
		if need.required {
			v.Add(finding("missing", check.Medium, 401, "", "no token or key came with the request", need.why))
		}
		return
	}
	if !c.judges() {
		c.formOnly(v, creds)
		return
	}
	if i := second(creds); i > 0 {
		v.Add(finding("several", check.High, 401, creds[i].where, "several credentials of one kind came; a backend may read another one than the gateway",
			"one credential, in one place alone (RFC 6750, section 2)"))
	}
	var scopes scopeSet
	accepted := false
	for i := range creds {
		t := &creds[i]
		if t.inQuery && !c.s.AllowQuery {
			v.Add(finding("in_query", check.Medium, 401, t.where, "a token in the query ends up in logs and histories", "a token in the Authorization header (RFC 6750, section 5.3)"))
		}
		switch r := c.accept(v, t); r.state {
		case refused:
			return
		case held:
			accepted = true
			if scopes == nil { // mostly there is one credential
				scopes = r.scopes
			} else {
				scopes = slices.Concat(scopes, r.scopes)
			}
		}
	}
	c.authorise(v, need, accepted, scopes, creds[0].where)
}

// formOnly judges credentials where there is nothing to check them against.
// The API may well use encrypted tokens, tokens in links, or expired ones to
// ask for new; a token that says it has no signature is an attack all the same.
func (c *Check) formOnly(v *check.Visit, creds []credential) {
	for i := range creds {
		t := &creds[i]
		if t.inQuery && !c.s.AllowQuery {
			v.Add(finding("in_query", check.Info, 0, t.where, "a token in the query ends up in logs and histories", "a token in the Authorization header (RFC 6750, section 5.3)"))
		}
		if !t.jwtLike() || len(t.text) > c.s.MaxTokenBytes {
			continue
		}
		head, _, _ := bytes.Cut(t.text, []byte("."))
		if len(head) > maxHeader || !saysNone(head) {
			continue
		}
		if h, err := readHeader(head); err == nil && strings.EqualFold(h.Alg, "none") {
			v.Add(finding("algorithm", check.High, 401, t.where, "the token says that it has no signature (alg "+strconv.Quote(cut(h.Alg))+")", "a signed token"))
		}
	}
}

// saysNone says whether a header could hold the algorithm none: most do not,
// and need not be read as JSON.
func saysNone(head []byte) bool {
	var buf [maxHeader * 3 / 4]byte
	n, err := base64.RawURLEncoding.Decode(buf[:], head)
	if err != nil {
		return false
	}
	decoded := buf[:n]
	for i := 0; i+4 <= len(decoded); i++ {
		if decoded[i]|0x20 == 'n' && decoded[i+1]|0x20 == 'o' && decoded[i+2]|0x20 == 'n' && decoded[i+3]|0x20 == 'e' {
			return true
		}
		if decoded[i] == '\\' { // written with an escape
			return true
		}
	}
	return false
}

func (c *Check) authorise(v *check.Visit, need need, accepted bool, scopes scopeSet, where string) {
	if !accepted {
		if need.required {
			v.Add(finding("missing", check.Medium, 401, "", "no token or key that can be checked came with the request", need.why))
		}
		return
	}
	if lacking, ok := need.lacking(scopes); !ok {
		v.Add(finding("scope", check.High, 403, where, "the credential lacks the scope "+strconv.Quote(lacking), need.why))
	}
}

// judges says whether there is anything to check credentials against.
func (c *Check) judges() bool { return c.keys != nil || c.listed != nil }

type state uint8

const (
	unjudged state = iota // nothing is configured to judge it by
	held                  // it holds
	refused               // a finding says why not
)

type result struct {
	state  state
	scopes scopeSet
}

// accept judges one credential.
func (c *Check) accept(v *check.Visit, t *credential) result {
	switch {
	case len(t.text) > c.s.MaxTokenBytes:
		v.Add(finding("oversized", check.High, 401, t.where, "the credential is longer than max_token_bytes",
			strconv.Itoa(len(t.text))+" bytes, at most "+strconv.Itoa(c.s.MaxTokenBytes)))
		return result{state: refused}
	case t.jwtLike() && c.keys != nil:
		return c.acceptJWT(v, t)
	case c.listed != nil:
		return c.acceptKey(v, t)
	case t.bearer && c.keys != nil:
		v.Add(finding("malformed", check.High, 401, t.where, "the bearer token is no JWT", "three parts with dots between (RFC 7519)"))
		return result{state: refused}
	}
	return result{}
}

func (c *Check) acceptKey(v *check.Visit, t *credential) result {
	k := c.listed.find(t.text)
	switch {
	case k == nil:
		v.Add(finding("unknown_key", check.High, 401, t.where, "the API key is not on the list", ""))
		return result{state: refused}
	case !k.Expires.IsZero() && !v.Now.Before(k.Expires):
		v.Add(finding("expired_key", check.High, 401, t.where, "the API key "+strconv.Quote(k.Name)+" expired on "+k.Expires.Format(time.RFC3339), ""))
		return result{state: refused}
	}
	v.Note(Name, "API key "+strconv.Quote(k.Name)+" is on the list")
	return result{held, k.Scopes}
}

func finding(id string, sev check.Severity, status int, where, message, detail string) check.Finding {
	f := check.Finding{Check: Name, ID: id, Severity: sev, Status: status, Where: where, Message: message, Detail: detail, Deny: sev >= check.High || id == "missing"}
	if cwe := cwes[id]; cwe != "" {
		f.Tags = []string{cwe}
	}
	return f
}

var cwes = map[string]string{
	"algorithm": "CWE-347", "key_confusion": "CWE-347", "signature": "CWE-347", "foreign_key": "CWE-347", "unknown_kid": "CWE-347",
	"missing": "CWE-306", "scope": "CWE-285", "in_query": "CWE-598", "expired": "CWE-613", "no_expiry": "CWE-613", "expired_key": "CWE-613",
}

// credential is one credential as found in a request.
type credential struct {
	text    []byte
	where   string
	bearer  bool // it came with the scheme Bearer or in a place for tokens
	inQuery bool
}

// jwtLike says whether a text is meant to be a JWT: base64url of `{"` first,
// and a dot after it.
func (t *credential) jwtLike() bool {
	return bytes.HasPrefix(t.text, []byte("ey")) && bytes.IndexByte(t.text, '.') > 0
}

// second is the index of a credential of a kind that came before, in another
// place or with another text; 0 if there is none. A token beside an API key
// is nothing unusual.
func second(creds []credential) int {
	for i := 1; i < len(creds); i++ {
		for j := range i {
			a, b := &creds[i], &creds[j]
			if a.bearer == b.bearer && (a.where != b.where || !bytes.Equal(a.text, b.text)) {
				return i
			}
		}
	}
	return 0
}

// credentials collects what a request carries, in the order of its headers,
// then its query.
func (c *Check) credentials(out []credential, r *request.Request) []credential {
	for i := range r.Headers {
		h := &r.Headers[i]
		if len(out) >= maxTokens {
			return out
		}
		switch {
		case equalFold(h.Name, "authorization"):
			if scheme, rest, ok := bytes.Cut(h.Value, []byte(" ")); ok && equalFold(scheme, "bearer") {
				out = append(out, credential{text: bytes.TrimSpace(rest), where: "header:authorization", bearer: true})
			}
		case equalFold(h.Name, "cookie"):
			if len(c.s.Cookies) > 0 {
				out = c.cookies(out, h.Value)
			}
		default:
			if name := anyFold(h.Name, c.s.KeyHeaders); name != "" {
				out = append(out, credential{text: bytes.TrimSpace(h.Value), where: "header:" + name})
			} else if name := anyFold(h.Name, c.s.TokenHeaders); name != "" {
				text := bytes.TrimSpace(h.Value)
				if len(text) > 7 && equalFold(text[:7], "bearer ") {
					text = bytes.TrimSpace(text[7:])
				}
				out = append(out, credential{text: text, where: "header:" + name, bearer: true})
			}
		}
	}
	return c.query(out, r.URI)
}

func (c *Check) cookies(out []credential, line []byte) []credential {
	for len(line) > 0 && len(out) < maxTokens {
		var pair []byte
		pair, line, _ = bytes.Cut(line, []byte(";"))
		name, value, ok := bytes.Cut(bytes.TrimSpace(pair), []byte("="))
		if !ok {
			continue
		}
		for _, n := range c.s.Cookies {
			if string(name) == n {
				out = append(out, credential{text: bytes.Trim(value, `"`), where: "cookie:" + n, bearer: true})
			}
		}
	}
	return out
}

// query finds tokens under the configured names, and JWTs under any name.
func (c *Check) query(out []credential, uri []byte) []credential {
	_, query, ok := bytes.Cut(uri, []byte("?"))
	if !ok {
		return out
	}
	for len(query) > 0 && len(out) < maxTokens {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte("&"))
		name, value, ok := bytes.Cut(pair, []byte("="))
		if !ok || len(value) == 0 {
			continue
		}
		t := credential{text: value, inQuery: true, bearer: true}
		switch {
		case anyFold(name, c.s.QueryTokens) != "":
			t.where = "query:" + anyFold(name, c.s.QueryTokens)
		case anyFold(name, c.s.QueryKeys) != "":
			t.where, t.bearer, t.inQuery = "query:"+anyFold(name, c.s.QueryKeys), false, !c.s.AllowQuery
		case t.jwtLike() && bytes.Count(value, []byte(".")) >= 2 && len(value) >= 32:
			t.where = "query:" + string(name[:min(len(name), 64)])
		default:
			continue
		}
		if bytes.IndexByte(value, '%') >= 0 {
			t.text = unescape(value)
		}
		out = append(out, t)
	}
	return out
}

func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) {
			if n, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, b[i])
	}
	return out
}

func anyFold(name []byte, names []string) string {
	for _, n := range names {
		if equalFold(name, n) {
			return n
		}
	}
	return ""
}

// equalFold compares a header's name with one in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
