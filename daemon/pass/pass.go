// Package pass is the mark that a request came through the gateway: a header,
// X-Sallyport-Pass, signed over the request's id, method, path and time, by
// which a backend refuses what did not pass (see Verify).
//
// The value is "1.TIME.ID.SIGNATURE": seconds since 1970, the 32 digits of
// NGINX's $request_id, and the first 32 hexadecimal digits of HMAC-SHA-256
// (RFC 2104) over "1\nTIME\nID\nMETHOD\nPATH", PATH being the raw request
// target up to its question mark.
package pass

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/safefile"
)

// Header is the header's name.
const Header = "X-Sallyport-Pass"

const (
	// Lives is how long a pass holds, and how far clocks may differ.
	Lives = 60 * time.Second
	// Rotate is after how long a new key is made; the old one verifies as long again.
	Rotate = 24 * time.Hour
	// Ahead is how long before it signs a new key is in the file, so that a
	// backend on another machine has it by then.
	Ahead = 10 * time.Minute
)

// Key signs from its time on.
type Key struct {
	From   time.Time
	Secret []byte
}

// Keys are the newest key, first, and the one before it.
type Keys []Key

// Load reads the keys from a file, and makes or rotates them where it is time.
func Load(path string, now time.Time) (Keys, error) {
	data, err := safefile.Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, safefile.ErrCorrupt) {
		return nil, fmt.Errorf("read the pass keys: %w", err)
	}
	var keys Keys
	if err == nil {
		if err := json.Unmarshal(data, &keys); err != nil {
			return nil, fmt.Errorf("read the pass keys %s: %w; delete it to begin anew", path, err)
		}
	}
	if len(keys) > 0 && now.Sub(keys[0].From) < Rotate {
		return keys, nil
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails (Go 1.24)
	from := now
	if len(keys) > 0 {
		from = now.Add(Ahead)
	}
	keys = append(Keys{{from, secret}}, keys[:min(len(keys), 1)]...)
	if data, err = json.Marshal(keys); err != nil {
		return nil, fmt.Errorf("write the pass keys: %w", err)
	}
	return keys, safefile.Write(path, data)
}

// Read reads the keys without changing them, for a backend's side.
func Read(path string) (Keys, error) {
	data, err := safefile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("read the pass keys: %w", err)
	}
	var keys Keys
	if err := json.Unmarshal(data, &keys); err != nil || len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no pass keys", path)
	}
	return keys, nil
}

// signing is the newest key whose time has come.
func (k Keys) signing(now time.Time) Key {
	if k[0].From.After(now) && len(k) > 1 {
		return k[1]
	}
	return k[0]
}

// Append writes the pass of a request behind b.
func (k Keys) Append(b, id []byte, method string, target []byte, now time.Time) []byte {
	at := now.Unix()
	b = append(b, "1."...)
	b = strconv.AppendInt(b, at, 10)
	b = append(b, '.')
	b = append(b, id...)
	b = append(b, '.')
	return hex.AppendEncode(b, sign(k.signing(now).Secret, at, id, method, target))
}

func sign(secret []byte, at int64, id []byte, method string, target []byte) []byte {
	path, _, _ := bytes.Cut(target, []byte{'?'})
	h := hmac.New(sha256.New, secret)
	fmt.Fprintf(h, "1\n%d\n%s\n%s\n%s", at, id, method, path)
	return h.Sum(nil)[:16]
}

// Verify says why a request did not come through the gateway, nil when it did.
// A pass can be shown again within Lives for the same method and path.
func (k Keys) Verify(value, method, target string, now time.Time) error {
	parts := strings.Split(value, ".")
	if value == "" {
		return errors.New("no " + Header + ": the request did not come through the gateway")
	}
	if len(parts) != 4 || parts[0] != "1" || len(parts[2]) != 32 || len(value) > 128 {
		return errors.New(Header + " is malformed")
	}
	at, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return errors.New(Header + " has no time")
	}
	if age := now.Sub(time.Unix(at, 0)); age > Lives || age < -Lives {
		return fmt.Errorf("%s is %v old, at most %v hold", Header, age.Round(time.Second), Lives)
	}
	got, err := hex.DecodeString(parts[3])
	if err != nil {
		return errors.New(Header + " is malformed")
	}
	for _, key := range k {
		if hmac.Equal(got, sign(key.Secret, at, []byte(parts[2]), method, []byte(target))) {
			return nil
		}
	}
	return errors.New(Header + " is not signed by the gateway for this method and path")
}

// Guard lets only what passed the gateway through to next: middleware for a
// backend written in Go. keys is asked for each request, so that rotated keys
// are taken.
func Guard(keys func() Keys, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := keys().Verify(r.Header.Get(Header), r.Method, r.RequestURI, time.Now()); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
