package event

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/daemon/event/redact"
)

// Entry is an event as sinks get it: redacted, and encoded. Neither may be changed.
type Entry struct {
	Event *Event
	JSON  []byte // one object, no line end
}

// Sink takes entries somewhere. Its methods are called by one goroutine, and
// may block: a sink that is slow makes its own queue grow, and nothing else.
type Sink interface {
	Name() string
	// Write takes entries in order and returns how many it took. The rest is
	// offered again, after a pause when there was an error.
	Write(entries []Entry) (int, error)
	Close() error
}

// Reopener is a Sink whose file is opened anew on demand.
type Reopener interface{ Reopen() error }

// Bounds of a recorder.
const (
	maxBatch   = 256
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
	// stallAfter is how long one Write may take before its sink counts as stalled.
	stallAfter = 5 * time.Second
)

// RecorderOptions are a recorder's parts.
type RecorderOptions struct {
	// Queue and QueueBytes bound the events on their way, as Settings says.
	Queue      int
	QueueBytes int64
	// Bodies keeps the text of bodies.
	Bodies   bool
	Redactor *redact.Redactor
	Sinks    []Sink
	// OnState hears that a sink stopped working (err set) or works again. It
	// must return soon. It may be nil.
	OnState func(sink string, err error)
}

// Recorder takes events from the walk and brings them to the sinks. Record
// never waits: one goroutine redacts and encodes behind a bounded queue, and
// one goroutine for each sink writes behind a queue of its own. What finds no
// room is dropped and counted, so that at any time, for each sink,
//
//	Recorded = Lost + Written + Dropped + Queued
//
// after Close with Queued = 0.
type Recorder struct {
	opts   RecorderOptions
	queue  chan *Event
	lanes  []*lane
	closed atomic.Bool
	stop   chan struct{}
	hurry  chan struct{} // closed when Close's time is up
	done   chan struct{}

	recorded atomic.Uint64
	lost     atomic.Uint64
	bytes    atomic.Int64
}

type lane struct {
	r       *Recorder
	sink    Sink
	entries chan sized
	reopen  chan struct{}
	done    chan struct{}
	written atomic.Uint64
	dropped atomic.Uint64
	flight  atomic.Int64 // taken from the queue, not yet written
	since   atomic.Int64 // when the Write under way began, in ns; 0 when none is
	trouble atomic.Pointer[string]
	toldOf  atomic.Bool // that trouble was reported

	before atomic.Uint64 // dropped when the trouble began
}

type sized struct {
	Entry
	share *share
}

// share is an entry's part of the recorder's bytes, given back when the last
// sink let go of it.
type share struct {
	left atomic.Int32
	n    int64
}

// NewRecorder starts a recorder; Close ends it.
func NewRecorder(o RecorderOptions) *Recorder {
	if o.Redactor == nil {
		o.Redactor = redact.New(nil)
	}
	o.Queue = max(o.Queue, 16)
	if o.QueueBytes <= 0 {
		o.QueueBytes = Defaults().QueueBytes
	}
	r := &Recorder{
		opts: o, queue: make(chan *Event, o.Queue),
		stop: make(chan struct{}), hurry: make(chan struct{}), done: make(chan struct{}),
	}
	for _, s := range o.Sinks {
		l := &lane{r: r, sink: s, entries: make(chan sized, o.Queue), reopen: make(chan struct{}, 1), done: make(chan struct{})}
		r.lanes = append(r.lanes, l)
		go l.run()
	}
	go r.pump()
	return r
}

// Record takes e over. It never blocks and may be called from any goroutine,
// after Close too.
func (r *Recorder) Record(e *Event) {
	r.recorded.Add(1)
	if r.closed.Load() {
		r.lost.Add(1)
		return
	}
	n := e.size()
	if r.bytes.Add(n) > r.opts.QueueBytes {
		r.bytes.Add(-n)
		r.lost.Add(1)
		return
	}
	select {
	case r.queue <- e:
	default:
		r.bytes.Add(-n)
		r.lost.Add(1)
	}
}

