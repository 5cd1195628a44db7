// Package nginxtest runs a real NGINX with Sallyport's include files, for
// tests. The binary is $NGINX, or nginx on the path; a test is skipped, with
// the package to install, where there is none.
package nginxtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// NGINX is a running NGINX. Everything it writes is below Dir.
type NGINX struct {
	Dir  string
	Addr string // 127.0.0.1:port of the first server
	Door string // the door's socket, for the daemon to listen on
	// Access is the datagram socket its access log goes to.
	Access string
	cmd    *exec.Cmd
}

// Binary finds NGINX or skips the test.
func Binary(t testing.TB) string {
	t.Helper()
	if b := os.Getenv("NGINX"); b != "" {
		return b
	}
	for _, b := range []string{"nginx", "/usr/sbin/nginx"} {
		if p, err := exec.LookPath(b); err == nil {
			return p
		}
	}
	t.Skip("no nginx: install it with apt-get install nginx-light")
	return ""
}

// Older tells whether NGINX is older than a version.
func Older(t testing.TB, major, minor, patch int) bool {
	t.Helper()
	said, err := exec.Command(Binary(t), "-v").CombinedOutput()
	if err != nil {
		t.Fatalf("nginx -v: %v: %s", err, said)
	}
	var have [3]int
	_, version, _ := strings.Cut(string(said), "nginx/")
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &have[0], &have[1], &have[2]); err != nil {
		t.Fatalf("no version in %q: %v", said, err)
	}
	return slices.Compare(have[:], []int{major, minor, patch}) < 0
}

// Conf is what a test adds to the frame: directives of http { }, and the body
// of the one server { }, whose listen directive is given.
type Conf struct {
	HTTP   string
	Server string
	// Listen is added behind the port, such as "http2".
	Listen string
	// Main stands outside http { }.
	Main string
	// OwnAccess leaves the access log's socket to the test; otherwise what
	// comes there is read and dropped.
	OwnAccess bool
	// Whole is a whole configuration in place of the frame and all the above.
	Whole string
}

// FreePort finds a TCP port that nothing listens on.
func FreePort(t testing.TB) int {
	t.Helper()
	var err error
	for range 100 {
		// Below the ports that the kernel gives to outgoing connections: one of
		// those would be taken again before the server listens.
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(17000))); err == nil {
			defer l.Close()
			return l.Addr().(*net.TCPAddr).Port
		}
	}
	t.Fatal(err)
	return 0
}

// Files is the folder of the include files in the repository.
func Files() string {
	_, self, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(self), "..", "..", "nginx")
}

// Start runs NGINX until the test ends. In the texts of c, DIR stands for the
// folder and PORT for the port.
func Start(t testing.TB, c Conf) *NGINX {
	t.Helper()
	n := prepare(t, c)
	if !c.OwnAccess {
		drain(t, n.Access)
	}
	n.cmd = exec.Command(Binary(t), "-p", n.Dir, "-c", filepath.Join(n.Dir, "nginx.conf"))
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var errors strings.Builder
	n.cmd.Stderr = &errors
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = n.cmd.Process.Signal(syscall.SIGTERM)
		_ = n.cmd.Wait()
	})
	for range 500 {
		if nc, err := net.Dial("tcp", n.Addr); err == nil {
			nc.Close()
			return n
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("nginx did not come up:\n%s\n%s", errors.String(), n.ErrorLog())
	return nil
}

func drain(t testing.TB, socket string) {
	t.Helper()
	pc, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		b := make([]byte, 64<<10)
		for {
			if _, _, err := pc.ReadFrom(b); err != nil {
				return
			}
		}
	}()
}

// Test runs nginx -t on a configuration and returns what it says.
func Test(t testing.TB, c Conf) (string, error) {
	t.Helper()
	n := prepare(t, c)
	out, err := exec.Command(Binary(t), "-t", "-p", n.Dir, "-c", filepath.Join(n.Dir, "nginx.conf")).CombinedOutput()
	return string(out), err
}

func prepare(t testing.TB, c Conf) *NGINX {
	t.Helper()
	Binary(t)
	// Short, for the name of a Unix socket has room for 107 bytes.
	dir, err := os.MkdirTemp("", "sp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	n := &NGINX{Dir: dir, Door: filepath.Join(dir, "door.sock"), Access: filepath.Join(dir, "access.sock")}
	port := FreePort(t)
	n.Addr = fmt.Sprintf("127.0.0.1:%d", port)
	if err := os.MkdirAll(filepath.Join(dir, "sallyport"), 0o755); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(Files(), "*.conf"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no include files in %s: %v", Files(), err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.NewReplacer("/run/sallyport", dir, "/var/log/nginx", dir).Replace(string(text))
		if err := os.WriteFile(filepath.Join(dir, "sallyport", filepath.Base(f)), []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	frame := `daemon off; user root; worker_processes 1; pid DIR/nginx.pid; error_log DIR/error.log warn;
` + c.Main + `
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
    client_max_body_size 50m;
    include sallyport/http.conf;
` + c.HTTP + `
    server {
        listen 127.0.0.1:PORT ` + c.Listen + `;
` + c.Server + `
    }
}
`
	if c.Whole != "" {
		frame = c.Whole
	}
	text := strings.NewReplacer("DIR", dir, "PORT", fmt.Sprint(port)).Replace(frame)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return n
}

// DropIdle makes NGINX close the connections it keeps for later: a reload
// replaces its worker. It returns when the old worker is gone.
func (n *NGINX) DropIdle(t testing.TB) {
	t.Helper()
	pid := n.cmd.Process.Pid
	children := func() string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	old := strings.Fields(children())
	if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		now := strings.Fields(children())
		if len(now) > 0 && !slices.ContainsFunc(now, func(p string) bool { return slices.Contains(old, p) }) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("nginx keeps its worker after a reload:\n%s", n.ErrorLog())
}

// ErrorLog is NGINX's error log so far.
func (n *NGINX) ErrorLog() string {
	b, err := os.ReadFile(filepath.Join(n.Dir, "error.log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}
