package door

import (
	"bytes"
	"net/netip"
	"strconv"

	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/request"
)

// head is what NGINX sent ahead of a body: its own metadata, and the client's
// request line and headers inside it.
type head struct {
	target  []byte // "/enter", "/body", "/leave", "/relay"
	length  int64  // Content-Length of what follows, -1 when chunked
	meta    [metaFields][]byte
	hasMeta bool
	uri     []byte
	to      []byte // named location an allowed relay goes on to
	carry   []byte // findings that ENTER handed on
	close   bool
	headers []request.Header
	// words are the last request's TLS version and cipher, protocol, method and
	// mode: the next one's on a connection are mostly the same.
	words [5]word
	// addrs are the last request's client and server.
	addrs [2]address
}

// address keeps an address with its text for as long as it is asked for again.
type address struct {
	text [46]byte // the longest without a zone (INET6_ADDRSTRLEN)
	n    int
	addr netip.Addr
}

func (a *address) get(addr, port []byte) netip.AddrPort {
	if string(a.text[:a.n]) != string(addr) {
		parsed, ok := inspect.ParseAddr(addr)
		if !ok {
			return netip.AddrPort{} // "unix:": a client on a Unix socket has no address
		}
		if len(addr) > len(a.text) {
			return netip.AddrPortFrom(parsed, uint16(number(port)))
		}
		a.n, a.addr = copy(a.text[:], addr), parsed
	}
	if a.n == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.addr, uint16(number(port)))
}

// word keeps a string for as long as it is asked for again.
type word string

func (w *word) get(b []byte) string {
	if string(*w) != string(b) {
		*w = word(known(b))
	}
	return string(*w)
}

// The fields of X-Sallyport-Meta, which nginx/sallyport/meta.conf writes,
// parted by single spaces; none can hold a space, any can be empty.
const (
	metaVersion = iota
	metaID
	metaRemoteAddr
	metaRemotePort
	metaServerAddr
	metaServerPort
	metaConnection
	metaTLS
	metaCipher
	metaProtocol
	metaMethod
	metaLength
	metaNoBody
	metaMode
	metaFields
)

var (
	headEnd = []byte("\r\n\r\n")
	post    = []byte("POST ") // how the doors are asked that take bodies
)

// maxHeaders bounds the header lines kept; NGINX itself takes at most 1,000
// (max_headers) from 1.29 on and 100 by RFC practice before.
const maxHeaders = 4096

// parse reads a whole head, which ends with an empty line, or as much of a
// cut one as has whole lines. It never fails on what a client can cause: lines
// without a colon are skipped. ok is false when NGINX's request line or our
// metadata is missing, which only a wrong configuration does.
func (h *head) parse(b []byte) (ok bool) {
	headers := h.headers[:0]
	h.target, h.length, h.meta, h.hasMeta = nil, 0, [metaFields][]byte{}, false
	h.uri, h.to, h.carry, h.close, h.headers = nil, nil, nil, false, headers
	line, rest, found := cutLine(b)
	if !found {
		return false
	}
	space := bytes.IndexByte(line, ' ')
	if space < 0 {
		return false
	}
	h.target = line[space+1:]
	// A mirror's subrequest keeps the client's query.
	for i, c := range h.target {
		if c == ' ' || c == '?' {
			h.target = h.target[:i]
			break
		}
	}
	for len(rest) > 0 {
		line, rest, found = cutLine(rest)
		if !found || len(line) == 0 {
			break
		}
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 {
			continue
		}
		name, value := line[:colon], line[colon+1:]
		if len(value) > 0 && value[0] == ' ' {
			value = value[1:]
		}
		h.line(name, value)
	}
	return h.hasMeta && string(h.meta[metaVersion]) == "1" && len(h.meta[metaID]) == 32
}

// cutLine parts b after its first line, which ends with CR LF.
func cutLine(b []byte) (line, rest []byte, found bool) {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return nil, nil, false
		}
		if i += from; i > 0 && b[i-1] == '\r' {
			return b[:i-1], b[i+1:], true
		}
		from = i + 1
	}
}

