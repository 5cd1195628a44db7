package shared

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/nginxtest"
	"github.com/sallyport/sallyport/daemon/redistest"
)

func open(t *testing.T, o Options) *Client {
	t.Helper()
	if o.Prefix == "" {
		o.Prefix = "test"
	}
	if o.Deadline == 0 {
		o.Deadline = 500 * time.Millisecond
	}
	if o.Every == 0 {
		o.Every = 20 * time.Millisecond
	}
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	c.Use(keyed.New(1000, 1))
	t.Cleanup(func() { c.Release(); <-c.done })
	return c
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("it never came to be: %s", what)
}

func there(t *testing.T, c *Client) {
	t.Helper()
	until(t, "Redis answers", func() bool { return !c.Away() })
}

func TestTwoGatewaysTakeExactlyTheLimitTogether(t *testing.T) {
	r := redistest.Start(t)
	gateways := []*Client{open(t, Options{Address: []string{"unix:" + r.Socket}}), open(t, Options{Address: []string{"unix:" + r.Socket}})}
	rates := []Rate{{100, time.Minute}, {1000, time.Hour}}
	var passed, failed atomic.Int64
	var wg sync.WaitGroup
	for _, c := range gateways {
		there(t, c)
		for range 16 {
			wg.Go(func() {
				for range 20 {
					got, ok := c.Take(7, time.Now(), rates, 1, false)
					switch {
					case !ok:
						failed.Add(1)
					case !got.Refused:
						passed.Add(1)
					case got.Rate != 0 || got.Wait <= 0 || got.Wait > time.Minute || got.Count < 101:
						t.Errorf("refused with %+v", got)
					}
				}
			})
		}
	}
	wg.Wait()
	if passed.Load() != 100 || failed.Load() != 0 {
		t.Errorf("%d of 640 passed, want 100; %d had no answer", passed.Load(), failed.Load())
	}
}

// What passes in any window stays at the limit and what one fifteenth of the
// window can hide, and none is refused unless so many passed in a window and a
// fifteenth. Redis's clock counts, so each call is known to lie between two
// times, however long it took.
func TestWindowsInRedisSlide(t *testing.T) {
	r := redistest.Start(t)
	c := open(t, Options{Address: []string{"unix:" + r.Socket}})
	there(t, c)
	const limit = 32
	window := 400 * time.Millisecond
	type call struct{ before, after time.Time }
	var passed []call
	refused := 0
	for begin := time.Now(); time.Since(begin) < 4*window || refused == 0; {
		at := call{before: time.Now()}
		got, ok := c.Take(9, at.before, []Rate{{limit, window}}, 1, false)
		at.after = time.Now()
		switch {
		case !ok:
		case !got.Refused:
			passed = append(passed, at)
		default:
			refused++
			n := 0
			for _, p := range passed {
				if at.before.Sub(p.after) < window+window/15 {
					n++
				}
			}
			if n < limit-1 {
				t.Errorf("refused with %d passed in a window and a fifteenth, %d are allowed", n, limit)
			}
		}
	}
	for i := range passed {
		n := 0
		for _, p := range passed[i:] {
			if p.after.Sub(passed[i].before) < window-window/15 {
				n++
			}
		}
		if n > limit+2 {
			t.Errorf("%d passed in one window, %d are allowed", n, limit)
		}
	}
}

// A burst is counted whole until it leaves the window, and then not at all.
func TestABurstLeavesTheWindowInRedisTogether(t *testing.T) {
	r := redistest.Start(t)
	c := open(t, Options{Address: []string{"unix:" + r.Socket}})
	there(t, c)
	const size = 30
	window := 3 * time.Second
	tenth := window / 150
	rates := []Rate{{1000, window}}
	first := time.Now()
	for range size {
		c.Take(4, time.Now(), rates, 1, false)
	}
	last := time.Now()
	seen := map[float64]bool{}
	for gone := false; !gone; {
		before := time.Now()
		got, ok := c.Take(4, before, rates, 0, false)
		after := time.Now()
		gone = before.Sub(last) > window+tenth
		switch {
		case !ok:
		case after.Sub(first) < window-tenth && got.Count != size, gone && got.Count != 0:
			t.Fatalf("%v after the first and %v after the last of %d: %v", after.Sub(first), before.Sub(last), size, got.Count)
		default:
			seen[got.Count] = true
		}
	}
	if !seen[size] || !seen[0] {
		t.Errorf("seen: %v", seen)
	}
}

