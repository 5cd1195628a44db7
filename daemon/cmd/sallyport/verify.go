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
			network, address := "tcp", listen
			if rest, unix := strings.CutPrefix(listen, "unix:"); unix {
				network, address = "unix", rest
			}
			l, err := net.Listen(network, address)
			if err != nil {
				return fmt.Errorf("listen for auth_request: %w", err)
			}
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
		err := r.keys.Load().Verify(q.Header.Get(pass.Header), q.Header.Get("X-Original-Method"), q.Header.Get("X-Original-URI"), time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
