package limit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
)

func TestARefusalSaysWhenToComeBack(t *testing.T) {
	g := newGate(t, `[[limit]]
name = "calls"
key = ["address"]
rate = ["3/1m", "100/1h"]`)
	if n := g.passed(3, a); n != 3 {
		t.Errorf("%d of 3 passed", n)
	}
	g.now = start.Add(20 * time.Second)
	f := g.ask(a)
	want := check.Finding{Check: "limit", ID: "calls", Severity: check.Low, Score: 20, Deny: true, Status: 429, RetryAfter: 41 * time.Second,
		Message: "192.0.2.1 reached 4 in 1m0s, 3 are allowed", RateLimit: `"calls-1m";r=0;t=41`,
		RateLimitPolicy: `"calls-1m";q=3;w=60, "calls-1h";q=100;w=3600`, Tags: []string{"CWE-770"}}
	if f == nil || fmt.Sprint(*f) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", f, want)
	}
	if g.ask(from("192.0.2.2")) != nil {
		t.Error("another address was refused")
	}
	g.now = g.now.Add(f.RetryAfter + time.Millisecond*10)
	if n := g.passed(5, a); n != 3 {
		t.Errorf("%d of 5 passed after Retry-After, want 3", n)
	}
}

// Each window has a policy of its own name in the headers, requests under way
// another, and the one that refused is the one in RateLimit.
func TestEachQuotaPolicyHasItsName(t *testing.T) {
	const policies = `"x-1s";q=2;w=1, "x-1h";q=3;w=3600, "x-at-once";q=9;qu="concurrent-requests"`
	g := newGate(t, `[[limit]]
name = "x"
rate = ["2/1s", "3/1h"]
concurrent = 9`)
	g.passed(2, a)
	if f := g.ask(a); f == nil || f.RateLimitPolicy != policies || f.RateLimit != `"x-1s";r=0;t=1` {
		t.Errorf("%+v", f)
	}
	g.now = g.now.Add(2 * time.Second)
	g.passed(1, a)
	if f := g.ask(a); f == nil || !strings.HasPrefix(f.RateLimit, `"x-1h";r=0;t=35`) {
		t.Errorf("%+v", f)
	}
	g = newGate(t, `[[limit]]
name = "x"
rate = ["20/1s", "30/1h"]
concurrent = 1`)
	g.ask(a)
	if f := g.ask(a); f == nil || f.RateLimit != `"x-at-once";r=0;t=1` {
		t.Errorf("%+v", f)
	}
}
