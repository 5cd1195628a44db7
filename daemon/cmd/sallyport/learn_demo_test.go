package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/sallyport/sallyport/daemon/nginxtest"
)

// demoAPI runs the demo's API and gives its URL.
func demoAPI(t *testing.T) *url.URL {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "demoapi")
	if out, err := exec.Command("go", "build", "-o", binary, "../demoapi").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", nginxtest.FreePort(t))
	c := exec.Command(binary, "-listen", addr, "-quiet")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	for range 500 {
		if nc, err := net.Dial("tcp", addr); err == nil {
			nc.Close()
			return &url.URL{Scheme: "http", Host: addr}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the demo's API did not come up")
	return nil
}

// outline is what a document says of paths and types, a line each.
func outline(t *testing.T, text []byte) string {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	var out []string
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			out = append(out, method+" "+strings.ReplaceAll(path, "{itemId}", "{id}"))
			for _, p := range op.Parameters {
				out = append(out, fmt.Sprintf("%s %s %s %s %v %v", method, path[:4], p.Value.In, p.Value.Name[len(p.Value.Name)-1:], p.Value.Schema.Value.Type.Slice(), p.Value.Required))
			}
			if op.RequestBody == nil {
				continue
			}
			for media, m := range op.RequestBody.Value.Content {
				required := append([]string(nil), m.Schema.Value.Required...)
				sort.Strings(required)
				out = append(out, fmt.Sprintf("%s %s %s %v %v %q", method, path, media, op.RequestBody.Value.Required, m.Schema.Value.Type.Slice(), required))
				for name, p := range m.Schema.Value.Properties {
					out = append(out, fmt.Sprintf("%s %s %s %v", method, path, name, p.Value.Type.Slice()))
				}
			}
		}
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

func TestTheDemoAPIIsLearnedLiveAndAHostileMinorityChangesNothing(t *testing.T) {
	documented, err := os.ReadFile("testdata/demoapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, "inline", "closed")
	r.backend.Config.Handler = httputil.NewSingleHostReverseProxy(demoAPI(t))
	r.configure("closed", "")
	r.start()
	base := "http://" + r.nginx.Addr
	var stop atomic.Bool
	var all sync.WaitGroup
	good := func(n int) {
		for i := 0; !stop.Load(); i++ {
			from(t, n, "GET", base+"/items", "")
			from(t, n, "GET", fmt.Sprintf("%s/items/%d", base, 1+i%3), "")
			from(t, n, "GET", fmt.Sprintf("%s/search?q=lantern+%d", base, i*n), "")
			comment := fmt.Sprintf(`{"text":"number %d of %d"}`, i, n)
			if i%2 == 0 {
				comment = fmt.Sprintf(`{"text":"number %d of %d","stars":%d}`, i, n, 1+i%5)
			}
			from(t, n, "POST", base+"/comments", comment, "Content-Type", "application/json")
			from(t, n, "POST", base+"/login", `{"user":"alice","password":"opensesame"}`, "Content-Type", "application/json")
			time.Sleep(20 * time.Millisecond)
		}
	}
	hostile := func(n int) {
		for i := 0; !stop.Load(); i++ {
			from(t, n, "GET", fmt.Sprintf("%s/search?q=x&debug=%d", base, i), "")
			from(t, n, "GET", fmt.Sprintf("%s/search?p%c=1", base, 'a'+i%26), "")
			from(t, n, "GET", fmt.Sprintf("%s/invented/%d", base, i), "")
			from(t, n, "POST", base+"/comments", `{"text":17,"admin":true}`, "Content-Type", "application/json")
			from(t, n, "POST", base+"/comments", `a=b`, "Content-Type", "application/x-www-form-urlencoded")
		}
	}
	for n := 10; n < 40; n++ {
		all.Add(1)
		go func() { defer all.Done(); good(n) }()
	}
	all.Add(1)
	go func() { defer all.Done(); hostile(200) }()
	defer func() { stop.Store(true); all.Wait() }()

	socket := filepath.Join(r.nginx.Dir, "control.sock")
	out, told := verb(t, exitOK, "learn", "--live", "--for", "4s", "--control", socket)
	want, got := outline(t, documented), outline(t, []byte(out))
	if got != want {
		t.Errorf("learned:\n%s\n\nwant:\n%s\n\n%s", got, want, told)
	}
	if !bytes.Contains([]byte(told), []byte("5 operations from")) {
		t.Errorf("%s", told)
	}
}
