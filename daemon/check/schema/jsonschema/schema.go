// Package jsonschema compiles JSON Schemas of drafts 4 to 2020-12, and the
// schemas of OpenAPI and Swagger documents, and judges instances by them.
//
// Schemas are compiled once, into a graph that is then only read. An instance
// is judged by walking both together: the answer is first yes or no, without
// an allocation; only a no is walked again to say why. Numbers are compared
// in decimal, lengths are counted in characters, patterns are ECMA-262's,
// formats are asserted.
//
// A flaw in a schema (a reference that leads nowhere, a pattern that cannot
// be read, a keyword of the wrong type) is reported to Compiler.Flaw and the
// keyword left out, so that a flaw in a part that no call uses hurts nobody.
package jsonschema

import (
	"fmt"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
	"github.com/sallyport/sallyport/daemon/check/schema/pattern"
)

// Dialect is the language that a schema is written in.
type Dialect uint8

// The dialects. Swagger 2.0 is that of OpenAPI 3.0 with x-nullable.
const (
	Draft4 Dialect = iota
	Draft6
	Draft7
	Draft2019
	Draft2020
	OpenAPI30
	Swagger20
)

func (d Dialect) openAPI() bool { return d == OpenAPI30 || d == Swagger20 }

// refAlone says that keywords beside a $ref count for nothing.
func (d Dialect) refAlone() bool { return d <= Draft7 || d.openAPI() }

// booleanExclusive says that exclusiveMinimum is a boolean.
func (d Dialect) booleanExclusive() bool { return d == Draft4 || d.openAPI() }

// types is a set of kinds. A number that is whole has typeInteger as well.
type types uint16

const (
	typeNull types = 1 << iota
	typeBool
	typeNumber
	typeInteger
	typeString
	typeArray
	typeObject
	typeAny = typeNull | typeBool | typeNumber | typeInteger | typeString | typeArray | typeObject
)

// Shape says what a schema can accept: how a parameter's text is to be read.
type Shape struct{ Primitive, Array, Object, Number, Bool, String bool }

// Schema is a compiled schema, safe for concurrent use.
type Schema struct {
	at       string // "file:line:column"
	never    bool
	always   bool // nothing to check at all
	types    types
	typeText string

	enum     []*document.Node
	enumText map[string]bool // when every value is a string
	constant *document.Node

	min, max       *decimal
	exMin, exMax   bool
	exMin2, exMax2 *decimal // as numbers, beside min and max
	multipleOf     *decimal
	minLen, maxLen int64 // -1: none
	pattern        *pattern.Pattern
	format         *format
	formatName     string
	intMin, intMax int64 // of int32 and int64
	intBounded     bool
	minItems       int64
	maxItems       int64
	minProps       int64
	maxProps       int64
	unique         bool
	prefix         []*Schema
	items          *Schema
	contains       *Schema
	// containsEvaluates is so since 2020-12.
	containsEvaluates bool
	minContains       int64
	maxContains       int64
	props             map[string]property
	required          []string
	patterns          []patternProperty
	additional        *Schema
	names             *Schema
	dependent         map[string]*dependency
	allOf             []*Schema
	anyOf             []*Schema
	oneOf             []*Schema
	not               *Schema
	cond, then, els   *Schema
	ref               *Schema
	dynamic           string // the anchor that ref is to be looked up by again
	unevaluatedProps  *Schema
	unevaluatedItems  *Schema

	external func(in *Instance, i int32) bool // of a metaschema

	readOnly bool
	resource *resource
	scoped   bool // validate keeps a frame for it
	// memorable: worth remembering, and the same whatever led to it.
	memorable bool
	numeric   bool // has something to say about numbers
	textual   bool
	listed    bool
	shape     types
	shaped    bool
}

type property struct {
	schema *Schema // nil: required only
	must   int32   // its index in required, or -1
	// readOnly: a client should not send it.
	readOnly bool
}

type patternProperty struct {
	pattern *pattern.Pattern
	schema  *Schema
}

type dependency struct {
	required []string
	schema   *Schema
}

// resource is a schema with a URI of its own, or a whole document.
type resource struct {
	anchors map[string]*Schema // dynamic anchors
}

// At is where the schema stands, "file:line:column".
func (s *Schema) At() string { return s.at }

// Compiler compiles the schemas of one document.
type Compiler struct {
	Set *document.Set
	// Flaw hears of each flaw, with the place it stands at. It may be nil.
	Flaw func(at *document.Node, message string)

	done      map[schemaKey]*Schema
	patterns  map[string]*pattern.Pattern
	bases     map[*document.Node]string
	resources map[string]*resource
	indexed   map[*document.File]bool
	requests  bool
	dynamics  bool
	anchored  []anchored
	visits    int
	pending   []func()
}

type schemaKey struct {
	node    *document.Node
	dialect Dialect
}

