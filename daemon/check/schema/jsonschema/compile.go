package jsonschema

import (
	"math"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
	"github.com/sallyport/sallyport/daemon/check/schema/pattern"
)

// Compile compiles the schema at a node. It never fails: flaws are reported.
func (c *Compiler) Compile(n *document.Node, d Dialect) *Schema {
	s := c.compile(n, d)
	c.drain()
	return s
}

func (c *Compiler) drain() {
	for len(c.pending) > 0 {
		next := c.pending[len(c.pending)-1]
		c.pending = c.pending[:len(c.pending)-1]
		next()
	}
}

// Anything accepts every value.
func Anything() *Schema { return anything }

var anything = &Schema{always: true, types: typeAny, at: "-"}

func (c *Compiler) compile(n *document.Node, d Dialect) *Schema {
	if n == nil {
		return anything
	}
	if n.File != nil && !c.indexed[n.File] {
		c.indexed[n.File] = true
		c.index(n.File.Root, d, "", 0)
		c.anchors()
	}
	key := schemaKey{n, d}
	if s, ok := c.done[key]; ok {
		return s
	}
	s := blank(n)
	c.done[key] = s
	switch {
	case n.Kind == document.Bool:
		s.always, s.never = n.True(), n.False()
	case n.IsObject():
		// Deep documents are compiled from a list, not by recursion into it.
		c.pending = append(c.pending, func() { c.fill(s, n, d) })
	default:
		c.flaw(n, "a schema is an object or a boolean, not a %s: it accepts everything", n.Kind)
		s.always = true
	}
	return s
}

func (c *Compiler) fill(s *Schema, n *document.Node, d Dialect) {
	if !d.openAPI() {
		if own, ok := DialectOf(n.Get("$schema").Str()); ok {
			d = own
		}
	}
	s.resource = c.resourceOf(n)
	c.reference(s, n, d)
	s.readOnly = n.Get("readOnly").True()
	if s.ref != nil && d.refAlone() {
		s.scoped = true
		return
	}
	c.typeOf(s, n, d)
	c.values(s, n, d)
	c.numbers(s, n, d)
	c.strings(s, n)
	c.arrays(s, n, d)
	c.objects(s, n, d)
	c.combinations(s, n, d)
	s.numeric = s.min != nil || s.max != nil || s.exMin2 != nil || s.exMax2 != nil || s.multipleOf != nil || s.intBounded
	s.textual = s.minLen >= 0 || s.maxLen >= 0 || s.pattern != nil || s.format != nil
	s.listed = s.minItems >= 0 || s.maxItems >= 0 || s.unique || s.prefix != nil || s.items != nil || s.contains != nil || s.unevaluatedItems != nil
	s.memorable = !c.dynamics && (s.ref != nil || s.props != nil || s.listed || s.anyOf != nil || s.oneOf != nil || s.allOf != nil)
	s.scoped = s.ref != nil || len(s.allOf) > 0 || s.resource != nil && c.dynamics
}

var typeNames = map[string]types{
	"null": typeNull, "boolean": typeBool, "number": typeNumber, "integer": typeInteger,
	"string": typeString, "array": typeArray, "object": typeObject,
}

func (c *Compiler) typeOf(s *Schema, n *document.Node, d Dialect) {
	t := n.Get("type")
	if t == nil {
		return
	}
	var names []string
	switch t.Kind {
	case document.String:
		names = []string{t.Text}
	case document.Array:
		names = t.Strings()
	}
	var mask types
	for _, name := range names {
		bit, ok := typeNames[name]
		switch {
		case ok:
			mask |= bit
		case name == "file" && d == Swagger20:
			mask |= typeString
		default:
			c.flaw(t, "no type is named %q; it counts for nothing", name)
			return
		}
	}
	if mask == 0 {
		c.flaw(t, "type is a name or a list of names")
		return
	}
	if d == OpenAPI30 && n.Get("nullable").True() || d == Swagger20 && n.Get("x-nullable").True() {
		mask |= typeNull
		names = append(names, "null")
	}
	s.types, s.typeText = mask, strings.Join(names, " or ")
}

func (c *Compiler) values(s *Schema, n *document.Node, d Dialect) {
	if e := n.Get("enum"); e.IsArray() {
		s.enum = e.Items
		if s.enum == nil {
			s.enum = []*document.Node{}
		}
		if len(e.Items) > 4 {
			s.enumText = map[string]bool{}
			for _, v := range e.Items {
				if v.Kind != document.String {
					s.enumText = nil
					break
				}
				s.enumText[v.Text] = true
			}
		}
		// YAML reads an unquoted yes, 1 or null as no string; where only
		// strings are asked for, the text as it stands is meant.
		if s.types == typeString {
			for i, v := range e.Items {
				if v.Kind == document.Number || v.Kind == document.Bool {
					c.flaw(v, "the enum of a string has the %s %s; read as a string", v.Kind, v.Text)
					text := *v
					text.Kind = document.String
					s.enum = append(append([]*document.Node(nil), s.enum[:i]...), append([]*document.Node{&text}, s.enum[i+1:]...)...)
				}
			}
		}
	}
	if d >= Draft6 && !d.openAPI() {
		s.constant = n.Get("const")
	}
}

