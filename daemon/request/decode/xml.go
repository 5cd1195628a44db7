package decode

import "bytes"

// Bounds of an XML walk. Deeper elements share their ancestor's path.
const (
	MaxXMLDepth = 128
	MaxXMLPath  = 512
	maxXMLName  = 64
)

// XMLFlaw is something about a document that parsers treat differently.
type XMLFlaw uint8

// The flaws.
const (
	XMLSyntax   XMLFlaw = iota // not well-formed
	XMLDepth                   // deeper than MaxXMLDepth
	XMLDoctype                 // a document type declaration
	XMLEntity                  // an entity declared
	XMLExternal                // an entity or document type fetched from elsewhere
)

// XMLSink takes what a walk finds. The path ("/a/b", "/a/b@href" for an
// attribute) is valid during the call; raw points into the document.
type XMLSink interface {
	// XMLText is character data; cdata says that no references are in it.
	XMLText(path, raw []byte, cdata bool)
	XMLAttr(path, raw []byte)
	// XMLOther is a comment, a processing instruction or a declaration.
	XMLOther(path, raw []byte)
	XMLFlaw(f XMLFlaw)
}

// XML walks documents leniently, as a tokeniser would, and keeps its buffers
// between walks. The zero value is ready.
type XML struct {
	path []byte
	ends []int // the path's length outside of each open element
	over int
}

// Walk reports everything in src to sink and says whether it looked like XML.
func (w *XML) Walk(src []byte, sink XMLSink) bool {
	w.path, w.ends, w.over = w.path[:0], w.ends[:0], 0
	elements := 0
	for len(src) > 0 {
		lt := bytes.IndexByte(src, '<')
		if lt < 0 {
			lt = len(src)
		}
		if text := bytes.TrimSpace(src[:lt]); len(text) > 0 {
			sink.XMLText(w.path, text, false)
			if len(w.ends) == 0 && !bytes.Equal(text, []byte("\xef\xbb\xbf")) {
				sink.XMLFlaw(XMLSyntax)
			}
		}
		src = src[lt:]
		if len(src) < 2 {
			break
		}
		switch c := src[1]; {
		case c == '!':
			src = w.declaration(src, sink)
		case c == '?':
			src = w.until(src, 2, "?>", sink)
		case c == '/':
			src = w.endTag(src, sink)
		case nameByte[c]:
			elements++
			src = w.startTag(src, sink)
		default:
			sink.XMLFlaw(XMLSyntax)
			sink.XMLText(w.path, src[:1], false)
			src = src[1:]
		}
	}
	if len(w.ends) > 0 || elements == 0 {
		sink.XMLFlaw(XMLSyntax)
	}
	return elements > 0
}

// until reports what stands between skip bytes and end, and returns the rest.
func (w *XML) until(src []byte, skip int, end string, sink XMLSink) []byte {
	body := src[min(skip, len(src)):]
	n := bytes.Index(body, []byte(end))
	if n < 0 {
		sink.XMLFlaw(XMLSyntax)
		sink.XMLOther(w.path, body)
		return nil
	}
	if len(bytes.TrimSpace(body[:n])) > 0 {
		sink.XMLOther(w.path, body[:n])
	}
	return body[n+len(end):]
}

func (w *XML) declaration(src []byte, sink XMLSink) []byte {
	switch {
	case bytes.HasPrefix(src, []byte("<!--")):
		return w.until(src, 4, "-->", sink)
	case bytes.HasPrefix(src, []byte("<![CDATA[")):
		body := src[9:]
		n := bytes.Index(body, []byte("]]>"))
		if n < 0 {
			sink.XMLFlaw(XMLSyntax)
			sink.XMLText(w.path, body, true)
			return nil
		}
		sink.XMLText(w.path, body[:n], true)
		return body[n+3:]
	}
	// A document type may hold quoted strings and, in brackets, declarations
	// with angle brackets of their own.
	depth, quote := 0, byte(0)
	end := len(src)
	for i := 2; i < len(src); i++ {
		c := src[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '<' || c == '[':
			depth++
		case c == ']' && depth > 0:
			depth--
		case c == '>' && depth > 0 && src[i-1] != ']':
			depth--
		case c == '>':
			end = i + 1
			i = len(src)
		}
	}
	decl := src[:end]
	sink.XMLOther(w.path, decl)
	if len(decl) > 9 && bytes.EqualFold(decl[2:9], []byte("DOCTYPE")) {
		sink.XMLFlaw(XMLDoctype)
		if at := indexFold(decl, "<!ENTITY"); at >= 0 {
			sink.XMLFlaw(XMLEntity)
			if external(decl[at:]) {
				sink.XMLFlaw(XMLExternal)
			}
		} else if external(decl) && bytes.IndexByte(decl, '[') >= 0 {
			sink.XMLFlaw(XMLExternal)
		}
	}
	return src[end:]
}

func external(decl []byte) bool {
	return indexFold(decl, "SYSTEM") >= 0 || indexFold(decl, "PUBLIC") >= 0
}

