package door_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/nginxtest"
)

// surrounding is a configuration around the doors that would let an attack
// through if a bare 2xx were taken for a verdict.
type surrounding struct {
	title string
	http  string // stands in http { }
	early string // stands in server { } before everything
	own   string // stands in the guarded location
	api   string // stands in the backend's named location
	dead  bool   // no daemon answers
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
	{title: "a rewrite of everything into the location", early: `rewrite ^/(?!all)(.*)$ /all/$1 last;`, clean: []int{200, 403}},
	{title: "client headers not passed on", early: `proxy_pass_request_headers off;`, clean: []int{200}},
	{title: "405 answered by the backend's location", early: `error_page 405 = @api;`, clean: []int{200}},
	{title: "an inherited auth_request and mirror", early: `auth_request /yes; mirror /yes; location = /yes { internal; return 204; }`, clean: []int{200}},
	{title: "error pages that swallow 404 and 405", early: `error_page 404 405 =200 @api; recursive_error_pages on;`, clean: []int{200}},
	{title: "deny all around an allowed location", early: `deny all;`, own: `allow all;`, api: `allow all;`, clean: []int{200}},
	{title: "basic authentication around a free location", early: `auth_basic x; auth_basic_user_file DIR/none;`, own: `auth_basic off;`, api: `auth_basic off;`, clean: []int{200}},
	{title: "proxy_method and proxy_set_header around", early: `proxy_method GET; proxy_set_header X-Sallyport-Meta "1 00000000000000000000000000000000"; proxy_pass_request_body off;`, clean: []int{200}},
}

func TestNoSurroundingLetsAnAttackReachTheBackend(t *testing.T) {
	for _, s := range surroundings {
		for _, mode := range []string{"inline-closed", "relay-closed"} {
			t.Run(s.title+" "+mode, func(t *testing.T) {
				b := newBackend(t)
				n := nginxtest.Start(t, nginxtest.Conf{HTTP: s.http, Server: s.early + `
        include sallyport/server.conf;
        location / { set $sallyport_to @api; ` + s.own + ` include sallyport/` + mode + `.conf; }
        location @api { proxy_method $request_method; proxy_pass_request_body on; ` + s.api + ` include sallyport/proven.conf; proxy_pass ` + b.URL + `; }`})
				if !s.dead {
					daemon(t, n.Door, nil)
				}
				for _, c := range []call{
					{method: "POST", path: "/a", body: "an attack"},
					{method: "POST", path: "/a?out=1", body: "an attack"},
					{method: "PUT", path: "/a", body: "an attack", chunked: true},
					{method: "GET", path: "/a?q=attack"},
					{method: "GET", path: "/a", header: [2]string{"X-Test", "attack"}},
					{method: "GET", path: "/a?out=1", header: [2]string{"X-Test", "attack"}},
					{method: "TRACE", path: "/a?q=attack"},
				} {
					for range 2 {
						resp, text, err := c.do(plain, n.Addr)
						if err != nil {
							t.Fatal(err)
						}
						if b.reached() > 0 || strings.HasPrefix(text, "backend") {
							t.Fatalf("%s %s: an attack reached the backend, answered %d %q", c.method, c.path, resp.StatusCode, text)
						}
					}
				}
				for _, c := range []call{{method: "GET", path: "/a"}, {method: "POST", path: "/a", body: "clean"}} {
					resp, text, err := c.do(plain, n.Addr)
					if err != nil {
						t.Fatal(err)
					}
					ok := false
					for _, want := range s.clean {
						ok = ok || resp.StatusCode == want
					}
					if resp.StatusCode == 403 && resp.Header.Get("X-Sallyport-Error") == "" {
						t.Errorf("%s: a 403 that names no cause: %q", c.method, text)
					}
					if !ok {
						t.Errorf("%s: a clean request was answered %d %q, want one of %v\n%s", c.method, resp.StatusCode, text, s.clean, n.ErrorLog())
					}
				}
			})
		}
	}
}

func TestTwoNamedLocationsOfOneNameLetNoAttackThrough(t *testing.T) {
	b := newBackend(t)
	conf := nginxtest.Conf{Server: guarded("inline-closed", b.URL) + `location @api { proxy_pass ` + b.URL + `; }`}
	if said, err := nginxtest.Test(t, conf); err != nil {
		t.Logf("nginx -t refuses it: %s", said)
		return
	}
	n := nginxtest.Start(t, conf)
	daemon(t, n.Door, nil)
	c := call{method: "POST", path: "/a", body: "an attack"}
	if resp, _, err := c.do(plain, n.Addr); err != nil || resp.StatusCode != 403 || b.reached() != 0 {
		t.Fatalf("%v %v, backend reached %d times", resp, err, b.reached())
	}
}

// A backend that takes Upgrade: h2c would be a tunnel past the doors.
func TestOnlyWebSocketUpgradesReachTheBackend(t *testing.T) {
	upgrades := make(chan string, 10)
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
				upgrades <- r.Header.Get("Upgrade")
				if r.Header.Get("Upgrade") != "" {
					fmt.Fprint(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\nhello")
					_, _ = io.Copy(nc, nc)
					return
				}
				fmt.Fprint(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			}()
		}
	}()
	n := nginxtest.Start(t, nginxtest.Conf{Server: `
        include sallyport/server.conf;
        location / { set $sallyport_to @ws; include sallyport/metadata-closed.conf; }
        location @ws { include sallyport/proven.conf; proxy_http_version 1.1; proxy_set_header Upgrade $sallyport_upgrade; proxy_set_header Connection $sallyport_connection; proxy_pass http://` + l.Addr().String() + `; }`})
	daemon(t, n.Door, nil)
	for upgrade, want := range map[string]string{"h2c": "HTTP/1.1 200", "websocket": "HTTP/1.1 101", "WebSocket": "HTTP/1.1 101", "websocket, h2c": "HTTP/1.1 200"} {
		nc, err := net.Dial("tcp", n.Addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(nc, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", upgrade)
		_ = nc.SetReadDeadline(time.Now().Add(5 * time.Second))
		line, err := bufio.NewReader(nc).ReadString('\n')
		nc.Close()
		if err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("Upgrade: %s was answered %q %v, want %s", upgrade, line, err, want)
		}
	}
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
