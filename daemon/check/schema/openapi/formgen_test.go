package openapi

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
)

// formBody writes a form for the schema, objects and arrays with brackets
// where their encoding says deepObject, else arrays as repeated fields and
// objects as JSON. broken are bodies that each break one thing.
func (c *caller) formBody(media *document.Node) (body string, broken map[string]string, ok bool) {
	schema := c.flat(media.Get("schema"), 0)
	v, isObject := c.value(media.Get("schema"), 0).(*object)
	if !isObject || c.fail != "" {
		return "", nil, false
	}
	broken = map[string]string{}
	fields := map[string][]string{}
	for _, name := range v.keys {
		enc := media.Get("encoding").Get(name)
		deep := enc.Get("style").Str() == "deepObject"
		out, ok := formField(name, v.values[name], deep, 0)
		if !ok {
			if inList(schema.Get("required").Strings(), name) {
				c.fail = "field " + name
				return "", nil, false
			}
			continue
		}
		fields[name] = out
	}
	join := func(leave, add string) string {
		var parts []string
		for _, name := range v.keys {
			if name != leave {
				parts = append(parts, fields[name]...)
			}
		}
		if add != "" {
			parts = append(parts, add)
		}
		return strings.Join(parts, "&")
	}
	for _, name := range v.keys {
		p := c.flat(schema.Get("properties").Get(name), 0)
		switch t := p.Get("type").Str(); {
		case fields[name] == nil || p.Get("enum") != nil:
		case t == "integer" || t == "boolean" || t == "number":
			if p.Get("anyOf") == nil {
				broken["type of "+name] = join(name, url.QueryEscape(name)+"=zz-none")
			}
		}
	}
	for _, name := range schema.Get("required").Strings() {
		broken["without "+name] = join(name, "")
	}
	if schema.Get("additionalProperties").False() {
		broken["unknown field"] = join("", "zz_unknown=1")
	}
	body = join("", "")
	return body, broken, body != ""
}

func inList(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}

func formField(name string, v any, deep bool, depth int) (out []string, ok bool) {
	key := url.QueryEscape(name)
	if s, isText := plainText(v); isText {
		return []string{key + "=" + url.QueryEscape(s)}, s != "" || depth == 0
	}
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			return nil, false
		}
		for i, item := range v {
			one, ok := []string(nil), false
			if deep {
				one, ok = formField(name+"["+strconv.Itoa(i)+"]", item, true, depth+1)
			} else if s, isText := plainText(item); isText {
				one, ok = []string{key + "=" + url.QueryEscape(s)}, true
			}
			if !ok {
				return nil, false
			}
			out = append(out, one...)
		}
		return out, true
	case *object:
		if len(v.keys) == 0 || !deep {
			return nil, false
		}
		for _, k := range v.keys {
			one, ok := formField(name+"["+k+"]", v.values[k], true, depth+1)
			if !ok {
				return nil, false
			}
			out = append(out, one...)
		}
		return out, true
	}
	return nil, false
}
