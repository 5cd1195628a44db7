package signature_test

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
)

// named is a buffer with its sticky name, its old modifier and its pcre flag.
type named struct {
	id               buffer.ID
	sticky, modifier string
	flag             string
}

var buffersOf = []named{
	{buffer.SURI, "http.uri", "http_uri", "U"}, {buffer.SURI, "http.uri", "http_uri", "U"}, {buffer.SURIRaw, "http.uri.raw", "http_raw_uri", "I"},
	{buffer.SMethod, "http.method", "http_method", "M"}, {buffer.SHeader, "http.header", "http_header", "H"},
	{buffer.SHeaderRaw, "http.header.raw", "http_raw_header", "D"}, {buffer.SCookie, "http.cookie", "http_cookie", "C"},
	{buffer.SUserAgent, "http.user_agent", "http_user_agent", "V"}, {buffer.SHost, "http.host", "http_host", "W"},
	{buffer.SHostRaw, "http.host.raw", "http_raw_host", "Z"}, {buffer.SBody, "http.request_body", "http_client_body", "P"},
	{buffer.SBody, "http.request_body", "http_client_body", "P"},
	{buffer.SLine, "http.request_line", "", ""}, {buffer.SProtocol, "http.protocol", "", ""}, {buffer.SHeaderNames, "http.header_names", "", ""},
	{buffer.SReferer, "http.referer", "", ""}, {buffer.SContentType, "http.content_type", "", ""}, {buffer.SContentLen, "http.content_len", "", ""},
	{buffer.SAccept, "http.accept", "", ""}, {buffer.SAcceptLang, "http.accept_lang", "", ""}, {buffer.SAcceptEnc, "http.accept_enc", "", ""},
	{buffer.SConnection, "http.connection", "", ""}, {buffer.SStart, "http.start", "", ""}, {buffer.SRequestHeader, "http.request_header", "", ""},
	{buffer.SFileData, "file.data", "", ""}, {buffer.SFileName, "file.name", "", ""},
}

// quoted writes bytes as a content, hexadecimal where need be.
func quoted(b []byte) string {
	var s strings.Builder
	hex := false
	for _, c := range b {
		plain := c > ' ' && c < 0x7f && strings.IndexByte(`"\|;:`, c) < 0
		if plain == hex {
			s.WriteByte('|')
			hex = !hex
		}
		if plain {
			s.WriteByte(c)
		} else {
			fmt.Fprintf(&s, "%02x ", c)
		}
	}
	if hex {
		s.WriteByte('|')
	}
	return s.String()
}

// expression is a pcre that the bytes match, most of the time.
func (m maker) expression(b []byte) string {
	var s strings.Builder
	if m.chance(15) {
		s.WriteString("^")
	}
	for i, c := range b {
		switch {
		case m.chance(6):
			s.WriteString(m.one(".", ".*", ".+?", "[^q]", `\S`, `.{0,2}`))
		case m.chance(4) && i > 0:
			s.WriteString(m.one("(?:zz|)", "(?=.)", "(?!q)", `(z)?`))
		case c >= '0' && c <= '9' && m.chance(40):
			s.WriteString(`\d`)
		case (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') && m.chance(30):
			s.WriteString(m.one(`\w`, "[A-Za-z]", string(rune(c)), string(rune(c))+"+"))
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9':
			s.WriteByte(c)
		default:
			fmt.Fprintf(&s, `\x%02x`, c)
		}
	}
	if m.chance(10) {
		s.WriteString("$")
	}
	return s.String()
}

// place is what a content of a value was taken from.
type place struct{ from, to int }

func (m maker) piece(v []byte) place {
	from := m.Intn(len(v))
	return place{from, from + 1 + m.Intn(min(8, len(v)-from))}
}

func (m maker) near(n int) int { return n + []int{0, 0, 0, 0, 1, -1, 2, 5, -3}[m.Intn(9)] }

// where are options that put a content where it was taken from, or near it;
// last is the place of the content before it, or nil.
func (m maker) where(p place, last *place, size int, narrow bool) string {
	n := p.to - p.from
	// At a negative distance Suricata 7 finds nothing behind a negated content, and
	// too little behind one with a depth.
	if last != nil && m.chance(65) && !(narrow && p.from < last.to+3) {
		d := p.from - last.to
		switch m.Intn(4) {
		case 0:
			return fmt.Sprintf("; distance:%d", m.near(d))
		case 1:
			return fmt.Sprintf("; within:%d", max(m.near(d+n), n))
		}
		distance := m.near(d)
		return fmt.Sprintf("; distance:%d; within:%d", distance, max(m.near(d+n-distance), n))
	}
	switch m.Intn(9) {
	case 0:
		return fmt.Sprintf("; offset:%d", max(m.near(p.from), 0))
	case 1:
		return fmt.Sprintf("; depth:%d", max(m.near(p.to), n))
	case 2:
		from := max(m.near(p.from), 0)
		return fmt.Sprintf("; offset:%d; depth:%d", from, max(m.near(p.to-from), n))
	case 3:
		if p.from < 3 {
			return "; startswith"
		}
	case 4:
		if p.to > size-3 {
			return "; endswith"
		}
	}
	return ""
}

// tests are options that do not find a text.
func (m maker) test(v []byte, p place, sticky bool) string {
	rest := len(v) - p.to
	not := m.one("", "", "!")
	switch m.Intn(9) {
	case 0:
		return fmt.Sprintf("; isdataat:%s%d,relative", not, max(m.near(rest), 0))
	case 1:
		return fmt.Sprintf("; isdataat:%s%d", not, max(m.near(len(v)), 0))
	case 2:
		if sticky {
			return "; bsize:" + m.one("", ">", "<", ">=", "<=") + fmt.Sprint(max(m.near(len(v)), 1))
		}
	case 3:
		at := m.Intn(len(v))
		return fmt.Sprintf("; byte_test:1,%s%s,%d,%d", m.one("", "!"), m.one("<", ">", "=", ">=", "<=", "&", "^"), v[at], at)
	case 4:
		if rest > 0 {
			at := m.Intn(rest)
			return fmt.Sprintf("; byte_test:%d,%s,%d,%d,relative%s", m.one2(1, 2), m.one(">", "=", "<", "&"), v[p.to+at], at, m.one("", "", ",little"))
		}
	case 5:
		return fmt.Sprintf("; byte_test:%d,%s,%d,%d,relative,string,%s", 1+m.Intn(4), m.one("=", ">", "<"), m.Intn(20), m.Intn(2), m.one("dec", "hex", "oct"))
	case 6:
		if p.to < len(v) {
			return fmt.Sprintf("; byte_jump:1,0,relative%s; isdataat:%s%d,relative", m.one("", ",multiplier 2", ",from_beginning", ",align", ",post_offset -30"), not, m.Intn(3))
		}
	case 7:
		if p.to+2 < len(v) {
			return fmt.Sprintf("; byte_extract:1,0,n,relative; byte_test:1,%s,n,%d", m.one("=", ">", "<"), m.Intn(len(v)))
		}
	case 8:
		if p.to+2 < len(v) {
			return fmt.Sprintf("; byte_math:bytes 1,offset 0,oper %s,rvalue %d,result n,relative; byte_test:1,%s,n,%d", m.one("+", "-", "*", "/"), 1+m.Intn(9), m.one("=", ">", "<"), m.Intn(len(v)))
		}
	}
	return ""
}

func (m maker) one2(from ...int) int { return from[m.Intn(len(from))] }

var caseTransforms = map[string]func(b []byte) []byte{
	"to_lowercase": bytes.ToLower, "to_uppercase": bytes.ToUpper,
	"dotprefix":           func(b []byte) []byte { return b },
	"strip_whitespace":    func(b []byte) []byte { return bytes.Join(bytes.Fields(b), nil) },
	"compress_whitespace": func(b []byte) []byte { return b },
	"url_decode":          func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("+"), []byte(" ")) },
	"header_lowercase":    func(b []byte) []byte { return b },
	"strip_pseudo_headers": func(b []byte) []byte {
		return b
	},
}

