package host

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/host/nginxconf"
	"github.com/sallyport/sallyport/daemon/nginxtest"
)

func examine(t *testing.T, version [3]int, http, server string) []Diagnosis {
	t.Helper()
	n := nginxtest.Start(t, nginxtest.Conf{HTTP: http, Server: server})
	c, err := nginxconf.Read(filepath.Join(n.Dir, "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	d := &Doctor{NGINX: NGINX{Binary: nginxtest.Binary(t)}, Config: c, Now: time.Now()}
	if d.Build, err = d.NGINX.Build(); err != nil {
		t.Fatal(err)
	}
	if version != [3]int{} {
		d.Build.Version = version
	}
	d.Examine()
	return d.Found
}

func has(found []Diagnosis, g Grade, text string) bool {
	for _, f := range found {
		if f.Grade == g && strings.Contains(f.What, text) {
			return true
		}
	}
	return false
}

const backend = "proxy_pass http://127.0.0.1:1;"

func TestDoctorFindsEachWeaknessOpenedOnPurpose(t *testing.T) {
	guard := "include sallyport/server.conf; location / { set $sallyport_to @api; include sallyport/inline-closed.conf; }\n"
	proven := "location @api { include sallyport/proven.conf; " + backend + " }\n"
	for _, c := range []struct {
		title, http, server string
		version             [3]int
		grade               Grade
		want                string
	}{
		{title: "nothing weak", server: guard + proven, grade: Good, want: "is guarded in mode inline, and answers 503"},
		{title: "no guard", server: "include sallyport/server.conf; location / { " + backend + " }", grade: Bad, want: "location / of _ leads to a backend and is not guarded"},
		{title: "observe only", server: "include sallyport/server.conf; location / { include sallyport/observe.conf; " + backend + " }", grade: Weak, want: "only observes"},
		{title: "a way past the doors", server: guard + "location @api { " + backend + " }", grade: Bad, want: "passed no door"},
		{title: "two of one name", server: guard + proven + proven, grade: Bad, want: "stands at"},
		{title: "every upgrade", server: guard + "location @api { include sallyport/proven.conf; proxy_set_header Upgrade $http_upgrade; " + backend + " }", grade: Bad, want: "every Upgrade"},
		{title: "a rewrite", server: "rewrite ^/a /b last;\n" + guard + proven, grade: Weak, want: "a rewrite of the server's"},
		{title: "the body's variable", server: "if ($request_body ~ x) { set $y 1; }\n" + guard + proven, grade: Weak, want: "$request_body is evaluated"},
		{title: "satisfy any", server: "satisfy any;\n" + guard + proven, grade: Weak, want: "satisfy is inherited"},
		{title: "denials intercepted", server: "proxy_intercept_errors on;\n" + guard + proven, grade: Weak, want: "proxy_intercept_errors is inherited"},
		{title: "headers kept back", server: "proxy_pass_request_headers off;\n" + guard + proven, grade: Weak, want: "proxy_pass_request_headers is inherited"},
		{title: "a cache", http: "proxy_cache_path DIR/c keys_zone=z:1m; proxy_cache z;", server: guard + proven, grade: Weak, want: "proxy_cache is inherited"},
		{title: "405 past the doors", server: "error_page 405 = @api;\n" + guard + proven, grade: Weak, want: "error_page 405 leads to @api"},
		{title: "HTTP/2 and an old NGINX", version: [3]int{1, 18, 0}, server: "listen 127.0.0.1:FREE http2;" + guard + proven, grade: Bad, want: "NGINX before 1.19.3 hangs"},
		{title: "a backend over a network", server: guard + "location @api { include sallyport/proven.conf; proxy_pass http://203.0.113.9; }", grade: Bad, want: "without TLS over a network"},
		{title: "floods", server: guard + proven, grade: Weak, want: "connection floods are not bounded"},
		{title: "no include in the server", server: "include sallyport/server.conf; location / { include sallyport/inline-open.conf; }", grade: Bad, want: "does not say where it leads"},
	} {
		t.Run(c.title, func(t *testing.T) {
			server := strings.Replace(c.server, "FREE", strconv.Itoa(nginxtest.FreePort(t)), 1)
			found := examine(t, c.version, c.http, server)
			if !has(found, c.grade, c.want) {
				t.Errorf("%q was not found: %+v", c.want, found)
			}
		})
	}
}
