package inspect

import (
	"bytes"
	"net/netip"

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
	if len(b) == 0 || len(b) > 64 {
		return netip.Addr{}, false
	}
	s := string(b)
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		if a, err := netip.ParseAddr(s[1 : len(s)-1]); err == nil {
			return a.Unmap().WithZone(""), true
		}
	}
	return netip.Addr{}, false
}
