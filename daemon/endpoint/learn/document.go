package learn

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/daemon/endpoint"
)

// Operation is one operation that counts.
type Operation struct {
	Method  string    `json:"method"`
	Path    string    `json:"path"`    // "/users/{userId}"
	Calls   uint64    `json:"calls"`   // that taught
	Clients int       `json:"clients"` // distinct, an estimate above 16
	First   time.Time `json:"first_seen"`
	Last    time.Time `json:"last_seen"`
	// Params are its parameters, and the members of its bodies' outermost
	// objects (In is "body").
	Params []endpoint.Parameter `json:"parameters,omitempty"`
	// ParamsUnknown says that nothing is known of them.
	ParamsUnknown bool `json:"-"`

	tree object
}

// Result is what was learned.
type Result struct {
	Summary    Summary
	Operations []Operation
	// LeftOut are operations of too few clients, the most used first, as
	// "GET /x (2 clients)".
	LeftOut []string
	// Rare are the operations that were left out, without parameters.
	Rare     []Operation
	document object
}

// maxLeftOut bounds Result.LeftOut and Result.Rare.
const maxLeftOut = 1000

// found is an operation while the document is made.
type found struct {
	method, template string
	op               *operation
	clients          endpoint.Distinct
	calls            uint64
	first, last      time.Time
}

// Result makes the document of what was learned so far.
func (l *Learner) Result() (*Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.book.Fold(l.last)
	l.book.Fold(l.last) // names below folded names
	st := l.book.Stats()
	r := &Result{Summary: l.seen}
	r.Summary.Clients, r.Summary.Evicted, r.Summary.Dropped = st.Clients, st.Evicted, l.dropped
	need := l.o.threshold(st.Clients, false)
	for _, f := range l.gather() {
		switch n := f.clients.Count(); {
		case f.method == "OPTIONS", strings.Contains(f.template, "{rest}"), f.op.ended >= 5 && f.op.failed*10 >= f.op.ended*9:
		case n < need:
			r.Summary.LeftOut++
			if len(r.LeftOut) < maxLeftOut {
				r.Rare = append(r.Rare, Operation{Method: f.method, Path: f.template, Calls: f.calls, Clients: n, First: f.first, Last: f.last})
				r.LeftOut = append(r.LeftOut, fmt.Sprintf("%s %s (%d of %d clients)", f.method, f.template, n, st.Clients))
			}
		default:
			r.Operations = append(r.Operations, l.operation(f))
		}
	}
	r.Operations = withoutHead(r.Operations)
	sort.Slice(r.Operations, func(i, j int) bool {
		a, b := &r.Operations[i], &r.Operations[j]
		if a.Path != b.Path {
			return a.Path < b.Path
		}
		return order(a.Method) < order(b.Method)
	})
	r.Summary.Learned = len(r.Operations)
	r.document = l.document(r, need)
	return r, nil
}

// withoutHead drops HEAD where there is a GET.
func withoutHead(ops []Operation) []Operation {
	get := map[string]bool{}
	for i := range ops {
		get[ops[i].Path] = get[ops[i].Path] || ops[i].Method == "GET"
	}
	var out []Operation
	for i := range ops {
		if ops[i].Method != "HEAD" || !get[ops[i].Path] {
			out = append(out, ops[i])
		}
	}
	return out
}

func order(method string) int {
	return strings.Index("GET HEAD POST PUT PATCH DELETE TRACE", method)
}

// gather collects the operations, those of one method and outline together,
// the ones with most clients first.
func (l *Learner) gather() []*found {
	by := map[string]*found{}
	var all []*found
	l.book.Each(func(e *endpoint.Entry[operation]) {
		if e.Value.params == nil {
			return
		}
		key := e.Method + " " + outline(e.Template)
		f := by[key]
		if f == nil {
			f = &found{method: e.Method, template: e.Template, op: &operation{params: map[paramKey]*profile{}, statuses: map[int]*answer{}}, first: e.First, last: e.Last}
			by[key] = f
			all = append(all, f)
		}
		if e.Template < f.template {
			f.template = e.Template // any, but always the same
		}
		f.calls += e.Count
		f.clients.Merge(&e.Clients)
		if e.First.Before(f.first) {
			f.first = e.First
		}
		if e.Last.After(f.last) {
			f.last = e.Last
		}
		merge(f.op, e.Value.clone())
	})
	sort.Slice(all, func(i, j int) bool {
		a, b := all[i], all[j]
		if x, y := a.clients.Count(), b.clients.Count(); x != y {
			return x > y
		}
		return a.template+a.method < b.template+b.method
	})
	return all
}

