package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/daemon/check/limit"
	"github.com/sallyport/sallyport/daemon/config"
	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/policy"
)

// modes puts break glass in force in the inspector.
type modes struct{ s *server }

func (m modes) SetMode(c control.ModeChange) error {
	mode := map[string]policy.Mode{"off": policy.Off, "detect": policy.Detect, "enforce": policy.Enforce}
	to, ok := mode[c.Mode]
	if !ok {
		return fmt.Errorf("mode %q: expected off, detect or enforce", c.Mode)
	}
	if c.Route != "" && !m.known(c.Route) {
		return fmt.Errorf("no route is named %q; `sallyport status` lists them", c.Route)
	}
	m.s.change.Store(&c)
	m.s.inspector.SetOverride(&inspect.Override{Mode: to, Route: c.Route, Until: c.Until, Why: c.Why + " (by " + c.By + ")"})
	return nil
}

func (m modes) known(route string) bool {
	for _, site := range m.s.inspector.Policy().Sites {
		for _, r := range site.Routes {
			if r.Name == route {
				return true
			}
		}
	}
	return false
}

func (m modes) ClearMode() {
	m.s.change.Store(nil)
	m.s.inspector.SetOverride(nil)
}

func (m modes) ModeNow() *control.ModeChange {
	if m.s.inspector.Override(time.Now()) == nil {
		return nil
	}
	return m.s.change.Load()
}

// controlled is a check that answers verbs on the control socket. The patterns
// must be the same for every instance: the one of the policy in force answers.
type controlled interface {
	ControlHandlers() map[string]http.Handler
}

// handleChecks registers what the checks answer.
func (s *server) handleChecks() {
	for _, c := range s.loaded.Policy.Checks {
		part, ok := c.(controlled)
		if !ok {
			continue
		}
		for pattern := range part.ControlHandlers() {
			s.control.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
				for _, now := range s.parts.Load().Policy.Checks {
					if part, ok := now.(controlled); ok && now.Name() == c.Name() {
						part.ControlHandlers()[pattern].ServeHTTP(w, r)
						return
					}
				}
				control.Refuse(w, http.StatusNotFound, fmt.Errorf("check %s is not in the policy in force", c.Name()))
			})
		}
	}
}

// includeMetrics adds the metrics that the checks of the policy in force write
// themselves.
func (s *server) includeMetrics() {
	s.metrics.Include(func(w io.Writer) {
		for _, c := range s.parts.Load().Policy.Checks {
			if part, ok := c.(interface{ WriteMetrics(io.Writer) }); ok {
				part.WriteMetrics(w)
			}
		}
	})
}

// saveChecks lets the checks write what they keep, at the end.
func (s *server) saveChecks() {
	for _, c := range s.parts.Load().Policy.Checks {
		if part, ok := c.(interface{ Save() error }); ok {
			if err := part.Save(); err != nil {
				s.log.Warn("state could not be saved", "check", c.Name(), "error", err)
			}
		}
	}
}

func (s *server) openControl(sockets map[string][]*os.File) error {
	settings := s.loaded.Server
	s.metrics.Gauge("sallyport_held_requests", nil, func() float64 { return float64(s.door.Held()) })
	s.metrics.Gauge("sallyport_body_memory_bytes", nil, func() float64 { return float64(s.door.BodyMemory()) })
	s.metrics.Gauge("sallyport_door_connections", nil, func() float64 { return float64(s.door.Connections()) })
	s.includeMetrics()
	if settings.Metrics != "" {
		// Requests are guarded without it: a port that is taken, or a sandbox
		// that has Unix sockets alone, must not keep the daemon from them.
		if err := s.openMetrics(sockets); err != nil {
			s.log.Error("the metrics are on the control socket alone; under systemd, enable sallyport-metrics.socket and restart", "error", err)
		}
	}
	if settings.Control == "" && len(sockets["control"]) == 0 {
		return nil
	}
	s.control = control.NewServer(control.Settings{Socket: settings.Control, Group: settings.ControlGroup})
	control.HandleMetrics(s.control, s.metrics)
	control.HandleHealth(s.control, s.health)
	control.HandleMode(s.control, modes{s}, s.records.Recorder)
	control.HandleStatus(s.control, s.status, s.metrics.Status, s.health.Status, s.records.status)
	control.HandleEvents(s.control, s.records.Reader, s.records.Tail)
	s.sources.Handle(s.control, control.Caller, s.records.note(event.KindAudit, "sources"))
	s.control.Handle("GET /limits", limit.Handler(func() []*limit.Check { return limitsOf(s.parts.Load()) }))
	s.canaries.Handle(s.control)
	s.handleProofs()
	s.handleBypass()
	s.handleChecks()
	if len(sockets["control"]) == 0 {
		return s.control.Start()
	}
	for _, f := range sockets["control"] {
		l, err := net.FileListener(f)
		if err != nil {
			return fmt.Errorf("take the control socket from systemd: %w", err)
		}
		f.Close()
		s.control.Serve(l)
	}
	return nil
}

// handleProofs takes the result of sallyport prove as metrics.
func (s *server) handleProofs() {
	var sent, failed, at atomic.Int64
	s.metrics.Gauge("sallyport_proof_canaries", nil, func() float64 { return float64(sent.Load()) })
	s.metrics.Gauge("sallyport_proof_not_inspected", nil, func() float64 { return float64(failed.Load()) })
	s.metrics.Gauge("sallyport_proof_time_seconds", nil, func() float64 { return float64(at.Load()) })
	s.control.HandleFunc("POST /proved", func(w http.ResponseWriter, r *http.Request) {
		var report struct{ Sent, Failed int64 }
		if err := control.Read(r, &report); err != nil {
			control.Refuse(w, http.StatusBadRequest, err)
			return
		}
		sent.Store(report.Sent)
		failed.Store(report.Failed)
		at.Store(time.Now().Unix())
		control.Answer(w, report)
	})
}

func (s *server) openMetrics(sockets map[string][]*os.File) error {
	var l net.Listener
	var err error
	if files := sockets["metrics"]; len(files) > 0 {
		l, err = net.FileListener(files[0])
		files[0].Close()
	} else {
		l, err = net.Listen("tcp", s.loaded.Server.Metrics)
	}
	if err != nil {
		return fmt.Errorf("open the metrics listener %s: %w", s.loaded.Server.Metrics, err)
	}
	return control.ServeMetrics(l, s.metrics, s.health)
}

// status fills in what the daemon knows of itself.
func (s *server) status(st *control.Status) {
	loaded := s.parts.Load()
	st.Version, st.PID, st.Started = version, os.Getpid(), s.started
	st.Policy, st.Loaded = loaded.Policy.ID, time.Unix(0, s.applied.Load())
	if why := s.refused.Load(); why != nil {
		st.Refused = *why
	}
	st.Change = modes{s}.ModeNow()
	st.Held = s.door.Held()
	for _, site := range loaded.Policy.Sites {
		for _, r := range site.Routes {
			st.Routes = append(st.Routes, control.RouteStatus{Site: site.Name, Name: r.Name, Mode: r.Mode.String()})
		}
	}
	for _, c := range loaded.Policy.Checks {
		st.Checks = append(st.Checks, control.CheckStatus{Name: c.Name(), Detail: config.Detail(c)})
	}
}
