package sink

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/event/explain"
	"github.com/sallyport/sallyport/daemon/event/store"
)

// rsyslog is a real server with a configuration of its own, listening on all
// four transports and writing what it read to a file.
type rsyslog struct {
	t       *testing.T
	dir     string
	udp     int
	tcp     int
	tls     int
	process *exec.Cmd
}

func startRsyslog(t *testing.T) *rsyslog {
	t.Helper()
	path, err := exec.LookPath("rsyslogd")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/rsyslogd"); err != nil {
			t.Skip("rsyslogd is not installed: apt-get install rsyslog rsyslog-openssl")
		}
	}
	if found, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_ossl.so"); len(found) == 0 {
		t.Skip("rsyslog's TLS driver is not installed: apt-get install rsyslog-openssl")
	}
	dir, err := os.MkdirTemp("", "rs") // short, for the socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &rsyslog{t: t, dir: dir, udp: freePort(t), tcp: freePort(t), tls: freePort(t)}
	certificates(t, dir)
	conf := fmt.Sprintf(`
global(workDirectory=%q net.enableDNS="off" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off"
  defaultNetstreamDriverCAFile="%[1]s/ca.pem" defaultNetstreamDriverCertFile="%[1]s/server.pem" defaultNetstreamDriverKeyFile="%[1]s/server.key")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp")
template(name="seen" type="string" string="%%inputname%% pri=%%pri%% app=%%app-name%% pid=%%procid%% msgid=%%msgid%% msg=%%msg%%\n")
ruleset(name="all") { action(type="omfile" file="%[1]s/seen" template="seen") }
input(type="imuxsock" Socket="%[1]s/log.sock" useSpecialParser="off" parseHostname="on" ruleset="all" rateLimit.Interval="0")
input(type="imudp" address="127.0.0.1" port="%[2]d" ruleset="all" name="udp")
input(type="imtcp" address="127.0.0.1" port="%[3]d" ruleset="all" name="tcp")
input(type="imtcp" address="127.0.0.1" port="%[4]d" ruleset="all" name="tls" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
`, dir, r.udp, r.tcp, r.tls)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start(path)
	return r
}

func (r *rsyslog) start(path string) {
	r.t.Helper()
	r.process = exec.Command(path, "-n", "-f", filepath.Join(r.dir, "conf"), "-i", filepath.Join(r.dir, "pid"))
	var out bytes.Buffer
	r.process.Stdout, r.process.Stderr = &out, &out
	r.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.process.Start(); err != nil {
		r.t.Fatal(err)
	}
	p := r.process
	r.t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	wait(r.t, "rsyslogd to listen", func() bool {
		for _, port := range []int{r.tcp, r.tls} {
			c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
			if err != nil {
				return false
			}
			_ = c.Close()
		}
		_, err := os.Stat(filepath.Join(r.dir, "log.sock"))
		return err == nil
	})
}

func (r *rsyslog) stop() {
	_ = r.process.Process.Signal(syscall.SIGTERM)
	_ = r.process.Wait()
}

// seen are the lines of one input so far.
func (r *rsyslog) seen(input string) []string {
	b, _ := os.ReadFile(filepath.Join(r.dir, "seen"))
	var out []string
	for _, line := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(line, input+" ") {
			out = append(out, line)
		}
	}
	return out
}

func (r *rsyslog) settings(transport string) event.SyslogSettings {
	s := event.Defaults().Syslog
	switch transport {
	case "unix":
		s.Address = "unix://" + r.dir + "/log.sock"
	case "udp":
		s.Address = fmt.Sprintf("udp://127.0.0.1:%d", r.udp)
	case "tcp":
		s.Address = fmt.Sprintf("tcp://127.0.0.1:%d", r.tcp)
	case "tls":
		s.Address = fmt.Sprintf("tls://127.0.0.1:%d", r.tls)
		s.CAFile, s.ServerName = filepath.Join(r.dir, "ca.pem"), "logs.example"
	}
	return s
}