// NewCompiler begins with the document set. requests says that instances are
// sent by clients: a required property that is readOnly need not be there
// (OpenAPI 3.0 Schema Object).
func NewCompiler(set *document.Set, requests bool, flaw func(*document.Node, string)) *Compiler {
	return &Compiler{
		Set: set, Flaw: flaw, requests: requests,
		done:      map[schemaKey]*Schema{},
		patterns:  map[string]*pattern.Pattern{},
		bases:     map[*document.Node]string{},
		resources: map[string]*resource{},
		indexed:   map[*document.File]bool{},
	}
}

func (c *Compiler) flaw(n *document.Node, f string, args ...any) {
	if c.Flaw != nil {
		c.Flaw(n, fmt.Sprintf(f, args...))
	}
}

// Shape says what the schema can accept.
func (s *Schema) Shape() Shape {
	t := s.accepts(0)
	return Shape{
		Primitive: t&(typeNull|typeBool|typeNumber|typeInteger|typeString) != 0,
		Array:     t&typeArray != 0,
		Object:    t&typeObject != 0,
		Number:    t&(typeNumber|typeInteger) != 0,
		Bool:      t&typeBool != 0,
		String:    t&typeString != 0,
	}
}

// accepts narrows the types down through references and combinations.
func (s *Schema) accepts(depth int) types {
	if s == nil || depth > 20 {
		return typeAny
	}
	if s.shaped {
		return s.shape
	}
	if s.never {
		return 0
	}
	t := s.types
	if t&typeNumber != 0 {
		t |= typeInteger
	}
	if s.ref != nil {
		t &= s.ref.accepts(depth + 1)
	}
	for _, b := range s.allOf {
		t &= b.accepts(depth + 1)
	}
	for _, list := range [][]*Schema{s.anyOf, s.oneOf} {
		if len(list) == 0 {
			continue
		}
		var any types
		for _, b := range list {
			any |= b.accepts(depth + 1)
		}
		t &= any
	}
	if s.constant != nil {
		t &= typeOf(s.constant)
	}
	if s.enum != nil {
		var any types
		for _, n := range s.enum {
			any |= typeOf(n)
		}
		t &= any
	}
	return t
}

func typeOf(n *document.Node) types {
	switch n.Kind {
	case document.Null:
		return typeNull
	case document.Bool:
		return typeBool
	case document.Number:
		return typeNumber | typeInteger
	case document.String:
		return typeString
	case document.Array:
		return typeArray
	}
	return typeObject
}

// Items is the schema of an array's items, or nil; through references and
// combinations the first that says something.
func (s *Schema) Items() *Schema {
	return s.find(0, func(s *Schema) *Schema { return s.items })
}

// Member collects the schemas that a member of an object is judged by: a
// branch of a combination may add one that does not apply.
func (s *Schema) Member(name string) []*Schema {
	var out []*Schema
	s.members(name, 0, &out)
	return out
}

func (s *Schema) members(name string, depth int, out *[]*Schema) {
	if s == nil || depth > 20 || len(*out) > 32 {
		return
	}
	known := false
	if p, ok := s.props[name]; ok && p.schema != nil {
		*out = append(*out, p.schema)
		known = true
	}
	for _, p := range s.patterns {
		if p.pattern.Match([]byte(name)) {
			*out = append(*out, p.schema)
			known = true
		}
	}
	if !known && s.additional != nil && !s.additional.never {
		*out = append(*out, s.additional)
	}
	s.each(func(b *Schema) { b.members(name, depth+1, out) })
}

// Names collects the declared names of an object's members.
func (s *Schema) Names() []string {
	seen := map[string]bool{}
	var out []string
	var walk func(s *Schema, depth int)
	walk = func(s *Schema, depth int) {
		if s == nil || depth > 20 {
			return
		}
		for name, p := range s.props {
			if p.schema != nil && !seen[name] {
				seen[name] = true
				out = append(out, name)
			}
		}
		s.each(func(b *Schema) { walk(b, depth+1) })
	}
	walk(s, 0)
	return out
}

// Open says that members beyond the declared ones are accepted.
func (s *Schema) Open() bool {
	closed := s.find(0, func(s *Schema) *Schema {
		if s.additional != nil && s.additional.never {
			return s.additional
		}
		if s.unevaluatedProps != nil && s.unevaluatedProps.never {
			return s.unevaluatedProps
		}
		return nil
	})
	return closed == nil
}

func (s *Schema) find(depth int, get func(*Schema) *Schema) *Schema {
	if s == nil || depth > 20 {
		return nil
	}
	if found := get(s); found != nil {
		return found
	}
	var found *Schema
	s.each(func(b *Schema) {
		if found == nil {
			found = b.find(depth+1, get)
		}
	})
	return found
}

// each visits the schemas that judge the same value.
func (s *Schema) each(visit func(*Schema)) {
	if s.ref != nil {
		visit(s.ref)
	}
	for _, list := range [][]*Schema{s.allOf, s.anyOf, s.oneOf} {
		for _, b := range list {
			visit(b)
		}
	}
	if s.then != nil {
		visit(s.then)
	}
	if s.els != nil {
		visit(s.els)
	}
}
