// Package learn watches calls and writes an OpenAPI 3.1 document of what it
// saw: path templates, parameters, bodies, their types, bounds and enums.
//
// # The rule
//
// What one client sends proves nothing. A new thing (an operation, a
// parameter, a member of a body, a further type of one) counts when at least
// MinClients distinct clients and MinShare of the clients of what contains it
// (the whole API; the operation) sent it. What narrows (required, a bound, an
// enum, a format) holds unless so many of the clients that send the thing
// itself go beyond it. So a minority below MinShare neither adds nor widens
// anything, however often it calls.
//
// Only calls that the backend accepted teach: an answer of 400 or more, or a
// denial, teaches nothing. Where the answer is not known (a capture, inspect
// lines), every call teaches.
//
// Above 128 clients a thing's clients are a sample: those with the 128 lowest
// seeded hashes, the same clients everywhere. The share then must be exceeded by
// two standard errors.
//
// # Bounds
//
// Operations, parameters and members are bounded in number (Options), and
// each takes bounded memory: see crowd and profile. Past a bound, what fewest
// clients sent is left out and counted in Summary.
package learn

import (
	"bytes"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/daemon/endpoint"
	"github.com/sallyport/sallyport/daemon/request"
)

// Options are thresholds and bounds; a zero takes the default.
type Options struct {
	MinClients    int     // distinct clients, 3
	MinShare      float64 // share of clients, 0.1; negative for none
	MaxOperations int     // 2048
	MaxProfiles   int     // parameters and body members of all operations, 10000 (about 10 KB each when full)
	Seed          uint64  // of the client hashes; take a random one
	// Examples keeps one value of each parameter and member, and writes it.
	// Without it no value that a client sent is kept or written, but enums
	// and names, which enough clients sent.
	Examples bool
	// Strict closes objects: additionalProperties false.
	Strict bool
	// Host keeps only calls to this host; empty keeps all.
	Host string
	// Title and Version are the document's; "Learned API" and "1".
	Title, Version string
}

func (o Options) withDefaults() Options {
	if o.MinClients <= 0 {
		o.MinClients = 3
	}
	switch {
	case o.MinShare == 0:
		o.MinShare = 0.1
	case o.MinShare < 0:
		o.MinShare = 0
	}
	if o.MaxOperations <= 0 {
		o.MaxOperations = 2048
	}
	if o.MaxProfiles <= 0 {
		o.MaxProfiles = 10000
	}
	if o.Title == "" {
		o.Title = "Learned API"
	}
	if o.Version == "" {
		o.Version = "1"
	}
	return o
}

// Bounds of one call and one operation.
const (
	maxParams     = 64      // parameters of an operation
	maxMembers    = 64      // members of an object
	maxDepth      = 12      // of a body
	maxElements   = 64      // of an array that are looked at
	maxValues     = 2000    // of a body
	maxBody       = 1 << 20 // bytes of a body that is learned from
	maxName       = 64      // bytes of a name
	maxMedia      = 8       // media types of an operation
	maxStatuses   = 16
	maxHosts      = 16
	foldInterval  = 10_000 // calls
	sweepInterval = 1_000
)

// Call is one call to learn from. The request is read during Add alone.
type Call struct {
	Request *request.Request
	// Status is what the client was answered, 0 if it is not known.
	Status int
	Denied bool
	// HeadUnknown says that the source does not tell headers, and so no
	// credentials: a log.
	HeadUnknown bool
}

// Summary counts what a Learner saw and left out.
type Summary struct {
	Calls    uint64 `json:"calls"`    // all
	Refused  uint64 `json:"refused"`  // answered 400 or more, or denied: taught nothing
	Elsewhre uint64 `json:"-"`        // to another host
	Clients  int    `json:"clients"`  // distinct, an estimate above 16
	Learned  int    `json:"learned"`  // operations in the document
	LeftOut  int    `json:"left_out"` // operations of too few clients
	Evicted  uint64 `json:"evicted"`  // operations forgotten for want of room
	Dropped  uint64 `json:"dropped"`  // parameters and members left out for want of room
}

// Learner learns. It is safe for concurrent use.
type Learner struct {
	o    Options
	mu   sync.Mutex
	book *endpoint.Book[operation]
	budget
	seen        Summary
	hosts       map[string]*endpoint.Distinct
	first, last time.Time
}

