package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/request"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// issuer signs tokens with keys whose public halves stand in a JWKS file.
type issuer struct {
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	secret []byte
	jwks   string
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{secret: bytes.Repeat([]byte("s"), 32)}
	var err error
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	i.jwks = filepath.Join(t.TempDir(), "jwks.json")
	writeSet(t, i.jwks, jose.JSONWebKey{Key: i.rsa.Public(), KeyID: "r1", Use: "sig"}, jose.JSONWebKey{Key: i.ec.Public(), KeyID: "e1", Algorithm: "ES256"})
	return i
}

func writeSet(t testing.TB, path string, keys ...jose.JSONWebKey) {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (i *issuer) sign(t testing.TB, alg jose.SignatureAlgorithm, key any, head map[string]any, claims string) string {
	t.Helper()
	o := &jose.SignerOptions{}
	for k, v := range head {
		o.WithHeader(jose.HeaderKey(k), v)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	out, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (i *issuer) good(t testing.TB, claims string) string {
	return i.sign(t, jose.ES256, i.ec, map[string]any{"kid": "e1"}, claims)
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func build(t testing.TB, change func(*Settings)) *Check {
	t.Helper()
	s := Defaults()
	if change != nil {
		change(&s)
	}
	c, err := New(s, check.Env{Warn: func(m string) { t.Log(m) }})
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Check)
}

func call(method, uri string, headers ...string) *request.Request {
	r := &request.Request{Received: now, Method: method, URI: []byte(uri)}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, request.Header{Name: []byte(headers[i]), Value: []byte(headers[i+1])})
	}
	return r
}

func ids(c *Check, r *request.Request) string {
	v := &check.Visit{Request: r, Phase: check.Head, Now: r.Received, State: keyed.New(16, 1)}
	c.Judge(v)
	var out []string
	for _, f := range v.Findings {
		out = append(out, f.ID)
	}
	return strings.Join(out, " ")
}

const fine = `{"sub":"u1","iss":"https://id.example","aud":["shop","x"],"exp":1795521700,"nbf":1700000000,"scope":"read write","tier":3,"realm":{"roles":["admin"],"org":"acme"}}`

func TestTokensAreJudged(t *testing.T) {
	i := newIssuer(t)
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, _ := x509.MarshalPKIXPublicKey(i.rsa.Public())
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	good := i.good(t, fine)
	parts := strings.Split(good, ".")
	kid := map[string]any{"kid": "e1"}
	sign := func(head map[string]any, claims string) string { return i.sign(t, jose.ES256, i.ec, head, claims) }
	exp := func(d time.Duration) string { return fmt.Sprintf(`{"exp":%d}`, now.Add(d).Unix()) }
	strict := func(s *Settings) { s.JWKS = []string{i.jwks} }
	for _, c := range []struct {
		name, token, want string
		change            func(*Settings)
	}{
		{"a good token is no finding", good, "", strict},
		{"a good token of RSA is no finding", i.sign(t, jose.RS256, i.rsa, map[string]any{"kid": "r1"}, fine), "", strict},
		{"RSA with PSS is no finding", i.sign(t, jose.PS384, i.rsa, map[string]any{"kid": "r1"}, fine), "", strict},
		{"a token without kid is tried with every key", sign(nil, fine), "", strict},
		{"alg none is refused", b64(`{"alg":"none"}`) + "." + b64(fine) + ".", "algorithm", strict},
		{"alg None is refused", b64(`{"alg":"NoNe","kid":"e1"}`) + "." + b64(fine) + ".", "algorithm", strict},
		{"no alg is refused", b64(`{"kid":"e1"}`) + "." + b64(fine) + "." + parts[2], "algorithm", strict},
		{"alg none with an escape is refused without any key too", b64(`{"alg":"n\u006fne"}`) + "." + b64(fine) + ".", "algorithm", nil},
		{"alg none is refused without any key too", b64(`{"alg":"none"}`) + "." + b64(fine) + ".", "algorithm", nil},
		{"a MAC by the public key is refused", i.sign(t, jose.HS256, public, map[string]any{"kid": "r1"}, fine), "key_confusion", strict},
		{"a MAC by the public key is refused where MACs are allowed", i.sign(t, jose.HS256, public, map[string]any{"kid": "r1"}, fine), "key_confusion", func(s *Settings) { strict(s); s.Algorithms = append(s.Algorithms, "HS256") }},
		{"another algorithm than the key's is refused", i.sign(t, jose.RS256, i.rsa, kid, fine), "algorithm", strict},
		{"a signature by another key is refused", i.sign(t, jose.ES256, other, kid, fine), "signature", strict},
		{"altered claims are refused", parts[0] + "." + b64(strings.Replace(fine, "u1", "u2", 1)) + "." + parts[2], "signature", strict},
		{"an empty signature is refused", parts[0] + "." + parts[1] + ".", "signature", strict},
		{"a zero ECDSA signature is refused", parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)), "signature", strict},
		{"an unknown kid is refused", sign(map[string]any{"kid": "../../dev/null"}, fine), "unknown_kid", strict},
		{"jku elsewhere is refused", sign(map[string]any{"kid": "e1", "jku": "https://evil.example/k"}, fine), "foreign_key", strict},
		{"jku at home is accepted", sign(map[string]any{"kid": "e1", "jku": "https://id.example/k"}, fine), "", func(s *Settings) { strict(s); s.KeyURLs = []string{"https://id.example/"} }},
		{"x5u elsewhere is refused", sign(map[string]any{"kid": "e1", "x5u": "https://evil.example/k"}, fine), "foreign_key", strict},
		{"a key of its own is refused", sign(map[string]any{"jwk": jose.JSONWebKey{Key: other.Public()}}, fine), "foreign_key", strict},
		{"crit is refused", b64(`{"alg":"ES256","kid":"e1","crit":["b64"],"b64":false}`) + "." + parts[1] + "." + parts[2], "malformed", strict},
		{"a nested token is refused", sign(map[string]any{"kid": "e1", "cty": "JWT"}, fine), "nested", strict},
		{"an encrypted token is refused", b64(`{"alg":"RSA-OAEP","enc":"A256GCM"}`) + ".a.b.c.d", "nested", strict},
		{"an oversized token is refused", sign(kid, `{"exp":1795521700,"x":"`+strings.Repeat("x", 9000)+`"}`), "oversized", strict},
		{"an expired token is refused", sign(kid, exp(-2*time.Minute)), "expired", strict},
		{"skew is allowed", sign(kid, exp(-30*time.Second)), "", strict},
		{"a token from the future is refused", sign(kid, fmt.Sprintf(`{"exp":1900000000,"nbf":%d}`, now.Add(time.Hour).Unix())), "not_yet_valid", strict},
		{"a token that never expires is refused", sign(kid, `{"sub":"u"}`), "no_expiry", strict},
		{"a token that never expires is accepted if allowed", sign(kid, `{"sub":"u"}`), "", func(s *Settings) { strict(s); s.AllowNoExpiry = true }},
		{"exp as text is refused", sign(kid, `{"exp":"1900000000"}`), "malformed", strict},
		{"another issuer is refused", good, "issuer", func(s *Settings) { strict(s); s.Issuers = []string{"https://other.example"} }},
		{"the issuer is accepted", good, "", func(s *Settings) { strict(s); s.Issuers = []string{"https://id.example"} }},
		{"another audience is refused", good, "audience", func(s *Settings) { strict(s); s.Audiences = []string{"bank"} }},
		{"one audience of several is accepted", good, "", func(s *Settings) { strict(s); s.Audiences = []string{"bank", "shop"} }},
		{"a missing scope is refused", good, "scope", func(s *Settings) { strict(s); s.Scopes = []string{"read", "admin"} }},
		{"scopes are found", good, "", func(s *Settings) { strict(s); s.Scopes = []string{"read", "write"} }},
		{"scopes are found in an object", good, "", func(s *Settings) {
			strict(s)
			s.Scopes, s.ScopeClaims = []string{"admin"}, []string{"realm.roles"}
		}},
		{"a claim twice is refused", sign(kid, `{"exp":1,"exp":1900000000}`), "malformed", strict},
		{"alg twice is refused", b64(`{"alg":"none","alg":"ES256","kid":"e1"}`) + "." + parts[1] + "." + parts[2], "malformed", strict},
		{"ALG beside alg is refused", b64(`{"ALG":"none","alg":"ES256","kid":"e1"}`) + "." + parts[1] + "." + parts[2], "malformed", strict},
		{"an opaque token is refused where keys are set", "mF_9.B5f-4.1JqM", "malformed", strict},
		{"an opaque token passes where nothing is set", "mF_9.B5f-4.1JqM", "", nil},
		{"a JWT passes where nothing is set", good, "", nil},
		{"an expired JWT passes where nothing is set", sign(kid, exp(-time.Hour)), "", nil},
		{"an encrypted token passes where nothing is set", b64(`{"alg":"RSA-OAEP","enc":"A256GCM"}`) + ".a.b.c.d", "", nil},
		{"garbage passes where nothing is set", "ey.ey.ey", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			chk := build(t, c.change)
			for range 2 { // the second time from what was verified
				if got := ids(chk, call("GET", "/a", "Authorization", "Bearer "+c.token)); got != c.want {
					t.Fatalf("found %q, want %q", got, c.want)
				}
			}
		})
	}
}

