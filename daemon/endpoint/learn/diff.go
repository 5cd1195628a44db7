package learn

import (
	"fmt"
	"sort"

	"github.com/sallyport/sallyport/daemon/endpoint"
)

// Difference is one way in which what was seen is not what is documented.
type Difference struct {
	// Kind is "shadow" (seen, undocumented), "zombie" (deprecated, yet
	// called), "orphan" (documented, never called) or "drift" (a parameter).
	Kind   string `json:"kind"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Detail string `json:"detail,omitempty"`
	Calls  uint64 `json:"calls,omitempty"`
	// Clients is how many distinct clients called.
	Clients int `json:"clients,omitempty"`
}

// Diff compares the operations that were learned with the documented ones.
// calledAtAll lists further operations that too few clients called to be
// learned: they are no orphans. It may be nil.
func Diff(documented *endpoint.Operations, seen []Operation, calledAtAll func(*endpoint.Operation) bool) []Difference {
	var out []Difference
	called := map[*endpoint.Operation]bool{}
	for i := range seen {
		s := &seen[i]
		op := documented.Find(s.Method, []byte(s.Path))
		d := Difference{Method: s.Method, Path: s.Path, Calls: s.Calls, Clients: s.Clients}
		if op == nil {
			d.Kind = "shadow"
			out = append(out, d)
			continue
		}
		called[op] = true
		d.Path = op.Path
		if op.Deprecated {
			d.Kind = "zombie"
			out = append(out, d)
		}
		if s.ParamsUnknown {
			continue
		}
		for _, detail := range drift(op, s) {
			d.Kind, d.Detail = "drift", detail
			out = append(out, d)
		}
	}
	for _, op := range documented.All() {
		if !called[op] && (calledAtAll == nil || !calledAtAll(op)) {
			out = append(out, Difference{Kind: "orphan", Method: op.Method, Path: op.Path})
		}
	}
	rank := map[string]int{"shadow": 0, "zombie": 1, "drift": 2, "orphan": 3}
	sort.SliceStable(out, func(i, j int) bool { return rank[out[i].Kind] < rank[out[j].Kind] })
	return out
}

// drift compares parameters by name. Path parameters are told by their place,
// not by their name, so they do not drift. Of headers and bodies a source may
// know nothing: what is missing is told only where others of the kind were seen.
func drift(op *endpoint.Operation, s *Operation) (out []string) {
	type key struct{ in, name string }
	documented, seen, kinds := map[key]endpoint.Parameter{}, map[key]endpoint.Parameter{}, map[string]bool{"query": true}
	for _, p := range op.Params {
		documented[key{p.In, p.Name}] = p
	}
	for _, p := range s.Params {
		seen[key{p.In, p.Name}] = p
		kinds[p.In] = true
	}
	for _, p := range s.Params {
		if _, ok := documented[key{p.In, p.Name}]; !ok && p.In != "path" {
			out = append(out, fmt.Sprintf("%s %q is sent but not documented", place(p.In), p.Name))
		}
	}
	for _, p := range op.Params {
		if p.In == "path" || p.In == "cookie" || !kinds[p.In] || !p.Required {
			continue
		}
		switch got, ok := seen[key{p.In, p.Name}]; {
		case !ok:
			out = append(out, fmt.Sprintf("%s %q is documented as required but not sent", place(p.In), p.Name))
		case !got.Required:
			out = append(out, fmt.Sprintf("%s %q is documented as required but not always sent", place(p.In), p.Name))
		}
	}
	return out
}

func place(in string) string {
	if in == "body" {
		return "body member"
	}
	return in + " parameter"
}
