package capture

import (
	"bytes"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/request"
)

// Bounds of one request. A longer head ends the reading of its connection;
// more of a body is not looked at.
const (
	MaxHead    = 1 << 20
	MaxHeaders = 1000
	MaxBody    = 8 << 20
)

// parser1 reads HTTP/1 requests off a client's stream as lenient servers do:
// bare LF ends a line, spaces may stand in the target, the protocol may be
// missing.
type parser1 struct {
	b   []byte
	pos int
}

// looksLikeHTTP says whether a stream begins as an HTTP/1 request: with a
// method in capitals, or with any word if the line names the protocol.
func looksLikeHTTP(b []byte) bool {
	b = bytes.TrimLeft(b, "\r\n \t")
	i, capitals := 0, true
	for i < len(b) && i < 32 && (b[i] >= 'A' && b[i] <= 'Z' || b[i] >= 'a' && b[i] <= 'z' || b[i] == '-' || b[i] == '_') {
		capitals = capitals && b[i] < 'a'
		i++
	}
	if i < 1 || i >= len(b) || b[i] != ' ' && b[i] != '\t' {
		return false
	}
	if capitals {
		return true
	}
	line := b[:min(len(b), MaxHead)]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	return bytes.Contains(line, []byte(" HTTP/"))
}

// line takes the next line without its end.
func (p *parser1) line() (line []byte, ok bool) {
	i := bytes.IndexByte(p.b[p.pos:], '\n')
	if i < 0 {
		return nil, false
	}
	line = p.b[p.pos : p.pos+i]
	p.pos += i + 1
	return bytes.TrimSuffix(line, []byte("\r")), true
}

// next reads one request. stop says that nothing more can be read after it.
func (p *parser1) next() (q *buffer.Request, start int, stop, ok bool) {
	for p.pos < len(p.b) && (p.b[p.pos] == '\r' || p.b[p.pos] == '\n') {
		p.pos++
	}
	start = p.pos
	if start >= len(p.b) || !looksLikeHTTP(p.b[start:]) {
		return nil, start, true, false
	}
	line, whole := p.line()
	if !whole {
		// A request line that never ended: some servers answer it anyway.
		line, p.pos, stop = p.b[p.pos:], len(p.b), true
	}
	q = &buffer.Request{RawLine: line}
	splitLine(q, line)
	head := p.pos
	if !whole || !p.headers(q) {
		stop = true
	}
	q.RawHeaders = p.b[head:p.pos]
	if bytes.Equal(q.Method, []byte("CONNECT")) {
		q.Raw = p.b[start:p.pos]
		return q, start, true, true
	}
	if !stop {
		stop = p.body(q)
	}
	q.Raw = p.b[start:p.pos]
	return q, start, stop, true
}

// splitLine takes a request line apart. The protocol is what begins with
// HTTP/ at its end; everything between it and the method is the target.
func splitLine(q *buffer.Request, line []byte) {
	line = bytes.TrimLeft(line, " \t")
	i := bytes.IndexAny(line, " \t")
	if i < 0 {
		q.Method = line
		return
	}
	q.Method = line[:i]
	rest := bytes.TrimLeft(line[i:], " \t")
	trimmed := bytes.TrimRight(rest, " \t")
	if j := bytes.LastIndexAny(trimmed, " \t"); j >= 0 {
		if last := trimmed[j+1:]; len(last) >= 5 && bytes.EqualFold(last[:5], []byte("HTTP/")) {
			q.Protocol = last
			q.URI = bytes.TrimRight(trimmed[:j], " \t")
			return
		}
	}
	q.URI = trimmed
}

// headers reads header lines up to the empty one; false when the stream ends
// before it.
func (p *parser1) headers(q *buffer.Request) bool {
	if len(q.Protocol) == 0 {
		// Without a protocol there are headers only if the next line is one.
		end := bytes.IndexByte(p.b[p.pos:], '\n')
		if end < 0 || bytes.IndexByte(p.b[p.pos:p.pos+end], ':') <= 0 {
			return true
		}
	}
	from := p.pos
	for {
		line, ok := p.line()
		if !ok {
			if p.pos < len(p.b) && len(q.Headers) < MaxHeaders {
				addHeader(q, bytes.TrimSuffix(p.b[p.pos:], []byte("\r")))
			}
			p.pos = len(p.b)
			return false
		}
		if len(line) == 0 {
			return true
		}
		if p.pos-from > MaxHead || len(q.Headers) >= MaxHeaders {
			return false
		}
		if (line[0] == ' ' || line[0] == '\t') && len(q.Headers) > 0 {
			h := &q.Headers[len(q.Headers)-1]
			// The value goes on over the line end: it is one stretch of the stream.
			if n := cap(h.Value) - cap(line); n > 0 {
				h.Value = h.Value[:n+len(line)]
			}
			continue
		}
		addHeader(q, line)
	}
}

func addHeader(q *buffer.Request, line []byte) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		name, value = line[:0], line
	}
	// Not bytes.TrimLeft: an empty value keeps its place, so that a folded
	// line can go on from it.
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	q.Headers = append(q.Headers, request.Header{Name: bytes.TrimRight(name, " \t"), Value: value})
}

func field(q *buffer.Request, name string) []byte {
	for _, h := range q.Headers {
		if len(h.Name) == len(name) && bytes.EqualFold(h.Name, []byte(name)) {
			return bytes.TrimSpace(h.Value)
		}
	}
	return nil
}

// body reads the body that the headers announce; true when the stream ends in
// it.
func (p *parser1) body(q *buffer.Request) (stop bool) {
	if te := field(q, "transfer-encoding"); te != nil && bytes.Contains(bytes.ToLower(te), []byte("chunked")) {
		q.HasBody = true
		return p.chunked(q)
	}
	cl := field(q, "content-length")
	if cl == nil {
		return false
	}
	n, digits := 0, 0
	for _, c := range cl {
		if c < '0' || c > '9' {
			break
		}
		if n = n*10 + int(c-'0'); n > 1<<40 {
			break
		}
		digits++
	}
	if digits == 0 {
		return false
	}
	q.HasBody = n > 0
	have := len(p.b) - p.pos
	if stop = n > have; stop {
		n = have
	}
	q.Body = p.b[p.pos : p.pos+min(n, MaxBody)]
	p.pos += n
	return stop
}

func (p *parser1) chunked(q *buffer.Request) (stop bool) {
	for {
		line, ok := p.line()
		if !ok {
			p.pos = len(p.b)
			return true
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		n, digits := 0, 0
		for _, c := range line {
			v := hexDigit(c)
			if v < 0 || n > 1<<32 {
				break
			}
			n = n<<4 | v
			digits++
		}
		if digits == 0 || n > 1<<32 {
			return true
		}
		if n == 0 {
			break
		}
		have := len(p.b) - p.pos
		take := min(n, have)
		if len(q.Body)+take <= MaxBody {
			q.Body = append(q.Body[:len(q.Body):len(q.Body)], p.b[p.pos:p.pos+take]...)
		}
		p.pos += take
		if take < n {
			return true
		}
	}
	from := p.pos
	for {
		line, ok := p.line()
		if !ok {
			p.pos = len(p.b)
			return true
		}
		if len(line) == 0 {
			q.RawTrailers = p.b[from:p.pos]
			return false
		}
		if len(q.Trailers) < MaxHeaders {
			name, value, _ := bytes.Cut(line, []byte(":"))
			q.Trailers = append(q.Trailers, request.Header{Name: name, Value: bytes.TrimSpace(value)})
		}
	}
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
