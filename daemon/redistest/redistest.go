// Package redistest runs a real Redis, or Valkey, for tests. The binary is
// $REDIS, or redis-server or valkey-server on the path; a test is skipped,
// with the package to install, where there is none.
package redistest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Redis is a Redis on a Unix socket, and on TCP where a test asks for it.
type Redis struct {
	Dir    string
	Socket string // its address is "unix:" + Socket
	args   []string
	t      testing.TB
	cmd    *exec.Cmd
}

// Start runs Redis until the test ends, with more arguments than its defaults.
func Start(t testing.TB, args ...string) *Redis {
	t.Helper()
	binary(t)
	dir, err := os.MkdirTemp("", "spr") // short, for the socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &Redis{Dir: dir, Socket: filepath.Join(dir, "s"), t: t}
	r.args = append([]string{"--port", "0", "--unixsocket", r.Socket, "--save", "", "--appendonly", "no", "--dir", dir, "--loglevel", "warning"}, args...)
	t.Cleanup(r.Kill)
	r.Run()
	return r
}

func binary(t testing.TB) string {
	t.Helper()
	if b := os.Getenv("REDIS"); b != "" {
		return b
	}
	for _, b := range []string{"redis-server", "valkey-server"} {
		if p, err := exec.LookPath(b); err == nil {
			return p
		}
	}
	t.Skip("no redis-server: install it with apt-get install redis-server")
	return ""
}

// Run starts Redis again after Kill, empty.
func (r *Redis) Run() {
	r.t.Helper()
	_ = os.Remove(r.Socket)
	r.cmd = exec.Command(binary(r.t), r.args...)
	var out strings.Builder
	r.cmd.Stdout, r.cmd.Stderr = &out, &out
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	for range 500 {
		if c, err := net.Dial("unix", r.Socket); err == nil {
			c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.t.Fatalf("redis did not come up:\n%s", out.String())
}

// Kill ends Redis at once.
func (r *Redis) Kill() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Signal(syscall.SIGCONT)
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	r.cmd = nil
}

// Pause stops the process as SIGSTOP does; Resume lets it go on.
func (r *Redis) Pause()  { _ = r.cmd.Process.Signal(syscall.SIGSTOP) }
func (r *Redis) Resume() { _ = r.cmd.Process.Signal(syscall.SIGCONT) }

// Do sends one command in the inline form and returns the first of the answer.
func (r *Redis) Do(format string, args ...any) string {
	r.t.Helper()
	c, err := net.Dial("unix", r.Socket)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(c, format+"\r\n", args...)
	b := make([]byte, 64<<10)
	n, err := c.Read(b)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b[:n])
}

// Sentinel runs a Sentinel with the given configuration until the test ends.
func Sentinel(t testing.TB, conf string) {
	t.Helper()
	c := exec.Command(binary(t), conf, "--sentinel")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
}
