package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/outcome"
)

// outcomes is where NGINX tells how requests ended. Events pass through it on
// their way to the sinks, so that each meets its outcome.
type outcomes struct {
	*event.Joined
	listener *outcome.Listener // nil when server.access is empty
	openLog  *outcome.OpenLog  // nil when NGINX notes nothing
	walk     atomic.Pointer[inspect.Inspector]
}

func (s *server) openOutcomes(sockets map[string][]*os.File) error {
	settings := s.loaded.Server
	o := &outcomes{}
	o.Joined = event.NewJoined(s.records.Recorder, func(one *outcome.Outcome) { s.ended(o, one) })
	s.outcomes = o
	if settings.FailOpenLog != "" && settings.StateDir != "" {
		o.openLog = outcome.NewOpenLog(settings.FailOpenLog, filepath.Join(settings.StateDir, "fail-open.position"), settings.Door)
	}
	var err error
	if files := sockets["access"]; len(files) > 0 {
		conn, err := net.FilePacketConn(files[0])
		if err != nil {
			return fmt.Errorf("take the access log's socket from systemd: %w", err)
		}
		files[0].Close()
		o.listener = outcome.Serve(conn, settings.Door, o.Ended)
	} else if settings.Access != "" {
		if o.listener, err = outcome.Listen(settings.Access, settings.DoorGroup, settings.Door, o.Ended); err != nil {
			return err
		}
	}
	if l := o.listener; l != nil {
		s.metrics.Gauge("sallyport_access_lines_total", nil, func() float64 { return float64(l.Counts().Received) })
		s.metrics.Gauge("sallyport_access_lines_malformed_total", nil, func() float64 { return float64(l.Counts().Malformed) })
		s.metrics.Gauge("sallyport_access_lines_dropped_total", nil, func() float64 { return float64(l.Counts().Dropped) })
	}
	return nil
}

// ended tells the walk's observers how a request ended.
func (s *server) ended(o *outcomes, one *outcome.Outcome) {
	s.metrics.Outcome(one.Status)
	if one.FailedOpen {
		s.metrics.FailedOpen(1)
	}
	if walk := o.walk.Load(); walk != nil {
		walk.Ended(one)
	}
}

// beginOutcomes lets outcomes reach the observers, and turns into events what
// NGINX let pass while no daemon answered.
func (s *server) beginOutcomes() {
	o := s.outcomes
	o.walk.Store(s.inspector)
	if o.openLog == nil {
		return
	}
	handled, skipped, err := o.openLog.Read(func(one *outcome.Outcome) {
		s.ended(o, one)
		s.records.Recorder.Record(event.OfFailOpen(one))
	})
	if err != nil {
		s.log.Warn("what failed open cannot be told", "error", err)
		s.health.Degraded("fail-open log", err.Error())
	}
	if handled+skipped > 0 {
		s.log.Warn("NGINX let requests pass unjudged while the daemon was away", "requests", handled, "unreadable", skipped)
	}
}

// closeOutcomes is called before the sinks are closed.
func (s *server) closeOutcomes() {
	o := s.outcomes
	if o.listener != nil {
		_ = o.listener.Close()
	}
	o.Close()
	if o.openLog != nil {
		// What failed open while this daemon lived came as a datagram, too.
		_, _, _ = o.openLog.Read(func(*outcome.Outcome) {})
	}
}