func TestWaitIsWhenRedisLetsTheNextOneIn(t *testing.T) {
	r := redistest.Start(t)
	c := open(t, Options{Address: []string{"unix:" + r.Socket}})
	there(t, c)
	rates := []Rate{{5, 300 * time.Millisecond}}
	for {
		got, ok := c.Take(1, time.Now(), rates, 1, false)
		if !ok {
			t.Fatal("no answer")
		}
		if !got.Refused {
			continue
		}
		time.Sleep(got.Wait + 2*time.Millisecond)
		if again, _ := c.Take(1, time.Now(), rates, 1, false); again.Refused && again.Wait > 20*time.Millisecond {
			t.Errorf("after %v: %+v", got.Wait, again)
		}
		return
	}
}

func TestCountsAreMergedAndOthersAreHeard(t *testing.T) {
	r := redistest.Start(t)
	a, b := open(t, Options{Address: []string{"unix:" + r.Socket}}), open(t, Options{Address: []string{"unix:" + r.Socket}})
	there(t, a)
	there(t, b)
	rates := []Rate{{1000, time.Minute}}
	key := uint64(5)
	for range 30 {
		a.state.Load().Add(keyed.Key(key), time.Now(), time.Minute, 1)
		a.Note(key, time.Now(), rates, 1)
	}
	until(t, "b hears a's 30", func() bool {
		b.Note(key, time.Now(), rates, 0)
		return b.Others(key, time.Minute, time.Now()) == 30
	})
	if got := a.Others(key, time.Minute, time.Now()); got != 0 {
		t.Errorf("a takes %v of its own for others'", got)
	}
}

func TestRedisThatIsKilledPausedAndRestartedIsLeftAloneAndReturnedTo(t *testing.T) {
	r := redistest.Start(t)
	var events []string
	var mu sync.Mutex
	c := open(t, Options{Address: []string{"unix:" + r.Socket}, Deadline: 200 * time.Millisecond, Event: func(m string) {
		mu.Lock()
		events = append(events, m)
		mu.Unlock()
	}})
	there(t, c)
	rates := []Rate{{1000, time.Minute}}
	ask := func() (ok bool) { _, ok = c.Take(3, time.Now(), rates, 1, false); return ok }
	for _, trouble := range []struct {
		name        string
		begin, mend func()
	}{
		{"paused", r.Pause, r.Resume},
		{"killed", r.Kill, r.Run},
	} {
		until(t, "an answer before it is "+trouble.name, ask)
		mu.Lock()
		events = nil
		mu.Unlock()
		trouble.begin()
		waited := 0
		for range 200 {
			begin := time.Now()
			if ask() {
				t.Errorf("%s, and it answers", trouble.name)
			}
			if time.Since(begin) >= c.o.Deadline {
				waited++
			}
		}
		if waited > 2*strikes || !c.Away() {
			t.Errorf("%s: %d of 200 calls waited for Redis, away: %v", trouble.name, waited, c.Away())
		}
		c.Note(11, time.Now(), rates, 4)
		trouble.mend()
		there(t, c)
		until(t, "an answer after it was "+trouble.name, ask)
		until(t, "what was counted meanwhile is told", func() bool {
			got, ok := c.Take(11, time.Now(), rates, 0, false)
			return ok && got.Count >= 4
		})
		mu.Lock()
		if len(events) != 2 || !strings.Contains(events[0], "does not answer in time") || !strings.Contains(events[1], "answers again") {
			t.Errorf("%s: events %q", trouble.name, events)
		}
		mu.Unlock()
	}
}

func TestRedisMayComeLater(t *testing.T) {
	r := redistest.Start(t)
	r.Kill()
	c := open(t, Options{Address: []string{"unix:" + r.Socket}})
	if _, ok := c.Take(1, time.Now(), []Rate{{1, time.Second}}, 1, false); ok || !c.Away() {
		t.Error("an answer from nobody")
	}
	r.Run()
	there(t, c)
}

func TestMessagesReachEveryGatewayInOrder(t *testing.T) {
	r := redistest.Start(t)
	a, b := open(t, Options{Address: []string{"unix:" + r.Socket}}), open(t, Options{Address: []string{"unix:" + r.Socket}})
	var mu sync.Mutex
	heard := map[string][]string{}
	hear := func(who string) func(string) {
		return func(m string) { mu.Lock(); heard[who] = append(heard[who], m); mu.Unlock() }
	}
	a.Subscribe("x", true, hear("a"))
	b.Subscribe("x", true, hear("b"))
	there(t, a)
	there(t, b)
	var want []string
	for i := range 50 {
		a.Publish("x", "m "+strconv.Itoa(i))
		want = append(want, "m "+strconv.Itoa(i))
	}
	all := func(who string, n int) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return len(heard[who]) == n }
	}
	until(t, "b hears", all("b", 50))
	until(t, "a hears", all("a", 50))
	if fmt.Sprint(heard["b"]) != fmt.Sprint(want) {
		t.Errorf("b heard %v", heard["b"])
	}
	late := open(t, Options{Address: []string{"unix:" + r.Socket}})
	late.Subscribe("x", true, hear("late"))
	fresh := open(t, Options{Address: []string{"unix:" + r.Socket}})
	fresh.Subscribe("x", false, hear("fresh"))
	until(t, "a late gateway hears what was kept", all("late", 50))
	r.Kill()
	r.Run()
	there(t, a)
	there(t, b)
	a.Publish("x", "after")
	until(t, "messages after Redis lost all", all("b", 51))
}

