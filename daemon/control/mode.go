package control

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport/sallyport/daemon/event"
)

// MaxModeFor bounds how long break glass may last.
const MaxModeFor = 24 * time.Hour

// ModeChange is break glass: it lowers the mode of every route, or of one,
// for a time.
type ModeChange struct {
	// Mode is "off" or "detect".
	Mode string `json:"mode"`
	// Route is the route's name; empty means all.
	Route string `json:"route,omitempty"`
	// Until is when it ends by itself.
	Until time.Time `json:"until"`
	// Why is the reason that was given, By who gave it.
	Why string `json:"why"`
	By  string `json:"by"`
	// Since is when it began.
	Since time.Time `json:"since"`
}

// ModeSetter puts a change in force. It must end by itself at Until.
type ModeSetter interface {
	// SetMode puts c in force in place of any other; an unknown route is an error.
	SetMode(c ModeChange) error
	// ClearMode ends the change in force.
	ClearMode()
	// ModeNow is the change in force, or nil.
	ModeNow() *ModeChange
}

// ModeRequest is what `sallyport mode` sends; ForSeconds 0 ends the change.
type ModeRequest struct {
	Mode       string  `json:"mode"`
	Route      string  `json:"route,omitempty"`
	ForSeconds float64 `json:"for_seconds"`
	Why        string  `json:"why"`
}

// Recorder takes events, as event.Recorder does.
type Recorder interface{ Record(*event.Event) }

// HandleMode serves GET and POST /mode. Each change and its end are audit events.
func HandleMode(s *Server, setter ModeSetter, rec Recorder) {
	m := &modeHandler{setter: setter, rec: rec, now: time.Now}
	s.HandleFunc("GET /mode", func(w http.ResponseWriter, _ *http.Request) { Answer(w, m.state()) })
	s.HandleFunc("POST /mode", m.post)
}

type modeHandler struct {
	setter ModeSetter
	rec    Recorder
	now    func() time.Time

	mu    sync.Mutex
	timer *time.Timer
}

// ModeState is the answer of /mode.
type ModeState struct {
	// Change is in force, or nil when the configuration alone rules.
	Change *ModeChange `json:"change"`
}

func (m *modeHandler) state() ModeState { return ModeState{m.setter.ModeNow()} }

func (m *modeHandler) post(w http.ResponseWriter, r *http.Request) {
	var req ModeRequest
	if err := Read(r, &req); err != nil {
		Refuse(w, http.StatusBadRequest, err)
		return
	}
	by := Caller(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	var err error
	if req.Mode == "enforce" {
		m.clear(by, req.Why)
	} else {
		err = m.change(req, by)
	}
	if err != nil {
		Refuse(w, http.StatusBadRequest, err)
		return
	}
	Answer(w, m.state())
}

func (m *modeHandler) clear(by, why string) {
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
	old := m.setter.ModeNow()
	if old == nil {
		return
	}
	m.setter.ClearMode()
	m.audit(by, fmt.Sprintf("mode %s on %s was ended early by %s; the configuration rules again", old.Mode, routeWords(old.Route), by), why)
}

func (m *modeHandler) change(req ModeRequest, by string) error {
	span := time.Duration(req.ForSeconds * float64(time.Second))
	switch {
	case req.Mode != "detect" && req.Mode != "off":
		return fmt.Errorf("mode %q: detect, off or enforce (to end it) was expected", req.Mode)
	case span < time.Second || span > MaxModeFor:
		return fmt.Errorf("a time from 1s to %v was expected, %v was given", MaxModeFor, span)
	case req.Why == "":
		return errors.New("a reason is needed: it is recorded")
	}
	now := m.now()
	c := ModeChange{Mode: req.Mode, Route: req.Route, Why: req.Why, By: by, Since: now, Until: now.Add(span)}
	if err := m.setter.SetMode(c); err != nil {
		return err
	}
	m.audit(by, fmt.Sprintf("mode %s on %s until %s, set by %s", c.Mode, routeWords(c.Route), c.Until.UTC().Format(time.RFC3339), by), c.Why)
	if m.timer != nil {
		m.timer.Stop()
	}
	m.timer = time.AfterFunc(span, func() {
		m.audit("sallyport", fmt.Sprintf("mode %s on %s ended by itself; the configuration rules again", c.Mode, routeWords(c.Route)), c.Why)
	})
	return nil
}

func (m *modeHandler) audit(by, message, why string) {
	if m.rec == nil {
		return
	}
	m.rec.Record(&event.Event{Kind: event.KindAudit, Time: m.now(), Actor: by, Message: message, Why: why})
}

func routeWords(route string) string {
	if route == "" {
		return "all routes"
	}
	return "route " + route
}