// budget is how many profiles there may still be, in all and of one client's
// making: a profile counts against the client that brought it until another
// client confirms it.
type budget struct {
	left     int
	quota    int32
	owned    map[uint64]int32
	dropped  uint64
	examples bool
	swept    uint64 // the call at which unconfirmed profiles were last swept out
}

// operation is what is known of one method and path template.
type operation struct {
	crowd    crowd
	params   map[paramKey]*profile
	media    map[string]*shape
	bodies   crowd // calls with a body
	statuses map[int]*answer
	ended    uint64 // live: ended calls, and those of 400 or more
	failed   uint64
}

// answer is a status and who got it.
type answer struct {
	calls   uint64
	clients endpoint.Distinct
}

type paramKey struct{ in, name string }

// New makes an empty Learner.
func New(o Options) *Learner {
	o = o.withDefaults()
	l := &Learner{o: o, hosts: map[string]*endpoint.Distinct{}}
	l.left, l.examples = o.MaxProfiles, o.Examples
	l.quota, l.owned = int32(max(64, o.MaxProfiles/20)), map[uint64]int32{}
	if o.MinClients == 1 {
		l.quota = int32(o.MaxProfiles)
	}
	share := o.MinShare
	if share == 0 {
		share = 1e-9
	}
	l.book = endpoint.NewBook(endpoint.Options{Max: o.MaxOperations, MinClients: o.MinClients, MinShare: share, Seed: o.Seed}, merge)
	l.book.OnEvict(func(op *operation) { l.forget(op) })
	return l
}

// Add learns from one call.
func (l *Learner) Add(c Call) {
	r := c.Request
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.o.Host != "" && string(r.Host) != l.o.Host {
		l.seen.Elsewhre++
		return
	}
	l.seen.Calls++
	if c.Denied || c.Status >= 400 || !knownMethod(r.Method) {
		l.seen.Refused++
		return
	}
	at := r.Received
	if l.first.IsZero() || at.Before(l.first) {
		l.first = at
	}
	if at.After(l.last) {
		l.last = at
	}
	client := endpoint.Client(r.Client.Addr(), l.o.Seed)
	l.host(r, client)
	var buf [endpoint.MaxTemplate]byte
	template := endpoint.AppendTemplate(buf[:0], r.Path())
	e := l.book.Acquire("", r.Method, template, client, at)
	l.learn(&e.Value, e.Template, &c, client)
	e.Release()
	switch {
	case l.seen.Calls%foldInterval == 0:
		l.book.Fold(at)
		l.audit(false)
	case l.left <= 0 && l.seen.Calls-l.swept >= sweepInterval:
		l.audit(true)
	}
}

// Ended tells how a call that was added without its status ended.
func (l *Learner) Ended(method string, path []byte, status int, client uint64, at time.Time) {
	if !knownMethod(method) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var buf [endpoint.MaxTemplate]byte
	template := endpoint.AppendTemplate(buf[:0], path)
	e := l.book.Acquire("", method, template, client, at)
	e.Value.ended++
	if status >= 400 {
		e.Value.failed++
	}
	e.Release()
}

// Client is the hash that Ended wants.
func (l *Learner) Client(a netip.Addr) uint64 { return endpoint.Client(a, l.o.Seed) }

func knownMethod(m string) bool {
	return slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}, m)
}

func (l *Learner) host(r *request.Request, client uint64) {
	name := string(r.Host)
	if name == "" || len(name) > 253 {
		return
	}
	d := l.hosts[name]
	if d == nil {
		if len(l.hosts) >= maxHosts {
			return
		}
		d = &endpoint.Distinct{}
		l.hosts[name] = d
	}
	d.Add(client)
}

// Credentials of a call, as bits of a witness.
const (
	authBearer uint32 = 1 << iota
	authBasic
	authKey
	authNone
	authUnknown
)