func TestReleaseEndsEverything(t *testing.T) {
	r := redistest.Start(t)
	before := goleak.IgnoreCurrent()
	c, err := Open(Options{Address: []string{"unix:" + r.Socket}, Prefix: "x", Deadline: time.Second, Every: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	there(t, c)
	c.Keep().Release()
	if _, ok := c.Take(1, time.Now(), []Rate{{1, time.Second}}, 1, false); !ok {
		t.Error("closed while one user is left")
	}
	c.Release()
	goleak.VerifyNone(t, before)
}

func TestAnACLUserOverTLS(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir)
	port := nginxtest.FreePort(t)
	r := redistest.Start(t, "--tls-port", strconv.Itoa(port), "--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"), "--tls-auth-clients", "no")
	if answer := r.Do("ACL SETUSER sallyport on >secret ~sallyport:* +@all -@dangerous -@admin +info"); !strings.HasPrefix(answer, "+OK") {
		t.Fatal(answer)
	}
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Address: []string{fmt.Sprintf("localhost:%d", port)}, Username: "sallyport", PasswordFile: filepath.Join(dir, "password"), TLS: true, CAFile: filepath.Join(dir, "cert.pem"), Prefix: "sallyport"}
	c := open(t, o)
	there(t, c)
	if got, ok := c.Take(1, time.Now(), []Rate{{1, time.Minute}}, 1, false); !ok || got.Refused {
		t.Errorf("%+v %v", got, ok)
	}
	c.Publish("bans", "x")
	until(t, "published", func() bool { return strings.HasPrefix(r.Do("EXISTS sallyport:{bans}:log"), ":1") })
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 9)
	o.Event = func(m string) { said <- m }
	open(t, o)
	if m := <-said; !strings.Contains(m, "WRONGPASS") {
		t.Errorf("a wrong password is reported as %q", m)
	}
}

func TestACluster(t *testing.T) {
	port := nginxtest.FreePort(t)
	r := redistest.Start(t, "--port", strconv.Itoa(port), "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(nginxtest.FreePort(t)))
	if answer := r.Do("CLUSTER ADDSLOTSRANGE 0 16383"); !strings.HasPrefix(answer, "+OK") {
		t.Skip("no cluster here: " + answer)
	}
	until(t, "the cluster is whole", func() bool { return strings.Contains(r.Do("CLUSTER INFO"), "cluster_state:ok") })
	// Two addresses, so that a cluster is looked for.
	c := open(t, Options{Address: []string{fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("localhost:%d", port)}})
	there(t, c)
	if got, ok := c.Take(1, time.Now(), []Rate{{1, time.Minute}, {5, time.Hour}}, 1, false); !ok || got.Refused {
		t.Errorf("%+v %v", got, ok)
	}
	heard := make(chan string, 1)
	c.Subscribe("x", true, func(m string) { heard <- m })
	c.Publish("x", "hello")
	if m := <-heard; m != "hello" {
		t.Errorf("heard %q", m)
	}
}

func TestSentinelNamesTheMaster(t *testing.T) {
	port, sentinel := nginxtest.FreePort(t), nginxtest.FreePort(t)
	redistest.Start(t, "--port", strconv.Itoa(port))
	dir := t.TempDir()
	conf := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "port %d\nsentinel monitor mymaster 127.0.0.1 %d 1\ndir %s\n", sentinel, port, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	redistest.Sentinel(t, conf)
	until(t, "the sentinel listens", func() bool {
		nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", sentinel))
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	c := open(t, Options{Address: []string{fmt.Sprintf("127.0.0.1:%d", sentinel)}, Sentinel: "mymaster"})
	there(t, c)
	if got, ok := c.Take(1, time.Now(), []Rate{{1, time.Minute}}, 1, false); !ok || got.Refused {
		t.Errorf("%+v %v", got, ok)
	}
}

func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
