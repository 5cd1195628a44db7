package openapi

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
	"github.com/sallyport/sallyport/daemon/check/schema/jsonschema"
)

// Load reads a document and the files it refers to. It fails only when there
// is no document to read: not JSON or YAML, or no version that is known.
func Load(name string, o Options) (*API, error) {
	set, root, err := document.Open(name)
	if err != nil {
		return nil, fmt.Errorf("load API document: %w", err)
	}
	return load(name, set, root, o)
}

// Parse reads a document from memory; name says where it would lie.
func Parse(name string, text []byte, o Options) (*API, error) {
	set, root, err := document.Parse(name, text)
	if err != nil {
		return nil, fmt.Errorf("load API document: %w", err)
	}
	return load(name, set, root, o)
}

func load(name string, set *document.Set, root *document.Node, o Options) (*API, error) {
	l := &loader{
		api: &API{Name: name, Title: root.Get("info").Get("title").Str(), options: o, keys: map[string]bool{}},
		set: set, root: root, schemes: map[string]*credential{}, seen: map[string]bool{},
	}
	l.schemas = jsonschema.NewCompiler(set, true, func(n *document.Node, m string) { l.warn(n, "%s", m) })
	if err := l.version(); err != nil {
		return nil, err
	}
	l.api.router.root = &branch{}
	l.securitySchemes()
	paths := l.deref(root.Get("paths"))
	if !paths.IsObject() && !root.Get("webhooks").IsObject() {
		l.warn(root, "no paths: every path is unknown")
	}
	if paths.IsObject() {
		servers := l.servers(root)
		for i, template := range paths.Keys {
			if strings.HasPrefix(template, "x-") {
				continue
			}
			if !strings.HasPrefix(template, "/") {
				l.warn(paths.Items[i], "path %q does not begin with a slash; it is taken as /%s", template, template)
				template = "/" + template
			}
			l.path(template, paths.Items[i], servers)
		}
	}
	set.Release()
	return l.api, nil
}

func (l *loader) version() error {
	if v := l.root.Get("openapi"); v != nil {
		l.api.Version = v.Text
		switch {
		case strings.HasPrefix(v.Text, "3.0"), v.Text == "3":
			l.dialect = jsonschema.OpenAPI30
		case strings.HasPrefix(v.Text, "3."):
			l.dialect = jsonschema.Draft2020
			if d, ok := jsonschema.DialectOf(l.root.Get("jsonSchemaDialect").Str()); ok {
				l.dialect = d
			}
		default:
			return fmt.Errorf("%s: OpenAPI version %q is not one of 3.0, 3.1, 3.2", v.At(), v.Text)
		}
		return nil
	}
	if v := l.root.Get("swagger"); v != nil {
		if !strings.HasPrefix(v.Text, "2") {
			return fmt.Errorf("%s: Swagger version %q is not 2.0", v.At(), v.Text)
		}
		l.api.Version, l.dialect = "2.0", jsonschema.Swagger20
		return nil
	}
	return errors.New(l.root.At() + `: neither "openapi" nor "swagger" says which version this is: no API document`)
}

func (l *loader) swagger() bool { return l.dialect == jsonschema.Swagger20 }

var methods = [...]string{"get", "put", "post", "delete", "options", "head", "patch", "trace", "query"}

func (l *loader) path(template string, n *document.Node, servers []server) {
	item := n
	target := n
	if n.Get("$ref") != nil {
		if target = l.deref(n); target == nil {
			l.unknownPathItem(template, n, servers)
			return
		}
	}
	if !target.IsObject() {
		l.warn(n, "path %s: a Path Item is an object, and this is none", template)
		return
	}
	get := func(key string) *document.Node {
		if v := item.Get(key); v != nil && item != target {
			return v
		}
		return target.Get(key)
	}
	if s := get("servers"); s != nil && !l.swagger() {
		servers = l.serverList(s)
	}
	l.api.Paths++
	shared := l.params(get("parameters"), template)
	byServers := map[string][]server{}
	ops := map[string]map[string]*operation{}
	for _, m := range methods {
		on := get(m)
		if on == nil {
			continue
		}
		op := &operation{method: strings.ToUpper(m), template: template, at: on.At(), unknown: true}
		if target := l.deref(on); target.IsObject() {
			on = target
			op = l.operation(op.method, template, on, shared)
		}
		l.api.Operations++
		mine, key := servers, ""
		if s := on.Get("servers"); s != nil && !l.swagger() {
			mine, key = l.serverList(s), m
		}
		if ops[key] == nil {
			ops[key] = map[string]*operation{}
			byServers[key] = mine
		}
		ops[key][op.method] = op
	}
	if len(ops) == 0 {
		ops[""] = map[string]*operation{}
		byServers[""] = servers
	}
	for _, key := range append([]string{""}, methods[:]...) { // an operation may have servers of its own
		for _, s := range byServers[key] {
			l.route(s, template, target, ops[key])
		}
	}
}

// unknownPathItem enters a path of which the document says no more than that
// there is one: a reference that leads nowhere must not refuse its calls.
func (l *loader) unknownPathItem(template string, n *document.Node, servers []server) {
	ops := map[string]*operation{}
	for _, m := range methods {
		m = strings.ToUpper(m)
		ops[m] = &operation{method: m, template: template, at: n.At(), unknown: true}
	}
	l.api.Paths++
	for _, s := range servers {
		l.route(s, template, n, ops)
	}
}

