package door_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/nginxtest"
)

func TestAFastCGIBackendIsGuardedAsAnyOther(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	reached := make(chan string, 16)
	go func() {
		_ = fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			reached <- r.Method + " " + r.URL.Path + " " + string(body)
			fmt.Fprint(w, "fastcgi ", len(body))
		}))
	}()
	n := nginxtest.Start(t, nginxtest.Conf{Server: `
        include sallyport/server.conf;
        root DIR/none;
        location / { try_files $uri /index.php?$args; }
        location ~ \.php$ { set $sallyport_to @php; include sallyport/inline-closed.conf; }
        location @php {
            include sallyport/proven.conf;
            fastcgi_pass unix:` + l.Addr().String() + `;
            fastcgi_param REQUEST_METHOD $request_method; fastcgi_param REQUEST_URI $request_uri; fastcgi_param SERVER_PROTOCOL $server_protocol;
            fastcgi_param CONTENT_LENGTH $content_length; fastcgi_param CONTENT_TYPE $content_type; fastcgi_param QUERY_STRING $query_string;
            fastcgi_param HTTP_HOST $host;
        }`})
	daemon(t, n.Door, nil)
	for _, c := range []struct {
		call
		want int
	}{
		{call{method: "POST", path: "/a.php", body: "clean"}, 200}, {call{method: "GET", path: "/pretty/path?x=1"}, 200},
		{call{method: "POST", path: "/a.php", body: "an attack"}, 403}, {call{method: "POST", path: "/pretty", body: "an attack"}, 403}, {call{method: "GET", path: "/pretty?q=attack"}, 403},
	} {
		resp, text, err := c.do(plain, n.Addr)
		if err != nil || resp.StatusCode != c.want {
			t.Fatalf("%s %s %q: %v %v %s\n%s", c.method, c.path, c.body, err, resp, text, n.ErrorLog())
		}
	}
	close(reached)
	for what := range reached {
		if strings.Contains(what, "attack") {
			t.Errorf("the backend saw %s", what)
		}
	}
}

func TestAnAnswerFromTheCacheIsJudgedAllTheSame(t *testing.T) {
	b := newBackend(t)
	n := nginxtest.Start(t, nginxtest.Conf{HTTP: `proxy_cache_path DIR/cache keys_zone=z:1m;`, Server: `
        include sallyport/server.conf;
        location / { set $sallyport_to @api; include sallyport/inline-closed.conf; }
        location @api { include sallyport/proven.conf; proxy_cache z; proxy_cache_key $uri; proxy_cache_valid 200 1m; proxy_pass ` + b.URL + `; }`})
	daemon(t, n.Door, nil)
	for _, c := range []struct {
		header string
		want   int
	}{{"", 200}, {"", 200}, {"attack", 403}, {"", 200}} {
		one := call{method: "GET", path: "/cached", header: [2]string{"X-Test", c.header}}
		resp, text, err := one.do(plain, n.Addr)
		if err != nil || resp.StatusCode != c.want {
			t.Fatalf("%q: %v %v %s", c.header, err, resp, text)
		}
	}
	if b.reached() != 1 {
		t.Errorf("the backend was asked %d times: nothing came from the cache", b.reached())
	}
}

func TestTheSitesOwnAuthRequestAndErrorPagesKeepWorking(t *testing.T) {
	b := newBackend(t)
	n := nginxtest.Start(t, nginxtest.Conf{Server: `
        include sallyport/server.conf;
        location = /own-auth { internal; if ($http_x_user = "") { return 401; } return 204; }
        location = /own-page { internal; return 200 own; }
        location / { set $sallyport_to @api; include sallyport/inline-closed.conf; }
        location @api { include sallyport/proven.conf; auth_request /own-auth; error_page 401 =401 /own-page; proxy_pass ` + b.URL + `; }`})
	daemon(t, n.Door, nil)
	for user, want := range map[string]int{"": 401, "bob": 200} {
		c := call{method: "POST", path: "/a", body: "clean", header: [2]string{"X-User", user}}
		resp, text, err := c.do(plain, n.Addr)
		if err != nil || resp.StatusCode != want {
			t.Errorf("user %q: %v %v %s", user, err, resp, text)
		}
		c.body = "an attack"
		if resp, _, err = c.do(plain, n.Addr); err != nil || resp.StatusCode != 403 {
			t.Errorf("an attack of user %q: %v %v", user, err, resp)
		}
	}
}

func TestABodyAnnouncedByExpectIsJudged(t *testing.T) {
	b := newBackend(t)
	n := nginxtest.Start(t, nginxtest.Conf{Server: guarded("inline-closed", b.URL)})
	daemon(t, n.Door, nil)
	for body, want := range map[string]string{"clean": "200", "attack": "403"} {
		nc, err := net.Dial("tcp", n.Addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(nc, "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(body))
		r := bufio.NewReader(nc)
		if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
			t.Errorf("%s: %q %v, want 100", body, line, err)
		}
		_, _ = r.ReadString('\n')
		_, _ = io.WriteString(nc, body)
		if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, want) {
			t.Errorf("%s: %q %v, want %s", body, line, err, want)
		}
		nc.Close()
	}
}
