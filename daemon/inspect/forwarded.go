package inspect

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/policy"
	"github.com/sallyport/sallyport/daemon/request"
)

// NGINX logs its peer, which behind a trusted proxy is that proxy. So that how
// a request ended is put down to the client it came from, the source that was
// resolved for it is kept under its id until then.

const (
	forwardedSpace = "forwarded"
	forwardedFor   = 10 * time.Minute
)

func (i *Inspector) keepSource(r *request.Request, peer netip.Addr, now time.Time) {
	if i.State == nil || i.Stateless || len(r.ID) == 0 || r.Client.Addr() == peer {
		return
	}
	i.State.SetBits(forwardedKey(i.State, r.ID), now, forwardedFor, ^uint64(0), sourceBits(check.SourceOf(r.Client.Addr())))
}

// resolveEnded replaces the peer of an outcome by the source kept for it.
func (i *Inspector) resolveEnded(o *outcome.Outcome, p *policy.Policy) {
	if i.State == nil || p.Trusted == nil || !policy.Contains(p.Trusted, o.Client) {
		return
	}
	if source := i.State.TakeBits(forwardedKey(i.State, []byte(o.ID)), o.Time); source != 0 {
		o.Client = bitsSource(source)
	}
}

func forwardedKey(s *keyed.Store, id []byte) keyed.Key { return s.Key(forwardedSpace, id) }

// v4 marks an IPv4 source: no client's IPv6 network begins so.
const v4 = 0xFFFFFFFF << 32

// sourceBits is a source in 64 bits: an IPv4 address, or the prefix of a /64.
func sourceBits(source netip.Addr) uint64 {
	if source.Is4() {
		raw := source.As4()
		return v4 | uint64(binary.BigEndian.Uint32(raw[:]))
	}
	raw := source.As16()
	return binary.BigEndian.Uint64(raw[:8])
}

func bitsSource(bits uint64) netip.Addr {
	if bits&v4 == v4 {
		var raw [4]byte
		binary.BigEndian.PutUint32(raw[:], uint32(bits))
		return netip.AddrFrom4(raw)
	}
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], bits)
	return netip.AddrFrom16(raw)
}
