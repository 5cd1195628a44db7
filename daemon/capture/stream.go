package capture

import (
	"bytes"
	"net/netip"
	"sort"
	"time"
)

// Bounds of reassembly. Past MaxConnections the one that has been silent
// longest is ended; past MaxPending bytes that wait for a missing segment a
// direction is given up at the gap; past MaxStream bytes a direction is
// followed no further.
const (
	MaxConnections = 1 << 16
	MaxPending     = 1 << 20
	MaxStream      = 64 << 20
)

// idle is how long a connection may be silent before the same addresses begin
// another one.
const idle = 10 * time.Minute

type pair struct{ a, b netip.AddrPort }

// half is one direction of a connection.
type half struct {
	started bool
	next    uint32
	data    []byte
	times   []mark
	pending []segment
	waiting int
	done    bool
	acked   uint32
	hasAck  bool
}

// mark says that the bytes up to end arrived by that time.
type mark struct {
	end  int
	time time.Time
}

// connection is a TCP connection: half 0 is the client's.
type connection struct {
	client, server netip.AddrPort
	half           [2]half
	handshake      bool // its SYN was seen
	answered       bool // the server's SYN was seen
	last           time.Time
	reset          bool
	number         uint64
	packets        Packets
	recognised     bool // the server has acknowledged the client's first data
	turned         bool // a client's packet came after that
}

// assembler puts segments of many connections in order.
type assembler struct {
	open  map[pair]*connection
	count uint64
	// ended is called once for every connection, with all its data.
	ended func(c *connection)
}

func keyOf(s *segment) (pair, bool) {
	if s.src.Compare(s.dst) < 0 {
		return pair{s.src, s.dst}, true
	}
	return pair{s.dst, s.src}, false
}

func (a *assembler) add(s segment) {
	k, _ := keyOf(&s)
	c := a.open[k]
	if c != nil && (s.time.Sub(c.last) > idle || s.syn && !s.acks && a.renewed(c, &s)) {
		a.end(k, c)
		c = nil
	}
	if c == nil {
		if s.rst {
			return
		}
		if len(a.open) >= MaxConnections {
			a.evict()
		}
		a.count++
		c = &connection{client: s.src, server: s.dst, number: a.count}
		if s.syn && s.acks || !s.syn && len(s.payload) > 5 && bytes.HasPrefix(s.payload, []byte("HTTP/")) {
			c.client, c.server = s.dst, s.src
		}
		a.open[k] = c
	}
	c.last = s.time
	dir := 0
	if s.src == c.server && s.src != c.client {
		dir = 1
	}
	if s.syn {
		if dir == 0 {
			c.handshake = true
		} else {
			c.answered = true
			// Of several SYNs the one that is answered counts.
			if h := &c.half[0]; s.acks && len(h.data) == 0 && len(h.pending) == 0 {
				h.started, h.next = true, s.ack
			}
		}
	}
	if s.acks {
		other := &c.half[1-dir]
		if !other.hasAck || int32(s.ack-other.acked) > 0 {
			other.acked, other.hasAck = s.ack, true
		}
	}
	c.half[dir].add(s)
	// A reset may be forged: what follows is read on.
	c.reset = c.reset || s.rst
	c.count(dir)
}

// count counts packets from the one on that acknowledges the client's first
// data: by then an engine that waits for acknowledgements knows the protocol.
func (c *connection) count(dir int) {
	h := &c.half[0]
	if !c.recognised {
		first := h.next - uint32(len(h.data))
		c.recognised = len(h.data) > 0 && h.hasAck && int32(h.acked-first) > 0
	}
	if !c.recognised {
		return
	}
	if dir == 0 {
		c.turned = true
		c.packets.ToServer++
	} else {
		c.packets.ToClient++
	}
	if !c.turned {
		c.packets.First++
	}
}

// renewed says whether a SYN begins a connection anew on the same addresses:
// the old one has carried data or was closed, and its number is another.
func (a *assembler) renewed(c *connection, s *segment) bool {
	if c.reset {
		return true
	}
	h := &c.half[0]
	if s.src != c.client {
		h = &c.half[1]
	}
	return h.started && (h.done || len(c.half[0].data) > 0) && s.seq+1 != h.next-uint32(len(h.data))
}

func (a *assembler) end(k pair, c *connection) {
	delete(a.open, k)
	a.ended(c)
}

// evict ends the quarter of connections that has been silent longest.
func (a *assembler) evict() {
	keys := make([]pair, 0, len(a.open))
	for k := range a.open {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return a.open[keys[i]].last.Before(a.open[keys[j]].last) })
	for _, k := range keys[:len(keys)/4+1] {
		a.end(k, a.open[k])
	}
}

// flush ends all connections, in the order they began.
func (a *assembler) flush() {
	keys := make([]pair, 0, len(a.open))
	for k := range a.open {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return a.open[keys[i]].number < a.open[keys[j]].number })
	for _, k := range keys {
		a.end(k, a.open[k])
	}
}

func (h *half) add(s segment) {
	if s.syn {
		if !h.started {
			h.started, h.next = true, s.seq+1
		}
		// Data may ride on a SYN (RFC 7413); it follows the SYN's own number.
		s.seq++
	}
	if !h.started {
		h.started, h.next = true, s.seq
	}
	if h.done {
		return
	}
	if len(s.payload) > 0 {
		h.take(s)
		h.drain()
	}
	if s.fin && s.seq+uint32(len(s.payload)) == h.next {
		h.done = true
	}
}

// take appends a segment, or keeps it until what is missing before it comes.
func (h *half) take(s segment) {
	gap := int32(s.seq - h.next)
	if gap > 0 {
		if h.waiting+len(s.payload) > MaxPending || gap > 1<<26 {
			return
		}
		s.payload = bytes.Clone(s.payload)
		h.pending = append(h.pending, s)
		h.waiting += len(s.payload)
		return
	}
	skip := int(-gap)
	if skip >= len(s.payload) {
		return
	}
	if len(h.data)+len(s.payload) > MaxStream {
		h.done = true
		return
	}
	fresh := s.payload[skip:]
	h.next += uint32(len(fresh))
	// The urgent byte is out of band: the receiver does not see it in line.
	if u := s.urgent - 1; s.urgent > 0 && u >= skip && u < len(s.payload) {
		u -= skip
		h.data = append(append(h.data, fresh[:u]...), fresh[u+1:]...)
	} else {
		h.data = append(h.data, fresh...)
	}
	h.times = append(h.times, mark{len(h.data), s.time})
}

func (h *half) drain() {
	for again := true; again && len(h.pending) > 0; {
		again = false
		for i := range h.pending {
			p := h.pending[i]
			if int32(p.seq-h.next) <= 0 {
				h.pending = append(h.pending[:i], h.pending[i+1:]...)
				h.waiting -= len(p.payload)
				h.take(p)
				again = true
				break
			}
		}
	}
}

// at is when the byte at offset arrived.
func (h *half) at(offset int) time.Time {
	i := sort.Search(len(h.times), func(i int) bool { return h.times[i].end > offset })
	if i >= len(h.times) {
		if len(h.times) == 0 {
			return time.Time{}
		}
		i = len(h.times) - 1
	}
	return h.times[i].time
}