var transports = map[string]string{"unix": "imuxsock", "udp": "udp", "tcp": "tcp", "tls": "tls"}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func certificates(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "logs.example"}, DNSNames: []string{"logs.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"ca.pem": {Type: "CERTIFICATE", Bytes: der}, "server.pem": {Type: "CERTIFICATE", Bytes: der}, "server.key": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func wait(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain for " + what)
		}
	}
}

func entry(e *event.Event) event.Entry {
	return event.Entry{Event: e, JSON: event.AppendJSON(nil, e)}
}

func denial(n int) *event.Event {
	e := uriWith(fmt.Sprintf("/item/%d", n))
	e.ID = fmt.Sprintf("%032x", n)
	return e
}

func TestASyslogServerReadsWhatWasSentOverEveryTransport(t *testing.T) {
	r := startRsyslog(t)
	for transport, input := range transports {
		t.Run(transport, func(t *testing.T) {
			s, err := NewSyslog(r.settings(transport))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			const n = 200
			var es []event.Entry
			for i := range n {
				es = append(es, entry(denial(i)))
			}
			// Small bursts: a kernel drops datagrams past its receive buffer.
			for at := 0; at < n; at += 20 {
				if took, err := s.Write(es[at : at+20]); err != nil || took != 20 {
					t.Fatal(took, err)
				}
				wait(t, "rsyslogd to write", func() bool { return len(r.seen(input)) == at+20 })
			}
			for i, line := range r.seen(input) {
				want := fmt.Sprintf("%s pri=132 app=sallyport pid=%d msgid=request msg=", input, os.Getpid())
				msg, ok := strings.CutPrefix(line, want)
				if !ok {
					t.Fatalf("line %d: %.200s\nwanted %s", i, line, want)
				}
				e, err := event.Parse([]byte(strings.TrimSpace(msg)))
				if err != nil || transport != "udp" && e.ID != denial(i).ID {
					t.Fatalf("line %d: %v: %.300s", i, err, msg)
				}
			}
		})
	}
}

func TestATextMessageIsOneLineAndALongEventIsShortened(t *testing.T) {
	r := startRsyslog(t)
	settings := r.settings("tcp")
	long := denial(1)
	long.Body = []byte(strings.Repeat("a line\r\n", 1000))
	long.Headers = []event.Field{{Name: "X-Long", Value: strings.Repeat("x", 5000)}}
	s, err := NewSyslog(settings)
	if err != nil {
		t.Fatal(err)
	}
	settings.Format = "text"
	text, err := NewSyslog(settings)
	if err != nil {
		t.Fatal(err)
	}
	multi := denial(2)
	multi.Why = "two\nlines \x1b[31m"
	for _, w := range []struct {
		s *Syslog
		e *event.Event
	}{{s, long}, {text, multi}} {
		if n, err := w.s.Write([]event.Entry{entry(w.e)}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		defer w.s.Close()
	}
	wait(t, "both messages", func() bool { return len(r.seen("tcp")) == 2 })
	all := strings.Join(r.seen("tcp"), "\n")
	if !strings.Contains(all, `"body_omitted":"shortened"`) || strings.Contains(all, "xxxxxxxx") || !strings.Contains(all, "deny 403 POST api.example.com/item/2: two lines  [31m id=") {
		t.Fatal(all)
	}
	settings.Format, settings.MaxBytes = "json", 480
	for _, e := range []*event.Event{long, multi} {
		tiny, err := NewSyslog(settings)
		if err != nil {
			t.Fatal(err)
		}
		if m := tiny.message(nil, entry(e)); len(m) > 480 {
			t.Fatalf("%d bytes: %s", len(m), m)
		}
	}
}

func TestAServerThatStopsLosesNothingThatItDidNotHave(t *testing.T) {
	r := startRsyslog(t)
	path := r.process.Path
	for _, transport := range []string{"unix", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			input := transports[transport]
			s, err := NewSyslog(r.settings(transport))
			if err != nil {
				t.Fatal(err)
			}
			rec := event.NewRecorder(event.RecorderOptions{Queue: 100, Sinks: []event.Sink{s}})
			before := len(r.seen(input))
			for i := range 50 {
				rec.Record(denial(i))
			}
			wait(t, "the first 50", func() bool { return len(r.seen(input)) >= before+50 })
			r.stop()
			const n = 2000
			for i := range n { // one after another, so that the recorder's own queue never fills
				wait(t, "the pump", func() bool { return rec.Stats().Waiting < 50 })
				rec.Record(denial(1000 + i))
			}
			wait(t, "the pump", func() bool { return rec.Stats().Waiting == 0 })
			st := rec.Stats()
			k := st.Sinks[0]
			if k.Trouble == "" || k.Dropped == 0 || st.Recorded != st.Lost+k.Written+k.Dropped+uint64(k.Queued) || st.Lost != 0 {
				t.Fatalf("with the server stopped: %+v", st)
			}
			r.start(path)
			wait(t, "the queue to empty", func() bool {
				s := rec.Stats()
				return s.Waiting == 0 && s.Sinks[0].Queued == 0 && s.Sinks[0].Trouble == ""
			})
			if err := rec.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			st = rec.Stats()
			k = st.Sinks[0]
			if st.Recorded != st.Lost+k.Written+k.Dropped {
				t.Fatalf("%+v", st)
			}
			wait(t, "all that was written", func() bool { return len(r.seen(input)) >= before+int(k.Written) })
			if got := len(r.seen(input)) - before; got != int(k.Written) {
				t.Fatalf("%d written, the server has %d", k.Written, got)
			}
		})
	}
}

