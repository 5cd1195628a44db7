// Package buffer makes the parts of a request that rules look at: the URI,
// its headers, its body, each in the shape the rule's own engine gives it.
//
// Suricata (libhtp) and Snort 3 (http_inspect) normalise differently, and a
// rule written for one is wrong on the other's buffers. So every buffer here
// belongs to one of the two families; see suricata.go and snort3.go. A buffer
// is made on first use and lives until the next Reset.
package buffer

import (
	"bytes"
	"unsafe"

	"github.com/sallyport/sallyport/daemon/request"
)

// ID names a buffer.
type ID uint8

// The buffers. Those named S are Suricata's and Snort 2's, those named N are
// Snort 3's.
const (
	None ID = iota
	SURI
	SURIRaw
	SMethod
	SLine
	SProtocol
	SHeader
	SHeaderRaw
	SHeaderNames
	SCookie
	SUserAgent
	SHost
	SHostRaw
	SReferer
	SContentType
	SContentLen
	SAccept
	SAcceptLang
	SAcceptEnc
	SConnection
	SStart
	SBody
	SRequestHeader // one value a header
	SFileData      // one value a file
	SFileName
	SPayload // the request as it came
	SValue   // one value a value that a client chose, decoded; see values
	NURI
	NURIRaw
	NHeader
	NHeaderRaw
	NCookie
	NCookieRaw
	NBody
	NBodyRaw
	NMethod
	NVersion
	NRequestLine
	NTrailer
	NTrailerRaw
	NTrueIP
	NParam
	NFileData
	NPayload
	NNumHeaders // what http_inspect counts, in decimal digits
	NNumTrailers
	NNumCookies
	NMaxHeader
	NMaxTrailer
	count
)

// Names of the buffers for people, as rules call them.
var names = [count]string{
	None: "none", SURI: "http.uri", SURIRaw: "http.uri.raw", SMethod: "http.method", SLine: "http.request_line",
	SProtocol: "http.protocol", SHeader: "http.header", SHeaderRaw: "http.header.raw", SHeaderNames: "http.header_names",
	SCookie: "http.cookie", SUserAgent: "http.user_agent", SHost: "http.host", SHostRaw: "http.host.raw",
	SReferer: "http.referer", SContentType: "http.content_type", SContentLen: "http.content_len", SAccept: "http.accept",
	SAcceptLang: "http.accept_lang", SAcceptEnc: "http.accept_enc", SConnection: "http.connection", SStart: "http.start",
	SBody: "http.request_body", SRequestHeader: "http.request_header", SFileData: "file.data", SFileName: "file.name",
	SPayload: "payload", SValue: "sallyport.value", NURI: "http_uri", NURIRaw: "http_raw_uri", NHeader: "http_header", NHeaderRaw: "http_raw_header",
	NCookie: "http_cookie", NCookieRaw: "http_raw_cookie", NBody: "http_client_body", NBodyRaw: "http_raw_body",
	NMethod: "http_method", NVersion: "http_version", NRequestLine: "http_raw_request", NTrailer: "http_trailer",
	NTrailerRaw: "http_raw_trailer", NTrueIP: "http_true_ip", NParam: "http_param", NFileData: "file_data", NPayload: "pkt_data",
	NNumHeaders: "http_num_headers", NNumTrailers: "http_num_trailers", NNumCookies: "http_num_cookies",
	NMaxHeader: "http_max_header_line", NMaxTrailer: "http_max_trailer_line",
}

func (id ID) String() string {
	if id < count {
		return names[id]
	}
	return "unknown"
}

// Body says that a buffer can only be known once the body was read.
func (id ID) Body() bool {
	switch id {
	case SBody, SFileData, SFileName, SPayload, NBody, NBodyRaw, NFileData, NPayload, NTrailer, NTrailerRaw, NParam, NNumTrailers, NMaxTrailer:
		return true
	}
	return false
}

// Request is what the buffers are made of. Whoever has only the parsed
// request leaves the raw fields nil; they are then written anew from the rest.
type Request struct {
	Method, URI, Protocol []byte
	Headers               []request.Header
	Trailers              []request.Header
	// Body is the body after its transfer coding, before its content coding.
	Body    []byte
	HasBody bool
	// RawLine is the request line without its end, RawHeaders the header
	// lines with the empty line behind them, Raw the whole request.
	RawLine, RawHeaders, Raw []byte
	// RawTrailers are the lines behind the last chunk, with the empty one.
	RawTrailers []byte
	// Two says that the request came over HTTP/2.
	Two bool
	// Answer says that this is an answer: it has the buffers alone that both
	// sides of a conversation have, see ID.Both.
	Answer bool
	// Answered says that the answer is looked at for itself.
	Answered bool
	// Host, when set, is the name the request was sent to, lower case.
	Host []byte
	// Parsed is the daemon's own reading of the request, for SValue; nil where
	// no rule needs it.
	Parsed *request.Request
}

// Parse fills in Parsed from the other fields. The caller releases it.
func (q *Request) Parse() {
	r := request.Get()
	r.Method, r.URI, r.Protocol = string(q.Method), q.URI, string(q.Protocol)
	r.Headers = q.Headers
	r.Body = request.Body{Present: q.HasBody, Bytes: q.Body, Length: int64(len(q.Body))}
	q.Parsed = r
}

// From makes a Request of the daemon's own. Host is left to the header, as
// engines on the wire have it.
func (q *Request) From(r *request.Request) {
	*q = Request{
		Method: append(q.Method[:0], r.Method...), URI: r.URI, Protocol: append(q.Protocol[:0], r.Protocol...),
		Headers: r.Headers, Body: r.Body.Bytes, HasBody: r.Body.Present, Parsed: r,
	}
}

