package schema

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/schema/document"
	"github.com/sallyport/sallyport/daemon/check/schema/jsonschema"
	"github.com/sallyport/sallyport/daemon/check/schema/openapi"
)

// attached are the schemas of one path.
type attached struct {
	path                       *openapi.Template
	methods                    map[string]bool
	body, query, names, header *jsonschema.Schema
	mode                       mode
}

func newAttached(s Attached, env check.Env, key string) (*attached, error) {
	wrong := func(name string, err error) error { return &check.SettingError{Key: key + name, Err: err} }
	a := &attached{}
	var err error
	if a.mode, err = parseMode(s.Mode); err != nil {
		return nil, wrong("mode", err)
	}
	if a.path, err = openapi.NewTemplate(s.Path); err != nil {
		return nil, wrong("path", err)
	}
	for _, m := range s.Methods {
		if a.methods == nil {
			a.methods = map[string]bool{}
		}
		a.methods[m] = true
	}
	for _, one := range []struct {
		name, file string
		into       **jsonschema.Schema
	}{{"body", s.Body, &a.body}, {"query", s.Query, &a.query}, {"path_parameters", s.PathParameters, &a.names}, {"headers", s.Headers, &a.header}} {
		if one.file == "" {
			continue
		}
		if *one.into, err = compileFile(env.Resolve(one.file)); err != nil {
			return nil, wrong(one.name, err)
		}
	}
	if a.body == nil && a.query == nil && a.names == nil && a.header == nil {
		return nil, wrong("body", errors.New("no schema: expected one of body, query, path_parameters, headers"))
	}
	return a, nil
}

// compileFile reads a schema strictly: a flaw refuses it.
func compileFile(file string) (*jsonschema.Schema, error) {
	set, root, err := document.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read JSON Schema: %w", err)
	}
	d := jsonschema.Draft2020
	if uri := root.Get("$schema"); uri != nil {
		known := false
		if d, known = jsonschema.DialectOf(uri.Str()); !known {
			return nil, fmt.Errorf("%s: $schema %q is none of drafts 4, 6, 7, 2019-09, 2020-12", uri.At(), uri.Str())
		}
	}
	if err := jsonschema.CheckSchema(root, d); err != nil {
		return nil, fmt.Errorf("no JSON Schema: %w", err)
	}
	var flaws []string
	s := jsonschema.NewCompiler(set, false, func(n *document.Node, m string) {
		flaws = append(flaws, n.At()+": "+m)
	}).Compile(root, d)
	if len(flaws) > 0 {
		return nil, errors.New(strings.Join(flaws, "\n"))
	}
	return s, nil
}

var instances = sync.Pool{New: func() any { return &jsonschema.Instance{} }}

func (a *attached) judge(v *check.Visit, parts openapi.Part) {
	if a.mode == off || a.methods != nil && !a.methods[v.Request.Method] {
		return
	}
	values, ok := a.path.Match(v.Request.URI)
	if !ok {
		return
	}
	in := instances.Get().(*jsonschema.Instance)
	defer func() {
		if in.Size() < 1<<14 {
			instances.Put(in)
		}
	}()
	if parts&openapi.Head != 0 {
		if a.names != nil {
			in.Reset()
			in.OpenObject(nil)
			for i, name := range a.path.Names {
				in.Text([]byte(name), values[i])
			}
			in.Close()
			a.hold(v, in, a.names, "param", "path:")
		}
		if a.query != nil {
			in.Reset()
			openapi.QueryObject(in, v.Request.URI, a.query)
			a.hold(v, in, a.query, "param", "query:")
		}
		if a.header != nil {
			in.Reset()
			in.OpenObject(nil)
			for _, h := range v.Request.Headers {
				in.Text(bytes.ToLower(h.Name), h.Value)
			}
			in.Close()
			a.hold(v, in, a.header, "param", "header:")
		}
	}
	if parts&openapi.Body != 0 && a.body != nil {
		a.judgeBody(v, in)
	}
}

func (a *attached) judgeBody(v *check.Visit, in *jsonschema.Instance) {
	text := openapi.BodyBytes(v.Request)
	if len(text) == 0 {
		a.add(v, check.Finding{ID: "body_missing", Where: "body", Message: "body: want JSON, got none", Status: 400})
		return
	}
	in.Reset()
	if err := in.Parse(nil, text); err != nil {
		a.add(v, check.Finding{ID: openapi.ParseID(err), Where: "body", Message: "body: want JSON, " + err.Error(), Status: 400})
		return
	}
	a.hold(v, in, a.body, "body", "json:")
}

func (a *attached) hold(v *check.Visit, in *jsonschema.Instance, s *jsonschema.Schema, prefix, where string) {
	if s.Valid(in) {
		return
	}
	for _, e := range s.Errors(in, 0, 8) {
		pointer := e.Pointer
		if prefix == "param" {
			pointer = strings.TrimPrefix(pointer, "/")
		}
		a.add(v, check.Finding{
			ID: openapi.ErrorID(prefix, e), Where: where + pointer, Excerpt: e.Got, Rule: e.At, Status: 422,
			Message: clip(where+pointer+": want "+e.Want+", got "+e.Got, 300), Detail: "keyword " + e.Keyword,
		})
	}
}

func (a *attached) add(v *check.Visit, f check.Finding) {
	f.Check = Name
	if a.mode == enforce {
		f.Severity, f.Deny = check.High, true
	}
	v.Add(f)
}