// pump redacts and encodes, then deals out to the lanes.
func (r *Recorder) pump() {
	defer close(r.done)
	watch := time.NewTicker(time.Second)
	defer watch.Stop()
	for {
		select {
		case e := <-r.queue:
			r.deal(e)
		case <-watch.C:
			for _, l := range r.lanes {
				l.watch(time.Now())
			}
		case <-r.stop:
			for {
				select {
				case e := <-r.queue:
					r.deal(e)
				default:
					for _, l := range r.lanes {
						close(l.entries)
					}
					return
				}
			}
		}
	}
}

func (r *Recorder) deal(e *Event) {
	entry := r.prepare(e)
	s := &share{n: e.size()}
	if len(r.lanes) == 0 {
		r.bytes.Add(-s.n)
		return
	}
	s.left.Store(int32(len(r.lanes)))
	for _, l := range r.lanes {
		select {
		case l.entries <- sized{entry, s}:
		default:
			l.dropped.Add(1)
			r.release(s)
		}
	}
}

func (r *Recorder) release(s *share) {
	if s.left.Add(-1) == 0 {
		r.bytes.Add(-s.n)
	}
}

// prepare redacts and encodes. Should that fail, nothing of the request may
// be kept: a note takes the event's place.
func (r *Recorder) prepare(e *Event) (entry Entry) {
	defer func() {
		if p := recover(); p != nil {
			n := &Event{Kind: KindPanic, Time: e.Time, ID: e.ID, Message: fmt.Sprintf("an event could not be redacted and was left out: %v", p)}
			entry = Entry{n, AppendJSON(nil, n)}
		}
	}()
	c := Redacted(e, r.opts.Redactor, r.opts.Bodies)
	if c.Time.IsZero() {
		c.Time = time.Now()
	}
	return Entry{c, AppendJSON(make([]byte, 0, 1024), c)}
}

func (l *lane) run() {
	defer close(l.done)
	batch := make([]sized, 0, maxBatch)
	for {
		select {
		case e, open := <-l.entries:
			if !open {
				return
			}
			batch = append(batch[:0], e)
			open = l.fill(&batch)
			l.flight.Store(int64(len(batch)))
			l.write(batch)
			clear(batch)
			if !open {
				return
			}
		case <-l.reopen:
			if ro, ok := l.sink.(Reopener); ok {
				l.note(ro.Reopen())
			}
		}
	}
}

// fill takes what waits, without waiting; false says that the lane is closed.
func (l *lane) fill(batch *[]sized) bool {
	for len(*batch) < maxBatch {
		select {
		case e, open := <-l.entries:
			if !open {
				return false
			}
			*batch = append(*batch, e)
		default:
			return true
		}
	}
	return true
}

// write offers a batch until it is taken or time is up.
func (l *lane) write(batch []sized) {
	entries := make([]Entry, len(batch))
	for i := range batch {
		entries[i] = batch[i].Entry
	}
	pause := firstPause
	for at := 0; at < len(batch); {
		l.since.Store(time.Now().UnixNano())
		n, err := l.sink.Write(entries[at:])
		l.since.Store(0)
		n = min(max(n, 0), len(batch)-at)
		l.written.Add(uint64(n))
		l.flight.Add(-int64(n))
		for range n {
			l.r.release(batch[at].share)
			at++
		}
		l.note(err)
		if err == nil && n > 0 {
			pause = firstPause
			continue
		}
		if at == len(batch) {
			break
		}
		select {
		case <-l.r.hurry:
			rest := len(batch) - at
			l.flight.Add(-int64(rest))
			l.dropped.Add(uint64(rest))
			for ; at < len(batch); at++ {
				l.r.release(batch[at].share)
			}
			return
		case <-time.After(pause):
			pause = min(2*pause, maxPause)
		}
	}
}

