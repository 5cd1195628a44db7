package door

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/policy"
	"github.com/sallyport/sallyport/daemon/request"
)

// The states of a connection. Whoever moves it out of judging writes the answer.
const (
	idle    uint32 = iota // between requests
	busy                  // a request is being read or answered
	judging               // the checks are at work, the watch may answer for them
	late                  // the watch has answered
	waiting               // LEAVE waits for the verdict on a body
	ended                 // closed by Shutdown
)

const (
	firstBuffer = 8 << 10
	// keepBuffer bounds what a connection keeps between requests, in bytes.
	keepBuffer = 64 << 10
	// maxDrain bounds what is read of an oversized head to reach its end.
	maxDrain = 64 << 20
	// bodyTimeout bounds the wait for the bytes of a body that NGINX already has.
	bodyTimeout = 10 * time.Second
)

// conn is one of NGINX's kept-alive connections, served by one goroutine.
type conn struct {
	d    *Server
	nc   net.Conn
	buf  []byte
	n    int // bytes in buf
	head head
	out  []byte
	body []byte
	held int64 // bytes of body reserved in the budget

	state    atomic.Uint32
	due      atomic.Int64 // unix nanoseconds
	fallback answer       // what the watch answers; set before judging
	fallID   [32]byte
	fallDoor string
	waiter   waiter
	request  *request.Request // the one under way; nil between requests
	exchange exchange
}

func (c *conn) dropRequest() {
	if c.request != nil {
		c.request.Release()
		c.request = nil
	}
}

func (c *conn) serve() {
	defer c.d.forget(c)
	defer c.nc.Close()
	c.buf = make([]byte, firstBuffer)
	c.exchange.init(c)
	c.waiter.c = make(chan answer, 1)
	for c.one() {
		if len(c.buf) > keepBuffer && c.n <= firstBuffer {
			c.buf = append(make([]byte, 0, firstBuffer), c.buf[:c.n]...)[:firstBuffer]
		}
		if cap(c.body) > keepBuffer {
			c.body = nil
		}
	}
}

// one serves one request and says whether the connection goes on.
func (c *conn) one() bool {
	size, whole, err := c.readHead()
	if err != nil {
		return false
	}
	c.d.requests.Add(1)
	if !c.head.parse(c.buf[:size]) {
		// Not our NGINX configuration: without a receipt nothing passes.
		c.writeRaw("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nX-Sallyport-Error: no metadata: is the location our include file's?\r\nConnection: close\r\n\r\n")
		return false
	}
	r := request.Get()
	c.request = r
	defer c.dropRequest()
	r.Received = time.Now()
	c.head.fill(r)
	if !whole {
		return c.tooLarge(r)
	}
	goOn := c.dispatch(r, size)
	return goOn && !c.head.close
}

