package inspect

import (
	"bytes"
	"net/netip"
	"unsafe"

	"github.com/gaissmai/bart"

	"github.com/sallyport/sallyport/daemon/policy"
	"github.com/sallyport/sallyport/daemon/request"
)

// maxHops bounds how many forwarding entries are read, from the right.
const maxHops = 32

// resolveClient replaces the peer's address by the one its X-Forwarded-For
// names, when the peer is a trusted proxy: from the right, the first address
// that is not itself trusted. An entry that is no address ends the search, for
// what stands left of it was written by nobody we trust.
func resolveClient(r *request.Request, trusted *bart.Lite) {
	if trusted == nil || !policy.Contains(trusted, r.Client.Addr()) {
		return
	}
	hops := 0
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if !bytes.EqualFold(r.Headers[i].Name, []byte("x-forwarded-for")) {
			continue
		}
		rest := r.Headers[i].Value
		for len(rest) > 0 {
			entry := rest
			cut := bytes.LastIndexByte(rest, ',')
			if cut >= 0 {
				entry, rest = rest[cut+1:], rest[:cut]
			} else {
				rest = nil
			}
			addr, ok := parseHop(bytes.TrimSpace(entry))
			if hops++; !ok || hops > maxHops {
				return
			}
			r.Client = netip.AddrPortFrom(addr, 0)
			if !policy.Contains(trusted, addr) {
				return
			}
		}
	}
}

// parseHop reads an address with or without a port or brackets.
func parseHop(b []byte) (netip.Addr, bool) {
	host := b
	switch colon := bytes.LastIndexByte(b, ':'); {
	case len(b) > 2 && b[0] == '[':
		end := bytes.IndexByte(b, ']')
		if end < 0 || end+1 != len(b) && (end+1 != colon || !isPort(b[colon+1:])) {
			return netip.Addr{}, false
		}
		host = b[1:end]
		if bytes.IndexByte(host, ':') < 0 {
			return netip.Addr{}, false
		}
	case colon >= 0 && bytes.IndexByte(b, ':') == colon: // one colon: IPv4 and a port
		if !isPort(b[colon+1:]) {
			return netip.Addr{}, false
		}
		host = b[:colon]
	}
	a, ok := ParseAddr(host)
	return a.Unmap().WithZone(""), ok
}

func isPort(b []byte) bool {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' || n > 65535 {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return len(b) > 0 && n <= 65535
}

// maxAddr bounds an address in text, in bytes: IPv6 with a zone.
const maxAddr = 64

// ParseAddr reads an IPv4 or IPv6 address as netip.ParseAddr does, but without
// a copy of the text.
func ParseAddr(b []byte) (netip.Addr, bool) {
	if len(b) == 0 || len(b) > maxAddr {
		return netip.Addr{}, false
	}
	// netip keeps no part of the text but in the error, which is dropped; a zone
	// it copies.
	a, err := netip.ParseAddr(unsafe.String(&b[0], len(b)))
	return a, err == nil
}
