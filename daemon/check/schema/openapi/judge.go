package openapi

import (
	"bytes"
	"strconv"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/daemon/check/schema/jsonschema"
	"github.com/sallyport/sallyport/daemon/request"
)

// Violation is one way in which a request is not as documented.
type Violation struct {
	// ID is stable: "unknown_path", "param_type", "body_required", ...
	ID string
	// Where is the value it is about: "query:limit", "json:/user/name".
	Where string
	// Want and Got say what was expected and what came; Got is cut.
	Want, Got string
	// At is the place in the document that asks for it, "file:line:column".
	At string
	// Keyword is the schema's keyword, if one failed.
	Keyword string
	// Status is the HTTP status that answers it best.
	Status int
	// Operation is "GET /users/{id}", once the operation is known.
	Operation, OperationID string
	// Open says that the specification leaves the question open: a strict
	// reader objects, others do not.
	Open bool
}

// Part says what of a request is to be judged.
type Part uint8

// The parts. A request is judged whole or in two visits.
const (
	Head Part = 1 << iota // path, method, parameters, credentials
	Body
)

// Bounds of one judgement. What lies beyond is a violation.
const (
	MaxPairs      = 1000 // parameters in a query, a form or the cookies
	MaxParts      = 1000 // parts of a multipart body
	MaxDepth      = 16   // brackets of a deepObject name
	maxViolations = 8    // of one parameter or body
)

// judge is the state of one judgement.
type judge struct {
	api  *API
	r    *request.Request
	out  []Violation
	op   *operation
	text string // "GET /users/{id}"

	buf        []byte
	segments   [][]byte
	look       lookup
	query      []byte
	pairs      []pair
	cookieJar  []pair
	jarRead    bool
	in         jsonschema.Instance
	fields     []pair
	tree       []entry
	lenient    bool // delimiters may be percent-encoded
	anyHost    bool
	pairsOver  bool
	fieldsOver bool
}

// pair is a name with its value: in a query, a form, the cookies.
type pair struct {
	key  []byte // decoded
	raw  []byte // the value as sent
	used bool
	bad  bool // a malformed escape in the name
}

var judges = sync.Pool{New: func() any { return &judge{} }}

// Judge adds what is wrong with a request to out.
func (a *API) Judge(r *request.Request, parts Part, out []Violation) []Violation {
	j := a.begin(r, out)
	j.run(parts)
	out = j.out
	j.end()
	return out
}

// Documents says that the request's path is one of the document's.
func (a *API) Documents(r *request.Request) bool {
	j := a.begin(r, nil)
	defer j.end()
	return len(j.route()) > 0
}

func (a *API) begin(r *request.Request, out []Violation) *judge {
	j := judges.Get().(*judge)
	j.api, j.r, j.out, j.op, j.text = a, r, out, nil, ""
	j.buf, j.segments, j.pairs, j.cookieJar, j.fields = j.buf[:0], j.segments[:0], j.pairs[:0], j.cookieJar[:0], j.fields[:0]
	j.jarRead, j.pairsOver, j.fieldsOver, j.query, j.look.greedy, j.anyHost = false, false, false, nil, false, false
	return j
}

// end gives the judge back, unless one request has made it large.
func (j *judge) end() {
	j.api, j.r, j.out, j.op = nil, nil, nil, nil
	if cap(j.buf) < 1<<16 && j.in.Size() < 1<<14 {
		judges.Put(j)
	}
}

func (j *judge) add(v Violation) {
	v.Operation = j.text
	if j.op != nil {
		v.OperationID = j.op.id
	}
	j.out = append(j.out, v)
}

func (j *judge) run(parts Part) {
	matches := j.route()
	if preflight(j.r) {
		return
	}
	if len(matches) == 0 {
		if j.anyHost = true; parts&Head != 0 && j.api.options.MatchHost && len(j.route()) > 0 {
			j.add(Violation{ID: "unknown_path", Where: "header:host", Want: "a host of the document's servers", Got: clip(j.host()), At: j.api.Name, Status: 404})
			return
		}
		if parts&Head != 0 {
			_, p, _ := target(j.r.URI)
			j.add(Violation{ID: "unknown_path", Where: "path", Want: "a documented path", Got: clip(p), At: j.api.Name, Status: 404})
		}
		return
	}
	chosen := -1
	for i, m := range matches {
		if j.method(m.path) != nil {
			chosen = i
			break
		}
	}
	if chosen < 0 {
		if parts&Head != 0 {
			p := matches[0].path
			j.text = p.template
			j.add(Violation{ID: "unknown_method", Where: "method", Want: allowed(p), Got: clip([]byte(j.r.Method)), At: p.at, Status: 405})
		}
		return
	}
	if j.method(matches[chosen].path).unknown {
		return
	}
	j.readQuery()
	j.judgeMatches(matches[chosen:], parts)
}

