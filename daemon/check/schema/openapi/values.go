package openapi

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/daemon/check/schema/jsonschema"
)

// Parameters are text. Each is put together as an instance in every way its
// schema can accept, as an array, an object or a single value, and is right
// when one of them is.

func (j *judge) pathParams(m match) {
	for _, p := range j.op.params {
		if p.in != "path" {
			continue
		}
		for i, name := range m.path.names {
			if name == p.name && i < len(m.values) {
				j.value(p, m.values[i])
				break
			}
		}
	}
}

// value judges a parameter that stands in one piece: in the path, a header or
// a cookie.
func (j *judge) value(p *param, raw []byte) {
	if p.in == "path" {
		plain, ok := decode(raw, false, &j.buf)
		if !ok || !utf8.Valid(plain) {
			j.malformed(p, raw, "percent-encoded UTF-8")
			return
		}
	}
	if p.content != "" {
		j.contentValue(p, raw, p.in != "header", false)
		return
	}
	body, ok := j.unprefix(p, raw)
	if !ok {
		j.malformed(p, raw, "the prefix of its style")
		return
	}
	j.attempts(p, raw, func(kind shapeKind) bool { return j.build(p, kind, body) })
}

// unprefix removes what label and matrix begin with.
func (j *judge) unprefix(p *param, raw []byte) ([]byte, bool) {
	switch p.style {
	case label:
		return bytes.CutPrefix(raw, []byte("."))
	case matrix:
		return bytes.CutPrefix(raw, []byte(";"))
	}
	return raw, true
}

type shapeKind uint8

const (
	asArray shapeKind = iota
	asObject
	asPrimitive
)

// attempts builds the value in each shape and judges it; what is wrong with
// the likeliest is told when none is right.
func (j *judge) attempts(p *param, raw []byte, build func(shapeKind) bool) {
	if p.lenient && j.any(p, build) {
		return
	}
	j.lenient = p.lenient
	defer func() { j.lenient = false }()
	if j.any(p, build) {
		return
	}
	first := asPrimitive
	for _, k := range [...]shapeKind{asArray, asObject, asPrimitive} {
		if k == asArray && p.shape.Array || k == asObject && p.shape.Object || k == asPrimitive && p.shape.Primitive {
			first = k
		}
	}
	j.in.Reset()
	if !build(first) {
		j.malformed(p, raw, "a value written in its style")
		return
	}
	j.explain(p.schema, "param", p.where, 0, "")
}

// any says that one of the shapes is right.
func (j *judge) any(p *param, build func(shapeKind) bool) bool {
	for _, k := range [...]shapeKind{asPrimitive, asObject, asArray} {
		if k == asArray && p.shape.Array || k == asObject && p.shape.Object || k == asPrimitive && p.shape.Primitive {
			j.in.Reset()
			if build(k) && p.schema.Valid(&j.in) {
				return true
			}
		}
	}
	return false
}

func (j *judge) malformed(p *param, raw []byte, want string) {
	j.add(Violation{ID: "param_malformed", Where: p.where, Want: want, Got: clip(raw), At: p.at, Status: 400})
}

// build puts a value in one piece together: path, header, cookie, and query
// without explode.
func (j *judge) build(p *param, kind shapeKind, s []byte) bool {
	if kind == asPrimitive {
		if p.style == matrix {
			name, value, found := bytes.Cut(s, []byte("="))
			if string(name) != p.name || !found {
				return false
			}
			s = value
		}
		j.in.Text(nil, j.piece(p, s))
		return true
	}
	sep := p.separator()
	if p.style == matrix && !p.explode {
		name, value, _ := bytes.Cut(s, []byte("="))
		if string(name) != p.name {
			return false
		}
		s = value
	}
	if kind == asArray {
		return j.buildArray(p, s, sep)
	}
	return j.buildObject(p, s, sep)
}

