package door_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/door"
	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/nginxtest"
	"github.com/sallyport/sallyport/daemon/pass"
)

func TestABackendKnowsWhatPassedTheDoors(t *testing.T) {
	keys, err := pass.Load(filepath.Join(t.TempDir(), "keys"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewServer(pass.Guard(func() pass.Keys { return keys }, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })))
	defer backend.Close()
	for _, mode := range []string{"inline-closed", "relay-closed", "guard-closed", "metadata-closed"} {
		n := nginxtest.Start(t, nginxtest.Conf{Server: `
        include sallyport/server.conf;
        location / { set $sallyport_to @api; include sallyport/` + mode + `.conf; }
        location @api { include sallyport/proven.conf; proxy_set_header X-Sallyport-Pass $sallyport_pass; proxy_pass ` + backend.URL + `; }
        location /around { proxy_pass ` + backend.URL + `; }`})
		d := door.NewServer(inspect.New(testPolicy(nil), inspect.Options{State: keyed.New(100, 1)}), door.Settings{EnterTimeout: 500 * time.Millisecond, LeaveTimeout: 5 * time.Second,
			MaxHeld: 100, MaxConnections: 100, MaxBodyMemory: 64 << 20, MaxHeadBytes: 1 << 20, Pass: keys})
		l, err := net.Listen("unix", n.Door)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() { _ = d.Serve(l) }()
		for _, c := range []struct {
			call
			want int
		}{
			{call{method: "GET", path: "/a?x=1"}, 200}, {call{method: "POST", path: "/a", body: "clean"}, 200},
			{call{method: "GET", path: "/around"}, 403}, {call{method: "GET", path: "/around", header: [2]string{pass.Header, "1.1700000000.0123456789abcdef0123456789abcdef.0123456789abcdef0123456789abcdef"}}, 403},
		} {
			resp, text, err := c.do(plain, n.Addr)
			if err != nil || resp.StatusCode != c.want {
				t.Errorf("%s, %s %s: %v %v %s", mode, c.method, c.path, err, resp, text)
			}
		}
	}
}
