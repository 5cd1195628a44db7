package limit

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/request"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// gate is a check with a store, a clock and a running number of requests.
type gate struct {
	*Check
	t     *testing.T
	state *keyed.Store
	now   time.Time
	id    int
}

func newGate(t *testing.T, config string) *gate {
	t.Helper()
	c, err := build(config, check.Env{DoorTimeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return &gate{Check: c, t: t, state: keyed.New(1000, 1), now: start}
}

func build(config string, env check.Env) (*Check, error) {
	s := Defaults()
	if _, err := toml.Decode(config, &s); err != nil {
		return nil, err
	}
	c, err := New(s, env)
	if err != nil {
		return nil, err
	}
	return c.(*Check), nil
}

type call struct {
	from, method, host, route string
	headers                   []string
	size                      int64
}

func (g *gate) visit(c call) *check.Visit {
	g.id++
	r := &request.Request{
		ID: fmt.Appendf(nil, "%032x", g.id), Received: g.now, Client: netip.AddrPortFrom(netip.MustParseAddr(c.from), 9),
		Method: c.method, Host: []byte(c.host), URI: []byte("/"),
	}
	for i := 0; i < len(c.headers); i += 2 {
		r.Headers = append(r.Headers, request.Header{Name: []byte(c.headers[i]), Value: []byte(c.headers[i+1])})
	}
	if c.size > 0 {
		r.Body = request.Body{Present: true, Length: c.size}
	}
	return &check.Visit{Request: r, Phase: check.Head, Now: g.now, State: g.state, Route: c.route, Site: "s"}
}

// ask sends a call and gives its finding, or nil.
func (g *gate) ask(c call) *check.Finding {
	f, _ := g.send(c)
	return f
}

func (g *gate) send(c call) (*check.Finding, string) {
	v := g.visit(c)
	g.Judge(v)
	if len(v.Findings) == 0 {
		return nil, string(v.Request.ID)
	}
	return &v.Findings[0], string(v.Request.ID)
}

func (g *gate) ended(c call, id string, change func(*outcome.Outcome)) {
	o := &outcome.Outcome{
		ID: id, Time: g.now, Client: netip.MustParseAddr(c.from), Host: c.host, Method: c.method, URI: "/", Site: "s", Route: c.route,
		Status: 200, UpstreamAddr: "10.0.0.1:80",
	}
	change(o)
	g.Ended(o, g.state)
}

// passed counts how many of n calls are let through.
func (g *gate) passed(n int, c call) (passed int) {
	for range n {
		if f := g.ask(c); f == nil || !f.Deny {
			passed++
		}
	}
	return passed
}

var a = call{from: "192.0.2.1", method: "GET", host: "api.example.com", route: "r"}

func from(addr string) call { c := a; c.from = addr; return c }

func TestAMatchNarrowsALimit(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "x"
rate = "1/1m"
match = { route = ["login"], method = ["POST"] }`)
	if n := g.passed(5, a); n != 5 {
		t.Errorf("%d of 5 calls elsewhere passed", n)
	}
	login := a
	login.route, login.method = "login", "POST"
	if n := g.passed(5, login); n != 1 {
		t.Errorf("%d of 5 matching calls passed", n)
	}
}

func TestAnswersOfAStatusAreCounted(t *testing.T) {
	for _, key := range []string{`["address"]`, `["header:x-tenant"]`} {
		g := newGate(t, `[[limit]]
name = "stuffing"
key = `+key+`
rate = "10/5m"
match = { route = ["login"], status = [401, "5xx"] }`)
		login := a
		login.route, login.headers = "login", []string{"x-tenant", "t"}
		for i := range 40 {
			f, id := g.send(login)
			status := []int{401, 200, 503, 404}[i%4]
			if refused := f != nil; refused != (i >= 19) {
				t.Fatalf("%s: call %d refused: %v", key, i+1, refused)
			}
			if f != nil {
				status = 429
			}
			g.ended(login, id, func(o *outcome.Outcome) { o.Status, o.Denied = status, f != nil })
			g.now = g.now.Add(time.Second)
		}
		if f := g.ask(login); f == nil || !strings.Contains(f.Message, "10 answers of status 401, 5xx in 5m0s, 10 are allowed") {
			t.Errorf("%+v", f)
		}
		g.now = g.now.Add(5 * time.Minute)
		if g.ask(login) != nil {
			t.Error("still refused after the window")
		}
	}
}

func TestCostsAreWhatTheySay(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "fixed"
rate = "10/1m"
cost = 3
match = { route = ["fixed"] }
[[limit]]
name = "up"
rate = "1000/1m"
cost = "request_bytes"
match = { route = ["up"] }
[[limit]]
name = "down"
rate = "1000/1m"
cost = "response_bytes"
match = { route = ["down"] }
[[limit]]
name = "time"
rate = "1/1m"
cost = "upstream_seconds"
match = { route = ["time"] }`)
	c := a
	c.route = "fixed"
	if n := g.passed(9, c); n != 3 {
		t.Errorf("fixed: %d passed, want 3", n)
	}
	c.route, c.size = "up", 300
	if n := g.passed(9, c); n != 3 {
		t.Errorf("request_bytes: %d passed, want 3", n)
	}
	c.route, c.size, c.headers = "up", 0, []string{"Transfer-Encoding", "chunked"}
	c.from = "192.0.2.9"
	g.now = g.now.Add(2 * time.Minute)
	passed := 0
	for range 9 { // 300 bytes each that no header announces
		f, id := g.send(c)
		if f == nil {
			passed++
			g.ended(c, id, func(o *outcome.Outcome) { o.RequestBytes = 300 })
		}
	}
	if passed != 4 {
		t.Errorf("chunked request_bytes: %d passed, want 4", passed)
	}
	c.headers = nil
	for _, route := range []string{"down", "time"} {
		c.route, c.size = route, 0
		passed := 0
		for range 9 {
			f, id := g.send(c)
			if f == nil {
				passed++
				g.ended(c, id, func(o *outcome.Outcome) { o.ResponseBytes, o.UpstreamTime = 300, 300*time.Millisecond })
			}
		}
		if passed != 4 { // the fourth is let through at 900 and takes it past
			t.Errorf("%s: %d passed, want 4", route, passed)
		}
	}
}

func TestBurstsArePaced(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "x"
key = ["address"]
rate = "60/1m"
burst = 5`)
	if n := g.passed(20, a); n != 5 {
		t.Errorf("%d at once, want 5", n)
	}
	if f := g.ask(a); f.RetryAfter != time.Second || !strings.Contains(f.Message, "faster than 60/1m with bursts of 5") {
		t.Errorf("%+v", f)
	}
	g.now = g.now.Add(2 * time.Second)
	if n := g.passed(20, a); n != 2 {
		t.Errorf("%d two seconds later, want 2", n)
	}
}

func TestDelaySpreadsAndThenRefuses(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "x"
key = ["address"]
rate = "600/1m"
action = "delay"
delay_ms = 250`)
	for i, want := range []time.Duration{0, 100, 200} {
		f := g.ask(a)
		if (want == 0) != (f == nil) || f != nil && (f.Delay != want*time.Millisecond || f.Deny || f.Score != 0) {
			t.Errorf("call %d: %+v, want delay %v", i+1, f, want)
		}
	}
	if f := g.ask(a); f == nil || !f.Deny || f.Delay != 0 {
		t.Errorf("past delay_ms: %+v", f)
	}
}

