package request

import (
	"bytes"

	"github.com/sallyport/sallyport/daemon/request/decode"
)

// Bounds of the entities that a document declares and uses.
const (
	maxEntities    = 32
	maxEntityDepth = 4       // entities in entities
	maxEntityText  = 8 << 10 // bytes of one text with its entities in place
)

// entity is one that the document itself gives a text.
type entity struct{ name, text []byte }

// declare adds the entities of a document type to es.
func (r *Request) declare(es []entity, decl []byte) []entity {
	for len(es) < maxEntities {
		name, text, rest := decode.Entity(decl)
		if rest == nil {
			break
		}
		es, decl = append(es, entity{name, text}), rest
	}
	return es
}

// entities adds a text with the document's own entities in their places, as a
// parser gives it to the application: an attack may be spread over them.
func (s xmlSink) entities(path, raw []byte) {
	r := s.r
	if len(r.declared) == 0 || bytes.IndexByte(raw, '&') < 0 {
		return
	}
	text, any := raw, false
	for range maxEntityDepth {
		room, ok := r.arena.open(maxEntityText)
		if !ok {
			r.mark(MarkDerived, true, XML, nil)
			return
		}
		out, changed := inPlace(room, text, r.declared)
		if !changed {
			break
		}
		text, any = r.arena.keep(out), true
	}
	if any {
		s.add(path, raw, s.references(text), "entities")
	}
}

// inPlace appends text to dst, a slice of fixed room, with entities in place.
func inPlace(dst, text []byte, es []entity) (out []byte, changed bool) {
	take := func(b []byte) { dst = append(dst, b[:min(len(b), cap(dst)-len(dst))]...) }
next:
	for len(text) > 0 {
		amp := bytes.IndexByte(text, '&')
		if amp < 0 {
			amp = len(text)
		}
		take(text[:amp])
		if text = text[amp:]; len(text) == 0 {
			break
		}
		for _, e := range es {
			if n := len(e.name) + 2; len(text) >= n && text[n-1] == ';' && bytes.Equal(text[1:n-1], e.name) {
				take(e.text)
				text, changed = text[n:], true
				continue next
			}
		}
		take(text[:1])
		text = text[1:]
	}
	return dst, changed
}

type xmlSink struct{ r *Request }

func (s xmlSink) add(path, raw, text []byte, part string) {
	s.r.add(true, Value{Kind: XML, Name: s.r.arena.copy(path), Part: part, Raw: raw, Text: text, Parent: -1})
}

func (s xmlSink) XMLText(path, raw []byte, cdata bool) {
	text := raw
	if !cdata {
		text = s.references(raw)
	}
	at := len(s.r.body)
	s.add(path, raw, text, "")
	if !cdata {
		s.entities(path, raw)
	}
	s.join(at)
}

// join takes the text at an index for a further piece of the element's text, or
// the first of another's.
func (s xmlSink) join(at int) {
	r := s.r
	if at >= len(r.body) {
		return
	}
	if r.last >= 0 && bytes.Equal(r.body[r.last].Name, r.body[at].Name) && between(r.body[r.last].Raw, r.body[at].Raw) != nil {
		r.last = at
		return
	}
	s.joined()
	r.piece, r.last = at, at
}

// joined adds the text of an element that comments, processing instructions or
// CDATA sections cut into pieces, as a parser gives it to the application.
func (s xmlSink) joined() {
	r := s.r
	from, to := r.piece, r.last
	r.piece, r.last = -1, -1
	if from == to {
		return
	}
	first, last := r.body[from], r.body[to]
	whole := spanning(first.Raw, last.Raw)
	room, ok := r.arena.open(min(2*len(whole), maxEntityText))
	if !ok {
		r.mark(MarkDerived, true, XML, nil)
		return
	}
	take := func(b []byte) { room = append(room, b[:min(len(b), cap(room)-len(room))]...) }
	before := first.Raw
	for i := from; i <= to; i++ {
		v := &r.body[i]
		if v.Part != "" || !bytes.Equal(v.Name, first.Name) {
			continue
		}
		if gap := between(before, v.Raw); gap != nil && (decode.Space(gap[0]) || decode.Space(gap[len(gap)-1])) {
			take([]byte{' '})
		}
		take(v.Text)
		before = v.Raw
	}
	s.add(first.Name, whole, r.arena.keep(room), "joined")
}

// between is what stands between two pieces of one document, if it is nothing
// but comments, processing instructions and the ends of CDATA sections.
func between(a, b []byte) []byte {
	whole := spanning(a, b)
	if len(whole) < len(a)+len(b) || len(a) == 0 || &whole[0] != &a[0] {
		return nil
	}
	gap := whole[len(a) : len(whole)-len(b)]
	if len(gap) == 0 {
		return nil
	}
	for rest := gap; len(rest) > 0; {
		end := ""
		switch {
		case decode.Space(rest[0]):
			rest = rest[1:]
			continue
		case bytes.HasPrefix(rest, []byte("]]>")):
			end = "]]>"
		case bytes.HasPrefix(rest, []byte("<![CDATA[")):
			end = "<![CDATA["
		case bytes.HasPrefix(rest, []byte("<!--")):
			end = "-->"
		case bytes.HasPrefix(rest, []byte("<?")):
			end = "?>"
		default:
			return nil
		}
		n := bytes.Index(rest, []byte(end))
		if n < 0 {
			return nil
		}
		rest = rest[n+len(end):]
	}
	return gap
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

func (s xmlSink) XMLAttr(path, raw []byte) {
	s.add(path, raw, s.references(raw), "")
	s.entities(path, raw)
}

func (s xmlSink) XMLOther(path, raw []byte) {
	s.add(path, raw, raw, "markup")
	if len(raw) > 0 && raw[0] == '<' {
		s.r.declared = s.r.declare(s.r.declared, raw)
	}
}

var xmlMarks = [...]Mark{decode.XMLSyntax: MarkXMLSyntax, decode.XMLDepth: MarkXMLDeep,
	decode.XMLDoctype: MarkXMLDoctype, decode.XMLEntity: MarkXMLEntity, decode.XMLExternal: MarkXMLExternal}

func (s xmlSink) XMLFlaw(f decode.XMLFlaw) { s.r.mark(xmlMarks[f], true, XML, nil) }
