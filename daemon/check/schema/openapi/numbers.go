package openapi

import (
	"strings"

	"github.com/sallyport/sallyport/daemon/check/schema/jsonschema"
	"github.com/sallyport/sallyport/daemon/request"
)

// Texts visits the values of a name in the query, in a form's fields and among
// the top members of a JSON body.
func Texts(r *request.Request, parts Part, name string, visit func(where string, text []byte)) {
	j := judge{}
	if parts&Head != 0 {
		_, _, q := target(r.URI)
		j.pairs, _ = j.split(q, '&', nil, true)
		for i := range j.pairs {
			if string(j.pairs[i].key) == name {
				plain, _ := decode(j.pairs[i].raw, true, &j.buf)
				visit("query:"+name, plain)
			}
		}
	}
	text := BodyBytes(r)
	if parts&Body == 0 || len(text) == 0 {
		return
	}
	for i := range r.Headers {
		if !strings.EqualFold(string(r.Headers[i].Name), "content-type") {
			continue
		}
		switch essence, _ := parseMediaType(string(r.Headers[i].Value)); {
		case essence == "application/x-www-form-urlencoded":
			j.fields, _ = j.split(text, '&', nil, true)
			for k := range j.fields {
				if string(j.fields[k].key) == name {
					plain, _ := decode(j.fields[k].raw, true, &j.buf)
					visit("form:"+name, plain)
				}
			}
		case isJSON(essence):
			var in jsonschema.Instance
			if in.Parse(nil, text) == nil {
				in.TopNumbers(name, func(literal []byte) { visit("json:/"+name, literal) })
			}
		}
		return
	}
}

// MediaType is the essence of the body's content type, "" when there is none.
func MediaType(r *request.Request) string {
	for i := range r.Headers {
		if strings.EqualFold(string(r.Headers[i].Name), "content-type") {
			essence, _ := parseMediaType(string(r.Headers[i].Value))
			return essence
		}
	}
	return ""
}
