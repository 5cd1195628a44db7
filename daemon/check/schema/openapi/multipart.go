package openapi

import (
	"bytes"
	"mime"
	"strings"
)

// part is one part of a multipart body.
type part struct {
	name     []byte
	header   []byte
	kind     string // its Content-Type, "" when it has none
	content  []byte
	filename bool
	used     bool
}

// multipartBody judges multipart/form-data (RFC 7578); other multiparts are
// held to being well-formed.
func (j *judge) multipartBody(m *media, essence string, params map[string]string, text []byte) {
	parts, wrong := splitParts(text, params["boundary"])
	if wrong != "" {
		id := "multipart_malformed"
		if len(parts) >= MaxParts {
			id = "multipart_too_large"
		}
		j.add(Violation{ID: id, Where: "body", Want: "a multipart body", Got: wrong, At: m.at, Status: 400})
		return
	}
	if essence != "multipart/form-data" {
		return
	}
	j.in.Reset()
	j.in.OpenObject(nil)
	for i := range parts {
		if parts[i].name == nil {
			j.add(Violation{ID: "multipart_malformed", Where: "body", Want: "a name for each part", Got: "a part without", At: m.at, Status: 400})
			return
		}
		if !parts[i].used {
			j.part(m, parts, i)
		}
	}
	j.in.Close()
	if !m.schema.Valid(&j.in) {
		j.explain(m.schema, "multipart", "multipart:", 0, "")
	}
}

// part adds one property, from all parts of its name.
func (j *judge) part(m *media, parts []part, i int) {
	name := parts[i].name
	s := m.member(name)
	enc := m.encodings[string(name)]
	var mine []*part
	for k := i; k < len(parts); k++ {
		if bytes.Equal(parts[k].name, name) {
			parts[k].used = true
			mine = append(mine, &parts[k])
			j.partHead(m, enc, &parts[k])
		}
	}
	shape := s.shape()
	ways := make([]func() bool, 0, 3)
	if shape.Array {
		ways = append(ways, func() bool {
			items := s.items()
			j.in.OpenArray(name)
			for _, p := range mine {
				j.partItem(nil, p, items)
			}
			j.in.Close()
			return true
		})
	}
	if shape.Array && len(mine) == 1 && enc != nil && enc.styled && !enc.explode {
		p := &param{in: "header", style: enc.style}
		ways = append(ways, func() bool {
			return j.keyed(name, func() bool { return j.buildArray(p, mine[0].content, p.separator()) })
		})
	}
	if (shape.Array || shape.Object) && len(mine) == 1 {
		ways = append(ways, func() bool { return j.in.Parse(name, mine[0].content) == nil })
	}
	if shape.Primitive || len(ways) == 0 {
		ways = append(ways, func() bool {
			for _, p := range mine {
				j.partItem(name, p, nil)
			}
			return true
		})
	}
	j.first(name, ways, s, mine[0].content)
}

// partItem adds a part as one value.
func (j *judge) partItem(key []byte, p *part, items schemas) {
	shape := items.shape()
	if isJSON(p.kind) || len(items) > 0 && (shape.Object || shape.Array) && !shape.Primitive {
		if j.in.Parse(key, p.content) == nil {
			return
		}
	}
	if p.filename || p.kind != "" && !strings.HasPrefix(p.kind, "text/") {
		j.in.String(key, p.content)
		return
	}
	j.in.Text(key, p.content)
}

// partHead holds a part to the content types and headers that its encoding
// asks for.
func (j *judge) partHead(m *media, enc *encoding, p *part) {
	if enc == nil {
		return
	}
	where := "multipart:" + clip(p.name)
	if len(enc.types) > 0 && p.kind != "" {
		ok := false
		for _, t := range enc.types {
			ok = ok || t == p.kind || t == "*/*" || strings.HasSuffix(t, "/*") && strings.HasPrefix(p.kind, t[:len(t)-1])
		}
		if !ok {
			j.add(Violation{ID: "multipart_content_type", Where: where, Want: strings.Join(enc.types, " or "), Got: clip([]byte(p.kind)), At: m.at, Status: 415})
		}
	}
	for _, h := range enc.headers {
		value, found := headerOf(p.header, h.name)
		if !found {
			if h.required {
				j.add(Violation{ID: "multipart_header", Where: where, Want: "the header " + h.name, Got: "none", At: h.at, Status: 422})
			}
			continue
		}
		saved := j.in
		j.in.Fresh()
		j.value(h, value)
		j.in = saved
	}
}

func headerOf(header []byte, name string) (value []byte, found bool) {
	for len(header) > 0 {
		var line []byte
		line, header, _ = bytes.Cut(header, []byte("\r\n"))
		key, v, ok := bytes.Cut(line, []byte(":"))
		if ok && strings.EqualFold(string(bytes.TrimSpace(key)), name) {
			return bytes.TrimSpace(v), true
		}
	}
	return nil, false
}

// splitParts cuts a body at its boundary (RFC 2046 section 5.1.1). wrong says
// what is not as it should be.
func splitParts(text []byte, boundary string) (parts []part, wrong string) {
	if boundary == "" || len(boundary) > 70 {
		return nil, "no boundary of 1 to 70 characters in the Content-Type"
	}
	dash := []byte("--" + boundary)
	at := 0
	if !bytes.HasPrefix(text, dash) {
		i := bytes.Index(text, append([]byte("\r\n"), dash...))
		if i < 0 {
			return nil, "the boundary does not occur"
		}
		at = i + 2
	}
	text = text[at+len(dash):]
	delimiter := append([]byte("\r\n"), dash...)
	for {
		if bytes.HasPrefix(text, []byte("--")) {
			return parts, ""
		}
		text = bytes.TrimLeft(text, " \t")
		if !bytes.HasPrefix(text, []byte("\r\n")) {
			return parts, "no line end after a boundary"
		}
		text = text[2:]
		if len(parts) >= MaxParts {
			return parts, "more than 1000 parts"
		}
		end := bytes.Index(text, delimiter)
		if bytes.HasPrefix(text, dash) { // a part of nothing at all
			return parts, "a part without a header"
		}
		if end < 0 {
			return parts, "the body ends before its closing boundary"
		}
		parts = append(parts, readPart(text[:end]))
		text = text[end+len(delimiter):]
	}
}

func readPart(raw []byte) part {
	var p part
	switch {
	case bytes.HasPrefix(raw, []byte("\r\n")):
		p.content = raw[2:]
		return p
	default:
		head, content, found := bytes.Cut(raw, []byte("\r\n\r\n"))
		p.header = head
		if found {
			p.content = content
		}
	}
	if v, ok := headerOf(p.header, "Content-Disposition"); ok {
		kind, params, err := mime.ParseMediaType(string(v))
		if name, has := params["name"]; (err == nil || has) && strings.EqualFold(kind, "form-data") && has {
			p.name = []byte(name)
			_, p.filename = params["filename"]
		}
	}
	if v, ok := headerOf(p.header, "Content-Type"); ok {
		if p.kind, _ = parseMediaType(string(v)); p.kind == "" {
			p.kind = "?"
		}
	}
	return p
}