func TestDetectNeverDenies(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "x"
rate = "1/1m"
action = "detect"
[[limit]]
name = "y"
rate = "2/1m"`)
	g.ask(a)
	if f := g.ask(a); f == nil || f.Deny || f.Score != 0 || f.Status != 0 {
		t.Errorf("%+v", f)
	}
	v := g.visit(a)
	g.Judge(v)
	if len(v.Findings) != 2 || !v.Findings[1].Deny || v.Findings[1].ID != "y" {
		t.Errorf("the limit behind it was not asked: %+v", v.Findings)
	}
}

func TestBansGrow(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "x"
key = ["address"]
rate = "1/1m"
action = "ban"
ban_seconds = 60`)
	for i, want := range []time.Duration{1, 2, 4} {
		g.ask(a)
		if f := g.ask(a); f == nil || f.Ban != want*time.Minute || !f.Deny {
			t.Errorf("ban %d: %+v", i+1, f)
		}
		g.now = g.now.Add(10 * time.Minute)
	}
}

func TestRequestsUnderWayAreBounded(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "x"
key = ["address"]
concurrent = 2`)
	_, one := g.send(a)
	g.send(a)
	if f := g.ask(a); f == nil || !f.Deny || !strings.Contains(f.Message, "3 requests under way, 2 are allowed") || !strings.Contains(f.RateLimitPolicy, "concurrent-requests") {
		t.Errorf("%+v", f)
	}
	if g.ask(from("192.0.2.2")) != nil {
		t.Error("another address was refused")
	}
	g.ended(a, one, func(o *outcome.Outcome) {})
	g.ended(a, one, func(o *outcome.Outcome) {})
	if g.passed(3, a) != 1 {
		t.Error("the end of one did not let one in")
	}
	g.now = g.now.Add(time.Hour)
	if g.passed(5, a) != 2 {
		t.Error("requests that never ended are held for ever")
	}
}

func TestARefusedRequestIsNotHeld(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "x"
key = ["address"]
concurrent = 2
rate = "1/1m"`)
	for range 10 {
		g.ask(a)
	}
	g.now = g.now.Add(time.Minute + time.Second)
	if g.ask(a) != nil {
		t.Error("refused requests are held")
	}
}