func (j *judge) judgeMatches(matches []match, parts Part) {
	mark := len(j.out)
	j.pick(matches, parts)
	if parts&Head != 0 {
		j.head()
	}
	if parts&Body != 0 {
		j.body()
	}
	if !matches[0].path.loose && (len(matches) == 1 || !matches[1].path.loose) {
		return
	}
	for i, m := range matches[1:] { // templates that differ by a fragment alone
		if !wrong(j.out[mark:]) || j.method(m.path) == nil {
			break
		}
		first := append([]Violation(nil), j.out[mark:]...)
		j.out = j.out[:mark]
		for k := range j.pairs {
			j.pairs[k].used = false
		}
		j.judgeMatches(matches[i+1:i+2], parts)
		if wrong(j.out[mark:]) {
			j.out = append(j.out[:mark], first...)
		}
	}
}

// wrong says that something definite is among the violations.
func wrong(all []Violation) bool {
	for i := range all {
		if !all[i].Open {
			return true
		}
	}
	return false
}

// pick takes the first match, unless its path parameters do not fit and those
// of a later one do.
func (j *judge) pick(matches []match, parts Part) {
	if parts&Head == 0 { // what the path holds was judged before
		mark := len(j.out)
		defer func() { j.out = j.out[:mark] }()
	}
	mark := len(j.out)
	first := matches[0]
	for _, m := range matches {
		op := j.method(m.path)
		if op == nil {
			continue
		}
		j.take(op)
		j.pathParams(m)
		if len(j.out) == mark {
			return
		}
		j.out = j.out[:mark]
	}
	if j.look.split && !j.look.greedy {
		j.look.greedy = true
		if again := j.route(); len(again) > 0 && j.method(again[0].path) != nil {
			j.pick(again, Head)
			return
		}
	}
	j.take(j.method(first.path))
	j.pathParams(first)
}

func (j *judge) take(op *operation) {
	j.op, j.text = op, op.method+" "+op.template
}

// route looks the path up, with the host where that counts.
func (j *judge) route() []match {
	_, p, q := target(j.r.URI)
	j.query = q
	p = normalize(p, &j.buf)
	segments, ok := splitPath(p, j.segments[:0])
	j.segments = segments
	greedy := j.look.greedy
	j.look = lookup{segments: segments, values: j.look.values[:0], found: j.look.found[:0], greedy: greedy && j.op != nil}
	if !ok {
		return nil
	}
	j.look.walk(j.api.router.root, 0)
	found := j.look.found[:0]
	for _, m := range j.look.found {
		// Of the templates that fit, the most concrete are meant.
		if j.hostOK(m.path) && enumsOK(m) && j.fixedOK(m.path) && (len(found) == 0 || m.path.kinds == found[0].path.kinds) {
			found = append(found, m)
		}
	}
	return found
}

// fixedOK holds a template that has a query in it to that query.
func (j *judge) fixedOK(p *path) bool {
	for _, want := range p.fixed {
		found := false
		for rest := j.query; len(rest) > 0 && !found; {
			var one []byte
			one, rest, _ = bytes.Cut(rest, []byte("&"))
			found = string(one) == want || !strings.Contains(want, "=") && bytes.HasPrefix(one, []byte(want+"="))
		}
		if !found {
			return false
		}
	}
	return true
}

func enumsOK(m match) bool {
	for _, e := range m.path.enums {
		if e.value >= len(m.values) || !e.values[string(m.values[e.value])] {
			return false
		}
	}
	return true
}

func (j *judge) hostOK(p *path) bool {
	if !j.api.options.MatchHost || j.anyHost || len(p.hosts) == 0 {
		return true
	}
	host := j.host()
	if len(host) == 0 {
		return true
	}
	for i := range p.hosts {
		if p.hosts[i].match(host) {
			return true
		}
	}
	return false
}

// host is the request's host without its port.
func (j *judge) host() []byte {
	host := j.r.Host
	if len(host) == 0 {
		host = j.r.Header("host")
	}
	if i := bytes.LastIndexByte(host, ':'); i > 0 && bytes.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	return host
}

