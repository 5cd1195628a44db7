package host

import (
	"errors"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport/sallyport/daemon/canary"
	"github.com/sallyport/sallyport/daemon/door"
	"github.com/sallyport/sallyport/daemon/host/nginxconf"
	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/nginxtest"
	"github.com/sallyport/sallyport/daemon/policy"
)

// local makes canaries in this process.
type local struct{ *canary.Book }

func (l local) Make() (string, error)                { return l.Book.Make(time.Now()), nil }
func (l local) Seen(canary string) ([]string, error) { return l.Book.Seen(canary), nil }

// serveDoor judges nothing but canaries.
func serveDoor(t *testing.T, socket string) local {
	t.Helper()
	route := &policy.Route{Site: "s", Name: "r", Mode: policy.Detect, DenyAt: 80, DenyAtName: "high", MaxInspectBytes: 1 << 20, LargeBody: policy.LargeInspect}
	if err := route.Match("", nil); err != nil {
		t.Fatal(err)
	}
	p := &policy.Policy{Sites: []*policy.Site{{Name: "s", Routes: []*policy.Route{route}}}}
	p.Index()
	book := canary.New()
	d := door.NewServer(inspect.New(p, inspect.Options{State: keyed.New(100, 1), Canaries: book}), door.Settings{
		EnterTimeout: 500 * time.Millisecond, LeaveTimeout: 2 * time.Second, MaxHeld: 1000, MaxConnections: 100, MaxBodyMemory: 64 << 20, MaxHeadBytes: 1 << 20})
	l, err := door.Listen(socket, 0o666, "")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = d.Serve(l) }()
	t.Cleanup(func() { l.Close() })
	return local{book}
}

// site is a configuration, the other files it includes, and what setup makes of it.
type site struct {
	conf, want string
	more       map[string]string
}

func sites(t *testing.T) map[string]*site {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/sites.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*site{}
	for _, f := range archive.Files {
		name, part := filepath.Split(f.Name)
		if all[name] == nil {
			all[name] = &site{more: map[string]string{}}
		}
		if part == "want" {
			all[name].want = strings.TrimSpace(string(f.Data))
		} else if part != "nginx.conf" {
			all[name].more[part] = string(f.Data)
		} else {
			all[name].conf = string(f.Data)
		}
	}
	return all
}

func TestSetupConvertsAndProvesOrRefusesAndGivesBackEveryByte(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Backend-Path", r.RequestURI+" "+r.Header.Get("X-Echo")+" "+r.Header.Get("Upgrade"))
	}))
	defer backend.Close()
	php, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer php.Close()
	go func() { _ = fcgi.Serve(php, backend.Config.Handler) }()
	for name, s := range sites(t) {
		t.Run(name, func(t *testing.T) {
			fill := strings.NewReplacer("FASTCGI", php.Addr().String(), "BACKENDADDR", strings.TrimPrefix(backend.URL, "http://"), "BACKEND", backend.URL,
				"PORT2", strconv.Itoa(nginxtest.FreePort(t)), "PORT3", strconv.Itoa(nginxtest.FreePort(t)))
			n := nginxtest.Start(t, nginxtest.Conf{Whole: fill.Replace(withFiles(t, s, fill))})
			nginx := NGINX{Binary: nginxtest.Binary(t), Conf: filepath.Join(n.Dir, "nginx.conf"), Prefix: n.Dir}
			before := askBackend(t, n.Addr)
			build, err := nginx.Build()
			if err != nil {
				t.Fatal(err)
			}
			conf, err := nginxconf.Read(nginx.Conf)
			if err != nil {
				t.Fatal(err)
			}
			server := ""
			if len(s.more) > 0 {
				server = "site.example"
			}
			plan, err := MakePlan(conf, Choice{Server: server, Mode: "auto", Failure: "closed", Version: build.Version, DefaultLog: filepath.Join(n.Dir, "access.log")})
			if !asWanted(t, plan, err, s.want) {
				return
			}
			after := plan.Apply(conf.Files)
			backup := filepath.Join(n.Dir, "backup")
			if err := Write(backup, conf.Files, after); err != nil {
				t.Fatal(err)
			}
			if said, err := nginx.Test(); err != nil {
				t.Fatalf("%v\n%s\n%s", err, said, after[nginx.Conf])
			}
			book := serveDoor(t, n.Door)
			if err := nginx.Reload(); err != nil {
				t.Fatal(err)
			}
			proveAll(t, nginx.Conf, book, plan)
			if t.Failed() {
				t.Log(n.ErrorLog())
			}
			if now := askBackend(t, n.Addr); now != before {
				t.Errorf("the backend is asked for %q, before for %q\n%s", now, before, after[nginx.Conf])
			}
			if _, err := Remove(backup); err != nil {
				t.Fatal(err)
			}
			for file, was := range conf.Files {
				if now, _ := os.ReadFile(file); string(now) != was {
					t.Errorf("%s was not given back as it was", file)
				}
			}
		})
	}
}