func TestNoSeededSecretReachesAnySink(t *testing.T) {
	r := startRsyslog(t)
	dir := t.TempDir()
	s := event.Defaults()
	s.File, s.Stdout = filepath.Join(dir, "events.jsonl"), true
	s.Syslog = r.settings("tcp")
	var stdout bytes.Buffer
	out, err := Open(s, dir, Options{Stdout: &stdout})
	if err != nil {
		t.Fatal(err)
	}
	follower, err := out.Tail.Follow()
	if err != nil {
		t.Fatal(err)
	}
	secrets := seededSecrets()
	if len(secrets) != 50 {
		t.Fatalf("%d secrets", len(secrets))
	}
	for _, one := range secrets {
		out.Recorder.Record(one.e)
	}
	wait(t, "every sink", func() bool {
		for _, k := range out.Recorder.Stats().Sinks {
			if k.Written < 50 {
				return false
			}
		}
		return len(r.seen("tcp")) >= 50
	})
	records, err := out.Reader.Search(t.Context(), store.Filter{Limit: 1000})
	if err != nil || len(records) != 50 {
		t.Fatal(len(records), err)
	}
	sinks := map[string]string{"syslog": strings.Join(r.seen("tcp"), "\n")}
	var stored, shown strings.Builder
	for i := range records {
		stored.Write(records[i].JSON)
		if err := explain.Request(&shown, records[i].Event, nil, explain.Plain); err != nil {
			t.Fatal(err)
		}
		if err := explain.Decision(&shown, records[i].Event, nil, nil, explain.Plain); err != nil {
			t.Fatal(err)
		}
	}
	sinks["store"], sinks["show and explain"] = stored.String(), shown.String()
	var followed, text strings.Builder
	for range 50 {
		e := <-follower.C
		followed.Write(e.JSON)
		text.WriteString(textLine(e.Event))
	}
	sinks["follow"], sinks["syslog text"] = followed.String(), text.String()
	for _, one := range secrets { // what is searched by word
		found, err := out.Reader.Search(t.Context(), store.Filter{Text: one.secret})
		if err != nil || len(found) > 0 {
			t.Errorf("the store's words find %s: %v", one.secret, err)
		}
	}
	if err := out.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(s.File)
	if err != nil {
		t.Fatal(err)
	}
	sinks["file"], sinks["stdout"] = string(file), stdout.String()
	for name, have := range sinks {
		if len(have) < 5000 {
			t.Errorf("%s holds %d bytes only", name, len(have))
		}
		for i := range secrets {
			for _, form := range secrets[i].forms() {
				if strings.Contains(have, form) {
					at := strings.Index(have, form)
					t.Errorf("%s holds %s: ...%s...", name, form, have[max(0, at-120):min(len(have), at+60)])
					break
				}
			}
		}
	}
}

