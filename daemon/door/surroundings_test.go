package door_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/nginxtest"
)

// surrounding is a configuration around the doors that would let an attack
// through if a bare 2xx were taken for a verdict.
type surrounding struct {
	title string
	http  string // stands in http { }
	early string // stands in server { } before everything
	late  string // stands in server { } behind the include
	own   string // stands in the guarded location
	api   string // stands in the backend's named location
	dead  bool   // no daemon answers
	// ownMirror says that the site leads the mirror of mode observe elsewhere.
	ownMirror bool
	// clean is what a clean request may be answered: the backend's 200, or a
	// denial that names its cause.
	clean []int
}

var surroundings = []surrounding{
	{title: "the body's variable evaluated early", early: `if ($request_body ~ nothing) { set $x 1; }`, clean: []int{200}},
	{title: "a return 405 in the location", own: `if ($arg_out) { return 405; }`, clean: []int{200}},
	{title: "a return 404 in the location", own: `if ($arg_out) { return 404; }`, clean: []int{200}},
	{title: "denials turned into a page", early: `proxy_intercept_errors on; error_page 403 404 =200 /page.html; location = /page.html { return 200 page; }`, clean: []int{200}},
	{title: "errors turned into a page with the daemon dead", early: `error_page 502 503 504 =200 /page.html; location = /page.html { return 200 page; }`, dead: true, clean: []int{503}},
	{title: "satisfy any", early: `satisfy any; allow 127.0.0.1; deny all;`, clean: []int{200}},
	{title: "a cache around everything", http: `proxy_cache_path DIR/cache keys_zone=z:1m; proxy_cache z; proxy_cache_valid any 1m; proxy_cache_key k;`, clean: []int{200}},
	{title: "a rewrite of everything into the location", early: `rewrite ^/(?!all)(.*)$ /all/$1 last;`, ownMirror: true, clean: []int{200, 403}},
	{title: "the same behind the include", late: `rewrite ^/(?!all)(.*)$ /all/$1 last;`, clean: []int{200}},
	{title: "client headers not passed on", early: `proxy_pass_request_headers off;`, clean: []int{200}},
	{title: "405 answered by the backend's location", early: `error_page 405 = @api;`, clean: []int{200}},
	{title: "an inherited auth_request and mirror", early: `auth_request /yes; mirror /yes; location = /yes { internal; return 204; }`, clean: []int{200}},
	{title: "error pages that swallow 404 and 405", early: `error_page 404 405 =200 @api; recursive_error_pages on;`, clean: []int{200}},
	{title: "deny all around an allowed location", early: `deny all;`, own: `allow all;`, api: `allow all;`, clean: []int{200}},
	{title: "basic authentication around a free location", early: `auth_basic x; auth_basic_user_file DIR/none;`, own: `auth_basic off;`, api: `auth_basic off;`, clean: []int{200}},
	{title: "proxy_method and proxy_set_header around", early: `proxy_method GET; proxy_set_header X-Sallyport-Meta "1 00000000000000000000000000000000"; proxy_pass_request_body off;`, clean: []int{200}},
}

// around is a server in a surrounding, guarded by one mode's include file.
func (s *surrounding) around(t *testing.T, mode, backend string) *nginxtest.NGINX {
	guarded := `
        location / { set $sallyport_to @api; ` + s.own + ` include sallyport/` + mode + `.conf; }
        location @api { proxy_method $request_method; proxy_pass_request_body on; ` + s.api + ` include sallyport/proven.conf; proxy_pass ` + backend + `; }`
	if mode == "observe" {
		guarded = `
        location / { proxy_method $request_method; proxy_pass_request_body on; ` + s.own + ` include sallyport/observe.conf; proxy_pass ` + backend + `; }`
	}
	return nginxtest.Start(t, nginxtest.Conf{HTTP: s.http, Server: s.early + `
        include sallyport/server.conf; ` + s.late + guarded})
}

var hostile = []call{
	{method: "POST", path: "/a", body: "an attack", onlyBody: true},
	{method: "POST", path: "/a?out=1", body: "an attack", onlyBody: true},
	{method: "PUT", path: "/a", body: "an attack", chunked: true, onlyBody: true},
	{method: "GET", path: "/a?q=attack"},
	{method: "GET", path: "/a", header: [2]string{"X-Test", "attack"}},
	{method: "GET", path: "/a?out=1", header: [2]string{"X-Test", "attack"}},
	{method: "TRACE", path: "/a?q=attack"},
}

