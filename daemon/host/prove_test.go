package host

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/host/nginxconf"
	"github.com/sallyport/sallyport/daemon/nginxtest"
)

// plainDoors are two doors as someone might write them from NGINX's manual:
// a 2xx is taken for a verdict, and nothing inherited is set back.
const plainDoors = `
    include sallyport/server.conf;
    location = /_enter { internal; proxy_pass http://sallyport/enter; proxy_pass_request_body off; proxy_set_header Content-Length ""; META }
    location = /_body { internal; if ($no_body) { return 204; } proxy_pass http://sallyport/body; META }
    location = /_leave { internal; proxy_pass http://sallyport/leave; proxy_pass_request_body off; proxy_set_header Content-Length ""; META }
    location @denied { return 403 denied; }
    location @inspected { auth_request /_leave; recursive_error_pages on; error_page 403 = @denied; BEHIND proxy_pass BACKEND; }
    location /all {
        auth_request /_enter; mirror /_body; mirror_request_body on; root /nonexistent; log_not_found off;
        recursive_error_pages on; error_page 404 405 = @inspected; PAGE403 OWN
    }`

const plainMeta = `proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_set_header X-Sallyport-Meta "1 $request_id $remote_addr $remote_port $server_addr $server_port $connection $ssl_protocol $ssl_cipher $server_protocol $request_method $content_length 0 inline";
    proxy_set_header X-Sallyport-Uri $request_uri;`

// ourDoors are the same by the include files.
const ourDoors = `
    include sallyport/server.conf;
    location /all { set $sallyport_to @api; OWN include sallyport/inline-closed.conf; }
    location @api { include sallyport/proven.conf; BEHIND proxy_pass BACKEND; }`

// holes is the table of what lets an attack past plain doors.
var holes = []struct {
	title                    string
	http, early, own, behind string
	way                      string // the way that finds it
	ours                     bool   // the include files cannot close it
	our                      string // in place of own with the include files
}{
	{title: "the body's variable evaluated early", early: `if ($request_body ~ nothing) { set $x 1; }`, way: "body in chunks"},
	{title: "the location's own return 405", own: `if ($arg_out) { return 405; }`, way: "through the if"},
	{title: "the location's own return 404 by a pattern of a header", own: `if ($http_user_agent ~* "(curl|wget)/[0-9]") { return 404; }`, way: "through the if"},
	{title: "denials turned into a page", early: `proxy_intercept_errors on; error_page 403 404 =200 /page.html; location = /page.html { return 200 page; }`, way: "header"},
	{title: "errors turned into a page, the daemon dead", early: `error_page 502 503 504 =200 /page.html; location = /page.html { return 200 page; }`, way: "while no door answers"},
	{title: "satisfy any", early: `satisfy any; allow 127.0.0.1;`, way: "header"},
	{title: "a cache around everything", http: `proxy_cache_path DIR/cache keys_zone=z:1m; proxy_cache z; proxy_cache_valid any 1m; proxy_cache_key $proxy_host$uri;`, way: "query"},
	{title: "a rewrite of everything into the location", early: `rewrite ^/(?!all)(.*)$ /all/$1 last;`, way: "header"},
	{title: "headers not passed on", early: `proxy_pass_request_headers off;`, way: "header"},
	{title: "405 answered by the backend's location", early: `error_page 405 = TO;`, way: "TRACE"},
	{title: "a backend that takes h2c", behind: `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;`, way: "a change to h2c", ours: true},
	{title: "two named locations of one name", early: `location TO { proxy_pass BACKEND; }`, way: "its configuration", ours: true},
}

