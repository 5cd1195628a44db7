package learn

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/sallyport/sallyport/daemon/request"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func call(client int, method, uri, body string, headers ...string) *request.Request {
	r := request.Get()
	r.Received, r.Method, r.URI, r.Host = start.Add(time.Duration(client)*time.Second), method, []byte(uri), []byte("shop.example")
	r.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(client >> 16), byte(client >> 8), byte(client)}), 999)
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, request.Header{Name: []byte(headers[i]), Value: []byte(headers[i+1])})
	}
	if body != "" {
		r.Body = request.Body{Present: true, Bytes: []byte(body), Length: int64(len(body))}
	}
	return r
}

func (l *Learner) teach(status, client int, method, uri, body string, headers ...string) {
	r := call(client, method, uri, body, headers...)
	l.Add(Call{Request: r, Status: status})
	r.Release()
}

// shop makes the calls of a client of a demo API.
func shop(l *Learner, client, calls int, rnd *rand.Rand) {
	uuid := func() string {
		return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", rnd.Uint32(), rnd.IntN(1<<16), rnd.IntN(1<<12), rnd.IntN(1<<12), rnd.Uint64()>>16)
	}
	words := []string{"lantern", "gate", "rope", "iron key", "draw bridge", "oak", "stone"}
	auth := []string{"Authorization", "Bearer abc"}
	json := append([]string{"Content-Type", "application/json; charset=utf-8"}, auth...)
	for range calls {
		switch rnd.IntN(9) {
		case 0:
			l.teach(200, client, "GET", fmt.Sprintf("/v1/items?limit=%d&sort=%s", 1+rnd.IntN(100), []string{"name", "price", "newest"}[rnd.IntN(3)]), "")
		case 1:
			uri := fmt.Sprintf("/v1/items/%d", 1+rnd.IntN(5000))
			if rnd.IntN(2) == 0 {
				uri += "?verbose=" + []string{"true", "false"}[rnd.IntN(2)]
			}
			l.teach(200, client, "GET", uri, "")
		case 2:
			l.teach(200, client, "GET", "/v1/search?q="+strings.ReplaceAll(words[rnd.IntN(7)]+" "+words[rnd.IntN(7)], " ", "+")+fmt.Sprint(rnd.IntN(9999)), "")
		case 3, 4:
			note := ""
			if rnd.IntN(2) == 0 {
				note = `,"note":"` + words[rnd.IntN(7)] + fmt.Sprint(rnd.IntN(1e6)) + ` please"`
			}
			l.teach(201, client, "POST", "/v1/orders", fmt.Sprintf(`{"customer":{"email":"u%d@example.org","id":"%s"},"lines":[{"item":%d,"count":%d},{"item":%d,"count":1}],"express":%v,"total":%.2f%s}`,
				client, uuid(), 1+rnd.IntN(5000), 1+rnd.IntN(9), 1+rnd.IntN(5000), rnd.IntN(2) == 0, 1+rnd.Float64()*500, note), json...)
		case 5:
			l.teach(200, client, "GET", "/v1/orders/"+uuid(), "", append([]string{"X-Tenant", []string{"north", "south"}[rnd.IntN(2)]}, auth...)...)
		case 6:
			l.teach(204, client, "DELETE", "/v1/orders/"+uuid()+fmt.Sprintf("/lines/%d", 1+rnd.IntN(20)), "", auth...)
		case 7:
			l.teach(200, client, "POST", "/v1/login", fmt.Sprintf("user=name%d&password=pw%d!", client, rnd.IntN(1e6)), "Content-Type", "application/x-www-form-urlencoded")
		case 8:
			l.teach(200, client, "GET", "/v1/reports/2026-"+fmt.Sprintf("%02d-%02d", 1+rnd.IntN(12), 1+rnd.IntN(28)), "", auth...)
		}
	}
}

const clients = 200

