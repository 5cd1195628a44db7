package door

import (
	"bytes"
	"io"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/daemon/request"
)

// fallbackBody is what is still inspected of a body that finds no room, in bytes.
const fallbackBody = 64 << 10

// readBody reads what follows the head into the request's body, up to the
// bounds, and drops the rest, so that the connection can go on.
func (c *conn) readBody(r *request.Request, size int) bool {
	_ = c.nc.SetReadDeadline(time.Now().Add(bodyTimeout))
	defer c.nc.SetReadDeadline(time.Time{}) //nolint:errcheck // a dead connection fails at its next read
	early := c.buf[size:c.n]
	limit := c.d.inspector.Policy().Route(r).MaxInspectBytes
	var ok bool
	if c.head.length < 0 {
		ok = c.readChunked(r, early, limit)
	} else {
		ok = c.readLength(r, early, limit)
	}
	// The head's slices stay valid: buf is not written to until the next request.
	c.n = 0
	return ok
}

// room reserves up to want bytes for the body and makes c.body that long.
func (c *conn) room(want int64) {
	for _, n := range []int64{want, fallbackBody, 0} {
		if n = min(n, want); !c.d.bodies.reserve(n) {
			continue
		}
		c.held = n
		if int64(cap(c.body)) < n {
			c.body = make([]byte, n)
		}
		c.body = c.body[:n]
		return
	}
}

func (c *conn) freeBody() {
	c.d.bodies.free(c.held)
	c.held = 0
}

func (c *conn) readLength(r *request.Request, early []byte, limit int64) bool {
	length := c.head.length
	r.Body.Length = length
	r.Body.Present = length > 0
	if length == 0 {
		return len(early) == 0
	}
	if int64(len(early)) > length {
		return false
	}
	c.room(min(length, limit))
	n := copy(c.body, early)
	rest := int64(len(early) - n)
	if n < len(c.body) {
		if _, err := io.ReadFull(c.nc, c.body[n:]); err != nil {
			c.freeBody()
			return false
		}
	}
	r.Body.Bytes = c.body
	r.Body.Cut = int64(len(c.body)) < length
	return c.discard(length - int64(len(c.body)) - rest)
}

// discard reads and drops n bytes.
func (c *conn) discard(n int64) bool {
	if n <= 0 {
		return true
	}
	_, err := io.CopyBuffer(io.Discard, io.LimitReader(onlyReader{c.nc}, n), make([]byte, 32<<10))
	return err == nil
}

// onlyReader hides WriteTo, which would allocate a buffer of its own.
type onlyReader struct{ io.Reader }

// readChunked reads a chunked body (RFC 9112, section 7.1), which NGINX sends
// when it does not buffer requests.
func (c *conn) readChunked(r *request.Request, early []byte, limit int64) bool {
	in := &chunkSource{c: c, early: early}
	c.room(limit)
	n := int64(0)
	for {
		line, ok := in.line()
		if !ok {
			c.freeBody()
			return false
		}
		hex, _, _ := bytes.Cut(line, []byte{';'})
		size, err := strconv.ParseUint(string(bytes.TrimSpace(hex)), 16, 40)
		if err != nil {
			c.freeBody()
			return false
		}
		if size == 0 {
			break
		}
		if !in.read(c.body, &n, int64(size)) {
			c.freeBody()
			return false
		}
	}
	for {
		line, ok := in.line()
		if !ok {
			c.freeBody()
			return false
		}
		if len(line) == 0 {
			break
		}
	}
	r.Body.Present = n > 0
	r.Body.Length = n
	r.Body.Bytes = c.body[:min(n, int64(len(c.body)))]
	r.Body.Cut = n > int64(len(c.body))
	return true
}

// chunkSource reads lines and bytes, first from what came with the head.
type chunkSource struct {
	c     *conn
	early []byte
	page  [4096]byte
	lines [1024]byte
}

func (s *chunkSource) fill() bool {
	if len(s.early) > 0 {
		return true
	}
	n, err := s.c.nc.Read(s.page[:])
	s.early = s.page[:n]
	return n > 0 || err == nil
}

func (s *chunkSource) line() ([]byte, bool) {
	line := s.lines[:0]
	for {
		if !s.fill() {
			return nil, false
		}
		i := bytes.IndexByte(s.early, '\n')
		take := s.early
		if i >= 0 {
			take = s.early[:i+1]
		}
		if len(line)+len(take) > cap(s.lines) {
			return nil, false
		}
		line = append(line, take...)
		s.early = s.early[len(take):]
		if i >= 0 {
			return bytes.TrimRight(line, "\r\n"), true
		}
	}
}

// read takes one chunk and its line end, keeping what fits into body.
func (s *chunkSource) read(body []byte, n *int64, size int64) bool {
	for size > 0 {
		if !s.fill() {
			return false
		}
		take := s.early[:min(int64(len(s.early)), size)]
		if *n < int64(len(body)) {
			copy(body[*n:], take)
		}
		*n += int64(len(take))
		size -= int64(len(take))
		s.early = s.early[len(take):]
	}
	line, ok := s.line()
	return ok && len(line) == 0
}
