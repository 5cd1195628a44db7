package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/nginxtest"
	"github.com/sallyport/sallyport/daemon/pass"
)

// startVerify runs the verb in a process of its own and returns the address it
// verifies at.
func startVerify(t *testing.T, listen, keyFile string) string {
	t.Helper()
	path, err := daemonBinary()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, "verify", "--listen", listen, "--key-file", keyFile)
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	line, err := bufio.NewReader(stderr).ReadString('\n')
	at, ok := strings.CutPrefix(strings.TrimSpace(line), "verifying at ")
	if !ok {
		t.Fatalf("verify said %q %v", line, err)
	}
	return at
}

func TestABackendsNGINXRefusesWhatDidNotPassTheGateway(t *testing.T) {
	for _, listen := range []string{"loopback", "socket"} {
		t.Run(listen, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "spv") // short, for the socket's name
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			keyFile, address, scheme := filepath.Join(dir, "pass.keys"), "127.0.0.1:0", "http://"
			keys, err := pass.Load(keyFile, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if listen == "socket" {
				address, scheme = "unix:"+filepath.Join(dir, "verify.sock"), "http://unix:"
			}
			at := startVerify(t, address, keyFile)
			r := newRig(t, "inline", "closed")
			behind := nginxtest.Start(t, nginxtest.Conf{Server: `
        include sallyport/server.conf;
        location / { auth_request /_pass; proxy_pass ` + r.backend.URL + `; }
        location = /_pass {
            internal; proxy_pass_request_body off; proxy_set_header Content-Length "";
            proxy_set_header X-Original-Method $request_method;
            proxy_set_header X-Original-URI $request_uri;
            proxy_pass ` + scheme + at + `;
        }`})
			gateway := nginxtest.Start(t, nginxtest.Conf{OwnAccess: true, Server: `
        include sallyport/server.conf;
        location / { set $sallyport_to @api; include sallyport/inline-open.conf; }
        location @api { include sallyport/proven.conf; proxy_set_header X-Sallyport-Pass $sallyport_pass; proxy_pass http://` + behind.Addr + `; }`})
			r.nginx = gateway
			r.config = filepath.Join(gateway.Dir, "sallyport.toml")
			r.write("no-attack.json", `{"type":"object"}`)
			r.configure("open", "")
			text, _ := os.ReadFile(r.config)
			r.write("sallyport.toml", strings.Replace(string(text), "[server]", "[server]\npass_key_file = \""+keyFile+"\"", 1))
			r.start()

			ask := func(addr, method, path, value string, want int) {
				t.Helper()
				req, _ := http.NewRequest(method, "http://"+addr+path, strings.NewReader(strings.Repeat("x", 10)))
				if value != "" {
					req.Header.Set(pass.Header, value)
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != want {
					t.Errorf("%s %s at %s with pass %q: %d, want %d", method, path, addr, value, resp.StatusCode, want)
				}
			}
			signed := func(keys pass.Keys, when time.Time) string {
				return string(keys.Append(nil, []byte("0123456789abcdef0123456789abcdef"), "POST", []byte("/a"), when))
			}
			ask(gateway.Addr, "GET", "/a%2fb?x=1", "", 200)
			ask(gateway.Addr, "POST", "/a", "", 200)
			ask(gateway.Addr, "POST", "/a", "1.a client's own", 200) // overwritten by the gateway's
			ask(behind.Addr, "POST", "/a", "", 403)
			ask(behind.Addr, "POST", "/a", signed(keys, time.Now()), 200)
			ask(behind.Addr, "POST", "/other", signed(keys, time.Now()), 403)
			ask(behind.Addr, "PUT", "/a", signed(keys, time.Now()), 403)
			// The window in which a pass can be shown again.
			ask(behind.Addr, "POST", "/a", signed(keys, time.Now().Add(-pass.Lives/2)), 200)
			ask(behind.Addr, "POST", "/a", signed(keys, time.Now().Add(-pass.Lives-5*time.Second)), 403)

			// The keys are rotated under the running process: the file is read
			// again, and the key before holds on.
			rotated, err := pass.Load(keyFile, time.Now().Add(pass.Rotate))
			if err != nil || len(rotated) != 2 {
				t.Fatal(err, len(rotated))
			}
			time.Sleep(1100 * time.Millisecond)
			ask(behind.Addr, "POST", "/a", signed(rotated[:1], time.Now()), 200)
			ask(behind.Addr, "POST", "/a", signed(keys, time.Now()), 200)
			ask(behind.Addr, "POST", "/a", signed(pass.Keys{{Secret: []byte("of somebody else")}}, time.Now()), 403)

			// While the daemon is away a location that fails open lets requests
			// go on without a pass: a backend that verifies refuses them.
			_ = r.daemon.Process.Kill()
			_, _ = r.daemon.Process.Wait()
			ask(gateway.Addr, "POST", "/a", "", 403)
		})
	}
}
