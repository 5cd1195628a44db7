package jsonschema

import (
	"strings"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
)

// maxVisits bounds the walks over the nodes of all files.
const maxVisits = 20_000_000

// index finds the schemas of a file that have an $id or an anchor, and notes
// the base URI of everything below an $id.
func (c *Compiler) index(n *document.Node, d Dialect, base string, depth int) {
	// Aliases of YAML can hold each other many times over.
	if c.visits++; n == nil || depth > document.MaxDepth || c.visits > maxVisits {
		return
	}
	if n.IsArray() {
		for _, item := range n.Items {
			c.index(item, d, base, depth+1)
		}
		return
	}
	if !n.IsObject() {
		return
	}
	if base != "" {
		if _, seen := c.bases[n]; seen {
			return
		}
	}
	id := n.Get("$id")
	if d == Draft4 {
		id = n.Get("id")
	}
	if s := id.Str(); s != "" && !d.openAPI() && !(d.refAlone() && n.Get("$ref") != nil) {
		uri, fragment, _ := strings.Cut(s, "#")
		if uri != "" {
			base = document.Join(base, uri)
			c.Set.Declare(base, n)
		}
		if fragment != "" && d <= Draft7 && fragment[0] != '/' {
			c.Set.Declare(base+"#"+fragment, n)
		}
	}
	if !d.openAPI() {
		for _, k := range [...]string{"$anchor", "$dynamicAnchor"} {
			if a := n.Get(k).Str(); a != "" {
				c.Set.Declare(base+"#"+a, n)
				if k == "$dynamicAnchor" {
					c.anchored = append(c.anchored, anchored{a, n, d})
				}
			}
		}
		if n.Get("$recursiveAnchor").True() {
			c.anchored = append(c.anchored, anchored{"", n, d})
		}
		c.dynamics = c.dynamics || n.Get("$dynamicRef") != nil || n.Get("$recursiveRef") != nil
	}
	if base != "" {
		c.bases[n] = base
	}
	for i, k := range n.Keys {
		switch k {
		case "enum", "const", "default", "example", "examples":
			if n.Items[i].Kind != document.Object || k != "examples" && k != "default" {
				continue
			}
			if k == "default" && n.Get("type") != nil {
				continue
			}
		}
		c.index(n.Items[i], d, base, depth+1)
	}
}

// anchors compiles the schemas that a dynamic reference may lead to: which one
// it is, only the instance tells.
func (c *Compiler) anchors() {
	if !c.dynamics {
		return
	}
	for len(c.anchored) > 0 {
		a := c.anchored[0]
		c.anchored = c.anchored[1:]
		c.resourceOf(a.node).anchors[a.name] = c.compile(a.node, a.dialect)
	}
}

type anchored struct {
	name    string
	node    *document.Node
	dialect Dialect
}

var dialectURIs = map[string]Dialect{
	"http://json-schema.org/draft-04/schema":              Draft4,
	"http://json-schema.org/draft-06/schema":              Draft6,
	"http://json-schema.org/draft-07/schema":              Draft7,
	"https://json-schema.org/draft/2019-09/schema":        Draft2019,
	"https://json-schema.org/draft/2020-12/schema":        Draft2020,
	"https://spec.openapis.org/oas/3.1/dialect/base":      Draft2020,
	"https://spec.openapis.org/oas/3.1/schema-base":       Draft2020,
	"https://spec.openapis.org/oas/3.0/schema/2021-09-28": OpenAPI30,
}

// DialectOf reads a $schema; ok is false when it is none that is known.
func DialectOf(uri string) (d Dialect, ok bool) {
	d, ok = dialectURIs[strings.TrimSuffix(strings.Replace(uri, "https://json-schema.org/draft-0", "http://json-schema.org/draft-0", 1), "#")]
	return d, ok
}

// resourceOf is what dynamic anchors are looked up in: the $id that n stands
// under, or its document.
func (c *Compiler) resourceOf(n *document.Node) *resource {
	key := c.bases[n]
	if key == "" && n.File != nil {
		key = "file:" + n.File.Path
	}
	r := c.resources[key]
	if r == nil {
		r = &resource{anchors: map[string]*Schema{}}
		c.resources[key] = r
	}
	return r
}

func (c *Compiler) reference(s *Schema, n *document.Node, d Dialect) {
	ref := n.Get("$ref")
	if ref != nil && ref.Kind == document.String {
		s.ref = c.follow(ref.Text, n, d)
	}
	dyn := n.Get("$dynamicRef")
	if d == Draft2019 {
		dyn = n.Get("$recursiveRef")
	}
	if dyn.Str() == "" || d.refAlone() {
		return
	}
	target := c.follow(dyn.Str(), n, d)
	_, fragment, _ := strings.Cut(dyn.Str(), "#")
	if target == nil {
		return
	}
	node := c.nodeOf(target)
	dynamic := d == Draft2020 && fragment != "" && node.Get("$dynamicAnchor").Str() == fragment ||
		d == Draft2019 && node.Get("$recursiveAnchor").True()
	r := target
	if dynamic {
		r = blank(n)
		r.ref, r.dynamic, r.scoped, r.resource = target, fragment, true, s.resource
		if fragment == "" {
			r.dynamic = recursive
		}
	}
	if s.ref == nil {
		s.ref = r
	} else {
		s.allOf = append(s.allOf, r)
	}
}

// recursive is the dynamic anchor of 2019-09, which has no name.
const recursive = "\x00"

func (c *Compiler) nodeOf(s *Schema) *document.Node {
	for k, v := range c.done {
		if v == s {
			return k.node
		}
	}
	return nil
}

func (c *Compiler) follow(ref string, n *document.Node, d Dialect) *Schema {
	target, err := c.Set.Resolve(ref, n, c.bases[n])
	for hops := 0; err == nil && d.openAPI() && hops < 20 && target.Get("$ref").Str() != "" && len(target.Keys) == 1; hops++ {
		n = target
		target, err = c.Set.Resolve(n.Get("$ref").Str(), n, c.bases[n])
	}
	if err != nil {
		if meta, ok := DialectOf(ref); ok && !meta.openAPI() {
			return c.metaschema(ref, n)
		}
		c.flaw(n, "%v; the schema accepts everything", err)
		return anything
	}
	return c.compile(target, d)
}

// metaschema is a schema that schemas are judged by.
func (c *Compiler) metaschema(uri string, n *document.Node) *Schema {
	meta, err := metaschemaFor(uri)
	if err != nil {
		c.flaw(n, "%v; the schema accepts everything", err)
		return anything
	}
	s := blank(n)
	s.external = func(in *Instance, i int32) bool { return meta.Validate(in.plain(i)) == nil }
	return s
}

// blank is a schema without keywords.
func blank(n *document.Node) *Schema {
	return &Schema{
		at: n.At(), types: typeAny,
		minLen: -1, maxLen: -1, minItems: -1, maxItems: -1, minProps: -1, maxProps: -1, minContains: -1, maxContains: -1,
	}
}

// Declare makes a schema known under a URI, as if it had been fetched there.
func (c *Compiler) Declare(uri string, n *document.Node, d Dialect) {
	if own, ok := DialectOf(n.Get("$schema").Str()); ok {
		d = own
	}
	c.Set.Declare(uri, n)
	c.indexed[n.File] = true
	c.index(n, d, uri, 0)
	c.anchors()
}
