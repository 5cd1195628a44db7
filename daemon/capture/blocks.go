package capture

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Bounds of a pcapng file: a block's length in bytes, which a reader would
// otherwise believe and make room for, and the interfaces of all its sections.
const (
	MaxBlock      = maxPacket + 1<<16
	MaxInterfaces = 4096
)

// Types of blocks (draft-ietf-opsawg-pcapng, section 4).
const (
	sectionHeader        = 0x0a0d0d0a
	interfaceDescription = 1
	oldPacket            = 2
	simplePacket         = 3
	enhancedPacket       = 6
	byteOrderMagic       = 0x1a2b3c4d
)

// blocks passes a pcapng file on block by block and ends it with an error at
// the first block past a bound.
type blocks struct {
	r          *bufio.Reader
	order      binary.ByteOrder
	left       int // of the current block, in bytes
	interfaces int
	snap       uint32 // of the section's first interface, 0 for none
	described  bool   // the section has an interface
}

func (b *blocks) Read(p []byte) (int, error) {
	if b.left == 0 {
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// next looks at the beginning of a block.
func (b *blocks) next() error {
	head, err := b.r.Peek(12)
	if len(head) == 0 && err != nil {
		return err
	}
	if len(head) < 12 {
		return io.ErrUnexpectedEOF
	}
	if binary.LittleEndian.Uint32(head) == sectionHeader { // the same in both orders
		b.order, b.described = binary.BigEndian, false
		if binary.LittleEndian.Uint32(head[8:]) == byteOrderMagic {
			b.order = binary.LittleEndian
		}
	}
	if b.order == nil {
		return fmt.Errorf("pcapng: a block before the section's header")
	}
	length := b.order.Uint32(head[4:])
	if length < 12 || length > MaxBlock {
		return fmt.Errorf("pcapng: a block of %d bytes, 12 to %d expected", length, MaxBlock)
	}
	if err := b.fits(b.order.Uint32(head), length); err != nil {
		return err
	}
	b.left = int(length)
	return nil
}

// fits says whether what a block holds is no longer than the block.
func (b *blocks) fits(kind, length uint32) error {
	field := func(at int) uint32 {
		head, err := b.r.Peek(at + 4)
		if err != nil {
			return 0 // the reader will find the file's end
		}
		return b.order.Uint32(head[at:])
	}
	var packet, room uint32
	switch kind {
	case interfaceDescription:
		if b.interfaces++; b.interfaces > MaxInterfaces {
			return fmt.Errorf("pcapng: more than %d interfaces", MaxInterfaces)
		}
		if !b.described {
			b.described, b.snap = true, field(12)
		}
		return nil
	case oldPacket, enhancedPacket:
		packet, room = field(20), length-min(length, 32)
	case simplePacket:
		packet, room = field(8), length-min(length, 16)
		if b.snap > 0 {
			packet = min(packet, b.snap)
		}
	default:
		return nil
	}
	if packet > room {
		return fmt.Errorf("pcapng: a packet of %d bytes in a block that has room for %d", packet, room)
	}
	return nil
}
