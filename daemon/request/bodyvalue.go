package request

import (
	"bytes"

	"github.com/sallyport/sallyport/daemon/request/decode"
)

// Bounds of what is taken out of binary content.
const (
	minRun  = 16  // printable bytes in a row that make a value
	maxRuns = 256 // such values of one body or part
)

// BodyValues are the values of the body. Its Content-Type says how it is read;
// where that is absent, unknown, or visibly wrong, it is read as what it looks
// like, too, for a backend may do the same.
func (r *Request) BodyValues() []Value {
	if !r.first(doneBody) {
		return r.body
	}
	b := r.DecodedBody()
	if len(b) == 0 {
		return r.body
	}
	says := declared(r.MediaType())
	text := r.toUTF8(b)
	looks := sniff(text)
	read := says
	if says == formatNone || says == formatText || says == formatBinary && looks != formatText {
		read = looks
		if says == formatBinary && looks == formatForm {
			read = formatBinary // an image's first bytes are no form
		}
	}
	whole := r.read(read, text)
	if says != formatNone && says != looks && r.disagree(says, looks, whole) {
		r.mark(MarkMismatch, true, BodyText, nil)
		if looks != read {
			whole = r.read(looks, text) && whole
		}
	}
	if !whole {
		r.wholeBody(text)
	}
	if len(r.body) == MaxValues {
		r.body = append(r.body, Value{Kind: BodyText, Part: "rest", Raw: text, Text: text, Parent: -1})
	}
	if sent := r.Body.Bytes; len(sent) > 0 && &sent[0] != &b[0] {
		// A backend that ignores the content encoding reads what was sent.
		r.runs(BodyText, nil, "encoded", sent, -1)
	}
	r.expand(true, 0)
	return r.body
}

// disagree says that a body is not what its Content-Type says. fits says that
// it could be read as that.
func (r *Request) disagree(says, looks format, fits bool) bool {
	switch says {
	case formatForm:
		return looks == formatJSON || looks == formatXML || looks == formatMultipart || looks == formatBinary
	case formatJSON, formatLines:
		return !fits && looks != formatJSON && looks != formatText
	case formatXML, formatMultipart, formatGraphQL:
		return !fits && looks != formatText
	case formatProtobuf:
		return !fits && looks != formatBinary
	case formatBinary:
		return looks == formatXML || looks == formatJSON || looks == formatMultipart
	}
	return false
}

// read takes the body apart as f and says whether it could, so that it need
// not be a value as a whole.
func (r *Request) read(f format, b []byte) bool {
	switch f {
	case formatJSON, formatLines:
		return r.readJSON(b, f == formatLines)
	case formatForm:
		before := len(r.body)
		r.form = r.params(r.form[:0], b, true, Form)
		r.paramValues(true, Form, r.form)
		return len(r.body) > before // a lone word is no field, but a body
	case formatMultipart:
		boundary := r.Boundary()
		if len(boundary) == 0 || !bytes.Contains(b, boundary) {
			boundary = sniffBoundary(b)
		}
		before := len(r.body)
		form := equalFold(r.media, "multipart/form-data")
		decode.Multipart(b, boundary, form, partSink{r})
		return len(r.body) > before
	case formatXML:
		r.add(true, Value{Kind: XML, Part: "raw", Raw: b, Text: b, Parent: -1})
		r.xml.Walk(b, xmlSink{r})
		return true
	case formatGraphQL:
		r.graphQL(true, b)
		return false // the document is a value as a whole, too
	case formatProtobuf:
		return r.readProtobuf(b)
	case formatBinary:
		r.runs(BodyText, nil, "", b, -1)
		return true
	}
	return false
}

// Form are the parameters of a form body, once BodyValues was called.
func (r *Request) Form() []Param { r.BodyValues(); return r.form }

func (r *Request) wholeBody(b []byte) {
	if binary(b) {
		r.runs(BodyText, nil, "", b, -1)
		return
	}
	r.add(true, Value{Kind: BodyText, Raw: b, Text: b, Parent: -1})
}

func (r *Request) readJSON(b []byte, lines bool) bool {
	r.into = place{body: true, kind: JSON, parent: -1, graph: true}
	if !lines {
		// Lines of documents come with plain JSON's media type, too.
		lines = bytes.Contains(b[:min(len(b), 64<<10)], []byte("}\n{"))
		if lines {
			r.mark(MarkJSONTrailing, true, JSON, nil)
		}
	}
	ok := r.json.Walk(b, lines, jsonSink{r})
	r.into = place{}
	return ok
}

