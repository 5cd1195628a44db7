package request

import (
	"bytes"
	"encoding/base64"
	"mime"

	"github.com/sallyport/sallyport/daemon/request/decode"
)

var partMarks = [...]Mark{
	decode.PartNoBoundary: MarkPartNoBoundary, decode.PartNoEnd: MarkPartNoEnd, decode.PartPreamble: MarkPartPreamble,
	decode.PartEpilogue: MarkPartEpilogue, decode.PartBareLF: MarkPartBareLF, decode.PartFolded: MarkPartFolded,
	decode.PartEscaped: MarkPartEscaped, decode.PartTwice: MarkPartTwice, decode.PartNoName: MarkPartNoName,
	decode.PartHead: MarkPartHead, decode.PartUnquoted: MarkPartUnquoted, decode.PartExtended: MarkPartExtended,
	decode.PartTransfer: MarkPartTransfer, decode.PartMany: MarkParts, decode.PartSplit: MarkPartSplit, decode.PartSingle: MarkPartSingle,
}

// partSink makes values of what stands in multipart parts: the name, the file
// name and type, and the content, which is taken apart further where its type,
// or its look, is JSON, XML, a form or GraphQL.
type partSink struct{ r *Request }

// maxPartDepth bounds multipart bodies inside parts (RFC 2388 put several files
// of one field into one). A deeper one is a value as a whole.
const maxPartDepth = 2

func (s partSink) PartFlaw(f decode.PartFlaw) {
	if f == decode.PartNoEnd && s.r.Body.Cut {
		return
	}
	s.r.mark(partMarks[f], true, Multipart, nil)
}

func (s partSink) Part(p decode.Part) {
	r := s.r
	name := s.quoted(p.Name)
	r.addName(true, Multipart, name, p.Name, name)
	if len(name) == 0 {
		name = r.partIn
	}
	if len(p.Filename) > 0 {
		r.add(true, Value{Kind: Multipart, Name: name, Part: "filename", Raw: p.Filename, Text: s.words(s.quoted(p.Filename)), Parent: -1})
	}
	if len(p.FilenameExt) > 0 {
		r.add(true, Value{Kind: Multipart, Name: name, Part: "filename", Raw: p.FilenameExt, Text: s.extended(p.FilenameExt), Parent: -1})
	}
	if text := s.continued(p.Disposition); len(text) > 0 {
		r.add(true, Value{Kind: Multipart, Name: name, Part: "filename", Raw: p.Disposition, Text: text, Parent: -1})
	}
	if len(p.Type) > 0 {
		r.add(true, Value{Kind: Multipart, Name: name, Part: "type", Raw: p.Type, Text: p.Type, Parent: -1})
	}
	if odd(p.Head) || p.Unknown {
		r.add(true, Value{Kind: Multipart, Name: name, Part: "head", Raw: p.Head, Text: p.Head, Parent: -1})
	}
	s.content(&p, name)
}

// odd says that a part's head holds more than Content-Disposition and
// Content-Type, or more lines than those.
func odd(head []byte) bool {
	lines := 0
	for len(head) > 0 {
		line, rest := head, []byte(nil)
		if i := bytes.IndexByte(head, '\n'); i >= 0 {
			line, rest = head[:i], head[i+1:]
		}
		head = rest
		lines++
		if len(line) < 8 || !equalFold(line[:8], "content-") {
			return true
		}
	}
	return lines > 4
}

func (s partSink) content(p *decode.Part, name []byte) {
	r, b := s.r, p.Content
	if len(b) == 0 {
		return
	}
	part := ""
	if p.HasFilename {
		part = "content"
	}
	text := s.transfer(p.Encoding, b)
	coded := s.charset(p, name, text)
	if p.HasFilename && binary(text) && coded.reading == readASCII {
		r.runs(Multipart, name, part, text, -1)
		return
	}
	v := Value{Kind: Multipart, Name: name, Part: part, Raw: b, Text: text, Parent: -1}
	at := r.add(true, v)
	if at < 0 {
		return
	}
	r.addCoded(coded, v, at)
	media := r.lowered(p.Type[:mediaEnd(p.Type)])
	says := declared(media)
	if says == formatMultipart && r.partDepth < maxPartDepth {
		outer := r.partIn
		r.partIn, r.partDepth = name, r.partDepth+1
		decode.Multipart(text, mediaParam(p.Type, "boundary"), false, s)
		r.partIn, r.partDepth = outer, r.partDepth-1
		return
	}
	looks := sniff(text)
	if looks == formatJSON && bytes.Equal(name, []byte("operations")) {
		r.operations(text) // the GraphQL multipart request specification
	}
	switch {
	case says == formatXML || p.HasFilename && (bytes.HasPrefix(text, []byte("<?xml")) || bytes.HasPrefix(text, []byte("<svg"))):
		r.xml.Walk(text, partXML{r, at})
	case says == formatForm:
		r.params(nil, text, true, Form)
		r.expandURL(true, at, &v, text)
	case says == formatJSON && looks != formatJSON || len(text) > 4 && says == formatLines:
		r.expandJSON(true, at, &v, "json")
	}
}

