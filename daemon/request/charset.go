package request

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/sallyport/sallyport/daemon/request/decode"
)

// asciiCharsets are the beginnings of the names of charsets whose ASCII is
// ASCII, so that a body in one of them can be read as it is.
var asciiCharsets = []string{"utf-8", "utf8", "us-ascii", "ascii", "iso-8859", "iso8859", "latin", "windows-", "cp125", "gb", "big5",
	"euc-", "shift_jis", "shift-jis", "sjis", "koi8", "iso-2022", "tis-620", "macintosh", "x-user-defined", "unicode-1-1-utf-8", "binary"}

// toUTF8 gives a body in UTF-16 or UTF-32 as UTF-8, by its byte order mark, its
// charset, or the NUL bytes that ASCII characters have there (RFC 4627 section
// 3), and one in UTF-7 or EBCDIC by its charset: with those, Java and .NET read
// an attack where ASCII is noise. Others, all supersets of ASCII but for those
// that are marked, come back as they are.
func (r *Request) toUTF8(b []byte) []byte {
	width, big := wideCharset(r.Charset(), b)
	if width == 0 {
		return r.narrow(b)
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

// narrow reads a charset of single bytes that is no superset of ASCII.
func (r *Request) narrow(b []byte) []byte {
	name := r.Charset()
	if len(name) == 0 {
		return b
	}
	for _, known := range asciiCharsets {
		if bytes.HasPrefix(name, []byte(known)) {
			return b
		}
	}
	var page *charmap.Charmap
	switch string(name) {
	case "utf-7", "utf7", "unicode-1-1-utf-7", "x-unicode-2-0-utf-7":
	case "ibm037", "cp037", "ibm-037", "ebcdic-cp-us", "ebcdic-cp-ca", "ebcdic-cp-nl", "ebcdic-cp-wt", "csibm037":
		page = charmap.CodePage037
	case "ibm1047", "cp1047", "ibm-1047":
		page = charmap.CodePage1047
	case "ibm01140", "cp01140", "cp1140", "ibm-1140":
		page = charmap.CodePage1140
	default:
		r.mark(MarkCharsetUnknown, true, HeaderKind, []byte("content-type"))
		return b
	}
	r.mark(MarkCharset, true, HeaderKind, []byte("content-type"))
	if page == nil {
		room, ok := r.arena.open(len(b)*3/2 + 4)
		if !ok {
			r.mark(MarkDerived, true, BodyText, nil)
			return b
		}
		return r.arena.keep(decode.UTF7(room, b))
	}
	if read := declared(r.MediaType()); read == formatForm || read == formatMultipart {
		// The structure is ASCII there; the values are read when they are made.
		r.page = page
		return b
	}
	return r.paged(page, b)
}

// paged reads b by a code page.
func (r *Request) paged(page *charmap.Charmap, b []byte) []byte {
	room, ok := r.arena.open(2 * len(b))
	if !ok {
		r.mark(MarkDerived, true, BodyText, nil)
		return b
	}
	for _, c := range b {
		room = utf8.AppendRune(room, page.DecodeByte(c))
	}
	return r.arena.keep(room)
}

// addPaged adds a form's value as its charset's code page reads it.
func (r *Request) addPaged(v Value, at int) {
	if r.page == nil || at < 0 {
		return
	}
	v.Part, v.Parent, v.depth = "charset", at, 1
	v.Text = r.paged(r.page, v.Text)
	r.add(true, v)
}
