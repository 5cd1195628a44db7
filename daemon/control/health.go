package control

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxConditions bounds what Health keeps; past it new names are dropped.
const maxConditions = 64

// Condition is something that does not work as it should, and since when.
type Condition struct {
	// Name is the part: "sink syslog", "model", "redis".
	Name string `json:"name"`
	// Detail says what is wrong and what to do.
	Detail string    `json:"detail"`
	Since  time.Time `json:"since"`
}

// Health is what is degraded, and whether the daemon takes requests. It is
// safe for concurrent use.
type Health struct {
	mu         sync.Mutex
	ready      bool
	notReady   string
	conditions map[string]Condition
	now        func() time.Time
}

// NewHealth is not ready and has no condition.
func NewHealth() *Health {
	return &Health{conditions: map[string]Condition{}, now: time.Now, notReady: "starting"}
}

// Ready says that requests are taken; NotReady says why they are not.
func (h *Health) Ready() { h.setReady(true, "") }

// NotReady says that no requests are taken, and why.
func (h *Health) NotReady(why string) { h.setReady(false, why) }

func (h *Health) setReady(ready bool, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready, h.notReady = ready, why
}

// Degraded notes that a part does not work as it should. It keeps the time
// of the first note until Recovered; it reports whether this was the first.
func (h *Health) Degraded(name, detail string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, known := h.conditions[name]
	if !known && len(h.conditions) >= maxConditions {
		return false
	}
	c := Condition{Name: name, Detail: detail, Since: h.now()}
	if known {
		c.Since = old.Since
	}
	h.conditions[name] = c
	return !known
}

// Recovered ends a condition and reports whether there was one.
func (h *Health) Recovered(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, known := h.conditions[name]
	delete(h.conditions, name)
	return known
}

// Conditions are what is degraded, the oldest first.
func (h *Health) Conditions() []Condition {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Condition, 0, len(h.conditions))
	for _, c := range h.conditions {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Condition) int {
		if n := a.Since.Compare(b.Since); n != 0 {
			return n
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

// IsReady reports whether requests are taken, and why not.
func (h *Health) IsReady() (bool, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ready, h.notReady
}

// HandleHealth serves /healthz (200 while the process lives) and /readyz (200
// while requests are taken, else 503). Both list what is degraded, a line each.
func HandleHealth(s *Server, h *Health) {
	for pattern, handler := range healthHandlers(h) {
		s.Handle(pattern, handler)
	}
}

func healthHandlers(h *Health) map[string]http.Handler {
	return map[string]http.Handler{
		"GET /healthz": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			h.write(w, http.StatusOK, "ok")
		}),
		"GET /readyz": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if ready, why := h.IsReady(); !ready {
				h.write(w, http.StatusServiceUnavailable, "not ready: "+why)
				return
			}
			h.write(w, http.StatusOK, "ok")
		}),
	}
}

func (h *Health) write(w http.ResponseWriter, status int, first string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, first)
	for _, c := range h.Conditions() {
		fmt.Fprintf(w, "degraded: %s since %s: %s\n", c.Name, c.Since.UTC().Format(time.RFC3339), c.Detail)
	}
}
