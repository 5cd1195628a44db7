package token

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/daemon/check"
)

// Bounds of the files.
const (
	maxJWKS = 1 << 20 // bytes of a JWKS file
	maxKeys = 256     // keys of all JWKS files
	// maxTried bounds how many keys a token without kid is tried with.
	maxTried   = 8
	maxKeyList = 1 << 20 // lines of an API key file
)

// keySet holds verification keys. It never changes.
type keySet struct {
	byKid map[string][]*verifier
	all   []*verifier
	hmac  bool // at least one secret among the keys
}

type verifier struct {
	key  any
	algs []string // the algorithms that suit the key
}

func (k *verifier) suits(alg string) bool {
	for _, a := range k.algs {
		if a == alg {
			return true
		}
	}
	return false
}

func readKeys(s Settings, env check.Env) (*keySet, error) {
	set := &keySet{byKid: map[string][]*verifier{}}
	for _, name := range s.JWKS {
		path := env.Resolve(name)
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("read the JWK set: %w", err)
		}
		if info.Size() > maxJWKS {
			return nil, fmt.Errorf("%s: %d bytes, expected at most %d", name, info.Size(), maxJWKS)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the JWK set: %w", err)
		}
		if err := set.add(name, text, env.Warn); err != nil {
			return nil, err
		}
	}
	if len(set.all) == 0 {
		return nil, errors.New("no key that can verify a signature, expected at least one with kty RSA, EC, OKP or oct")
	}
	return set, nil
}

// add reads one JWK set. A key of a kind that is not for signatures is
// skipped with a warning; a weak or misused key is an error.
func (set *keySet) add(name string, text []byte, warn func(string)) error {
	var file struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("%s: no JWK set (%w), expected {\"keys\": [...]}", name, err)
	}
	for i, raw := range file.Keys {
		if len(set.all) >= maxKeys {
			return fmt.Errorf("%s: more than %d keys", name, maxKeys)
		}
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(raw); err != nil {
			if warn != nil {
				warn(fmt.Sprintf("%s: key %d is left out: %v", name, i, err))
			}
			continue
		}
		if k.Use != "" && k.Use != "sig" {
			continue
		}
		if _, secret := k.Key.([]byte); !k.IsPublic() && !secret {
			if warn != nil {
				warn(fmt.Sprintf("%s: key %d (kid %q) holds a private key; only its public half is needed here", name, i, k.KeyID))
			}
			k = k.Public()
		}
		v, err := newVerifier(k)
		if err != nil {
			return fmt.Errorf("%s: key %d (kid %q): %w", name, i, k.KeyID, err)
		}
		set.all = append(set.all, v)
		if k.KeyID != "" {
			set.byKid[k.KeyID] = append(set.byKid[k.KeyID], v)
		}
		if _, secret := k.Key.([]byte); secret {
			set.hmac = true
		}
	}
	return nil
}

func newVerifier(k jose.JSONWebKey) (*verifier, error) {
	v := &verifier{key: k.Key}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < 2048 {
			return nil, fmt.Errorf("an RSA key of %d bits, expected at least 2048 (RFC 7518, section 3.3)", n)
		}
		v.algs = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		v.algs = []string{map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[key.Curve.Params().BitSize]}
	case ed25519.PublicKey:
		v.algs = []string{"EdDSA"}
	case []byte:
		if len(key) < 32 {
			return nil, fmt.Errorf("a secret of %d bytes, expected at least 32 (RFC 7518, section 3.2)", len(key))
		}
		if _, err := x509.ParsePKIXPublicKey(key); err == nil || bytes.HasPrefix(key, []byte("-----BEGIN")) {
			return nil, errors.New("the secret is a public key, which everybody knows")
		}
		v.algs = []string{"HS256", "HS384", "HS512"}
	default:
		return nil, fmt.Errorf("a key of type %T, expected RSA, EC, OKP (Ed25519) or oct", key)
	}
	if k.Algorithm != "" {
		if !v.suits(k.Algorithm) {
			return nil, fmt.Errorf("alg %q does not suit the key, expected one of %s", k.Algorithm, strings.Join(v.algs, ", "))
		}
		v.algs = []string{k.Algorithm}
	}
	return v, nil
}

// candidates are the keys a token may be signed with.
func (set *keySet) candidates(kid string) []*verifier {
	if kid == "" {
		return set.all
	}
	return set.byKid[kid]
}

// keyList is a file of API keys. It never changes.
type keyList struct {
	byHash map[[sha256.Size]byte]*listedKey
}

type listedKey struct {
	Name    string
	Expires time.Time
	Scopes  []string
}

func (l *keyList) find(key []byte) *listedKey { return l.byHash[sha256.Sum256(key)] }

// readKeyList reads lines such as
//
//	billing-batch sha256:9f86d0... expires=2027-03-31 scopes=read,write
//
// Empty lines and lines that begin with # are skipped.
func readKeyList(path, name string) (*keyList, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the API keys: %w", err)
	}
	defer f.Close()
	l := &keyList{byHash: map[[sha256.Size]byte]*listedKey{}}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if n > maxKeyList {
			return nil, fmt.Errorf("%s:%d: more than %d lines", name, n, maxKeyList)
		}
		line := lines.Text()
		if t := strings.TrimSpace(line); t == "" || t[0] == '#' {
			continue
		}
		if err := l.add(line); err != nil {
			var at *columnError
			column := 1
			if errors.As(err, &at) {
				column = at.column
			}
			return nil, fmt.Errorf("%s:%d:%d: %w", name, n, column, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the API keys in %s: %w", name, err)
	}
	return l, nil
}

type columnError struct {
	column int
	error
}

func (l *keyList) add(line string) error {
	fields := strings.Fields(line)
	at := func(word, format string, args ...any) error {
		return &columnError{strings.Index(line, word) + 1, fmt.Errorf(format, args...)}
	}
	if len(fields) < 2 {
		return at(fields[0], "only a name, expected NAME sha256:HEX [expires=DATE] [scopes=A,B]")
	}
	k := &listedKey{Name: fields[0]}
	var hash [sha256.Size]byte
	digits, ok := strings.CutPrefix(fields[1], "sha256:")
	if b, err := hex.DecodeString(digits); !ok || err != nil || copy(hash[:], b) != sha256.Size || len(b) != sha256.Size {
		return at(fields[1], "not a hash of a key, expected sha256: and 64 hexadecimal digits (printf %%s KEY | sha256sum)")
	}
	for _, f := range fields[2:] {
		name, value, _ := strings.Cut(f, "=")
		switch name {
		case "expires":
			t, err := time.Parse(time.RFC3339, value)
			if err != nil {
				if t, err = time.Parse(time.DateOnly, value); err != nil {
					return at(f, "expires is %q, expected a date such as 2027-03-31 or 2027-03-31T12:00:00Z", value)
				}
				t = t.AddDate(0, 0, 1) // through the end of that day
			}
			k.Expires = t
		case "scopes":
			k.Scopes = strings.Split(value, ",")
		default:
			return at(f, "unknown word %q, expected expires= or scopes=", f)
		}
	}
	if other := l.byHash[hash]; other != nil {
		return at(fields[0], "the key of %q stands in the list already, as %q", k.Name, other.Name)
	}
	l.byHash[hash] = k
	return nil
}