// separator is what stands between the parts of a value.
func (p *param) separator() string {
	switch p.style {
	case label:
		if p.explode {
			return "."
		}
	case matrix:
		if p.explode {
			return ";"
		}
	case spaceDelimited:
		return " "
	case pipeDelimited:
		return "|"
	case tabDelimited:
		return "\t"
	case form:
		if p.explode && p.in == "cookie" {
			return "&"
		}
	}
	return ","
}

func (j *judge) buildArray(p *param, s []byte, sep string) bool {
	j.in.OpenArray(nil)
	defer j.in.Close()
	if len(s) == 0 {
		return true
	}
	for n := 0; ; n++ {
		one, rest, more := cutSeparator(s, sep, j.lenient)
		if p.style == matrix && p.explode {
			name, value, _ := bytes.Cut(one, []byte("="))
			if string(name) != p.name {
				return false
			}
			one = value
		}
		if n >= MaxPairs {
			return false
		}
		j.in.Text(nil, j.piece(p, one))
		if !more {
			return true
		}
		s = rest
	}
}

func (j *judge) buildObject(p *param, s []byte, sep string) bool {
	j.in.OpenObject(nil)
	defer j.in.Close()
	if len(s) == 0 {
		return true
	}
	for n := 0; n < MaxPairs; n++ {
		one, rest, more := cutSeparator(s, sep, j.lenient)
		var name, value []byte
		if p.explode && p.style != spaceDelimited && p.style != pipeDelimited {
			var found bool
			if name, value, found = bytes.Cut(one, []byte("=")); !found {
				return false
			}
		} else {
			if !more {
				return false // a name without a value
			}
			name = one
			value, rest, more = cutSeparator(rest, sep, j.lenient)
		}
		j.in.Text(j.piece(p, name), j.piece(p, value))
		if !more {
			return true
		}
		s = rest
	}
	return false
}

// cutSeparator cuts at the first separator: a space may be %20 or a plus, a
// pipe or a tab may be percent-encoded; a comma may be where lenient says so.
func cutSeparator(s []byte, sep string, lenient bool) (one, rest []byte, more bool) {
	var encoded string
	switch sep {
	case " ":
		encoded = "%20"
	case "|":
		encoded = "%7c"
	case "\t":
		encoded = "%09"
	case ",":
		if lenient {
			encoded = "%2c"
		}
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == sep[0], sep == " " && s[i] == '+':
			return s[:i], s[i+1:], true
		case s[i] == '%' && encoded != "" && i+2 < len(s) && strings.EqualFold(string(s[i:i+3]), encoded):
			return s[:i], s[i+3:], true
		}
	}
	return s, nil, false
}

// piece is one part of a value, decoded. A header's is not percent-encoded.
func (j *judge) piece(p *param, s []byte) []byte {
	switch p.in {
	case "header":
		return bytes.Trim(s, " \t")
	case "query":
		plain, _ := decode(s, true, &j.buf)
		return plain
	}
	plain, ok := decode(s, false, &j.buf)
	if !ok && p.in == "cookie" {
		return s
	}
	return plain
}

func (j *judge) headerParam(p *param) {
	var values [][]byte
	for i := range j.r.Headers {
		if strings.EqualFold(string(j.r.Headers[i].Name), p.name) {
			values = append(values, j.r.Headers[i].Value)
		}
	}
	if len(values) == 0 {
		j.absent(p)
		return
	}
	value := bytes.Trim(values[0], " \t")
	if len(values) > 1 {
		value = bytes.Join(values, []byte(","))
	}
	j.value(p, value)
}

func (j *judge) cookieParam(p *param) {
	found := false
	if p.style == form && p.explode && (p.shape.Array || p.shape.Object) && !p.shape.Primitive && p.content == "" {
		j.explodedCookie(p)
		return
	}
	for _, c := range j.cookies() {
		if string(c.key) == p.name {
			found = true
			j.value(p, c.raw)
			break
		}
	}
	if !found {
		j.absent(p)
	}
}

