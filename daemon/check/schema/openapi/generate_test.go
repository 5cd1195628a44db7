package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
)

// dice is where a generator's choices come from: rapid in the property tests,
// a seeded source in the counts over large documents.
type dice func(n int) int

// generator makes values that a schema accepts, from the document's text
// alone: it shares nothing with what judges them.
type generator struct {
	set   *document.Set
	roll  dice
	newer bool // 3.1: type lists, const
	fail  string
}

type object struct {
	keys   []string
	values map[string]any
}

func (o *object) set(k string, v any) {
	if _, ok := o.values[k]; !ok {
		o.keys = append(o.keys, k)
	}
	o.values[k] = v
}

func (o *object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, k := range o.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(k)
		value, err := json.Marshal(o.values[k])
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (g *generator) deref(n *document.Node) *document.Node {
	for i := 0; i < 20 && n.Get("$ref").Str() != ""; i++ {
		next, err := g.set.Resolve(n.Get("$ref").Str(), n, "")
		if err != nil {
			g.fail = err.Error()
			return nil
		}
		if g.newer && len(n.Keys) > 1 {
			g.fail = "siblings of $ref"
		}
		n = next
	}
	return n
}

// give notes why a value cannot be made, so that the call is left out.
func (g *generator) give(why string) any { g.fail = why; return nil }

// flat is a schema with its allOf merged in: only where that is simple.
func (g *generator) flat(n *document.Node, depth int) *document.Node {
	n = g.deref(n)
	all := n.Get("allOf")
	if !all.IsArray() || depth > 8 {
		return n
	}
	out := &document.Node{Kind: document.Object}
	props := &document.Node{Kind: document.Object}
	required := &document.Node{Kind: document.Array}
	take := func(from *document.Node) {
		for i, k := range from.Keys {
			switch k {
			case "allOf":
			case "properties":
				for j, name := range from.Items[i].Keys {
					if have := props.Get(name); have != nil && have != from.Items[i].Items[j] {
						g.fail = "a property in two branches of allOf"
					}
					props.Keys, props.Items = append(props.Keys, name), append(props.Items, from.Items[i].Items[j])
				}
			case "required":
				required.Items = append(required.Items, from.Items[i].List()...)
			case "additionalProperties":
				g.fail = "additionalProperties beside allOf"
			default:
				if out.Get(k) != nil && k != "description" && k != "title" && k != "type" && k != "example" {
					g.fail = "a keyword in two branches of allOf"
				}
				out.Keys, out.Items = append(out.Keys, k), append(out.Items, from.Items[i])
			}
		}
	}
	for _, b := range all.Items {
		if b = g.flat(b, depth+1); b == nil {
			return nil
		}
		take(b)
	}
	take(n)
	out.Keys = append(out.Keys, "properties", "required")
	out.Items = append(out.Items, props, required)
	return out
}

func (g *generator) value(n *document.Node, depth int) any {
	if depth > 12 {
		return g.give("too deep")
	}
	n = g.flat(n, 0)
	if n == nil {
		return nil
	}
	if n.Get("not") != nil || n.Get("if") != nil || n.Get("patternProperties") != nil || n.Get("unevaluatedProperties") != nil {
		return g.give("not, if, patternProperties")
	}
	if e := n.Get("enum"); len(e.List()) > 0 {
		return constant(e.Items[g.roll(len(e.Items))])
	}
	if c := n.Get("const"); c != nil && g.newer {
		return constant(c)
	}
	for _, k := range []string{"oneOf", "anyOf"} {
		if list := n.Get(k).List(); len(list) > 0 {
			if k == "oneOf" && !g.disjoint(list) {
				return g.give("oneOf whose branches may overlap")
			}
			if n.Get("properties") != nil || n.Get("required") != nil {
				return g.give("properties beside " + k)
			}
			return g.value(list[g.roll(len(list))], depth+1)
		}
	}
	return g.typed(n, depth)
}

// disjoint says that the branches differ in type.
func (g *generator) disjoint(list []*document.Node) bool {
	seen := map[string]bool{}
	for _, b := range list {
		b = g.deref(b)
		t := b.Get("type").Str()
		if t == "" || seen[t] || t == "integer" && seen["number"] || t == "number" && seen["integer"] || b.Get("nullable").True() {
			return false
		}
		seen[t] = true
	}
	return true
}

func (g *generator) typed(n *document.Node, depth int) any {
	t := n.Get("type").Str()
	if list := n.Get("type").Strings(); len(list) > 0 {
		t = list[g.roll(len(list))]
	}
	if t == "" && n.Get("properties") != nil {
		t = "object"
	}
	if !g.newer && n.Get("nullable").True() && g.roll(10) == 0 {
		return nil
	}
	switch t {
	case "null":
		return nil
	case "boolean":
		return g.roll(2) == 0
	case "integer", "number":
		return g.number(n, t)
	case "string", "file":
		return g.text(n)
	case "array":
		return g.list(n, depth)
	case "object":
		return g.object(n, depth)
	}
	return []any{"any", json.Number("1"), true}[g.roll(3)]
}

func (g *generator) number(n *document.Node, t string) any {
	low, high := -1000.0, 1000.0
	if v := n.Get("minimum"); v != nil {
		low, _ = strconv.ParseFloat(v.Text, 64)
		high = math.Max(high, low+10)
	}
	if v := n.Get("maximum"); v != nil {
		high, _ = strconv.ParseFloat(v.Text, 64)
		low = math.Min(low, high)
		if v := n.Get("minimum"); v != nil {
			low, _ = strconv.ParseFloat(v.Text, 64)
		}
	}
	if n.Get("multipleOf") != nil || n.Get("exclusiveMinimum") != nil || n.Get("exclusiveMaximum") != nil {
		return g.give("multipleOf or exclusive bounds")
	}
	span := math.Min(math.Floor(high)-math.Ceil(low), 1e6)
	if span < 0 {
		return g.give("no whole number fits")
	}
	v := math.Ceil(low) + float64(g.roll(int(span)+1))
	return json.Number(strconv.FormatFloat(v, 'f', -1, 64))
}

func constant(n *document.Node) any {
	switch n.Kind {
	case document.String:
		return n.Text
	case document.Number:
		return json.Number(n.Text)
	case document.Bool:
		return n.True()
	case document.Array:
		out := []any{}
		for _, i := range n.Items {
			out = append(out, constant(i))
		}
		return out
	case document.Object:
		o := &object{values: map[string]any{}}
		for i, k := range n.Keys {
			o.set(k, constant(n.Items[i]))
		}
		return o
	}
	return nil
}

var samples = map[string][]string{
	"date-time": {"2024-02-29T12:00:00Z", "1999-12-31T23:59:59.5+02:00"}, "date": {"2024-02-29"}, "time": {"12:00:00Z"},
	"uuid": {"2eb8aa08-aa98-11ea-b4aa-73b441d16380"}, "email": {"a.b@example.com"}, "uri": {"https://a.example/b?c=d#e"},
	"ipv4": {"192.0.2.1"}, "ipv6": {"2001:db8::1"}, "hostname": {"a.example"}, "uri-reference": {"/a/b"}, "duration": {"P3D"},
	"uri-template": {"/a/{b}"}, "regex": {"^a$"}, "json-pointer": {"/a"},
}

func (g *generator) text(n *document.Node) any {
	if n.Get("pattern") != nil {
		return g.give("pattern")
	}
	if list := samples[n.Get("format").Str()]; list != nil {
		if n.Get("maxLength") != nil || n.Get("minLength") != nil {
			return g.give("format with a length")
		}
		return list[g.roll(len(list))]
	}
	low, high := int64(0), int64(12)
	if v, ok := n.Get("minLength").Int(); ok {
		low, high = v, max(high, v+3)
	}
	if v, ok := n.Get("maxLength").Int(); ok {
		high = min(high, v)
	}
	if high < low || low > 4000 {
		return g.give("no length fits")
	}
	length := low + int64(g.roll(int(high-low)+1))
	letters := []rune("abcXYZ019 -_.é~%&=+,;/?#[]\"\\<>\u4e16\U0001f600")
	var b strings.Builder
	for i := int64(0); i < length; i++ {
		b.WriteRune(letters[g.roll(len(letters))])
	}
	return b.String()
}

func (g *generator) list(n *document.Node, depth int) any {
	low, high := int64(0), int64(3)
	if v, ok := n.Get("minItems").Int(); ok {
		low, high = v, max(high, v)
	}
	if v, ok := n.Get("maxItems").Int(); ok {
		high = min(high, v)
	}
	if n.Get("prefixItems") != nil || n.Get("contains") != nil || low > 50 || high < low {
		return g.give("prefixItems, contains or many items")
	}
	count := low + int64(g.roll(int(high-low)+1))
	out := []any{}
	seen := map[string]bool{}
	for i := int64(0); i < count; i++ {
		var v any
		if items := n.Get("items"); items != nil {
			v = g.value(items, depth+1)
		} else {
			v = "x" + strconv.Itoa(int(i))
		}
		text, _ := json.Marshal(v)
		if n.Get("uniqueItems").True() && seen[string(text)] {
			if int64(len(out)) < low {
				return g.give("unique items ran out")
			}
			continue
		}
		seen[string(text)] = true
		out = append(out, v)
	}
	if int64(len(out)) < low {
		return g.give("unique items ran out")
	}
	return out
}

func (g *generator) object(n *document.Node, depth int) any {
	o := &object{values: map[string]any{}}
	must := map[string]bool{}
	for _, r := range n.Get("required").List() {
		must[r.Str()] = true
	}
	props := n.Get("properties")
	if props.IsObject() {
		for i, name := range props.Keys {
			p := g.deref(props.Items[i])
			if p.Get("readOnly").True() || props.Items[i].Get("readOnly").True() {
				continue
			}
			if !must[name] && (depth > 3 || g.roll(3) > 0) {
				continue
			}
			saved := g.fail
			v := g.value(props.Items[i], depth+1)
			if g.fail != saved && !must[name] {
				g.fail = saved // an optional one that cannot be made is left out
				continue
			}
			o.set(name, v)
		}
	}
	for name := range must {
		if _, ok := o.values[name]; !ok && props.Get(name) == nil {
			if a := n.Get("additionalProperties"); a.IsObject() {
				o.set(name, g.value(a, depth+1))
			} else {
				o.set(name, "extra")
			}
		}
	}
	if a := n.Get("additionalProperties"); a.IsObject() && g.roll(2) == 0 && n.Get("maxProperties") == nil {
		saved := g.fail
		v := g.value(a, depth+1)
		if g.fail == saved {
			o.set("zz"+strconv.Itoa(g.roll(100)), v)
		}
		g.fail = saved
	}
	if v, ok := n.Get("minProperties").Int(); ok && int64(len(o.keys)) < v {
		return g.give("minProperties")
	}
	if v, ok := n.Get("maxProperties").Int(); ok && int64(len(o.keys)) > v {
		return g.give("maxProperties")
	}
	return o
}

// plainText writes a primitive as a parameter has it; ok is false for others.
func plainText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// written serializes a parameter; ok is false when its style cannot carry it.
func written(p, schema *document.Node, v any, in, style string, explode bool) (out string, ok bool) {
	name := p.Get("name").Str()
	if s, ok := plainText(v); ok {
		if s == "" || in == "path" && (s == "." || s == "..") {
			return "", false
		}
		switch {
		case in == "query":
			return escape(name) + "=" + escape(s), true
		case in == "header":
			if strings.TrimSpace(s) != s || !printable(s) {
				return "", false
			}
			return s, true
		case style == "label":
			return "." + escape(s), true
		case style == "matrix":
			return ";" + name + "=" + escape(s), true
		}
		return escape(s), true
	}
	list, isList := v.([]any)
	if !isList || len(list) == 0 {
		return "", false
	}
	var parts []string
	for _, item := range list {
		s, ok := plainText(item)
		if !ok || s == "" || in == "header" && (!printable(s) || strings.Contains(s, ",") || strings.TrimSpace(s) != s) {
			return "", false
		}
		if in != "header" {
			s = escape(s)
		}
		parts = append(parts, s)
	}
	switch {
	case in == "query" && explode && style == "form":
		return escape(name) + "=" + strings.Join(parts, "&"+escape(name)+"="), true
	case in == "query":
		sep, known := map[string]string{"form": ",", "spaceDelimited": "%20", "pipeDelimited": "%7C"}[style]
		return escape(name) + "=" + strings.Join(parts, sep), known
	case style == "simple":
		return strings.Join(parts, ","), true
	}
	return "", false
}

func printable(s string) bool {
	for _, r := range s {
		if r < 0x20 || r > 0x7e {
			return false
		}
	}
	return s != ""
}

var _ = fmt.Sprint
