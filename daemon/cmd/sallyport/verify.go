package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/door"
	"github.com/sallyport/sallyport/daemon/pass"
)

// rotating signs with the newest key of a file that is read again each minute.
type rotating struct {
	path string
	keys atomic.Pointer[pass.Keys]
	// reread is when verify last read the file, in Unix nanoseconds.
	reread atomic.Int64
}

func (r *rotating) Append(b, id []byte, method string, target []byte, now time.Time) []byte {
	return r.keys.Load().Append(b, id, method, target, now)
}

// follow reads the file again and again. What cannot be read leaves the keys as they are.
func (r *rotating) follow(read func(string) (pass.Keys, error), failed func(error)) {
	for range time.Tick(time.Minute) {
		keys, err := read(r.path)
		if err != nil {
			failed(err)
			continue
		}
		r.keys.Store(&keys)
	}
}

// signer is what signs passes, nil when the configuration names no key file.
func (s *server) signer() (door.Signer, error) {
	path := s.loaded.Server.PassKeyFile
	if path == "" {
		return nil, nil
	}
	load := func(path string) (pass.Keys, error) { return pass.Load(path, time.Now()) }
	keys, err := load(path)
	if err != nil {
		return nil, err
	}
	r := &rotating{path: path}
	r.keys.Store(&keys)
	go r.follow(load, func(err error) { s.log.Warn("the pass keys cannot be rotated", "error", err) })
	return r, nil
}

// verify reads the file again, at most once a second, before it refuses a pass
// for its signature: the keys may have been replaced since.
func (r *rotating) verify(value, method, target string, now time.Time) error {
	err := r.keys.Load().Verify(value, method, target, now)
	if err == nil || value == "" {
		return err
	}
	last := r.reread.Load()
	if now.UnixNano()-last < int64(time.Second) || !r.reread.CompareAndSwap(last, now.UnixNano()) {
		return err
	}
	keys, readErr := pass.Read(r.path)
	if readErr != nil {
		return err
	}
	r.keys.Store(&keys)
	return keys.Verify(value, method, target, now)
}

func verifyVerb() *cobra.Command {
	var listen, path string
	c := &cobra.Command{
		Use:   "verify --key-file FILE [--listen ADDRESS]",
		Short: "Tell a backend's NGINX, by auth_request, whether a request came through the gateway",
		Long: `Verify answers auth_request on the backend's side: 204 for a request whose
X-Sallyport-Pass the gateway signed, 403 for any other. The gateway's NGINX
passes the header on with

    proxy_set_header X-Sallyport-Pass $sallyport_pass;

and the backend's asks with

    location / { auth_request /_pass; ... }
    location = /_pass {
        internal; proxy_pass_request_body off; proxy_set_header Content-Length "";
        proxy_set_header X-Original-Method $request_method;
        proxy_set_header X-Original-URI $request_uri;
        proxy_pass http://127.0.0.1:9147;
    }

A pass holds for a minute, for its method and path. The key file may be a copy:
a new key is in it ten minutes before it signs. A request that NGINX let through
while the daemon was away carries no pass, and is refused here: with locations
that fail open, backends that verify fail closed.

A backend written in Go can use package daemon/pass itself.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if path == "" {
				return usageError{errors.New("--key-file is needed: the file of server.pass_key_file")}
			}
			keys, err := pass.Read(path)
			if err != nil {
				return err
			}
			r := &rotating{path: path}
			r.keys.Store(&keys)
			go r.follow(pass.Read, func(err error) { fmt.Fprintln(c.ErrOrStderr(), "sallyport:", err) })
			var l net.Listener
			if socket, unix := strings.CutPrefix(listen, "unix:"); unix {
				l, err = door.Listen(socket, 0o666, "") // who may ask is up to its folder
			} else {
				l, err = net.Listen("tcp", listen)
			}
			if err != nil {
				return fmt.Errorf("listen for auth_request: %w", err)
			}
			fmt.Fprintln(c.ErrOrStderr(), "verifying at", l.Addr())
			server := &http.Server{Handler: verifier(r), ReadHeaderTimeout: 5 * time.Second}
			go func() {
				<-c.Context().Done()
				_ = server.Close()
			}()
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9147", "loopback address, or unix:PATH")
	c.Flags().StringVar(&path, "key-file", "", "the keys, as server.pass_key_file names them")
	return c
}

func verifier(r *rotating) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if err := r.verify(q.Header.Get(pass.Header), q.Header.Get("X-Original-Method"), q.Header.Get("X-Original-URI"), time.Now()); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
