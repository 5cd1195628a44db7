package token

import (
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"sync"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/request"
)

// fingerprint names a token. A fast hash would not do: whoever finds two
// tokens of one sum would have the second taken for the first.
func fingerprint(text []byte) [sha256.Size]byte { return sha256.Sum256(text) }

// maxVerified bounds the tokens that are remembered as verified, maxRefused
// those remembered as refused. Past it a random one is forgotten and verified
// again when it comes back.
const (
	maxVerified = 8192
	maxRefused  = 1024
)

// cache remembers what became of tokens. Those whose signature holds and those
// whose does not have one each, so that nobody without a key fills the former.
type cache[T any] struct {
	most   int // a shard
	shards [16]cacheShard[T]
}

type cacheShard[T any] struct {
	mu sync.RWMutex
	m  map[[sha256.Size]byte]*T
}

func newCache[T any](most int) *cache[T] {
	c := &cache[T]{most: most / 16}
	for i := range c.shards {
		c.shards[i].m = map[[sha256.Size]byte]*T{}
	}
	return c
}

func (c *cache[T]) get(sum [sha256.Size]byte) *T {
	s := &c.shards[sum[0]%16]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m[sum]
}

func (c *cache[T]) put(sum [sha256.Size]byte, v *T) {
	s := &c.shards[sum[0]%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.m) >= c.most {
		for k := range s.m {
			delete(s.m, k)
			break
		}
	}
	s.m[sum] = v
}

// Claim is a claim of the request's verified token, as text, for whoever
// counts or records by it: a string as it stands, a number or true and false
// as written in JSON. A dot goes into an object. It is not ok when there is no
// token, it does not hold (its time, signature, issuer, audience), no key is
// configured, or the claim is a list or an object.
//
// With it a Check is a check.TokenReader: the walk attaches it to the request.
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

// Verifies says whether a key set is configured.
func (c *Check) Verifies() bool { return c.keys != nil }

// Verified counts the tokens that were verified, rather than remembered.
func (c *Check) Verified() uint64 { return c.worked.Load() }

// read verifies a token, or remembers what came of it: one that is asked about
// several times in a request, by this check and by others, is verified once.
func (c *Check) read(text []byte) (*claims, *check.Finding) {
	sum := fingerprint(text)
	if cl := c.verified.get(sum); cl != nil {
		return cl, nil
	}
	f := c.refused.get(sum)
	if f == nil {
		c.worked.Add(1)
		var cl *claims
		if cl, f = c.verify(text); f == nil {
			c.verified.put(sum, cl)
			return cl, nil
		}
		c.refused.put(sum, f)
	}
	own := *f
	return nil, &own
}

func (c *Check) holds(t *credential, r *request.Request) *claims {
	cl, f := c.read(t.text)
	if f != nil || c.inTime(cl, r.Received) != nil {
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
