package request

import (
	"bytes"
	"unicode/utf8"
)

// toUTF8 gives a body in UTF-16 or UTF-32 as UTF-8, by its byte order mark, its
// charset, or the NUL bytes that ASCII characters have there (RFC 4627 section
// 3); others, all supersets of ASCII but for those that are marked, come back
// as they are.
func (r *Request) toUTF8(b []byte) []byte {
	width, big := wideCharset(r.Charset(), b)
	if width == 0 {
		return b
	}
	r.mark(MarkCharset, true, BodyText, nil)
	room, ok := r.arena.open(len(b)*3/2 + 4)
	if !ok {
		r.mark(MarkDerived, true, BodyText, nil)
		return b
	}
	unit := func(i int) rune {
		var u rune
		for k := range width {
			at := i + k
			if !big {
				at = i + width - 1 - k
			}
			u = u<<8 | rune(b[at])
		}
		return u
	}
	for i := 0; i+width <= len(b); i += width {
		u := unit(i)
		if width == 2 && u >= 0xd800 && u < 0xdc00 && i+4 <= len(b) {
			if lo := unit(i + 2); lo >= 0xdc00 && lo < 0xe000 {
				u = (u-0xd800)<<10 | (lo - 0xdc00) + 0x10000
				i += 2
			}
		}
		if u == 0xfeff && i == 0 {
			continue
		}
		room = utf8.AppendRune(room, u)
	}
	return r.arena.keep(room)
}

// wideCharset tells how many bytes a character has and their order; 0 bytes
// for a charset whose ASCII is ASCII.
func wideCharset(charset, b []byte) (width int, big bool) {
	switch {
	case bytes.HasPrefix(b, []byte{0, 0, 0xfe, 0xff}):
		return 4, true
	case bytes.HasPrefix(b, []byte{0xff, 0xfe, 0, 0}):
		return 4, false
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		return 2, true
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		return 2, false
	}
	if bytes.HasPrefix(charset, []byte("utf-16")) || bytes.HasPrefix(charset, []byte("ucs-2")) {
		return 2, !bytes.HasSuffix(charset, []byte("le")) && !(len(b) > 1 && b[1] == 0)
	}
	if bytes.HasPrefix(charset, []byte("utf-32")) {
		return 4, !bytes.HasSuffix(charset, []byte("le")) && !(len(b) > 3 && b[3] == 0)
	}
	if len(b) < 4 || len(charset) > 0 {
		return 0, false
	}
	// Without a declaration: a JSON document's first characters are ASCII.
	switch n := b[:4]; {
	case n[0] == 0 && n[1] == 0 && n[2] == 0 && n[3] >= ' ':
		return 4, true
	case n[1] == 0 && n[2] == 0 && n[3] == 0 && n[0] >= ' ':
		return 4, false
	case n[0] == 0 && n[2] == 0 && n[1] >= ' ' && n[3] >= ' ':
		return 2, true
	case n[1] == 0 && n[3] == 0 && n[0] >= ' ' && n[2] >= ' ':
		return 2, false
	}
	return 0, false
}
