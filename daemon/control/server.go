// Package control is the daemon's control socket: HTTP over a Unix socket for
// root and one group. Verbs ask it; it also carries the metrics and the health
// of the daemon, and the break-glass mode.
//
// Whoever wires the daemon makes one Server, lets each part add its handlers,
// and starts it last:
//
//	srv := control.NewServer(control.Settings{Socket: path, Group: "sallyport"})
//	srv.Handle("GET /limits", limits)             // any part's own
//	control.HandleHealth(srv, health)             // /healthz, /readyz
//	control.HandleMetrics(srv, metrics)           // /metrics
//	control.HandleStatus(srv, source)             // /status
//	control.HandleMode(srv, setter, recorder)     // /mode
//	control.HandleEvents(srv, reader, tail)       // /events
//	err := srv.Start()                            // and srv.Close(ctx) at the end
//
// Every answer of a handler written here is JSON, an error {"error": "..."}
// with a status of 400 or more.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultSocket is where the control socket is unless configured otherwise.
const DefaultSocket = "/run/sallyport/control.sock"

// SocketEnv names the environment variable that tells verbs another socket.
const SocketEnv = "SALLYPORT_CONTROL"

// Bounds of the control socket. Past maxConnections a client waits; a request
// body past MaxRequest bytes is refused.
const (
	maxConnections = 64
	maxHeader      = 16 << 10
	MaxRequest     = 4 << 20
	readTimeout    = 10 * time.Second
	idleTimeout    = 30 * time.Second
)

// Settings are where the socket is and who may use it.
type Settings struct {
	// Socket is the path; its folder must exist.
	Socket string
	// Group may use the socket beside its owner. Empty leaves the process's group.
	Group string
}

// Server serves the control socket.
type Server struct {
	settings Settings
	mux      *http.ServeMux
	http     *http.Server
	listener net.Listener
	closing  chan struct{} // closed first by Close: who follows must leave
}

// NewServer makes a server that answers nothing yet.
func NewServer(s Settings) *Server {
	srv := &Server{settings: s, mux: http.NewServeMux(), closing: make(chan struct{})}
	srv.http = newHTTP(srv.mux)
	return srv
}

func newHTTP(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ConnContext: withCaller,
	}
}

// Handle registers a handler for a pattern of net/http.ServeMux, such as
// "GET /status". It must be called before Start.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// HandleFunc is Handle for a function.
func (s *Server) HandleFunc(pattern string, f http.HandlerFunc) { s.mux.Handle(pattern, f) }

// Start binds the socket and serves it in the background. A socket that a
// dead daemon left is replaced; one that answers is an error.
func (s *Server) Start() error {
	l, err := listen(s.settings)
	if err != nil {
		return err
	}
	s.serve(l)
	return nil
}

// Serve serves a listener handed over by socket activation, in the background.
func (s *Server) Serve(l net.Listener) { s.serve(l) }

func (s *Server) serve(l net.Listener) {
	s.listener = l
	go func() { _ = s.http.Serve(bounded(l)) }()
}

// Close stops taking requests and waits for those under way until ctx ends.
// It is called once.
func (s *Server) Close(ctx context.Context) error {
	if s.listener == nil {
		return nil
	}
	close(s.closing)
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	if s.settings.Socket != "" {
		_ = os.Remove(s.settings.Socket)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// listen binds under a temporary name and renames, so that the socket never
// stands there with the wrong mode and group.
func listen(s Settings) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", s.Socket, time.Second); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("listen on control socket %s: another daemon answers there; stop it first (systemctl stop sallyport)", s.Socket)
	}
	fresh := s.Socket + ".new"
	_ = os.Remove(fresh)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on control socket %s: %w; the folder %s must exist and be the daemon's (RuntimeDirectory= in the unit)", s.Socket, err, filepath.Dir(s.Socket))
	}
	l.SetUnlinkOnClose(false)
	if err := own(fresh, s); err != nil {
		_ = l.Close()
		_ = os.Remove(fresh)
		return nil, err
	}
	if err := os.Rename(fresh, s.Socket); err != nil {
		_ = l.Close()
		_ = os.Remove(fresh)
		return nil, fmt.Errorf("put control socket in place: %w", err)
	}
	return l, nil
}

func own(path string, s Settings) error {
	if s.Group != "" {
		g, err := user.LookupGroup(s.Group)
		if err != nil {
			return fmt.Errorf("control_group %q: %w; create it with 'groupadd --system %s' or name another", s.Group, err, s.Group)
		}
		gid, err := strconv.Atoi(g.Gid)
		if err != nil {
			return fmt.Errorf("control_group %q has the id %q, a number was expected", s.Group, g.Gid)
		}
		if err := os.Chown(path, -1, gid); err != nil {
			return fmt.Errorf("give the control socket to group %s: %w; the daemon's user must be a member of it (SupplementaryGroups= in the unit)", s.Group, err)
		}
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return fmt.Errorf("set the mode of the control socket: %w", err)
	}
	return nil
}

// boundedListener keeps at most maxConnections connections open.
type boundedListener struct {
	net.Listener
	room chan struct{}
}

func bounded(l net.Listener) net.Listener {
	return &boundedListener{l, make(chan struct{}, maxConnections)}
}

func (b *boundedListener) Accept() (net.Conn, error) {
	b.room <- struct{}{}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.room
		return nil, err
	}
	return &boundedConn{Conn: c, room: b.room}, nil
}

type boundedConn struct {
	net.Conn
	room chan struct{}
	once sync.Once
}

// Close is called once by net/http and possibly again; room is given back once.
func (c *boundedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.room })
	return err
}

type callerKey struct{}

// withCaller remembers who connected, as the kernel tells it (SO_PEERCRED).
func withCaller(ctx context.Context, c net.Conn) context.Context {
	if b, ok := c.(*boundedConn); ok {
		c = b.Conn
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ctx
	}
	name := ""
	_ = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return
		}
		name = "uid " + strconv.FormatUint(uint64(cred.Uid), 10)
	})
	return context.WithValue(ctx, callerKey{}, name)
}

// Caller names who sent a request, "root (uid 0)", for audit events.
func Caller(r *http.Request) string {
	uid, _ := r.Context().Value(callerKey{}).(string)
	if uid == "" {
		return "unknown"
	}
	if u, err := user.LookupId(uid[len("uid "):]); err == nil {
		return u.Username + " (" + uid + ")"
	}
	return uid
}

// Answer writes v as JSON.
func Answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
}

// Refuse writes an error with a status of 400 or more.
func Refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}

// Read decodes a request's JSON body into v; unknown fields, trailing bytes
// and more than MaxRequest bytes are errors.
func Read(r *http.Request, v any) error {
	d := json.NewDecoder(io.LimitReader(r.Body, MaxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("read the request's body: %w", err)
	}
	if d.More() {
		return errors.New("read the request's body: one JSON value was expected, more follows")
	}
	return nil
}
