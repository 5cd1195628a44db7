// Command demoapi is the small API that the demo and the tests put behind
// Sallyport: a shop with items, a search, comments and a login. It answers on
// a loopback address and keeps nothing.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9080", "loopback address to answer on")
	quiet := flag.Bool("quiet", false, "log no requests")
	flag.Parse()
	host, _, err := net.SplitHostPort(*listen)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		log.Fatalf("demoapi: -listen %s: expected a loopback address and a port", *listen)
	}
	s := &http.Server{Addr: *listen, Handler: logged(api(), *quiet), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(s.ListenAndServe())
}

func logged(h http.Handler, quiet bool) http.Handler {
	if quiet {
		return h
	}
	l := log.New(os.Stderr, "backend saw: ", 0)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.Printf("%s %s", r.Method, r.RequestURI)
		h.ServeHTTP(w, r)
	})
}

type item struct {
	ID    int     `json:"id"`
	Name  string  `json:"name"`
	Price float64 `json:"price"`
}

var items = []item{{1, "portcullis", 1200}, {2, "drawbridge", 3400.5}, {3, "lantern", 12.25}}

func api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items", func(w http.ResponseWriter, r *http.Request) { answer(w, 200, items) })
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil || id < 1 || id > len(items) {
			answer(w, 404, map[string]string{"error": "no such item"})
			return
		}
		answer(w, 200, items[id-1])
	})
	mux.HandleFunc("GET /search", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, map[string]string{"searched": r.URL.Query().Get("q")})
	})
	mux.HandleFunc("POST /comments", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			answer(w, 400, map[string]string{"error": err.Error()})
			return
		}
		answer(w, 201, map[string]string{"stored": fmt.Sprintf("%d bytes", n)})
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		var login struct{ User, Password string }
		if json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&login) != nil || login.User != "alice" || login.Password != "opensesame" {
			answer(w, 401, map[string]string{"error": "wrong user or password"})
			return
		}
		answer(w, 200, map[string]string{"token": "demo"})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, 200, map[string]string{"path": r.URL.Path, "method": r.Method})
	})
	return mux
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
