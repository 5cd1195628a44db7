// Package jsonl reads requests written one JSON object a line, to be judged
// offline:
//
//	{"id":"7","method":"POST","uri":"/a?b=c","headers":{"Host":"x.org","Accept":["a","b"]},
//	 "body":"...","body_base64":"...","client":"192.0.2.7:4711","time":"2026-01-02T15:04:05Z"}
//
// Only method and uri must be there; another member may be null. The bytes of a
// string are taken as they are, valid UTF-8 or not, and an unpaired surrogate
// \udc80 to \udcff stands for the byte 0x80 to 0xff, as Python writes bytes that
// are no UTF-8. An id may be any value and comes back as it was. headers may be a
// list of pairs, [["Host","x.org"],["Accept","a"]], which keeps their order, and
// a header's value a number. Of body and body_base64 the later counts; base64 may
// be of either alphabet, with or without padding. time is RFC 3339, in UTC where
// it names no zone, or Unix seconds. Unknown members are passed over.
package jsonl

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/request"
)

// MaxLine bounds the bytes of one line; a longer one is passed over with a TooLong.
const MaxLine = 64 << 20

// TooLong is the error about a line of more than MaxLine bytes. The lines behind
// it can be read.
type TooLong struct{}

func (TooLong) Error() string { return fmt.Sprintf("longer than %d bytes", MaxLine) }

// NoClient is the client of a request that names none: a documentation address.
var NoClient = netip.MustParseAddrPort("192.0.2.1:0")

// Reader reads lines.
type Reader struct {
	in *bufio.Reader
	n  int
}

// NewReader reads in, which may be compressed with gzip.
func NewReader(in io.Reader) (*Reader, error) {
	b := bufio.NewReaderSize(in, 256<<10)
	if magic, _ := b.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("read gzip: %w", err)
		}
		b = bufio.NewReaderSize(z, 256<<10)
	}
	return &Reader{in: b}, nil
}

// Next appends the next line that is not blank to dst, and tells its number,
// from 1. At the end it returns io.EOF; TooLong is the one error after which
// there may be more.
func (r *Reader) Next(dst []byte) (line []byte, number int, err error) {
	start := len(dst)
	for {
		piece, err := r.in.ReadSlice('\n')
		dst = append(dst, piece...)
		switch {
		case len(dst)-start > MaxLine:
			for err == bufio.ErrBufferFull {
				_, err = r.in.ReadSlice('\n')
			}
			r.n++
			return dst[:start], r.n, TooLong{}
		case err == bufio.ErrBufferFull:
			continue
		case err != nil && err != io.EOF:
			return dst[:start], r.n + 1, fmt.Errorf("line %d: %w", r.n+1, err)
		}
		if r.n++; r.n == 1 && bytes.HasPrefix(dst[start:], []byte("\xef\xbb\xbf")) {
			dst = append(dst[:start], dst[start+3:]...) // a byte order mark
		}
		if len(bytes.TrimSpace(dst[start:])) > 0 {
			return dst, r.n, nil
		}
		if err == io.EOF {
			return dst[:start], r.n, io.EOF
		}
		dst = dst[:start]
	}
}

// ID is a line's id.
type ID struct {
	Text string
	bare bool // Text is JSON, but no string
}

// Append appends the id as it stands in the line, as JSON.
func (i ID) Append(dst []byte) []byte {
	if i.bare {
		return append(dst, i.Text...)
	}
	return AppendString(dst, []byte(i.Text))
}

// Parse fills r from a line and returns the line's id. Strings are unescaped
// in place, and r points into the line: it must stay untouched until r is
// released. An error says where in the line, in bytes from 1, it was met.
func Parse(line []byte, r *request.Request) (id ID, err error) {
	s := scanner{b: line}
	p := parser{r: r, s: &s}
	if err := s.object(p.member); err != nil {
		return p.id, fmt.Errorf("byte %d: %w", s.i+1, err)
	}
	if s.space(); s.i < len(line) {
		return p.id, fmt.Errorf("byte %d: expected the end of the line behind the object", s.i+1)
	}
	switch {
	case !p.hasMethod:
		return p.id, fmt.Errorf(`"method" is missing`)
	case !p.hasURI:
		return p.id, fmt.Errorf(`"uri" is missing`)
	}
	r.ID = []byte(p.id.Text)
	if !r.Client.IsValid() {
		r.Client = NoClient
	}
	if r.Protocol == "" {
		r.Protocol = "HTTP/1.1"
	}
	if r.Host == nil {
		r.Host = Host(r.Header("host"))
	}
	return p.id, nil
}

