package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/event"
)

// runVerb runs a verb as the command line would and returns what it printed.
func runVerb(t *testing.T, wantStatus int, stdin string, args ...string) (string, string) {
	t.Helper()
	var out, errOut bytes.Buffer
	if got := run(args, strings.NewReader(stdin), &out, &errOut); got != wantStatus {
		t.Fatalf("sallyport %s ended with %d, %d was expected\n%s%s", strings.Join(args, " "), got, wantStatus, out.String(), errOut.String())
	}
	return out.String(), errOut.String()
}

func has(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, w := range wants {
		if !strings.Contains(text, w) {
			t.Errorf("missing %q in:\n%s", w, text)
		}
	}
}

func TestADenialIsFoundShownExplainedAndReplayedWhetherTheDaemonRunsOrNot(t *testing.T) {
	r := newRig(t, "inline", "closed")
	r.start()
	socket := "--control=" + filepath.Join(r.nginx.Dir, "control.sock")
	db := "--store=" + filepath.Join(r.nginx.Dir, "events.db")
	req, err := http.NewRequest("POST", "http://"+r.nginx.Addr+"/comments?token=sesame123456", strings.NewReader(`{"text":"an attack","password":"hunter2"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer abcdefghijkl")
	resp, err := patient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode < 400 {
		t.Fatalf("answered %d", resp.StatusCode)
	}
	r.until("event and outcome are stored", func() bool {
		records := r.events("verdict=deny")
		return len(records) == 1 && records[0].Outcome != nil
	})
	id := resp.Header.Get("X-Request-Id")
	if len(id) != 32 {
		t.Fatalf("the denial's X-Request-Id is %q", id)
	}
	look := func(when string) {
		t.Run(when, func(t *testing.T) {
			table, _ := runVerb(t, exitOK, "", "events", socket, db, "--since", "1h", "--verdict", "deny", "--check", "schema")
			has(t, table, "VERDICT", "deny", fmt.Sprint(resp.StatusCode), "POST /comments", id[:12], "@json:/text")
			lines, _ := runVerb(t, exitOK, "", "events", socket, db, "--json", "--client", "127.0.0.0/8")
			if n := strings.Count(lines, "\n"); n != 2 {
				t.Fatalf("%d lines\n%s", n, lines)
			}
			for line := range strings.Lines(lines) {
				if e, err := event.Parse([]byte(line)); err != nil || e.ID != id {
					t.Fatal(err, line)
				}
			}
			show, _ := runVerb(t, exitOK, "", "events", "show", id[:10], socket, db)
			has(t, show, "POST /comments?token=[redacted] HTTP/1.", "Authorization: Bearer [redacted]", `"text":"an attack"`, "^^^^", "no backend saw it")
			words, _ := runVerb(t, exitOK, "", "explain", id, socket, db)
			has(t, words, "was denied with "+fmt.Sprint(resp.StatusCode), "Decided by this line of policy:", "schema", "at json:/text", "[[exception]]", "mode detect --for")
			both, _ := runVerb(t, exitOK, "", "explain", id, socket, db, "--json")
			var parsed struct{ Explanation string }
			if err := json.Unmarshal([]byte(both), &parsed); err != nil || !strings.Contains(parsed.Explanation, "Decided by") {
				t.Fatal(err, both)
			}
			curl, notes := runVerb(t, exitOK, "", "curl", id, socket, db, "--to", "http://127.0.0.1:1")
			has(t, curl, "curl --globoff", "--request POST", "'Authorization: Bearer [redacted]'", `"text":"an attack"`, "'http://127.0.0.1:1/comments?token=[redacted]'")
			has(t, notes, "staging's own secrets")
			for _, text := range []string{table, lines, show, words, both, curl} {
				for _, secret := range []string{"sesame", "hunter2", "abcdefghijkl"} {
					if strings.Contains(text, secret) {
						t.Errorf("%s is shown:\n%s", secret, text)
					}
				}
			}
			_, none := runVerb(t, exitFailed, "", "events", socket, db, "--client", "203.0.113.9")
			has(t, none, "no event meets these filters")
			_, gone := runVerb(t, exitFailed, "", "explain", "ffffffffffff", socket, db)
			has(t, gone, "no such event")
			runVerb(t, exitUsage, "", "events", socket, db, "--status", "many")
			runVerb(t, exitUsage, "", "events", socket, db, "--since", "whenever")
			runVerb(t, exitUsage, "", "explain", socket)
			runVerb(t, exitUsage, "", "curl", id, socket, db, "--to", "staging")
		})
	}
	look("while the daemon runs")
	whole, _ := runVerb(t, exitOK, "", "events", socket, db, "--json", "--verdict", "deny")
	if err := r.daemon.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = r.daemon.Wait()
	look("when it does not")
	offline, _ := runVerb(t, exitOK, whole, "explain", "-")
	has(t, offline, "at json:/text", "Decided by this line of policy:")
	_, missing := runVerb(t, exitFailed, "", "status", socket)
	has(t, missing, "the daemon is not running", "systemctl status sallyport")
	_, missing = runVerb(t, exitFailed, "", "events", socket, "--store=/nonexistent/events.db")
	has(t, missing, "the daemon is not running", "state_dir")
}

func TestARequestOnStandardInputIsJudgedAndExplainedWithoutADaemon(t *testing.T) {
	words, _ := runVerb(t, exitOK, `{"method":"GET","uri":"/s?q=%27+union+select+password+from+users--+","headers":{"Host":"x.org","Cookie":"sid=abcdefgh"}}`, "explain", "-")
	has(t, words, "was denied with 403", "at query:q", "^^^", "What would change it:", `where = "query:q"`)
	if strings.Contains(words, "abcdefgh") {
		t.Error("a cookie is shown")
	}
	clean, _ := runVerb(t, exitOK, `{"method":"GET","uri":"/index.html","headers":{"Host":"x.org"}}`, "explain", "-")
	has(t, clean, "was allowed", "No check had a finding that counts.")
	_, bad := runVerb(t, exitFailed, `{"neither":1}`, "explain", "-")
	has(t, bad, "neither an event nor a request")
	runVerb(t, exitFailed, "", "explain", "-")
}

func TestBreakingGlassLetsPassRecordsAndEndsByItself(t *testing.T) {
	r := newRig(t, "inline", "closed")
	r.start()
	socket := "--control=" + filepath.Join(r.nginx.Dir, "control.sock")
	runVerb(t, exitUsage, "", "mode", "detect", socket, "--why", "x")
	runVerb(t, exitUsage, "", "mode", "detect", socket, "--for", "1m")
	runVerb(t, exitUsage, "", "mode", "louder", socket)
	_, unknown := runVerb(t, exitFailed, "", "mode", "detect", socket, "--for", "1m", "--why", "x", "--route", "nowhere")
	has(t, unknown, "nowhere")
	out, _ := runVerb(t, exitOK, "", "mode", "detect", socket, "--for", "3s", "--why", "a false alarm")
	has(t, out, "Mode detect on all routes until", "a false alarm")
	if got := r.comment("an attack"); got != 200 {
		t.Errorf("with the glass broken an attack was answered %d", got)
	}
	status, _ := runVerb(t, exitOK, "", "status", socket)
	has(t, status, "BREAK GLASS: detect on all routes", "a false alarm", "Event sinks", "store", "Nothing is degraded.", "schema")
	r.until("the configuration rules again", func() bool { return r.comment("an attack") != 200 })
	r.until("would-deny and both audit events are stored", func() bool {
		return len(r.events("verdict=would-deny")) > 0 && len(r.events("kind=audit")) >= 2
	})
	audits := r.events("kind=audit")
	has(t, string(audits[0].JSON), "ended by itself")
	has(t, string(audits[len(audits)-1].JSON), "set by", "a false alarm", fmt.Sprintf("uid %d", os.Getuid()))
	out, _ = runVerb(t, exitOK, "", "mode", socket)
	has(t, out, "no change is in force")
	out, _ = runVerb(t, exitOK, "", "mode", socket, "--json")
	has(t, out, `{"change":null}`)
}

func TestFollowingShowsEventsAsTheyCome(t *testing.T) {
	r := newRig(t, "inline", "closed")
	r.start()
	binary, err := daemonBinary()
	if err != nil {
		t.Fatal(err)
	}
	var out syncBuffer
	c := exec.Command(binary, "events", "--follow", "--json", "--verdict", "deny", "--control="+filepath.Join(r.nginx.Dir, "control.sock"))
	c.Stdout, c.Stderr = &out, &out
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	r.until("a denial is followed", func() bool {
		r.comment("an attack")
		return strings.Count(out.String(), `"verdict":"deny"`) >= 2
	})
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("interrupted, it ended with %v\n%s", err, out.String())
	}
}

// What a verdict takes when every sink works, and when the file's disk is
// stalled and the syslog server stopped, in turns in one run. The times are
// printed and not judged; that drops are exact is.
func TestAStalledDiskAndAStoppedServerDelayNoVerdict(t *testing.T) {
	rigs := map[string]*rig{}
	for _, name := range []string{"sinks work", "sinks stalled"} {
		r := newRig(t, "inline", "closed")
		file := filepath.Join(r.nginx.Dir, "events.jsonl")
		more := ""
		if name == "sinks stalled" {
			if err := syscall.Mkfifo(file, 0o600); err != nil {
				t.Fatal(err)
			}
			reader, err := os.OpenFile(file, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			more = "[events.syslog]\naddress = \"tcp://127.0.0.1:1\"\n"
		}
		r.configure("closed", "[events]\nqueue = 64\nfile = \""+file+"\"\n"+more)
		r.start()
		rigs[name] = r
	}
	times := map[string][]time.Duration{}
	const rounds, each = 10, 60
	for range rounds {
		for name, r := range rigs {
			var mu sync.Mutex
			var wg sync.WaitGroup
			for range 4 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for range each / 4 {
						at := time.Now()
						if got := r.comment("an attack"); got < 400 {
							t.Errorf("%s: an attack was answered %d", name, got)
						}
						took := time.Since(at)
						mu.Lock()
						times[name] = append(times[name], took)
						mu.Unlock()
					}
				}()
			}
			wg.Wait()
		}
	}
	for _, name := range []string{"sinks work", "sinks stalled"} {
		ts := times[name]
		slices.Sort(ts)
		t.Logf("%-14s %d denials: p50 %v, p99 %v", name, len(ts), ts[len(ts)/2].Round(time.Microsecond), ts[len(ts)*99/100].Round(time.Microsecond))
	}
	socket := filepath.Join(rigs["sinks stalled"].nginx.Dir, "control.sock")
	var st control.Status
	rigs["sinks stalled"].until("every denial is accounted for", func() bool {
		st = control.Status{}
		if err := control.Get(context.Background(), socket, "/status", &st); err != nil {
			t.Fatal(err)
		}
		for _, k := range st.Sinks {
			if k.Name == "store" && k.Queued > 0 {
				return false
			}
		}
		return len(st.Degraded) > 0
	})
	dropped := map[string]uint64{}
	total := map[string]uint64{}
	for _, k := range st.Sinks {
		dropped[k.Name] = k.Dropped
		total[k.Name] = k.Written + k.Dropped + uint64(k.Queued)
	}
	if dropped["file"] == 0 || dropped["syslog"] == 0 || total["file"] != total["syslog"] || total["store"] != total["file"] || total["store"] < rounds*each {
		t.Errorf("written, dropped and queued do not add up: %+v", st.Sinks)
	}
	runVerb(t, exitFailed, "", "status", "--control", socket) // something is degraded
}