func (h *head) line(name, value []byte) {
	if len(name) > 12 && (name[0]|0x20) == 'x' && bytes.EqualFold(name[:12], []byte("x-sallyport-")) {
		if h.ours(name[12:], value) {
			return
		}
	}
	switch len(name) {
	case 10:
		// NGINX's own, for this hop; the client's comes as metadata.
		if bytes.EqualFold(name, []byte("connection")) {
			h.close = h.close || bytes.EqualFold(value, []byte("close"))
			return
		}
	case 14:
		if bytes.EqualFold(name, []byte("content-length")) {
			h.length, _ = strconv.ParseInt(string(value), 10, 64)
		}
	case 17:
		if bytes.EqualFold(name, []byte("transfer-encoding")) {
			h.length = -1
			return
		}
	}
	if len(h.headers) < maxHeaders {
		h.headers = append(h.headers, request.Header{Name: name, Value: value})
	}
}

// hop names the headers that NGINX does not pass on and gives as metadata.
var hop = map[string][]byte{
	"Hop-Upgrade": []byte("Upgrade"), "Hop-Connection": []byte("Connection"),
	"Hop-TE": []byte("TE"), "Hop-Expect": []byte("Expect"), "Hop-Transfer-Encoding": []byte("Transfer-Encoding"),
	"Hop-Content-Length": []byte("Content-Length"),
}

// ours takes a header of our own and says whether it was one. Each location
// sets every one of them, so a client's copy never arrives, and only the first
// counts all the same. Any other X-Sallyport- header is the client's.
func (h *head) ours(name, value []byte) bool {
	switch string(name) {
	case "Meta":
		if h.hasMeta {
			return true
		}
		h.hasMeta = true
		field, from := 0, 0
		for i, c := range value {
			if c == ' ' && field < metaFields {
				h.meta[field] = value[from:i]
				field, from = field+1, i+1
			}
		}
		if field < metaFields {
			h.meta[field] = value[from:]
		}
	case "Uri":
		if h.uri == nil {
			h.uri = value
		}
	case "To":
		if h.to == nil {
			h.to = value
		}
	case "Carry":
		if h.carry == nil {
			h.carry = value
		}
	default:
		known, ok := hop[string(name)]
		if !ok {
			return false
		}
		if len(value) > 0 && len(h.headers) < maxHeaders {
			h.headers = append(h.headers, request.Header{Name: known, Value: value})
		}
	}
	return true
}

// fill makes r the client's request that the head tells of.
func (h *head) fill(r *request.Request) {
	r.ID = h.meta[metaID]
	r.Client = h.addrs[0].get(h.meta[metaRemoteAddr], h.meta[metaRemotePort])
	r.ServerAddr = h.addrs[1].get(h.meta[metaServerAddr], h.meta[metaServerPort])
	r.Connection = number(h.meta[metaConnection])
	r.TLS = request.TLS{Version: h.words[0].get(h.meta[metaTLS]), Cipher: h.words[1].get(h.meta[metaCipher])}
	r.Protocol, r.Method = h.words[2].get(h.meta[metaProtocol]), h.words[3].get(h.meta[metaMethod])
	r.URI = h.uri
	r.Headers = h.headers
	for i := range r.Headers {
		if n := &r.Headers[i]; len(n.Name) == 4 && bytes.EqualFold(n.Name, []byte("host")) {
			r.Host = hostName(n.Value)
			break
		}
	}
}

// hostName takes the port off and folds the case, in place.
func hostName(host []byte) []byte {
	if len(host) > 0 && host[0] == '[' {
		if end := bytes.IndexByte(host, ']'); end > 0 {
			return host[:end+1]
		}
	}
	if colon := bytes.IndexByte(host, ':'); colon >= 0 {
		host = host[:colon]
	}
	for _, c := range host {
		if 'A' <= c && c <= 'Z' {
			return bytes.ToLower(host)
		}
	}
	return host
}

// noBody says that the client's request has no body: by its headers over
// HTTP/1, never known over later versions.
func (h *head) noBody() bool { return len(h.meta[metaNoBody]) == 1 && h.meta[metaNoBody][0] == '1' }

func (h *head) mode() string { return h.words[4].get(h.meta[metaMode]) }

func number(b []byte) uint64 {
	var n uint64
	for _, c := range b[:min(len(b), 19)] {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// words are the values that nearly every request has, kept so that they need
// no allocation each time.
var words = func() map[string]string {
	m := map[string]string{}
	for _, s := range []string{
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PROPFIND", "REPORT", "QUERY",
		"HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/3.0", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3",
		"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256",
		"ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
		"inline", "guard", "metadata", "relay", "observe",
	} {
		m[s] = s
	}
	return m
}()

func known(b []byte) string {
	if s, ok := words[string(b)]; ok {
		return s
	}
	return string(b)
}