// Host is a Host header as NGINX understands it: lower case, without port.
func Host(h []byte) []byte {
	h = bytes.ToLower(h)
	if i := bytes.LastIndexByte(h, ':'); i >= 0 && bytes.IndexByte(h[i:], ']') < 0 {
		h = h[:i]
	}
	return bytes.TrimSuffix(h, []byte("."))
}

type parser struct {
	r                 *request.Request
	s                 *scanner
	id                ID
	hasMethod, hasURI bool
}

func (p *parser) member(key []byte) error {
	switch string(key) {
	case "id":
		if p.s.peek() != '"' {
			raw, err := p.s.skip()
			if bare := json.Valid(raw); err == nil && bare {
				p.id = ID{string(raw), bare}
			}
			return err
		}
		text, err := p.s.text()
		p.id = ID{Text: string(text)}
		return err
	case "method":
		text, err := p.s.text()
		p.r.Method, p.hasMethod = string(text), true
		return err
	case "uri":
		text, err := p.s.text()
		p.r.URI, p.hasURI = text, true
		return err
	case "protocol":
		text, err := p.s.text()
		p.r.Protocol = string(text)
		return err
	case "headers":
		return p.headers()
	case "body", "body_base64":
		return p.body(len(key) > len("body"))
	case "client":
		return p.client()
	case "time":
		return p.time()
	}
	_, err := p.s.skip()
	return err
}

// null takes a null, if it is next.
func (p *parser) null() bool {
	if p.s.peek() == 'n' && bytes.HasPrefix(p.s.b[p.s.i:], []byte("null")) {
		p.s.i += len("null")
		return true
	}
	return false
}

func (p *parser) headers() error {
	switch {
	case p.null():
		return nil
	case p.s.peek() == '[':
		return p.s.array(p.pair)
	}
	return p.s.object(p.header)
}

// pair reads one header of a list: ["Host","x.org"].
func (p *parser) pair() error {
	var name []byte
	n := 0
	err := p.s.array(func() error {
		if n++; n > 1 {
			return p.value(name)
		}
		text, err := p.s.text()
		name = text
		return err
	})
	if err == nil && n != 2 {
		return fmt.Errorf("expected a header's name and value")
	}
	return err
}

func (p *parser) header(name []byte) error {
	if p.s.peek() != '[' {
		return p.value(name)
	}
	return p.s.array(func() error { return p.value(name) })
}

// value adds a header. A number or a truth value is taken as it is written.
func (p *parser) value(name []byte) error {
	if p.null() {
		return nil
	}
	var text []byte
	var err error
	if c := p.s.peek(); c == '"' || c == '{' || c == '[' {
		text, err = p.s.text()
	} else {
		text, err = p.s.skip()
	}
	p.r.Headers = append(p.r.Headers, request.Header{Name: name, Value: text})
	return err
}

func (p *parser) body(encoded bool) error {
	if p.null() {
		return nil
	}
	at := p.s.i
	text, err := p.s.text()
	if err != nil {
		return err
	}
	if encoded {
		text = bytes.TrimRight(text, "=")
		coding := base64.RawStdEncoding
		if bytes.ContainsAny(text, "-_") {
			coding = base64.RawURLEncoding
		}
		n, err := coding.Decode(text, text)
		if err != nil {
			p.s.i = at
			return fmt.Errorf("body_base64: %w", err)
		}
		text = text[:n]
	}
	p.r.Body = request.Body{Present: true, Bytes: text, Length: int64(len(text))}
	return nil
}

func (p *parser) client() error {
	if p.null() {
		return nil
	}
	text, err := p.s.text()
	if err != nil || len(text) == 0 {
		return err
	}
	if a, err := netip.ParseAddr(string(text)); err == nil {
		p.r.Client = netip.AddrPortFrom(a.Unmap(), 0)
		return nil
	}
	ap, err := netip.ParseAddrPort(string(text))
	if err != nil {
		return fmt.Errorf("client %q: expected an address, with or without a port", text)
	}
	p.r.Client = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	return nil
}

func (p *parser) time() error {
	if p.null() {
		return nil
	}
	if p.s.peek() != '"' {
		raw, err := p.s.skip()
		if err != nil {
			return err
		}
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || f < -1e11 || f > 1e11 {
			return fmt.Errorf("time %q: expected Unix seconds or an RFC 3339 string", raw)
		}
		p.r.Received = time.UnixMicro(int64(f * 1e6)).UTC()
		return nil
	}
	text, err := p.s.text()
	if err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05.999999999", strings.Replace(string(text), " ", "T", 1))
	}
	if err != nil {
		return fmt.Errorf("time %q: expected RFC 3339, such as 2026-01-02T15:04:05Z", text)
	}
	p.r.Received = t
	return nil
}
