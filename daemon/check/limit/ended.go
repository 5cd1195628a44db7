package limit

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/request"
)

// Ended counts what is known of a request only now, and lets go of it.
func (c *Check) Ended(o *outcome.Outcome, state *keyed.Store) {
	if m := c.routes.Load(); m == nil || !(*m)[[2]string{o.Site, o.Route}] {
		return
	}
	var id [64]byte
	n := copy(id[:], o.ID)
	for i := range c.limits {
		l := &c.limits[i]
		if l.Concurrent > 0 && n > 0 {
			if token := state.TakeBits(state.Key(l.heldSpace, id[:n]), o.Time); token != 0 {
				state.Release(keyed.Held(token), o.Time)
			}
		}
		if l.end && l.about(o.Site, o.Route, o.Method, []byte(o.Host)) {
			c.ended(l, o, state, id[:n])
		}
		if l.Cost.By == byRequestBytes && !l.end && n > 0 {
			c.endedUpload(l, o, state, id[:n])
		}
	}
}

func (c *Check) ended(l *limit, o *outcome.Outcome, state *keyed.Store, id []byte) {
	var k keyed.Key
	if len(id) > 0 {
		k = keyed.Key(state.TakeBits(state.Key(l.idSpace, id), o.Time))
	}
	switch {
	case o.Denied && !l.CountDenied:
		return
	case !l.anyStatus && (o.Status < 0 || o.Status >= len(l.statuses) || !l.statuses[o.Status]):
		return
	}
	if k == 0 {
		s := ofOutcome(o)
		var kb keyBuffer
		if !l.build(&kb, c, &s, false) {
			return
		}
		k = c.key(l, state, l.space, kb.b[:kb.n])
	}
	if l.upstream {
		if o.UpstreamAddr == "" {
			return
		}
		var rest [8 + maxPart]byte
		binary.LittleEndian.PutUint64(rest[:], uint64(k))
		n := 8 + copy(rest[8:], o.UpstreamAddr)
		full := c.key(l, state, l.backendSpace, rest[:n])
		state.SetBits(k, o.Time, l.longest()+time.Minute, ^uint64(0), uint64(full))
		k = full
	}
	n := l.Cost.Fixed
	switch l.Cost.By {
	case byRequestBytes:
		n = float64(o.RequestBytes)
	case byResponseBytes:
		n = float64(o.ResponseBytes)
	case byUpstreamSeconds:
		n = o.UpstreamTime.Seconds()
	}
	if n <= 0 {
		return
	}
	c.count(l, o, state, k, n)
}

// endedUpload counts a body whose length was not known when it began. A shared
// limit's other gateways hear of it with the next merge.
func (c *Check) endedUpload(l *limit, o *outcome.Outcome, state *keyed.Store, id []byte) {
	k := keyed.Key(state.TakeBits(state.Key(l.idSpace, id), o.Time))
	n := float64(o.RequestBytes - 1)
	if k == 0 || n <= 0 || o.Denied && !l.CountDenied {
		return
	}
	c.count(l, o, state, k, n)
}

// count adds what is known of an ended request, and keeps a key near a bound
// in sight.
func (c *Check) count(l *limit, o *outcome.Outcome, state *keyed.Store, k keyed.Key, n float64) {
	d := verdict{}
	for _, r := range l.Rate {
		count := state.Add(k, o.Time, r.Window, n)
		if d.amount == 0 || count*d.amount > d.count*r.Amount {
			d.count, d.amount, d.window = count, r.Amount, r.Window
		}
	}
	if l.Shared != "" && c.remote != nil {
		c.remote.Note(uint64(k), o.Time, l.rates, n)
	}
	if d.count >= nearShare*d.amount {
		c.near.note(l, k, &d, o.Time, true, func() string { s := ofOutcome(o); return l.label(c, &s) })
	}
}

// lengthUnknown says that a body may come of which no header says how long it
// is: a chunked one, or over HTTP/2 and HTTP/3 any that is not announced.
func lengthUnknown(r *request.Request) bool {
	if len(header(r, "transfer-encoding")) > 0 {
		return true
	}
	return (strings.HasPrefix(r.Protocol, "HTTP/2") || strings.HasPrefix(r.Protocol, "HTTP/3")) &&
		r.Method != "GET" && r.Method != "HEAD" && len(header(r, "content-length")) == 0
}

func (l *limit) longest() (d time.Duration) {
	for _, r := range l.Rate {
		d = max(d, r.Window)
	}
	return d
}

// contentLength is what the client announced, 0 if nothing or nonsense.
func contentLength(r *request.Request) int64 {
	v := header(r, "content-length")
	if len(v) == 0 || len(v) > 18 {
		return 0
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