func (c *Compiler) numbers(s *Schema, n *document.Node, d Dialect) {
	s.min, s.max = c.decimal(n, "minimum"), c.decimal(n, "maximum")
	s.exMin, s.exMin2 = c.exclusive(n, "exclusiveMinimum", d)
	s.exMax, s.exMax2 = c.exclusive(n, "exclusiveMaximum", d)
	if m := c.decimal(n, "multipleOf"); m != nil {
		if m.sign() <= 0 {
			c.flaw(n.Get("multipleOf"), "multipleOf must be above 0")
		} else {
			s.multipleOf = m
		}
	}
	if s.types&(typeNumber|typeInteger) == 0 {
		return
	}
	switch n.Get("format").Str() {
	case "int8":
		s.intBounded, s.intMin, s.intMax = true, math.MinInt8, math.MaxInt8
	case "int16":
		s.intBounded, s.intMin, s.intMax = true, math.MinInt16, math.MaxInt16
	case "int32":
		s.intBounded, s.intMin, s.intMax = true, math.MinInt32, math.MaxInt32
	case "int64":
		s.intBounded, s.intMin, s.intMax = true, math.MinInt64, math.MaxInt64
	case "uint8":
		s.intBounded, s.intMax = true, math.MaxUint8
	case "uint16":
		s.intBounded, s.intMax = true, math.MaxUint16
	case "uint32":
		s.intBounded, s.intMax = true, math.MaxUint32
	}
}

func (c *Compiler) exclusive(n *document.Node, name string, d Dialect) (bool, *decimal) {
	v := n.Get(name)
	switch {
	case v == nil:
		return false, nil
	case v.Kind == document.Bool:
		if !d.booleanExclusive() {
			c.flaw(v, "%s is a number in this draft; taken as the boolean of older ones", name)
		}
		return v.True(), nil
	case v.Kind == document.Number && d.booleanExclusive():
		c.flaw(v, "%s is a boolean in this draft; taken as the number of newer ones", name)
	}
	return false, c.decimal(n, name)
}

func (c *Compiler) decimal(n *document.Node, name string) *decimal {
	v := n.Get(name)
	if v == nil {
		return nil
	}
	text := v.Text
	if v.Kind != document.Number {
		c.flaw(v, "%s is a number, not a %s", name, v.Kind)
		if v.Kind != document.String || !document.IsNumber(text) {
			return nil
		}
	}
	d := parseDecimal([]byte(text))
	return &d
}

func (c *Compiler) size(n *document.Node, name string) int64 {
	v := n.Get(name)
	if v == nil {
		return -1
	}
	i, ok := v.Int()
	if !ok && v.Kind == document.String && document.IsNumber(v.Text) {
		c.flaw(v, "%s is a number, not a string", name)
		text := document.Node{Kind: document.Number, Text: v.Text}
		i, ok = text.Int()
	} else if !ok && v.Kind == document.Number && !strings.HasPrefix(v.Text, "-") {
		return math.MaxInt64
	}
	if !ok || i < 0 {
		c.flaw(v, "%s is a whole number from 0", name)
		return -1
	}
	return i
}

func (c *Compiler) strings(s *Schema, n *document.Node) {
	s.minLen, s.maxLen = c.size(n, "minLength"), c.size(n, "maxLength")
	if p := n.Get("pattern"); p != nil {
		s.pattern = c.pattern(p, p.Str())
	}
	s.formatName = n.Get("format").Str()
	s.format = formats[s.formatName]
}

func (c *Compiler) pattern(at *document.Node, text string) *pattern.Pattern {
	if p, ok := c.patterns[text]; ok {
		return p
	}
	p, err := pattern.Compile(text)
	if err != nil {
		c.flaw(at, "%v; it counts for nothing", err)
	}
	c.patterns[text] = p
	return p
}

func (c *Compiler) list(n *document.Node, name string, d Dialect) (out []*Schema) {
	v := n.Get(name)
	if v == nil {
		return nil
	}
	if !v.IsArray() || len(v.Items) == 0 {
		c.flaw(v, "%s is a list of schemas", name)
		return nil
	}
	for _, item := range v.Items {
		out = append(out, c.compile(item, d))
	}
	return out
}

func (c *Compiler) sub(n *document.Node, name string, d Dialect) *Schema {
	if v := n.Get(name); v != nil {
		return c.compile(v, d)
	}
	return nil
}

func (c *Compiler) arrays(s *Schema, n *document.Node, d Dialect) {
	s.minItems, s.maxItems = c.size(n, "minItems"), c.size(n, "maxItems")
	s.unique = n.Get("uniqueItems").True()
	items := n.Get("items")
	switch {
	case items.IsArray() && !d.openAPI():
		for _, item := range items.Items {
			s.prefix = append(s.prefix, c.compile(item, d))
		}
		s.items = c.sub(n, "additionalItems", d)
	case items.IsArray():
		c.flaw(items, "items is one schema; the list counts for nothing")
	case items != nil:
		s.items = c.compile(items, d)
	}
	if d.openAPI() {
		return
	}
	if d == Draft2020 && n.Get("prefixItems") != nil {
		s.prefix = c.list(n, "prefixItems", d)
	}
	if d >= Draft6 {
		s.contains, s.containsEvaluates = c.sub(n, "contains", d), d == Draft2020
	}
	if d >= Draft2019 {
		s.minContains, s.maxContains = c.size(n, "minContains"), c.size(n, "maxContains")
		s.unevaluatedItems = c.sub(n, "unevaluatedItems", d)
	}
}

