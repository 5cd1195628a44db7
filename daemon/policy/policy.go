// Package policy decides. It knows sites and routes, lists and exceptions, and
// turns the findings of one request into a verdict and a short why. It does no
// input or output, keeps no state and never changes after it was built: a
// reload builds a new Policy and swaps it whole.
package policy

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/gaissmai/bart"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/request"
)

// Mode says what a route, or one check on it, may do.
type Mode uint8

// Off runs nothing, Detect finds and never denies, Enforce denies.
const (
	Off Mode = iota
	Detect
	Enforce
)

// String is the mode's name in the configuration.
func (m Mode) String() string { return [...]string{"off", "detect", "enforce"}[min(m, Enforce)] }

// Failure says how a route answers when no verdict could be had.
type Failure uint8

// Closed denies, Open allows; either way an event says so.
const (
	Closed Failure = iota
	Open
)

// LargeBody says what a route does with a body past its bound.
type LargeBody uint8

// A body past max_inspect_bytes, or one that finds no room in max_body_memory,
// is denied with 413, judged by its first bytes, or not judged. The two that
// let it pass mark the request with a finding.
const (
	LargeDeny LargeBody = iota
	LargeInspect
	LargeAllow
)

// Slot is a check on a route, with the mode it has there.
type Slot struct {
	Check check.Check
	Mode  Mode
}

// Exception takes findings away from a route, for a reason.
type Exception struct {
	// Site and Route name where it holds; empty holds everywhere.
	Site, Route string
	// Check and ID name the findings; an empty ID means all of the check's.
	Check, ID string
	// Where is the place, "query:q"; a trailing * matches any rest; empty matches all.
	Where string
	// Reason is why; it is shown with each use.
	Reason string
	// Expires ends the exception; the zero time never.
	Expires time.Time
}

// Route is where a request ends up: what is judged there and how strictly.
type Route struct {
	Site, Name string
	path       pattern
	methods    map[string]bool

	Mode  Mode
	Slots []Slot
	// Head and Body are the checks to call on each visit, in order.
	Head, Body []check.Check
	// Token reads the tokens of requests, nil where no check verifies them.
	Token check.TokenReader
	// DenyAt is the score, 0 to 100, from which a request is denied, and
	// DenyAtName the threshold's name.
	DenyAt     float64
	DenyAtName string

	// RequireTLS denies plain requests, with RequireTLSStatus (403 or 426),
	// and TLS below MinTLS ("TLSv1.2").
	RequireTLS       bool
	RequireTLSStatus int
	MinTLS           string

	// Allow and Deny hold addresses that skip all checks, or are refused.
	Allow, Deny *bart.Lite

	// MaxInspectBytes bounds the bytes of a body that are judged.
	MaxInspectBytes int64
	LargeBody       LargeBody

	// What answers when a verdict is late or a check failed.
	FailMetadata, FailBodies, FailLimits Failure

	// Priority is "critical", "normal" or "low" under pressure.
	Priority string
	// EveryRequest records an event for requests without findings too.
	EveryRequest bool
}

// Site is a set of hosts with their routes; the first route that fits is taken.
type Site struct {
	Name   string
	Hosts  []string // "api.example.com", "*.example.com"; none takes every host
	Routes []*Route // the last one fits every request
}

// Policy is one whole, unchanging policy.
type Policy struct {
	// ID is a hash over everything the policy was built from.
	ID         string
	Sites      []*Site
	Exceptions []Exception
	// Trusted are proxies whose forwarding headers name the client.
	Trusted *bart.Lite
	// Checks are all checks in running order, for observers and listings.
	Checks []check.Check

	hosts    map[string]*Site
	suffixes []suffix
	fallback *Site
}

type suffix struct {
	tail []byte
	site *Site
}

// Index prepares the look-up of sites by host. One site must take every host.
func (p *Policy) Index() {
	p.hosts = make(map[string]*Site)
	for _, s := range p.Sites {
		if len(s.Hosts) == 0 && p.fallback == nil {
			p.fallback = s
		}
		for _, h := range s.Hosts {
			if len(h) > 1 && h[0] == '*' {
				p.suffixes = append(p.suffixes, suffix{[]byte(h[1:]), s})
			} else if _, taken := p.hosts[h]; !taken {
				p.hosts[h] = s
			}
		}
	}
}

// Knows says whether a site names this host.
func (p *Policy) Knows(host []byte) bool {
	if p.hosts[string(host)] != nil {
		return true
	}
	for _, s := range p.suffixes {
		if bytes.HasSuffix(host, s.tail) {
			return true
		}
	}
	return false
}

// Route finds the route of a request by host, then path and method, the first
// that fits. The path is matched as normalised by the request.
func (p *Policy) Route(r *request.Request) *Route {
	site := p.hosts[string(r.Host)]
	if site == nil {
		site = p.fallback
		longest := 0
		for _, s := range p.suffixes {
			if len(s.tail) > longest && bytes.HasSuffix(r.Host, s.tail) {
				site, longest = s.site, len(s.tail)
			}
		}
	}
	last := site.Routes[len(site.Routes)-1]
	if len(site.Routes) == 1 {
		return last
	}
	path := r.Path()
	for _, route := range site.Routes {
		if route.methods != nil && !route.methods[r.Method] {
			continue
		}
		if route.path.match(path) {
			return route
		}
	}
	return last
}

// Match sets which requests a route takes: a path pattern ("" for all) and
// methods (none for all).
func (r *Route) Match(path string, methods []string) error {
	p, err := parsePattern(path)
	if err != nil {
		return err
	}
	r.path = p
	if len(methods) > 0 {
		r.methods = make(map[string]bool, len(methods))
		for _, m := range methods {
			r.methods[m] = true
		}
	}
	return nil
}

// SetChecks gives the route its checks, in running order.
func (r *Route) SetChecks(slots []Slot) {
	r.Slots, r.Head, r.Body, r.Token = slots, nil, nil, nil
	for _, s := range slots {
		if s.Mode == Off {
			continue
		}
		if t, ok := s.Check.(check.TokenReader); ok && t.Verifies() {
			r.Token = t
		}
		if s.Check.Needs()&check.Head != 0 {
			r.Head = append(r.Head, s.Check)
		}
		if s.Check.Needs()&check.Body != 0 {
			r.Body = append(r.Body, s.Check)
		}
	}
}

// enforced says whether the named check's findings count on this route.
// Findings of none of its checks are the walk's own and always count.
func (r *Route) enforced(name string) bool {
	for i := range r.Slots {
		if r.Slots[i].Check.Name() == name {
			return r.Slots[i].Mode == Enforce
		}
	}
	return true
}

// Contains says whether a list holds the address; a nil list holds none.
func Contains(list *bart.Lite, a netip.Addr) bool {
	return list != nil && a.IsValid() && list.Contains(a.Unmap())
}
