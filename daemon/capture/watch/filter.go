package watch

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
)

// snapLength is how much of a frame is captured, in bytes: the longest headers
// that are walked and the request line.
const snapLength = 2048

// filter is the program that the kernel runs on each frame: TCP to one of the
// ports, from no gateway, over IPv4 or IPv6, behind none, one or two VLAN tags.
// IPv6 with extension headers and fragments passes whole, to be looked into
// here. Everything else, and so the gateway's own traffic, is not copied.
func filter(ports []uint16, gateways []netip.Addr) ([]bpf.RawInstruction, error) {
	var p []bpf.Instruction
	for _, at := range []uint32{12, 16, 20} { // where the ether type stands
		for kind, part := range map[uint32][]bpf.Instruction{
			etherIPv4: ipv4(at+2, ports, gateways), etherIPv6: ipv6(at+2, ports, gateways),
		} {
			p = append(p,
				bpf.LoadAbsolute{Off: at, Size: 2},
				bpf.JumpIf{Cond: bpf.JumpEqual, Val: kind, SkipTrue: 1},
				bpf.Jump{Skip: uint32(len(part))})
			p = append(p, part...)
		}
		// Without a VLAN tag here there is no deeper ether type.
		p = append(p,
			bpf.LoadAbsolute{Off: at, Size: 2},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: etherVLAN, SkipTrue: 2},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: etherQinQ, SkipTrue: 1},
			bpf.RetConstant{})
	}
	return bpf.Assemble(append(p, bpf.RetConstant{}))
}

func ipv4(at uint32, ports []uint16, gateways []netip.Addr) []bpf.Instruction {
	p := []bpf.Instruction{
		bpf.LoadAbsolute{Off: at + 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protoTCP, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadAbsolute{Off: at + 6, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: 0x1fff, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadAbsolute{Off: at + 12, Size: 4},
	}
	for _, g := range gateways {
		if g.Is4() {
			b := g.As4()
			p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(b[:]), SkipTrue: 1}, bpf.RetConstant{})
		}
	}
	p = append(p, bpf.LoadMemShift{Off: at}, bpf.LoadIndirect{Off: at + 2, Size: 2})
	return append(p, anyPort(ports)...)
}

func ipv6(at uint32, ports []uint16, gateways []netip.Addr) []bpf.Instruction {
	p := []bpf.Instruction{bpf.LoadAbsolute{Off: at + 6, Size: 1}}
	for _, g := range gateways {
		if g.Is6() {
			b := g.As16()
			for word := range uint32(4) {
				p = append(p,
					bpf.LoadAbsolute{Off: at + 8 + 4*word, Size: 4},
					bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(b[4*word:]), SkipTrue: uint8(7 - 2*word)})
			}
			p = append(p, bpf.RetConstant{})
		}
	}
	p = append(p, bpf.LoadAbsolute{Off: at + 6, Size: 1})
	for _, extension := range []uint32{0, 43, 44, 51, 60} {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: extension, SkipTrue: 1}, bpf.RetConstant{Val: snapLength})
	}
	p = append(p,
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protoTCP, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadAbsolute{Off: at + 40 + 2, Size: 2})
	return append(p, anyPort(ports)...)
}

func anyPort(ports []uint16) []bpf.Instruction {
	var p []bpf.Instruction
	for _, port := range ports {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(port), SkipTrue: 1}, bpf.RetConstant{Val: snapLength})
	}
	return append(p, bpf.RetConstant{})
}
