package openapi

import (
	"strings"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
	"github.com/sallyport/sallyport/daemon/check/schema/jsonschema"
)

// Swagger 2.0 is read as it stands, not converted: its parameters hold their
// schema's keywords themselves, and its bodies are parameters.

func (l *loader) swaggerStyle(p *param, n *document.Node) {
	p.lenient = true // 2.0 does not say whether delimiters may be encoded
	switch n.Get("collectionFormat").Str() {
	case "multi":
		p.style, p.explode = form, true
	case "ssv":
		p.style = spaceDelimited
	case "tsv":
		p.style = tabDelimited
	case "pipes":
		p.style = pipeDelimited
	}
}

// swaggerBody reads the parameters in body and formData.
func (l *loader) swaggerBody(op *operation, n *document.Node, template string) {
	var bodyParam *document.Node
	var fields []*document.Node
	for _, list := range []*document.Node{n.Get("parameters"), l.pathParameters(template)} {
		for _, item := range list.List() {
			p := l.deref(item)
			switch p.Get("in").Str() {
			case "body":
				if bodyParam == nil {
					bodyParam = p
				}
			case "formData":
				fields = append(fields, p)
			}
		}
	}
	consumes := n.Get("consumes")
	if consumes == nil {
		consumes = l.root.Get("consumes")
	}
	types := consumes.Strings()
	switch {
	case bodyParam != nil:
		must := bodyParam.Get("required").True() && op.method != "GET" && op.method != "HEAD"
		op.body = &body{required: must, at: bodyParam.At()}
		schema := jsonschema.Anything()
		if s := bodyParam.Get("schema"); s != nil {
			schema = l.schemas.Compile(s, l.dialect)
		}
		if len(types) == 0 {
			types = []string{"*/*"}
		}
		for _, t := range types {
			essence, params := parseMediaType(t)
			op.body.media = append(op.body.media, &media{name: essence, params: params, at: bodyParam.At(), schema: schema})
		}
	case len(fields) > 0:
		l.swaggerForm(op, fields, types)
	}
}

func (l *loader) pathParameters(template string) *document.Node {
	return l.deref(l.deref(l.root.Get("paths")).Get(template)).Get("parameters")
}

// swaggerForm makes one schema of the fields of a form.
func (l *loader) swaggerForm(op *operation, fields []*document.Node, types []string) {
	at := fields[0]
	props := &document.Node{Kind: document.Object, File: at.File, Line: at.Line, Col: at.Col}
	required := &document.Node{Kind: document.Array, File: at.File, Line: at.Line, Col: at.Col}
	encodings := map[string]*encoding{}
	file := false
	for _, f := range fields {
		name := f.Get("name").Str()
		if name == "" || props.Get(name) != nil {
			continue
		}
		props.Keys, props.Items = append(props.Keys, name), append(props.Items, f)
		if f.Get("required").True() {
			required.Items = append(required.Items, &document.Node{Kind: document.String, Text: name, File: f.File, Line: f.Line, Col: f.Col})
		}
		file = file || f.Get("type").Str() == "file"
		p := &param{style: form}
		l.swaggerStyle(p, f)
		encodings[name] = &encoding{styled: true, style: p.style, explode: p.explode}
	}
	schema := l.schemas.Compile(&document.Node{
		Kind: document.Object, File: at.File, Line: at.Line, Col: at.Col,
		Keys: []string{"type", "properties", "required"},
		Items: []*document.Node{
			{Kind: document.String, Text: "object", File: at.File, Line: at.Line, Col: at.Col}, props, required,
		},
	}, l.dialect)
	op.body = &body{required: len(required.Items) > 0, at: at.At()}
	var forms []string
	for _, t := range types {
		if essence, _ := parseMediaType(t); strings.HasPrefix(essence, "multipart/") || essence == "application/x-www-form-urlencoded" {
			forms = append(forms, essence)
		}
	}
	if len(forms) == 0 {
		forms = []string{"multipart/form-data"}
		if !file {
			forms = append(forms, "application/x-www-form-urlencoded")
		}
	}
	for _, t := range forms {
		m := &media{name: t, at: at.At(), schema: schema, encodings: encodings}
		m.declare()
		op.body.media = append(op.body.media, m)
	}
}
