package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// sharedData finds the folder of shared test data, beside the repository.
func sharedData(t testing.TB, parts ...string) string {
	dir := os.Getenv("SALLYPORT_SHARED")
	if dir == "" {
		for up := filepath.Join("..", "..", ".."); len(up) < 30; up = filepath.Join("..", up) {
			if _, err := os.Stat(filepath.Join(up, "shared")); err == nil {
				dir = filepath.Join(up, "shared")
				break
			}
		}
	}
	path := filepath.Join(append([]string{dir}, parts...)...)
	if _, err := os.Stat(path); dir == "" || err != nil {
		t.Skip("no shared test data; set SALLYPORT_SHARED to the folder")
	}
	return path
}

// replayAlerts runs the verb and returns its alerts as sids by client.
func replayAlerts(t *testing.T, pcap, rules string) map[string][]int {
	var out, errs bytes.Buffer
	if code := run([]string{"replay", pcap, "--rules", rules, "--json"}, nil, &out, &errs); code != exitOK {
		t.Fatalf("exit status %d: %s", code, errs.String())
	}
	alerts := map[string][]int{}
	d := json.NewDecoder(&out)
	for d.More() {
		var a struct {
			SID int
			Src string
		}
		if err := d.Decode(&a); err != nil {
			t.Fatal(err)
		}
		alerts[a.Src] = append(alerts[a.Src], a.SID)
	}
	return alerts
}

func TestRealSuricataAgreesOnItsOwnCases(t *testing.T) {
	root := sharedData(t, "snort", "verify")
	cases, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name(), func(t *testing.T) {
			var want struct {
				Applicable []string `json:"applicable_sids"`
				Alerts     map[string]int
			}
			readJSON(t, filepath.Join(root, c.Name(), "expect.json"), &want)
			got := map[string]int{}
			for _, sids := range replayAlerts(t, filepath.Join(root, c.Name(), "input.pcap"), filepath.Join(root, c.Name(), "test.rules")) {
				for _, sid := range sids {
					got[strconv.Itoa(sid)]++
				}
			}
			for _, sid := range want.Applicable {
				if got[sid] != want.Alerts[sid] {
					t.Errorf("sid %s: %d alerts, Suricata has %d", sid, got[sid], want.Alerts[sid])
				}
			}
		})
	}
}

func TestRealEnginesAgreeOnRealRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	root := sharedData(t, "snort")
	for _, pcap := range []string{"exploits", "dev", "recorded"} {
		for _, corpus := range []string{"et-open-suri5-2021", "snort2-community-2022", "snort3-community-2025"} {
			t.Run(pcap+" "+corpus, func(t *testing.T) {
				var want struct {
					Applicable []int
					Alerts     map[string][]int
				}
				readJSON(t, filepath.Join(root, "oracle", pcap+"-"+corpus+".json"), &want)
				all := replayAlerts(t, filepath.Join(root, "oracle", pcap+".pcap"), filepath.Join(root, "corpora", corpus))
				got := map[string][]int{}
				for src, sids := range all {
					for _, sid := range sids {
						if slices.Contains(want.Applicable, sid) {
							got[src] = append(got[src], sid)
						}
					}
				}
				for src := range want.Alerts {
					if _, ok := got[src]; !ok {
						got[src] = nil
					}
				}
				for src, sids := range got {
					slices.Sort(sids)
					real := slices.Clone(want.Alerts[src])
					slices.Sort(real)
					if !slices.Equal(sids, real) {
						t.Errorf("%s: alerts %v, the real engine has %v", src, sids, real)
					}
				}
			})
		}
	}
}

func readJSON(t *testing.T, path string, v any) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}
