package openapi

import (
	"strings"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
	"github.com/sallyport/sallyport/daemon/check/schema/jsonschema"
)

// params reads a list of parameters; those of Swagger 2.0's bodies are left
// to swaggerBody.
func (l *loader) params(n *document.Node, template string) (out []*param) {
	if n.Get("$ref") != nil {
		n = l.deref(n)
	}
	for _, item := range n.List() {
		pn := l.deref(item)
		if !pn.IsObject() {
			continue
		}
		if p := l.param(pn, template); p != nil {
			out = append(out, p)
		}
	}
	return out
}

func (l *loader) param(n *document.Node, template string) *param {
	p := &param{
		name: n.Get("name").Str(), in: n.Get("in").Str(), at: n.At(),
		required: n.Get("required").True(), allowEmpty: n.Get("allowEmptyValue").True(),
	}
	switch p.in {
	case "path":
		p.required = true
		if !inTemplate(template, p.name) {
			l.warn(n, "parameter %q is in the path, but %s has no {%s}; it is left out", p.name, template, p.name)
			return nil
		}
	case "query", "cookie":
	case "header":
		switch strings.ToLower(p.name) {
		case "accept", "content-type", "authorization": // SHALL be ignored
			return nil
		}
	case "body", "formData":
		return nil
	default:
		l.warn(n, "parameter %q is in %q, which is no place for one; it is left out", p.name, p.in)
		return nil
	}
	if p.name == "" {
		l.warn(n, "a parameter without a name is left out")
		return nil
	}
	return l.paramValue(p, n)
}

// paramValue reads what the parameter's value must be, and how it is written.
func (l *loader) paramValue(p *param, n *document.Node) *param {
	p.where = p.in + ":" + p.name
	p.style = form
	if p.in == "path" || p.in == "header" {
		p.style = simple
	}
	if p.in == "header" {
		p.where = "header:" + strings.ToLower(p.name)
	}
	if l.swagger() && n.Get("schema") == nil {
		l.swaggerStyle(p, n)
		p.schema = l.schemas.Compile(n, l.dialect)
	} else {
		if s := n.Get("style").Str(); s != "" {
			st, ok := styleNames[s]
			if !ok {
				l.warn(n, "parameter %q has the style %q, which there is not; it is judged by its presence alone", p.name, s)
				p.schema = jsonschema.Anything()
				return p
			}
			if !st.fits(p.in) {
				l.warn(n, "parameter %q has the style %s, which is not for the %s; its default is taken", p.name, s, p.in)
			} else {
				p.style = st
			}
		}
		p.explode = p.style == form
		if x := n.Get("explode"); x != nil {
			p.explode = x.True()
		}
		p.lenient = l.api.options.EncodedDelimiters
		l.paramSchema(p, n)
	}
	p.shape = p.schema.Shape()
	if p.shape.Object {
		p.members, p.open = p.schema.Names(), p.schema.Open()
	}
	return p
}

// fits says that a style is for a place (Parameter Object, Style Values).
func (s style) fits(in string) bool {
	switch in {
	case "path":
		return s == simple || s == label || s == matrix
	case "header":
		return s == simple
	case "cookie":
		return s == form
	}
	return s == form || s == spaceDelimited || s == pipeDelimited || s == deepObject
}

func (l *loader) paramSchema(p *param, n *document.Node) {
	p.schema = jsonschema.Anything()
	if c := l.deref(n.Get("content")); c.IsObject() && len(c.Keys) > 0 {
		p.content, _ = parseMediaType(c.Keys[0])
		if m := l.deref(c.Items[0]); m.Get("schema") != nil {
			p.schema = l.schemas.Compile(m.Get("schema"), l.dialect)
		}
		return
	}
	if s := n.Get("schema"); s != nil {
		p.schema = l.schemas.Compile(s, l.dialect)
	} else if t := n.Get("type"); t != nil {
		l.warn(n, "parameter %q has its type beside it instead of in a schema; read as a schema", p.name)
		p.schema = l.schemas.Compile(n, l.dialect)
	}
}