// charset is how a part's text is read: by its own charset, the form's field
// _charset_ (HTML standard section 4.10.18.5), or the body's.
func (s partSink) charset(p *decode.Part, name, text []byte) charset {
	r := s.r
	if bytes.Equal(name, []byte("_charset_")) {
		if c := charsetNamed(text); c.hides {
			r.markCharset(c, Multipart, name)
			r.coded = c
		}
		return charset{}
	}
	own := mediaParam(p.Type, "charset")
	if len(own) == 0 {
		return r.coded
	}
	c := charsetNamed(own)
	r.markCharset(c, Multipart, name)
	return c
}

func mediaEnd(t []byte) int {
	if i := bytes.IndexByte(t, ';'); i >= 0 {
		return i
	}
	return len(t)
}

// transfer undoes a part's Content-Transfer-Encoding. RFC 7578 forbids it, PHP
// ignores it, Go and Python's email package undo it.
func (s partSink) transfer(coding, b []byte) []byte {
	switch {
	case equalFold(coding, "base64"):
		room, ok := s.r.arena.open(len(b))
		if !ok {
			return b
		}
		for _, c := range b {
			if c > ' ' {
				room = append(room, c)
			}
		}
		n, err := base64.StdEncoding.Decode(room, room)
		if err != nil && n == 0 {
			return b
		}
		return s.r.arena.keep(room[:n])
	case equalFold(coding, "quoted-printable"):
		room, ok := s.r.arena.open(len(b))
		if !ok {
			return b
		}
		for i := 0; i < len(b); i++ {
			if b[i] == '=' && i+2 < len(b) {
				h, ok1 := decode.Hex(b[i+1])
				l, ok2 := decode.Hex(b[i+2])
				if ok1 && ok2 {
					room = append(room, h<<4|l)
					i += 2
					continue
				}
				if b[i+1] == '\r' && b[i+2] == '\n' {
					i += 2
					continue
				}
			}
			room = append(room, b[i])
		}
		return s.r.arena.keep(room)
	}
	return b
}

// quoted undoes the backslashes and percent escapes that a quoted name may
// have; browsers write a quote as %22.
func (s partSink) quoted(b []byte) []byte {
	if bytes.IndexByte(b, '\\') >= 0 {
		room, ok := s.r.arena.open(len(b))
		if !ok {
			return b
		}
		for i := 0; i < len(b); i++ {
			// A lone backslash is a path's: C:\temp\a.txt.
			if b[i] == '\\' && i+1 < len(b) && (b[i+1] == '"' || b[i+1] == '\\') {
				i++
			}
			room = append(room, b[i])
		}
		b = s.r.arena.keep(room)
	}
	return b
}

// words undoes the encoded words of RFC 2047 in a file name (=?utf-8?q?a=2Ephp?=):
// Python's email package and Java's mail library do.
func (s partSink) words(b []byte) []byte {
	if !bytes.Contains(b, []byte("=?")) {
		return b
	}
	var d mime.WordDecoder
	text, err := d.DecodeHeader(string(b))
	if err != nil || text == string(b) {
		return b
	}
	return s.r.arena.copy([]byte(text))
}

// continued joins a file name that RFC 2231 section 3 spreads over parameters,
// filename*0="a"; filename*1*=%2Ephp. Percent-encoding is left to the layers: not
// everybody undoes it.
func (s partSink) continued(disposition []byte) []byte {
	at := bytes.IndexByte(disposition, ';')
	if at < 0 {
		return nil
	}
	room, ok := s.r.arena.open(len(disposition))
	if !ok {
		return nil
	}
	for params := disposition[at:]; len(params) > 0; {
		var name, value []byte
		name, value, params = nextParam(params)
		if len(name) < 10 || !equalFold(name[:9], "filename*") || name[9] < '0' || name[9] > '9' {
			continue
		}
		if name[9] == '0' && len(name) == 11 && name[10] == '*' {
			value = afterLanguage(value)
		}
		room = append(room, value...)
	}
	return s.r.arena.keep(room)
}

// afterLanguage is what follows charset'language'.
func afterLanguage(b []byte) []byte {
	if i := bytes.IndexByte(b, '\''); i >= 0 {
		if j := bytes.IndexByte(b[i+1:], '\''); j >= 0 {
			return b[i+j+2:]
		}
	}
	return b
}

// extended undoes RFC 5987: charset'language'percent-encoded.
func (s partSink) extended(b []byte) []byte {
	text, _ := s.r.unescape(afterLanguage(b), false)
	return text
}

// partXML makes values of an XML document in a part.
type partXML struct {
	r  *Request
	at int
}

func (s partXML) add(path, raw []byte) {
	v := s.r.body[s.at]
	v.Part, v.Inner, v.Parent, v.depth = "xml", s.r.arena.copy(path), s.at, v.depth+1
	v.Raw, v.Text = raw, xmlSink{s.r}.references(raw)
	s.r.add(true, v)
}

func (s partXML) XMLText(path, raw []byte, _ bool) { s.add(path, raw) }
func (s partXML) XMLAttr(path, raw []byte)         { s.add(path, raw) }
func (s partXML) XMLOther(path, raw []byte)        { s.add(path, raw) }

func (s partXML) XMLFlaw(f decode.XMLFlaw) {
	if f == decode.XMLEntity || f == decode.XMLExternal || f == decode.XMLDepth {
		s.r.mark(xmlMarks[f], true, Multipart, s.r.body[s.at].Name)
	}
}
