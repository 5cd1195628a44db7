package limit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/go-jose/go-jose/v4"
)

// Bounds of tokens. A longer one, or a claim that is no text, number or truth
// value, counts as missing.
const (
	maxToken  = 8 << 10
	maxTokens = 8192 // claims remembered, so that a token is verified once
)

// claims reads claims of JSON Web Tokens (RFC 7519), verified where keys are
// configured. What a token said is remembered by the token's hash.
type claims struct {
	keys  *jose.JSONWebKeySet // nil reads without verifying
	names []string            // the claims asked for
	now   func() time.Time

	mu    sync.Mutex
	known map[uint64]*token
	old   map[uint64]*token
}

type token struct {
	text    string // compared, for a hash may collide
	expires int64
	claims  map[string]string
}

// Signature algorithms taken: none of those that need a shared secret.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

func newClaims(jwks string, names []string) (*claims, error) {
	c := &claims{known: map[uint64]*token{}, names: names, now: time.Now}
	if jwks == "" {
		return c, nil
	}
	text, err := os.ReadFile(jwks)
	if err != nil {
		return nil, err
	}
	c.keys = &jose.JSONWebKeySet{}
	if err := json.Unmarshal(text, c.keys); err != nil {
		return nil, fmt.Errorf("read %s: %w: expected a JSON Web Key Set (RFC 7517)", jwks, err)
	}
	if len(c.keys.Keys) == 0 {
		return nil, fmt.Errorf("read %s: it holds no keys", jwks)
	}
	return c, nil
}

// claim is a claim of a token, empty when the token is not valid or has none.
func (c *claims) claim(raw []byte, name string) string {
	if len(raw) == 0 || len(raw) > maxToken {
		return ""
	}
	h := xxhash.Sum64(raw)
	c.mu.Lock()
	t := c.known[h]
	if t == nil {
		if t = c.old[h]; t != nil {
			c.known[h] = t
		}
	}
	c.mu.Unlock()
	if t == nil || t.text != string(raw) {
		t = c.read(string(raw))
		c.mu.Lock()
		if len(c.known) >= maxTokens/2 {
			c.old, c.known = c.known, map[uint64]*token{}
		}
		c.known[h] = t
		c.mu.Unlock()
	}
	if t.expires != 0 && c.now().Unix() >= t.expires {
		return ""
	}
	return t.claims[name]
}

// read verifies a token; one that is not valid is remembered with no claims.
func (c *claims) read(raw string) *token {
	t := &token{text: raw}
	payload := c.payload(raw)
	if payload == nil {
		return t
	}
	var all map[string]any
	if json.Unmarshal(payload, &all) != nil {
		return t
	}
	if exp, ok := all["exp"].(float64); ok {
		t.expires = int64(exp)
	}
	t.claims = map[string]string{}
	for _, name := range c.names {
		switch v := all[name].(type) {
		case string:
			t.claims[name] = v
		case float64, bool:
			t.claims[name] = fmt.Sprint(v)
		}
	}
	return t
}

func (c *claims) payload(raw string) []byte {
	if c.keys == nil {
		parts := strings.Split(raw, ".")
		if len(parts) != 3 {
			return nil
		}
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			return nil
		}
		return payload
	}
	signed, err := jose.ParseSignedCompact(raw, algorithms)
	if err != nil || len(signed.Signatures) != 1 {
		return nil
	}
	keys := c.keys.Keys
	if id := signed.Signatures[0].Header.KeyID; id != "" {
		keys = c.keys.Key(id)
	}
	for i := range keys {
		if payload, err := signed.Verify(&keys[i]); err == nil {
			return payload
		}
	}
	return nil
}