func (c *conn) dispatch(r *request.Request, size int) bool {
	switch string(c.head.target) {
	case "/enter":
		c.consume(size)
		return c.enter(r)
	case "/leave":
		c.consume(size)
		return c.leave(r)
	case "/body":
		return c.readBody(r, size) && c.judgeBody(r)
	case "/relay":
		return c.readBody(r, size) && c.relay(r)
	}
	c.writeRaw("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	return false
}

// readHead reads until the empty line that ends a head. whole is false when
// the head is longer than the bound: then only its first part is in buf and
// the rest was read and dropped, for a connection closed on unread bytes would
// look like a dead daemon to NGINX, and a client could choose that.
func (c *conn) readHead() (size int, whole bool, err error) {
	searched := 0
	for {
		// The end of what came is nearly always the end of the head: only a body
		// that came along can end like it, and then the first end counts.
		if n := c.n; n > searched && bytes.HasSuffix(c.buf[:n], headEnd) && !bytes.HasPrefix(c.buf, post) {
			c.state.CompareAndSwap(idle, busy)
			return n, true, nil
		}
		if i := bytes.Index(c.buf[searched:c.n], headEnd); i >= 0 {
			c.state.CompareAndSwap(idle, busy)
			return searched + i + len(headEnd), true, nil
		}
		searched = max(c.n-len(headEnd)+1, 0)
		if c.n == len(c.buf) {
			if len(c.buf) >= c.d.settings.MaxHeadBytes {
				return c.n, false, c.drainHead()
			}
			grown := make([]byte, min(2*len(c.buf), c.d.settings.MaxHeadBytes))
			copy(grown, c.buf)
			c.buf = grown
		}
		n, err := c.nc.Read(c.buf[c.n:])
		if n > 0 {
			if c.n == 0 && !c.state.CompareAndSwap(idle, busy) && c.state.Load() == ended {
				return 0, false, net.ErrClosed
			}
			c.n += n
			continue
		}
		if err != nil {
			return 0, false, err
		}
	}
}

func (c *conn) drainHead() error {
	var tail [4]byte
	copy(tail[:], c.buf[c.n-4:c.n])
	b := make([]byte, firstBuffer)
	for total := 0; total < maxDrain; {
		n, err := c.nc.Read(b)
		if n > 0 {
			joined := append(tail[:], b[:n]...)
			if bytes.Contains(joined, headEnd) {
				return nil
			}
			copy(tail[:], joined[len(joined)-4:])
			total += n
		}
		if err != nil {
			return err
		}
	}
	return io.ErrShortBuffer
}

// consume drops the first size bytes of buf. The head's slices point into
// them and stay valid until the next read.
func (c *conn) consume(size int) {
	if size == c.n {
		c.n = 0
		return
	}
	// NGINX never sends a second request before the first is answered; what
	// follows a head here is nothing we asked for.
	rest := append([]byte(nil), c.buf[size:c.n]...)
	c.buf = append(make([]byte, 0, max(firstBuffer, len(rest))), rest...)
	c.n = len(rest)
	c.buf = c.buf[:cap(c.buf)]
}

func (c *conn) enter(r *request.Request) bool {
	w := c.d.inspector.Begin(r, inspect.Enter)
	last := c.head.noBody() || c.head.mode() == "metadata"
	route := w.Route()
	c.arm(r, inspect.Enter, route.FailMetadata, w, c.d.settings.EnterTimeout)
	v := w.Head(last)
	return c.finish(r, w, &v, "")
}

func (c *conn) relay(r *request.Request) bool {
	w := c.d.inspector.Begin(r, inspect.Relay)
	c.arm(r, inspect.Relay, w.Route().FailBodies, w, c.d.settings.LeaveTimeout)
	v := w.Whole()
	return c.finish(r, w, &v, string(c.head.to))
}

// finish writes a verdict, unless the watch has answered, and ends the walk.
func (c *conn) finish(r *request.Request, w *inspect.Walk, v *policy.Verdict, redirect string) bool {
	defer c.freeBody()
	if !c.state.CompareAndSwap(judging, busy) {
		how := policy.Open
		if c.fallback.Deny {
			how = policy.Closed
		}
		w.Fail(event.KindLate, how, "the verdict came after the time limit; the route's failure policy had answered")
		w.End()
		return false
	}
	if v.Delay > 0 && !v.Deny {
		time.Sleep(min(v.Delay, c.d.settings.EnterTimeout/2))
	}
	if v.Unanswered {
		w.End()
		return false
	}
	a := answerOf(v)
	return c.reply(r, w, &a, inspect.EncodeCarry(w.Carry()), redirect)
}

func (c *conn) judgeBody(r *request.Request) bool {
	defer c.freeBody()
	mode := c.head.mode()
	door := inspect.Body
	switch mode {
	case "guard":
		door = inspect.Guard
	case "observe":
		door = inspect.Observe
	}
	w := c.d.inspector.Begin(r, door)
	c.arm(r, door, policy.Open, w, c.d.settings.EnterTimeout/8)
	var v policy.Verdict
	if mode == "observe" {
		v = w.Whole()
	} else {
		v = w.Body(inspect.DecodeCarry(c.head.carry))
	}
	ok := c.state.CompareAndSwap(judging, busy)
	if mode == "inline" {
		c.bring(r, &v)
	}
	// The answer to a mirror is read by nobody; it only frees the connection.
	if ok {
		return c.reply(r, w, &answer{}, "", "")
	}
	w.End()
	return false
}

// bring hands the verdict on a body to its LEAVE.
func (c *conn) bring(r *request.Request, v *policy.Verdict) {
	k, ok := parseID(r.ID)
	if !ok {
		return
	}
	// Kept as long as a LEAVE may still come: NGINX's time for it, twice.
	if _, room := c.d.table.put(k, answerOf(v), time.Now().Add(2*c.d.settings.LeaveTimeout)); !room {
		c.d.inspector.Event(&event.Event{Kind: event.KindLimit, Time: r.Received, ID: string(r.ID),
			Message: "no room to hold a verdict: max_held is reached; the route's failure policy answers for the body"})
	}
}

func (c *conn) leave(r *request.Request) bool {
	k, ok := parseID(r.ID)
	if !ok {
		return c.unjudged(r, "the request's id is not NGINX's")
	}
	select {
	case <-c.waiter.c: // left over from a wait that Shutdown and a verdict ended together
	default:
	}
	limit := c.d.settings.LeaveTimeout * 8 / 10
	a, now, ok := c.d.table.take(k, &c.waiter, r.Received.Add(limit))
	switch {
	case now:
		return c.write(r, &a, "", "")
	case !ok:
		return c.unjudged(r, "no room to wait for the verdict on the body: max_held is reached")
	}
	c.state.Store(waiting)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case a, ok = <-c.waiter.c:
	case <-timer.C:
		if c.d.table.leave(k, &c.waiter) {
			c.state.Store(busy)
			return c.unjudged(r, "no verdict on the body within "+limit.String()+": it did not arrive, or its judgement is late")
		}
		a, ok = <-c.waiter.c
	}
	c.state.Store(busy)
	if !ok || a.Status == released {
		c.d.table.leave(k, &c.waiter)
		return false
	}
	return c.write(r, &a, "", "")
}

