package main

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/capture"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/event/redact"
	"github.com/sallyport/sallyport/daemon/event/store"
)

// storedEvents writes events into a store of their own and returns the flags
// that have a verb read it.
func storedEvents(t *testing.T, events ...*event.Event) []string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "events.db")
	s, note, err := store.Open(path, store.Options{MaxBytes: 16 << 20, MaxAge: 24 * time.Hour})
	if err != nil || note != "" {
		t.Fatal(err, note)
	}
	for _, e := range events {
		if n, err := s.Write([]event.Entry{{Event: e, JSON: event.AppendJSON(nil, e)}}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return []string{"--control", filepath.Join(dir, "no.sock"), "--store", path}
}

func offendingRequest(t *testing.T) *event.Event {
	t.Helper()
	body := `{"text":"an attack","password":"hunter2"}`
	return event.Redacted(&event.Event{
		Kind: event.KindRequest, Time: time.Now().Add(-time.Minute), ID: strings.Repeat("5f2a", 8),
		Client: netip.MustParseAddrPort("203.0.113.7:40123"), ServerAddr: netip.MustParseAddrPort("198.51.100.9:443"), TLSVersion: "TLSv1.3",
		Protocol: "HTTP/2.0", Method: "POST", Host: "api.example.org", URI: "/comments?token=sesame123456&q=union+select",
		Headers: []event.Field{{Name: "Content-Type", Value: "application/json"}, {Name: "Content-Length", Value: "41"},
			{Name: "Authorization", Value: "Bearer abcdefghijkl"}, {Name: "X-Split", Value: "a\r\nInjected: yes"}},
		Body: []byte(body), BodyBytes: int64(len(body)), Verdict: "deny", Status: 403, Mode: "enforce", Door: "leave",
	}, redact.New(nil), true)
}

func TestTheRequestOfAStoredEventIsWrittenAsACaptureThatEnginesOpen(t *testing.T) {
	e := offendingRequest(t)
	at := storedEvents(t, e)
	file := filepath.Join(t.TempDir(), "evidence.pcap")
	said, notes := runVerb(t, exitOK, "", append([]string{"events", "pcap", e.ID[:10], "--out", file}, at...)...)
	has(t, said, file, e.ID, "203.0.113.7:40123 to 198.51.100.9:80")
	has(t, notes, "over TLS to port 443", "HTTP/2.0", "Content-Length of", "written as spaces")

	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error("the capture can be read by others:", info.Mode(), err)
	}
	var found []*capture.Request
	if err := capture.Read(bytes.NewReader(raw), false, func(r *capture.Request) { found = append(found, r) }); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		t.Fatalf("%d requests are in the capture, 1 was expected", len(found))
	}
	got := found[0]
	if string(got.Method) != "POST" || string(got.URI) != e.URI || string(got.Body) != string(e.Body) ||
		got.Client.String() != "203.0.113.7:40123" || got.Server.String() != "198.51.100.9:80" {
		t.Errorf("the capture holds %s %s from %v to %v with %q", got.Method, got.URI, got.Client, got.Server, got.Body)
	}
	has(t, string(got.Raw), "Host: api.example.org\r\n", "Authorization: Bearer [redacted]\r\n", "X-Split: a  Injected: yes\r\n", `"an attack"`)
	for _, secret := range []string{"sesame", "abcdefghijkl", "hunter2"} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("%s stands in the capture", secret)
		}
	}

	asJSON, _ := runVerb(t, exitOK, "", append([]string{"events", "pcap", e.ID, "--json", "-o", file}, at...)...)
	var parsed struct {
		ID, File, Client string
		Notes            []string
	}
	if err := json.Unmarshal([]byte(asJSON), &parsed); err != nil || parsed.ID != e.ID || parsed.File != file || len(parsed.Notes) == 0 {
		t.Error(err, asJSON)
	}

	rules := filepath.Join(t.TempDir(), "one.rules")
	rule := `alert http any any -> any any (msg:"evidence"; http.method; content:"POST"; http.uri; content:"q=union"; http.request_body; content:"an attack"; sid:1; rev:1;)`
	if err := os.WriteFile(rules, []byte(rule+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	alerts, _ := runVerb(t, exitOK, "", "replay", file, "--rules", rules, "--json")
	has(t, alerts, `"sid":1`, "203.0.113.7:40123")
	t.Run("suricata", func(t *testing.T) { suricataAlertsOn(t, file, rules) })
	t.Run("tshark", func(t *testing.T) { tsharkOpens(t, file) })
}

func suricataAlertsOn(t *testing.T, file, rules string) {
	suricata, err := exec.LookPath("suricata")
	if err != nil {
		t.Skip("no suricata: apt-get install -t bookworm-backports suricata")
	}
	dir := t.TempDir()
	// Checksums are checked, unlike with -k none: those of the file are right.
	out, err := exec.Command(suricata, "-r", file, "-S", rules, "-l", dir, "-k", "all", "--runmode", "single").CombinedOutput()
	if err != nil {
		t.Fatalf("suricata: %v\n%s", err, out)
	}
	eve, err := os.ReadFile(filepath.Join(dir, "eve.json"))
	if err != nil {
		t.Fatal(err)
	}
	has(t, string(eve), `"event_type":"alert"`, `"signature_id":1,`, `"status":403`)
}

func tsharkOpens(t *testing.T, file string) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("no tshark: apt-get install tshark")
	}
	out, err := exec.Command(tshark, "-r", file, "-o", "tcp.check_checksum:TRUE", "-Y", "http.request", "-T", "fields", "-e", "http.request.method", "-e", "http.host", "-e", "tcp.checksum.status").Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	has(t, string(out), "POST\tapi.example.org\t1")
}

func TestAnEventThatIsNotAboutARequestHasNoCapture(t *testing.T) {
	reload := &event.Event{Kind: event.KindReload, Time: time.Now(), ID: strings.Repeat("a", 32), Message: "applied"}
	at := storedEvents(t, reload)
	file := filepath.Join(t.TempDir(), "none.pcap")
	_, why := runVerb(t, exitFailed, "", append([]string{"events", "pcap", reload.ID, "--out", file}, at...)...)
	has(t, why, "not about a request")
	_, why = runVerb(t, exitFailed, "", append([]string{"events", "pcap", "ffffffffffff", "--out", file}, at...)...)
	has(t, why, "no such event")
	_, why = runVerb(t, exitUsage, "", append([]string{"events", "pcap", reload.ID}, at...)...)
	has(t, why, "--out FILE")
	if _, err := os.Stat(file); err == nil {
		t.Error("a capture was written all the same")
	}
}
