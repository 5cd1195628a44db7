package sink

import (
	"fmt"
	"io"
	"sync"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/sallyport/sallyport/daemon/event"
)

// Stream writes one JSON object a line to a stream such as standard output.
type Stream struct {
	w   io.Writer
	buf []byte
}

// NewStream writes to w and never closes it.
func NewStream(w io.Writer) *Stream { return &Stream{w: w} }

// Name is "stdout".
func (s *Stream) Name() string { return "stdout" }

// Write writes all entries at once; when that fails the lines that went out
// whole are taken.
func (s *Stream) Write(entries []event.Entry) (int, error) {
	s.buf = s.buf[:0]
	for _, e := range entries {
		s.buf = append(append(s.buf, e.JSON...), '\n')
	}
	n, err := s.w.Write(s.buf)
	if err == nil {
		return len(entries), nil
	}
	taken := 0
	for _, e := range entries {
		if n -= len(e.JSON) + 1; n < 0 {
			break
		}
		taken++
	}
	return taken, fmt.Errorf("write events to standard output: %w", err)
}

// Close does nothing.
func (s *Stream) Close() error { return nil }

// Journal sends events to systemd's journal: MESSAGE for people, and fields
// SALLYPORT_ID, _ROUTE, _VERDICT, _CHECKS and the whole event as SALLYPORT_JSON.
type Journal struct{}

// NewJournal fails where no journal listens.
func NewJournal() (*Journal, error) {
	if !journal.Enabled() {
		return nil, fmt.Errorf("events.journal: systemd's journal does not listen at /run/systemd/journal/socket; set journal = false, and stdout = true if need be")
	}
	return &Journal{}, nil
}

// Name is "journal".
func (*Journal) Name() string { return "journal" }

// Write sends a datagram for each entry.
func (*Journal) Write(entries []event.Entry) (int, error) {
	for i, e := range entries {
		fields := map[string]string{
			"SYSLOG_IDENTIFIER": "sallyport", "SALLYPORT_KIND": string(e.Event.Kind), "SALLYPORT_JSON": string(e.JSON),
		}
		for k, v := range map[string]string{
			"SALLYPORT_ID": e.Event.ID, "SALLYPORT_ROUTE": e.Event.Route, "SALLYPORT_VERDICT": e.Event.VerdictWord(), "SALLYPORT_CHECKS": checksOf(e.Event),
		} {
			if v != "" {
				fields[k] = v
			}
		}
		if err := journal.Send(e.Event.Summary(), journal.Priority(severity(e.Event)), fields); err != nil {
			return i, fmt.Errorf("send an event to the journal: %w", err)
		}
	}
	return len(entries), nil
}

// Close does nothing.
func (*Journal) Close() error { return nil }

// severity is syslog's number of an event's level (RFC 5424, table 2).
func severity(e *event.Event) int {
	switch e.Level() {
	case "error":
		return 3
	case "warn":
		return 4
	}
	return 6
}

func checksOf(e *event.Event) string {
	out := ""
	for i := range e.Findings {
		f := &e.Findings[i]
		if i > 0 {
			out += " "
		}
		out += f.Check + ":" + f.ID
	}
	return out
}

// Tail hands events on to whoever follows them now.
type Tail struct {
	mu        sync.Mutex
	followers map[*Follower]bool
}

// maxFollowers bounds those who follow at once.
const maxFollowers = 32

// NewTail has no follower.
func NewTail() *Tail { return &Tail{followers: map[*Follower]bool{}} }

// Follower gets events as they come.
type Follower struct {
	// C gives the events. One who is slow misses some.
	C    chan event.Entry
	tail *Tail
}

// Follow starts following; the follower must be stopped.
func (t *Tail) Follow() (*Follower, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.followers) >= maxFollowers {
		return nil, fmt.Errorf("follow events: %d follow already, no more are taken", maxFollowers)
	}
	f := &Follower{C: make(chan event.Entry, 1024), tail: t}
	t.followers[f] = true
	return f, nil
}

// Stop ends following.
func (f *Follower) Stop() {
	f.tail.mu.Lock()
	defer f.tail.mu.Unlock()
	delete(f.tail.followers, f)
}

// Name is "follow".
func (t *Tail) Name() string { return "follow" }

// Write never waits and takes everything.
func (t *Tail) Write(entries []event.Entry) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for f := range t.followers {
		for _, e := range entries {
			select {
			case f.C <- e:
			default:
			}
		}
	}
	return len(entries), nil
}

// Close does nothing.
func (t *Tail) Close() error { return nil }
