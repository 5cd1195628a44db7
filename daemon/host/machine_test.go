package host

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/host/nginxconf"
)

// examineText examines a configuration that no NGINX has run.
func examineText(t *testing.T, proc, text string, now time.Time) []Diagnosis {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nginx.conf")
	writeFile(t, path, text)
	c, err := nginxconf.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	d := &Doctor{Config: c, Now: now, Proc: proc}
	d.Examine()
	return d.Found
}

func certificate(t *testing.T, until time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.AddDate(-1, 0, 0), NotAfter: until}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cert.pem")
	writeFile(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return path
}

func TestDoctorLooksOverEncryption(t *testing.T) {
	now := time.Now()
	broken := filepath.Join(t.TempDir(), "cert.pem")
	writeFile(t, broken, "nothing")
	for _, c := range []struct {
		title, server string
		grade         Grade
		want          string
	}{
		{"an expired certificate", "ssl_certificate " + certificate(t, now.AddDate(0, 0, -1)) + ";", Bad, "ended on"},
		{"one about to expire", "ssl_certificate " + certificate(t, now.AddDate(0, 0, 8)) + ";", Weak, "ends in "},
		{"one that holds", "ssl_certificate " + certificate(t, now.AddDate(1, 0, 0)) + ";", Good, "holds until"},
		{"no certificate in its file", "ssl_certificate " + broken + ";", Bad, "holds no certificate"},
		{"a file that is not there", "ssl_certificate /none/cert.pem;", Weak, "cannot be read"},
		{"old TLS", "ssl_protocols TLSv1 TLSv1.2;", Weak, "takes TLSv1"},
		{"no HSTS", "", Weak, "no Strict-Transport-Security"},
	} {
		found := examineText(t, "", "http { server { listen 443 ssl; server_name a; "+c.server+" } }", now)
		if !has(found, c.grade, c.want) {
			t.Errorf("%s: %q was not found: %+v", c.title, c.want, found)
		}
	}
	plain := "http { server { listen 80; server_name a; include sallyport/server.conf; location / { set $sallyport_to @a; include sallyport/inline-open.conf; } location @a { proxy_pass http://127.0.0.1:1; } } }"
	path := filepath.Join(t.TempDir(), "nginx.conf")
	for _, name := range []string{"server", "inline-open"} {
		if err := os.MkdirAll(filepath.Join(filepath.Dir(path), "sallyport"), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(filepath.Dir(path), "sallyport", name+".conf"), "")
	}
	writeFile(t, path, plain)
	c, err := nginxconf.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	d := &Doctor{Config: c, Now: now}
	if d.Examine(); !has(d.Found, Weak, "answers in plain text") {
		t.Errorf("plain text was not found: %+v", d.Found)
	}
}

func TestDoctorTellsOfABackendThatListensForOthersToo(t *testing.T) {
	for _, c := range []struct{ address, listen, want string }{
		{"127.0.0.1:8080", "00000000:1F90", "every address"},
		{"127.0.0.1:8080", "0100007F:1F90", ""},
		{"localhost:8080", "0A00000A:1F90", "10.0.0.10"},
		{"[::1]:8080", "00000000000000000000000000000000:1F90", "every address"},
		{"127.0.0.1:8080", "00000000:1F91", ""},
		{"10.0.0.10:8080", "0A00000A:1F90", ""},
	} {
		proc := t.TempDir()
		if err := os.Mkdir(filepath.Join(proc, "net"), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(proc, "net", "tcp"), "  sl  local_address rem_address   st\n   0: "+c.listen+" 00000000:0000 0A 00000000:00000000\n")
		found := examineText(t, proc, "http { upstream u { server "+c.address+"; } server { location / { proxy_pass http://u; } } }", time.Now())
		if got := has(found, Weak, "it can be reached past NGINX"); got != (c.want != "") || got && !has(found, Weak, c.want) {
			t.Errorf("%+v: %+v", c, found)
		}
	}
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	text := fmt.Sprintf("http { server { location / { proxy_pass http://127.0.0.1:%d; } } }", l.Addr().(*net.TCPAddr).Port)
	if found := examineText(t, "/proc", text, time.Now()); !has(found, Weak, "listens on every address") {
		t.Errorf("a real listener was not found: %+v", found)
	}
}

func machine(door, audit string) []Diagnosis {
	d := &Doctor{Now: time.Now(), Proc: "/proc"}
	d.Machine(door, "nobody", "/", audit)
	return d.Found
}

func TestDoctorNamesTheCauseOnAStrangeMachine(t *testing.T) {
	dir, err := os.MkdirTemp("", "spm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if found := machine(filepath.Join(dir, "none.sock"), ""); !has(found, Bad, "the daemon does not run") {
		t.Errorf("no socket: %+v", found)
	}
	// systemd listens, and the daemon behind it does not come up.
	idle := filepath.Join(dir, "idle.sock")
	l, err := net.Listen("unix", idle)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			nc.Close()
		}
	}()
	if err := os.Chmod(idle, 0o660); err != nil {
		t.Fatal(err)
	}
	found := machine(idle, "")
	if !has(found, Bad, "nobody answers at the door") || !has(found, Bad, "may not use the door: it belongs to another group") {
		t.Errorf("a stopped daemon and a wrong owner: %+v", found)
	}
	for _, f := range found {
		if f.Grade != Good && f.Do == "" {
			t.Errorf("no next step: %+v", f)
		}
	}
	l.Close()
	book := filepath.Join(dir, "door.sock")
	serveDoor(t, book)
	if found := machine(book, ""); !has(found, Good, "the daemon answers") || !has(found, Good, "may use the door") {
		t.Errorf("a running daemon: %+v", found)
	}
	audit := filepath.Join(dir, "audit.log")
	writeFile(t, audit, strings.Repeat(`type=AVC msg=audit(1700000000.123:456): avc:  denied  { connectto } for  pid=99 comm="nginx" path="/run/sallyport/door.sock" scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:system_r:init_t:s0 tclass=unix_stream_socket permissive=0`+"\n", 3)+
		`type=AVC msg=audit(1700000000.123:457): avc:  denied  { write } for comm="nginx" name="other" scontext=system_u:system_r:httpd_t:s0`+"\n")
	if found := machine(book, audit); !has(found, Bad, "SELinux denied NGINX our sockets 3 times") {
		t.Errorf("SELinux's denials: %+v", found)
	}
}

func TestDoctorKnowsWorkersThatWereStartedBeforeTheGroupWas(t *testing.T) {
	proc := t.TempDir()
	for pid, status := range map[string]string{"10": "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t\n", "11": "Uid:\t33\t33\t33\t33\nGid:\t33\t33\t33\t33\nGroups:\t33 \n"} {
		if err := os.Mkdir(filepath.Join(proc, pid), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(proc, pid, "comm"), "nginx\n")
		writeFile(t, filepath.Join(proc, pid, "status"), status)
	}
	for gid, want := range map[uint32]bool{997: true, 33: false} {
		d := &Doctor{Proc: proc}
		if d.workers("door", gid); has(d.Found, Bad, "not in the door's group yet") != want {
			t.Errorf("group %d: %+v", gid, d.Found)
		}
	}
}