func TestRefusedRequestsCountOnlyIfAsked(t *testing.T) {
	for always, want := range map[string]int{"false": 2, "true": 0} {
		g := newGate(t, `[[limit]]
name = "x"
rate = ["2/1m", "1000/1h"]
count_denied = `+always)
		for range 100 {
			g.ask(a)
			g.now = g.now.Add(500 * time.Millisecond)
		}
		g.now = g.now.Add(15 * time.Second)
		if n := g.passed(2, a); n != want {
			t.Errorf("count_denied %s: %d passed after a minute of hammering, want %d", always, n, want)
		}
	}
}

func TestCountsSurviveAReload(t *testing.T) {
	const config = `[[limit]]
name = "x"
key = ["address"]
rate = "2/1m"`
	g := newGate(t, config)
	g.passed(2, a)
	c, err := build(config, check.Env{Old: g.Check})
	if err != nil {
		t.Fatal(err)
	}
	g.Check = c
	if g.ask(a) == nil {
		t.Error("forgotten")
	}
	if rows := g.Near(g.now); len(rows) != 1 {
		t.Errorf("near: %+v", rows)
	}
}

func TestRequestsUnderWayAtAReloadAreLetGoOf(t *testing.T) {
	const config = `[[limit]]
name = "x"
key = ["address"]
concurrent = 1`
	g := newGate(t, config)
	_, id := g.send(a)
	c, err := build(config, check.Env{Old: g.Check})
	if err != nil {
		t.Fatal(err)
	}
	g.Check = c
	g.ended(a, id, func(*outcome.Outcome) {})
	if g.ask(a) != nil {
		t.Error("still held")
	}
}

