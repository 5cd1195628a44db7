package inventory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/request"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func build(t testing.TB, env check.Env, change func(*Settings)) *Check {
	t.Helper()
	s := Defaults()
	if change != nil {
		change(&s)
	}
	c, err := New(s, env)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Check)
}

func visit(method, uri, body string, client int, headers ...string) *check.Visit {
	r := &request.Request{Received: now, Method: method, URI: []byte(uri)}
	r.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(client >> 8), byte(client)}), 4000)
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, request.Header{Name: []byte(headers[i]), Value: []byte(headers[i+1])})
	}
	if body != "" {
		r.Body = request.Body{Present: true, Bytes: []byte(body), Length: int64(len(body))}
	}
	return &check.Visit{Request: r, Phase: check.Head | check.Body, Last: true, Now: now, Site: "shop"}
}

func ended(c *Check, method, uri string, status, client int) {
	c.Ended(&outcome.Outcome{Time: now, Client: netip.AddrFrom4([4]byte{10, 0, byte(client >> 8), byte(client)}), Method: method, URI: uri, Site: "shop", Status: status, UpstreamTime: 10 * time.Millisecond}, nil)
}

const document = `openapi: 3.0.0
paths:
  /users/{id}: {get: {}, delete: {deprecated: true}}
  /never: {get: {}}
`

func demo(t testing.TB, env check.Env, change func(*Settings)) *Check {
	c := build(t, env, change)
	for i := range 20 {
		c.Found(visit("GET", fmt.Sprintf("/users/%d", i), "", i, "Authorization", "Bearer x"), false)
		ended(c, "GET", fmt.Sprintf("/users/%d", i), 200, i)
		c.Found(visit("POST", "/login", `{"email":"jane@example.org","password":"secret"}`, i), false)
		ended(c, "POST", "/login", []int{200, 200, 401, 500}[i%4], i)
		c.Found(visit("GET", "/wp-login.php", "", i), i%2 == 0)
		ended(c, "GET", "/wp-login.php", 404, i)
		if i%2 == 0 {
			c.Found(visit("DELETE", fmt.Sprintf("/users/%d", i), "", i, "Authorization", "Basic x"), false)
		} else {
			c.Found(visit("DELETE", fmt.Sprintf("/users/%d", i), "", i), false)
		}
	}
	c.Found(visit("GET", "/once", "", 1), false)
	return c
}

func TestEndpointsAreListedWithWhatIsKnownOfThem(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "api.yaml"), []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	c := demo(t, check.Env{Dir: dir}, func(s *Settings) { s.OpenAPI = []string{"api.yaml"} })
	w := httptest.NewRecorder()
	c.ServeEndpoints(w, httptest.NewRequest("GET", "/endpoints", nil))
	var l Listing
	if err := json.Unmarshal(w.Body.Bytes(), &l); err != nil {
		t.Fatal(err)
	}
	if len(l.Endpoints) != 3 || l.Hidden != 2 {
		t.Fatalf("%d endpoints, %d hidden: %s", len(l.Endpoints), l.Hidden, w.Body)
	}
	by := map[string]Endpoint{}
	for _, e := range l.Endpoints {
		by[e.Method+" "+e.Path] = e
	}
	get, login, del := by["GET /users/{int}"], by["POST /login"], by["DELETE /users/{int}"]
	if get.Requests != 20 || get.Clients < 17 || get.Clients > 24 || get.Authentication != "always" || !slices.Equal(get.Schemes, []string{"bearer"}) || get.Documented != "/users/{id}" || get.MeanUpstream != 10 {
		t.Errorf("%+v", get)
	}
	if login.ClientErrors != 0.25 || login.ServerErrors != 0.25 || login.Authentication != "never" || login.Documented != "" || !login.Known {
		t.Errorf("%+v", login)
	}
	if len(login.Sensitive) != 2 || login.Sensitive[0].Class != "email" || login.Sensitive[0].Share != 1 || login.Sensitive[1].Class != "password" || login.Sensitive[0].Places[0] != "body" {
		t.Errorf("%+v", login.Sensitive)
	}
	if !del.Deprecated || del.Authentication != "sometimes" {
		t.Errorf("%+v", del)
	}
	if !slices.Equal(l.Orphans, []string{"GET /never"}) {
		t.Errorf("orphans: %q", l.Orphans)
	}
	if all := c.List(true); len(all.Endpoints) != 5 || all.Hidden != 0 {
		t.Errorf("all: %d", len(all.Endpoints))
	}
}

