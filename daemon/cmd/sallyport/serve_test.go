package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/nginxtest"
)

var daemonBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sallyport-binary")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "sallyport")
	c := exec.Command("go", "build", "-o", path, ".")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// rig is a real NGINX, a real daemon in a process of its own, and a backend
// that notes what reached it.
type rig struct {
	t       *testing.T
	nginx   *nginxtest.NGINX
	backend *httptest.Server
	config  string
	daemon  *exec.Cmd
	log     *syncBuffer

	reached atomic.Int64
	hostile atomic.Int64 // requests with an attack that reached the backend
	sum     atomic.Pointer[[32]byte]
}

// syncBuffer takes a process's output while a test reads it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newRig(t *testing.T, mode, failure string) *rig {
	t.Helper()
	r := &rig{t: t, log: &syncBuffer{}}
	r.backend = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		h := sha256.New()
		var first [64]byte
		n, _ := io.ReadFull(q.Body, first[:])
		h.Write(first[:n])
		_, _ = io.Copy(h, q.Body)
		sum := [32]byte(h.Sum(nil))
		r.sum.Store(&sum)
		r.reached.Add(1)
		if bytes.Contains(first[:n], []byte("attack")) {
			r.hostile.Add(1)
		}
	}))
	t.Cleanup(r.backend.Close)
	r.nginx = nginxtest.Start(t, nginxtest.Conf{OwnAccess: true, HTTP: "proxy_http_version 1.1;", Server: `
        include sallyport/server.conf;
        location / { set $sallyport_to @api; include sallyport/` + mode + "-" + failure + `.conf; }
        location @api { include sallyport/proven.conf; proxy_pass ` + r.backend.URL + `; }`})
	r.config = filepath.Join(r.nginx.Dir, "sallyport.toml")
	schema := `{"type":"object","properties":{"text":{"type":"string","not":{"pattern":"attack"}}}}`
	r.write("no-attack.json", schema)
	r.configure(failure, "")
	return r
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.nginx.Dir, name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) configure(failure, more string) {
	r.write("sallyport.toml", `
[server]
door = "`+r.nginx.Door+`"
access = "`+r.nginx.Access+`"
control = "`+filepath.Join(r.nginx.Dir, "control.sock")+`"
state_dir = "`+r.nginx.Dir+`"
[defaults]
mode = "enforce"
failure = { metadata = "`+failure+`", bodies = "`+failure+`" }
[[check.schema.json]]
path = "/comments"
methods = ["POST"]
body = "no-attack.json"
`+more)
}

func (r *rig) start() {
	r.t.Helper()
	path, err := daemonBinary()
	if err != nil {
		r.t.Fatal(err)
	}
	c := exec.Command(path, "serve", "--config", r.config)
	c.Stderr = r.log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.daemon = c
	r.t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGCONT)
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
	})
	r.until("the daemon answers", func() bool {
		nc, err := net.Dial("unix", r.nginx.Door)
		if err != nil {
			return false
		}
		nc.Close()
		return strings.Contains(r.log.String(), "msg=ready")
	})
}

func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for range 1500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.t.Fatalf("it never came to be: %s\n%s", what, r.log.String())
}

var patient = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}

func (r *rig) post(path, contentType, body string) int {
	resp, err := patient.Post("http://"+r.nginx.Addr+path, contentType, strings.NewReader(body))
	if err != nil {
		return -1
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

func (r *rig) comment(text string) int {
	return r.post("/comments", "application/json", `{"text":"`+text+`"}`)
}

func TestTheDaemonDeniesAnAttackInABodyAndLetsTheRestThrough(t *testing.T) {
	for _, mode := range []string{"inline", "relay"} {
		r := newRig(t, mode, "closed")
		r.start()
		if got := r.comment("hello"); got != 200 {
			t.Errorf("%s: a clean body was answered %d\n%s", mode, got, r.log.String())
		}
		if got := r.comment("an attack"); got != 422 && got != 400 && got != 403 {
			t.Errorf("%s: an attack was answered %d", mode, got)
		}
		big := strings.Repeat("0123456789abcde\n", 5<<20/16)
		if got := r.post("/upload", "text/plain", big); got != 200 {
			t.Errorf("%s: 5 MB were answered %d\n%s", mode, got, r.log.String())
		}
		if sum := r.sum.Load(); sum == nil || *sum != sha256.Sum256([]byte(big)) {
			t.Errorf("%s: the 5 MB did not arrive as they were sent", mode)
		}
		if r.hostile.Load() != 0 {
			t.Errorf("%s: an attack reached the backend", mode)
		}
	}
}

// load sends comments, one in four an attack, until stopped, and counts answers by status.
func (r *rig) load(workers int) (stop func() map[int]int) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := w; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				kind, status := 0, 0
				if n%4 == 0 {
					kind, status = 1000, r.comment("an attack")
				} else {
					status = r.comment("hello")
				}
				mu.Lock()
				statuses[kind+status]++
				mu.Unlock()
			}
		}()
	}
	return func() map[int]int {
		close(done)
		wg.Wait()
		return statuses
	}
}

