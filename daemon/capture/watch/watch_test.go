package watch

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/bpf"
)

var (
	backend = netip.MustParseAddrPort("10.0.0.5:8080")
	gateway = netip.MustParseAddr("10.0.0.2")
	start   = time.Unix(1700000000, 0)
)

// frame builds a TCP frame over IPv4 or IPv6 behind some VLAN tags; between is
// an IPv6 extension header's type, or 0xff for none.
func frame(from, to netip.AddrPort, seq uint32, flags byte, tags int, between byte, payload string) []byte {
	b := make([]byte, 12)
	for range tags {
		b = binary.BigEndian.AppendUint16(b, etherVLAN)
		b = append(b, 0, 7)
	}
	tcp := binary.BigEndian.AppendUint16(nil, from.Port())
	tcp = binary.BigEndian.AppendUint16(tcp, to.Port())
	tcp = binary.BigEndian.AppendUint32(tcp, seq)
	tcp = append(tcp, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0)
	tcp = append(tcp, payload...)
	if from.Addr().Is4() {
		b = binary.BigEndian.AppendUint16(b, etherIPv4)
		b = append(b, 0x45, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(20+len(tcp)))
		b = append(b, 0, 0, 0, 0, 64, protoTCP, 0, 0)
	} else {
		next := byte(protoTCP)
		if between != 0xff {
			next = between
			tcp = append([]byte{protoTCP, 0, 0, 0, 0, 0, 0, 0}, tcp...)
		}
		b = binary.BigEndian.AppendUint16(b, etherIPv6)
		b = append(b, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(tcp)))
		b = append(b, next, 64)
	}
	b = append(b, from.Addr().AsSlice()...)
	b = append(b, to.Addr().AsSlice()...)
	return append(b, tcp...)
}

func TestTheFilterPassesBackendPortsAndNoGateway(t *testing.T) {
	raw, err := filter([]uint16{80, 8080}, []netip.Addr{gateway, netip.MustParseAddr("fd00::2")})
	if err != nil {
		t.Fatal(err)
	}
	program, _ := bpf.Disassemble(raw)
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, from, to string
		tags           int
		between        byte
		pass           bool
	}{
		{"IPv4 from a stranger", "10.0.0.3:1", "10.0.0.5:8080", 0, 0xff, true},
		{"IPv4 from the gateway", "10.0.0.2:1", "10.0.0.5:8080", 0, 0xff, false},
		{"IPv4 to another port", "10.0.0.3:1", "10.0.0.5:81", 0, 0xff, false},
		{"IPv4 behind a tag", "10.0.0.3:1", "10.0.0.5:80", 1, 0xff, true},
		{"IPv4 behind two tags", "10.0.0.3:1", "10.0.0.5:80", 2, 0xff, true},
		{"the gateway behind two tags", "10.0.0.2:1", "10.0.0.5:80", 2, 0xff, false},
		{"IPv6 from a stranger", "[fd00::3]:1", "[fd00::5]:80", 0, 0xff, true},
		{"IPv6 from the gateway", "[fd00::2]:1", "[fd00::5]:80", 0, 0xff, false},
		{"IPv6 behind a tag", "[fd00::3]:1", "[fd00::5]:80", 1, 0xff, true},
		{"IPv6 to another port", "[fd00::3]:1", "[fd00::5]:81", 0, 0xff, false},
		{"IPv6 with hop-by-hop options", "[fd00::3]:1", "[fd00::5]:80", 0, 0, true},
		{"the gateway with destination options", "[fd00::2]:1", "[fd00::5]:80", 0, 60, false},
	} {
		n, err := vm.Run(frame(netip.MustParseAddrPort(c.from), netip.MustParseAddrPort(c.to), 1, 2, c.tags, c.between, ""))
		if err != nil || n > 0 != c.pass {
			t.Errorf("%s: passed %d bytes, %v", c.name, n, err)
		}
	}
}

func TestAConnectionIsCountedOnceAndItsRequestLineKept(t *testing.T) {
	w, err := New([]netip.AddrPort{backend}, []netip.Addr{gateway})
	if err != nil {
		t.Fatal(err)
	}
	from := netip.MustParseAddrPort("10.0.0.3:4000")
	w.Frame(frame(netip.AddrPortFrom(gateway, 1), backend, 1, 2, 0, 0xff, ""), "eth0", start)
	w.Frame(frame(from, backend, 9, 2, 1, 0xff, ""), "eth0", start)
	w.Frame(frame(from, backend, 9, 2, 1, 0xff, ""), "br0", start)
	w.Frame(frame(from, backend, 10, 0x18, 1, 0xff, "GET /a\x01?key=s3cret HTTP/1.1\r\n"), "eth0", start)
	w.Frame(frame(from, backend, 10, 0x12, 1, 0xff, ""), "eth0", start)
	if due := w.Due(start, false); due != nil {
		t.Error("reported before the request line could come: ", due)
	}
	due := w.Due(start.Add(time.Second), false)
	if len(due) != 1 || due[0].Connections != 1 || due[0].Request != "GET /a.?... HTTP/1.1" || due[0].Source != from.Addr() {
		t.Fatalf("%+v", due)
	}
	w.Frame(frame(from, backend, 99, 2, 0, 0xff, ""), "eth0", start.Add(2*time.Second))
	if due := w.Due(start.Add(3*time.Second), false); due != nil {
		t.Error("reported twice within a minute: ", due)
	}
	if due := w.Due(start.Add(2*time.Minute), false); len(due) != 1 || due[0].Connections != 2 || due[0].New != 1 {
		t.Errorf("%+v", due)
	}
}

func TestManySourcesStayWithinTheBounds(t *testing.T) {
	w, _ := New([]netip.AddrPort{backend}, []netip.Addr{gateway})
	for i := range uint32(3 * maxPairs) {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 0x0b000000+i)
		w.Frame(frame(netip.AddrPortFrom(netip.AddrFrom4(a), 1), backend, 1, 2, 0, 0xff, ""), "eth0", start)
	}
	if len(w.pairs.byKey) != maxPairs || len(w.connections.byKey) != maxConnections || w.Forgotten() != 2*maxPairs {
		t.Errorf("%d pairs, %d connections, %d forgotten", len(w.pairs.byKey), len(w.connections.byKey), w.Forgotten())
	}
	if n := len(w.Due(start.Add(time.Second), false)); n != maxReport {
		t.Errorf("one report has %d sources", n)
	}
}

func TestATinyFirstFragmentCountsAsAConnection(t *testing.T) {
	f := frame(netip.MustParseAddrPort("10.0.0.3:1"), backend, 1, 2, 0, 0xff, "")[:14+20+8]
	binary.BigEndian.PutUint16(f[16:], 28)
	f[20] = 0x20
	if s, ok := parse(f); !ok || !s.opens {
		t.Error("not seen")
	}
}

func FuzzFrame(f *testing.F) {
	six := netip.MustParseAddrPort("[fd00::3]:1")
	f.Add(frame(netip.MustParseAddrPort("10.0.0.3:1"), backend, 1, 2, 2, 0xff, "GET / HTTP/1.1\r\n"))
	f.Add(frame(six, six, 1, 2, 1, 44, "GET / HTTP/1.1\r\n"))
	f.Add(frame(six, six, 1, 2, 0, 51, ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, _ := New([]netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:8080"), netip.MustParseAddrPort("[::]:1")}, nil)
		w.Frame(b, "eth0", start)
		w.Frame(b, "eth0", start)
		for _, d := range w.Due(start, true) {
			if d.Connections != 1 || len(d.Request) > maxLine+3 {
				t.Errorf("%+v", d)
			}
		}
	})
}
