package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/event/sink"
)

// records is where events go, and what becomes of the sinks.
type records struct {
	*sink.Out
}

// openRecords opens every sink of the configuration.
func (s *server) openRecords() error {
	out, err := sink.Open(s.loaded.Events, s.loaded.Server.StateDir, sink.Options{OnState: func(name string, err error) {
		if err != nil {
			s.log.Warn("an event sink does not work", "sink", name, "error", err)
			s.health.Degraded("sink "+name, err.Error())
			return
		}
		s.log.Info("an event sink works again", "sink", name)
		s.health.Recovered("sink " + name)
	}})
	if err != nil {
		return fmt.Errorf("open the events' sinks: %w", err)
	}
	s.records = records{out}
	s.metrics.Gauge("sallyport_event_queue", nil, func() float64 { return float64(out.Recorder.Stats().Waiting) })
	s.metrics.Gauge("sallyport_events_lost", nil, func() float64 { return float64(out.Recorder.Stats().Lost) })
	for _, one := range out.Recorder.Stats().Sinks {
		s.metrics.Gauge("sallyport_events_dropped", map[string]string{"sink": one.Name}, func() float64 {
			for _, now := range out.Recorder.Stats().Sinks {
				if now.Name == one.Name {
					return float64(now.Dropped)
				}
			}
			return 0
		})
	}
	return nil
}

// status fills in what became of the events.
func (r records) status(st *control.Status) {
	for _, s := range r.Recorder.Stats().Sinks {
		st.Sinks = append(st.Sinks, control.SinkStatus{Name: s.Name, Written: s.Written, Dropped: s.Dropped, Queued: s.Queued, Error: s.Trouble})
	}
}

// reload records that a policy was applied or refused.
func (r records) reload(verdict, text, policy string) {
	r.Recorder.Record(&event.Event{Kind: event.KindReload, Time: time.Now(), Verdict: verdict, Message: text, Policy: policy})
}

// note makes a function that records a part's message as an event.
func (r records) note(kind event.Kind, part string) func(string) {
	return func(message string) {
		r.Recorder.Record(&event.Event{Kind: kind, Time: time.Now(), Message: part + ": " + message})
	}
}

func (s *server) closeRecords(ctx context.Context) {
	if err := s.records.Close(ctx); err != nil {
		s.log.Warn("events that waited could not all be written", "error", err)
	}
}
