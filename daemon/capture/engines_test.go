package capture

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/event"
)

// evidenceFile writes what was seen of four requests as evidence: one without
// a body, one with, one whose body takes several segments, one over IPv6. A
// text stands in each: "evil" and its number.
func evidenceFile(t *testing.T) string {
	t.Helper()
	form := []event.Field{{Name: "Content-Type", Value: "application/x-www-form-urlencoded"}}
	large := "a=" + strings.Repeat("0123456789", 900) + "&b=evil3"
	events := []event.Event{
		{Method: "GET", URI: "/one?q=evil1", Client: netip.MustParseAddrPort("203.0.113.1:40001"), ServerAddr: netip.MustParseAddrPort("198.51.100.9:80")},
		{Method: "POST", URI: "/two", Headers: form, Body: []byte("a=evil2"), BodyBytes: 7,
			Client: netip.MustParseAddrPort("203.0.113.2:40002"), ServerAddr: netip.MustParseAddrPort("198.51.100.9:80")},
		{Method: "POST", URI: "/three", Headers: form, Body: []byte(large), BodyBytes: int64(len(large)),
			Client: netip.MustParseAddrPort("203.0.113.3:40003"), ServerAddr: netip.MustParseAddrPort("198.51.100.9:80")},
		{Method: "GET", URI: "/four?q=evil4", Client: netip.MustParseAddrPort("[2001:db8::4]:40004"), ServerAddr: netip.MustParseAddrPort("[2001:db8::9]:80")},
	}
	file := filepath.Join(t.TempDir(), "evidence.pcap")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		e := &events[i]
		e.Protocol, e.Host, e.Time = "HTTP/1.1", "x.test", time.Unix(1_700_000_000+int64(i), 0)
		c, _, err := Evidence(e, 403)
		if err == nil {
			err = w.Write(c)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWiresharkReadsTheEvidence(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("no tshark: apt-get install tshark")
	}
	out, err := exec.Command(tshark, "-r", evidenceFile(t), "-o", "tcp.check_checksum:TRUE", "-Y", "http.request", "-T", "fields", "-E", "separator=|",
		"-e", "ip.src", "-e", "ipv6.src", "-e", "tcp.srcport", "-e", "http.request.method", "-e", "http.request.uri", "-e", "http.content_length", "-e", "tcp.checksum.status").Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	want := `203.0.113.1||40001|GET|/one?q=evil1||1
203.0.113.2||40002|POST|/two|7|1
203.0.113.3||40003|POST|/three|9010|1
|2001:db8::4|40004|GET|/four?q=evil4||1
`
	if string(out) != want {
		t.Errorf("tshark reads\n%s, expected\n%s", out, want)
	}
	odd, err := exec.Command(tshark, "-r", evidenceFile(t), "-Y", "tcp.analysis.flags || _ws.malformed").Output()
	if err != nil || len(odd) > 0 {
		t.Errorf("tshark finds the streams odd: %v\n%s", err, odd)
	}
}

func TestSuricataAlertsOnTheEvidence(t *testing.T) {
	suricata, err := exec.LookPath("suricata")
	if err != nil {
		t.Skip("no suricata: apt-get install -t bookworm-backports suricata")
	}
	dir := t.TempDir()
	rules := filepath.Join(dir, "own.rules")
	text := ""
	for i, buffer := range []string{"http.uri", "http.request_body", "http.request_body", "http.uri"} {
		text += fmt.Sprintf("alert http any any -> any any (msg:\"evidence\"; %s; content:\"evil%d\"; sid:%d;)\n", buffer, i+1, i+1)
	}
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(suricata, "-r", evidenceFile(t), "-S", rules, "-l", dir, "-k", "all", "--runmode", "single").CombinedOutput(); err != nil {
		t.Fatalf("suricata: %v\n%s", err, out)
	}
	eve, err := os.ReadFile(filepath.Join(dir, "eve.json"))
	if err != nil {
		t.Fatal(err)
	}
	alerts := map[int]string{}
	for _, line := range strings.Split(string(eve), "\n") {
		var e struct {
			Type  string `json:"event_type"`
			Src   string `json:"src_ip"`
			Alert struct {
				SID int `json:"signature_id"`
			} `json:"alert"`
		}
		if json.Unmarshal([]byte(line), &e) == nil && e.Type == "alert" {
			alerts[e.Alert.SID] += e.Src + " "
		}
	}
	want := map[int]string{1: "203.0.113.1 ", 2: "203.0.113.2 ", 3: "203.0.113.3 ", 4: "2001:0db8:0000:0000:0000:0000:0000:0004 "}
	for sid, src := range want {
		if alerts[sid] != src {
			t.Errorf("rule %d alerts on %q, expected %q", sid, alerts[sid], src)
		}
	}
	if len(alerts) != len(want) {
		t.Errorf("alerts: %v", alerts)
	}
}