// indexFold is where s, in capitals, stands in b in any case, or -1.
func indexFold(b []byte, s string) int {
	for i := 0; i+len(s) <= len(b); i++ {
		if b[i]&^0x20 == s[0]&^0x20 && bytes.EqualFold(b[i:i+len(s)], []byte(s)) {
			return i
		}
	}
	return -1
}

// Entity takes the next entity with a value of its own off a document type:
// <!ENTITY name "value">. rest is nil when there is none left.
func Entity(decl []byte) (name, value, rest []byte) {
	for {
		at := indexFold(decl, "<!ENTITY")
		if at < 0 {
			return nil, nil, nil
		}
		decl = bytes.TrimLeft(decl[at+len("<!ENTITY"):], " \t\r\n")
		n := 0
		for n < len(decl) && nameByte[decl[n]] {
			n++
		}
		name, decl = decl[:n], bytes.TrimLeft(decl[n:], " \t\r\n")
		if n == 0 || len(decl) == 0 || decl[0] != '"' && decl[0] != '\'' {
			continue
		}
		if end := bytes.IndexByte(decl[1:], decl[0]); end >= 0 {
			return name, decl[1 : 1+end], decl[2+end:]
		}
	}
}

func (w *XML) endTag(src []byte, sink XMLSink) []byte {
	n := bytes.IndexByte(src, '>')
	if n < 0 {
		sink.XMLFlaw(XMLSyntax)
		sink.XMLOther(w.path, src)
		return nil
	}
	if name := bytes.TrimSpace(src[2:n]); !plainName(name) {
		sink.XMLFlaw(XMLSyntax)
		sink.XMLOther(w.path, name)
	}
	w.pop(sink)
	return src[n+1:]
}

func (w *XML) pop(sink XMLSink) {
	switch {
	case w.over > 0:
		w.over--
	case len(w.ends) == 0:
		sink.XMLFlaw(XMLSyntax)
	default:
		w.path = w.path[:w.ends[len(w.ends)-1]]
		w.ends = w.ends[:len(w.ends)-1]
	}
}

func (w *XML) push(name []byte, sink XMLSink) {
	if len(w.ends) >= MaxXMLDepth || len(w.path)+len(name) > MaxXMLPath {
		if w.over == 0 {
			sink.XMLFlaw(XMLDepth)
		}
		w.over++
		return
	}
	w.ends = append(w.ends, len(w.path))
	w.path = append(w.path, '/')
	w.path = append(w.path, name[:min(len(name), maxXMLName)]...)
}

func (w *XML) startTag(src []byte, sink XMLSink) []byte {
	i := 1
	for i < len(src) && nameByte[src[i]] {
		i++
	}
	w.push(src[1:i], sink)
	for {
		for i < len(src) && Space(src[i]) {
			i++
		}
		if i >= len(src) {
			sink.XMLFlaw(XMLSyntax)
			return nil
		}
		switch {
		case src[i] == '>':
			return src[i+1:]
		case src[i] == '/' && i+1 < len(src) && src[i+1] == '>':
			w.pop(sink)
			return src[i+2:]
		}
		i = w.attribute(src, i, sink)
	}
}

// attribute reads one attribute at i, leniently, and returns what follows it;
// it always moves on.
func (w *XML) attribute(src []byte, i int, sink XMLSink) int {
	start := i
	for i < len(src) && !Space(src[i]) && src[i] != '=' && src[i] != '>' && (src[i] != '/' || i == start) {
		i++
	}
	name := src[start:i]
	base := len(w.path)
	defer func() { w.path = w.path[:base] }()
	w.path = append(w.path, '@')
	w.path = append(w.path, name[:min(len(name), maxXMLName)]...)
	if !plainName(name) {
		sink.XMLFlaw(XMLSyntax)
		sink.XMLOther(w.path, name)
	}
	for i < len(src) && Space(src[i]) {
		i++
	}
	if i >= len(src) || src[i] != '=' {
		sink.XMLFlaw(XMLSyntax)
		return max(i, start+1)
	}
	for i++; i < len(src) && Space(src[i]); i++ {
	}
	if i < len(src) && (src[i] == '"' || src[i] == '\'') {
		n := bytes.IndexByte(src[i+1:], src[i])
		if n < 0 {
			sink.XMLFlaw(XMLSyntax)
			sink.XMLAttr(w.path, src[i+1:])
			return len(src)
		}
		sink.XMLAttr(w.path, src[i+1:i+1+n])
		return i + n + 2
	}
	sink.XMLFlaw(XMLSyntax)
	start = i
	for i < len(src) && !Space(src[i]) && src[i] != '>' {
		i++
	}
	sink.XMLAttr(w.path, src[start:i])
	return i
}

// Space says that c is white space of XML, or a form feed.
func Space(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

var nameByte = func() (t [256]bool) {
	for i := range t {
		c := byte(i)
		t[i] = isAlpha(c) || c >= '0' && c <= '9' || c == '_' || c == ':' || c == '-' || c == '.' || c >= 0x80
	}
	return
}()

func plainName(b []byte) bool {
	for _, c := range b {
		if !nameByte[c] {
			return false
		}
	}
	return len(b) > 0
}
