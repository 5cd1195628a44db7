package main

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

	"github.com/sallyport/sallyport/daemon/check/token"
	"github.com/sallyport/sallyport/daemon/config"
	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/keyed"
)

// Two limits ask for claims of the token that the check token judges, and none
// of the three knows another: the signature is verified once.
func TestAClaimThatLimitsCountByIsVerifiedOnce(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Algorithm: "ES256"}}})
	if err != nil {
		t.Fatal(err)
	}
	write("jwks.json", set)
	write("sallyport.toml", []byte(`
[defaults]
mode = "enforce"
check = { signature = { mode = "off" }, score = { mode = "off" } }
[check.token]
jwks = ["jwks.json"]
[[check.limit.limit]]
name = "tenant"
key = ["claim:tenant"]
rate = "3/1m"
[[check.limit.limit]]
name = "user"
key = ["claim:sub"]
rate = "2/1m"
`))
	loaded, err := config.Load(filepath.Join(dir, "sallyport.toml"), config.Options{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	var tokens *token.Check
	for _, c := range loaded.Policy.Checks {
		if c, ok := c.(*token.Check); ok {
			tokens = c
		}
	}
	judge := offlineJudge{inspector: inspect.New(loaded.Policy, inspect.Options{State: keyed.New(100, 1)}), stateful: true, now: time.Now()}
	sign := func(by *ecdsa.PrivateKey, tenant, sub string) string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: by, KeyID: "k"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := s.Sign([]byte(`{"tenant":"` + tenant + `","sub":"` + sub + `","exp":` + strconv.FormatInt(time.Now().Unix()+600, 10) + `}`))
		if err != nil {
			t.Fatal(err)
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	n := 0
	// ask sends a request from an address of its own.
	ask := func(token string) (verdict struct {
		Verdict  string
		Findings []struct{ ID string }
	}) {
		n++
		line, _ := json.Marshal(map[string]any{"method": "GET", "uri": "/", "client": "192.0.2." + strconv.Itoa(n), "headers": map[string]string{"Host": "api.example", "Authorization": "Bearer " + token}})
		answer, _ := judge.line(nil, line, n)
		if err := json.Unmarshal(answer, &verdict); err != nil {
			t.Fatalf("%v: %s", err, answer)
		}
		return verdict
	}
	ann, ben, forged := sign(key, "acme", "ann"), sign(key, "acme", "ben"), sign(other, "acme", "eve")
	for i, x := range []struct {
		token, verdict, id string
		verified           uint64
	}{
		{ann, "allow", "", 1},
		{ann, "allow", "", 1},
		{ann, "deny", "user", 1}, // the third of ann, counted for the tenant
		{forged, "deny", "signature", 2},
		{ben, "deny", "tenant", 3},
	} {
		got := ask(x.token)
		if got.Verdict != x.verdict || x.id != "" && (len(got.Findings) == 0 || got.Findings[0].ID != x.id) {
			t.Errorf("request %d: %+v, want %s %s", i+1, got, x.verdict, x.id)
		}
		if tokens.Verified() != x.verified {
			t.Errorf("request %d: %d tokens were verified so far, want %d", i+1, tokens.Verified(), x.verified)
		}
	}
}