// released is no answer: Shutdown ends a wait with it.
const released = -1

func (c *conn) release() {
	select {
	case c.waiter.c <- answer{Status: released}:
	default:
	}
}

// unjudged answers a LEAVE without a verdict by the route's failure policy.
func (c *conn) unjudged(r *request.Request, why string) bool {
	w := c.d.inspector.Begin(r, inspect.Leave)
	v := w.Fail(event.KindLate, w.Route().FailBodies, why)
	a := answerOf(&v)
	ok := c.write(r, &a, "", "")
	w.End()
	return ok
}

// tooLarge answers a head past the bound by the route's failure policy.
func (c *conn) tooLarge(r *request.Request) bool {
	c.n = 0
	w := c.d.inspector.Begin(r, inspect.Enter)
	v := w.Fail(event.KindLimit, w.Route().FailMetadata, "the request's head is past max_head_bytes ("+strconv.Itoa(c.d.settings.MaxHeadBytes)+")")
	a := answerOf(&v)
	c.write(r, &a, "", string(c.head.to))
	w.End()
	return false
}

// arm lets the watch answer by the failure policy once 80% of limit is over.
func (c *conn) arm(r *request.Request, door string, how policy.Failure, w *inspect.Walk, limit time.Duration) {
	v := w.Route().Fail(how, "", w.Moment())
	c.fallback, c.fallDoor = answerOf(&v), door
	copy(c.fallID[:], r.ID)
	c.due.Store(r.Received.Add(limit * 8 / 10).UnixNano())
	c.state.Store(judging)
}

// answerLate runs on the watch's goroutine, which has moved the state to late.
func (c *conn) answerLate() {
	redirect := ""
	if c.fallDoor == inspect.Relay {
		redirect = string(c.head.to)
	}
	b := c.fallback.append(nil, c.fallID[:], "", redirect, true)
	_ = c.nc.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.nc.Write(b) // NGINX may be gone; then nobody waits
}

func (c *conn) write(r *request.Request, a *answer, carry, redirect string) bool {
	closing := c.compose(r, a, carry, redirect)
	_, err := c.nc.Write(c.out)
	c.state.Store(idle)
	return err == nil && !closing
}

// compose makes the answer, in out, and says whether it ends the connection.
func (c *conn) compose(r *request.Request, a *answer, carry, redirect string) (closing bool) {
	closing = c.d.draining.Load()
	c.out = a.append(c.out[:0], r.ID, carry, redirect, closing)
	if sign := c.d.settings.Pass; sign != nil && !a.Deny {
		c.out = append(c.out[:len(c.out)-2], "X-Sallyport-Pass: "...)
		c.out = sign.Append(c.out, r.ID, r.Method, r.URI, r.Received)
		c.out = append(c.out, "\r\n\r\n"...)
	}
	return closing
}

func (c *conn) writeRaw(s string) { _, _ = io.WriteString(c.nc, s) }
