package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/sallyport/sallyport/daemon/config"
	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/inspect"
)

// records is where events go: every sink of the configuration.
type records struct {
	recorder inspect.Recorder
}

func openRecords(s *server, _ *config.Loaded, _ map[string][]*os.File) (*records, error) {
	return &records{recorder: journal{s.log}}, nil
}

func (r *records) begin(*server)         {}
func (r *records) reopen()               {}
func (r *records) close(context.Context) {}

// reload records that a policy was applied or refused.
func (r *records) reload(verdict, text, policy string) {
	r.recorder.Record(&event.Event{Kind: event.KindReload, Time: time.Now(), Verdict: verdict, Message: text, Policy: policy})
}

// journal writes a line per event to the daemon's own log.
type journal struct{ log *slog.Logger }

func (j journal) Record(e *event.Event) {
	ids := make([]string, 0, len(e.Findings))
	for _, f := range e.Findings {
		ids = append(ids, f.Check+":"+f.ID+"@"+f.Where)
	}
	j.log.Info("event", "kind", e.Kind, "id", e.ID, "client", e.Client.Addr(), "method", e.Method, "host", e.Host, "route", e.Route,
		"verdict", e.Verdict, "status", e.Status, "score", e.Score, "why", e.Why, "findings", ids, "message", e.Message)
}

func (r *records) status(*control.Status)  {}
func (r *records) control(*control.Server) {}

// note makes a function that records a part's message as an event.
func (r *records) note(part string) func(string) {
	kind := event.KindState
	if part == "audit" {
		kind = event.KindAudit
	}
	return func(message string) {
		r.recorder.Record(&event.Event{Kind: kind, Time: time.Now(), Message: part + ": " + message})
	}
}
