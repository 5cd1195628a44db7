package outcome

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
)

// Bounds of a Listener. Past receiveQueue lines that wait to be handled new
// ones are dropped and counted; the kernel is asked for receiveBuffer bytes.
const (
	receiveQueue  = 16384
	receiveBuffer = 4 << 20
)

// Listener takes the access log as NGINX sends it: syslog datagrams to a Unix
// socket. NGINX never waits for it.
type Listener struct {
	conn   net.PacketConn
	door   string
	path   string // removed at the end, if it is ours
	lines  chan Outcome
	done   sync.WaitGroup
	handle func(*Outcome)

	received, malformed, dropped atomic.Uint64
	lastError                    atomic.Pointer[string]
}

// Counts are what became of the lines so far.
type Counts struct {
	Received, Malformed, Dropped uint64
	// LastError is what was wrong with the last malformed line.
	LastError string
}

// Listen binds a datagram socket at path for its owner and, if group is not
// empty, that group: the one NGINX's workers run as. A socket that a dead
// daemon left is replaced. handle is called for each line, by one goroutine.
func Listen(path, group, door string, handle func(*Outcome)) (*Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("listen for the access log: %s is there and is no socket; move it away or change server.access", path)
		}
		_ = os.Remove(path)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for the access log: %w; the folder %s must exist and be the daemon's", err, filepath.Dir(path))
	}
	if err := share(path, group); err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetReadBuffer(receiveBuffer) // less is no error: the kernel's own bound holds
	l := Serve(conn, door, handle)
	l.path = path
	return l, nil
}

// share lets NGINX write to the socket.
func share(path, group string) error {
	if group == "" {
		if err := os.Chmod(path, 0o666); err != nil {
			return fmt.Errorf("set the mode of the access log socket: %w", err)
		}
		return nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return fmt.Errorf("the access log socket's group: %w", err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return fmt.Errorf("the access log socket's group: id %q is no number", g.Gid)
	}
	if err := os.Chown(path, -1, gid); err != nil {
		return fmt.Errorf("give the access log socket to group %s: %w; the daemon's user must be a member of it", group, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return fmt.Errorf("set the mode of the access log socket: %w", err)
	}
	return nil
}

// Serve takes the access log from a socket that was handed over.
func Serve(conn net.PacketConn, door string, handle func(*Outcome)) *Listener {
	l := &Listener{conn: conn, door: door, lines: make(chan Outcome, receiveQueue), handle: handle}
	l.done.Add(2)
	go l.receive()
	go l.work()
	return l
}

func (l *Listener) receive() {
	defer l.done.Done()
	defer close(l.lines)
	buf := make([]byte, MaxLine)
	for {
		n, _, err := l.conn.ReadFrom(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			l.note(err)
			continue
		}
		l.received.Add(1)
		o, err := Parse(buf[:n], l.door)
		if err != nil {
			l.malformed.Add(1)
			l.note(err)
			continue
		}
		select {
		case l.lines <- o:
		default:
			l.dropped.Add(1)
		}
	}
}

func (l *Listener) work() {
	defer l.done.Done()
	for o := range l.lines {
		l.handle(&o)
	}
}

func (l *Listener) note(err error) {
	text := err.Error()
	l.lastError.Store(&text)
}

// Counts tells what became of the lines so far.
func (l *Listener) Counts() Counts {
	c := Counts{Received: l.received.Load(), Malformed: l.malformed.Load(), Dropped: l.dropped.Load()}
	if e := l.lastError.Load(); e != nil {
		c.LastError = *e
	}
	return c
}

// Close stops listening and returns when the last line was handled.
func (l *Listener) Close() error {
	err := l.conn.Close()
	l.done.Wait()
	if l.path != "" {
		_ = os.Remove(l.path)
	}
	return err
}
