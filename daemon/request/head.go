package request

import "bytes"

// HeadValues are the values of the request line and the headers: the path as a
// whole and by segments, the query, the cookies, the headers, and what is found
// inside of them.
func (r *Request) HeadValues() []Value {
	if !r.first(doneHead) {
		return r.head
	}
	r.pathValues()
	r.paramValues(false, Query, r.Query())
	for i := range r.Query() {
		if q := &r.query[i]; equalFold(q.Name, "query") && len(q.Value) > 0 {
			r.graphQL(false, q.Value)
		}
	}
	r.paramValues(false, Cookie, r.Cookies())
	for i := range r.Headers {
		h := &r.Headers[i]
		if equalFold(h.Name, "cookie") || len(h.Value) == 0 && plainWord(h.Name) {
			continue
		}
		name := r.lowered(h.Name)
		r.addName(false, HeaderKind, name, h.Name, h.Name)
		r.add(false, Value{Kind: HeaderKind, Name: name, Raw: h.Value, Text: h.Value, Parent: -1})
	}
	r.expand(false, 0)
	return r.head
}

// pathValues are the whole path, decoded but with its dot segments, and each
// segment. The whole comes first: "../../etc/passwd" means nothing in parts.
func (r *Request) pathValues() {
	raw := r.localPath()
	text, bad := r.unescape(raw, false)
	if bad > 0 {
		r.mark(MarkPercent, false, Path, nil)
	}
	whole := r.add(false, Value{Kind: Path, Raw: raw, Text: text, Parent: -1})
	for n := 1; len(raw) > 0; n++ {
		if raw[0] == '/' {
			raw = raw[1:]
			n--
			continue
		}
		end := bytes.IndexByte(raw, '/')
		if end < 0 {
			end = len(raw)
		}
		if n > MaxSegments {
			r.mark(MarkSegments, false, Path, nil)
			end = len(raw)
		}
		segment := raw[:end]
		raw = raw[end:]
		text, _ := r.unescape(segment, false)
		r.add(false, Value{Kind: Path, Name: smallNumbers[n], Raw: segment, Text: text, Parent: whole})
	}
}

// paramValues are parameters as values: their names where they are no plain
// words, their values where they have one, and for a name that stands twice
// the values joined by commas, as ASP and others join them.
func (r *Request) paramValues(body bool, k Kind, ps []Param) {
	for i := range ps {
		p := &ps[i]
		if p.Rest {
			r.add(body, Value{Kind: k, Part: "rest", Raw: p.RawValue, Text: p.Value, Parent: -1})
			continue
		}
		r.addName(body, k, p.Name, p.RawName, p.Name)
		if len(p.RawValue) > 0 {
			v := Value{Kind: k, Name: p.Name, Raw: p.RawValue, Text: p.Value, Parent: -1}
			if at := r.add(body, v); body {
				r.addPaged(v, at)
			}
		}
	}
	if len(ps) > maxJoin {
		return
	}
	for i := range ps {
		if ps[i].Again && k != Cookie {
			r.join(body, k, ps, i)
		}
	}
}

// maxJoin bounds the parameters among which repeated ones are joined.
const maxJoin = 64

// join adds the values of the parameters named like ps[last], joined, if that
// one is the last of its name.
func (r *Request) join(body bool, k Kind, ps []Param, last int) {
	name, size := ps[last].Name, 0
	for i := range ps {
		if bytes.Equal(ps[i].Name, name) {
			if i > last {
				return
			}
			size += len(ps[i].Value) + 1
		}
	}
	room, ok := r.arena.open(size)
	if !ok {
		return
	}
	for i := range ps[:last+1] {
		if bytes.Equal(ps[i].Name, name) {
			if len(room) > 0 {
				room = append(room, ',')
			}
			room = append(room, ps[i].Value...)
		}
	}
	text := r.arena.keep(room)
	r.add(body, Value{Kind: k, Name: name, Part: "joined", Raw: text, Text: text, Parent: -1})
}
