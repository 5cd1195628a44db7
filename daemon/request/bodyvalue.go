package request

import (
	"bytes"
	"encoding/base64"

	"github.com/sallyport/sallyport/daemon/request/decode"
)

// Bounds of what is taken out of binary content.
const (
	minRun      = 16  // printable bytes in a row that make a value
	minRunNamed = 6   // the same in a format whose strings stand between lengths
	maxRuns     = 256 // such values of one body or part
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
	case formatProtobufText:
		return !fits
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
		r.graphQLParams(true, r.form)
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
		r.piece, r.last = -1, -1
		r.xml.Walk(b, xmlSink{r})
		xmlSink{r}.joined()
		return true
	case formatGraphQL:
		r.graphQL(true, b)
		return false // the document is a value as a whole, too
	case formatProtobuf:
		return r.readProtobuf(b)
	case formatProtobufText:
		return r.readProtobufText(b)
	case formatBinary:
		r.runs(BodyText, nil, "", b, -1)
		return true
	case formatPacked:
		r.runsOf(minRunNamed, BodyText, nil, "", b, -1)
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

// graphQLParams takes the document in a parameter apart: query=... of GET and
// of forms, operations=... of the multipart request specification.
func (r *Request) graphQLParams(body bool, ps []Param) {
	for i := range ps {
		switch p := &ps[i]; {
		case len(p.Value) == 0:
		case equalFold(p.Name, "query"):
			r.graphQL(body, p.Value)
		case equalFold(p.Name, "operations"):
			r.operations(p.Value)
		}
	}
}

// operations takes the GraphQL document out of a JSON request in a form's field.
func (r *Request) operations(b []byte) {
	r.json.Walk(b, false, operationsSink{jsonSink{r}})
}

// operationsSink looks at documents alone: the leaves are values already.
type operationsSink struct{ jsonSink }

func (s operationsSink) JSONLeaf(pointer, raw []byte, str, escaped bool) {
	if str && isGraphQLPointer(pointer) {
		s.r.graphQL(true, s.unescape(raw, escaped))
	}
}
func (operationsSink) JSONKey(_, _ []byte, _ bool)      {}
func (operationsSink) JSONFlaw(decode.JSONFlaw, []byte) {}

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

// readProtobufText reads gRPC frames in base64, as grpc-web-text has them: one
// token, or several of which each has its padding.
func (r *Request) readProtobufText(b []byte) bool {
	room, ok := r.arena.open(len(b))
	if !ok {
		r.mark(MarkDerived, true, BodyText, nil)
		return false
	}
	for rest := trimLines(b); len(rest) > 0; {
		end := bytes.IndexByte(rest, '=')
		for end >= 0 && end < len(rest) && rest[end] == '=' {
			end++
		}
		if end < 0 {
			end = len(rest)
		}
		n, err := base64.StdEncoding.Decode(room[len(room):cap(room)], rest[:end])
		if err != nil {
			return false
		}
		room, rest = room[:len(room)+n], rest[end:]
	}
	return r.readProtobuf(r.arena.keep(room))
}

func trimLines(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }

type protobufSink struct{ r *Request }

func (s protobufSink) ProtobufLeaf(path, raw []byte, text bool) {
	name := s.r.arena.copy(path)
	if text || mostlyText(raw) {
		s.r.add(true, Value{Kind: Protobuf, Name: name, Raw: raw, Text: raw, Parent: -1})
		return
	}
	s.r.runs(Protobuf, name, "", raw, -1)
}

// mostlyText says that three of four bytes are printable ASCII: one control
// character does not make a string binary.
func mostlyText(b []byte) bool {
	n := 0
	for _, c := range b {
		if printable[c] {
			n++
		}
	}
	return n*4 >= len(b)*3
}

// runs makes values of the runs of printable bytes in binary content. It looks
// at the last byte that a run from here would need first, and passes over all
// of them where that one is none: noise costs a look at every sixteenth byte.
func (r *Request) runs(k Kind, name []byte, part string, b []byte, parent int) {
	r.runsOf(minRun, k, name, part, b, parent)
}

func (r *Request) runsOf(least int, k Kind, name []byte, part string, b []byte, parent int) {
	for i, made := 0, 0; i+least <= len(b); {
		last := i + least - 1
		for last >= i && printable[b[last]] {
			last--
		}
		if last >= i {
			i = last + 1
			continue
		}
		start := i
		for i += least; i < len(b) && printable[b[i]]; i++ {
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
