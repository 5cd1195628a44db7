// Package request is one HTTP request as the backend will read it: parsed
// once, lazily, bounded everywhere, and shared by every check.
//
// A Request is filled by whoever received it (a door, an offline file, a
// pcap) and then only read. Everything derived from it (the normalised path,
// parameters, values and their decoded layers, the body after its content
// encoding) is computed on first use and kept until Release. A Request is not
// safe for concurrent use: one walk owns it at a time.
//
// Byte slices handed out point into the received bytes or into the request's
// own arena. They are valid until Release; whoever keeps one longer copies it.
package request

import (
	"net/netip"
	"time"
)

// Header is one header line as received: duplicates and order are kept, the
// name has the client's spelling.
type Header struct {
	Name, Value []byte
}

// Body is what was received of a request's body, before its Content-Encoding
// was undone.
type Body struct {
	// Present says that the client sent a body, even one of no bytes.
	Present bool
	// Bytes are the first bytes of the body, up to the route's limit.
	Bytes []byte
	// Length is the length of the whole body in bytes as far as known; it
	// exceeds len(Bytes) when the body was cut for inspection.
	Length int64
	// Cut says that Bytes is not the whole body.
	Cut bool
}

// TLS is how the client's connection to NGINX is encrypted; the zero value
// means that it is not.
type TLS struct {
	Version string // "TLSv1.3", as NGINX spells it; empty for plain text
	Cipher  string
}

// Source is what is known of the client before this request. The walk
// attaches it; checks may read it, the policy weighs it.
type Source struct {
	// Reputation is 0 for an unknown or good source and rises towards 100
	// with findings against it.
	Reputation float64
	// Banned says that the source may not call until BannedUntil.
	Banned      bool
	BannedUntil time.Time
	// Listed names the imported list the source stands on, if any.
	Listed string
	// Why is a short reason for Banned or Listed.
	Why string
}

// Request is one request. The exported fields are set by the receiver before
// the first method is called.
type Request struct {
	// ID is NGINX's $request_id: 32 hexadecimal digits that no client chose.
	ID []byte
	// Received is when the request was first seen. Checks take it for now.
	Received time.Time

	Client     netip.AddrPort // behind trusted proxies already resolved
	ServerAddr netip.AddrPort // the address the request came in on, if known
	TLS        TLS
	// Connection numbers the client's connection at NGINX ($connection), 0 if unknown.
	Connection uint64

	Method   string // as sent, case kept
	URI      []byte // the request target as on the wire, before any decoding
	Protocol string // "HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/3.0"
	// Host is the name the request was sent to, as NGINX understood it:
	// lower case, without port.
	Host    []byte
	Headers []Header
	Body    Body

	Source Source

	parsed
}
