package capture

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// Writer writes requests as TCP connections into a pcap file that Snort,
// Suricata and Wireshark open: handshake, the client's bytes, an optional
// answer, and the end, with right checksums and numbers.
type Writer struct {
	out *pcapgo.Writer
	seq uint32
}

// mss is the payload of one segment.
const mss = 1400

// NewWriter writes the file's header.
func NewWriter(w io.Writer) (*Writer, error) {
	out := pcapgo.NewWriter(w)
	if err := out.WriteFileHeader(1<<18, layers.LinkTypeEthernet); err != nil {
		return nil, fmt.Errorf("write capture: %w", err)
	}
	return &Writer{out: out, seq: 1000}, nil
}

// Conversation is what one connection carried.
type Conversation struct {
	Client, Server  netip.AddrPort
	Start           time.Time
	Request, Answer []byte
}

// Write writes one connection.
func (w *Writer) Write(c Conversation) error {
	if !c.Client.IsValid() || !c.Server.IsValid() || c.Client.Addr().Is4() != c.Server.Addr().Is4() {
		return fmt.Errorf("write capture: %v and %v are no pair of addresses", c.Client, c.Server)
	}
	w.seq += 100_000
	p := &conversationWriter{w: w, c: c, at: c.Start, seq: [2]uint32{w.seq, w.seq + 50_000}}
	p.send(0, flagSYN, nil)
	p.send(1, flagSYN|flagACK, nil)
	p.send(0, flagACK, nil)
	p.data(0, c.Request)
	p.data(1, c.Answer)
	p.send(0, flagFIN|flagACK, nil)
	p.send(1, flagFIN|flagACK, nil)
	p.send(0, flagACK, nil)
	return p.err
}

const (
	flagFIN = 1 << iota
	flagSYN
	flagPSH
	flagACK
)

type conversationWriter struct {
	w   *Writer
	c   Conversation
	at  time.Time
	seq [2]uint32
	err error
}

func (p *conversationWriter) data(dir int, b []byte) {
	if len(b) == 0 {
		return
	}
	for len(b) > 0 {
		n := min(len(b), mss)
		p.send(dir, flagPSH|flagACK, b[:n])
		b = b[n:]
	}
	p.send(1-dir, flagACK, nil)
}

func (p *conversationWriter) send(dir int, flags int, payload []byte) {
	if p.err != nil {
		return
	}
	ends := [2]netip.AddrPort{p.c.Client, p.c.Server}
	src, dst := ends[dir], ends[1-dir]
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(1 + dir)}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(2 - dir)}}
	tcp := &layers.TCP{SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()), Seq: p.seq[dir], Window: 65535,
		SYN: flags&flagSYN != 0, ACK: flags&flagACK != 0, FIN: flags&flagFIN != 0, PSH: flags&flagPSH != 0}
	if tcp.ACK {
		tcp.Ack = p.seq[1-dir]
	}
	var ip gopacket.SerializableLayer
	if src.Addr().Is4() {
		v4 := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		eth.EthernetType, ip = layers.EthernetTypeIPv4, v4
		_ = tcp.SetNetworkLayerForChecksum(v4)
	} else {
		v6 := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		eth.EthernetType, ip = layers.EthernetTypeIPv6, v6
		_ = tcp.SetNetworkLayerForChecksum(v6)
	}
	buf := gopacket.NewSerializeBuffer()
	if p.err = gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, tcp, gopacket.Payload(payload)); p.err != nil {
		return
	}
	p.at = p.at.Add(100 * time.Microsecond)
	p.err = p.w.out.WritePacket(gopacket.CaptureInfo{Timestamp: p.at, CaptureLength: len(buf.Bytes()), Length: len(buf.Bytes())}, buf.Bytes())
	p.seq[dir] += uint32(len(payload))
	if tcp.SYN || tcp.FIN {
		p.seq[dir]++
	}
}