// method finds the operation; HEAD of a documented GET is that GET (RFC 9110
// section 9.3.2).
func (j *judge) method(p *path) *operation {
	if op := p.ops[j.r.Method]; op != nil {
		return op
	}
	if j.r.Method == "HEAD" {
		return p.ops["GET"]
	}
	return nil
}

func allowed(p *path) string {
	var names []string
	for _, m := range methods {
		if p.ops[strings.ToUpper(m)] != nil {
			names = append(names, strings.ToUpper(m))
		}
	}
	return strings.Join(names, ", ")
}

// preflight says that a browser asks whether it may call (Fetch standard,
// CORS-preflight request).
func preflight(r *request.Request) bool {
	if r.Method != "OPTIONS" {
		return false
	}
	origin, method := false, false
	for _, h := range r.Headers {
		origin = origin || strings.EqualFold(string(h.Name), "origin")
		method = method || strings.EqualFold(string(h.Name), "access-control-request-method")
	}
	return origin && method
}

func (j *judge) head() {
	if j.op.deprecated {
		j.add(Violation{ID: "deprecated", Where: "path", Want: "another operation", Got: "one that the document calls deprecated", At: j.op.at, Status: 410, Open: true})
	}
	if want, missing := j.credentialMissing(j.op); missing {
		j.add(Violation{ID: "missing_credential", Where: "header:authorization", Want: want, Got: "none of it", At: j.op.at, Status: 401})
	}
	for _, p := range j.op.params {
		switch p.in {
		case "query":
			j.queryParam(p)
		case "header":
			j.headerParam(p)
		case "cookie":
			j.cookieParam(p)
		}
	}
	if j.pairsOver {
		j.add(Violation{ID: "param_count", Where: "query", Want: "at most 1000 parameters", Got: "more", At: j.op.at, Status: 400})
	}
	if j.op.openQuery {
		return
	}
	for i := range j.pairs {
		p := &j.pairs[i]
		if !p.used && !j.api.keys[string(p.key)] && (len(p.key) > 0 || len(p.raw) > 0) {
			j.add(Violation{ID: "param_undeclared", Where: "query:" + clip(p.key), Want: "a documented parameter", Got: clip(p.raw), At: j.op.at, Status: 400, Open: true})
			if len(j.out) > 32 {
				return
			}
		}
	}
}

// readQuery splits the query once.
func (j *judge) readQuery() {
	j.pairs, j.pairsOver = j.split(j.query, '&', j.pairs[:0], true)
}

// split cuts name=value pairs at a separator and decodes the names.
func (j *judge) split(s []byte, sep byte, into []pair, plus bool) ([]pair, bool) {
	for len(s) > 0 {
		if len(into) >= MaxPairs {
			return into, true
		}
		one := s
		if i := bytes.IndexByte(s, sep); i >= 0 {
			one, s = s[:i], s[i+1:]
		} else {
			s = nil
		}
		if len(one) == 0 {
			continue
		}
		key, raw, _ := bytes.Cut(one, []byte("="))
		name, ok := decode(key, plus, &j.buf)
		into = append(into, pair{key: name, raw: raw, bad: !ok})
	}
	return into, false
}

// cookies reads the Cookie headers once (RFC 6265 section 5.4).
func (j *judge) cookies() []pair {
	if j.jarRead {
		return j.cookieJar
	}
	j.jarRead = true
	for _, h := range j.r.Headers {
		if !strings.EqualFold(string(h.Name), "cookie") {
			continue
		}
		rest := h.Value
		for len(rest) > 0 && len(j.cookieJar) < MaxPairs {
			one := rest
			if i := bytes.IndexByte(rest, ';'); i >= 0 {
				one, rest = rest[:i], rest[i+1:]
			} else {
				rest = nil
			}
			key, raw, _ := bytes.Cut(bytes.TrimSpace(one), []byte("="))
			j.cookieJar = append(j.cookieJar, pair{key: bytes.TrimSpace(key), raw: bytes.TrimSpace(raw)})
		}
	}
	return j.cookieJar
}

// clip shows what a client sent, if it is short plain text; else it says what
// it is, for a part of a secret would not be known for one.
func clip(s []byte) string {
	const most = 100
	for _, c := range s {
		if c < ' ' || c > '~' {
			return "text of " + strconv.Itoa(len(s)) + " bytes"
		}
	}
	if len(s) > most {
		return "text of " + strconv.Itoa(len(s)) + " bytes"
	}
	return string(s)
}
