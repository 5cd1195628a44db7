package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check/limit"
	"github.com/sallyport/sallyport/daemon/check/reputation"
	"github.com/sallyport/sallyport/daemon/nginxtest"
	"github.com/sallyport/sallyport/daemon/redistest"
)

// limitRig is a real NGINX and daemon before a backend of the test's own.
// Clients are told apart by X-Forwarded-For, which the test's NGINX trusts.
func limitRig(t *testing.T, backend http.Handler, config string) *rig {
	t.Helper()
	r := &rig{t: t, log: &syncBuffer{}}
	r.backend = httptest.NewServer(backend)
	t.Cleanup(r.backend.Close)
	r.nginx = nginxtest.Start(t, nginxtest.Conf{OwnAccess: true, HTTP: "proxy_http_version 1.1;", Server: `
        include sallyport/server.conf;
        location / { set $sallyport_to @api; include sallyport/metadata-closed.conf; }
        location @api { include sallyport/proven.conf; proxy_pass ` + r.backend.URL + `; }`})
	r.config = filepath.Join(r.nginx.Dir, "sallyport.toml")
	r.limits(config)
	r.start()
	return r
}

func (r *rig) control() string { return filepath.Join(r.nginx.Dir, "control.sock") }

func (r *rig) limits(config string) {
	r.write("sallyport.toml", `
[server]
door = "`+r.nginx.Door+`"
access = "`+r.nginx.Access+`"
control = "`+r.control()+`"
state_dir = "`+r.nginx.Dir+`"
trusted_proxies = ["127.0.0.1"]
[defaults]
mode = "enforce"
check = { score = { mode = "off" }, signature = { mode = "off" } }
`+config)
}