// explodedCookie reads an array or object whose parts are cookies of their own.
func (j *judge) explodedCookie(p *param) {
	jar := append([]pair(nil), j.cookies()...)
	found := false
	build := func(kind shapeKind) bool {
		if kind == asObject {
			j.in.OpenObject(nil)
		} else {
			j.in.OpenArray(nil)
		}
		defer j.in.Close()
		for _, c := range jar {
			if kind == asArray && string(c.key) == p.name {
				found = true
				for s, more := c.raw, true; more; {
					var one []byte
					one, s, more = cutSeparator(s, "&", false)
					one = bytes.TrimPrefix(one, []byte(p.name+"="))
					j.in.Text(nil, j.piece(p, one))
				}
			}
			if kind == asObject && p.hasMember(c.key) {
				found = true
				j.in.Text(c.key, j.piece(p, c.raw))
			}
		}
		return true
	}
	j.in.Reset()
	kind := asObject
	if p.shape.Array {
		kind = asArray
	}
	build(kind)
	if !found {
		j.absent(p)
		return
	}
	j.attempts(p, nil, build)
}

func (p *param) hasMember(name []byte) bool {
	for _, m := range p.members {
		if m == string(name) {
			return true
		}
	}
	return false
}

func (j *judge) absent(p *param) {
	if p.required {
		j.add(Violation{ID: "param_required", Where: p.where, Want: "the parameter", Got: "none", At: p.at, Status: 400})
	}
}

// contentValue judges a parameter that holds a document of its own.
func (j *judge) contentValue(p *param, raw []byte, encoded, plus bool) {
	text := raw
	if encoded {
		plain, ok := decode(raw, plus, &j.buf)
		if !ok {
			j.malformed(p, raw, "percent-encoded text")
			return
		}
		text = plain
	}
	j.in.Reset()
	if !isJSON(p.content) {
		j.in.Text(nil, text)
	} else if err := j.in.Parse(nil, text); err != nil {
		j.add(Violation{ID: "param_malformed", Where: p.where, Want: p.content, Got: err.Error(), At: p.at, Status: 400})
		return
	}
	if !p.schema.Valid(&j.in) {
		j.explain(p.schema, "param", p.where, 0, "")
	}
}

// explain turns a schema's errors into violations.
func (j *judge) explain(s *jsonschema.Schema, prefix, where string, at int, base string) {
	errs := s.Errors(&j.in, at, maxViolations)
	if len(errs) == 0 {
		errs = []jsonschema.Error{{Keyword: "bound", Want: "a value that can be judged in bounded time", At: s.At()}}
	}
	for _, e := range errs {
		v := Violation{
			ID: prefix + "_" + suffix(e), Where: where, Want: e.Want, Got: e.Got, At: e.At, Keyword: e.Keyword, Status: 422,
		}
		switch prefix {
		case "param":
			v.Status = 400
			if e.Pointer != "" {
				v.Where = where + e.Pointer
			}
		case "body":
			v.Where = where + e.Pointer
			if e.Member != "" && e.Keyword == "required" {
				v.Where += "/" + e.Member
			}
		default:
			v.Where = where + strings.TrimPrefix(e.Pointer, "/")
			if e.Member != "" && e.Keyword == "required" {
				v.Where = where + e.Member
			}
		}
		j.add(v)
	}
}

// suffix names a failed keyword as the findings do.
func suffix(e jsonschema.Error) string {
	switch e.Keyword {
	case "type":
		if e.Got == "null" {
			return "null"
		}
		return "type"
	case "enum", "const":
		return "enum"
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
		return "range"
	case "minLength", "maxLength":
		return "length"
	case "pattern":
		return "pattern"
	case "format":
		return "format"
	case "minItems", "maxItems", "uniqueItems", "contains", "maxContains", "unevaluatedItems":
		return "items"
	case "required", "dependentRequired":
		return "required"
	case "additionalProperties", "unevaluatedProperties", "propertyNames", "minProperties", "maxProperties", "false":
		return "unknown_property"
	case "anyOf", "oneOf", "not":
		return "alternatives"
	}
	return "bound"
}
