package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// enterHead is what NGINX sends of a GET at ENTER: our metadata and what a
// browser-like client sends.
const enterHead = "GET /enter HTTP/1.1\r\nHost: shop.example\r\n" +
	"X-Sallyport-Meta: 1 0123456789abcdef0123456789abcdef 192.0.2.7 4711 203.0.113.1 443 99 TLSv1.3 TLS_AES_256_GCM_SHA384 HTTP/1.1 GET  1 inline\r\n" +
	"X-Sallyport-Uri: /a/b?x=1&y=%2e\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) like any\r\nAccept: text/html,*/*;q=0.8\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\nCookie: sid=0123456789abcdef\r\nReferer: https://shop.example/a\r\n\r\n"

// serveWithoutChecks runs the daemon as it is wired, in this process, with every
// check off, and returns a connection to its door.
func serveWithoutChecks(t testing.TB) net.Conn {
	t.Helper()
	dir, err := os.MkdirTemp("", "sp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "sallyport.toml")
	text := fmt.Sprintf("[server]\ndoor = %q\naccess = \"\"\ncontrol = \"\"\nstate_dir = %q\ntrusted_proxies = [\"10.0.0.0/8\"]\n", filepath.Join(dir, "door.sock"), dir) +
		"[defaults]\nmode = \"enforce\"\n[[site]]\nname = \"shop\"\nhosts = [\"shop.example\"]\n[[site.route]]\nname = \"a\"\npath = \"/a/{id}\"\ndeny = [\"198.51.100.0/24\"]\n"
	for _, name := range []string{"protocol", "pressure", "limit", "schema", "token", "signature", "score", "inventory"} {
		text += "[check." + name + "]\nmode = \"off\"\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := start(path, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	})
	nc, err := net.Dial("unix", filepath.Join(dir, "door.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// BenchmarkEnter is a round trip to the door, the client's side of it included.
// With -cpu 1 nothing but the two sides' work is in it.
func BenchmarkEnter(b *testing.B) { roundTrips(b, serveWithoutChecks(b)) }

// BenchmarkFloor is the same to the least that a Go server can do: read to the
// end of a head, answer 204 (cmd/doorfloor).
func BenchmarkFloor(b *testing.B) {
	dir, err := os.MkdirTemp("", "sp")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := nc.Read(buf)
			if err != nil || !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
				return
			}
			if _, err := io.WriteString(nc, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
				return
			}
		}
	}()
	nc, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	roundTrips(b, nc)
}

func roundTrips(b *testing.B, nc net.Conn) {
	out, in := []byte(enterHead), make([]byte, 4096)
	for b.Loop() {
		if _, err := nc.Write(out); err != nil {
			b.Fatal(err)
		}
		if _, err := nc.Read(in); err != nil {
			b.Fatal(err)
		}
	}
}

// The whole way of ENTER through the daemon as it is wired: bytes from the
// socket, head, client, site and route, source, verdict, metrics, answer.
func TestEnterWithoutChecksAllocatesNothing(t *testing.T) {
	nc := serveWithoutChecks(t)
	proxied := strings.TrimSuffix(strings.Replace(enterHead, "192.0.2.7", "10.0.0.1", 1), "\r\n")
	for _, c := range []struct{ title, head string }{
		{"let pass", enterHead},
		{"with a body to come", strings.Replace(enterHead, "GET  1 inline", "POST 5 0 inline", 1)},
		{"over IPv6", strings.Replace(enterHead, "192.0.2.7", "2001:db8::a:7", 1)},
		{"behind a trusted proxy", proxied + "X-Forwarded-For: 203.0.113.9, 192.0.2.9\r\n\r\n"},
		{"behind a trusted proxy over IPv6", proxied + "X-Forwarded-For: 2001:db8::1, [2001:db8:1:2:3:4:5:6]:443\r\n\r\n"},
		{"denied", strings.Replace(enterHead, "192.0.2.7", "198.51.100.7", 1)},
	} {
		out, in := []byte(c.head), make([]byte, 4096)
		one := func() {
			if _, err := nc.Write(out); err != nil {
				t.Fatal(err)
			}
			n, err := nc.Read(in)
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]string{true: "HTTP/1.1 403", false: "HTTP/1.1 204"}[c.title == "denied"]; !bytes.HasPrefix(in[:n], []byte(want)) {
				t.Fatalf("%s: answered %q, want %s", c.title, in[:n], want)
			}
		}
		for range 100 { // pools and the store fill
			one()
		}
		n := testing.AllocsPerRun(2000, one)
		t.Logf("%s: %v allocations a request", c.title, n)
		if n > 0 && c.title != "denied" { // a denial is an event, which is kept
			t.Errorf("%s: %v allocations a request, want none", c.title, n)
		}
	}
}
