package token

import (
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"sync"

	"github.com/sallyport/sallyport/daemon/request"
)

// fingerprint names a token. A fast hash would not do: whoever finds two
// tokens of one sum would have the second taken for the first.
func fingerprint(text []byte) [sha256.Size]byte { return sha256.Sum256(text) }

// maxVerified bounds the tokens that are remembered as verified. Past it a
// random one is forgotten and verified again when it comes back.
const maxVerified = 8192

// cache remembers tokens whose signature holds. Only such tokens enter it, so
// nobody without a key fills it.
type cache struct{ shards [16]cacheShard }

type cacheShard struct {
	mu sync.RWMutex
	m  map[[sha256.Size]byte]*claims
}

func newCache() *cache {
	c := &cache{}
	for i := range c.shards {
		c.shards[i].m = map[[sha256.Size]byte]*claims{}
	}
	return c
}

func (c *cache) get(sum [sha256.Size]byte) *claims {
	s := &c.shards[sum[0]%16]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m[sum]
}

func (c *cache) put(sum [sha256.Size]byte, cl *claims) {
	s := &c.shards[sum[0]%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.m) >= maxVerified/16 {
		for k := range s.m {
			delete(s.m, k)
			break
		}
	}
	s.m[sum] = cl
}

// Claim is a claim of the request's verified token, as text, for whoever
// counts or records by it: a string as it stands, a number or true and false
// as written in JSON. A dot goes into an object. It is not ok when there is no
// token, it does not hold (its time, signature, issuer, audience), no key is
// configured, or the claim is a list or an object.
//
// The limit check takes this method as a func value and so knows nothing of
// this package.
func (c *Check) Claim(r *request.Request, name string) (value string, ok bool) {
	if c.keys == nil {
		return "", false
	}
	var buf [maxTokens]credential
	for _, t := range c.credentials(buf[:0], r) {
		if !t.jwtLike() || len(t.text) > c.s.MaxTokenBytes || t.inQuery && !c.s.AllowQuery {
			continue
		}
		cl := c.holds(&t, r)
		if cl == nil {
			return "", false
		}
		switch v := lookup(cl.all, name).(type) {
		case string:
			return v, true
		case json.Number:
			return v.String(), true
		case bool:
			return strconv.FormatBool(v), true
		}
		return "", false
	}
	return "", false
}

func (c *Check) holds(t *credential, r *request.Request) *claims {
	sum := fingerprint(t.text)
	cl := c.verified.get(sum)
	if cl == nil {
		fresh, f := c.verify(t.text)
		if f != nil {
			return nil
		}
		cl = fresh
		c.verified.put(sum, cl)
	}
	if c.inTime(cl, r.Received) != nil {
		return nil
	}
	return cl
}

// KeyName is the name of the request's listed and unexpired API key.
func (c *Check) KeyName(r *request.Request) (name string, ok bool) {
	if c.listed == nil {
		return "", false
	}
	var buf [maxTokens]credential
	for _, t := range c.credentials(buf[:0], r) {
		if t.jwtLike() {
			continue
		}
		if k := c.listed.find(t.text); k != nil && (k.Expires.IsZero() || r.Received.Before(k.Expires)) {
			return k.Name, true
		}
	}
	return "", false
}
