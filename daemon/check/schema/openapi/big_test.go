package openapi

import (
	"encoding/json"
	"math/rand"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
	"github.com/sallyport/sallyport/daemon/request"
)

// fixturesDir holds large public documents; `make schema-fixtures` fetches
// them.
func fixturesDir(t testing.TB) string {
	if testing.Short() {
		t.Skip("large documents are left out of short runs")
	}
	dir := os.Getenv("SALLYPORT_OPENAPI_FIXTURES")
	for up := "."; dir == "" && len(up) < 40; up += "/.." {
		if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
			dir = filepath.Join(up, ".cache/fixtures/openapi")
		}
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no large documents here: run `make schema-fixtures`, or name their folder in SALLYPORT_OPENAPI_FIXTURES")
	}
	return dir
}

// made is a call that a generator made, and what is wrong with it ("" for
// nothing).
type made struct {
	method, uri, body, kind string
	headers                 [][2]string
	wrong                   string
}

func (m *made) request() *request.Request {
	r := request.Get()
	r.Method, r.URI = m.method, []byte(m.uri)
	for _, h := range m.headers {
		r.Headers = append(r.Headers, request.Header{Name: []byte(h[0]), Value: []byte(h[1])})
	}
	if m.body != "" {
		r.Headers = append(r.Headers, request.Header{Name: []byte("Content-Type"), Value: []byte(m.kind)})
		r.Body = request.Body{Present: true, Bytes: []byte(m.body), Length: int64(len(m.body))}
	}
	return r
}

// caller makes calls of one document.
type caller struct {
	generator
	root    *document.Node
	base    string
	anyType bool // the body may be of any media type

	brokenForms map[string]string
}

// call makes a valid call of an operation and some that each break one thing;
// nil when the operation asks for something that cannot be made.
func (c *caller) call(template string, item, op *document.Node, method string) []made {
	c.fail, c.anyType, c.brokenForms = "", false, nil
	m := made{method: strings.ToUpper(method)}
	path := template
	var query []string
	var bad []made
	params := append(append([]*document.Node(nil), op.Get("parameters").List()...), item.Get("parameters").List()...)
	type broken struct{ where, name, text string }
	var wrongs []broken
	swagger := c.root.Get("swagger") != nil
	seen := map[string]bool{}
	var bodyParam *document.Node
	for _, p := range params {
		p = c.deref(p)
		in, name := p.Get("in").Str(), p.Get("name").Str()
		if seen[in+name] {
			continue
		}
		seen[in+name] = true
		schema := p.Get("schema")
		if swagger && in != "body" {
			schema = p
		}
		switch in {
		case "body":
			bodyParam = p
			continue
		case "formData":
			return nil
		}
		if in != "path" && !p.Get("required").True() && (in == "cookie" || c.roll(2) == 0) {
			continue
		}
		if schema == nil || in == "cookie" {
			c.fail = "cookie or content"
			return nil
		}
		style, explode := "form", true
		if in != "query" {
			style, explode = "simple", false
		}
		if s := p.Get("style").Str(); s != "" {
			style, explode = s, s == "form"
		}
		if x := p.Get("explode"); x != nil {
			explode = x.True()
		}
		if swagger {
			explode = p.Get("collectionFormat").Str() == "multi"
		}
		saved := c.fail
		v := c.value(schema, 6)
		text, ok := written(p, schema, v, in, style, explode)
		if c.fail != saved || !ok {
			c.fail = saved
			if p.Get("required").True() || in == "path" {
				c.fail = "parameter " + name
				return nil
			}
			continue
		}
		flat := c.flat(schema, 0)
		switch t := flat.Get("type").Str(); {
		case t == "integer" || t == "number" || t == "boolean":
			if flat.Get("enum") == nil {
				wrongs = append(wrongs, broken{in, name, "zz-none"})
			}
		case len(flat.Get("enum").List()) > 0 && t == "string":
			wrongs = append(wrongs, broken{in, name, "zz-not-listed"})
		}
		switch in {
		case "path":
			path = strings.ReplaceAll(path, "{"+name+"}", text)
		case "query":
			query = append(query, text)
			if p.Get("required").True() {
				wrongs = append(wrongs, broken{in, name, ""})
			}
		case "header":
			switch strings.ToLower(name) {
			case "accept", "content-type", "authorization":
			default:
				m.headers = append(m.headers, [2]string{name, text})
			}
		}
	}
	if strings.Contains(path, "{") {
		return nil
	}
	schema := c.body(&m, op, bodyParam)
	if c.fail != "" {
		return nil
	}
	creds, known := c.credentials(op)
	if !known {
		return nil
	}
	m.headers = append(m.headers, creds.headers...)
	query = append(query, creds.query...)
	m.uri = c.base + path
	if len(query) > 0 {
		m.uri += "?" + strings.Join(query, "&")
	}
	bad = append(bad, m)
	breakOne := func(why string, change func(*made)) {
		b := m
		b.headers = append([][2]string(nil), m.headers...)
		b.wrong = why
		change(&b)
		bad = append(bad, b)
	}
	breakOne("unknown path", func(b *made) { b.uri = c.base + path + strings.Repeat("/zz-unknown", 12) })
	if len(creds.headers)+len(creds.query) > 0 {
		breakOne("no credential", func(b *made) {
			b.headers = b.headers[:len(b.headers)-len(creds.headers)]
			b.uri = c.base + path
			if q := query[:len(query)-len(creds.query)]; len(q) > 0 {
				b.uri += "?" + strings.Join(q, "&")
			}
		})
	}
	for _, w := range wrongs {
		if w.where != "query" {
			continue
		}
		breakOne("query "+w.name+" "+w.text, func(b *made) {
			var q []string
			for _, one := range query {
				if !strings.HasPrefix(one, escape(w.name)+"=") {
					q = append(q, one)
				}
			}
			if w.text != "" {
				q = append(q, escape(w.name)+"="+w.text)
			}
			b.uri = c.base + path + "?" + strings.Join(q, "&")
		})
	}
	for why, body := range c.brokenForms {
		if body != "" {
			breakOne("form "+why, func(b *made) { b.body = body })
		}
	}
	if m.body != "" && c.brokenForms == nil {
		if !c.anyType {
			breakOne("media type", func(b *made) { b.kind = "application/x-zz" })
		}
		if len(m.body) > 1 && m.body[len(m.body)-1] > '9' {
			breakOne("cut short", func(b *made) { b.body = b.body[:len(b.body)-1] })
		}
		flat := c.flat(schema, 0)
		for _, r := range flat.Get("required").Strings() {
			p := flat.Get("properties").Get(r)
			if p == nil || c.deref(p).Get("readOnly").True() {
				continue
			}
			breakOne("without "+r, func(b *made) {
				var all map[string]json.RawMessage
				_ = json.Unmarshal([]byte(m.body), &all)
				delete(all, r)
				text, _ := json.Marshal(all)
				b.body = string(text)
			})
		}
		if flat.Get("type").Str() == "object" && flat.Get("oneOf") == nil && !(flat.Get("nullable").True()) {
			breakOne("null", func(b *made) { b.body = "null" })
			breakOne("a string", func(b *made) { b.body = `"zz"` })
		}
	}
	return bad
}

