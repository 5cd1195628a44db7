package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/endpoint/learn"
	"github.com/sallyport/sallyport/daemon/outcome"
)

// MaxLearnSeconds bounds how long the daemon learns after one request for it.
const MaxLearnSeconds = 7 * 24 * 3600

// Learn asks the daemon to learn from live traffic: POST /learn. Learning
// before is forgotten. GET /learn gives a learn.Result at any time, POST
// /learn/stop ends learning and forgets it.
type Learn struct {
	// Seconds after which it stops by itself, 1 to MaxLearnSeconds; what was
	// learned stays until /learn/stop.
	Seconds    int     `json:"seconds"`
	MinClients int     `json:"min_clients"`
	MinShare   float64 `json:"min_share"`
	Host       string  `json:"host,omitempty"`
	Examples   bool    `json:"examples,omitempty"`
	Strict     bool    `json:"strict,omitempty"`
	Title      string  `json:"title,omitempty"`
}

// tap passes calls on to a learner.
type tap struct {
	l     *learn.Learner
	until time.Time
}

func (t *tap) found(v *check.Visit, denied bool) {
	if v.Now.Before(t.until) {
		t.l.Add(learn.Call{Request: v.Request, Denied: denied})
	}
}

func (t *tap) ended(o *outcome.Outcome, path []byte) {
	if o.Time.Before(t.until) && !o.Denied {
		t.l.Ended(o.Method, path, o.Status, t.l.Client(o.Client), o.Time)
	}
}

func (c *Check) startLearning(w http.ResponseWriter, r *http.Request) {
	var ask Learn
	d := json.NewDecoder(io.LimitReader(r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&ask); err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("read what to learn: %w", err))
		return
	}
	if ask.Seconds < 1 || ask.Seconds > MaxLearnSeconds {
		refuse(w, http.StatusBadRequest, fmt.Errorf("seconds is %d, expected 1 to %d", ask.Seconds, MaxLearnSeconds))
		return
	}
	l := learn.New(learn.Options{MinClients: ask.MinClients, MinShare: ask.MinShare, Host: ask.Host, Examples: ask.Examples,
		Strict: ask.Strict, Title: ask.Title, Seed: rand.Uint64()})
	c.tap.Store(&tap{l, time.Now().Add(time.Duration(ask.Seconds) * time.Second)})
	answer(w, struct{}{})
}

func (c *Check) learned(w http.ResponseWriter, _ *http.Request) {
	t := c.tap.Load()
	if t == nil {
		refuse(w, http.StatusNotFound, errors.New("nothing is being learned; `sallyport learn --live` begins"))
		return
	}
	result, err := t.l.Result()
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	answer(w, result)
}

func (c *Check) stopLearning(w http.ResponseWriter, _ *http.Request) {
	c.tap.Store(nil)
	answer(w, struct{}{})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}