// withFiles writes the files that a site includes, and has it include them from there.
func withFiles(t *testing.T, s *site, fill *strings.Replacer) string {
	t.Helper()
	text, dir := s.conf, t.TempDir()
	for name, more := range s.more {
		writeFile(t, filepath.Join(dir, name), fill.Replace(more))
		text = strings.ReplaceAll(text, "include "+name, "include "+filepath.Join(dir, name))
	}
	return text
}

// askBackend is the URI that a clean request for each path comes to the backend with.
func askBackend(t *testing.T, addr string) string {
	t.Helper()
	var all []string
	for _, path := range []string{"/", "/api/a?x=1", "/one", "/app/a/b", "/u/abc", "/x.php", "/old/1", "/ws", "/static/none", "/upload"} {
		req, err := http.NewRequest("GET", "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "site.example"
		resp, err := (&http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		all = append(all, path+"="+resp.Header.Get("X-Backend-Path"))
	}
	return strings.Join(all, " ")
}

func asWanted(t *testing.T, plan *Plan, err error, want string) (goOn bool) {
	t.Helper()
	kind, rest, _ := strings.Cut(want, " ")
	var ambiguous *ErrAmbiguous
	switch kind {
	case "ambiguous":
		if !errors.As(err, &ambiguous) || len(ambiguous.Servers) != 2 {
			t.Errorf("got %v", err)
		}
	case "nothing":
		if err == nil || !strings.Contains(err.Error(), "nothing to guard") {
			t.Errorf("got %v", err)
		}
	case "refused":
		if err != nil || len(plan.Refused) == 0 || !strings.Contains(plan.Refused[0], rest) {
			t.Errorf("got %v %+v", err, plan)
		}
	case "guarded":
		if err != nil {
			t.Fatal(err)
		}
		var modes []string
		for _, g := range plan.Guarded {
			mode, _, _ := strings.Cut(g.Mode, "-")
			if len(modes) == 0 || modes[len(modes)-1] != mode {
				modes = append(modes, mode)
			}
		}
		if got := strconv.Itoa(len(plan.Guarded)) + " " + strings.Join(modes, " "); got != rest || len(plan.Refused) > 0 {
			t.Errorf("guarded %s, want %s; refused %v", got, rest, plan.Refused)
		}
		return true
	}
	return false
}

func proveAll(t *testing.T, conf string, book local, plan *Plan) {
	t.Helper()
	c, err := nginxconf.Read(conf)
	if err != nil {
		t.Fatal(err)
	}
	targets := Targets(c, "site.example")
	if err := Await(t.Context(), targets, book); err != nil {
		t.Fatal(err)
	}
	proofs, err := Prove(t.Context(), targets, book, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	proven := map[string]bool{}
	for _, p := range proofs {
		if p.Way == "none" || p.Mode == "" {
			continue
		}
		if p.Broken() {
			t.Errorf("location %s, %s: %d, %s", p.Location, p.Way, p.Status, p.Why)
		}
		proven[p.Location] = proven[p.Location] || p.Inspected
	}
	for _, g := range plan.Guarded {
		if !strings.HasPrefix(g.Location, "@") && !proven[g.Location] {
			t.Errorf("location %s was not proven: %+v", g.Location, proofs)
		}
	}
}

func TestAFileChangedSinceSetupIsNotTouched(t *testing.T) {
	dir := t.TempDir()
	file, backup := filepath.Join(dir, "a.conf"), filepath.Join(dir, "backup")
	if err := os.WriteFile(file, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Write(backup, map[string]string{file: "before"}, map[string]string{file: "after"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("after, and more"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Remove(backup); err == nil || !strings.Contains(err.Error(), file) {
		t.Fatalf("got %v", err)
	}
	if now, _ := os.ReadFile(file); string(now) != "after, and more" {
		t.Fatal("it was touched")
	}
}

func TestAnUnguardedLocationIsFoundAndSentOneCanaryAlone(t *testing.T) {
	asked := 0
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	backend := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ })}}
	backend.Start()
	defer backend.Close()
	n := nginxtest.Start(t, nginxtest.Conf{Server: `include sallyport/server.conf; location / { proxy_pass ` + backend.URL + `; }`})
	book := serveDoor(t, n.Door)
	c, err := nginxconf.Read(filepath.Join(n.Dir, "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	proofs, err := Prove(t.Context(), Targets(c, ""), book, 1<<20)
	if err != nil || len(proofs) != 1 || proofs[0].Inspected || asked != 1 {
		t.Fatalf("%v %+v, backend asked %d times", err, proofs, asked)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestHeadersThatPassEveryUpgradeOnAreRestatedWithoutIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nginx.conf")
	writeFile(t, path, `http { server { proxy_set_header Upgrade $http_upgrade; proxy_set_header X-A "b c"; location / { proxy_pass http://127.0.0.1:1; } } }`)
	c, err := nginxconf.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := MakePlan(c, Choice{Mode: "auto", Failure: "open", Version: [3]int{1, 22, 0}, DefaultLog: "/var/log/nginx/access.log"})
	if err != nil {
		t.Fatal(err)
	}
	if text := plan.Apply(c.Files)[path]; !strings.Contains(text, `include sallyport/proven.conf; proxy_set_header Upgrade $sallyport_upgrade; proxy_set_header X-A "b c"; # sallyport`) {
		t.Errorf("got %s", text)
	}
}
