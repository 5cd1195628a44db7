package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/endpoint"
)

// Settings are the table [check.token].
type Settings struct {
	// Files with the public keys that tokens are signed with, each a JWK set
	// (RFC 7517). Read at start and on reload. Without any, a JWT is not judged
	// but for the algorithm "none".
	JWKS []string `toml:"jwks"`
	// Signature algorithms that are accepted. "none" never is. HS256, HS384 and
	// HS512 need a secret (kty "oct") in a JWKS file and are never tried with a
	// public key.
	Algorithms []string `toml:"algorithms"`
	// Accepted issuers (claim iss). Empty accepts any.
	Issuers []string `toml:"issuers"`
	// Accepted audiences (claim aud); a token needs one of them. Empty accepts any.
	Audiences []string `toml:"audiences"`
	// How far exp and nbf may be off, in seconds, 0 to 600.
	SkewSeconds int `toml:"skew_seconds"`
	// Whether a token without exp is accepted.
	AllowNoExpiry bool `toml:"allow_no_expiry"`
	// The longest credential, in bytes, 256 to 65536.
	MaxTokenBytes int `toml:"max_token_bytes"`
	// Whether tokens may stand in the query.
	AllowQuery bool `toml:"allow_query"`
	// Prefixes of URLs that the header parameters jku and x5u may name. Such
	// URLs are never fetched; a token that names another one is refused.
	KeyURLs []string `toml:"key_urls"`

	// Whether a request without a valid credential is a finding.
	Required bool `toml:"required"`
	// Scopes that every accepted credential needs.
	Scopes []string `toml:"scopes"`
	// Claims that hold scopes: a list, or words with spaces between. A dot
	// goes into an object: "realm_access.roles".
	ScopeClaims []string `toml:"scope_claims"`
	// Rules for parts of the API; the first that matches counts.
	Rule []RuleSettings `toml:"rule"`
	// OpenAPI documents whose security requirements say which operations need
	// a credential, and which scopes. A rule goes before them.
	OpenAPI []string `toml:"openapi"`

	// Headers that carry a token besides Authorization, in lower case.
	TokenHeaders []string `toml:"token_headers"`
	// Cookies that carry a token.
	Cookies []string `toml:"cookies"`
	// Query parameters that are known to carry a token, in lower case.
	QueryTokens []string `toml:"query_tokens"`
	// File of API keys: a line each with a name and sha256:HEX of the key.
	KeyFile string `toml:"key_file"`
	// Headers that carry an API key, in lower case.
	KeyHeaders []string `toml:"key_headers"`
	// Query parameters that carry an API key, in lower case.
	QueryKeys []string `toml:"query_keys"`
}

// RuleSettings say what a part of the API needs.
type RuleSettings struct {
	// Path template: /orders/{id} matches one segment, a trailing /* any rest.
	Path string `toml:"path"`
	// Methods; empty means all.
	Methods []string `toml:"methods"`
	// Scopes a credential needs, all of them.
	Scopes []string `toml:"scopes"`
	// Whether no credential is needed.
	Public bool `toml:"public"`
}

// Defaults are the settings without a file: nothing is required, and of a JWT
// that comes only the algorithm "none" is a finding.
func Defaults() Settings {
	return Settings{
		Algorithms:    []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"},
		SkewSeconds:   60,
		MaxTokenBytes: 8192,
		ScopeClaims:   []string{"scope", "scp"},
		QueryTokens:   []string{"access_token", "id_token"},
		KeyHeaders:    []string{"x-api-key"},
	}
}

var known = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"}

// New builds the check. It reads the JWKS, key and OpenAPI files; what was
// verified before a reload is verified again after it.
func New(s Settings, env check.Env) (check.Check, error) {
	c := &Check{s: s, verified: newCache[claims](maxVerified), refused: newCache[check.Finding](maxRefused)}
	var errs []error
	wrong := func(key string, err error) { errs = append(errs, &check.SettingError{Key: key, Err: err}) }
	if s.SkewSeconds < 0 || s.SkewSeconds > 600 {
		wrong("skew_seconds", fmt.Errorf("%d, expected 0 to 600 seconds", s.SkewSeconds))
	}
	if s.MaxTokenBytes < 256 || s.MaxTokenBytes > 64<<10 {
		wrong("max_token_bytes", fmt.Errorf("%d, expected 256 to 65536 bytes", s.MaxTokenBytes))
	}
	if len(s.Algorithms) == 0 {
		wrong("algorithms", errors.New("no algorithm, expected at least one such as \"ES256\""))
	}
	for _, a := range s.Algorithms {
		if !slices.Contains(known, a) {
			wrong("algorithms", fmt.Errorf("unknown algorithm %q, expected some of %s", a, strings.Join(known, ", ")))
		}
	}
	for key, list := range map[string][]string{"token_headers": s.TokenHeaders, "key_headers": s.KeyHeaders, "query_tokens": s.QueryTokens, "query_keys": s.QueryKeys} {
		for _, n := range list {
			if n != strings.ToLower(n) {
				wrong(key, fmt.Errorf("%q, expected lower case", n))
			}
		}
	}
	if len(s.JWKS) > 0 {
		keys, err := readKeys(s, env)
		if err != nil {
			wrong("jwks", err)
		}
		c.keys = keys
	}
	if s.KeyFile != "" {
		list, err := readKeyList(env.Resolve(s.KeyFile), s.KeyFile)
		if err != nil {
			wrong("key_file", err)
		}
		c.listed = list
	}
	for i, r := range s.Rule {
		rule, err := newScopeRule(r)
		if err != nil {
			wrong(fmt.Sprintf("rule.%d", i), err)
		}
		c.rules = append(c.rules, rule)
	}
	for _, name := range s.OpenAPI {
		ops, err := endpoint.ReadOperations(env.Resolve(name), name, env.Warn)
		switch {
		case err != nil:
			wrong("openapi", err)
		case c.ops == nil:
			c.ops = ops
		default:
			c.ops.Merge(ops)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Check) skew() time.Duration { return time.Duration(c.s.SkewSeconds) * time.Second }

func (c *Check) algorithms() []jose.SignatureAlgorithm {
	out := make([]jose.SignatureAlgorithm, len(c.s.Algorithms))
	for i, a := range c.s.Algorithms {
		out[i] = jose.SignatureAlgorithm(a)
	}
	return out
}
