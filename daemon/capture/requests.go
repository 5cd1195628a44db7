package capture

import (
	"encoding/binary"
	"io"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
)

// Request is an HTTP request found in a capture.
type Request struct {
	*buffer.Request
	Client, Server netip.AddrPort
	// Connection numbers the TCP connection within the capture, from 1; Index
	// the request within its connection, from 0.
	Connection uint64
	Index      int
	Time       time.Time
	// Packets counts the connection's packets, on its first request alone.
	Packets Packets
}

// Packets counts a connection's packets from the one on that acknowledges the
// first request, that is, from when an engine on the wire knows that it is
// HTTP. First are those before the client's next packet.
type Packets struct{ ToServer, ToClient, First int }

// Flow is a name for the request's connection.
func (r *Request) Flow() []byte {
	return binary.BigEndian.AppendUint64(nil, r.Connection)
}

// Read calls f for every HTTP request of a capture, connection by connection.
// What was read before an error has been reported.
//
// Connections whose handshake is not in the capture are left out, as engines
// on the wire do, unless midstream is set.
func Read(r io.Reader, midstream bool, f func(*Request)) error {
	return ReadBoth(r, midstream, f, nil)
}

// ReadBoth is Read, and calls answer for every answer, behind the requests of
// its connection; Client is the one who sent the requests there too.
func ReadBoth(r io.Reader, midstream bool, f, answer func(*Request)) error {
	a := &assembler{open: map[pair]*connection{}, ended: func(c *connection) {
		if !midstream && !(c.handshake && c.answered) {
			return
		}
		if answer == nil {
			c.requests(f)
			return
		}
		var to []asked
		var last *Request
		c.requests(func(r *Request) {
			to, last = append(to, asked{r.Method, r.URI}), r
			r.Answered = true
			f(r)
		})
		if last == nil {
			return
		}
		h := &c.half[1]
		if last.Client != c.client {
			h = &c.half[0]
		}
		index := 0
		answers(h.data, to, func(q *buffer.Request, end int) {
			answer(&Request{Request: q, Client: last.Client, Server: last.Server, Connection: c.number, Index: index, Time: h.at(end)})
			index++
		})
	}}
	err := segments(r, func(s segment) error {
		a.add(s)
		return nil
	})
	a.flush()
	return err
}

// requests finds the requests in a connection that ended.
func (c *connection) requests(f func(*Request)) {
	h := &c.half[0]
	client, server := c.client, c.server
	if !looksLikeHTTP(h.data) && looksLikeHTTP(c.half[1].data) && !c.handshake {
		h, client, server = &c.half[1], server, client
	}
	index := 0
	emit := func(q *buffer.Request, end int) {
		r := &Request{Request: q, Client: client, Server: server, Connection: c.number, Index: index, Time: h.at(end)}
		if index == 0 {
			r.Packets = c.packets
		}
		f(r)
		index++
	}
	if isHTTP2(h.data) {
		requests2(h.data, emit)
		return
	}
	if !looksLikeHTTP(h.data) {
		return
	}
	p := &parser1{b: h.data}
	for {
		q, _, stop, ok := p.next()
		if !ok {
			return
		}
		emit(q, p.pos-1)
		if stop {
			return
		}
		if isHTTP2(h.data[p.pos:]) {
			requests2(h.data[p.pos:], func(q *buffer.Request, end int) { emit(q, p.pos+end) })
			return
		}
	}
}
