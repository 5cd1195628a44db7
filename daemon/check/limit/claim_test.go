package limit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

type signer struct{ jose.Signer }

func newSigner(t *testing.T, id string) (signer, jose.JSONWebKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return signer{s}, jose.JSONWebKey{Key: &key.PublicKey, KeyID: id, Algorithm: "ES256"}
}

func (s signer) token(t *testing.T, payload string) string {
	t.Helper()
	signed, err := s.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOnlyVerifiedTokensHaveClaims(t *testing.T) {
	good, public := newSigner(t, "k1")
	forged, _ := newSigner(t, "k1")
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, set, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := newClaims(path, []string{"sub", "n"})
	if err != nil {
		t.Fatal(err)
	}
	now := start
	c.now = func() time.Time { return now }
	exp := `,"exp":` + strconv.FormatInt(start.Unix()+60, 10) + `}`
	for _, x := range []struct{ name, token, claim, want string }{
		{"a signed token", good.token(t, `{"sub":"a"}`), "sub", "a"},
		{"a number", good.token(t, `{"n":7}`), "n", "7"},
		{"an unknown claim", good.token(t, `{"sub":"a"}`), "other", ""},
		{"a structure", good.token(t, `{"sub":{"x":1}}`), "sub", ""},
		{"another's signature", forged.token(t, `{"sub":"a"}`), "sub", ""},
		{"no signature", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "sub", ""},
		{"no token", "abc", "sub", ""},
		{"nothing", "", "sub", ""},
	} {
		for range 2 { // the second time from memory
			if got := c.claim([]byte(x.token), x.claim); got != x.want {
				t.Errorf("%s: %q, want %q", x.name, got, x.want)
			}
		}
	}
	brief := []byte(good.token(t, `{"sub":"a"`+exp))
	if c.claim(brief, "sub") != "a" {
		t.Error("a token in time has no claim")
	}
	now = start.Add(time.Hour)
	if c.claim(brief, "sub") != "" {
		t.Error("an expired token has a claim")
	}
	for i := range 2 * maxTokens {
		c.claim([]byte("x"+strconv.Itoa(i)), "sub")
	}
	if n := len(c.known) + len(c.old); n > maxTokens {
		t.Errorf("%d tokens remembered", n)
	}
}