func TestTheInventorySurvivesARestartAndAReload(t *testing.T) {
	dir := t.TempDir()
	c := demo(t, check.Env{StateDir: dir}, nil)
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	same := func(name string, d *Check) {
		a, _ := json.Marshal(c.List(true).Endpoints)
		b, _ := json.Marshal(d.List(true).Endpoints)
		if !bytes.Equal(a, b) {
			t.Errorf("%s:\n%s\n%s", name, a, b)
		}
	}
	same("restart", build(t, check.Env{StateDir: dir}, nil))
	same("reload", build(t, check.Env{Old: c, StateDir: dir}, func(s *Settings) { s.MaxSeries = 7 }))
	path := filepath.Join(dir, "inventory.state")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b[:len(b)-9], 0o600); err != nil {
		t.Fatal(err)
	}
	warned := ""
	d := build(t, check.Env{StateDir: dir, Warn: func(m string) { warned = m }}, nil)
	if len(d.List(true).Endpoints) != 0 || !strings.Contains(warned, "begins afresh") {
		t.Errorf("a torn file: %d endpoints, warned %q", len(d.List(true).Endpoints), warned)
	}
}

func TestItSavesByItself(t *testing.T) {
	dir := t.TempDir()
	c := build(t, check.Env{StateDir: dir}, func(s *Settings) { s.SaveSeconds = 1 })
	for i := range 4 {
		v := visit("GET", "/a", "", i)
		v.Now = now.Add(time.Duration(i) * 700 * time.Millisecond)
		c.Found(v, false)
	}
	for range 1000 {
		if d := build(t, check.Env{StateDir: dir}, nil); len(d.List(true).Endpoints) == 1 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("nothing was saved")
}

func TestMetricsAreBounded(t *testing.T) {
	c := build(t, check.Env{}, func(s *Settings) { s.MaxSeries = 10 })
	for e := range 300 {
		for i := range 4 {
			c.Found(visit("GET", fmt.Sprintf("/e%c%c", 'a'+e/26, 'a'+e%26), "", i), false)
		}
	}
	for i := range 5000 {
		c.Found(visit(fmt.Sprintf("M%d", i), fmt.Sprintf("/invented/x%dy\"\n", i), "", 9), false)
	}
	var b bytes.Buffer
	c.WriteMetrics(&b)
	if n := strings.Count(b.String(), "sallyport_endpoint_requests_total"); n != 11 {
		t.Errorf("%d series, want 11", n)
	}
	if !strings.Contains(b.String(), "sallyport_endpoints 300\n") {
		t.Errorf("%s", b.String())
	}
}

func TestClassesOfSensitiveData(t *testing.T) {
	c := build(t, check.Env{}, nil)
	for _, k := range []struct{ name, uri, body, want string }{
		{"nothing", "/a/b?q=hello+world&page=2", `{"id":42,"note":"call me"}`, ""},
		{"e-mail in a body", "/", `{"e":"jane.doe@example.org"}`, "email:body"},
		{"e-mail in an encoded query", "/?e=jane%40example.org&x=1", "", "email:query"},
		{"e-mail in a path", "/u/jane@example.org", "", "email:path"},
		{"no e-mail", "/@scope/pkg@1.2.3", `{"a":"x@y"}`, ""},
		{"card", "/", `{"pan":"4111111111111111"}`, "card_number:body"},
		{"card in groups", "/", "pan=5500 0055 5555 5559&x=1", "card_number:body"},
		{"card with plus signs", "/?pan=4111+1111+1111+1111", "", "card_number:query"},
		{"card with encoded spaces", "/?pan=4111%201111%201111%201111", "", "card_number:query"},
		{"card with dashes", "/", `"4111-1111-1111-1111"`, "card_number:body"},
		{"American Express", "/", `"378282246310005"`, "card_number:body"},
		{"a wrong sum", "/", `"4111111111111112"`, ""},
		{"a time in milliseconds", "/", `{"t":1795521700123}`, ""},
		{"one digit sixteen times", "/", `4444444444444444`, ""},
		{"IBAN", "/", `{"iban":"DE89370400440532013000"}`, "iban:body"},
		{"IBAN in groups", "/", `GB29 NWBK 6016 1331 9268 19`, "iban:body"},
		{"no IBAN", "/", `DE89370400440532013001`, ""},
		{"social security number", "/", `{"ssn":"536-90-4399"}`, "national_id:body"},
		{"no social security number", "/", `{"x":"666-90-4399 000-12-3456 2026-11-24"}`, ""},
		{"CPF", "/", `111.444.777-35`, "national_id:body"},
		{"DNI", "/", `12345678Z`, "national_id:body"},
		{"NIE", "/", `X1234567L`, "national_id:body"},
		{"no DNI", "/", `12345678A`, ""},
		{"PESEL", "/", `44051401359`, "national_id:body"},
		{"codice fiscale", "/", `RSSMRA85T10A562S`, "national_id:body"},
		{"NIR", "/", `255081416802538`, "national_id:body"},
		{"JWT", "/?t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefgh", "", "jwt:query"},
		{"key", "/", `key=AKIAIOSFODNN7EXAMPLE`, "api_key:body"},
		{"token of a code host", "/", "ghp_" + strings.Repeat("a1", 18), "api_key:body"},
		{"private key", "/", "-----BEGIN RSA PRIVATE KEY-----\nMIIE", "private_key:body"},
		{"password in a form", "/", "user=x&password=secret", "password:body"},
		{"password in JSON", "/", `{"passwd": "x"}`, "password:body"},
		{"no password", "/", `{"note":"password reset","passwordless":true}`, ""},
	} {
		v := visit("POST", k.uri, k.body, 1)
		s := c.search(v.Request)
		var got []string
		for i, places := range s.places {
			for _, p := range bitNames(places, placeNames) {
				got = append(got, Class(i).String()+":"+p)
			}
		}
		if strings.Join(got, " ") != k.want {
			t.Errorf("%s: %q, want %q", k.name, got, k.want)
		}
	}
}

func TestAKnownEndpointCostsNoMemory(t *testing.T) {
	c := build(t, check.Env{}, nil)
	v := visit("POST", "/users/42/orders?x=1", `{"email":"jane@example.org"}`, 1, "Authorization", "Bearer x", "Cookie", "sessionid=0123456789", "Accept", "*/*")
	c.Found(v, false)
	if n := testing.AllocsPerRun(100, func() { c.Found(v, false) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestManyGoroutinesShareAnInventory(t *testing.T) {
	dir := t.TempDir()
	c := build(t, check.Env{StateDir: dir}, func(s *Settings) { s.SaveSeconds = 1 })
	c.startLearning(httptest.NewRecorder(), httptest.NewRequest("POST", "/learn", strings.NewReader(`{"seconds":60}`)))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 300 {
				v := visit("POST", fmt.Sprintf("/users/w%c%c/x%d", 'a'+i%26, 'a'+i/26, g), `{"a":1}`, g*300+i, "Content-Type", "application/json")
				v.Now = now.Add(time.Duration(i) * 10 * time.Millisecond)
				c.Found(v, false)
				ended(c, "POST", fmt.Sprintf("/users/%d", i), 200, i)
				if i%50 == 0 {
					c.List(true)
					c.WriteMetrics(io.Discard)
					c.learned(httptest.NewRecorder(), nil)
				}
			}
		}()
	}
	wg.Wait()
	if n := c.List(true).Book.Endpoints; n == 0 {
		t.Error("nothing was kept")
	}
}

func TestBadSettingsAreRefused(t *testing.T) {
	s := Defaults()
	s.MaxEndpoints, s.Name, s.OpenAPI = 1, "../x", []string{"absent.yaml"}
	_, err := New(s, check.Env{})
	for _, want := range []string{"max_endpoints: 1, expected 64 to 65536", `name: "../x"`, "openapi: read the document"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

func FuzzSearch(f *testing.F) {
	for _, s := range []string{"jane%40example.org", "4111 1111 1111 1111", "GB29 NWBK 6016 1331 9268 19", "%4", "-----BEGIN", "passwd\":", "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s sightings
		s.scan(b, inBody)
		s.passwords(b, inBody)
	})
}

func BenchmarkFound(b *testing.B) {
	body := `{"user":"jane","email":"jane@example.org","items":[` + strings.Repeat(`{"sku":"ABC-12","count":2,"note":"as always"},`, 40) + `{}]}`
	for name, v := range map[string]*check.Visit{
		"GET":      visit("GET", "/api/v1/users/42/orders?limit=10", "", 1, "Authorization", "Bearer x", "Accept", "*/*", "User-Agent", "x"),
		"POST_2KB": visit("POST", "/api/v1/users/42/orders", body, 1, "Authorization", "Bearer x", "Accept", "*/*", "User-Agent", "x"),
	} {
		b.Run(name, func(b *testing.B) {
			c := build(b, check.Env{}, nil)
			b.ReportAllocs()
			for b.Loop() {
				c.Found(v, false)
			}
		})
	}
}

func BenchmarkEnded(b *testing.B) {
	c := build(b, check.Env{}, nil)
	b.ReportAllocs()
	for b.Loop() {
		ended(c, "GET", "/api/v1/users/42/orders?limit=10", 200, 1)
	}
}