func TestADaemonThatIsGoneFailsAsTheLocationSays(t *testing.T) {
	for _, mode := range []string{"inline", "relay"} {
		for _, failure := range []string{"open", "closed"} {
			t.Run(mode+" "+failure, func(t *testing.T) {
				r := newRig(t, mode, failure)
				r.start()
				stop := r.load(4)
				time.Sleep(200 * time.Millisecond)
				_ = r.daemon.Process.Signal(syscall.SIGSTOP)
				time.Sleep(1200 * time.Millisecond)
				_ = r.daemon.Process.Signal(syscall.SIGCONT)
				time.Sleep(200 * time.Millisecond)
				_ = r.daemon.Process.Kill()
				_ = r.daemon.Wait()
				time.Sleep(300 * time.Millisecond)
				r.start()
				time.Sleep(200 * time.Millisecond)
				got := stop()
				if failure == "closed" {
					if r.hostile.Load() != 0 || got[1000+200] != 0 {
						t.Errorf("with the daemon gone %d attacks passed: %v", r.hostile.Load(), got)
					}
				} else {
					for status, n := range got {
						if status < 900 && status != 200 {
							t.Errorf("%d clean requests were answered %d: %v", n, status, got)
						}
					}
				}
				if got[200] == 0 {
					t.Errorf("nothing passed at all: %v", got)
				}
			})
		}
	}
}