// isGraphQLPointer says that a GraphQL document may stand there: /query, also
// of a batch.
func isGraphQLPointer(p []byte) bool {
	return bytes.HasSuffix(p, []byte("/query")) && len(p) <= len("/00/query")
}

// graphQL takes a GraphQL document apart, if it is one.
func (r *Request) graphQL(body bool, b []byte) {
	r.scratch = r.room()
	r.graphBody = body
	decode.GraphQL(b, r.scratch, graphSink{r})
}

type graphSink struct{ r *Request }

func (s graphSink) GraphQLLeaf(path, raw []byte, escaped bool) {
	text := jsonSink(s).unescape(raw, escaped)
	s.r.add(s.r.graphBody, Value{Kind: GraphQL, Name: s.r.arena.copy(path), Raw: raw, Text: text, Parent: -1})
}

// readProtobuf reads a message, or the messages of a gRPC stream: a flag and
// four bytes of length before each.
func (r *Request) readProtobuf(b []byte) bool {
	r.scratch = r.room()
	if len(b) > 5 && b[0] <= 1 {
		framed := b
		for len(framed) >= 5 {
			n := int(framed[1])<<24 | int(framed[2])<<16 | int(framed[3])<<8 | int(framed[4])
			if n > len(framed)-5 {
				break
			}
			if !decode.Protobuf(framed[5:5+n], r.scratch, protobufSink{r}) {
				break
			}
			framed = framed[5+n:]
		}
		if len(framed) == 0 {
			return true
		}
	}
	return decode.Protobuf(b, r.scratch, protobufSink{r})
}

type protobufSink struct{ r *Request }

func (s protobufSink) ProtobufLeaf(path, raw []byte, text bool) {
	name := s.r.arena.copy(path)
	if text {
		s.r.add(true, Value{Kind: Protobuf, Name: name, Raw: raw, Text: raw, Parent: -1})
		return
	}
	s.r.runs(Protobuf, name, "", raw, -1)
}

// runs makes values of the runs of printable bytes in binary content. It looks
// at the last byte that a run from here would need first, and passes over all
// of them where that one is none: noise costs a look at every sixteenth byte.
func (r *Request) runs(k Kind, name []byte, part string, b []byte, parent int) {
	for i, made := 0, 0; i+minRun <= len(b); {
		last := i + minRun - 1
		for last >= i && printable[b[last]] {
			last--
		}
		if last >= i {
			i = last + 1
			continue
		}
		start := i
		for i += minRun; i < len(b) && printable[b[i]]; i++ {
		}
		if made++; made > maxRuns {
			r.mark(MarkValues, true, k, name)
			return
		}
		r.add(true, Value{Kind: k, Name: name, Part: part, Raw: b[start:i], Text: b[start:i], Parent: parent})
	}
}

var printable = func() (t [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = true
	}
	t['\n'], t['\r'], t['\t'] = true, true, true
	return
}()

type xmlSink struct{ r *Request }

func (s xmlSink) add(path, raw, text []byte, part string) {
	s.r.add(true, Value{Kind: XML, Name: s.r.arena.copy(path), Part: part, Raw: raw, Text: text, Parent: -1})
}

func (s xmlSink) XMLText(path, raw []byte, cdata bool) {
	text := raw
	if !cdata {
		text = s.references(raw)
	}
	s.add(path, raw, text, "")
}

func (s xmlSink) references(raw []byte) []byte {
	if bytes.IndexByte(raw, '&') < 0 {
		return raw
	}
	room, ok := s.r.arena.open(len(raw))
	if !ok {
		s.r.mark(MarkDerived, true, XML, nil)
		return raw
	}
	out, _ := decode.HTML(room, raw)
	return s.r.arena.keep(out)
}

func (s xmlSink) XMLAttr(path, raw []byte)  { s.add(path, raw, s.references(raw), "") }
func (s xmlSink) XMLOther(path, raw []byte) { s.add(path, raw, raw, "markup") }

var xmlMarks = [...]Mark{decode.XMLSyntax: MarkXMLSyntax, decode.XMLDepth: MarkXMLDeep,
	decode.XMLDoctype: MarkXMLDoctype, decode.XMLEntity: MarkXMLEntity, decode.XMLExternal: MarkXMLExternal}

func (s xmlSink) XMLFlaw(f decode.XMLFlaw) { s.r.mark(xmlMarks[f], true, XML, nil) }