// call sends a request as a client and returns the status and the headers.
func (r *rig) call(client, method, path, body string) (int, http.Header) {
	q, err := http.NewRequest(method, "http://"+r.nginx.Addr+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("X-Forwarded-For", client)
	q.Header.Set("Content-Type", "application/json")
	resp, err := patient.Do(q)
	if err != nil {
		return -1, nil
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode, resp.Header
}

// login is a backend that knows one password.
type login struct {
	right, wrong, other, missing atomic.Int64
}

func (l *login) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	switch q.URL.Path {
	case "/login":
		var in struct{ User, Password string }
		if json.NewDecoder(q.Body).Decode(&in) == nil && in.Password == "right" {
			l.right.Add(1)
			return
		}
		l.wrong.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
	case "/api":
		l.other.Add(1)
	default:
		l.missing.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}
}

func TestAStuffingRunAndAScanAreStopped(t *testing.T) {
	backend := &login{}
	r := limitRig(t, backend, `
[[site]]
name = "shop"
[[site.route]]
name = "login"
path = "/login"
[[check.limit.limit]]
name = "stuffing"
key = ["address"]
rate = "10/5m"
match = { route = ["login"], status = [401] }
[[check.limit.limit]]
name = "scanning"
key = ["prefix"]
rate = "20/1m"
match = { status = [404] }
`)
	const workers = 4
	run := func(n int, attempt func(i int) int) map[int]int {
		var mu sync.Mutex
		statuses := map[int]int{}
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := w; i < n; i += workers {
					s := attempt(i)
					mu.Lock()
					statuses[s]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		return statuses
	}
	guess := func(client string) func(int) int {
		return func(i int) int {
			s, _ := r.call(client, "POST", "/login", fmt.Sprintf(`{"user":"u%d","password":"p%d"}`, i, i))
			return s
		}
	}
	stuffed := run(200, guess("192.0.2.1"))
	// Under way when the tenth 401 is heard: one a worker, and what the access
	// log's way to the daemon lets in besides.
	if got := backend.wrong.Load(); got < 10 || got > 10+3*workers {
		t.Errorf("%d of 200 guesses reached the backend, want 10 and up to %d under way: %v", got, 3*workers, stuffed)
	}
	t.Logf("stuffing: limit 10, %d of 200 guesses reached the backend with %d at a time: %v", backend.wrong.Load(), workers, stuffed)
	if s, h := r.call("192.0.2.1", "POST", "/login", `{"password":"right"}`); s != 429 || h.Get("Retry-After") == "" || !strings.HasPrefix(h.Get("RateLimit-Policy"), `"stuffing";q=10;w=300`) || !strings.HasPrefix(h.Get("RateLimit"), `"stuffing";r=0;t=`) {
		t.Errorf("answered %d with %v", s, h)
	}
	if s, _ := r.call("192.0.2.2", "POST", "/login", `{"password":"right"}`); s != 200 {
		t.Errorf("another client's login was answered %d", s)
	}
	if s, _ := r.call("192.0.2.1", "GET", "/api", ""); s != 200 {
		t.Errorf("another route was answered %d", s)
	}
	run(200, func(i int) int {
		s, _ := r.call(fmt.Sprintf("198.51.100.%d", i%50), "GET", fmt.Sprintf("/x%d.php", i), "")
		return s
	})
	if got := backend.missing.Load(); got < 20 || got > 20+3*workers {
		t.Errorf("%d of 200 probes reached the backend", got)
	}
	t.Logf("scan: limit 20, %d of 200 probes reached the backend", backend.missing.Load())
	var rows []limit.Row
	r.verb(&rows, "limits", "--json")
	if len(rows) != 2 || rows[0].Refused == 0 {
		t.Errorf("limits: %+v", rows)
	}
}

// verb runs a verb against the rig's daemon and reads what it prints as JSON.
func (r *rig) verb(v any, args ...string) {
	r.t.Helper()
	var out, errOut bytes.Buffer
	if status := run(append(args, "--control", r.control()), strings.NewReader(""), &out, &errOut); status != exitOK {
		r.t.Fatalf("%v: status %d: %s", args, status, errOut.String())
	}
	if err := json.Unmarshal(out.Bytes(), v); err != nil {
		r.t.Fatalf("%v: %v: %s", args, err, out.String())
	}
}

func TestBansHoldAtOnceAndOverARestart(t *testing.T) {
	r := limitRig(t, &login{}, "")
	status := func(client string) int { s, _ := r.call(client, "GET", "/api", ""); return s }
	if s := status("192.0.2.1"); s != 200 {
		t.Fatalf("before the ban: %d\n%s", s, r.log.String())
	}
	var ban reputation.Ban
	r.verb(&ban, "ban", "192.0.2.0/24", "--for", "1h", "--why", "test", "--json")
	if s := status("192.0.2.1"); s != 403 || ban.By == "" || ban.Why != "test" {
		t.Errorf("banned: %d, %+v", s, ban)
	}
	_ = r.daemon.Process.Kill() // no time to save anything
	_ = r.daemon.Wait()
	r.start()
	if s := status("192.0.2.1"); s != 403 {
		t.Errorf("after a crash: %d", s)
	}
	var lifted []reputation.Ban
	r.verb(&lifted, "unban", "192.0.2.0/24", "--json")
	if s := status("192.0.2.1"); s != 200 || len(lifted) != 1 {
		t.Errorf("unbanned: %d, %+v", s, lifted)
	}
	var bans []reputation.Ban
	if r.verb(&bans, "sources", "--bans", "--json"); len(bans) != 0 {
		t.Errorf("bans: %+v", bans)
	}
}

// Behind a trusted proxy NGINX logs the proxy's address. That an answer was
// good is put down to the client all the same.
func TestGoodAnswersAreTheClientsNotTheProxys(t *testing.T) {
	r := limitRig(t, &login{}, `
[reputation]
good = 5
[[check.limit.limit]]
name = "calls"
key = ["address"]
rate = "1/1h"
score = 100
match = { method = ["PUT"] }
`)
	for range 3 {
		r.call("192.0.2.1", "PUT", "/api", "")
		r.call("2001:db8::7", "PUT", "/api", "")
	}
	score := func(name string) float64 {
		var list []reputation.Source
		r.verb(&list, "sources", "--json")
		for _, s := range list {
			if s.Address.String() == name || s.Network == name {
				return s.Score
			}
		}
		return 0
	}
	r.until("both have a score", func() bool { return score("192.0.2.1") > 40 && score("2001:db8::/64") > 40 })
	for range 8 {
		r.call("192.0.2.1", "GET", "/api", "")
	}
	r.until("eight good answers lower the score", func() bool { return score("192.0.2.1") < 15 })
	if s := score("2001:db8::/64"); s < 40 {
		t.Errorf("another client's score is %v", s)
	}
}

// The second ban of a limit is twice the first, though the daemon was started
// anew in between.
func TestARepeatersBanGrowsOverARestart(t *testing.T) {
	r := limitRig(t, &login{}, `
[[check.limit.limit]]
name = "calls"
key = ["address"]
rate = "2/1h"
action = "ban"
ban_seconds = 2
`)
	status := func() int { s, _ := r.call("192.0.2.1", "GET", "/api", ""); return s }
	banned := func() reputation.Ban {
		t.Helper()
		for range 4 {
			status()
		}
		var bans []reputation.Ban
		r.verb(&bans, "sources", "--bans", "--json")
		if len(bans) != 1 {
			t.Fatalf("bans: %+v", bans)
		}
		return bans[0]
	}
	first := banned()
	r.until("the first ban ends", func() bool {
		var bans []reputation.Ban
		r.verb(&bans, "sources", "--bans", "--json")
		return len(bans) == 0
	})
	_ = r.daemon.Process.Signal(syscall.SIGTERM)
	_ = r.daemon.Wait()
	r.start()
	second := banned()
	if a, b := first.Until.Sub(first.Since), second.Until.Sub(second.Since); a != 2*time.Second || b != 4*time.Second || second.Times != 2 {
		t.Errorf("the first ban lasts %v, the second %v as number %d; want 2s and 4s", a, b, second.Times)
	}
}

// Two daemons behind two NGINX share a limit through Redis, which is paused,
// killed and started again under load.
func TestTwoGatewaysShareALimitWhateverBecomesOfRedis(t *testing.T) {
	redis := redistest.Start(t)
	backend := &login{}
	var gateways [2]*rig
	for i := range gateways {
		gateways[i] = limitRig(t, backend, `
[check.limit.store]
kind = "redis"
address = ["unix:`+redis.Socket+`"]
deadline_ms = 240
sync_ms = 100
[[check.limit.limit]]
name = "exact"
key = ["address"]
rate = "50/1m"
shared = "exact"
match = { method = ["GET"] }
[[check.limit.limit]]
name = "synced"
key = ["address"]
rate = "100/1m"
shared = "synced"
match = { method = ["PUT"] }
`)
	}
	var failed atomic.Int64
	// load offers n requests of a client to both gateways and counts what passed.
	load := func(client, method string, n int, gap time.Duration) int {
		var passed atomic.Int64
		var wg sync.WaitGroup
		for _, r := range gateways {
			for range 2 {
				wg.Go(func() {
					for range n / 4 {
						switch s, _ := r.call(client, method, "/api", ""); s {
						case 200:
							passed.Add(1)
						case 429:
						default:
							failed.Add(1)
							t.Errorf("answered %d", s)
						}
						time.Sleep(gap)
					}
				})
			}
		}
		wg.Wait()
		return int(passed.Load())
	}
	ready := func(r *rig) func() bool { return func() bool { return r.exact(redis) } }
	for _, r := range gateways {
		r.until("the gateway reaches Redis", ready(r))
	}
	if got := load("192.0.2.1", "GET", 200, 0); got != 50 {
		t.Errorf("exact: %d of 200 passed, want 50", got)
	}
	// At 4 ms a call and two callers a gateway, 100 ms and a round trip let
	// some 60 in at the other gateway.
	got := load("192.0.2.1", "PUT", 400, 4*time.Millisecond)
	t.Logf("synced: limit 100, %d of 400 passed", got)
	if got < 100 || got > 100+2*60 {
		t.Errorf("synced: %d of 400 passed, want 100 to 220", got)
	}
	redis.Pause()
	got = load("192.0.2.2", "GET", 200, 0)
	t.Logf("Redis paused: %d of 200 passed", got)
	if got < 40 || got > 60 { // half of 50 at each gateway, and what Redis may hear late
		t.Errorf("paused: %d passed, want about 2 x 25", got)
	}
	redis.Resume()
	redis.Kill()
	got = load("192.0.2.3", "GET", 200, 0)
	t.Logf("Redis killed: %d of 200 passed", got)
	if got != 50 {
		t.Errorf("killed: %d passed, want 2 x 25", got)
	}
	redis.Run()
	for _, r := range gateways {
		r.until("the gateway is back", ready(r))
	}
	if got := load("192.0.2.4", "GET", 200, 0); got != 50 {
		t.Errorf("after a restart: %d of 200 passed, want 50", got)
	}
	if failed.Load() > 0 {
		t.Errorf("%d requests failed", failed.Load())
	}
}

// exact says whether this gateway asks Redis now: a call of a client of its
// own leaves a key there.
func (r *rig) exact(redis *redistest.Redis) bool {
	r.reached.Add(1)
	before := keys(redis)
	_, _ = r.call(fmt.Sprintf("203.0.113.%d", r.reached.Load()%250), "GET", "/api", "")
	return keys(redis) > before
}

func keys(redis *redistest.Redis) int {
	var n int
	_, _ = fmt.Sscanf(redis.Do("DBSIZE"), ":%d", &n)
	return n
}

func TestSimulateTellsWhoWouldHaveBeenRefused(t *testing.T) {
	dir := t.TempDir()
	r := &rig{t: t, nginx: &nginxtest.NGINX{Dir: dir}}
	var log strings.Builder
	for i := range 50 {
		fmt.Fprintf(&log, "192.0.2.1 - - [24/Nov/2026:12:00:%02d +0000] \"POST /login HTTP/1.1\" 401 12 \"-\" \"curl\"\n", i)
	}
	r.write("access.log", log.String())
	r.write("sallyport.toml", `[[site]]
name = "shop"
[[site.route]]
name = "login"
path = "/login"
[[check.limit.limit]]
name = "stuffing"
key = ["address"]
rate = "10/5m"
match = { route = ["login"], status = [401] }`)
	for _, flag := range []string{"", "--json"} {
		args := []string{"limits", "simulate", filepath.Join(dir, "access.log"), "--config", filepath.Join(dir, "sallyport.toml")}
		if flag != "" {
			args = append(args, flag)
		}
		var out, errOut bytes.Buffer
		if status := run(args, nil, &out, &errOut); status != exitOK {
			t.Fatalf("status %d: %s", status, errOut.String())
		}
		for _, want := range map[string][]string{"": {"would be refused  40 (80.00%), from 1 addresses", "stuffing (10/5m, deny): asked 50 times, would refuse 40", "192.0.2.1  40"}, "--json": {`"refused":40`}}[flag] {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q is missing from\n%s", want, out.String())
			}
		}
	}
}
