package watch

import (
	"encoding/binary"
	"net/netip"
)

// segment is what the watch needs of one TCP segment.
type segment struct {
	src, dst netip.AddrPort
	seq      uint32
	// opens is set by SYN without ACK, and where a fragment hides the flags.
	opens   bool
	payload []byte // of the frame; valid until the next one is read
}

// Ether types and IP protocol numbers (IANA).
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	etherVLAN = 0x8100 // IEEE 802.1Q
	etherQinQ = 0x88a8 // IEEE 802.1ad
	protoTCP  = 6
)

// maxExtensions bounds the IPv6 extension headers that are walked; a packet
// with more is not looked into.
const maxExtensions = 8

// parse finds the TCP segment in an Ethernet frame, behind at most two VLAN
// tags. The frame is hostile: what does not fit is not a segment.
func parse(frame []byte) (segment, bool) {
	if len(frame) < 14 {
		return segment{}, false
	}
	kind, rest := binary.BigEndian.Uint16(frame[12:]), frame[14:]
	for range 2 {
		if kind != etherVLAN && kind != etherQinQ || len(rest) < 4 {
			break
		}
		kind, rest = binary.BigEndian.Uint16(rest[2:]), rest[4:]
	}
	switch kind {
	case etherIPv4:
		return parseIPv4(rest)
	case etherIPv6:
		return parseIPv6(rest)
	}
	return segment{}, false
}

func parseIPv4(b []byte) (segment, bool) {
	if len(b) < 20 || b[0]>>4 != 4 || b[9] != protoTCP {
		return segment{}, false
	}
	head, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	fragment := binary.BigEndian.Uint16(b[6:])
	if head < 20 || head > len(b) || fragment&0x1fff != 0 {
		return segment{}, false
	}
	// A total of 0 is what segmentation offload leaves on a local link.
	if total >= head && total < len(b) {
		b = b[:total]
	}
	src, _ := netip.AddrFromSlice(b[12:16])
	dst, _ := netip.AddrFromSlice(b[16:20])
	return parseTCP(src, dst, b[head:], fragment&0x2000 != 0)
}

func parseIPv6(b []byte) (segment, bool) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return segment{}, false
	}
	src, _ := netip.AddrFromSlice(b[8:24])
	dst, _ := netip.AddrFromSlice(b[24:40])
	length := int(binary.BigEndian.Uint16(b[4:]))
	next, rest := b[6], b[40:]
	if length > 0 && length < len(rest) {
		rest = rest[:length]
	}
	fragmented := false
	for range maxExtensions {
		if next == protoTCP {
			return parseTCP(src, dst, rest, fragmented)
		}
		if len(rest) < 8 {
			return segment{}, false
		}
		size := 8
		switch next {
		case 0, 43, 60: // hop-by-hop, routing, destination options (RFC 8200)
			size += int(rest[1]) * 8
		case 51: // authentication (RFC 4302)
			size = (int(rest[1]) + 2) * 4
		case 44: // fragment
			if binary.BigEndian.Uint16(rest[2:])&0xfff8 != 0 {
				return segment{}, false
			}
			fragmented = true
		default:
			return segment{}, false
		}
		if size > len(rest) {
			return segment{}, false
		}
		next, rest = rest[0], rest[size:]
	}
	return segment{}, false
}

// parseTCP reads a header. The first fragment of a packet may end before the
// flags, which is how one hides a SYN from a filter (RFC 1858, 3.2.2): it
// counts as one.
func parseTCP(src, dst netip.Addr, b []byte, fragmented bool) (segment, bool) {
	if len(b) < 8 {
		return segment{}, false
	}
	s := segment{
		src: netip.AddrPortFrom(src, binary.BigEndian.Uint16(b)),
		dst: netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:])),
		seq: binary.BigEndian.Uint32(b[4:]),
	}
	if len(b) < 20 {
		s.opens = fragmented
		return s, fragmented
	}
	const syn, ack = 0x02, 0x10
	s.opens = b[13]&(syn|ack) == syn
	head := int(b[12]>>4) * 4
	if head < 20 || head > len(b) {
		return s, s.opens
	}
	s.payload = b[head:]
	return s, true
}