func (c *caller) body(m *made, op, bodyParam *document.Node) *document.Node {
	var schema *document.Node
	m.kind = "application/json"
	switch {
	case bodyParam != nil:
		schema = bodyParam.Get("schema")
		kinds := op.Get("consumes")
		if kinds == nil {
			kinds = c.root.Get("consumes")
		}
		c.anyType = len(kinds.Strings()) == 0
		for _, k := range kinds.Strings() {
			c.anyType = c.anyType || k == "*/*"
			if k == "*/*" || k == m.kind {
				kinds = nil
				break
			}
		}
		if kinds != nil {
			c.fail = "no JSON"
			return nil
		}
	case op.Get("requestBody") != nil:
		rb := c.deref(op.Get("requestBody"))
		media := rb.Get("content").Get("application/json")
		if form := rb.Get("content").Get("application/x-www-form-urlencoded"); media == nil && form != nil && m.method != "GET" && m.method != "DELETE" {
			body, broken, ok := c.formBody(form)
			if !ok {
				c.fail = "form"
				if !rb.Get("required").True() {
					c.fail = ""
				}
				return nil
			}
			m.kind, m.body, c.brokenForms = "application/x-www-form-urlencoded", body, broken
			return nil
		}
		if media == nil {
			if rb.Get("required").True() {
				c.fail = "no JSON"
			}
			return nil
		}
		schema = media.Get("schema")
	}
	if schema == nil || m.method == "GET" || m.method == "HEAD" {
		return nil
	}
	v := c.value(schema, 0)
	text, err := json.Marshal(v)
	if err != nil {
		c.fail = err.Error()
	}
	m.body = string(text)
	return schema
}

type creds struct {
	headers [][2]string
	query   []string
}

func (c *caller) credentials(op *document.Node) (out creds, known bool) {
	s := op.Get("security")
	if s == nil {
		s = c.root.Get("security")
	}
	if len(s.List()) == 0 || len(s.Items[0].Keys) == 0 {
		return out, true
	}
	schemes := c.root.Get("components").Get("securitySchemes")
	if schemes == nil {
		schemes = c.root.Get("securityDefinitions")
	}
	for _, alt := range s.Items {
		if len(alt.Keys) == 0 {
			return out, true
		}
	}
	for _, name := range s.Items[0].Keys {
		d := c.deref(schemes.Get(name))
		switch {
		case d.Get("type").Str() == "apiKey" && d.Get("in").Str() == "header":
			out.headers = append(out.headers, [2]string{d.Get("name").Str(), "k1"})
		case d.Get("type").Str() == "apiKey" && d.Get("in").Str() == "query":
			out.query = append(out.query, d.Get("name").Str()+"=k1")
		case d.Get("scheme").Str() == "basic" || d.Get("type").Str() == "basic":
			out.headers = append(out.headers, [2]string{"Authorization", "Basic dTpw"})
		case d.Get("scheme").Str() == "bearer", d.Get("type").Str() == "oauth2", d.Get("type").Str() == "openIdConnect":
			out.headers = append(out.headers, [2]string{"Authorization", "Bearer t1"})
		default:
			return out, false
		}
	}
	return out, true
}

