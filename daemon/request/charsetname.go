package request

import (
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// reading is how a charset's bytes become characters.
type reading uint8

const (
	readASCII reading = iota // a superset of ASCII in single bytes, or UTF-8: as it is
	readUTF7
	readWide  // UTF-16, UTF-32
	readPage  // EBCDIC
	readMulti // the charsets of East Asia
)

// charset is what is known of a charset's name.
type charset struct {
	reading reading
	hides   bool // ASCII's bytes do not stand for ASCII in it, always or behind an escape
	unknown bool
	width   int  // of readWide, in bytes
	big     bool // the byte order of readWide, where order says that it is known
	order   bool
	page    *charmap.Charmap
	multi   encoding.Encoding
}

var (
	utf7     = charset{reading: readUTF7, hides: true}
	shiftJIS = charset{reading: readMulti, multi: japanese.ShiftJIS}
	eucJP    = charset{reading: readMulti, multi: japanese.EUCJP}
	jis      = charset{reading: readMulti, multi: japanese.ISO2022JP, hides: true}
	gbk      = charset{reading: readMulti, multi: simplifiedchinese.GB18030}
	hz       = charset{reading: readMulti, multi: simplifiedchinese.HZGB2312, hides: true}
	big5     = charset{reading: readMulti, multi: traditionalchinese.Big5}
	eucKR    = charset{reading: readMulti, multi: korean.EUCKR}
	escapes  = charset{reading: readASCII, hides: true} // ISO 2022 that nobody decodes here
	utf16    = charset{reading: readWide, width: 2, hides: true}
	utf16be  = charset{reading: readWide, width: 2, big: true, order: true, hides: true}
	utf16le  = charset{reading: readWide, width: 2, order: true, hides: true}
	utf32    = charset{reading: readWide, width: 4, hides: true}
	utf32be  = charset{reading: readWide, width: 4, big: true, order: true, hides: true}
	utf32le  = charset{reading: readWide, width: 4, order: true, hides: true}
)

// charsets are names, in lower case, with everything but letters and digits
// taken out, by the registry of IANA and what Java, .NET and Python call them.
var charsets = map[string]charset{
	"utf7": utf7, "unicode11utf7": utf7, "xunicode20utf7": utf7, "csutf7": utf7, "utf7imap": utf7, "u7": utf7,
	"utf16": utf16, "ucs2": utf16, "unicode": utf16, "csunicode": utf16, "iso10646ucs2": utf16, "u16": utf16,
	"utf16be": utf16be, "unicodefffe": utf16be, "unicodebigunmarked": utf16be,
	"utf16le": utf16le, "unicodefeff": utf16le, "unicodelittleunmarked": utf16le,
	"utf32": utf32, "ucs4": utf32, "iso10646ucs4": utf32, "utf32be": utf32be, "utf32le": utf32le,
	"shiftjis": shiftJIS, "sjis": shiftJIS, "xsjis": shiftJIS, "mskanji": shiftJIS, "windows31j": shiftJIS,
	"cp932": shiftJIS, "ms932": shiftJIS, "windows932": shiftJIS, "csshiftjis": shiftJIS,
	"eucjp": eucJP, "xeucjp": eucJP, "ujis": eucJP,
	"iso2022jp": jis, "csiso2022jp": jis, "iso2022jp1": jis, "iso2022jp2": jis, "iso2022jp3": jis, "jis": jis,
	"gbk": gbk, "gb2312": gbk, "gb231280": gbk, "gb18030": gbk, "cp936": gbk, "ms936": gbk, "windows936": gbk,
	"xgbk": gbk, "euccn": gbk, "chinese": gbk,
	"hzgb2312": hz, "hz": hz,
	"big5": big5, "big5hkscs": big5, "cp950": big5, "ms950": big5, "xxbig5": big5, "csbig5": big5,
	"euckr": eucKR, "ksc56011987": eucKR, "ksc5601": eucKR, "cp949": eucKR, "ms949": eucKR, "uhc": eucKR, "windows949": eucKR,
	"iso2022kr": escapes, "iso2022cn": escapes, "iso2022cnext": escapes,
}

// asciiNames are the beginnings of the names of charsets in which ASCII is ASCII.
var asciiNames = []string{"utf8", "cesu8", "unicode11utf8", "usascii", "ascii", "ansi", "646", "iso8859", "iso646us", "latin", "l1", "windows125",
	"windows874", "cp125", "cp437", "cp7", "cp85", "cp86", "cp874", "ibm437", "ibm7", "ibm85", "ibm86", "koi8", "tis620", "mac", "xmac", "xuserdefined",
	"binary", "viscii", "armscii", "none", "null", "undefined"}

// ebcdic are the numbers of IBM's EBCDIC pages. Their letters, digits and most
// of their punctuation stand where page 37 has them, which is near enough to
// see what is written.
var ebcdic = map[string]bool{"37": true, "256": true, "273": true, "274": true, "275": true, "277": true, "278": true, "280": true, "281": true, "284": true,
	"285": true, "290": true, "297": true, "420": true, "423": true, "424": true, "500": true, "833": true, "836": true, "838": true, "870": true, "871": true,
	"875": true, "880": true, "905": true, "918": true, "924": true, "1025": true, "1026": true, "1097": true, "1112": true, "1122": true, "1123": true,
	"1141": true, "1142": true, "1143": true, "1144": true, "1145": true, "1146": true, "1147": true, "1148": true, "1149": true}

// charsetNamed says how a charset is read, by its name as sent.
func charsetNamed(name []byte) charset {
	var buf [32]byte
	key := buf[:0]
	for _, c := range name[:min(len(name), 64)] {
		if c = lower[c]; (c >= 'a' && c <= 'z' || c >= '0' && c <= '9') && len(key) < cap(key) {
			key = append(key, c)
		}
	}
	if c, ok := charsets[string(key)]; ok {
		return c
	}
	for _, known := range asciiNames {
		if len(key) >= len(known) && string(key[:len(known)]) == known {
			return charset{}
		}
	}
	rest := key
	for _, prefix := range [...]string{"x", "cs", "ibm", "cp", "ebcdiccp", "ebcdic"} {
		if len(rest) > len(prefix) && string(rest[:len(prefix)]) == prefix {
			rest = rest[len(prefix):]
		}
	}
	for len(rest) > 1 && rest[0] == '0' {
		rest = rest[1:]
	}
	switch number := string(rest); {
	case number == "1047":
		return charset{reading: readPage, hides: true, page: charmap.CodePage1047}
	case number == "1140":
		return charset{reading: readPage, hides: true, page: charmap.CodePage1140}
	case ebcdic[number] || len(key) > 6 && string(key[:6]) == "ebcdic":
		return charset{reading: readPage, hides: true, page: charmap.CodePage037}
	}
	return charset{unknown: true}
}