// Value is a buffer's contents.
type Value struct {
	// Many holds the values of a buffer that has several, such as one a
	// header; nil when One is the only one.
	Many [][]byte
	One  []byte
	// Present says that the request has such a part at all. A rule about an
	// absent part does not match, not even a negated one.
	Present bool
}

type key struct {
	id  ID
	arg string
}

// Set makes and keeps the buffers of one request.
type Set struct {
	Req    *Request
	values [count]Value
	known  [count]bool
	named  map[key]Value

	arena   []byte
	parts   [][]byte
	merged  []merged
	merging bool
	uri     uriParts
	hasURI  bool
	body    []byte
	hasBody bool

	head, bodyToo bool // what SValue holds
	headText      Head
	plain         bool // headText is the head of Req
}

// Largest arena kept from one request to the next.
const maxArena = 256 << 10

// Reset begins with another request. head and body say which values SValue
// holds.
func (s *Set) Reset(q *Request, head, body bool) {
	s.Req, s.head, s.bodyToo = q, head, body
	s.known = [count]bool{}
	if len(s.named) > 0 {
		clear(s.named)
	}
	if cap(s.arena) > maxArena {
		s.arena = nil
	}
	if cap(s.headText.Text) > maxArena {
		s.headText.Text = nil
	}
	s.arena = s.arena[:0]
	s.parts = s.parts[:0]
	s.merged = s.merged[:0]
	s.merging, s.hasURI, s.hasBody, s.plain = false, false, false, false
	s.body = nil
}

// Get is a buffer. arg is the field name of a header buffer, the part of a
// URI buffer or the name of a parameter, or empty. The value stays valid
// until Reset.
func (s *Set) Get(id ID, arg string) Value {
	if arg == "" {
		if !s.known[id] {
			s.known[id] = true
			s.values[id] = s.make(id, "")
		}
		return s.values[id]
	}
	k := key{id, arg}
	v, ok := s.named[k]
	if !ok {
		v = s.make(id, arg)
		if s.named == nil {
			s.named = map[key]Value{}
		}
		s.named[k] = v
	}
	return v
}

func (s *Set) make(id ID, arg string) Value {
	if s.Req.Answer {
		return s.answer(id)
	}
	if id >= NURI {
		return s.snort3(id, arg)
	}
	if id == SValue {
		return s.clientValues(arg == "all")
	}
	if id == SFileName && (arg == "sent" || s.Req.Answered) && len(s.Req.Body) == 0 {
		return Value{}
	}
	return s.suricata(id)
}

func one(b []byte) Value { return Value{One: b, Present: true} }

// begin and end frame what is appended to the arena as one buffer.
func (s *Set) begin() int { return len(s.arena) }
func (s *Set) end(from int) []byte {
	return s.arena[from:len(s.arena):len(s.arena)]
}

// equalFold compares header names.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c += 32
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func trim(b []byte) []byte {
	for len(b) > 0 && blank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && blank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// rawHeaders is the header block with its last empty line.
func (s *Set) rawHeaders() []byte {
	if s.Req.RawHeaders != nil {
		return s.Req.RawHeaders
	}
	if h := &s.headText; s.plain {
		return h.Text[h.At[Fields].From:]
	}
	at := s.begin()
	for _, h := range s.Req.Headers {
		s.arena = append(s.arena, h.Name...)
		s.arena = append(s.arena, ": "...)
		s.arena = append(s.arena, h.Value...)
		s.arena = append(s.arena, "\r\n"...)
	}
	s.arena = append(s.arena, "\r\n"...)
	return s.end(at)
}

func (s *Set) line() []byte {
	if s.Req.RawLine != nil {
		return s.Req.RawLine
	}
	if h := &s.headText; s.plain {
		return h.Text[:h.At[Line].To:h.At[Line].To]
	}
	at := s.begin()
	s.arena = append(s.arena, s.Req.Method...)
	s.arena = append(s.arena, ' ')
	s.arena = append(s.arena, s.Req.URI...)
	if len(s.Req.Protocol) > 0 {
		s.arena = append(s.arena, ' ')
		s.arena = append(s.arena, s.Req.Protocol...)
	}
	return s.end(at)
}

// raw is the whole request as it came, or as it could have come.
func (s *Set) raw() []byte {
	if s.Req.Raw != nil {
		return s.Req.Raw
	}
	if s.plain && len(s.Req.Body) == 0 {
		return s.headText.Text
	}
	line, head := s.line(), s.rawHeaders()
	at := s.begin()
	s.arena = append(s.arena, line...)
	s.arena = append(s.arena, "\r\n"...)
	s.arena = append(s.arena, head...)
	s.arena = append(s.arena, s.Req.Body...)
	return s.end(at)
}

// header is the first header of this lower-case name.
func (s *Set) header(lower string) ([]byte, bool) {
	for _, h := range s.Req.Headers {
		if equalFold(h.Name, lower) {
			return trim(h.Value), true
		}
	}
	return nil, false
}

// Body is the body after its content coding.
func (s *Set) Body() []byte { return s.decoded() }

// Within says that part is a piece of whole, the same memory.
func Within(part, whole []byte) bool {
	if len(part) == 0 {
		return true
	}
	if len(whole) == 0 {
		return false
	}
	from, at := uintptr(unsafe.Pointer(&whole[0])), uintptr(unsafe.Pointer(&part[0]))
	return at >= from && at+uintptr(len(part)) <= from+uintptr(len(whole))
}

// decoded is the body after its content coding.
func (s *Set) decoded() []byte {
	if !s.hasBody {
		s.hasBody = true
		s.body = s.Req.Body
		if enc, ok := s.header("content-encoding"); ok && len(s.body) > 0 {
			s.body = Decompress(s.body, string(bytes.ToLower(enc)))
		}
	}
	return s.body
}