func TestNoSurroundingLetsAnAttackReachTheBackend(t *testing.T) {
	for _, s := range surroundings {
		for _, mode := range []string{"inline-closed", "relay-closed", "guard-closed", "metadata-closed"} {
			t.Run(s.title+" "+mode, func(t *testing.T) {
				t.Parallel()
				b := newBackend(t)
				n := s.around(t, mode, b.URL)
				ev := &events{}
				if !s.dead {
					_, ev = daemon(t, n.Door, nil)
				}
				bodies := strings.HasPrefix(mode, "inline") || strings.HasPrefix(mode, "relay")
				passed := 0 // attacks in bodies, where the mode promises no more
				for _, c := range hostile {
					for range 2 {
						resp, text, err := c.do(plain, n.Addr)
						if err != nil {
							t.Fatal(err)
						}
						if !bodies && c.onlyBody && strings.HasPrefix(text, "backend") {
							passed++
							continue
						}
						if b.reached() > passed || strings.HasPrefix(text, "backend") {
							t.Fatalf("%s %s: an attack reached the backend, answered %d %q", c.method, c.path, resp.StatusCode, text)
						}
					}
				}
				if strings.HasPrefix(mode, "guard") {
					waitFor(t, func() bool { return ev.count(isBesideOf("guard")) >= passed })
				}
				s.passesClean(t, n)
			})
		}
	}
}

// isBesideOf matches the event of an attack in a body that was let pass.
func isBesideOf(door string) func(*event.Event) bool {
	return func(e *event.Event) bool {
		return e.Door == door && e.Verdict == "allow" && e.WouldDeny && len(e.Findings) > 0 && e.Findings[0].ID == "body"
	}
}

func (s *surrounding) passesClean(t *testing.T, n *nginxtest.NGINX) {
	t.Helper()
	for _, c := range []call{{method: "GET", path: "/a"}, {method: "POST", path: "/a", body: "clean"}} {
		resp, text, err := c.do(plain, n.Addr)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == 403 && resp.Header.Get("X-Sallyport-Error") == "" {
			t.Errorf("%s: a 403 that names no cause: %q", c.method, text)
		}
		if !slices.Contains(s.clean, resp.StatusCode) {
			t.Errorf("%s: a clean request was answered %d %q, want one of %v\n%s", c.method, resp.StatusCode, text, s.clean, n.ErrorLog())
		}
	}
}

// Mode observe denies nothing, whatever stands around it, and judges what passes.
func TestInAnySurroundingObserveDeniesNothingAndMissesNothing(t *testing.T) {
	for _, s := range surroundings {
		t.Run(s.title, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t)
			n := s.around(t, "observe", b.URL)
			ev := &events{}
			if !s.dead {
				_, ev = daemon(t, n.Door, nil)
			}
			passed, inBodies := 0, 0
			for _, c := range hostile {
				resp, text, err := c.do(plain, n.Addr)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode == 403 {
					t.Fatalf("%s %s: answered 403 %q", c.method, c.path, text)
				}
				if strings.HasPrefix(text, "backend") {
					passed++
					if c.onlyBody {
						inBodies++
					}
				}
			}
			if passed == 0 {
				t.Fatal("nothing passed")
			}
			if s.dead || s.ownMirror {
				return
			}
			waitFor(t, func() bool {
				return ev.count(isBesideOf("observe")) >= inBodies && ev.count(func(e *event.Event) bool { return e.Door == "observe" && e.WouldDeny }) >= passed
			})
		})
	}
}

func TestTwoNamedLocationsOfOneNameLetNoAttackThrough(t *testing.T) {
	for _, mode := range []string{"inline-closed", "relay-closed", "guard-closed", "metadata-closed"} {
		b := newBackend(t)
		conf := nginxtest.Conf{Server: guarded(mode, b.URL) + `location @api { proxy_pass ` + b.URL + `; }`}
		if said, err := nginxtest.Test(t, conf); err != nil {
			t.Logf("nginx -t refuses it: %s", said)
			return
		}
		n := nginxtest.Start(t, conf)
		daemon(t, n.Door, nil)
		c := call{method: "POST", path: "/a?q=attack", body: "an attack"}
		if resp, _, err := c.do(plain, n.Addr); err != nil || resp.StatusCode != 403 || b.reached() != 0 {
			t.Fatalf("%s: %v %v, backend reached %d times", mode, resp, err, b.reached())
		}
	}
}