func (l *Learner) operation(f *found) Operation {
	s := l.o.scope(&f.op.crowd)
	path, names := named(f.template)
	op := Operation{Method: f.method, Path: path, Calls: f.calls, Clients: f.clients.Count(), First: f.first, Last: f.last}
	op.tree.set("summary", f.method+" "+path)
	if params := l.parameters(f, &s, names, &op); len(params) > 0 {
		op.tree.set("parameters", params)
	}
	if body := l.requestBody(f, &s, &op); body != nil {
		op.tree.set("requestBody", body)
	}
	op.tree.set("responses", responses(f.op.statuses, l.o.threshold(op.Clients, false)))
	if security := security(&s); security != nil {
		op.tree.set("security", security)
	}
	op.tree.set("x-sallyport", object{{"calls", f.calls}, {"clients", op.Clients}, {"first_seen", stamp(f.first)}, {"last_seen", stamp(f.last)}})
	return op
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (l *Learner) parameters(f *found, s *scope, names map[string]string, op *Operation) (out list) {
	keys := make([]paramKey, 0, len(f.op.params))
	for k, p := range f.op.params {
		if k.in == "path" && names[k.name] != "" || k.in != "path" && s.counts(p) {
			keys = append(keys, k)
		}
	}
	for position := range names { // a placeholder without a value seen is a parameter all the same
		if k := (paramKey{"path", position}); f.op.params[k] == nil {
			f.op.params[k] = &profile{}
			keys = append(keys, k)
		}
	}
	place := map[string]int{"path": 0, "query": 1, "header": 2}
	sort.Slice(keys, func(i, j int) bool {
		if a, b := place[keys[i].in], place[keys[j].in]; a != b {
			return a < b
		}
		return keys[i].name < keys[j].name
	})
	for _, k := range keys {
		p := f.op.params[k]
		name, required := k.name, k.in == "path" || s.always(&p.crowd, &f.op.crowd)
		if k.in == "path" {
			name = names[k.name]
		}
		o := object{{"name", name}, {"in", k.in}}
		if required {
			o.set("required", true)
		}
		o.set("schema", s.wire(p, k.in, name))
		o.set("x-sallyport", seen(p))
		out = append(out, o)
		op.Params = append(op.Params, endpoint.Parameter{Name: name, In: k.in, Required: required})
	}
	return out
}

func (l *Learner) requestBody(f *found, s *scope, op *Operation) object {
	var media []string
	for m, sh := range f.op.media {
		if s.counts(&sh.profile) {
			media = append(media, m)
		}
	}
	if len(media) == 0 {
		return nil
	}
	sort.Strings(media)
	var content object
	for _, m := range media {
		sh := f.op.media[m]
		var schema object
		if form := m == "application/x-www-form-urlencoded"; form || m == "application/json" || strings.HasSuffix(m, "+json") {
			schema = s.schema(sh, "", form)
			for name, inner := range sh.members {
				if s.counts(&inner.profile) {
					op.Params = append(op.Params, endpoint.Parameter{Name: name, In: "body", Required: s.always(&inner.crowd, &sh.crowd)})
				}
			}
		}
		content.set(m, object{{"schema", schema}, {"x-sallyport", seen(&sh.profile)}})
	}
	body := object{}
	if s.always(&f.op.bodies, &f.op.crowd) {
		body.set("required", true)
	}
	body.set("content", content)
	return body
}

func responses(statuses map[int]*answer, need int) object {
	var codes []int
	for c, a := range statuses {
		if c >= 100 && c < 400 && a.clients.Count() >= need {
			codes = append(codes, c)
		}
	}
	sort.Ints(codes)
	var o object
	for _, c := range codes {
		o.set(strconv.Itoa(c), object{{"description", fmt.Sprintf("answered %d times", statuses[c].calls)}})
	}
	if len(o) == 0 {
		o.set("default", object{{"description", "the answer is not known"}})
	}
	return o
}

var schemes = []struct {
	kind uint32
	name string
	tree object
}{
	{authBearer, "bearer", object{{"type", "http"}, {"scheme", "bearer"}}},
	{authBasic, "basic", object{{"type", "http"}, {"scheme", "basic"}}},
	{authKey, "key", object{{"type", "apiKey"}, {"in", "header"}, {"name", "X-API-Key"}}},
}

// security are the credentials that calls carry; nil when enough clients
// called without any, or it is not known.
func security(s *scope) list {
	if s.crowd.of(s.crowd, func(w *witness) bool { return w.kinds&(authNone|authUnknown) != 0 }) >= s.need {
		return nil
	}
	var out list
	for _, k := range schemes {
		if s.crowd.of(s.crowd, func(w *witness) bool { return w.kinds&k.kind != 0 }) >= s.need {
			out = append(out, object{{k.name, list{}}})
		}
	}
	return out
}

func (l *Learner) document(r *Result, need int) object {
	var paths object
	for i := range r.Operations {
		op := &r.Operations[i]
		if n := len(paths); n == 0 || paths[n-1].name != op.Path {
			paths.set(op.Path, object{})
		}
		last := &paths[len(paths)-1]
		item := last.value.(object)
		item.set(strings.ToLower(op.Method), op.tree)
		last.value = item
	}
	if paths == nil {
		paths = object{}
	}
	var hosts list
	for _, name := range sortedHosts(l.hosts, need) {
		hosts = append(hosts, name)
	}
	about := object{{"calls", l.seen.Calls - l.seen.Refused}, {"clients", r.Summary.Clients}, {"min_clients", l.o.MinClients}, {"min_share", l.o.MinShare}}
	if !l.first.IsZero() {
		about.set("first_seen", stamp(l.first))
		about.set("last_seen", stamp(l.last))
	}
	if len(hosts) > 0 {
		about.set("hosts", hosts)
	}
	if r.Summary.LeftOut > 0 {
		about.set("left_out", r.Summary.LeftOut)
	}
	doc := object{
		{"openapi", "3.1.0"},
		{"info", object{{"title", l.o.Title}, {"version", l.o.Version}, {"description", "Learned from traffic by sallyport learn. Read it before it is enforced."}, {"x-sallyport", about}}},
		{"paths", paths},
	}
	var used object
	for _, k := range schemes {
		used.set(k.name, k.tree)
	}
	doc.set("components", object{{"securitySchemes", used}})
	return doc
}

func sortedHosts(hosts map[string]*endpoint.Distinct, need int) (out []string) {
	for name, d := range hosts {
		if d.Count() >= need {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

// MarshalJSON is the whole result, for the control socket.
func (r *Result) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Summary    Summary     `json:"summary"`
		Operations []Operation `json:"operations"`
		LeftOut    []string    `json:"left_out"`
		Rare       []Operation `json:"rare"`
		Document   object      `json:"document"`
	}{r.Summary, r.Operations, r.LeftOut, r.Rare, r.document})
}

// UnmarshalJSON reads what MarshalJSON wrote; the document keeps its order.
func (r *Result) UnmarshalJSON(b []byte) error {
	var in struct {
		Summary    Summary         `json:"summary"`
		Operations []Operation     `json:"operations"`
		LeftOut    []string        `json:"left_out"`
		Rare       []Operation     `json:"rare"`
		Document   json.RawMessage `json:"document"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*r = Result{Summary: in.Summary, Operations: in.Operations, LeftOut: in.LeftOut, Rare: in.Rare}
	var n yaml.Node // JSON is YAML, and a node keeps the order of its members
	if err := yaml.Unmarshal(in.Document, &n); err != nil {
		return fmt.Errorf("read the learned document: %w", err)
	}
	if len(n.Content) != 1 {
		return errors.New("read the learned document: nothing there")
	}
	v, err := tree(n.Content[0])
	if err != nil {
		return err
	}
	r.document, _ = v.(object)
	return nil
}

// JSON is the document in JSON.
func (r *Result) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r.document, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the learned document: %w", err)
	}
	return append(b, '\n'), nil
}

// YAML is the document in YAML.
func (r *Result) YAML() ([]byte, error) {
	n, err := node(r.document)
	if err != nil {
		return nil, fmt.Errorf("write the learned document: %w", err)
	}
	b, err := yaml.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("write the learned document: %w", err)
	}
	return b, nil
}

func (p *profile) clone() *profile {
	c := *p
	c.crowd.w = append([]witness(nil), p.crowd.w...)
	c.choices = append([]choice(nil), p.choices...)
	return &c
}

func (s *shape) clone() *shape {
	if s == nil {
		return nil
	}
	c := &shape{profile: *s.profile.clone(), items: s.items.clone(), filled: s.filled.clone()}
	if s.members != nil {
		c.members = make(map[string]*shape, len(s.members))
		for k, m := range s.members {
			c.members[k] = m.clone()
		}
	}
	return c
}

func (op *operation) clone() *operation {
	c := *op
	c.crowd.w = append([]witness(nil), op.crowd.w...)
	c.bodies.w = append([]witness(nil), op.bodies.w...)
	c.params = make(map[paramKey]*profile, len(op.params))
	for k, p := range op.params {
		c.params[k] = p.clone()
	}
	c.media = make(map[string]*shape, len(op.media))
	for k, s := range op.media {
		c.media[k] = s.clone()
	}
	c.statuses = make(map[int]*answer, len(op.statuses))
	for k, a := range op.statuses {
		copied := *a
		c.statuses[k] = &copied
	}
	return &c
}
