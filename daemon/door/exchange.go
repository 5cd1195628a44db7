package door

import (
	"net"
	"syscall"

	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/request"
)

// exchange writes an answer and reads what comes next, as one operation of the
// runtime's poller. A Read on its own begins with an attempt that nearly always
// finds nothing, for NGINX has not got the answer yet: a system call for each
// request. Here the poller is told to watch before the answer goes out, so
// nothing that NGINX sends after it can be missed, and the first attempt is made
// when there is something to read. NGINX sends nothing between a request and its
// answer; what a peer that is none sends there is read with what follows it.
type exchange struct {
	c    *conn
	raw  syscall.RawConn
	step func(fd uintptr) bool
	walk *inspect.Walk // to be ended once the answer went out
	sent int
	read int
	err  error
}

func (x *exchange) init(c *conn) {
	x.c = c
	x.step = x.next // once, for a method value is allocated
	if s, ok := c.nc.(syscall.Conn); ok {
		x.raw, _ = s.SyscallConn() // fails on a closed connection alone, as does what follows
	}
}

// reply writes an answer, ends the walk, and waits for the next request's first
// bytes. It says whether the connection goes on.
func (c *conn) reply(r *request.Request, w *inspect.Walk, a *answer, carry, redirect string) bool {
	x := &c.exchange
	if closing := c.compose(r, a, carry, redirect); closing || x.raw == nil || c.n != 0 || c.head.close {
		_, err := c.nc.Write(c.out)
		c.state.Store(idle)
		w.End()
		return err == nil && !closing
	}
	x.walk, x.sent, x.read, x.err = w, 0, 0, nil
	if err := x.raw.Read(x.step); err != nil && x.err == nil {
		x.err = err
	}
	if x.walk != nil { // nothing or not all was written
		if x.err == nil {
			_, x.err = c.nc.Write(c.out[x.sent:])
		}
		x.done()
		return x.err == nil
	}
	if x.err != nil {
		return false
	}
	c.n = x.read
	return true
}

// done is what is left to do for a request that was answered.
func (x *exchange) done() {
	x.walk.End()
	x.walk = nil
	x.c.freeBody()
	x.c.dropRequest()
	x.c.state.Store(idle)
}

// next writes when it is called first, and reads each time after. It returns
// true when the exchange is over.
func (x *exchange) next(fd uintptr) bool {
	c := x.c
	if x.walk != nil {
		for x.sent < len(c.out) {
			n, err := syscall.Write(int(fd), c.out[x.sent:])
			switch {
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN: // reply writes the rest
				return true
			case err != nil:
				x.err = err
				return true
			}
			x.sent += n
		}
		x.done()
		return false
	}
	for {
		n, err := syscall.Read(int(fd), c.buf)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			x.err = err
		case n == 0:
			x.err = net.ErrClosed // NGINX keeps the connection no longer
		case !c.state.CompareAndSwap(idle, busy) && c.state.Load() == ended:
			x.err = net.ErrClosed // Shutdown came first
		default:
			x.read = n
		}
		return true
	}
}