func (l *Learner) learn(op *operation, template string, c *Call, client uint64) {
	r, status := c.Request, c.Status
	if op.params == nil {
		op.params = map[paramKey]*profile{}
		op.statuses = map[int]*answer{}
	}
	if w := op.crowd.at(client); w != nil {
		w.calls++
		if c.HeadUnknown {
			w.kinds |= authUnknown
		} else {
			w.kinds |= credentials(r)
		}
	}
	a := op.statuses[status]
	if a == nil && len(op.statuses) < maxStatuses {
		a = &answer{}
		op.statuses[status] = a
	}
	if a != nil {
		a.calls++
		a.clients.Add(client)
	}
	l.path(op, template, r, client)
	for _, p := range r.Query() {
		if p.Rest {
			break
		}
		if l.goodName(p.Name) && !p.Again {
			l.text(op, paramKey{"query", string(p.Name)}, p.Value, client)
		}
	}
	for i := range r.Headers {
		h := &r.Headers[i]
		if name := strings.ToLower(string(h.Name[:min(len(h.Name), maxName)])); ownHeader(name) && l.goodName(h.Name) {
			l.text(op, paramKey{"header", name}, h.Value, client)
		}
	}
	l.body(op, r, client)
}

// path gives each placeholder's value to its profile, by position.
func (l *Learner) path(op *operation, template string, r *request.Request, client uint64) {
	if !strings.Contains(template, "{") {
		return
	}
	path := bytes.TrimPrefix(r.Path(), []byte("/"))
	for i, t := range strings.Split(template[1:], "/") {
		var seg []byte
		seg, path, _ = bytes.Cut(path, []byte("/"))
		open, end := strings.IndexByte(t, '{'), strings.IndexByte(t, '}')
		if open < 0 || end < 0 || t == "{rest}" {
			continue
		}
		value := bytes.TrimSuffix(bytes.TrimPrefix(seg, []byte(t[:open])), []byte(t[end+1:]))
		l.text(op, paramKey{"path", position(i)}, value, client)
	}
}

// position names a path parameter until the document finds a better name.
func position(segment int) string { return string(rune('a' + segment)) }

// goodName refuses names that look like values: a client that fills in names
// would make a parameter of each.
func (l *Learner) goodName(name []byte) bool {
	if len(name) == 0 || len(name) > maxName {
		return false
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f || c == '{' || c == '}' || c == '"' || c == '<' {
			return false
		}
	}
	switch endpoint.Classify(name) {
	case endpoint.Literal, endpoint.Slug, endpoint.Text:
		return true
	}
	return false
}

func (l *Learner) text(op *operation, key paramKey, value []byte, client uint64) {
	p := op.params[key]
	if p == nil {
		if len(op.params) >= maxParams && !evictParam(op, &l.budget) {
			l.dropped++
			return
		}
		if p = l.profile(client); p == nil {
			return
		}
		op.params[key] = p
	}
	l.confirm(p, client)
	p.text(value, client, l.examples)
}

// ownHeader says whether a header may be one that the API defined: what
// browsers, proxies and NGINX send is none.
func ownHeader(name string) bool {
	switch name {
	case "idempotency-key", "if-match", "if-none-match", "prefer":
		return true
	case "x-requested-with", "x-real-ip", "x-request-id", "x-correlation-id", "x-client-ip", "x-api-key", "x-auth-token", "x-access-token", "x-csrf-token", "x-xsrf-token":
		return false
	}
	if !strings.HasPrefix(name, "x-") {
		return false
	}
	for _, p := range []string{"x-forwarded-", "x-amz", "x-b3-", "x-cloud", "x-datadog-", "x-original-", "x-envoy-", "x-sallyport-"} {
		if strings.HasPrefix(name, p) {
			return false
		}
	}
	return true
}

func credentials(r *request.Request) uint32 {
	var kinds uint32
	if a := r.Header("authorization"); len(a) > 0 {
		scheme, _, _ := bytes.Cut(a, []byte(" "))
		switch {
		case bytes.EqualFold(scheme, []byte("bearer")):
			kinds |= authBearer
		case bytes.EqualFold(scheme, []byte("basic")):
			kinds |= authBasic
		}
	}
	if len(r.Header("x-api-key")) > 0 {
		kinds |= authKey
	}
	if kinds == 0 {
		kinds = authNone
	}
	return kinds
}

// threshold is how many of n clients make a thing count; of a sample, two
// standard errors more.
func (o *Options) threshold(n int, sampled bool) int {
	t := o.MinShare * float64(n)
	if sampled {
		t += 2 * math.Sqrt(t)
	}
	return max(o.MinClients, int(math.Ceil(t)))
}