// A backend that takes Upgrade: h2c would be a tunnel past the doors.
func TestOnlyWebSocketUpgradesReachTheBackend(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				r, err := http.ReadRequest(bufio.NewReader(nc))
				if err != nil {
					return
				}
				if r.Header.Get("Upgrade") != "" {
					fmt.Fprint(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\nhello")
					_, _ = io.Copy(nc, nc)
					return
				}
				fmt.Fprint(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			}()
		}
	}()
	for _, mode := range []string{"inline-closed", "relay-closed", "guard-closed", "metadata-closed"} {
		n := nginxtest.Start(t, nginxtest.Conf{Server: `
        include sallyport/server.conf;
        location / { set $sallyport_to @ws; include sallyport/` + mode + `.conf; }
        location @ws { include sallyport/proven.conf; proxy_http_version 1.1; proxy_set_header Upgrade $sallyport_upgrade; proxy_set_header Connection $sallyport_connection; proxy_pass http://` + l.Addr().String() + `; }`})
		daemon(t, n.Door, nil)
		for upgrade, want := range map[string]string{"h2c": "HTTP/1.1 200", "websocket": "HTTP/1.1 101", "WebSocket": "HTTP/1.1 101", "websocket, h2c": "HTTP/1.1 200", "attack": "HTTP/1.1 403"} {
			if line := firstLine(t, n.Addr, upgrade); !strings.HasPrefix(line, want) {
				t.Errorf("%s: Upgrade: %s was answered %q, want %s", mode, upgrade, line, want)
			}
		}
	}
}

// firstLine is how a GET that asks for an upgrade is answered.
func firstLine(t *testing.T, addr, upgrade string) string {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", upgrade)
	_ = nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(nc).ReadString('\n')
	if err != nil {
		t.Errorf("Upgrade: %s: %v", upgrade, err)
	}
	return line
}

func TestWhatPassesWhileTheDaemonIsDeadIsNoted(t *testing.T) {
	for mode, want := range map[string]int{"inline-open": 200, "relay-open": 200, "guard-open": 200, "metadata-open": 200, "inline-closed": 503, "relay-closed": 503, "guard-closed": 503, "metadata-closed": 503} {
		t.Run(mode, func(t *testing.T) {
			b := newBackend(t)
			n := nginxtest.Start(t, nginxtest.Conf{Server: guarded(mode, b.URL)})
			for _, c := range []call{{method: "GET", path: "/a"}, {method: "POST", path: "/a", body: "clean"}} {
				resp, text, err := c.do(plain, n.Addr)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != want {
					t.Fatalf("%s was answered %d %q, want %d\n%s", c.method, resp.StatusCode, text, want, n.ErrorLog())
				}
				if want == 503 && resp.Header.Get("Retry-After") == "" {
					t.Error("a 503 without Retry-After")
				}
			}
			var noted []byte
			for range 200 { // NGINX writes the line after the answer
				noted, _ = os.ReadFile(filepath.Join(n.Dir, "sallyport-open.log"))
				if want != 200 || strings.Count(string(noted), "\n") == 2 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if lines := strings.Count(string(noted), "\n"); (want == 200) != (lines == 2) {
				t.Fatalf("%d lines in sallyport-open.log:\n%s", lines, noted)
			}
		})
	}
}

func TestADenialTellsTheClientItsStatusAndNotTheReason(t *testing.T) {
	for _, mode := range []string{"inline-closed", "relay-closed"} {
		b := newBackend(t)
		n := nginxtest.Start(t, nginxtest.Conf{Server: guarded(mode, b.URL)})
		daemon(t, n.Door, nil)
		for accept, want := range map[string]string{"application/json": "application/json", "text/html,*/*": "text/html"} {
			req, _ := http.NewRequest("GET", "http://"+n.Addr+"/a", nil)
			req.Header.Set("X-Limit", "1")
			req.Header.Set("Accept", accept)
			resp, err := plain.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			h := resp.Header
			if resp.StatusCode != 429 || h.Get("Retry-After") != "7" || h.Get("RateLimit") != `"d";r=0;t=7` || h.Get("RateLimit-Policy") != `"d";q=5;w=10` ||
				!strings.HasPrefix(h.Get("Content-Type"), want) || len(h.Get("X-Request-Id")) != 32 || !strings.Contains(string(text), h.Get("X-Request-Id")) || strings.Contains(string(text), "limit") {
				t.Errorf("%s: %d %v %s", mode, resp.StatusCode, h, text)
			}
		}
	}
}
