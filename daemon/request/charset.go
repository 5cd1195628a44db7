package request

import (
	"bytes"
	"unicode/utf8"

	"github.com/sallyport/sallyport/daemon/request/decode"
)

// toUTF8 gives a body as UTF-8. UTF-16 and UTF-32 are known by their byte order
// mark, their name, or the NUL bytes that ASCII characters have there (RFC 4627
// section 3); every other charset by its name, in the Content-Type or in an XML
// declaration. With those that are no superset of ASCII, Java and .NET read an
// attack where ASCII is noise, so they are marked. A superset of single bytes
// comes back as it is.
//
// A form and a multipart body are written in ASCII whatever their charset is:
// their values are in it, once percent-encoding is undone. They get a reading
// by the charset, Part "charset", when they are made.
func (r *Request) toUTF8(b []byte) []byte {
	if width, big := wideShape(b, len(r.Charset()) > 0); width > 0 {
		r.mark(MarkCharset, true, BodyText, nil)
		return r.wide(b, width, big)
	}
	name, from := r.Charset(), HeaderKind
	if len(name) == 0 {
		name, from = declaredInside(b), XML
	}
	if len(name) == 0 {
		return b
	}
	c := charsetNamed(name)
	r.markCharset(c, from, []byte("content-type"))
	if c.reading == readASCII {
		return b
	}
	if read := declared(r.MediaType()); read == formatForm || read == formatMultipart {
		if width, big := wideShape(b, false); width > 0 {
			return r.wide(b, width, big)
		}
		r.coded = c
		return b
	}
	return r.decoding(c, b)
}

// markCharset marks a charset that hides ASCII, or that nobody knows.
func (r *Request) markCharset(c charset, k Kind, name []byte) {
	if k == XML {
		name = nil
	}
	switch {
	case c.unknown:
		r.mark(MarkCharsetUnknown, true, k, name)
	case c.hides:
		r.mark(MarkCharset, true, k, name)
	}
}

// decoding reads b by a charset.
func (r *Request) decoding(c charset, b []byte) []byte {
	switch c.reading {
	case readUTF7:
		room, ok := r.arena.open(len(b)*3/2 + 4)
		if !ok {
			break
		}
		return r.arena.keep(decode.UTF7(room, b))
	case readWide:
		big := c.big
		if !c.order { // neither the name nor a mark tells: ASCII's NUL bytes do
			big = len(b) < c.width || b[c.width-1] != 0
		}
		return r.wide(b, c.width, big)
	case readPage:
		room, ok := r.arena.open(2 * len(b))
		if !ok {
			break
		}
		for _, x := range b {
			room = utf8.AppendRune(room, c.page.DecodeByte(x))
		}
		return r.arena.keep(room)
	case readMulti:
		room, ok := r.arena.open(3*len(b) + 16)
		if !ok {
			break
		}
		n, _, _ := c.multi.NewDecoder().Transform(room[:cap(room)], b, true)
		return r.arena.keep(room[:n])
	default:
		return b
	}
	r.mark(MarkDerived, true, BodyText, nil)
	return b
}

// wide reads UTF-16 or UTF-32.
func (r *Request) wide(b []byte, width int, big bool) []byte {
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

// wideShape tells by a body's first bytes how many a character has and their
// order; 0 for a body that does not look like UTF-16 or UTF-32. named says that
// the Content-Type names a charset, so that only a byte order mark counts.
func wideShape(b []byte, named bool) (width int, big bool) {
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
	if len(b) < 4 || named {
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

// declaredInside is the charset that an XML declaration names (XML 1.0 section
// 4.3.3 and appendix F), EBCDIC by its first bytes.
func declaredInside(b []byte) []byte {
	b = b[:min(len(b), 128)]
	if bytes.HasPrefix(b, []byte{0x4c, 0x6f, 0xa7, 0x94}) {
		return []byte("ibm037")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(b, "\xef\xbb\xbf \t\r\n"), []byte("<?xml")) {
		return nil
	}
	end := bytes.Index(b, []byte("?>"))
	at := bytes.Index(b, []byte("encoding"))
	if end < 0 || at < 0 || at > end {
		return nil
	}
	b = bytes.TrimLeft(b[at+len("encoding"):end], " \t\r\n=")
	if len(b) < 2 || b[0] != '"' && b[0] != '\'' {
		return nil
	}
	if end = bytes.IndexByte(b[1:], b[0]); end < 0 {
		return nil
	}
	return b[1 : 1+end]
}

// addCoded adds a value of a form as the body's charset reads it.
func (r *Request) addCoded(c charset, v Value, at int) {
	if c.reading == readASCII || at < 0 {
		return
	}
	v.Part, v.Parent, v.depth = "charset", at, 1
	text := r.decoding(c, v.Text)
	if !bytes.Equal(text, v.Text) {
		v.Text = text
		r.add(true, v)
	}
}