func TestOutcomesOfRoutesJudgedElsewhereAreLeftAlone(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "x"
rate = "1/1m"
match = { status = [401] }`)
	g.ask(a)
	other := a
	other.route = "other"
	g.ended(other, "1", func(o *outcome.Outcome) { o.Status = 401 })
	if g.ask(a) != nil {
		t.Error("counted")
	}
}

func TestKeysNearTheirBoundAreListed(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "calls"
key = ["address", "api_key"]
rate = "10/1m"`)
	secret := a
	secret.headers = []string{"X-API-Key", "hunter2-secret"}
	if g.passed(7, secret); len(g.Near(g.now)) != 0 {
		t.Errorf("listed at 7 of 10: %+v", g.Near(g.now))
	}
	g.passed(5, secret)
	rows := g.Near(g.now)
	if len(rows) != 1 || rows[0].Refused != 2 || rows[0].Amount != 10 || rows[0].Window != "1m" || strings.Contains(rows[0].Key, "hunter2") || !strings.HasPrefix(rows[0].Key, "192.0.2.1 api_key=#") {
		t.Errorf("%+v", rows)
	}
	if rows := g.Near(g.now.Add(2 * time.Minute)); len(rows) != 0 {
		t.Errorf("still listed: %+v", rows)
	}
	for i := range 2 * maxNear {
		g.passed(9, from(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()))
	}
	if n := len(g.Near(g.now)); n > maxNear {
		t.Errorf("%d listed", n)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	limit := func(s string) string { return "[[limit]]\nname = \"x\"\nrate = \"1/1m\"\n" + s }
	for config, want := range map[string]string{
		"[[limit]]\nrate = \"1/1m\"":                                        `limit.0.name: is ""`,
		"[[limit]]\nname = \"x\"":                                           "limit.0.rate: is missing",
		limit(`key = ["adress"]`):                                           `limit.0.key: "adress" is no part of a key`,
		limit(`key = ["header:"]`):                                          "limit.0.key: \"header:\" is no part",
		limit(`key = ["group"]`):                                            "limit.0.key: \"group\" needs [check.limit.group]",
		limit(`key = ["country"]`):                                          "limit.0.key: \"country\" needs",
		limit(`key = ["upstream_addr", "address"]`):                         "limit.0.key: \"upstream_addr\" must stand last",
		limit(`action = "drop"`):                                            "limit.0.action: ",
		limit("action = \"delay\"\ndelay_ms = 251"):                         "limit.0.delay_ms: is 251, expected at most 250: half of server.enter_timeout_ms",
		limit(`shared = "exact"`):                                           "limit.0.shared: is \"exact\", which needs",
		limit(`status = 418`):                                               "limit.0.status: ",
		limit("burst = 3\nmatch = { status = [401] }"):                      "limit.0.burst: ",
		limit("") + "\n" + limit(""):                                        "limit.1.name: \"x\" is taken",
		"group = { a = [\"x\"] }":                                           "group.a: \"x\" is no address",
		"jwks_file = \"/nowhere\"":                                          "jwks_file: ",
		"country_file = \"/nowhere\"":                                       "country_file: ",
		"store = { kind = \"redis\" }":                                      "store.address: is missing",
		"store = { kind = \"redis\", address = [\"x\"] }":                   "store",
		"[store]\nkind = \"redis\"\naddress = [\"a:1\"]\ndeadline_ms = 400": "store.deadline_ms: is 400, expected at most 250",
		"[[limit]]\nname = \"x\"\nrate = \"1\"":                             "rate \"1\": expected an amount and a time",
		"[[limit]]\nname = \"x\"\nrate = \"1/40d\"":                         "rate \"1/40d\"",
		"[[limit]]\nname = \"x\"\nrate = \"-1/1m\"":                         "rate \"-1/1m\"",
		limit(`match = { status = [99] }`):                                  "status 99: expected a code",
		limit(`cost = "money"`):                                             "cost \"money\"",
		limit(`cost = 0`):                                                   "cost 0: expected more than 0",
	} {
		_, err := build(config, check.Env{DoorTimeout: 500 * time.Millisecond, StateDir: "x"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n  gives %v\n  want  %s", config, err, want)
			continue
		}
		var setting *check.SettingError
		if !errors.As(err, &setting) && !strings.Contains(want, "expected") && !strings.Contains(want, "rate") && !strings.Contains(want, "cost") {
			t.Errorf("%s: %T is no setting error", config, err)
		}
	}
}

func TestRatesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]string{"100/1m": "100/1m", "5/s": "5/1s", "2/90s": "2/1m30s", "1000/1d": "1000/24h", "0.5/h": "0.5/1h", "3/250ms": "3/250ms"} {
		r, err := ParseRate(text)
		if err != nil || r.String() != want {
			t.Errorf("%s: %v %v, want %s", text, r, err, want)
		}
	}
}

