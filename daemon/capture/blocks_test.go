package capture

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// block is one block of a pcapng file that says it has this length.
func block(order binary.AppendByteOrder, kind uint32, length int, body ...byte) []byte {
	b := order.AppendUint32(nil, kind)
	b = order.AppendUint32(b, uint32(length))
	b = append(b, body...)
	return order.AppendUint32(b, uint32(length))
}

func section(order binary.AppendByteOrder) []byte {
	body := order.AppendUint32(nil, byteOrderMagic)
	body = append(body, order.AppendUint16(order.AppendUint16(nil, 1), 0)...)
	body = append(body, bytes.Repeat([]byte{0xff}, 8)...)
	return block(order, sectionHeader, 28, body...)
}

func TestAPcapngFileCannotAskForMoreThanItsBounds(t *testing.T) {
	for name, order := range map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		face := block(order, interfaceDescription, 20, append(order.AppendUint16(nil, 1), 0, 0, 0, 0, 4, 0)...)
		boundless := block(order, interfaceDescription, 20, append(order.AppendUint16(nil, 1), 0, 0, 0, 0, 0, 0)...)
		packet := order.AppendUint32(nil, 0)
		packet = append(packet, make([]byte, 8)...)
		packet = order.AppendUint32(order.AppendUint32(packet, 0x7fffff00), 0x7fffff00)
		for _, c := range []struct {
			name string
			file []byte
			says string
		}{
			{"a packet of two gigabytes", append(section(order), append(face, block(order, enhancedPacket, 0x7fffff20, packet...)...)...), "a block of 2147483424 bytes"},
			{"a packet longer than its block", append(section(order), append(face, block(order, enhancedPacket, 32, packet...)...)...), "room for 0"},
			{"an old packet longer than its block", append(section(order), append(face, block(order, oldPacket, 32, packet...)...)...), "room for 0"},
			{"a simple packet longer than its block", append(section(order), append(boundless, block(order, simplePacket, 16, packet[12:16]...)...)...), "room for 0"},
			{"a block without a length", append(section(order), block(order, 5, 0)...), "a block of 0 bytes"},
			{"more interfaces than anybody has", append(section(order), bytes.Repeat(face, MaxInterfaces+1)...), "more than 4096 interfaces"},
		} {
			t.Run(name+" endian, "+c.name, func(t *testing.T) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				err := Read(bytes.NewReader(c.file), false, func(*Request) { t.Error("a request was found") })
				runtime.ReadMemStats(&after)
				if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
					t.Errorf("got %v, want %q", err, c.says)
				}
				if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
					t.Errorf("%d bytes were made room for", n)
				}
			})
		}
	}
}

func TestAnOrdinaryPcapngFileIsRead(t *testing.T) {
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewReader(bytes.NewReader(written(t, "GET /ng HTTP/1.1\r\nHost: a\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, _, err := r.ReadPacketData()
		if err != nil {
			break
		}
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(data), Length: len(data)}, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := Read(&b, false, func(q *Request) {
		if n++; string(q.URI) != "/ng" {
			t.Errorf("found %s", q.URI)
		}
	}); err != nil || n != 1 {
		t.Errorf("%d requests, %v", n, err)
	}
}
