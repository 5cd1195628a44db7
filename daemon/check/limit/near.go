package limit

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"encoding/json"

	"github.com/sallyport/sallyport/daemon/keyed"
)

// nearShare is the part of a bound from which a key is listed.
const nearShare = 0.8

// maxNear bounds the listed keys; past it the one seen longest ago of a few
// gives way.
const maxNear = 512

// Row is one key near its bound, or past it.
type Row struct {
	Limit  string    `json:"limit"`
	Key    string    `json:"key"`
	Count  float64   `json:"count"`
	Amount float64   `json:"amount"`
	Window string    `json:"window,omitempty"` // empty for requests under way
	Action string    `json:"action"`
	Last   time.Time `json:"last"`
	// Refused is how many requests were refused since the key came near.
	Refused uint64 `json:"refused"`
	// RetryAfter is in seconds, as of Last.
	RetryAfter float64 `json:"retry_after_seconds,omitempty"`

	window time.Duration
	ended  bool // Key is what an outcome tells: no header's or claim's value
}

type near struct {
	mu   sync.Mutex
	rows map[keyed.Key]*Row
}

func newNear() *near { return &near{rows: map[keyed.Key]*Row{}} }

// note keeps a key in sight. Where many come near at once some are skipped:
// a request never waits for this.
func (n *near) note(l *limit, k keyed.Key, d *verdict, now time.Time, ended bool, label func() string) {
	if !n.mu.TryLock() {
		return
	}
	defer n.mu.Unlock()
	r := n.rows[k]
	if r == nil {
		if len(n.rows) >= maxNear {
			n.forgetOne()
		}
		r = &Row{Limit: l.Name, Action: l.Action, ended: true}
		n.rows[k] = r
	}
	if r.ended && (!ended || r.Key == "") {
		r.Key, r.ended = label(), ended
	}
	r.Count, r.Amount, r.window, r.Last, r.RetryAfter = d.count, d.amount, d.window, now, d.wait.Seconds()
	if d.refused {
		r.Refused++
	}
}

func (n *near) forgetOne() {
	var victim keyed.Key
	var oldest time.Time
	i := 0
	for k, r := range n.rows {
		if i == 0 || r.Last.Before(oldest) {
			victim, oldest = k, r.Last
		}
		if i++; i == 8 {
			break
		}
	}
	delete(n.rows, victim)
}

// Near lists the keys near their bounds, the fullest first. A key that was not
// seen for a window is no longer near.
func (c *Check) Near(now time.Time) []Row {
	n := c.near
	n.mu.Lock()
	out := make([]Row, 0, len(n.rows))
	for k, r := range n.rows {
		if now.Sub(r.Last) > max(r.window, time.Minute) {
			delete(n.rows, k)
			continue
		}
		row := *r
		if r.window > 0 {
			row.Window = Rate{0, r.window}.String()[2:]
		}
		out = append(out, row)
	}
	n.mu.Unlock()
	slices.SortFunc(out, func(a, b Row) int {
		x, y := a.Count/a.Amount, b.Count/b.Amount
		switch {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return b.Last.Compare(a.Last)
	})
	return out
}

// Near lists the keys near the bounds of several checks, at most n.
func Near(checks []*Check, now time.Time, n int) []Row {
	var out []Row
	seen := map[*near]bool{}
	for _, c := range checks {
		if !seen[c.near] {
			seen[c.near] = true
			out = append(out, c.Near(now)...)
		}
	}
	slices.SortStableFunc(out, func(a, b Row) int {
		switch x, y := a.Count/a.Amount, b.Count/b.Amount; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return out[:min(len(out), max(n, 0))]
}

// Handler serves GET /limits for the checks in force.
func Handler(current func() []*Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("limit"))
		if err != nil || n <= 0 {
			n = 50
		}
		rows := Near(current(), time.Now(), n)
		if rows == nil {
			rows = []Row{}
		}
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		_ = e.Encode(rows)
	})
}
