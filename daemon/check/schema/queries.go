package schema

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/schema/openapi"
)

// gqlCall is one query as clients send it (GraphQL over HTTP).
type gqlCall struct {
	Query     string                     `json:"query"`
	Variables map[string]json.RawMessage `json:"variables"`
}

func (g *gqlCall) number(name string) (float64, bool) {
	n, err := strconv.ParseFloat(strings.Trim(string(g.Variables[name]), `"`), 64)
	return n, err == nil
}

// judgeGraphQL holds the queries of a call to their bounds: in the query of a
// GET, in a JSON body alone or as a batch, in a form, or as application/graphql.
func (c *Check) judgeGraphQL(v *check.Visit, parts openapi.Part) {
	if !c.graphql.Serves(v.Request.Path()) {
		return
	}
	var calls []gqlCall
	if parts&openapi.Head != 0 {
		var call gqlCall
		openapi.Texts(v.Request, openapi.Head, "query", func(_ string, text []byte) { call.Query = string(text) })
		openapi.Texts(v.Request, openapi.Head, "variables", func(_ string, text []byte) { _ = json.Unmarshal(text, &call.Variables) })
		if call.Query != "" {
			calls = append(calls, call)
		}
	}
	if parts&openapi.Body != 0 {
		calls = append(calls, bodyCalls(v)...)
	}
	if one := c.graphql.Batch(len(calls)); one != nil {
		add(v, one.ID, one.Want, one.Got)
		return
	}
	for i := range calls {
		for _, one := range c.graphql.Judge(calls[i].Query, calls[i].number) {
			add(v, one.ID, one.Want, one.Got)
		}
	}
}

func add(v *check.Visit, id, want, got string) {
	status := 422
	if id == "graphql_malformed" {
		status = 400
	}
	v.Add(check.Finding{
		Check: Name, ID: id, Where: "graphql:query", Severity: check.High, Deny: true, Status: status,
		Message: "query: want " + want + ", got " + got, Excerpt: got,
	})
}

func bodyCalls(v *check.Visit) (calls []gqlCall) {
	text := openapi.BodyBytes(v.Request)
	if len(text) == 0 {
		return nil
	}
	switch openapi.MediaType(v.Request) {
	case "application/graphql":
		return []gqlCall{{Query: string(text)}}
	case "application/x-www-form-urlencoded":
		var call gqlCall
		openapi.Texts(v.Request, openapi.Body, "query", func(_ string, t []byte) { call.Query = string(t) })
		openapi.Texts(v.Request, openapi.Body, "variables", func(_ string, t []byte) { _ = json.Unmarshal(t, &call.Variables) })
		return []gqlCall{call}
	}
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		_ = json.Unmarshal(text, &calls)
	} else {
		var call gqlCall
		if json.Unmarshal(text, &call) == nil {
			calls = append(calls, call)
		}
	}
	kept := calls[:0]
	for _, call := range calls {
		if call.Query != "" { // a persisted query sends its hash alone
			kept = append(kept, call)
		}
	}
	return kept
}