func TestARestartLosesNoRequestUnderSocketActivation(t *testing.T) {
	r := newRig(t, "inline", "closed")
	l, err := net.Listen("unix", r.nginx.Door)
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	path, err := daemonBinary()
	if err != nil {
		t.Fatal(err)
	}
	run := func() *exec.Cmd {
		// The shell stands for systemd: it sets LISTEN_PID to the daemon's own.
		c := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=door exec "$@"`, "sh", path, "serve", "--config", r.config)
		c.ExtraFiles = []*os.File{file}
		c.Stderr = r.log
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	d := run()
	r.until("the first daemon is ready", func() bool { return strings.Count(r.log.String(), "msg=ready") == 1 })
	stop := r.load(4)
	for n := range 5 {
		time.Sleep(150 * time.Millisecond)
		_ = d.Process.Signal(syscall.SIGTERM)
		if err := d.Wait(); err != nil {
			t.Fatalf("stop %d: %v\n%s", n, err, r.log.String())
		}
		d = run()
		r.until("the next daemon is ready", func() bool { return strings.Count(r.log.String(), "msg=ready") == n+2 })
	}
	time.Sleep(150 * time.Millisecond)
	got := stop()
	_ = d.Process.Signal(syscall.SIGTERM)
	_ = d.Wait()
	if r.hostile.Load() != 0 {
		t.Errorf("%d attacks passed", r.hostile.Load())
	}
	for status, n := range got {
		if status < 900 && status != 200 {
			t.Errorf("%d clean requests were answered %d\n%s\n%s", n, status, withoutSyslog(r.nginx.ErrorLog()), withoutEvents(r.log.String()))
		}
	}
}

// resident is the daemon's resident memory, in KB.
func (r *rig) resident() int {
	r.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.daemon.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	kb, _ := strconv.Atoi(string(m[1]))
	return kb
}

// goroutines is how many the daemon runs, as its metrics tell.
func (r *rig) goroutines() int {
	r.t.Helper()
	dial := func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", filepath.Join(r.nginx.Dir, "control.sock"))
	}
	c := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	resp, err := c.Get("http://x/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics, _ := io.ReadAll(resp.Body)
	m := regexp.MustCompile(`(?m)^go_goroutines (\d+)`).FindSubmatch(metrics)
	if m == nil {
		r.t.Fatalf("no go_goroutines among the metrics:\n%s", metrics)
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

func TestAHundredReloadsUnderLoadFailNoRequest(t *testing.T) {
	r := newRig(t, "inline", "closed")
	r.start()
	applied := 0
	reload := func(site string) {
		r.configure("closed", fmt.Sprintf("[[site]]\nname = %q\nhosts = [\"%s.example\"]\n", site, site))
		_ = r.daemon.Process.Signal(syscall.SIGHUP)
		applied++
		r.until("the policy is applied", func() bool { return strings.Count(r.log.String(), "policy applied") == applied })
	}
	answered := func(got map[int]int) {
		t.Helper()
		for status, n := range got {
			if status < 900 && status != 200 {
				t.Errorf("%d clean requests were answered %d", n, status)
			}
		}
	}
	// What the daemon holds is compared at rest: without load, without the
	// connections NGINX keeps for later, whose number the load's luck decides,
	// and after two collections, for pools outlive one. A reload collects.
	rest := func() {
		patient.CloseIdleConnections()
		r.nginx.DropIdle(t)
		reload("rest1")
		reload("rest2")
	}
	stop := r.load(8)
	// First what any load fills, whatever is reloaded: the store's cache, the
	// pools. Memory is level when 4,000 further requests add less than 2%.
	for level, next := 0, int64(4000); next <= 60_000; next += 4000 {
		r.until("the daemon is warm", func() bool { return r.reached.Load() > next })
		now := r.resident()
		if level > 0 && now < level+level/50 {
			break
		}
		level = now
	}
	for n := 1; n <= 10; n++ {
		reload(fmt.Sprint("s", n))
	}
	answered(stop())
	rest()
	goroutines, resident := r.goroutines(), r.resident()
	for range 20 { // the lowest of two seconds, for the collection takes its time
		time.Sleep(100 * time.Millisecond)
		goroutines, resident = min(goroutines, r.goroutines()), min(resident, r.resident())
	}
	stop = r.load(8)
	for n := 11; n <= 100; n++ {
		reload(fmt.Sprint("s", n))
	}
	answered(stop())
	rest()
	now, at100 := r.goroutines(), r.resident()
	for n := 0; n < 50 && (now > goroutines || at100 > resident+resident/10); n++ {
		time.Sleep(100 * time.Millisecond)
		now, at100 = r.goroutines(), r.resident()
	}
	t.Logf("after 10 and 100 reloads: %d and %d goroutines, %d and %d KB resident", goroutines, now, resident, at100)
	if now > goroutines {
		t.Errorf("%d goroutines after 10 reloads, %d after 100", goroutines, now)
	}
	if at100 > resident+resident/10 {
		t.Errorf("resident memory grew from %d KB after 10 reloads to %d KB after 100", resident, at100)
	}
	if r.hostile.Load() != 0 {
		t.Errorf("%d attacks passed", r.hostile.Load())
	}
	if !strings.Contains(r.log.String(), "changed: 2 routes") {
		t.Errorf("a reload does not say what it changed:\n%s", r.log.String())
	}
}

func TestABadFileKeepsTheOldPolicyAndSaysWhere(t *testing.T) {
	r := newRig(t, "inline", "closed")
	r.start()
	r.configure("closed", "[[site]]\nname = \"x\"\nmode = \"enforced\"\n")
	_ = r.daemon.Process.Signal(syscall.SIGHUP)
	r.until("it is refused", func() bool { return strings.Contains(r.log.String(), `mode is \"enforced\", expected one of`) })
	if got := r.comment("an attack"); got < 400 {
		t.Errorf("the running policy is gone: an attack was answered %d", got)
	}
	var status control.Status
	if err := control.Get(t.Context(), filepath.Join(r.nginx.Dir, "control.sock"), "/status", &status); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(status.Refused, "sallyport.toml:") {
		t.Errorf("status does not tell that the reload was refused: %+v", status)
	}
	path, _ := daemonBinary()
	out, err := exec.Command(path, "check", "--config", r.config).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !bytes.Contains(out, []byte("sallyport.toml:")) {
		t.Errorf("check: %v %s", err, out)
	}
}

func TestTwelveLargeUploadsTakeLittleMemory(t *testing.T) {
	for _, mode := range []string{"inline", "relay"} {
		r := newRig(t, mode, "closed")
		r.start()
		r.post("/upload", "text/plain", "warm")
		before := r.resident()
		var wg sync.WaitGroup
		peak := before
		body := strings.Repeat("0123456789abcde\n", 12<<20/16)
		done := make(chan struct{})
		for range 12 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if got := r.post("/upload", "text/plain", body); got != 200 {
					t.Errorf("answered %d\n%s\n%s", got, withoutSyslog(r.nginx.ErrorLog()), r.log.String())
				}
			}()
		}
		go func() { wg.Wait(); close(done) }()
		for running := true; running; {
			select {
			case <-done:
				running = false
			case <-time.After(5 * time.Millisecond):
			}
			peak = max(peak, r.resident())
		}
		if grown := peak - before; grown > 80<<10 {
			t.Errorf("%s: resident memory grew by %d KB with twelve uploads of 12 MB", mode, grown)
		}
	}
}

func TestCheckPrintsOneObjectWithJSON(t *testing.T) {
	var out, errOut bytes.Buffer
	path := filepath.Join(t.TempDir(), "sallyport.toml")
	if err := os.WriteFile(path, []byte("[defaults]\nmode = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := run([]string{"check", "--config", path, "--json"}, nil, &out, &errOut); code != exitFailed {
		t.Errorf("exit status %d", code)
	}
	var report struct {
		OK       bool
		Problems []struct {
			File string
			Line int
		}
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || report.OK || len(report.Problems) != 1 || report.Problems[0].Line != 2 {
		t.Errorf("%v %s", err, out.String())
	}
}

// withoutSyslog leaves out that no daemon listens for the access log.
func withoutSyslog(log string) string {
	var kept []string
	for _, line := range strings.Split(log, "\n") {
		if !strings.Contains(line, "syslog") && !strings.Contains(line, "connect() failed (2") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

func withoutEvents(log string) string {
	var kept []string
	for _, line := range strings.Split(log, "\n") {
		if !strings.Contains(line, "kind=request") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}
