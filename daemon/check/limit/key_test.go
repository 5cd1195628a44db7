package limit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/outcome"
)

func TestEachKindOfKeyIsCountedApart(t *testing.T) {
	key := func(h ...string) call { c := a; c.headers = h; return c }
	method := func(m string) call { c := a; c.method = m; return c }
	host := func(h string) call { c := a; c.host = h; return c }
	route := func(r string) call { c := a; c.route = r; return c }
	const token = "Bearer eyJhbGciOiJub25lIn0.%s.x"
	claim := func(payload string) call { return key("Authorization", fmt.Sprintf(token, payload)) }
	for _, c := range []struct {
		name, key  string
		one, other call
		same       bool
	}{
		{"an address is itself", "address", a, from("192.0.2.2"), false},
		{"an IPv6 address is its /64", "address", from("2001:db8::1"), from("2001:db8::2"), true},
		{"two /64 are two", "address", from("2001:db8:0:1::1"), from("2001:db8:0:2::1"), false},
		{"a mapped address is its IPv4 address", "address", a, from("::ffff:192.0.2.1"), true},
		{"a prefix is its /24", "prefix", a, from("192.0.2.200"), true},
		{"another /24 is another", "prefix", a, from("192.0.3.1"), false},
		{"a group holds its networks", "group", from("198.51.100.1"), from("203.0.113.9"), true},
		{"another group is another", "group", from("198.51.100.1"), from("192.0.2.1"), false},
		{"all are one without a key", "", a, from("203.0.113.77"), true},
		{"a header's value", "header:X-Tenant", key("x-tenant", "a"), key("X-TENANT", "b"), false},
		{"a header's value from anywhere", "header:X-Tenant", key("x-tenant", "a"), func() call { c := key("x-tenant", "a"); c.from = "192.0.2.9"; return c }(), true},
		{"a missing header is the address", "header:X-Tenant", a, from("192.0.2.2"), false},
		{"an empty header is missing", "header:X-Tenant", a, key("x-tenant", ""), true},
		{"a long value", "header:X-Tenant", key("x-tenant", strings.Repeat("a", 5000)), key("x-tenant", strings.Repeat("a", 4999)+"b"), false},
		{"a cookie", "cookie:sid", key("Cookie", "x=1; sid=a"), key("cookie", "sid=a; x=2"), true},
		{"another cookie", "cookie:sid", key("Cookie", "sid=a"), key("Cookie", "sid=b"), false},
		{"an api key", "api_key", key("X-API-Key", "k1"), key("X-API-Key", "k2"), false},
		{"an api key in Authorization", "api_key", key("Authorization", "Bearer k1"), key("Authorization", "Bearer k2"), false},
		{"a claim", "claim:sub", claim("eyJzdWIiOiJhIn0"), claim("eyJzdWIiOiJhIiwieCI6MX0"), true},
		{"another claim", "claim:sub", claim("eyJzdWIiOiJhIn0"), claim("eyJzdWIiOiJiIn0"), false},
		{"a method", "method", method("GET"), method("POST"), false},
		{"a host", "host", host("a"), host("b"), false},
		{"a route", "route", route("a"), route("b"), false},
		{"several parts, all equal", `address", "method", "host`, a, a, true},
		{"several parts, the last another", `address", "method", "host`, a, host("b"), false},
		{"several parts, the first another", `address", "method", "host`, a, from("192.0.2.2"), false},
		{"parts that run together alike", `header:a", "header:b`, key("a", "xy", "b", "z"), key("a", "x", "b", "yz"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys := ""
			if c.key != "" {
				keys = `"` + c.key + `"`
			}
			g := newGate(t, `group = { office = ["198.51.100.0/24", "203.0.113.9"], home = ["192.0.2.0/24"] }
[[limit]]
name = "x"
rate = "1/1m"
key = [`+keys+`]`)
			if g.ask(c.one) != nil {
				t.Fatal("the first call was refused")
			}
			if refused := g.ask(c.other) != nil; refused != c.same {
				t.Errorf("the other call refused: %v, want %v", refused, c.same)
			}
		})
	}
}

func TestASkippedKeyIsNotCounted(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "x"
rate = "1/1m"
key = ["header:x-tenant", "route"]
missing = "skip"`)
	if n := g.passed(5, a); n != 5 {
		t.Errorf("%d of 5 passed", n)
	}
}

func TestTheBackendThatAnsweredIsPartOfAKey(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "backend"
key = ["route", "upstream_addr"]
rate = "2/1m"
match = { status = ["5xx"] }`)
	fail := func(addr string) (refused bool) {
		f, id := g.send(a)
		if f == nil {
			g.ended(a, id, func(o *outcome.Outcome) { o.Status, o.UpstreamAddr = 502, addr })
		}
		return f != nil
	}
	for i, want := range []bool{false, false, true, true} {
		if got := fail("10.0.0.1:80"); got != want {
			t.Errorf("call %d refused: %v", i+1, got)
		}
	}
	g.ended(a, "other", func(o *outcome.Outcome) { o.UpstreamAddr, o.Status = "10.0.0.2:80", 500 })
	if fail("10.0.0.2:80") {
		t.Error("refused for what another backend answered")
	}
}

// What counts answers lists a key by what its requests say, once one is heard.
func TestAnEndedKeyIsListedByWhatItsNextRequestSays(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "x"
key = ["header:x-tenant"]
rate = "1/1m"
match = { status = [401] }`)
	c := a
	c.headers = []string{"X-Tenant", "acme"}
	_, id := g.send(c)
	g.ended(c, id, func(o *outcome.Outcome) { o.Status = 401 })
	if rows := g.Near(g.now); len(rows) != 1 || strings.Contains(rows[0].Key, "#") {
		t.Errorf("%+v", rows)
	}
	g.send(c)
	if rows := g.Near(g.now); len(rows) != 1 || !strings.HasPrefix(rows[0].Key, "header:x-tenant=#") {
		t.Errorf("%+v", rows)
	}
}
