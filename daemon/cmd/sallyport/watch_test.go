package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/daemon/capture/watch"
)

// within runs f with its sockets in a network namespace; the thread that
// entered it ends with f.
func within(t *testing.T, ns string, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		file, err := os.Open("/run/netns/" + ns)
		if err == nil {
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
			file.Close()
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWatchReportsWhoPassesByTheGatewayBetweenNetworkNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip: install iproute2")
	}
	back, front := fmt.Sprintf("spb%d", os.Getpid()), fmt.Sprintf("spf%d", os.Getpid())
	ip := func(args string) error {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
		return nil
	}
	for _, ns := range []string{back, front} {
		if err := ip("netns add " + ns); err != nil {
			t.Skip("network namespaces are not to be had here: ", err)
		}
		t.Cleanup(func() { _ = ip("netns del " + ns) })
	}
	for _, line := range []string{
		"-n " + back + " link add v0 type veth peer name v1 netns " + front,
		"-n " + back + " link set lo up", "-n " + back + " link set v0 up", "-n " + front + " link set v1 up",
		"-n " + back + " addr add 10.9.0.1/24 dev v0", "-n " + back + " addr add fd09::1/64 dev v0 nodad",
		"-n " + front + " addr add 10.9.0.2/24 dev v1", "-n " + front + " addr add 10.9.0.3/24 dev v1",
		"-n " + front + " addr add fd09::2/64 dev v1 nodad", "-n " + front + " addr add fd09::3/64 dev v1 nodad",
	} {
		if err := ip(line); err != nil {
			t.Fatal(err)
		}
	}
	backends, vlan := "10.9.0.1:8080,[fd09::1]:8080,127.0.0.1:8080", false
	if ip("-n "+back+" link add link v0 name v0.7 type vlan id 7") == nil {
		for _, line := range []string{"-n " + back + " link set v0.7 up", "-n " + back + " addr add 10.9.7.1/24 dev v0.7",
			"-n " + front + " link add link v1 name v1.7 type vlan id 7", "-n " + front + " link set v1.7 up", "-n " + front + " addr add 10.9.7.3/24 dev v1.7"} {
			if err := ip(line); err != nil {
				t.Fatal(err)
			}
		}
		backends, vlan = backends+",10.9.7.1:8080", true
	}

	dir := t.TempDir()
	binary := filepath.Join(dir, "sallyport")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	within(t, back, func() error {
		l, err := net.Listen("tcp", ":8080")
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(io.Discard, c); c.Close() }()
			}
		}()
		return nil
	})
	cmd := exec.Command("ip", "netns", "exec", back, binary, "watch", "--json", "--interface", "v0,lo", "--backend", backends,
		"--gateway", "10.9.0.2,fd09::2", "--user", "nobody", "--control", filepath.Join(dir, "none"))
	stdout, _ := cmd.StdoutPipe()
	stderr, _ := cmd.StderrPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	messages := bufio.NewReader(stderr)
	for line := ""; !strings.HasPrefix(line, "watching"); {
		var err error
		if line, err = messages.ReadString('\n'); err != nil {
			t.Fatal("watch did not start: ", line, err)
		}
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	go func() { _, _ = io.Copy(io.Discard, messages) }()
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	for _, want := range []string{"CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the watch kept privileges after opening its interfaces:\n%s", status)
		}
	}

	ask := func(ns, from, to string) {
		within(t, ns, func() error {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
			c, err := d.Dial("tcp", to)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = io.WriteString(c, "GET /orders?token=s3cret HTTP/1.1\r\nHost: a\r\n\r\n")
			return err
		})
	}
	ask(front, "10.9.0.2", "10.9.0.1:8080")
	ask(front, "fd09::2", "[fd09::1]:8080")
	ask(front, "10.9.0.3", "10.9.0.1:8080")
	ask(front, "10.9.0.3", "10.9.0.1:8080")
	ask(front, "fd09::3", "[fd09::1]:8080")
	ask(back, "127.0.0.1", "127.0.0.1:8080")
	want := map[string]uint64{"10.9.0.3": 2, "fd09::3": 1, "127.0.0.1": 1}
	if vlan {
		ask(front, "10.9.7.3", "10.9.7.1:8080")
		want["10.9.7.3"] = 1
	}
	time.Sleep(300 * time.Millisecond) // the frames are on their way to the watch
	_ = cmd.Process.Signal(os.Interrupt)
	got := map[string]uint64{}
	for d := json.NewDecoder(stdout); ; {
		var f watch.Finding
		if err := d.Decode(&f); err != nil {
			break
		}
		got[f.Source.String()] += f.New
		if f.Request != "GET /orders?... HTTP/1.1" {
			t.Errorf("%s: request line %q", f.Source, f.Request)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error("watch ended with ", err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("reported %v, want %v", got, want)
	}
}