func newCaller(t testing.TB, file string) (*caller, *API) {
	set, root, err := document.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Load(file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{root: root}
	c.set = set
	c.newer = strings.HasPrefix(a.Version, "3.1")
	l := &loader{api: &API{}, set: set, root: root, seen: map[string]bool{}, dialect: 0}
	if root.Get("swagger") != nil {
		c.base = strings.TrimSuffix(root.Get("basePath").Str(), "/")
	} else {
		c.base = strings.TrimSuffix(l.serverList(root.Get("servers"))[0].path, "/")
	}
	return c, a
}

func TestLargeDocumentsJudgeGeneratedCallsRightly(t *testing.T) {
	dir := fixturesDir(t)
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	sort.Strings(files)
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.IsDir() {
			continue
		}
		c, a := newCaller(t, f)
		rng := rand.New(rand.NewSource(1))
		c.roll = rng.Intn
		valid, invalid, rejects, accepts, left, reached := 0, 0, 0, 0, 0, 0
		paths := c.root.Get("paths")
		for i, template := range paths.Keys {
			item := c.deref(paths.Items[i])
			for _, method := range methods {
				op := c.deref(item.Get(method))
				if op == nil {
					continue
				}
				some := false
				for round := 0; round < 3; round++ {
					calls := c.call(template, item, op, method)
					if calls == nil {
						left++
						continue
					}
					some = true
					for k := range calls {
						got := definite(a.Judge(calls[k].request(), Head|Body, nil))
						switch {
						case calls[k].wrong == "":
							valid++
							if len(got) > 0 {
								if rejects++; rejects <= 8 {
									t.Logf("false reject: %s %s %s: %+v", calls[k].method, calls[k].uri, clip([]byte(calls[k].body)), got[0])
								}
							}
						default:
							invalid++
							if len(got) == 0 {
								if accepts++; accepts <= 8 {
									t.Logf("false accept: %s: %s %s %s", calls[k].wrong, calls[k].method, calls[k].uri, calls[k].body[:min(300, len(calls[k].body))])
								}
							}
						}
					}
				}
				if some {
					reached++
				}
			}
		}
		t.Logf("%s: %d operations, %d reached (%d draws left out): %d valid calls, %d false rejects; %d invalid, %d false accepts; %d warnings",
			filepath.Base(f), a.Operations, reached, left, valid, rejects, invalid, accepts, len(a.Warnings))
		if rejects+accepts > 0 {
			t.Errorf("%s: %d false rejects, %d false accepts", filepath.Base(f), rejects, accepts)
		}
	}
}

func TestGeneratedCallsOfTheSharedDocuments(t *testing.T) {
	dir := filepath.Join(sharedDir(t), "documents")
	for _, name := range []string{"petstore.yaml", "museum.yaml", "resend.json"} {
		c, a := newCaller(t, filepath.Join(dir, name))
		paths := c.root.Get("paths")
		type place struct {
			i      int
			method string
		}
		var places []place
		for i := range paths.Keys {
			for _, m := range methods {
				if c.deref(paths.Items[i]).Get(m) != nil {
					places = append(places, place{i, m})
				}
			}
		}
		rapid.Check(t, func(rt *rapid.T) {
			c.roll = func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "roll") }
			at := places[c.roll(len(places))]
			item := c.deref(paths.Items[at.i])
			op := c.deref(item.Get(at.method))
			for _, m := range c.call(paths.Keys[at.i], item, op, at.method) {
				got := definite(a.Judge(m.request(), Head|Body, nil))
				if (len(got) == 0) != (m.wrong == "") {
					rt.Fatalf("%s: %s %s %s: wrong %q, judged %+v", name, m.method, m.uri, m.body, m.wrong, got)
				}
			}
		})
	}
}

// Every file of other projects' tests that says it is an OpenAPI 3 or Swagger
// 2.0 document loads, whatever is wrong in it.
func TestDocumentsThatOthersTestWithLoad(t *testing.T) {
	dir := filepath.Join(filepath.Dir(fixturesDir(t)), "openapi-many")
	says := regexp.MustCompile(`(?m)^[ {]*"?(openapi|swagger)"? *: *["']?(2\.0|3(\.\d)?(\.\d)?)["']?,?\r?$`)
	loaded, warnings := 0, 0
	_ = filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		if text, err := os.ReadFile(p); err != nil || !says.Match(text) {
			return nil
		}
		a, err := Load(p, Options{})
		if err != nil {
			t.Errorf("%v", err)
			return nil
		}
		loaded++
		warnings += len(a.Warnings)
		return nil
	})
	if loaded == 0 {
		t.Skip("no such documents here: run `make schema-fixtures`")
	}
	t.Logf("%d documents loaded, %d flaws told", loaded, warnings)
}
