package capture

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/net/http2/hpack"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/request"
)

var preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

func isHTTP2(b []byte) bool { return bytes.HasPrefix(b, preface) }

// Frame types and flags, RFC 9113 section 6.
const (
	frameData         = 0
	frameHeaders      = 1
	frameSettings     = 4
	framePush         = 5
	frameContinuation = 9
	flagEnd           = 1
	flagEndHeaders    = 4
	flagPadded        = 8
	flagPriority      = 32
)

// maxStreams bounds the requests in flight on one HTTP/2 connection.
const maxStreams = 1000

// requests2 reads the requests off a client's half of an HTTP/2 connection.
func requests2(b []byte, emit func(q *buffer.Request, end int)) {
	frames2(b[len(preface):], func(q *buffer.Request, end int) { emit(q, end+len(preface)) })
}

// frames2 reads messages off one half of an HTTP/2 connection, behind the
// client's preface.
func frames2(b []byte, emit func(q *buffer.Request, end int)) {
	p := &parser2{open: map[uint32]*buffer.Request{}}
	p.dec = hpack.NewDecoder(65536, nil)
	p.dec.SetMaxStringLength(MaxHead)
	pos := 0
	var order []uint32
	for pos+9 <= len(b) {
		size := int(b[pos])<<16 | int(b[pos+1])<<8 | int(b[pos+2])
		kind, flags := b[pos+3], b[pos+4]
		stream := binary.BigEndian.Uint32(b[pos+5:]) &^ (1 << 31)
		pos += 9
		whole := pos+size <= len(b)
		payload := b[pos:min(pos+size, len(b))]
		pos += len(payload)
		switch kind {
		case frameHeaders, frameContinuation:
			if !p.headers(kind, flags, stream, payload) {
				return
			}
			order = append(order, stream)
		case frameData:
			p.data(flags, stream, payload)
		}
		if q := p.open[stream]; q != nil && p.ended(kind, flags, stream) {
			delete(p.open, stream)
			emit(q, pos-1)
		}
		if !whole {
			break
		}
	}
	for _, s := range order {
		if q := p.open[s]; q != nil {
			delete(p.open, s)
			emit(q, pos-1)
		}
	}
}

type parser2 struct {
	dec   *hpack.Decoder
	open  map[uint32]*buffer.Request
	block []byte
	end   bool // the headers being collected end their stream
}

// headers collects a header block and decodes it once it is whole.
func (p *parser2) headers(kind, flags byte, stream uint32, payload []byte) bool {
	if kind == frameHeaders {
		p.block = p.block[:0]
		p.end = flags&flagEnd != 0
		payload = unpad(flags, payload)
		if flags&flagPriority != 0 && len(payload) >= 5 {
			payload = payload[5:]
		}
	}
	if len(p.block)+len(payload) > MaxHead {
		return false
	}
	p.block = append(p.block, payload...)
	if flags&flagEndHeaders == 0 {
		return true
	}
	fields, err := p.dec.DecodeFull(p.block)
	if err != nil && len(fields) == 0 {
		return false
	}
	q := p.open[stream]
	trailers := q != nil
	if q == nil {
		if len(p.open) >= maxStreams {
			return false
		}
		q = &buffer.Request{Two: true, Protocol: []byte("HTTP/2")}
		p.open[stream] = q
	}
	for _, f := range fields {
		h := request.Header{Name: []byte(f.Name), Value: []byte(f.Value)}
		if trailers {
			q.Trailers = append(q.Trailers, h)
			continue
		}
		if len(q.Headers) >= MaxHeaders {
			break
		}
		switch f.Name {
		case ":method":
			q.Method = h.Value
		case ":path":
			q.URI = h.Value
		case ":authority":
			q.Host = h.Value
		}
		q.Headers = append(q.Headers, h)
	}
	return true
}

func (p *parser2) data(flags byte, stream uint32, payload []byte) {
	q := p.open[stream]
	if q == nil {
		return
	}
	payload = unpad(flags, payload)
	q.HasBody = q.HasBody || len(payload) > 0
	if len(q.Body)+len(payload) <= MaxBody {
		q.Body = append(q.Body, payload...)
	}
}

func (p *parser2) ended(kind, flags byte, _ uint32) bool {
	switch kind {
	case frameData:
		return flags&flagEnd != 0
	case frameHeaders, frameContinuation:
		return flags&flagEndHeaders != 0 && p.end
	}
	return false
}

func unpad(flags byte, b []byte) []byte {
	if flags&flagPadded == 0 || len(b) == 0 {
		return b
	}
	n := int(b[0])
	if n >= len(b) {
		return nil
	}
	return b[1 : len(b)-n]
}