// route enters a path on one server.
func (l *loader) route(s server, template string, n *document.Node, ops map[string]*operation) {
	p := &path{template: template, at: n.At(), ops: ops}
	bare, _, loose := strings.Cut(template, "#")
	p.loose = loose
	if p.loose {
		l.warn(n, "path %s has a fragment, which no request has; a call is right when one of those with the same path accepts it", template)
	}
	bare, query, hasQuery := strings.Cut(bare, "?")
	if hasQuery {
		for _, pair := range strings.Split(query, "&") {
			if !strings.Contains(pair, "{") {
				p.fixed = append(p.fixed, pair)
			}
		}
		l.warn(n, "path %s has a query, which belongs into parameters; it is matched against the query", template)
	}
	full := strings.TrimRight(s.path, "/") + bare
	if s.host != nil {
		p.hosts = []hostPattern{*s.host}
	}
	segments := strings.Split(strings.TrimPrefix(full, "/"), "/")
	for _, seg := range segments {
		kind := "s"
		for _, pc := range splitSegment(seg) {
			if !pc.param {
				continue
			}
			kind = "p"
			if values, ok := s.enums[pc.text]; ok {
				p.enums = append(p.enums, serverEnum{len(p.names), values})
			}
			p.names = append(p.names, templateName(pc.text))
		}
		p.kinds += kind
	}
	l.api.router.root.add(segments, p)
}

// templateName is the parameter's name: some documents write {id:[0-9]+},
// {+path} or {path*}.
func templateName(s string) string {
	s, _, _ = strings.Cut(s, ":")
	return strings.Trim(s, "+*")
}

// inTemplate says that a template has the parameter.
func inTemplate(template, name string) bool {
	for _, p := range splitSegment(template) {
		if p.param && (p.text == name || templateName(p.text) == name) {
			return true
		}
	}
	return false
}

func (l *loader) operation(method, template string, n *document.Node, shared []*param) *operation {
	op := &operation{id: n.Get("operationId").Str(), method: method, template: template, at: n.At()}
	op.deprecated = n.Get("deprecated").True()
	own := l.params(n.Get("parameters"), template)
	if l.swagger() {
		l.swaggerBody(op, n, template)
	}
	for _, p := range append(own, shared...) {
		known := false
		for _, have := range op.params {
			known = known || have.name == p.name && have.in == p.in
		}
		if !known {
			op.params = append(op.params, p)
		}
	}
	for _, p := range op.params {
		op.openQuery = op.openQuery || p.in == "query" && p.style == form && p.explode && p.open && p.shape.Object && !p.shape.Primitive && !p.shape.Array
	}
	if rb := n.Get("requestBody"); rb != nil && !l.swagger() {
		op.body = l.body(rb, method)
	}
	op.security = l.security(n)
	return op
}

func (l *loader) body(n *document.Node, method string) *body {
	n = l.deref(n)
	if !n.IsObject() {
		return nil
	}
	b := &body{required: n.Get("required").True(), at: n.At()}
	if l.dialect == jsonschema.OpenAPI30 && (method == "GET" || method == "HEAD" || method == "DELETE") {
		// 3.0 says that a body where HTTP gives it no meaning SHALL be
		// ignored: it may be absent, and one that is there is judged.
		b.required = false
	}
	content := l.deref(n.Get("content"))
	for i, name := range contentKeys(content) {
		b.media = append(b.media, l.media(name, content.Items[i]))
	}
	return b
}

func contentKeys(n *document.Node) []string {
	if !n.IsObject() {
		return nil
	}
	return n.Keys
}

func (l *loader) media(name string, n *document.Node) *media {
	essence, params := parseMediaType(name)
	if essence == "" {
		l.warn(n, "%q is no media type; taken as */*", name)
		essence = "*/*"
	}
	m := &media{name: essence, params: params, at: n.At(), schema: jsonschema.Anything()}
	if n = l.deref(n); n == nil {
		return m
	}
	if s := n.Get("schema"); s != nil {
		m.schema = l.schemas.Compile(s, l.dialect)
	}
	enc := l.deref(n.Get("encoding"))
	for i, name := range contentKeys(enc) {
		if m.encodings == nil {
			m.encodings = map[string]*encoding{}
		}
		m.encodings[name] = l.encoding(enc.Items[i])
	}
	m.declare()
	return m
}

// declare looks the declared properties up once.
func (m *media) declare() {
	m.members = map[string]schemas{}
	for _, name := range m.schema.Names() {
		m.members[name] = m.schema.Member(name)
	}
}

// member is what a property is judged by.
func (m *media) member(name []byte) schemas {
	if s, ok := m.members[string(name)]; ok {
		return s
	}
	return m.schema.Member(string(name))
}

func (l *loader) encoding(n *document.Node) *encoding {
	e := &encoding{style: form}
	for _, t := range strings.Split(n.Get("contentType").Str(), ",") {
		if t = strings.ToLower(strings.TrimSpace(t)); t != "" {
			t, _, _ = strings.Cut(t, ";")
			e.types = append(e.types, strings.TrimSpace(t))
		}
	}
	if s, ok := styleNames[n.Get("style").Str()]; ok {
		e.style, e.styled = s, true
	}
	e.explode = e.style == form
	if x := n.Get("explode"); x != nil {
		e.explode, e.styled = x.True(), true
	}
	headers := n.Get("headers")
	for i, name := range contentKeys(headers) {
		h := l.deref(headers.Items[i])
		if !h.IsObject() || strings.EqualFold(name, "Content-Type") {
			continue
		}
		if p := l.paramValue(&param{name: name, in: "header", at: h.At(), required: h.Get("required").True()}, h); p != nil {
			e.headers = append(e.headers, p)
		}
	}
	return e
}
