package signature

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/request"
)

// crafted is a request made to cost as much as it can.
type crafted struct {
	name, uri, kind string
	headers         []request.Header
	body            []byte
}

func fill(piece string, n int) []byte {
	return bytes.Repeat([]byte(piece), n/len(piece)+1)[:n]
}

// texts are what the rules look for, one after another: a request that calls
// up as many rules as it can.
func (s *Set) everyText(n int) []byte {
	var b bytes.Buffer
	for _, a := range s.anchors {
		if a == nil {
			continue
		}
		for _, t := range a.texts {
			if b.Len() < n {
				b.Write(t.b)
				b.WriteByte(' ')
			}
		}
	}
	return b.Bytes()
}

func craftedRequests(s *Set) []crafted {
	const form = "application/x-www-form-urlencoded"
	json := func(b []byte) []byte { return append(append([]byte(`{"x":"`), b...), `"}`...) }
	out := []crafted{
		{name: "64 KB of a in JSON", kind: "application/json", body: json(fill("a", 64<<10))},
		{name: "1 MB of a in JSON", kind: "application/json", body: json(fill("a", 1<<20))},
		{name: "1 MB of a", kind: "text/plain", body: fill("a", 1<<20)},
		{name: "1 MB of select from", kind: form, body: fill("select from where union ", 1<<20)},
		{name: "1 MB of ../", kind: "text/plain", body: fill("../", 1<<20)},
		{name: "1 MB of <script", kind: "text/html", body: fill("<script ", 1<<20)},
		{name: "1 MB of quotes", kind: form, body: fill("'\"`;", 1<<20)},
		{name: "1 MB of digits", kind: "text/plain", body: fill("0123456789", 1<<20)},
		{name: "1 MB of blanks", kind: "text/plain", body: fill(" ", 1<<20)},
		{name: "1 MB of %25", kind: form, body: append([]byte("a="), fill("%2525", 1<<20)...)},
		{name: "1 MB of brackets", kind: "text/plain", body: fill("(((((${jndi:{{", 1<<20)},
		{name: "1 MB of every text", kind: "text/plain", body: s.everyText(1 << 20)},
		{name: "64 KB of every text", kind: form, body: s.everyText(64 << 10)},
		{name: "4,000 parameters", kind: form, body: fill("a=1'+or+'1'='1&", 60000)},
		{name: "4,000 values in JSON", kind: "application/json", body: append(append([]byte("["), fill(`"<a href=x onerror=",`, 80000/20*20)...), '1', ']')},
		{name: "8 KB target of every text", uri: "/?" + strings.Map(func(r rune) rune {
			if r <= ' ' || r > '~' {
				return '+'
			}
			return r
		}, string(s.everyText(8<<10)))},
		{name: "8 KB target of a", uri: "/?q=" + string(fill("a", 8<<10))},
		{name: "8 KB target of a=a&", uri: "/?" + string(fill("a=1'--&", 8<<10))},
		{name: "8 KB target of /../", uri: "/" + string(fill("a/../%2e%2e/", 8<<10))},
		{name: "8 KB target of hex", uri: "/" + string(fill("0a1b2c3d4e5f/", 8<<10))},
		{name: "60 cookies and fields"},
	}
	last := &out[len(out)-1]
	last.uri = "/"
	text := s.everyText(24 << 10)
	for i := 0; i < 60 && len(text) > 400; i++ {
		v := bytes.Map(func(r rune) rune { return max(r, ' ') }, text[:400])
		text = text[400:]
		last.headers = append(last.headers, request.Header{Name: []byte(fmt.Sprintf("X-F%d", i)), Value: bytes.TrimSpace(v)})
	}
	last.headers = append(last.headers, request.Header{Name: []byte("Cookie"), Value: fill("a=union select; ", 4000)})
	return out
}

// judgeCrafted gives a request to the check as the daemon does, and says
// whether the rules were given up.
func judgeCrafted(c *Check, q *crafted, state *keyed.Store) (spent bool) {
	r := request.Get()
	defer r.Release()
	r.Method, r.URI, r.Protocol = "GET", []byte(q.uri), "HTTP/1.1"
	r.Client = netip.MustParseAddrPort("198.51.100.7:4000")
	r.Connection = 7
	r.Headers = append(r.Headers, request.Header{Name: []byte("Host"), Value: []byte("h.test")})
	r.Headers = append(r.Headers, q.headers...)
	v := &check.Visit{Request: r, Phase: check.Head, Last: q.body == nil, Now: time.Unix(1_700_000_000, 0), State: state}
	if q.body != nil {
		r.Method = "POST"
		r.URI = []byte("/api/x")
		r.Headers = append(r.Headers, request.Header{Name: []byte("Content-Type"), Value: []byte(q.kind)})
	}
	c.Judge(v)
	if q.body != nil {
		r.Body = request.Body{Present: true, Bytes: q.body, Length: int64(len(q.body))}
		v.Phase, v.Last = check.Body, true
		c.Judge(v)
	}
	for _, f := range v.Findings {
		spent = spent || f.ID == "steps"
	}
	return spent
}

