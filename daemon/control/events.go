package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/event/sink"
	"github.com/sallyport/sallyport/daemon/event/store"
)

// EventRecord is a stored event as /events answers it, one a line: both are
// objects of package event's own JSON.
type EventRecord struct {
	Event   json.RawMessage `json:"event"`
	Outcome json.RawMessage `json:"outcome,omitempty"`
}

// Parse reads both.
func (r *EventRecord) Parse() (*store.Record, error) {
	e, err := event.Parse(r.Event)
	if err != nil {
		return nil, err
	}
	rec := &store.Record{Event: e, JSON: r.Event}
	if len(r.Outcome) > 0 {
		if rec.Outcome, err = event.Parse(r.Outcome); err != nil {
			return nil, err
		}
		rec.OutJSON = r.Outcome
	}
	return rec, nil
}

// HandleEvents serves GET /events (a search, filters as store.ParseFilter has
// them, the newest first), GET /events/follow (events as they come, until the
// client leaves) and GET /events/{id}, a line of JSON each. reader may be nil:
// the store is off.
func HandleEvents(s *Server, reader *store.Reader, tail *sink.Tail) {
	h := eventsHandler{s, reader, tail}
	s.HandleFunc("GET /events", h.search)
	s.HandleFunc("GET /events/follow", h.follow)
	s.HandleFunc("GET /events/{id}", h.get)
}

type eventsHandler struct {
	server *Server
	reader *store.Reader
	tail   *sink.Tail
}

var errNoStore = errors.New("the event store is off: events.store = \"off\" in the configuration")

func (h eventsHandler) search(w http.ResponseWriter, r *http.Request) {
	f, err := store.ParseFilter(r.URL.Query())
	if err != nil {
		Refuse(w, http.StatusBadRequest, err)
		return
	}
	if h.reader == nil {
		Refuse(w, http.StatusConflict, errNoStore)
		return
	}
	records, err := h.reader.Search(r.Context(), f)
	if err != nil {
		Refuse(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for i := range records {
		if e.Encode(EventRecord{records[i].JSON, records[i].OutJSON}) != nil {
			return
		}
	}
}

func (h eventsHandler) get(w http.ResponseWriter, r *http.Request) {
	if h.reader == nil {
		Refuse(w, http.StatusConflict, errNoStore)
		return
	}
	rec, err := h.reader.Get(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, store.ErrNotFound):
		Refuse(w, http.StatusNotFound, err)
	case err != nil:
		Refuse(w, http.StatusBadRequest, err)
	default:
		Answer(w, EventRecord{rec.JSON, rec.OutJSON})
	}
}

func (h eventsHandler) follow(w http.ResponseWriter, r *http.Request) {
	f, err := store.ParseFilter(r.URL.Query())
	if err != nil {
		Refuse(w, http.StatusBadRequest, err)
		return
	}
	follower, err := h.tail.Follow()
	if err != nil {
		Refuse(w, http.StatusServiceUnavailable, err)
		return
	}
	defer follower.Stop()
	flusher := http.NewResponseController(w)
	_ = flusher.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	_ = flusher.Flush()
	for {
		select {
		case e := <-follower.C:
			if !f.Match(e.Event) {
				continue
			}
			if _, err := fmt.Fprintf(w, "{\"event\":%s}\n", e.JSON); err != nil {
				return
			}
			if len(follower.C) == 0 && flusher.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		case <-h.server.closing:
			return
		}
	}
}
