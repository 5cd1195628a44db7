package signature_test

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// wire writes connections as networks deliver them: in segments of any size,
// out of order, twice, overlapping, in a VLAN, over IPv6.
type wire struct {
	maker
	t   testing.TB
	out *pcapgo.Writer
	b   *bytes.Buffer
	at  time.Time
}

func newWire(t testing.TB, m maker) *wire {
	w := &wire{maker: m, t: t, b: &bytes.Buffer{}, at: time.Unix(1_700_000_000, 0)}
	w.out = pcapgo.NewWriter(w.b)
	if err := w.out.WriteFileHeader(1<<18, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	return w
}

// side is one end of a connection.
type side struct {
	addr netip.AddrPort
	seq  uint32
}

type segment struct {
	seq  uint32
	data []byte
}

// cut takes data apart, some of it twice, neighbours now and then swapped.
func (w *wire) cut(seq uint32, data []byte) (out []segment) {
	for from := 0; from < len(data); {
		n := min(1+w.Intn(400), len(data)-from)
		out = append(out, segment{seq + uint32(from), data[from : from+n]})
		if w.chance(10) {
			back := w.Intn(min(from+n, 30))
			out = append(out, segment{seq + uint32(from+n-back), data[from+n-back : min(from+n+w.Intn(20), len(data))]})
		}
		from += n
	}
	for i := 1; i < len(out); i++ {
		if w.chance(20) {
			out[i-1], out[i] = out[i], out[i-1]
		}
	}
	return out
}

func (w *wire) connection(client, server netip.AddrPort, request, answer []byte) {
	vlan := w.chance(15)
	c, s := &side{client, 1000 + w.Uint32()>>8}, &side{server, 5000 + w.Uint32()>>8}
	send := func(from, to *side, seq uint32, data []byte, syn, fin, ack bool) {
		w.packet(from.addr, to.addr, seq, to.seq, data, syn, fin, ack, vlan)
	}
	send(c, s, c.seq, nil, true, false, false)
	c.seq++
	send(s, c, s.seq, nil, true, false, true)
	s.seq++
	send(c, s, c.seq, nil, false, false, true)
	for _, x := range w.cut(c.seq, request) {
		send(c, s, x.seq, x.data, false, false, true)
	}
	c.seq += uint32(len(request))
	send(s, c, s.seq, nil, false, false, true)
	for _, x := range w.cut(s.seq, answer) {
		send(s, c, x.seq, x.data, false, false, true)
	}
	s.seq += uint32(len(answer))
	send(c, s, c.seq, nil, false, false, true)
	send(c, s, c.seq, nil, false, true, true)
	c.seq++
	send(s, c, s.seq, nil, false, true, true)
	s.seq++
	send(c, s, c.seq, nil, false, false, true)
}

func (w *wire) packet(src, dst netip.AddrPort, seq, ackSeq uint32, data []byte, syn, fin, ack, vlan bool) {
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	tcp := &layers.TCP{SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()), Seq: seq, Window: 65535, SYN: syn, FIN: fin, ACK: ack, PSH: len(data) > 0}
	if ack {
		tcp.Ack = ackSeq
	}
	kind, stack := layers.EthernetTypeIPv4, []gopacket.SerializableLayer{eth}
	var ip gopacket.SerializableLayer
	if src.Addr().Is4() {
		v4 := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		_ = tcp.SetNetworkLayerForChecksum(v4)
		ip = v4
	} else {
		v6 := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		_ = tcp.SetNetworkLayerForChecksum(v6)
		kind, ip = layers.EthernetTypeIPv6, v6
	}
	eth.EthernetType = kind
	if vlan {
		eth.EthernetType = layers.EthernetTypeDot1Q
		stack = append(stack, &layers.Dot1Q{VLANIdentifier: 7, Type: kind})
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, append(stack, ip, tcp, gopacket.Payload(data))...); err != nil {
		w.t.Fatal(err)
	}
	w.at = w.at.Add(100 * time.Microsecond)
	if err := w.out.WritePacket(gopacket.CaptureInfo{Timestamp: w.at, CaptureLength: len(buf.Bytes()), Length: len(buf.Bytes())}, buf.Bytes()); err != nil {
		w.t.Fatal(err)
	}
}
