package decode

import (
	"encoding/binary"
	"unicode/utf8"
)

// Bounds of a walk over the protobuf wire format.
const (
	MaxProtobufDepth = 32
	maxProtobufPath  = 128
)

// ProtobufSink takes what a walk finds. The path of field numbers ("1.2") is
// valid during the call.
type ProtobufSink interface {
	// ProtobufLeaf is a length-delimited field that is text, or, with text
	// unset, neither text nor a message.
	ProtobufLeaf(path, raw []byte, text bool)
}

// Protobuf reports every length-delimited leaf of src and says whether src is a
// well-formed message. There is no schema: a field that reads as text is text,
// one that reads as a message is walked.
func Protobuf(src []byte, scratch []byte, sink ProtobufSink) (ok bool) {
	if !protobufValid(src) {
		return false
	}
	if cap(scratch) < maxProtobufPath {
		scratch = make([]byte, 0, maxProtobufPath)
	}
	protobufWalk(src, scratch[:0], 0, sink)
	return true
}

func protobufWalk(src, path []byte, depth int, sink ProtobufSink) {
	base := path
	for len(src) > 0 {
		field, value, rest := protobufField(src)
		if rest == nil {
			return
		}
		src = rest
		if value == nil {
			continue
		}
		path = base
		if len(path) < maxProtobufPath-24 {
			if len(path) > 0 {
				path = append(path, '.')
			}
			path = appendNumber(path, field)
		}
		switch {
		case printable(value):
			sink.ProtobufLeaf(path, value, true)
		case depth < MaxProtobufDepth && protobufValid(value):
			protobufWalk(value, path, depth+1, sink)
		default:
			sink.ProtobufLeaf(path, value, false)
		}
	}
}

// protobufField takes one field off src; value is nil for a number, and rest
// is nil when src is not well-formed.
func protobufField(src []byte) (field uint64, value, rest []byte) {
	tag, n := binary.Uvarint(src)
	if n <= 0 || tag>>3 == 0 || tag>>3 >= 1<<29 {
		return 0, nil, nil
	}
	src = src[n:]
	switch tag & 7 {
	case 0:
		if _, n = binary.Uvarint(src); n <= 0 {
			return 0, nil, nil
		}
		return tag >> 3, nil, src[n:]
	case 1, 5:
		if n = 8; tag&7 == 5 {
			n = 4
		}
		if len(src) < n {
			return 0, nil, nil
		}
		return tag >> 3, nil, src[n:]
	case 2:
		size, n := binary.Uvarint(src)
		if n <= 0 || size > uint64(len(src)-n) {
			return 0, nil, nil
		}
		return tag >> 3, src[n : n+int(size)], src[n+int(size):]
	case 3, 4: // a group's ends; what is in it counts as the message's own
		return tag >> 3, nil, src
	}
	return 0, nil, nil
}

func protobufValid(src []byte) bool {
	if len(src) == 0 {
		return false
	}
	groups := 0
	for len(src) > 0 {
		switch src[0] & 7 {
		case 3:
			groups++
		case 4:
			groups--
		}
		_, _, rest := protobufField(src)
		if rest == nil || groups < 0 {
			return false
		}
		src = rest
	}
	return groups == 0
}

func printable(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, c := range b {
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
