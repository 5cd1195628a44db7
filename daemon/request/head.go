package request

import (
	"bytes"
	"encoding/base64"
)

// HeadValues are the values of the request line and the headers: the path as a
// whole and by segments, the query, the cookies, the headers, and what is found
// inside of them.
func (r *Request) HeadValues() []Value {
	if !r.first(doneHead) {
		return r.head
	}
	r.pathValues()
	r.paramValues(false, Query, r.Query())
	r.graphQLParams(false, r.query)
	r.paramValues(false, Cookie, r.Cookies())
	for i := range r.Headers {
		h := &r.Headers[i]
		if equalFold(h.Name, "cookie") || len(h.Value) == 0 && plainWord(h.Name) {
			continue
		}
		name := r.lowered(h.Name)
		r.addName(false, HeaderKind, name, h.Name, h.Name)
		at := r.add(false, Value{Kind: HeaderKind, Name: name, Raw: h.Value, Text: h.Value, Parent: -1})
		if at >= 0 && len(h.Value) > len(basic) && equalFold(h.Value[:len(basic)], basic) {
			r.credentials(at, h.Value[len(basic):])
		}
	}
	r.expand(false, 0)
	return r.head
}

// basic begins the value of an Authorization header (RFC 7617).
const basic = "basic "

// credentials adds the user and the password of a header.
func (r *Request) credentials(at int, token []byte) {
	room, ok := r.arena.open(len(token))
	if !ok {
		r.mark(MarkDerived, false, HeaderKind, r.head[at].Name)
		return
	}
	n, _ := base64.RawStdEncoding.Decode(room[:cap(room)], bytes.TrimRight(trim(token), "="))
	user, password, both := bytes.Cut(r.arena.keep(room[:n]), []byte(":"))
	v := r.head[at]
	v.Parent, v.depth = at, 1
	if len(user) > 0 {
		v.Part, v.Text = "user", user
		r.add(false, v)
	}
	if both && len(password) > 0 {
		v.Part, v.Text = "password", password
		r.add(false, v)
	}
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
				r.addCoded(r.coded, v, at)
			}
		}
		if p.Quoted != nil {
			r.add(body, Value{Kind: k, Name: p.Name, Part: "quoted", Raw: p.RawValue, Text: p.Quoted, Parent: -1})
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
