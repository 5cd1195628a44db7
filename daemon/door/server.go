// Package door is where NGINX asks: a Unix socket that speaks just the
// HTTP/1.1 that NGINX sends. ENTER judges the request's metadata, BODY its
// body, LEAVE waits for the verdict on the body, and RELAY is all of them in
// one. Nothing here decides: inspect does, and the doors carry its verdict.
//
// Bounds, and what happens at each: connections past MaxConnections are closed
// at once; a head past MaxHeadBytes is read to its end and answered by the
// route's failure policy; a body past the route's or the common bound follows
// the route's large_body; requests held past MaxHeld, and verdicts later than
// 80% of NGINX's time limit, are answered by the route's failure policy. Each
// is an event.
package door

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/daemon/inspect"
)

// Settings are the door's bounds and times.
type Settings struct {
	EnterTimeout, LeaveTimeout time.Duration // NGINX's; we answer within 80%
	MaxHeld                    int
	MaxConnections             int
	MaxBodyMemory              int64 // bytes of all bodies held at once
	MaxHeadBytes               int
	// Pass signs what is let through; nil signs nothing.
	Pass Signer
}

// Signer writes the mark by which a backend knows that a request passed.
type Signer interface {
	Append(b, id []byte, method string, target []byte, now time.Time) []byte
}

// Server answers NGINX on any number of listeners.
type Server struct {
	settings  Settings
	inspector *inspect.Inspector
	table     *table
	bodies    budget
	requests  atomic.Uint64 // counts requests, for the watch to see if any came

	mu        sync.Mutex
	conns     map[*conn]struct{}
	listeners []net.Listener
	draining  atomic.Bool // answers close their connections
	closed    atomic.Bool // nothing is accepted any more
	late      atomic.Uint64
	wg        sync.WaitGroup
	stop      chan struct{}
	stopOnce  sync.Once
}

// NewServer makes a server that has i judge.
func NewServer(i *inspect.Inspector, s Settings) *Server {
	d := &Server{
		settings: s, inspector: i, table: newTable(s.MaxHeld),
		conns: map[*conn]struct{}{}, stop: make(chan struct{}),
	}
	d.bodies.max = s.MaxBodyMemory
	d.wg.Add(1)
	go d.watch()
	return d
}

// Serve accepts connections until the listener is closed.
func (d *Server) Serve(l net.Listener) error {
	d.mu.Lock()
	d.listeners = append(d.listeners, l)
	d.mu.Unlock()
	for {
		nc, err := l.Accept()
		if err != nil {
			if d.closed.Load() || errors.Is(err, net.ErrClosed) {
				return nil
			}
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() {
				time.Sleep(10 * time.Millisecond) // out of descriptors: the kernel keeps the queue
				continue
			}
			return fmt.Errorf("accept at the door %s: %w", l.Addr(), err)
		}
		d.admit(nc)
	}
}

func (d *Server) admit(nc net.Conn) {
	c := &conn{d: d, nc: nc}
	d.mu.Lock()
	full := len(d.conns) >= d.settings.MaxConnections || d.closed.Load()
	if !full {
		d.conns[c] = struct{}{}
		d.wg.Add(1)
	}
	d.mu.Unlock()
	if full {
		nc.Close()
		return
	}
	go c.serve()
}

func (d *Server) forget(c *conn) {
	d.mu.Lock()
	delete(d.conns, c)
	d.mu.Unlock()
	d.wg.Done()
}

// Held is the number of requests between the doors.
func (d *Server) Held() int { return d.table.len() }

// BodyMemory is the bytes of all bodies held.
func (d *Server) BodyMemory() int64 { return d.bodies.used.Load() }

// Connections is the number of NGINX's connections.
func (d *Server) Connections() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.conns)
}

// Late counts answers that the watch gave because a verdict was late.
func (d *Server) Late() uint64 { return d.late.Load() }

// drainTime is how long Shutdown lets kept-alive connections end by themselves.
const drainTime = 250 * time.Millisecond

// Shutdown ends the server without a request lost. First every answer closes
// its connection, so that NGINX keeps none: one that is closed while NGINX
// writes to it would cost the request. Then it stops accepting, lets requests
// under way finish, and ends every connection. A LEAVE that waits for a body is
// dropped without an answer: NGINX asks again, and the next daemon knows the
// verdict from Handover.
func (d *Server) Shutdown(ctx context.Context) error {
	d.draining.Store(true)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(drainTime); time.Now().Before(end) && d.Connections() > 0 && ctx.Err() == nil; {
		<-tick.C
	}
	d.closed.Store(true)
	d.mu.Lock()
	for _, l := range d.listeners {
		l.Close()
	}
	d.mu.Unlock()
	defer d.stopOnce.Do(func() { close(d.stop) })
	for d.closeIdle() > 0 {
		select {
		case <-ctx.Done():
			d.mu.Lock()
			n := len(d.conns)
			for c := range d.conns {
				c.nc.Close()
			}
			d.mu.Unlock()
			return fmt.Errorf("shut the door: %d connections were still busy: %w", n, ctx.Err())
		case <-tick.C:
		}
	}
	d.stopOnce.Do(func() { close(d.stop) })
	d.wg.Wait()
	return nil
}

// closeIdle ends the connections on which nothing is under way and counts the others.
func (d *Server) closeIdle() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	busy := 0
	for c := range d.conns {
		if c.state.CompareAndSwap(idle, ended) || c.state.Load() == waiting {
			c.nc.Close()
			if c.state.Load() == waiting {
				c.release()
			}
		}
		busy++
	}
	return busy
}

// Handover writes the verdicts that no LEAVE has collected, for the next daemon.
func (d *Server) Handover() ([]byte, error) { return d.table.export() }

// TakeOver reads what Handover wrote.
func (d *Server) TakeOver(data []byte, now time.Time) error { return d.table.load(data, now) }

// watch answers for connections whose verdict is late, and drops verdicts
// that nobody collects.
func (d *Server) watch() {
	defer d.wg.Done()
	const busyTick, calmTick = 20 * time.Millisecond, 50 * time.Millisecond
	timer := time.NewTimer(calmTick)
	defer timer.Stop()
	var seen uint64
	var swept time.Time
	for {
		select {
		case <-d.stop:
			return
		case now := <-timer.C:
			if n := d.requests.Load(); n != seen {
				seen = n
				d.answerLate(now)
				timer.Reset(busyTick)
			} else {
				d.answerLate(now)
				timer.Reset(calmTick)
			}
			if now.Sub(swept) > time.Second {
				swept = now
				d.table.expire(now)
			}
		}
	}
}

func (d *Server) answerLate(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		if c.state.Load() == judging && now.UnixNano() > c.due.Load() && c.state.CompareAndSwap(judging, late) {
			d.late.Add(1)
			c.answerLate()
		}
	}
}

// budget bounds the bytes of all bodies.
type budget struct {
	max  int64
	used atomic.Int64
}

func (b *budget) reserve(n int64) bool {
	if b.used.Add(n) > b.max {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) free(n int64) { b.used.Add(-n) }
