package jsonschema

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"

	v5 "github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
)

// This file alone knows santhosh-tekuri/jsonschema. It holds schemas to the
// metaschemas of their drafts, which that module ships: the schemas that a
// person attaches to routes are refused when they are none, and a $ref to a
// metaschema is judged by it. Instances are judged by the evaluator of this
// package; the module's own decides nothing at run time, and is its oracle in
// the tests.

var metaschemas sync.Map // URI -> *v5.Schema or error

func metaschemaFor(uri string) (*v5.Schema, error) {
	uri = strings.TrimSuffix(uri, "#")
	if m, ok := metaschemas.Load(uri); ok {
		if s, ok := m.(*v5.Schema); ok {
			return s, nil
		}
		return nil, m.(error)
	}
	c := v5.NewCompiler()
	c.LoadURL = nil
	err := c.AddResource("memory:///ref", strings.NewReader(`{"$schema":"https://json-schema.org/draft/2020-12/schema","$ref":"`+uri+`"}`))
	var s *v5.Schema
	if err == nil {
		s, err = c.Compile("memory:///ref")
	}
	if err != nil {
		metaschemas.Store(uri, err)
		return nil, err
	}
	metaschemas.Store(uri, s)
	return s, nil
}

var metaschemaURIs = map[Dialect]string{
	Draft4:    "http://json-schema.org/draft-04/schema",
	Draft6:    "http://json-schema.org/draft-06/schema",
	Draft7:    "http://json-schema.org/draft-07/schema",
	Draft2019: "https://json-schema.org/draft/2019-09/schema",
	Draft2020: "https://json-schema.org/draft/2020-12/schema",
}

// CheckSchema holds a schema to its draft's metaschema. The error names each
// place that is wrong, "file:line:column: what".
func CheckSchema(n *document.Node, d Dialect) error {
	meta, err := metaschemaFor(metaschemaURIs[d])
	if err != nil {
		return err
	}
	var wrong *v5.ValidationError
	if err := meta.Validate(plain(n)); !errors.As(err, &wrong) {
		return err
	}
	var problems []string
	var walk func(e *v5.ValidationError)
	walk = func(e *v5.ValidationError) {
		if len(e.Causes) == 0 && !strings.HasSuffix(e.KeywordLocation, "/format") {
			at, err := n.Pointer(e.InstanceLocation)
			if err != nil {
				at = n
			}
			problems = append(problems, at.At()+": "+e.Message)
		}
		for _, c := range e.Causes {
			walk(c)
		}
	}
	walk(wrong)
	if len(problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problems[:min(len(problems), 8)], "\n"))
}

// plain is a node as encoding/json would decode it.
func plain(n *document.Node) any {
	switch n.Kind {
	case document.Bool:
		return n.True()
	case document.Number:
		return json.Number(n.Text)
	case document.String:
		return n.Text
	case document.Array:
		out := make([]any, len(n.Items))
		for i, item := range n.Items {
			out[i] = plain(item)
		}
		return out
	case document.Object:
		out := make(map[string]any, len(n.Keys))
		for i, k := range n.Keys {
			out[k] = plain(n.Items[i])
		}
		return out
	}
	return nil
}

// plain is a value of the instance as encoding/json would decode it.
func (in *Instance) plain(i int32) any {
	n := &in.nodes[i]
	switch n.kind {
	case kindNull:
		return nil
	case kindBool:
		return n.truth
	case kindNumber:
		return json.Number(n.text)
	case kindArray:
		out := make([]any, 0, n.count)
		for c := i + 1; c < n.end; c = in.nodes[c].end {
			out = append(out, in.plain(c))
		}
		return out
	case kindObject:
		out := make(map[string]any, n.count)
		for c := i + 1; c < n.end; c = in.nodes[c].end {
			out[string(in.nodes[c].key)] = in.plain(c)
		}
		return out
	}
	return string(n.text)
}
