package protocol

import (
	"bytes"

	"github.com/sallyport/sallyport/daemon/request"
)

// maxRanges is how many byte ranges a request may ask for without a finding.
const maxRanges = 10

// singular are headers of which a second one is read differently. Host,
// Content-Length and Content-Type have findings of their own.
var singular = [...]string{"authorization", "proxy-authorization", "content-encoding", "referer", "user-agent", "range",
	"origin", "if-modified-since", "max-forwards", "from", "content-location", "content-range"}

func (l *look) headers() {
	r := l.r
	if len(r.Headers) > l.c.s.MaxHeaders {
		l.find(headerMany, "", nil)
	}
	for i := range r.Headers {
		h := &r.Headers[i]
		if !isToken(h.Name) && !pseudo(h.Name) {
			l.find(headerName, "", h.Name)
		}
		if len(h.Value) > l.c.s.MaxHeaderBytes {
			l.find(headerLarge, l.at(h), nil)
		}
		for _, c := range h.Value {
			if c < 0x20 && c != '\t' || c == 0x7f {
				l.find(controlHeader, l.at(h), h.Value)
				break
			}
		}
		l.header(h)
	}
	for _, name := range singular {
		if r.CountHeader(name) > 1 && l.differ(name) {
			l.find(headerTwice, "header:"+name, nil)
		}
	}
	if r.CountHeader("cookie") > 1 {
		l.find(cookieHeaders, "header:cookie", nil)
	}
	l.host()
	l.framing()
}

// differ says that headers of that name have different values.
func (l *look) differ(name string) bool {
	first := l.r.Header(name)
	for i := range l.r.Headers {
		if h := &l.r.Headers[i]; bytes.EqualFold(h.Name, []byte(name)) && !bytes.Equal(h.Value, first) {
			return true
		}
	}
	return false
}

// pseudo says that a name is one of HTTP/2's pseudo-headers, which recordings
// of browsers list among the headers. No server hands them on.
func pseudo(name []byte) bool {
	switch string(name) {
	case ":method", ":path", ":scheme", ":authority":
		return true
	}
	return false
}

// at is a header's where. It is asked for only when there is a finding.
func (l *look) at(h *request.Header) string {
	return "header:" + string(bytes.ToLower(h.Name[:min(len(h.Name), 64)]))
}

// header looks at the headers that steer a proxy or a framework, told apart by
// their length first: most are none of them.
func (l *look) header(h *request.Header) {
	is := func(name string) bool { return bytes.EqualFold(h.Name, []byte(name)) }
	switch len(h.Name) {
	case len("range"): // and Proxy
		switch {
		case is("proxy"):
			l.find(httpoxy, l.at(h), h.Value)
		case is("range") && bytes.Count(h.Value, []byte{','}) >= maxRanges:
			l.find(rangeMany, l.at(h), h.Value)
		}
	case len("expect"):
		if is("expect") && !bytes.EqualFold(h.Value, []byte("100-continue")) {
			l.find(expectOdd, l.at(h), h.Value)
		}
	case len("connection"):
		if is("connection") {
			l.connection(h)
		}
	case len("x-original-url"), len("x-rewrite-url"):
		if is("x-original-url") || is("x-rewrite-url") {
			l.find(rewriteHeader, l.at(h), h.Value)
		}
		if is("x-http-method") && !bytes.EqualFold(h.Value, []byte(l.r.Method)) {
			l.find(methodOverride, l.at(h), h.Value)
		}
	case len("x-http-method-override"), len("x-method-override"):
		if (is("x-http-method-override") || is("x-method-override")) && !bytes.EqualFold(h.Value, []byte(l.r.Method)) {
			l.find(methodOverride, l.at(h), h.Value)
		}
	}
}

// hopByHop are the names that Connection lists in good faith.
var hopByHop = [...]string{"close", "keep-alive", "upgrade", "te", "http2-settings", "proxy-connection", "transfer-encoding", "trailer"}

func (l *look) connection(h *request.Header) {
	rest := h.Value
names:
	for len(rest) > 0 {
		name := rest
		if i := bytes.IndexByte(rest, ','); i >= 0 {
			name, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		name = bytes.TrimSpace(name)
		for _, known := range hopByHop {
			if bytes.EqualFold(name, []byte(known)) {
				continue names
			}
		}
		if len(name) > 0 {
			l.find(connectionNames, l.at(h), h.Value)
		}
	}
}

func (l *look) host() {
	hosts := 0
	for i := range l.r.Headers {
		h := &l.r.Headers[i]
		if !bytes.EqualFold(h.Name, []byte("host")) {
			continue
		}
		hosts++
		if !goodHost(h.Value) {
			l.find(hostInvalid, "header:host", h.Value)
		} else if len(l.c.s.Hosts) > 0 && !l.c.knowsHost(bytes.ToLower(withoutPort(h.Value))) {
			l.find(hostUnknown, "header:host", h.Value)
		}
	}
	switch {
	case hosts > 1:
		l.find(hostTwice, "header:host", nil)
	case hosts == 0 && len(l.r.Host) == 0:
		l.find(hostMissing, "header:host", nil)
	}
}

// goodHost takes names with letters, digits, hyphens, dots and underscores,
// also internationalised ones as sent by some, addresses, and a port.
func goodHost(h []byte) bool {
	if len(h) > 0 && h[0] == '[' {
		end := bytes.IndexByte(h, ']')
		if end < 3 {
			return false
		}
		for _, c := range h[1:end] {
			if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' || c == ':' || c == '.') {
				return false
			}
		}
		return len(h) == end+1 || h[end+1] == ':' && digits(h[end+2:])
	}
	name := h
	if i := bytes.IndexByte(h, ':'); i >= 0 {
		if name = h[:i]; !digits(h[i+1:]) {
			return false
		}
	}
	if len(name) == 0 || len(name) > 253 {
		return false
	}
	for _, c := range name {
		if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '.' || c == '_' || c >= 0x80) {
			return false
		}
	}
	return true
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) <= 5
}

// framing looks at what says where the body ends. NGINX refuses most of this
// itself; offline and behind other servers it is still to be seen.
func (l *look) framing() {
	var length []byte
	lengths, chunked := 0, false
	for i := range l.r.Headers {
		h := &l.r.Headers[i]
		switch {
		case len(h.Name) == len("content-length") && bytes.EqualFold(h.Name, []byte("content-length")):
			if lengths++; lengths > 1 && !bytes.Equal(length, h.Value) {
				l.find(lengthConflict, l.at(h), h.Value)
			}
			length = h.Value
			if n := bytes.TrimSpace(h.Value); len(n) == 0 || len(n) > 19 || bytes.IndexFunc(n, func(r rune) bool { return r < '0' || r > '9' }) >= 0 {
				l.find(lengthInvalid, l.at(h), h.Value)
			}
		case len(h.Name) == len("transfer-encoding") && bytes.EqualFold(h.Name, []byte("transfer-encoding")):
			chunked = true
			if !bytes.EqualFold(bytes.TrimSpace(h.Value), []byte("chunked")) {
				l.find(transferOdd, l.at(h), h.Value)
			}
		}
	}
	if lengths > 0 && chunked {
		l.find(lengthConflict, "header:transfer-encoding", length)
	}
}