// ruleSets are our own rules and the published ones, where they are.
func ruleSets(tb testing.TB) map[string]string {
	sets := map[string]string{"own": "../../../rules/*.rules"}
	root := os.Getenv("SALLYPORT_SHARED")
	if root == "" {
		root = "../../../../shared"
	}
	for _, c := range []string{"snort2-community-2022", "snort3-community-2025", "et-open-snort29-2021", "et-open-suri5-2021"} {
		dir := filepath.Join(root, "snort", "corpora", c)
		if _, err := os.Stat(dir); err == nil {
			sets[c] = dir
		}
	}
	return sets
}

func loadCheck(tb testing.TB, rules string) *Check {
	s := Defaults()
	rules, err := filepath.Abs(rules)
	if err != nil {
		tb.Fatal(err)
	}
	s.Rules = []string{rules}
	c, err := New(s, check.Env{})
	if err != nil {
		tb.Fatal(err)
	}
	return c.(*Check)
}

// BenchmarkHostile prints what each crafted request costs through each set of
// rules, the reading of the request included.
func BenchmarkHostile(b *testing.B) {
	for name, rules := range ruleSets(b) {
		c := loadCheck(b, rules)
		state := keyed.New(1<<12, 1)
		for _, q := range craftedRequests(c.set) {
			b.Run(name+"/"+strings.ReplaceAll(q.name, " ", "_"), func(b *testing.B) {
				spent, best := 0.0, time.Duration(1<<62)
				for b.Loop() {
					before := cpuTime()
					if judgeCrafted(c, &q, state) {
						spent++
					}
					best = min(best, cpuTime()-before)
				}
				b.ReportMetric(float64(best)/1e6, "cpu-ms/op")
				b.ReportMetric(spent/float64(b.N), "given-up/op")
			})
		}
	}
}

func TestNoCraftedRequestGoesOnPastTheTimeThatRulesMayTake(t *testing.T) {
	for name, rules := range map[string]string{"own": "../../../rules/*.rules"} {
		c := loadCheck(t, rules)
		state := keyed.New(1<<12, 1)
		for _, q := range craftedRequests(c.set) {
			// A clock that says that every stride takes as long as one may.
			looks := 0
			c.clock = func() time.Duration { looks++; return time.Duration(looks) * 64 * time.Microsecond }
			spent := judgeCrafted(c, &q, state)
			// 4 ms are 63 such strides, and each visit has a look to begin with.
			if looks > 63+4 {
				t.Errorf("%s, %s: %d looks at the clock, at most 67 expected", name, q.name, looks)
			}
			if looks >= 65 && !spent {
				t.Errorf("%s, %s: the time was used up and no finding says so", name, q.name)
			}
		}
	}
}

func TestTimeEndsTheRulesWhateverTheStepsAllow(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "own.rules")
	if err := os.WriteFile(file, []byte(`alert http any any -> any any (http.request_body; pcre:"/^(a+)+$/"; sid:1;)
alert http any any -> any any (http.request_body; pcre:"/^(a+)*$/"; sid:2;)`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Defaults()
	s.Rules, s.MaxSteps, s.MaxTime = []string{file}, 100_000_000, 3
	built, err := New(s, check.Env{})
	if err != nil {
		t.Fatal(err)
	}
	c := built.(*Check)
	q := &crafted{kind: "text/plain", body: append(fill("a", 4000), '!')}
	for _, each := range []struct {
		stride time.Duration
		looks  int
	}{
		{32 * time.Microsecond, 78},     // 2.4 ms for the body's visit
		{500 * time.Microsecond, 40},    // a stride counts for 64 us at most: the process was not running
		{10 * time.Nanosecond, 1 << 20}, // the bound of each search ends it
	} {
		looks := 0
		c.clock = func() time.Duration { looks++; return time.Duration(looks) * each.stride }
		if !judgeCrafted(c, q, keyed.New(64, 1)) {
			t.Errorf("%v a stride: no finding", each.stride)
		}
		if looks > each.looks {
			t.Errorf("%v a stride: %d looks at the clock, at most %d expected", each.stride, looks, each.looks)
		}
	}
	if n := c.Spent(); n != 3 {
		t.Errorf("%d requests counted, want 3", n)
	}
}

func TestARuleThatIsGivenUpDoesNotSilenceTheNext(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "own.rules")
	if err := os.WriteFile(file, []byte(`drop http any any -> any any (http.request_body; pcre:"/^(a+)+$/"; sid:1;)
alert http any any -> any any (http.request_body; pcre:"/a!/"; sid:2;)
alert http any any -> any any (http.request_body; content:"a"; pcre:!"/(a+)+b/"; sid:3;)`), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := Compile([]string{file}, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	q := typicalGet()
	q.Method, q.Body, q.HasBody = []byte("POST"), append(fill("a", 400), '!'), true
	e := benchEnv()
	var sids []uint32
	set.Match(&Input{Request: q, Env: e, Phase: check.Head | check.Body}, func(h *Hit) { sids = append(sids, h.Rule.SID) })
	if len(sids) != 1 || sids[0] != 2 || !e.Spent {
		t.Errorf("rules %v matched, spent %v; rule 2 expected: what is not known is no match", sids, e.Spent)
	}
}
