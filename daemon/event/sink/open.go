// Package sink takes events out of the daemon: to a file, standard output,
// systemd's journal, a syslog server, those who follow, and the store.
//
// Whoever wires the daemon opens all of them with one call:
//
//	out, err := sink.Open(settings, stateDir, sink.Options{OnState: ...})
//	inspector := inspect.New(policy, inspect.Options{Recorder: out.Recorder, ...})
//	control.HandleEvents(srv, out.Reader, out.Tail)
//	...
//	out.Recorder.Reopen()      // on SIGUSR1
//	out.Close(ctx)             // at the end: writes out what waits
package sink

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/event/redact"
	"github.com/sallyport/sallyport/daemon/event/store"
)

// Options are what settings do not say.
type Options struct {
	// Stdout takes the lines of events.stdout; nil means os.Stdout.
	Stdout io.Writer
	// OnState hears that a sink stopped working (err set) or works again.
	OnState func(sink string, err error)
}

// Out is everything that takes events.
type Out struct {
	Recorder *event.Recorder
	// Tail serves those who follow.
	Tail *Tail
	// Reader searches the store; nil when the store is off.
	Reader *store.Reader
}

// Open opens the sinks that the settings name. stateDir is where the store is
// kept unless the settings name a file; empty keeps none. An error leaves
// nothing open; a store that could not be used is begun anew, which is an event.
func Open(s event.Settings, stateDir string, o Options) (*Out, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	out := &Out{Tail: NewTail()}
	sinks, note, err := open(s, stateDir, o, out)
	if err != nil {
		for _, k := range sinks {
			_ = k.Close()
		}
		return nil, err
	}
	out.Recorder = event.NewRecorder(event.RecorderOptions{
		Queue: s.Queue, QueueBytes: s.QueueBytes, Bodies: s.Bodies, Redactor: redact.New(s.Redact),
		Sinks: append(sinks, out.Tail), OnState: o.OnState,
	})
	if note != "" {
		out.Recorder.Record(&event.Event{Kind: event.KindState, Time: time.Now(), Message: note})
	}
	return out, nil
}

func open(s event.Settings, stateDir string, o Options, out *Out) (sinks []event.Sink, note string, err error) {
	if s.File != "" {
		f, err := NewFile(s.File)
		if err != nil {
			return sinks, "", &event.SettingError{Key: "file", Err: err}
		}
		sinks = append(sinks, f)
	}
	if s.Stdout {
		w := o.Stdout
		if w == nil {
			w = os.Stdout
		}
		sinks = append(sinks, NewStream(w))
	}
	if s.Journal {
		j, err := NewJournal()
		if err != nil {
			return sinks, "", &event.SettingError{Key: "journal", Err: err}
		}
		sinks = append(sinks, j)
	}
	if s.Syslog.Address != "" {
		sl, err := NewSyslog(s.Syslog)
		if err != nil {
			return sinks, "", err
		}
		sinks = append(sinks, sl)
	}
	if path := s.StorePath(stateDir); path != "" {
		st, n, err := store.Open(path, store.Options{MaxBytes: s.StoreMaxBytes, MaxAge: s.StoreMaxAge()})
		if err != nil {
			return sinks, "", &event.SettingError{Key: "store", Err: err}
		}
		sinks, note = append(sinks, st), n
		if out.Reader, err = store.OpenReader(path); err != nil {
			return sinks, "", &event.SettingError{Key: "store", Err: err}
		}
	}
	return sinks, note, nil
}

// Close writes out what waits until ctx ends, then closes every sink.
func (o *Out) Close(ctx context.Context) error {
	err := o.Recorder.Close(ctx)
	if o.Reader != nil {
		err = errors.Join(err, o.Reader.Close())
	}
	return err
}
