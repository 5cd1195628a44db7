// Package capture reads and writes packet captures: it finds the HTTP
// requests in a pcap or pcapng file, for replaying rules on them.
//
// A capture is hostile input. What is kept of a connection, and how many
// connections are followed at a time, is bounded; see the constants.
package capture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/ip4defrag"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// source reads packets of either file format.
type source interface {
	ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	LinkType() layers.LinkType
}

// open tells pcap from pcapng by the first four bytes.
func open(r io.Reader) (source, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	magic, err := b.Peek(4)
	if err != nil {
		return nil, fmt.Errorf("read capture: %w", err)
	}
	if bytes.Equal(magic, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		o := pcapgo.DefaultNgReaderOptions
		o.WantMixedLinkType = true
		return pcapgo.NewNgReader(&blocks{r: b}, o)
	}
	p, err := pcapgo.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("neither pcap nor pcapng: %w", err)
	}
	// The file names its own bound; a packet is no longer than this one.
	if p.Snaplen() == 0 || p.Snaplen() > maxPacket {
		p.SetSnaplen(maxPacket)
	}
	return p, nil
}

// maxPacket bounds one packet, in bytes.
const maxPacket = 1 << 18

// segment is one TCP segment.
type segment struct {
	src, dst netip.AddrPort
	seq, ack uint32
	syn, fin bool
	rst      bool
	acks     bool
	urgent   int // place of the urgent byte behind the first, 0 for none
	payload  []byte
	time     time.Time
}

// decoder takes packets apart down to TCP, through tunnels where there are
// any: the innermost TCP segment counts.
type decoder struct {
	defrag *ip4defrag.IPv4Defragmenter
}

// Link types that gopacket does not know.
const (
	linkCHDLC = 104
	linkSLL2  = 276 & 0xff // the library keeps eight bits of a link type
)

// network is where a packet of a link type begins to be of the network layer,
// and of which; ok is false where gopacket is to decode the link layer.
func network(link layers.LinkType, data []byte) (gopacket.Decoder, []byte, bool) {
	ether := func(t uint16, rest []byte) (gopacket.Decoder, []byte, bool) {
		return layers.EthernetType(t), rest, true
	}
	switch {
	case link == linkCHDLC && len(data) > 4:
		return ether(binary.BigEndian.Uint16(data[2:]), data[4:])
	case link == linkSLL2 && len(data) > 20:
		return ether(binary.BigEndian.Uint16(data), data[20:])
	case (link == 12 || link == 14 || link == 101 || link == 228 || link == 229) && len(data) > 0:
		if data[0]>>4 == 6 {
			return layers.LayerTypeIPv6, data, true
		}
		return layers.LayerTypeIPv4, data, true
	}
	return nil, nil, false
}

// decode returns the TCP segment of a packet.
func (d *decoder) decode(link layers.LinkType, data []byte, at time.Time) (s segment, ok bool) {
	first, rest, known := network(link, data)
	if !known {
		first, rest = link, data
	}
	return d.layers(gopacket.NewPacket(rest, first, gopacket.DecodeOptions{NoCopy: true, Lazy: false}), at, 0)
}

func (d *decoder) layers(p gopacket.Packet, at time.Time, depth int) (s segment, ok bool) {
	var src, dst netip.Addr
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.IPv4:
			src, _ = netip.AddrFromSlice(l.SrcIP.To4())
			dst, _ = netip.AddrFromSlice(l.DstIP.To4())
			if l.Flags&layers.IPv4MoreFragments != 0 || l.FragOffset != 0 {
				whole, err := d.defrag.DefragIPv4WithTimestamp(l, at)
				if err != nil || whole == nil || depth > 4 {
					return s, false
				}
				if whole.Flags&layers.IPv4MoreFragments == 0 && whole.FragOffset == 0 && whole.Protocol == layers.IPProtocolTCP {
					return d.tcpOf(src, dst, whole.Payload, at)
				}
				return s, false
			}
		case *layers.IPv6:
			src, _ = netip.AddrFromSlice(l.SrcIP.To16())
			dst, _ = netip.AddrFromSlice(l.DstIP.To16())
		case *layers.TCP:
			s, ok = tcpSegment(src, dst, l, at), true
		}
	}
	return s, ok && s.src.IsValid()
}

func (d *decoder) tcpOf(src, dst netip.Addr, payload []byte, at time.Time) (segment, bool) {
	var t layers.TCP
	if err := t.DecodeFromBytes(payload, gopacket.NilDecodeFeedback); err != nil {
		return segment{}, false
	}
	return tcpSegment(src, dst, &t, at), true
}

func tcpSegment(src, dst netip.Addr, t *layers.TCP, at time.Time) segment {
	s := segment{
		src: netip.AddrPortFrom(src, uint16(t.SrcPort)), dst: netip.AddrPortFrom(dst, uint16(t.DstPort)),
		seq: t.Seq, ack: t.Ack, syn: t.SYN, fin: t.FIN, rst: t.RST, acks: t.ACK, payload: t.Payload, time: at,
	}
	if t.URG {
		s.urgent = int(t.Urgent)
	}
	return s
}

// segments calls f for every TCP segment of a capture. A capture that breaks
// off is read as far as it goes; then the error is io.ErrUnexpectedEOF.
func segments(r io.Reader, f func(segment) error) error {
	src, err := open(r)
	if err != nil {
		return err
	}
	d := &decoder{defrag: ip4defrag.NewIPv4Defragmenter()}
	for n := 1; ; n++ {
		data, info, err := src.ReadPacketData()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("packet %d: %w", n, err)
		}
		link := src.LinkType()
		if len(info.AncillaryData) > 0 {
			if l, ok := info.AncillaryData[0].(layers.LinkType); ok {
				link = l
			}
		}
		if s, ok := d.decode(link, data, info.Timestamp); ok {
			if err := f(s); err != nil {
				return err
			}
		}
	}
}