func TestAKnownKeyAllocatesNothing(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "calls"
key = ["address", "route", "method", "host", "header:x-tenant"]
rate = ["1000000/1m", "10000000/1h"]
burst = 1000000
[[limit]]
name = "stuffing"
key = ["prefix"]
rate = "1000000/1m"
match = { status = [401] }
[[limit]]
name = "held"
key = ["address"]
concurrent = 1000000`)
	c := a
	c.headers = []string{"X-Tenant", "t"}
	v := g.visit(c)
	o := &outcome.Outcome{ID: string(v.Request.ID), Time: g.now, Client: v.Request.Client.Addr(), Host: c.host, Method: c.method, Site: "s", Route: c.route, Status: 401}
	g.Judge(v)
	if n := testing.AllocsPerRun(1000, func() { g.Judge(v); g.Ended(o, g.state) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Printed by: go test -run - -bench Judge -cpu 1,2 ./daemon/check/limit
func BenchmarkJudge(b *testing.B) {
	c, err := build(`[[limit]]
name = "calls"
key = ["address"]
rate = "1000000000/1m"`, check.Env{})
	if err != nil {
		b.Fatal(err)
	}
	for _, keys := range []int{1, 1000, 1_000_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			state := keyed.New(1_000_000, 1)
			visit := func() *check.Visit {
				return &check.Visit{Request: &request.Request{}, Phase: check.Head, State: state, Now: start}
			}
			v := visit()
			address := func(i int) netip.AddrPort {
				return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
			}
			for i := range keys {
				v.Request.Client = address(i)
				c.Judge(v)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var before, after syscall.Rusage // on a busy machine CPU time says more than the clock
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
			defer func() {
				_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
				b.ReportMetric(float64(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano())/float64(b.N), "cpu-ns/op")
			}()
			b.RunParallel(func(pb *testing.PB) {
				v, x := visit(), uint64(88172645463325252)
				for pb.Next() {
					x ^= x << 13
					x ^= x >> 7
					x ^= x << 17
					v.Request.Client = address(int(x % uint64(keys)))
					c.Judge(v)
				}
			})
		})
	}
}

// Whatever a client writes into what is counted, it is counted.
func FuzzJudge(f *testing.F) {
	f.Add("x-tenant", "a", "sid=1; sid=2", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.x", "api.example.com", "GET")
	f.Add("X-Tenant", "", ";;=;", "bearer", "", "\xff")
	c, err := build(`[[limit]]
name = "x"
rate = "2/1m"
key = ["header:x-tenant", "cookie:sid", "api_key", "claim:sub", "host", "method", "route", "address"]`, check.Env{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, value, cookies, authorization, host, method string) {
		state := keyed.New(100, 1)
		refused := 0
		for range 4 {
			v := &check.Visit{Request: &request.Request{
				Client: netip.MustParseAddrPort("192.0.2.1:1"), Host: []byte(host), Method: method,
				Headers: []request.Header{{Name: []byte(name), Value: []byte(value)}, {Name: []byte("Cookie"), Value: []byte(cookies)}, {Name: []byte("Authorization"), Value: []byte(authorization)}},
			}, Phase: check.Head, Now: start, State: state}
			c.Judge(v)
			refused += len(v.Findings)
		}
		if refused != 2 {
			t.Errorf("%d of 4 equal requests refused, want 2", refused)
		}
	})
}