func TestAFileIsReopenedAfterRotationAndOnDemand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	f, err := NewFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(n int) {
		t.Helper()
		if took, err := f.Write([]event.Entry{entry(denial(n))}); took != 1 || err != nil {
			t.Fatal(took, err)
		}
	}
	lines := func(p string) int {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(b, []byte("\n"))
	}
	write(1)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	write(2)
	if lines(path) != 1 || lines(path+".1") != 1 {
		t.Fatal("after a signal", lines(path), lines(path+".1"))
	}
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	f.checked = time.Time{} // a second has passed
	write(3)
	if lines(path) != 1 || lines(path+".2") != 1 {
		t.Fatal("after a rotation without a signal", lines(path), lines(path+".2"))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Fatal(info.Mode(), err)
	}
}

func TestAFullDiskLeavesNoHalfLineAndNothingIsLost(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("a small file system cannot be mounted here (root is needed): " + err.Error())
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH) //nolint:errcheck // the test is over
	path := filepath.Join(dir, "events.jsonl")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 40<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rec := event.NewRecorder(event.RecorderOptions{Queue: 1000, Sinks: []event.Sink{f}})
	const n = 100
	for i := range n {
		rec.Record(denial(i))
	}
	wait(t, "the disk to be full", func() bool { return rec.Stats().Sinks[0].Trouble != "" })
	b, err := os.ReadFile(path)
	if err != nil || len(b) > 0 && b[len(b)-1] != '\n' {
		t.Fatalf("the file ends in half a line: %v", err)
	}
	if err := os.Truncate(ballast, 0); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	wait(t, "all to be written", func() bool { s := rec.Stats(); return s.Waiting == 0 && s.Sinks[0].Queued == 0 })
	if err := rec.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, line := range bytes.Split(bytes.TrimSpace(b), []byte("\n")) {
		if !json.Valid(line) {
			t.Fatalf("half a line: %s", line)
		}
		if bytes.Contains(line, []byte(`"action":"request"`)) {
			got++
		}
	}
	if got != n {
		t.Fatalf("%d of %d events are in the file", got, n)
	}
}

// stalledFile is a pipe that nobody reads: a write to it does not come back.
func stalledFile(t *testing.T) (path string, drain func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	t.Cleanup(func() { _ = reader.Close() })
	return path, func() { once.Do(func() { go func() { _, _ = io.Copy(io.Discard, reader) }() }) }
}

func TestAStalledDiskAndAStoppedServerDelayNoRecordAndDropsAreExact(t *testing.T) {
	path, drain := stalledFile(t)
	file, err := NewFile(path)
	if err != nil {
		t.Fatal(err)
	}
	nowhere := event.Defaults().Syslog
	nowhere.Address = fmt.Sprintf("tcp://127.0.0.1:%d", freePort(t))
	server, err := NewSyslog(nowhere)
	if err != nil {
		t.Fatal(err)
	}
	var good bytes.Buffer
	rec := event.NewRecorder(event.RecorderOptions{Queue: 256, Sinks: []event.Sink{file, server, NewStream(&good)}})
	const n = 20_000
	for i := range n {
		rec.Record(denial(i))
		if i%64 == 0 {
			wait(t, "the good sink", func() bool { s := rec.Stats(); return s.Waiting == 0 && s.Sinks[2].Queued == 0 })
		}
	}
	wait(t, "the good sink", func() bool { s := rec.Stats(); return s.Waiting == 0 && s.Sinks[2].Queued == 0 })
	var s event.Stats
	wait(t, "each record to be written, dropped or queued", func() bool {
		s = rec.Stats() // a sink's own trouble is a record too, and may be on its way
		return !slices.ContainsFunc(s.Sinks, func(k event.SinkStats) bool {
			return s.Recorded != k.Written+k.Dropped+uint64(k.Queued)
		})
	})
	if s.Lost != 0 || s.Sinks[2].Dropped != 0 {
		t.Fatalf("the sink that works lost something: %+v", s)
	}
	if s.Sinks[0].Dropped < n/2 || s.Sinks[1].Dropped < n/2 {
		t.Fatalf("%+v", s)
	}
	drain()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_ = rec.Close(ctx)
	s = rec.Stats()
	for _, k := range s.Sinks {
		if s.Recorded != s.Lost+k.Written+k.Dropped || k.Queued != 0 {
			t.Fatalf("after the end, %s: %d recorded, %d lost, %+v", k.Name, s.Recorded, s.Lost, k)
		}
	}
}

