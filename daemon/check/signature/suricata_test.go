package signature_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/capture"
	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/signature"
	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
	"github.com/sallyport/sallyport/daemon/keyed"
)

// TestAgainstSuricata runs every rule of the conformance cases on every
// request of theirs, here and in a real Suricata, and compares the alerts of
// each connection. What may differ stands in testdata/suricata-differences,
// with the reason.
func TestAgainstSuricata(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	suricata, err := exec.LookPath("suricata")
	if err != nil {
		t.Skip("no suricata: apt-get install -t bookworm-backports suricata")
	}
	var rules []string
	var requests []conformance
	ruleOf := map[int]string{}
	for _, c := range readConformance(t) {
		if c.snort3 || c.verb != "match" && c.verb != "pass" {
			continue
		}
		requests = append(requests, c)
		if ruleOf[int(c.sid)] == "" && !strings.Contains(c.rule, "sallyport.") && !strings.Contains(c.rule, "bits:") && !strings.Contains(c.rule, "threshold") && !strings.Contains(c.rule, "detection_filter") {
			ruleOf[int(c.sid)] = c.rule
			rules = append(rules, c.rule)
		}
	}
	dir := t.TempDir()
	pcapFile, ruleFile := filepath.Join(dir, "cases.pcap"), filepath.Join(dir, "cases.rules")
	pcap := wirePcap(t, requests)
	if err := os.WriteFile(pcapFile, pcap, 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(rules, "\n") + "\n"
	if err := os.WriteFile(ruleFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(suricata, "-r", pcapFile, "-S", ruleFile, "-l", dir, "-k", "none", "--runmode", "single", "--set", "packet-alert-max=255").CombinedOutput()
	if err != nil {
		t.Fatalf("suricata: %v\n%s", err, out)
	}
	unloaded := refusedBySuricata(out)
	theirs := suricataAlerts(t, filepath.Join(dir, "eve.json"))
	ours := ourAlerts(t, pcap, text)

	allowed := differences(t)
	seen := map[string]bool{}
	for i, c := range requests {
		client := clientOf(i).String()
		for sid := range ruleOf {
			us, them := slices.Contains(ours[client], sid), slices.Contains(theirs[client], sid)
			if us == them || unloaded[sid] {
				continue
			}
			key := fmt.Sprintf("%s | %s", ruleOptions(ruleOf[sid]), c.request)
			if allowed[key] || allowed[ruleOptions(ruleOf[sid])+" | *"] {
				seen[key] = true
				continue
			}
			t.Errorf("sallyport %v, suricata %v: %s", us, them, key)
		}
	}
	var names []string
	for sid := range unloaded {
		names = append(names, ruleOptions(ruleOf[sid]))
	}
	sort.Strings(names)
	t.Logf("%d rules on %d requests, %d allowed differences; not loaded by this Suricata: %s", len(rules), len(requests), len(seen), strings.Join(names, "\n\t"))
}

// ruleOptions is a rule without what the test added to it.
func ruleOptions(r string) string {
	_, r, _ = strings.Cut(r, "; ")
	return r[:strings.LastIndex(r, "; sid:")]
}

func refusedBySuricata(out []byte) map[int]bool {
	m := map[int]bool{}
	s := bufio.NewScanner(bytes.NewReader(out))
	for s.Scan() {
		if i := strings.Index(s.Text(), "error parsing signature"); i >= 0 {
			var sid int
			if j := strings.LastIndex(s.Text(), "sid:"); j > 0 {
				fmt.Sscanf(s.Text()[j+4:], "%d", &sid)
				m[sid] = true
			}
		}
	}
	return m
}

func suricataAlerts(t *testing.T, path string) map[string][]int {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := map[string][]int{}
	d := json.NewDecoder(f)
	for d.More() {
		var e struct {
			Type  string `json:"event_type"`
			Src   string `json:"src_ip"`
			Dst   string `json:"dest_ip"`
			SPort int    `json:"src_port"`
			DPort int    `json:"dest_port"`
			Alert struct {
				SID int `json:"signature_id"`
			}
		}
		if err := d.Decode(&e); err != nil {
			t.Fatal(err)
		}
		if e.Type == "alert" {
			addr, port := e.Src, e.SPort
			if e.SPort == 80 {
				addr, port = e.Dst, e.DPort
			}
			a, err := netip.ParseAddr(addr)
			if err != nil {
				t.Fatal(err)
			}
			client := netip.AddrPortFrom(a, uint16(port)).String()
			m[client] = append(m[client], e.Alert.SID)
		}
	}
	return m
}

func ourAlerts(t *testing.T, pcap []byte, rules string) map[string][]int {
	read := rule.NewFiles(nil)
	read.Parse("cases.rules", []byte(rules))
	s, err := signature.Build(read, signature.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := map[string][]int{}
	store := keyed.New(1<<12, 1)
	run := func(r *capture.Request, filter func(*keyword.Program) bool) {
		e := &keyword.Env{Now: r.Time, Client: r.Client, Server: r.Server, Flow: r.Flow(), Store: store, Size: len(r.Raw)}
		s.Match(&signature.Input{Request: r.Request, Env: e, Phase: check.Head | check.Body, Filter: filter}, func(h *signature.Hit) {
			m[r.Client.String()] = append(m[r.Client.String()], int(h.Rule.SID))
		})
	}
	err = capture.ReadBoth(bytes.NewReader(pcap), false, func(r *capture.Request) { run(r, nil) },
		func(r *capture.Request) { run(r, (*keyword.Program).Either) })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func differences(t *testing.T) map[string]bool {
	data, err := os.ReadFile("testdata/suricata-differences")
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]bool{}
	for _, line := range strings.Split(string(data), "\n") {
		if line != "" && line[0] != '#' {
			m[line] = true
		}
	}
	return m
}
