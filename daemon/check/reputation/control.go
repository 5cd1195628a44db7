package reputation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// BanRequest is the body of POST /ban and /unban.
type BanRequest struct {
	Address string `json:"address"` // or a network
	Seconds int64  `json:"seconds,omitempty"`
	Why     string `json:"why,omitempty"`
}

// Mux is what Handle needs of the control socket.
type Mux interface {
	Handle(pattern string, h http.Handler)
}

// Handle registers the Book's handlers: GET /sources, GET /bans, POST /ban and
// POST /unban. caller names who sent a request; audit hears of each change.
func (b *Book) Handle(mux Mux, caller func(*http.Request) string, audit func(message string)) {
	mux.Handle("GET /sources", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("limit"))
		if err != nil || n <= 0 {
			n = 20
		}
		answer(w, http.StatusOK, b.Worst(n, b.o.Now()))
	}))
	mux.Handle("GET /bans", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		bans := b.Bans(b.o.Now())
		if bans == nil {
			bans = []Ban{}
		}
		answer(w, http.StatusOK, bans)
	}))
	mux.Handle("POST /ban", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := readBan(r)
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		p, err := ParsePrefix(in.Address)
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		by := caller(r)
		ban, err := b.BanPrefix(p, time.Duration(in.Seconds)*time.Second, in.Why, by, b.o.Now())
		if err != nil {
			status := http.StatusBadRequest
			if ban.Prefix.IsValid() {
				status = http.StatusInternalServerError // in force, but not in the file
			}
			refuse(w, status, err)
			return
		}
		audit(fmt.Sprintf("%s banned %s until %s: %s", by, ban.Prefix, ban.Until.UTC().Format(time.RFC3339), ban.Why))
		answer(w, http.StatusOK, ban)
	}))
	mux.Handle("POST /unban", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := readBan(r)
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		p, err := ParsePrefix(in.Address)
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		removed, err := b.Unban(p, b.o.Now())
		if err != nil {
			refuse(w, http.StatusInternalServerError, err)
			return
		}
		audit(fmt.Sprintf("%s unbanned %s (%d bans lifted)", caller(r), p, len(removed)))
		if removed == nil {
			removed = []Ban{}
		}
		answer(w, http.StatusOK, removed)
	}))
}

func readBan(r *http.Request) (in BanRequest, err error) {
	d := json.NewDecoder(io.LimitReader(r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return in, fmt.Errorf("read the request's body: %w", err)
	}
	if in.Address == "" {
		return in, errors.New("no address was given")
	}
	if in.Seconds < 0 || in.Seconds > 10*365*24*3600 {
		return in, fmt.Errorf("seconds is %d, expected up to ten years", in.Seconds)
	}
	return in, nil
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
}

func refuse(w http.ResponseWriter, status int, err error) {
	answer(w, status, map[string]string{"error": err.Error()})
}