// note keeps what ails the sink and reports when that changes.
func (l *lane) note(err error) {
	if err != nil {
		text := err.Error()
		if l.trouble.Swap(&text) == nil {
			l.before.Store(l.dropped.Load())
		}
		if !l.toldOf.Swap(true) {
			l.r.tell(l.sink.Name(), err, fmt.Sprintf("event sink %s does not work: %v; events wait in its queue of %d, past it they are dropped and counted", l.sink.Name(), err, l.r.opts.Queue))
		}
		return
	}
	l.trouble.Store(nil)
	if l.toldOf.Swap(false) {
		l.r.tell(l.sink.Name(), nil, fmt.Sprintf("event sink %s works again; %d events were dropped meanwhile", l.sink.Name(), l.dropped.Load()-l.before.Load()))
	}
}

var errStalled = errors.New("a write does not come back")

// watch reports a write that does not come back. It is called by the pump,
// for the lane itself is in that write.
func (l *lane) watch(now time.Time) {
	began := l.since.Load()
	if began == 0 || now.Sub(time.Unix(0, began)) < stallAfter {
		return
	}
	if !l.toldOf.Swap(true) {
		err := fmt.Errorf("%w since %s", errStalled, time.Unix(0, began).UTC().Format(time.RFC3339))
		text := err.Error()
		l.trouble.Store(&text)
		l.before.Store(l.dropped.Load())
		l.r.tell(l.sink.Name(), err, fmt.Sprintf("event sink %s is stalled: %v; past its queue of %d events are dropped and counted", l.sink.Name(), err, l.r.opts.Queue))
	}
}

func (r *Recorder) tell(sink string, err error, message string) {
	if r.opts.OnState != nil {
		r.opts.OnState(sink, err)
	}
	r.Record(&Event{Kind: KindState, Time: time.Now(), Message: message})
}

// Reopen has every sink with a file open it again, as on SIGUSR1.
func (r *Recorder) Reopen() {
	for _, l := range r.lanes {
		select {
		case l.reopen <- struct{}{}:
		default:
		}
	}
}

// SinkStats is what became of the events for one sink.
type SinkStats struct {
	Name             string
	Written, Dropped uint64
	Queued           int
	Trouble          string // what ails it now, empty when it works
}

// Stats is what became of the events so far.
type Stats struct {
	// Recorded counts calls of Record; Lost those for which there was no room
	// before any sink was asked.
	Recorded, Lost uint64
	// Waiting are events not yet redacted.
	Waiting int
	Sinks   []SinkStats
}

// Stats counts; while events flow the parts may be one event apart.
func (r *Recorder) Stats() Stats {
	s := Stats{Recorded: r.recorded.Load(), Lost: r.lost.Load(), Waiting: len(r.queue)}
	for _, l := range r.lanes {
		one := SinkStats{
			Name: l.sink.Name(), Written: l.written.Load(), Dropped: l.dropped.Load(),
			Queued: len(l.entries) + int(l.flight.Load()),
		}
		if t := l.trouble.Load(); t != nil {
			one.Trouble = *t
		}
		s.Sinks = append(s.Sinks, one)
	}
	return s
}

// Close stops taking events and writes out what waits until ctx ends; what is
// left then counts as dropped. A sink whose write never comes back is left
// behind. Close is called once.
func (r *Recorder) Close(ctx context.Context) error {
	r.closed.Store(true)
	close(r.stop)
	select {
	case <-r.done:
	case <-ctx.Done():
		<-r.done // the pump never blocks
	}
	var errs []error
	for _, l := range r.lanes {
		if err := l.end(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	for n := len(r.queue); n > 0; n-- { // came in beside the last look
		<-r.queue
		r.lost.Add(1)
	}
	return errors.Join(errs...)
}

func (l *lane) end(ctx context.Context) error {
	select {
	case <-l.done:
		return l.sink.Close()
	case <-ctx.Done():
	}
	select {
	case <-l.r.hurry:
	default:
		close(l.r.hurry)
	}
	// One pause for a lane that is between two attempts and gives up now.
	select {
	case <-l.done:
		return l.sink.Close()
	case <-time.After(firstPause):
	}
	rest := uint64(l.flight.Swap(0))
	for range l.entries { // closed by the pump
		rest++
	}
	l.dropped.Add(rest)
	if rest == 0 {
		return nil
	}
	return fmt.Errorf("event sink %s: %d events were not written before the time was up", l.sink.Name(), rest)
}