// part is the options about one buffer, whose value in some request is v.
func (m maker) part(n named, v []byte) string {
	sticky := n.modifier == "" || m.chance(60)
	var s strings.Builder
	change := func(b []byte) []byte { return b }
	altered := false // then a content that is there comes first, or Suricata 7 leaves out the transform
	if sticky {
		s.WriteString(n.sticky)
		// Suricata 7 leaves out the transforms of the first value of several, now and then.
		if m.chance(15) && n.id != buffer.SRequestHeader && n.id != buffer.SFileData && n.id != buffer.SFileName {
			name := m.one("to_lowercase", "to_uppercase", "dotprefix", "strip_whitespace", "compress_whitespace", "url_decode", "header_lowercase", "strip_pseudo_headers")
			change, altered = caseTransforms[name], true
			s.WriteString("; " + name)
		}
	}
	var last *place
	narrow := false
	for k := 1 + m.Intn(3); k > 0; k-- {
		p := m.piece(v)
		text := change(v[p.from:p.to])
		if len(text) == 0 {
			continue
		}
		not := ""
		if m.chance(18) && (last != nil || !altered) {
			not = "!"
		}
		modify := ""
		if !sticky {
			modify = "; " + n.modifier
		}
		if m.chance(20) && (sticky || n.flag != "") && (last != nil || !altered) {
			flags := m.one("", "i", "s", "m", "G", "A", "E", "si")
			if last != nil && m.chance(50) {
				flags += "R"
			}
			if !sticky {
				flags += n.flag
			}
			fmt.Fprintf(&s, "; pcre:%s\"/%s/%s\"", not, m.expression(text), flags)
			if not == "" {
				last = &p
			}
			continue
		}
		if m.chance(6) {
			text = append([]byte("q"), text...)
		}
		where := m.where(p, last, len(v), narrow)
		fmt.Fprintf(&s, "; content:%s\"%s\"%s%s", not, quoted(text), where, modify)
		narrow = not != "" || narrow && strings.Contains(where, "distance") || strings.Contains(where, "depth") || strings.Contains(where, "startswith")
		if m.chance(25) {
			s.WriteString("; nocase")
		}
		if not == "" {
			last = &p
			if m.chance(20) && sticky {
				s.WriteString(m.test(v, p, sticky))
			}
		}
	}
	return strings.TrimPrefix(s.String(), "; ")
}

// rule is a rule's options, taken from the buffers of some request.
func (m maker) rule(set *buffer.Set) string {
	var parts []string
	for tries := 0; tries < 20 && len(parts) == 0 || len(parts) < 3 && m.chance(30); tries++ {
		n := buffersOf[m.Intn(len(buffersOf))]
		v := set.Get(n.id, "")
		b := v.One
		if len(v.Many) > 0 {
			b = v.Many[m.Intn(len(v.Many))]
		}
		if !v.Present || len(b) == 0 {
			continue
		}
		if p := m.part(n, b); p != "" && strings.Contains(p, ":") {
			parts = append(parts, p)
		}
	}
	if len(parts) > 0 && m.chance(8) {
		parts = append(parts, fmt.Sprintf("urilen:%s%d%s", m.one("", "<", ">"), 1+m.Intn(30), m.one("", ",raw", ",norm")))
	}
	return strings.Join(parts, "; ")
}
