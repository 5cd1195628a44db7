package request

import (
	"github.com/sallyport/sallyport/daemon/request/decode"
)

// jsonSink makes values of what the JSON walk finds.
type jsonSink struct{ r *Request }

func (s jsonSink) value(pointer, raw, text []byte, part string) {
	r, at := s.r, &s.r.into
	v := r.next(at.body)
	if v == nil {
		return
	}
	v.Kind, v.Raw, v.Text, v.Parent, v.depth = at.kind, raw, text, at.parent, at.depth
	if at.part == "" {
		v.Name, v.Part = r.arena.copy(pointer), part
		return
	}
	v.Name, v.Inner, v.Part = at.name, r.arena.copy(pointer), part
	if part == "" {
		v.Part = at.part
	}
}

func (s jsonSink) JSONLeaf(pointer, raw []byte, str, escaped bool) {
	if len(*s.r.values(s.r.into.body)) >= MaxValues {
		s.r.mark(MarkValues, s.r.into.body, JSON, nil)
		return
	}
	text := s.unescape(raw, escaped)
	if s.r.into.graph && str && isGraphQLPointer(pointer) {
		s.r.graphQL(s.r.into.body, text)
	}
	s.value(pointer, raw, text, "")
}

func (s jsonSink) unescape(raw []byte, escaped bool) []byte {
	if !escaped {
		return raw
	}
	room, ok := s.r.arena.open(len(raw))
	if !ok {
		s.r.mark(MarkDerived, s.r.into.body, JSON, nil)
		return raw
	}
	return s.r.arena.keep(decode.JSONString(room, raw))
}

func (s jsonSink) JSONKey(pointer, raw []byte, escaped bool) {
	if !escaped && plainWord(raw) {
		return
	}
	if text := s.unescape(raw, escaped); !plainWord(text) {
		s.value(pointer, raw, text, "name")
	}
}

var jsonMarks = [...]Mark{
	decode.JSONSyntax: MarkJSONSyntax, decode.JSONDuplicate: MarkJSONDuplicate, decode.JSONDepth: MarkJSONDeep,
	decode.JSONNumber: MarkJSONNumber, decode.JSONComment: MarkJSONComment, decode.JSONTrailing: MarkJSONTrailing,
	decode.JSONSurrogate: MarkJSONSurrogate, decode.JSONControl: MarkJSONControl, decode.JSONCut: MarkJSONCut,
	decode.JSONKeys: MarkJSONKeys,
}

// JSONFlaw marks the flaws of a body. JSON inside a string may be anything:
// only its duplicate names and bounds are marked.
func (s jsonSink) JSONFlaw(f decode.JSONFlaw, pointer []byte) {
	at := &s.r.into
	if at.part != "" && f != decode.JSONDuplicate && f != decode.JSONDepth {
		return
	}
	if at.part != "" {
		pointer = at.name
	}
	s.r.mark(jsonMarks[f], at.body, at.kind, pointer)
}
