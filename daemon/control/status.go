package control

import (
	"net/http"
	"time"
)

// Status is one screen of the daemon's state. Parts that do not apply are
// left empty.
type Status struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	// Policy is the hash of the policy in force and Loaded when it was applied.
	Policy string    `json:"policy"`
	Loaded time.Time `json:"policy_loaded"`
	// Refused is why the last reload was refused, empty after one that was not.
	Refused string `json:"reload_refused,omitempty"`

	Change *ModeChange   `json:"mode_change,omitempty"`
	Routes []RouteStatus `json:"routes"`
	Checks []CheckStatus `json:"checks"`

	// Judged and Denied count since the start.
	Judged uint64      `json:"judged"`
	Denied uint64      `json:"denied"`
	Rates  []RouteRate `json:"rates"`
	Held   int         `json:"held"`

	Sinks    []SinkStatus `json:"sinks"`
	Degraded []Condition  `json:"degraded"`
	Ready    bool         `json:"ready"`
	NotReady string       `json:"not_ready,omitempty"`
}

// RouteStatus is a route and the mode it is in, overrides left out.
type RouteStatus struct {
	Site string `json:"site"`
	Name string `json:"name"`
	Mode string `json:"mode"`
}

// CheckStatus is a check of the policy with a line about what it holds, such
// as "412 rules" or "model 2026-11-20, 65536 buckets".
type CheckStatus struct {
	Name   string `json:"name"`
	Detail string `json:"detail,omitempty"`
}

// SinkStatus is an event sink: what it wrote and what it lost.
type SinkStatus struct {
	Name    string `json:"name"`
	Written uint64 `json:"written"`
	Dropped uint64 `json:"dropped"`
	Queued  int    `json:"queued"`
	// Error is what ails it now, empty when it works.
	Error string `json:"error,omitempty"`
}

// StatusSource fills in what it knows of the status.
type StatusSource func(*Status)

// HandleStatus serves GET /status: each source in turn fills in its part.
func HandleStatus(s *Server, sources ...StatusSource) {
	s.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		var st Status
		for _, fill := range sources {
			fill(&st)
		}
		Answer(w, &st)
	})
}

// Status fills in rates and counts.
func (m *Metrics) Status(st *Status) {
	st.Judged, st.Denied = m.Requests()
	st.Rates = m.Rates()
}

// Status fills in what is degraded.
func (h *Health) Status(st *Status) {
	st.Degraded = h.Conditions()
	st.Ready, st.NotReady = h.IsReady()
}