func TestPlacesOfCredentials(t *testing.T) {
	i := newIssuer(t)
	good, second := i.good(t, fine), i.good(t, strings.Replace(fine, "u1", "u2", 1))
	for _, c := range []struct {
		name, want string
		r          *request.Request
		change     func(*Settings)
	}{
		{"two headers", "several", call("GET", "/", "Authorization", "Bearer "+good, "authorization", "bearer "+second), nil},
		{"header and query", "several in_query", call("GET", "/?access_token="+good, "Authorization", "Bearer "+good), nil},
		{"query", "in_query", call("GET", "/?access_token="+good), nil},
		{"query under another name", "in_query", call("GET", "/?t="+good), nil},
		{"query where allowed", "", call("GET", "/?access_token="+good), func(s *Settings) { s.AllowQuery = true }},
		{"token and key", "", call("GET", "/", "Authorization", "Bearer "+good, "X-API-Key", "k"), nil},
		{"cookie", "", call("GET", "/", "Cookie", "a=b; session="+good), func(s *Settings) { s.Cookies = []string{"session"}; s.Required = true }},
		{"other header", "", call("GET", "/", "X-Token", good), func(s *Settings) { s.TokenHeaders = []string{"x-token"}; s.Required = true }},
		{"nothing where required", "missing", call("GET", "/"), func(s *Settings) { s.Required = true }},
		{"basic where required", "missing", call("GET", "/", "Authorization", "Basic eDp5"), func(s *Settings) { s.Required = true }},
		{"nothing", "", call("GET", "/"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			chk := build(t, func(s *Settings) {
				s.JWKS = []string{i.jwks}
				if c.change != nil {
					c.change(s)
				}
			})
			if got := ids(chk, c.r); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestKeysAreListed(t *testing.T) {
	sum := func(k string) string { h := sha256.Sum256([]byte(k)); return "sha256:" + hex.EncodeToString(h[:]) }
	path := filepath.Join(t.TempDir(), "keys")
	text := "# keys\n\nbatch " + sum("k1") + " scopes=read,write\nold " + sum("k2") + " expires=2026-11-23\nlast-day " + sum("k3") + " expires=2026-11-24\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	chk := build(t, func(s *Settings) { s.KeyFile = path; s.Required = true; s.Scopes = nil })
	for key, want := range map[string]string{"k1": "", "k2": "expired_key", "k3": "", "k4": "unknown_key"} {
		if got := ids(chk, call("GET", "/", "X-Api-Key", key)); got != want {
			t.Errorf("%s: found %q, want %q", key, got, want)
		}
	}
	if got := ids(chk, call("GET", "/", "Authorization", "Bearer k1")); got != "" {
		t.Errorf("a listed key as bearer token: %q", got)
	}
	scoped := build(t, func(s *Settings) {
		s.KeyFile = path
		s.Rule = []RuleSettings{{Path: "/w/*", Scopes: []string{"write"}}}
	})
	if got := ids(scoped, call("GET", "/w/1", "X-Api-Key", "k3")); got != "scope" {
		t.Errorf("a key without the scope: %q", got)
	}
	if name, ok := chk.KeyName(call("GET", "/", "X-Api-Key", "k1")); !ok || name != "batch" {
		t.Errorf("KeyName: %q, %v", name, ok)
	}
	for bad, want := range map[string]string{
		"one\n":                            ":1:1:",
		"\nname md5:00\n":                  ":2:6:",
		"a " + sum("x") + " expires=May\n": ":1:75:",
		"a " + sum("x") + "\nb " + sum("x") + "\n": ":2:1:",
	} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		s := Defaults()
		s.KeyFile = path
		if _, err := New(s, check.Env{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want a position %s", bad, err, want)
		}
	}
}

func TestADocumentAndRulesSayWhatAnOperationNeeds(t *testing.T) {
	i := newIssuer(t)
	doc := filepath.Join(t.TempDir(), "api.yaml")
	if err := os.WriteFile(doc, []byte(`openapi: 3.1.0
servers: [{url: "https://api.example/v1"}]
security: [{oauth: [read]}]
x-any: 1
paths:
  x-ext: text
  /orders:
    summary: orders
    parameters: []
    get: {responses: {}}
    post: {security: [{oauth: [write]}, {oauth: [admin, all]}], responses: {}}
  /orders/{id}:
    get: {security: [], responses: {}}
    delete: {security: [{oauth: [admin]}], responses: {}}
  /orders/mine:
    get: {security: [{oauth: [mine]}], responses: {}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	chk := build(t, func(s *Settings) {
		s.JWKS, s.OpenAPI = []string{i.jwks}, []string{doc}
		s.Rule = []RuleSettings{{Path: "/v1/health", Public: true}, {Path: "/v1/admin/*", Scopes: []string{"admin"}}}
		s.Required = true
	})
	with := func(scope string) string { return "Bearer " + i.good(t, `{"exp":1900000000,"scope":"`+scope+`"}`) }
	for _, c := range []struct{ method, path, scope, want string }{
		{"GET", "/v1/orders", "read", ""},
		{"HEAD", "/v1/orders", "write", "scope"},
		{"GET", "/v1/orders", "", "scope"},
		{"POST", "/v1/orders", "write", ""},
		{"POST", "/v1/orders", "admin all", ""},
		{"POST", "/v1/orders", "admin", "scope"},
		{"GET", "/v1/orders/7", "-", ""},
		{"GET", "/v1/orders/mine", "read", "scope"},
		{"DELETE", "/v1/orders/7", "-", "missing"},
		{"DELETE", "/v1/orders/7", "admin", ""},
		{"GET", "/v1/health", "-", ""},
		{"GET", "/v1/admin/users/1", "read", "scope"},
		{"GET", "/elsewhere", "-", "missing"},
	} {
		r := call(c.method, c.path, "Authorization", with(c.scope))
		if c.scope == "-" {
			r = call(c.method, c.path)
		}
		if got := ids(chk, r); got != c.want {
			t.Errorf("%s %s with %q: found %q, want %q", c.method, c.path, c.scope, got, c.want)
		}
	}
}

func TestClaimsAreGivenOfTokensThatHold(t *testing.T) {
	i := newIssuer(t)
	chk := build(t, func(s *Settings) { s.JWKS = []string{i.jwks} })
	good := call("GET", "/", "Authorization", "Bearer "+i.good(t, fine))
	for name, want := range map[string]string{"sub": "u1", "tier": "3", "realm.org": "acme"} {
		if got, ok := chk.Claim(good, name); !ok || got != want {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
	for _, name := range []string{"none", "aud", "realm"} {
		if got, ok := chk.Claim(good, name); ok {
			t.Errorf("%s: %q", name, got)
		}
	}
	parts := strings.Split(string(good.Headers[0].Value), ".")
	forged := call("GET", "/", "Authorization", parts[0]+"."+b64(strings.Replace(fine, "u1", "u2", 1))+"."+parts[2])
	if got, ok := chk.Claim(forged, "sub"); ok {
		t.Errorf("a forged token gives %q", got)
	}
	good.Received = now.AddDate(10, 0, 0)
	if got, ok := chk.Claim(good, "sub"); ok {
		t.Errorf("an expired token gives %q", got)
	}
	if _, ok := build(t, nil).Claim(call("GET", "/", "Authorization", "Bearer "+i.good(t, fine)), "sub"); ok {
		t.Error("a claim without any key to check the token by")
	}
}

func TestBadSettingsAreRefusedWithTheirKey(t *testing.T) {
	dir := t.TempDir()
	weak, _ := rsa.GenerateKey(rand.Reader, 1024)
	der, _ := x509.MarshalPKIXPublicKey(newIssuer(t).rsa.Public())
	file := func(name string, keys ...jose.JSONWebKey) string {
		p := filepath.Join(dir, name)
		writeSet(t, p, keys...)
		return p
	}
	for _, c := range []struct {
		name, want string
		change     func(*Settings)
	}{
		{"none", "algorithms: unknown algorithm \"none\"", func(s *Settings) { s.Algorithms = []string{"none"} }},
		{"skew", "skew_seconds: 9999", func(s *Settings) { s.SkewSeconds = 9999 }},
		{"no file", "jwks: read the JWK set", func(s *Settings) { s.JWKS = []string{filepath.Join(dir, "absent")} }},
		{"no key", "jwks: no key", func(s *Settings) { s.JWKS = []string{file("empty")} }},
		{"public key as secret", "jwks: ", func(s *Settings) { s.JWKS = []string{file("pub", jose.JSONWebKey{Key: der, KeyID: "x"})} }},
		{"weak", "1024 bits", func(s *Settings) { s.JWKS = []string{file("weak", jose.JSONWebKey{Key: weak.Public(), KeyID: "w"})} }},
		{"upper case", "key_headers: \"X-Key\"", func(s *Settings) { s.KeyHeaders = []string{"X-Key"} }},
		{"rule", "rule.0: path", func(s *Settings) { s.Rule = []RuleSettings{{Path: "orders"}} }},
	} {
		s := Defaults()
		c.change(&s)
		if _, err := New(s, check.Env{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestAVerifiedTokenIsJudgedWithoutWork(t *testing.T) {
	i := newIssuer(t)
	chk := build(t, func(s *Settings) { s.JWKS = []string{i.jwks} })
	r := call("GET", "/orders?x=1", "Accept", "*/*", "Authorization", "Bearer "+i.good(t, fine))
	v := &check.Visit{Request: r, Phase: check.Head, Now: now}
	chk.Judge(v)
	if n := testing.AllocsPerRun(100, func() { chk.Judge(v) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	plain := build(t, nil)
	if n := testing.AllocsPerRun(100, func() { plain.Judge(v) }); n != 0 {
		t.Errorf("%v allocations where nothing is set", n)
	}
}

func FuzzToken(f *testing.F) {
	i := newIssuer(f)
	chk := build(f, func(s *Settings) { s.JWKS = []string{i.jwks}; s.Algorithms = append(s.Algorithms, "HS256") })
	good := i.good(f, fine)
	for _, s := range []string{good, good[:len(good)-4], b64(`{"alg":"none"}`) + "." + b64("{}") + ".", "ey.", "ey....", b64(`{"alg":["x"],"kid":{}}`) + ".e30.e30",
		i.sign(f, jose.HS256, i.secret, map[string]any{"kid": "e1"}, fine)} {
		f.Add(s, "/?access_token="+s)
	}
	f.Fuzz(func(t *testing.T, token, uri string) {
		r := call("GET", uri, "Authorization", "Bearer "+token)
		got := ids(chk, r)
		if sub, ok := chk.Claim(r, "sub"); ok && !strings.Contains(token, strings.SplitN(good, ".", 3)[1]) && !strings.Contains(uri, good) {
			t.Fatalf("claim %q of a token that nobody signed: %s", sub, got)
		}
		_, _ = readHeader([]byte(token))
		_, _ = chk.readClaims([]byte(token))
	})
}

func BenchmarkVerifiedToken(b *testing.B) {
	i := newIssuer(b)
	chk := build(b, func(s *Settings) { s.JWKS = []string{i.jwks} })
	r := call("GET", "/orders?x=1", "Accept", "*/*", "User-Agent", "x", "Authorization", "Bearer "+i.sign(b, jose.RS256, i.rsa, map[string]any{"kid": "r1"}, fine))
	v := &check.Visit{Request: r, Phase: check.Head, Now: now}
	b.ReportAllocs()
	for b.Loop() {
		chk.Judge(v)
	}
}

func BenchmarkForgedToken(b *testing.B) {
	i := newIssuer(b)
	other := newIssuer(b)
	chk := build(b, func(s *Settings) { s.JWKS = []string{i.jwks} })
	for name, text := range map[string]string{"RS256": other.sign(b, jose.RS256, other.rsa, map[string]any{"kid": "r1"}, fine), "ES256": other.good(b, fine)} {
		b.Run(name, func(b *testing.B) {
			r := call("GET", "/orders", "Authorization", "Bearer "+text)
			b.ReportAllocs()
			for b.Loop() {
				v := &check.Visit{Request: r, Phase: check.Head, Now: now}
				chk.Judge(v)
			}
		})
	}
}