// eagerBackend answers everything, and takes every upgrade.
func eagerBackend(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
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
				_, _ = io.Copy(io.Discard, r.Body)
				if r.Header.Get("Upgrade") != "" {
					fmt.Fprintf(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
					return
				}
				fmt.Fprint(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// provenIn proves the one guarded location of a server, and lists the ways that are broken.
func provenIn(t *testing.T, conf nginxtest.Conf) (broken map[string]string, proofs []Proof) {
	t.Helper()
	if said, err := nginxtest.Test(t, conf); err != nil {
		if strings.Contains(said, "duplicate location") {
			t.Skipf("this NGINX refuses it: %s", said)
		}
		t.Fatal(said)
	}
	n := nginxtest.Start(t, conf)
	book := serveDoor(t, n.Door)
	c, err := nginxconf.Read(filepath.Join(n.Dir, "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	var targets []Target
	for _, target := range Targets(c, "") {
		if target.Location == "/all" {
			targets = append(targets, target)
		}
	}
	if proofs, err = Prove(t.Context(), targets, book, 64<<10); err != nil || len(proofs) == 0 {
		t.Fatal(err, len(proofs))
	}
	broken = map[string]string{}
	for i := range proofs {
		if proofs[i].Broken() {
			broken[proofs[i].Way] = proofs[i].Why
		}
	}
	return broken, proofs
}

func TestProveFindsEachHoleOpenedOnPurposeAndNoneWhereTheDoorsHold(t *testing.T) {
	backend := eagerBackend(t)
	noBody := `map "$request_body$request_body_file" $no_body { "" 1; default 0; }` + "\n"
	fill := func(text, to, own, behind string) string {
		page := "error_page 403 = @denied;"
		if strings.Contains(text, "=200 /page.html") {
			page = "" // what the server says of 403 holds
		}
		return strings.NewReplacer("META", plainMeta, "BACKEND", backend, "OWN", own, "BEHIND", behind, "PAGE403", page, "TO", to).Replace(text)
	}
	t.Run("nothing around the doors", func(t *testing.T) {
		for form, doors := range map[string]string{"plain": plainDoors, "ours": ourDoors} {
			broken, proofs := provenIn(t, nginxtest.Conf{HTTP: noBody, Server: fill(doors, "", "", "")})
			if len(broken) > 0 || len(proofs) < 8 {
				t.Errorf("%s: broken %v of %d", form, broken, len(proofs))
			}
		}
	})
	for _, h := range holes {
		t.Run(h.title, func(t *testing.T) {
			t.Run("plain", func(t *testing.T) {
				broken, proofs := provenIn(t, nginxtest.Conf{HTTP: noBody + h.http, Server: fill(h.early+plainDoors, "@inspected", h.own, h.behind)})
				if !found(broken, h.way) {
					t.Errorf("the hole was not found by way of %q: %+v", h.way, proofs)
				}
			})
			t.Run("ours", func(t *testing.T) {
				broken, proofs := provenIn(t, nginxtest.Conf{HTTP: h.http, Server: fill(h.early+ourDoors, "@api", h.own, h.behind)})
				if h.ours && !found(broken, h.way) || !h.ours && len(broken) > 0 {
					t.Errorf("broken %v: %+v", broken, proofs)
				}
			})
		})
	}
}

func found(broken map[string]string, way string) bool {
	for name := range broken {
		if strings.HasPrefix(name, way) {
			return true
		}
	}
	return false
}

func TestEachConditionThatAClientCanMeetIsMet(t *testing.T) {
	for text, want := range map[string]string{
		`if ($arg_out) { return 405; }`:                              "GET /p?out=proof ",
		`if ($request_method = OPTIONS) { return 404; }`:             "OPTIONS /p ",
		`if ($request_method !~ ^(GET|HEAD|POST)$ ) { return 405; }`: "PUT /p ",
		`if ($request_method != POST) { return 405; }`:               "PUT /p ",
		`if ($http_x_old = 1) { return 404; }`:                       "GET /p x-old: 1",
		`if ($cookie_v ~ "^v[0-9]$") { return 404; }`:                "GET /p Cookie: v=v1",
		`if ($args ~ "a=(b|c)") { return 404; }`:                     "GET /p?a=b ",
		`if ( $http_user_agent ~* bot ) { return 404; }`:             "GET /p user-agent: bot",
		`if (-f $request_filename) { return 404; }`:                  "",
		`if ($scheme = http) { return 404; }`:                        "",
		`if ($host ~ "^(a)\1$") { return 404; }`:                     "",
	} {
		path := filepath.Join(t.TempDir(), "nginx.conf")
		writeFile(t, path, "http { server { location /p { "+text+" } } }")
		c, err := nginxconf.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		s := c.Root.Find("http")[0].Find("server")[0]
		all := triggersOf(s, s.Find("location")[0], "/p")
		if len(all) != 1 {
			t.Fatalf("%s: %+v", text, all)
		}
		got := all[0].method + " " + all[0].path + " " + strings.TrimSpace(all[0].headers)
		if all[0].skip != "" {
			got = ""
		}
		if got != want {
			t.Errorf("%s: %q %s, want %q", text, got, strconv.Quote(all[0].skip), want)
		}
	}
}