func (c *Compiler) objects(s *Schema, n *document.Node, d Dialect) {
	s.minProps, s.maxProps = c.size(n, "minProperties"), c.size(n, "maxProperties")
	props := n.Get("properties")
	if ref := props.Get("$ref"); ref.Str() != "" { // for all of them at once: not foreseen, but found
		target, err := c.Set.Resolve(ref.Text, props, c.bases[n])
		if err != nil {
			c.flaw(props, "%v; no property is declared", err)
		} else {
			c.flaw(props, "properties is a reference, which is for schemas only; it is followed")
		}
		props = target
	}
	if props != nil && !props.IsObject() {
		c.flaw(props, "properties is an object of schemas")
	}
	if props.IsObject() {
		s.props = make(map[string]property, len(props.Keys))
		for i, k := range props.Keys {
			s.props[k] = property{c.compile(props.Items[i], d), -1, c.readOnlyProperty(props.Items[i], 0)}
		}
	}
	c.required(s, n, props, d)
	switch a := n.Get("additionalProperties"); {
	case a == nil || a.True():
		if a != nil {
			s.additional = anything
		}
	default:
		s.additional = c.compile(a, d)
	}
	if d.openAPI() {
		return
	}
	if pp := n.Get("patternProperties"); pp.IsObject() {
		for i, k := range pp.Keys {
			if p := c.pattern(pp.Items[i], k); p != nil {
				s.patterns = append(s.patterns, patternProperty{p, c.compile(pp.Items[i], d)})
			}
		}
	}
	if d >= Draft6 {
		s.names = c.sub(n, "propertyNames", d)
	}
	if d >= Draft2019 {
		s.unevaluatedProps = c.sub(n, "unevaluatedProperties", d)
		c.dependents(s, n, "dependentRequired", d)
		c.dependents(s, n, "dependentSchemas", d)
	}
	c.dependents(s, n, "dependencies", d)
}

func (c *Compiler) required(s *Schema, n, props *document.Node, d Dialect) {
	r := n.Get("required")
	if r == nil {
		return
	}
	if !r.IsArray() {
		if d == Swagger20 { // a parameter that is its own schema
			return
		}
		if r.Kind != document.Bool {
			c.flaw(r, "required is a list of names")
		} else {
			c.flaw(r, "required is a list of names in the schema around; the boolean counts for nothing")
		}
		return
	}
	for _, name := range r.Strings() {
		if c.requests && s.props[name].readOnly {
			continue
		}
		p, ok := s.props[name]
		if !ok {
			p = property{must: -1}
		}
		if p.must >= 0 {
			continue
		}
		p.must = int32(len(s.required))
		s.required = append(s.required, name)
		if s.props == nil {
			s.props = map[string]property{}
		}
		s.props[name] = p
	}
}

func (c *Compiler) readOnlyProperty(n *document.Node, depth int) bool {
	if n == nil || depth > 10 {
		return false
	}
	if n.Get("readOnly").True() {
		return true
	}
	if ref := n.Get("$ref").Str(); ref != "" {
		if target, err := c.Set.Resolve(ref, n, c.bases[n]); err == nil {
			return c.readOnlyProperty(target, depth+1)
		}
	}
	for _, b := range n.Get("allOf").List() {
		if c.readOnlyProperty(b, depth+1) {
			return true
		}
	}
	return false
}

func (c *Compiler) dependents(s *Schema, n *document.Node, name string, d Dialect) {
	v := n.Get(name)
	if !v.IsObject() {
		return
	}
	if s.dependent == nil {
		s.dependent = map[string]*dependency{}
	}
	for i, k := range v.Keys {
		dep := s.dependent[k]
		if dep == nil {
			dep = &dependency{}
			s.dependent[k] = dep
		}
		if v.Items[i].IsArray() {
			dep.required = append(dep.required, v.Items[i].Strings()...)
			continue
		}
		sub := c.compile(v.Items[i], d)
		if dep.schema != nil {
			both := blank(v)
			both.allOf = []*Schema{dep.schema, sub}
			sub = both
		}
		dep.schema = sub
	}
}

func (c *Compiler) combinations(s *Schema, n *document.Node, d Dialect) {
	s.allOf = append(s.allOf, c.list(n, "allOf", d)...)
	s.anyOf, s.oneOf = c.list(n, "anyOf", d), c.list(n, "oneOf", d)
	s.not = c.sub(n, "not", d)
	if d >= Draft7 && !d.openAPI() {
		if s.cond = c.sub(n, "if", d); s.cond != nil {
			s.then, s.els = c.sub(n, "then", d), c.sub(n, "else", d)
		}
	}
}