func learnShop(seed uint64, hostile func(l *Learner, rnd *rand.Rand)) *Learner {
	l := New(Options{Seed: seed})
	rnd := rand.New(rand.NewPCG(seed, 2))
	bad := rand.New(rand.NewPCG(seed, 3))
	for c := range clients {
		shop(l, c, 100, rnd)
		if hostile != nil && c%50 == 10 {
			hostile(l, bad)
		}
	}
	return l
}

func result(t testing.TB, l *Learner) (*Result, *openapi3.T) {
	t.Helper()
	r, err := l.Result()
	if err != nil {
		t.Fatal(err)
	}
	y, err := r.YAML()
	if err != nil {
		t.Fatal(err)
	}
	j, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var doc *openapi3.T
	for _, text := range [][]byte{j, y} {
		if doc, err = openapi3.NewLoader().LoadFromData(text); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if err := doc.Validate(t.Context()); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
	return r, doc
}

func TestADemoAPIsPathsAndTypesAreReproduced(t *testing.T) {
	_, doc := result(t, learnShop(7, nil))
	want := map[string]string{
		"/v1/items":          "GET",
		"/v1/items/{itemId}": "GET",
		"/v1/search":         "GET",
		"/v1/orders":         "POST", "/v1/orders/{orderId}": "GET",
		"/v1/orders/{orderId}/lines/{lineId}": "DELETE",
		"/v1/login":                           "POST",
		"/v1/reports/{reportDate}":            "GET",
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if want[path] != method {
				t.Errorf("learned %s %s", method, path)
			}
		}
	}
	for path, method := range want {
		if item := doc.Paths.Find(path); item == nil || item.GetOperation(method) == nil {
			t.Fatalf("%s %s was not learned", method, path)
		}
	}
	param := func(path, method, in, name string) *openapi3.Parameter {
		p := doc.Paths.Find(path).GetOperation(method).Parameters.GetByInAndName(in, name)
		if p == nil {
			t.Fatalf("%s %s: no parameter %s in %s", method, path, name, in)
		}
		return p
	}
	describe := func(s *openapi3.Schema) string {
		out := strings.Join(s.Type.Slice(), "|")
		if s.Format != "" {
			out += " " + s.Format
		}
		if len(s.Enum) > 0 {
			out += fmt.Sprint(" ", s.Enum)
		}
		if s.Min != nil {
			out += fmt.Sprint(" min ", *s.Min)
		}
		if s.Max != nil {
			out += fmt.Sprint(" max ", *s.Max)
		}
		return out
	}
	for _, c := range []struct {
		path, method, in, name, schema string
		required                       bool
	}{
		{"/v1/items", "GET", "query", "limit", "integer min 0 max 1000", true},
		{"/v1/items", "GET", "query", "sort", "string [name newest price]", true},
		{"/v1/items/{itemId}", "GET", "path", "itemId", "integer min 1", true},
		{"/v1/items/{itemId}", "GET", "query", "verbose", "boolean", false},
		{"/v1/search", "GET", "query", "q", "string", true},
		{"/v1/orders/{orderId}", "GET", "path", "orderId", "string uuid", true},
		{"/v1/orders/{orderId}", "GET", "header", "x-tenant", "string [north south]", true},
		{"/v1/reports/{reportDate}", "GET", "path", "reportDate", "string date", true},
	} {
		p := param(c.path, c.method, c.in, c.name)
		if got := describe(p.Schema.Value); got != c.schema || p.Required != c.required {
			t.Errorf("%s %s %s: %s, required %v; want %s, %v", c.method, c.path, c.name, got, p.Required, c.schema, c.required)
		}
	}
	body := doc.Paths.Find("/v1/orders").Post.RequestBody.Value
	order := body.Content["application/json"].Schema.Value
	if !body.Required || strings.Join(order.Required, " ") != "customer express lines total" {
		t.Errorf("body required %v, members %q", body.Required, order.Required)
	}
	inner := func(s *openapi3.Schema, names ...string) *openapi3.Schema {
		for _, n := range names {
			if n == "[]" {
				s = s.Items.Value
				continue
			}
			if s.Properties[n] == nil {
				t.Fatalf("no member %s of %v", n, names)
			}
			s = s.Properties[n].Value
		}
		return s
	}
	for path, want := range map[string]string{
		"customer": "object", "customer/email": "string email", "customer/id": "string uuid", "lines": "array", "lines/[]": "object",
		"lines/[]/item": "integer min 0 max 10000", "lines/[]/count": "integer min 0 max 100", "express": "boolean", "total": "number min 0 max 1000", "note": "string",
	} {
		if got := describe(inner(order, strings.Split(path, "/")...)); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	form := doc.Paths.Find("/v1/login").Post.RequestBody.Value.Content["application/x-www-form-urlencoded"].Schema.Value
	if strings.Join(form.Required, " ") != "password user" {
		t.Errorf("form: %q", form.Required)
	}
	if s := doc.Paths.Find("/v1/orders").Post.Security; s == nil || len(*s) != 1 || (*s)[0]["bearer"] == nil {
		t.Errorf("security: %v", s)
	}
	if s := doc.Paths.Find("/v1/items").Get.Security; s != nil {
		t.Errorf("security of a public operation: %v", s)
	}
}

// widen is a hostile client: 40,000 calls that try to add and to widen.
func widen(clientsOfTheirs int) func(l *Learner, rnd *rand.Rand) {
	return func(l *Learner, rnd *rand.Rand) {
		for i := range 10_000 {
			c := 100_000 + i%clientsOfTheirs
			x := rnd.IntN(1e9)
			switch i % 12 {
			case 0:
				l.teach(200, c, "GET", fmt.Sprintf("/v1/invented%d/%d", x, x), "")
			case 1:
				l.teach(200, c, "GET", "/v1/backdoor?cmd=x", "")
			case 2:
				l.teach(200, c, "GET", "/v1/items?limit=all&sort=evil&debug=1", "")
			case 3:
				l.teach(200, c, "GET", "/v1/items?limit=99999999&sort=name", "")
			case 4:
				l.teach(200, c, "GET", "/v1/items", "")
			case 5:
				l.teach(200, c, "GET", "/v1/items/abc", "")
			case 6:
				l.teach(200, c, "POST", "/v1/orders", `{"customer":"x","lines":{"a":1},"express":"yes","admin":true}`, "Content-Type", "application/json")
			case 7:
				l.teach(200, c, "POST", "/v1/orders", `<x/>`, "Content-Type", "application/xml")
			case 8:
				l.teach(200, c, "GET", fmt.Sprintf("/v1/items?p%c%c=1&limit=1&sort=name", 'a'+x%26, 'a'+x/26%26), "")
			case 9:
				l.teach(200, c, "PUT", "/v1/items", `{"a":1}`, "Content-Type", "application/json")
			case 10:
				l.teach(200, c, "GET", "/v1/orders/00000000-0000-4000-8000-000000000000", "")
			case 11:
				l.teach(200, c, "GET", "/v1/search", "")
			}
		}
	}
}

// plain is the document without counts and times.
func plainDocument(t *testing.T, l *Learner) string {
	_, doc := result(t, l)
	var lines []string
	b, err := doc.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(strings.NewReplacer(",", ",\n", "{", "{\n", "}", "}\n").Replace(string(b)), "\n") {
		if !strings.Contains(l, `"calls"`) && !strings.Contains(l, `"clients"`) && !strings.Contains(l, `_seen"`) && !strings.Contains(l, `"answered `) && !strings.Contains(l, `"left_out"`) {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n")
}

func TestAHostileMinorityChangesNothing(t *testing.T) {
	for seed := range uint64(2) {
		clean := plainDocument(t, learnShop(seed, nil))
		for _, n := range []int{1, clients / 20} { // up to 5 % of all sources, 40,000 calls against 20,000
			poisoned := plainDocument(t, learnShop(seed, widen(n)))
			if clean != poisoned {
				t.Errorf("seed %d: %d hostile clients changed the document:\n%s", seed, n, difference(clean, poisoned))
			}
		}
	}
}

func difference(a, b string) string {
	var out []string
	have := map[string]int{}
	for _, l := range strings.Split(a, "\n") {
		have[l]++
	}
	for _, l := range strings.Split(b, "\n") {
		if have[l]--; have[l] < 0 {
			out = append(out, "+ "+l)
		}
	}
	for l, n := range have {
		if n > 0 {
			out = append(out, "- "+l)
		}
	}
	return strings.Join(out[:min(len(out), 30)], "\n")
}

func TestMemoryStaysBoundedUnderHostileTraffic(t *testing.T) {
	l := New(Options{Seed: 1, MaxOperations: 256, MaxProfiles: 2000})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			c := i % 3000
			name := fmt.Sprintf("n%c%c%c", 'a'+i%26, 'a'+i/26%26, 'a'+i/676%26)
			l.teach(200, c, "GET", fmt.Sprintf("/x/%s/y%d?%s=%s&%sb=1", name, i%7, name, strings.Repeat("v", i%100), name), "")
			l.teach(200, c, "POST", "/v1/orders", fmt.Sprintf(`{"%s":{"%sx":[{"%sy":"%d"}]},"%sz":%d}`, name, name, name, i, name, i), "Content-Type", fmt.Sprintf("application/%s+json", name))
		}
	}
	fill(0, 15_000)
	before := heap()
	fill(15_000, 40_000)
	after := heap()
	if after > before+4<<20 || after > 64<<20 {
		t.Errorf("heap grew from %d to %d bytes", before, after)
	}
	if l.left < 0 || len(l.owned) > 2000 {
		t.Errorf("budget: %d left, %d owners", l.left, len(l.owned))
	}
	runtime.KeepAlive(l)
}

func TestHostileTrafficDoesNotStopLearning(t *testing.T) {
	l := New(Options{Seed: 1, MaxProfiles: 1000})
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range 40_000 { // 60 clients take all the room there is
		name := fmt.Sprintf("n%c%c%c", 'a'+rnd.IntN(26), 'a'+rnd.IntN(26), 'a'+rnd.IntN(26))
		l.teach(200, 50_000+i%60, "POST", "/v1/orders", fmt.Sprintf(`{"%s":{"%sx":[{"%sy":1}]},"%sz":2}`, name, name, name, name), "Content-Type", "application/json")
	}
	for c := range 900 {
		shop(l, c, 30, rnd)
	}
	_, doc := result(t, l)
	if doc.Paths.Len() != 8 {
		t.Errorf("%d paths", doc.Paths.Len())
	}
	if p := doc.Paths.Find("/v1/items"); p == nil || len(p.Get.Parameters) != 2 {
		t.Errorf("the parameters of /v1/items were not learned")
	}
	if o := doc.Paths.Find("/v1/orders"); o == nil || len(o.Post.RequestBody.Value.Content["application/json"].Schema.Value.Properties) != 5 {
		t.Errorf("the body of /v1/orders was not learned")
	}
}

func TestNoValueOfAClientIsWrittenUnlessAsked(t *testing.T) {
	for _, examples := range []bool{false, true} {
		l := New(Options{Seed: 1, Examples: examples})
		for c := range 50 {
			for range 3 {
				l.teach(200, c, "POST", fmt.Sprintf("/users/jane%d?ref=secretref%d", c, c), fmt.Sprintf(`{"name":"Secretname %d","pin":"secretpin-%d"}`, c, c), "Content-Type", "application/json", "Authorization", "Bearer secrettoken")
			}
		}
		r, _ := result(t, l)
		y, _ := r.YAML()
		if got := strings.Contains(strings.ToLower(string(y)), "secret"); got != examples {
			t.Errorf("examples %v: values written %v\n%s", examples, got, y)
		}
		if strings.Contains(string(y), "secrettoken") {
			t.Error("a credential was written")
		}
	}
}

func TestRefusedCallsTeachNothing(t *testing.T) {
	l := New(Options{Seed: 1})
	for c := range 20 {
		l.teach(404, c, "GET", "/wp-login.php", "")
		l.teach(400, c, "GET", "/a?bad=1", "")
		l.teach(200, c, "GET", "/a", "")
		r := call(c, "GET", "/denied", "")
		l.Add(Call{Request: r, Denied: true})
		l.teach(0, c, "GET", "/gone", "")
		for range 6 {
			r := call(c, "GET", "/gone", "")
			l.Ended("GET", r.Path(), 404, l.Client(r.Client.Addr()), start)
		}
	}
	r, doc := result(t, l)
	if doc.Paths.Len() != 1 || len(doc.Paths.Find("/a").Get.Parameters) != 0 || r.Summary.Refused != 60 {
		t.Errorf("%d paths, %+v", doc.Paths.Len(), r.Summary)
	}
}

func TestOneOutlineIsOnePath(t *testing.T) {
	l := New(Options{Seed: 1})
	for c := range 30 {
		for _, id := range []string{"42", "0b5c6f4e-9d1e-4c57-8d28-2f0f6d0f4f3a", "cus_NffrFeUfNV2Hib"} {
			l.teach(200, c, "GET", "/things/"+id, "")
		}
	}
	_, doc := result(t, l)
	p := doc.Paths.Find("/things/{thingId}")
	if doc.Paths.Len() != 1 || p == nil {
		t.Fatalf("%v", doc.Paths.Keys())
	}
	if s := p.Get.Parameters[0].Value.Schema.Value; !s.Type.Includes("integer") && !s.Type.Includes("string") || s.Format != "" {
		t.Errorf("%+v", s)
	}
}

func TestNamesThatClientsFillInAreOneParameter(t *testing.T) {
	l := New(Options{Seed: 1})
	for c := range 100 {
		for range 5 {
			l.teach(200, c, "GET", "/users/me", "")
			l.teach(200, c, "GET", "/users/"+word(c), "")
			l.teach(200, c, "PUT", "/settings", `{"`+fmt.Sprint(c*1000)+`":{"on":true}}`, "Content-Type", "application/json")
		}
	}
	_, doc := result(t, l)
	if keys := fmt.Sprint(doc.Paths.Keys()); keys != "[/settings /users/me /users/{userName}]" {
		t.Errorf("%s", keys)
	}
	s := doc.Paths.Find("/settings").Put.RequestBody.Value.Content["application/json"].Schema.Value
	if len(s.Properties) != 0 || s.AdditionalProperties.Schema == nil || s.AdditionalProperties.Schema.Value.Properties["on"] == nil {
		t.Errorf("%+v", s)
	}
}

func word(i int) string {
	w := []byte("w")
	for i += 1; i > 0; i /= 20 {
		w = append(w, "bcdfghjklmnpqrstvwxz"[i%20], 'o')
	}
	return string(w)
}

func FuzzAdd(f *testing.F) {
	f.Add("GET", "/a/{b}/1?x=1&y[]=2", "application/json", `{"a":[1,{"b":null}]}`)
	f.Add("POST", "//%2f/..;/", "application/x-www-form-urlencoded", "a=1&a=2&%=%")
	f.Add("PUT", "*", "a/b", strings.Repeat("[", 100))
	f.Fuzz(func(t *testing.T, method, uri, media, body string) {
		l := New(Options{Seed: 1, MinClients: 1, MinShare: -1, Examples: true})
		l.teach(200, 1, method, uri, body, "Content-Type", media)
		l.teach(0, 2, "POST", uri, body, "Content-Type", media, "X-"+media, uri)
		r, err := l.Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, write := range []func() ([]byte, error){r.JSON, r.YAML} {
			if _, err := write(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	l := New(Options{Seed: 1})
	r := call(1, "POST", "/v1/orders/42?limit=10", `{"customer":{"email":"jane@example.org"},"lines":[{"item":1,"count":2}],"total":1.5}`, "Content-Type", "application/json")
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
		l.Add(Call{Request: r, Status: 200})
		i++
	}
}
