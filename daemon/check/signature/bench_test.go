package signature

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/request"
)

// typicalGet is a GET of about 1 KB as a browser sends it.
func typicalGet() *buffer.Request {
	h := func(name, value string) request.Header {
		return request.Header{Name: []byte(name), Value: []byte(value)}
	}
	return &buffer.Request{
		Method: []byte("GET"), URI: []byte("/api/v2/customers/8812/orders?status=open&page=3&sort=-created&fields=id,total,currency,lines"), Protocol: []byte("HTTP/1.1"),
		Headers: []request.Header{
			h("Host", "shop.example.com"), h("Connection", "keep-alive"), h("Cache-Control", "max-age=0"),
			h("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36"),
			h("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
			h("Referer", "https://shop.example.com/account/orders?tab=open"), h("Accept-Encoding", "gzip, deflate, br"),
			h("Accept-Language", "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7"),
			h("Cookie", "session=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI4ODEyIiwiaWF0IjoxNzAwMDAwMDAwfQ.c2lnbmF0dXJlLXBsYWNlaG9sZGVyLTEyMzQ1Njc4OTA; consent=all; theme=dark; _ga=GA1.2.1234567890.1700000000"),
			h("X-Request-Id", "4bf92f3577b34da6a3ce929d0e0e4736"), h("X-Forwarded-For", "203.0.113.77"),
			h("Sec-Fetch-Site", "same-origin"), h("Sec-Fetch-Mode", "navigate"), h("Sec-Fetch-Dest", "document"),
		},
	}
}

func attackGet() *buffer.Request {
	q := typicalGet()
	q.URI = []byte("/wp-content/plugins/x/view.php?id=1%20UNION%20SELECT%201,concat(user,0x3a,password)%20FROM%20wp_users--%20&f=../../../../etc/passwd")
	return q
}

// corpusSet compiles the first n loadable rules of the published corpora.
func corpusSet(tb testing.TB, n int) *Set {
	var text strings.Builder
	count := 0
	if n > 0 {
		for _, c := range []string{"et-open-suri5-2021", "et-open-snort29-2021"} {
			dir := shared(tb, "snort", "corpora", c)
			files, _ := filepath.Glob(filepath.Join(dir, "*.rules"))
			for _, f := range files {
				s, err := Compile([]string{f}, nil, Options{})
				if err != nil {
					tb.Fatal(err)
				}
				for _, p := range s.Programs() {
					if count < n {
						count++
						fmt.Fprintln(&text, strings.Replace(p.Rule.Text, fmt.Sprintf("sid:%d;", p.SID), fmt.Sprintf("sid:%d;", 50_000_000+count), 1))
					}
				}
			}
		}
	}
	read := rule.NewFiles(nil)
	read.Parse("bench.rules", []byte(text.String()))
	s, err := Build(read, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// least runs do in batches and reports the least processor time of one as the
// time of a request: on a busy machine it says more than the clock.
func least(b *testing.B, do func()) {
	const batch = 512
	best, n, before := time.Duration(1<<62), 0, cpuTime()
	for b.Loop() {
		do()
		if n++; n%batch == 0 {
			now := cpuTime()
			best = min(best, now-before)
			before = now
		}
	}
	if n >= batch {
		ns := float64(best) / batch
		b.ReportMetric(ns, "cpu-ns/op")
		b.ReportMetric(1e9/ns, "requests/s")
	}
}

func BenchmarkMatch(b *testing.B) {
	requests := []struct {
		name string
		q    *buffer.Request
	}{{"benign", typicalGet()}, {"attack", attackGet()}}
	for _, n := range []int{0, 100, 1000, 10000} {
		s := corpusSet(b, n)
		for _, r := range requests {
			b.Run(fmt.Sprintf("rules=%d/%s", n, r.name), func(b *testing.B) {
				e := benchEnv()
				in := &Input{Request: r.q, Env: e, Phase: check.Head | check.Body}
				hits := 0
				b.ReportAllocs()
				least(b, func() {
					e.Steps = MaxSteps
					s.Match(in, func(*Hit) { hits++ })
				})
				b.ReportMetric(float64(hits)/float64(b.N), "hits/op")
			})
		}
	}
	c := loadCheck(b, "../../../rules/*.rules")
	for _, r := range requests {
		b.Run("rules=shipped/"+r.name, func(b *testing.B) {
			b.ReportAllocs()
			v := &check.Visit{Phase: check.Head, Last: true, Now: time.Unix(1_700_000_000, 0), State: keyed.New(1<<12, 1)}
			least(b, func() { judgeShipped(c, v, r.q) })
			b.ReportMetric(float64(len(v.Findings)), "hits/op")
		})
	}
}

// judgeShipped gives a request to the check as the daemon does; what it takes
// to read the values in the request is part of it.
func judgeShipped(c *Check, v *check.Visit, q *buffer.Request) {
	r := request.Get()
	r.Method, r.URI, r.Protocol, r.Client = "GET", q.URI, "HTTP/1.1", netip.MustParseAddrPort("198.51.100.7:40000")
	r.Headers = append(r.Headers, q.Headers...)
	v.Request, v.Findings = r, v.Findings[:0]
	c.Judge(v)
	r.Release()
}

func benchEnv() *keyword.Env {
	return &keyword.Env{Now: time.Unix(1_700_000_000, 0), Client: netip.MustParseAddrPort("198.51.100.7:40000"),
		Server: netip.MustParseAddrPort("203.0.113.10:80"), Flow: []byte("12345678"), Store: keyed.New(1<<12, 1), Size: 1200}
}

func BenchmarkLoad(b *testing.B) {
	dir := shared(b, "snort", "corpora")
	b.ReportAllocs()
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		at := cpuTime()
		s, err := Compile([]string{filepath.Join(dir, "et-open-suri5-2021"), filepath.Join(dir, "et-open-snort29-2021"), filepath.Join(dir, "snort3-community-2025")}, nil, Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(cpuTime()-at)/1e9, "cpu-s/op")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(len(s.Reports)), "rules")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-kept")
		runtime.KeepAlive(s)
	}
}

func TestARequestThatMatchesNothingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	s := corpusSet(t, 2000)
	e := benchEnv()
	in := &Input{Request: typicalGet(), Env: e, Phase: check.Head | check.Body}
	run := func() {
		e.Steps = MaxSteps
		s.Match(in, func(*Hit) {})
	}
	run()
	if n := testing.AllocsPerRun(200, run); n > 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestTheShippedRulesAllocateNothingOnARequestThatMatchesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	c := loadCheck(t, "../../../rules/*.rules")
	q := typicalGet()
	v := &check.Visit{Phase: check.Head, Last: true, Now: time.Unix(1_700_000_000, 0), State: keyed.New(1<<12, 1)}
	run := func() { judgeShipped(c, v, q) }
	run()
	if len(v.Findings) > 0 {
		t.Fatalf("findings: %+v", v.Findings)
	}
	if n := testing.AllocsPerRun(200, run); n > 0 {
		t.Errorf("%v allocations a request", n)
	}
}
