// Package canary makes and knows the harmless attacks by which `sallyport
// prove` finds out what is truly inspected. A canary is a text signed with a
// key that this process alone has; wherever the daemon sees one, it denies the
// request in every mode, and remembers where it saw it.
package canary

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/request"
)

// Prefix begins every canary; nonce and signature follow, 32 hexadecimal
// digits each, parted by a dash.
const Prefix = "sallyport-canary-"

// Away stands before a canary in a header to have every door hang up on it, as
// a dead daemon would.
const Away = "away "

const (
	length = len(Prefix) + 32 + 1 + 32
	// lives is how long a canary is looked for after it was made.
	lives = 5 * time.Minute
	// maxOpen bounds the canaries alive; past it none is made.
	maxOpen = 4096
)

// Book makes canaries and remembers where they were seen. While none is alive
// looking costs one atomic load.
type Book struct {
	key   [32]byte
	until atomic.Int64 // unix nanoseconds

	mu   sync.Mutex
	open map[string]*sighting
}

type sighting struct {
	made   time.Time
	places []string
}

// New has a key of its own, for as long as the process lives.
func New() *Book {
	b := &Book{open: map[string]*sighting{}}
	_, _ = rand.Read(b.key[:]) // never fails (Go 1.24)
	return b
}

// Make makes a canary, or "" when too many are alive.
func (b *Book) Make(now time.Time) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for nonce, s := range b.open {
		if now.Sub(s.made) > lives {
			delete(b.open, nonce)
		}
	}
	if len(b.open) >= maxOpen {
		return ""
	}
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	nonce := hex.EncodeToString(raw[:])
	b.open[nonce] = &sighting{made: now}
	b.until.Store(now.Add(lives).UnixNano())
	return Prefix + nonce + "-" + b.sign(nonce)
}

func (b *Book) sign(nonce string) string {
	h := hmac.New(sha256.New, b.key[:])
	h.Write([]byte(nonce))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Look finds a canary in the head of r, and in its body if asked, notes it
// under the door's name, and says where it stood; "" when there is none.
func (b *Book) Look(r *request.Request, door string, body bool) string {
	if until := b.until.Load(); until == 0 || r.Received.UnixNano() > until {
		return ""
	}
	if body && b.known(r.Body.Bytes, door+" body") {
		return "body"
	}
	if b.known(r.URI, door+" uri") {
		return "uri"
	}
	for _, h := range r.Headers {
		if b.known(h.Value, door+" header") {
			if bytes.HasPrefix(h.Value, []byte(Away)) {
				return "away"
			}
			return "header"
		}
	}
	return ""
}

func (b *Book) known(text []byte, place string) bool {
	at := bytes.Index(text, []byte(Prefix))
	if at < 0 || len(text)-at < length {
		return false
	}
	c := text[at+len(Prefix) : at+length]
	nonce, signature := string(c[:32]), c[33:]
	if c[32] != '-' || !hmac.Equal(signature, []byte(b.sign(nonce))) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.open[nonce]
	if s == nil {
		return false
	}
	if !slices.Contains(s.places, place) {
		s.places = append(s.places, place)
	}
	return true
}

// Seen are the places a canary was seen at, such as "enter header".
func (b *Book) Seen(c string) []string {
	if len(c) != length {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.open[c[len(Prefix):len(Prefix)+32]]; s != nil {
		return slices.Clone(s.places)
	}
	return nil
}

// Made is the answer to POST /canaries.
type Made struct {
	Canaries []string `json:"canaries"`
}

// Handle serves POST /canaries, which makes up to 16, and GET /canaries?c=CANARY on the control socket.
func (b *Book) Handle(s *control.Server) {
	s.HandleFunc("POST /canaries", func(w http.ResponseWriter, _ *http.Request) {
		var made Made
		for range 16 {
			if c := b.Make(time.Now()); c != "" {
				made.Canaries = append(made.Canaries, c)
			}
		}
		control.Answer(w, made)
	})
	s.HandleFunc("GET /canaries", func(w http.ResponseWriter, r *http.Request) {
		control.Answer(w, map[string][]string{"seen": b.Seen(r.URL.Query().Get("c"))})
	})
}
