package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/event/store"
)

// events asks the running daemon.
func (r *rig) events(query string) []*store.Record {
	r.t.Helper()
	q := eventQuery{socket: filepath.Join(r.nginx.Dir, "control.sock")}
	f, err := parseFilter(query)
	if err != nil {
		r.t.Fatal(err)
	}
	records, err := q.search(r.t.Context(), f)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, r.log.String())
	}
	return records
}

func TestADenialMeetsItsOutcomeInEveryMode(t *testing.T) {
	for _, mode := range []string{"inline", "relay"} {
		r := newRig(t, mode, "closed")
		r.start()
		_ = r.comment("hello")
		if got := r.comment("an attack"); got < 400 {
			t.Fatalf("%s: an attack was answered %d", mode, got)
		}
		var rec *store.Record
		r.until("the outcome is stored", func() bool {
			records := r.events("verdict=deny")
			if len(records) != 1 || records[0].Outcome == nil {
				return false
			}
			rec = records[0]
			return true
		})
		o := rec.Outcome.Outcome
		if o == nil || !o.Denied || o.Status != rec.Event.Status || o.UpstreamStatus != 0 || o.FailedOpen {
			t.Errorf("%s: event %s\noutcome %s", mode, rec.JSON, rec.OutJSON)
		}
		if len(rec.Event.Findings) == 0 || rec.Event.Findings[0].Where != "json:/text" {
			t.Errorf("%s: the event says %s", mode, rec.JSON)
		}
	}
}

func TestWhatFailedOpenWhileTheDaemonWasAwayBecomesAnEvent(t *testing.T) {
	r := newRig(t, "inline", "open")
	log := ""
	for _, name := range []string{"sallyport-open.log", "logs/sallyport-open.log"} {
		if _, err := os.Stat(filepath.Join(r.nginx.Dir, name)); err == nil {
			log = filepath.Join(r.nginx.Dir, name)
		}
	}
	if log == "" {
		t.Fatal("NGINX has no fail-open log")
	}
	config, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	r.write("sallyport.toml", strings.Replace(string(config), "[server]\n", "[server]\nfail_open_log = \""+log+"\"\n", 1))
	r.start()
	if err := r.daemon.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = r.daemon.Wait()
	if got := r.comment("an attack"); got != 200 {
		t.Fatalf("with the daemon away an attack was answered %d", got)
	}
	r.log = &syncBuffer{}
	r.start()
	var found []*store.Record
	r.until("the event of what failed open", func() bool {
		found = r.events("kind=fail-open")
		return len(found) > 0
	})
	e := found[0].Event
	if len(found) != 1 || e.Kind != event.KindFailOpen || e.Method != "POST" || e.URI != "/comments" || e.Outcome == nil || e.Outcome.Status != 200 || !e.Outcome.FailedOpen || e.Outcome.UpstreamStatus != 200 {
		t.Fatalf("%d events, the first %s", len(found), found[0].JSON)
	}
	var st control.Status
	if err := control.Get(t.Context(), filepath.Join(r.nginx.Dir, "control.sock"), "/status", &st); err != nil {
		t.Fatal(err)
	}
}
