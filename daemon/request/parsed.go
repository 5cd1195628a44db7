package request

import (
	"sync"

	"github.com/sallyport/sallyport/daemon/request/decode"
)

// parsed holds what was derived from a request so far.
type parsed struct {
	done  stage
	arena arena

	rawPath, rawQuery, path []byte
	segments                [][]byte
	query, form, cookies    []Param
	names                   nameSet

	media, boundary []byte
	charset         []byte
	decoded         []byte // the body after its content encoding
	decodedBuf      []byte // the memory of decoded, if it was encoded

	head, body []Value
	ids        int32 // values made so far
	layers     []Layer
	spans      []span // of layers, by value id

	marks    []Marker
	markSeen [2]uint64

	json    decode.JSON
	xml     decode.XML
	scratch []byte
	into    place // where the running walk puts its values

	coded     charset  // of a form's values, where it is no superset of ASCII
	partIn    []byte   // the name of the part that the multipart body being read stands in
	partDepth uint8    // how many parts it stands in
	declared  []entity // of the XML document being read
	piece     int      // the first piece of the XML text being read, by its index in body
	last      int      // its last piece
	graphBody bool     // the GraphQL document being read stands in the body
}

// stage says what was computed.
type stage uint16

const (
	doneTarget stage = 1 << iota
	donePath
	doneSegments
	doneQuery
	doneCookies
	doneMedia
	doneDecoded
	doneHead
	doneBody
)

// first says whether s is to be computed now, and takes it for computed.
func (p *parsed) first(s stage) bool {
	if p.done&s != 0 {
		return false
	}
	p.done |= s
	return true
}

// Bounds of what stays with a pooled request.
const (
	keepValues = 8 << 10
	keepParams = 1 << 10
	keepBody   = 256 << 10
)

var pool = sync.Pool{New: func() any { return new(Request) }}

// Get takes an empty Request from the pool.
func Get() *Request { return pool.Get().(*Request) }

// Release gives r and everything derived from it back to the pool. Nothing
// that came from r may be used afterwards.
func (r *Request) Release() {
	p := r.parsed
	headers := r.Headers
	clear(headers)
	if cap(headers) > keepParams {
		headers = nil
	}
	*r = Request{Headers: headers[:0]}
	p.reset()
	r.parsed = p
	pool.Put(r)
}

func (p *parsed) reset() {
	p.arena.reset()
	p.json.Reset()
	decoded := p.decodedBuf
	if cap(decoded) > keepBody {
		decoded = nil
	}
	*p = parsed{
		arena:    p.arena,
		segments: empty(p.segments, keepParams),
		query:    empty(p.query, keepParams), form: empty(p.form, keepParams), cookies: empty(p.cookies, keepParams),
		names:      p.names,
		decodedBuf: decoded[:0],
		head:       empty(p.head, keepParams), body: empty(p.body, keepValues),
		layers: empty(p.layers, keepValues), spans: empty(p.spans, 2*keepValues),
		marks:   empty(p.marks, keepParams),
		json:    p.json,
		xml:     p.xml,
		scratch: p.scratch,
	}
}

// empty clears s, so that it holds no request's bytes, and drops it if it grew
// past what a pooled request should keep.
func empty[T any](s []T, keep int) []T {
	if cap(s) > keep {
		return nil
	}
	clear(s)
	return s[:0]
}

func (p *parsed) room() []byte {
	if p.scratch == nil {
		p.scratch = make([]byte, 0, 512)
	}
	return p.scratch[:0]
}
