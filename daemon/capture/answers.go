package capture

import (
	"bytes"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
)

// asked is what an answer depends on of its request: one to HEAD has no body,
// and a file has the name that was asked for.
type asked struct{ method, uri []byte }

// answers reads the answers off a server's half of a connection, to these
// requests in turn.
func answers(b []byte, to []asked, emit func(q *buffer.Request, end int)) {
	p := &parser1{b: b}
	for n := 0; p.pos < len(p.b); {
		if isServerHTTP2(p.b[p.pos:]) {
			answers2(p.b[p.pos:], emit)
			return
		}
		var a asked
		if n < len(to) {
			a = to[n]
		}
		q, informal, stop, ok := p.answer(string(a.method) == "HEAD")
		if !ok {
			return
		}
		q.URI = a.uri
		if !informal {
			emit(q, p.pos-1)
			n++
		}
		if stop {
			return
		}
	}
}

// answer reads one answer; informal says that another one to the same request
// follows it.
func (p *parser1) answer(head bool) (q *buffer.Request, informal, stop, ok bool) {
	start := p.pos
	line, whole := p.line()
	if !whole || !bytes.HasPrefix(line, []byte("HTTP/")) {
		return nil, false, true, false
	}
	protocol, rest, _ := bytes.Cut(line, []byte(" "))
	status, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	q = &buffer.Request{Answer: true, RawLine: line, Protocol: protocol}
	from := p.pos
	stop = !p.headers(q)
	q.RawHeaders = p.b[from:p.pos]
	informal = len(status) == 3 && status[0] == '1' && string(status) != "101"
	none := head || informal || string(status) == "204" || string(status) == "304" || string(status) == "101"
	switch {
	case stop || none:
	case field(q, "content-length") == nil && field(q, "transfer-encoding") == nil:
		q.Body = p.b[p.pos:min(len(p.b), p.pos+MaxBody)]
		q.HasBody = len(q.Body) > 0
		p.pos, stop = len(p.b), true
	default:
		stop = p.body(q)
	}
	q.Raw = p.b[start:p.pos]
	return q, informal, stop, true
}

// isServerHTTP2 says whether a server's half begins as HTTP/2 does: with a
// SETTINGS frame on stream 0.
func isServerHTTP2(b []byte) bool {
	return len(b) >= 9 && b[0] == 0 && b[3] == frameSettings && bytes.Equal(b[5:9], []byte{0, 0, 0, 0})
}

// answers2 reads the answers off a server's half of an HTTP/2 connection.
func answers2(b []byte, emit func(q *buffer.Request, end int)) {
	frames2(b, func(q *buffer.Request, end int) {
		q.Answer, q.Method, q.URI, q.Host = true, nil, nil, nil
		emit(q, end)
	})
}