func TestTheJournalGetsAFieldForWhatIsSearchedFor(t *testing.T) {
	j, err := NewJournal()
	if err != nil {
		ownJournal(t)
		return
	}
	id := fmt.Sprintf("%032x", time.Now().UnixNano())
	e := denial(1)
	e.ID = id
	if n, err := j.Write([]event.Entry{entry(e)}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	wait(t, "journalctl to find it", func() bool {
		out, _ := exec.Command("journalctl", "-o", "json", "SALLYPORT_ID="+id).Output()
		return bytes.Contains(out, []byte(`"SALLYPORT_VERDICT":"deny"`)) && bytes.Contains(out, []byte(`"PRIORITY":"4"`))
	})
}

// ownJournal runs the test again beside a journal of its own, in a mount
// namespace where /run is empty, so that the machine's is left alone.
func ownJournal(t *testing.T) {
	const journald = "/usr/lib/systemd/systemd-journald"
	_, err := os.Stat(journald)
	if err != nil || os.Getuid() != 0 || os.Getenv("SALLYPORT_OWN_JOURNAL") != "" {
		t.Skip("systemd's journal does not run here, and one of its own needs root and the package systemd")
	}
	script := `mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/log/journal || exit 77
` + journald + ` >/run/log/out 2>&1 & journal=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -S /run/systemd/journal/socket ] && break; sleep 0.2; done
"$0" -test.run '^TestTheJournal' -test.v; result=$?
kill $journal; exit $result`
	c := exec.Command("unshare", "-m", "sh", "-c", script, os.Args[0])
	c.Env = append(os.Environ(), "SALLYPORT_OWN_JOURNAL=1")
	out, err := c.CombinedOutput()
	if c.ProcessState == nil || c.ProcessState.ExitCode() == 77 || bytes.Contains(out, []byte("--- SKIP")) {
		t.Skipf("a journal of its own cannot be run here: %v\n%s", err, out)
	}
	if err != nil || !bytes.Contains(out, []byte("--- PASS")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestOpenLeavesNothingOpenWhenASettingIsWrong(t *testing.T) {
	dir := t.TempDir()
	for key, change := range map[string]func(*event.Settings){
		"file":           func(s *event.Settings) { s.File = filepath.Join(dir, "no", "such", "folder") },
		"syslog.ca_file": func(s *event.Settings) { s.Syslog.Address, s.Syslog.CAFile = "tls://x", "/nowhere" },
		"syslog.cert_file": func(s *event.Settings) {
			s.Syslog.Address, s.Syslog.CertFile, s.Syslog.KeyFile = "tls://x", "/no", "/no"
		},
		"queue": func(s *event.Settings) { s.Queue = 0 },
	} {
		s := event.Defaults()
		change(&s)
		if _, err := Open(s, dir, Options{}); err == nil || !strings.HasPrefix(err.Error(), key+": ") {
			t.Errorf("%s: %v", key, err)
		}
	}
}
