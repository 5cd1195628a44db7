package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/gaissmai/bart"

	"github.com/sallyport/sallyport/daemon/policy"
)

// sites builds every site of every file, and one for all other hosts.
func (b *builder) sites(p *policy.Policy) {
	defaults := b.out.main.Defaults
	b.level(b.out.main, "defaults", &defaults)
	own := b.routeChecks(b.out.main, "defaults", defaults.Check)
	anyHost := false
	b.taken = map[string]string{}
	for _, f := range b.files {
		for i := range f.Site {
			s := &f.Site[i]
			key := "site." + strconv.Itoa(i)
			if s.Name == "" {
				b.problem(f.wrong(key, "a site has no name: add name = \"...\""))
			}
			if slices.ContainsFunc(p.Sites, func(o *policy.Site) bool { return o.Name == s.Name }) {
				b.problem(f.wrong(key+".name", "site name %q is taken already", s.Name))
			}
			if anyHost && len(s.Hosts) == 0 {
				b.problem(f.wrong(key, "site %q has no hosts, and neither has one before it: only one site can take every other host", s.Name))
			}
			anyHost = anyHost || len(s.Hosts) == 0
			p.Sites = append(p.Sites, b.site(f, key, s, defaults, own))
		}
	}
	if !anyHost {
		p.Sites = append(p.Sites, b.site(b.out.main, "defaults", &SiteSettings{Name: "default"}, defaults, own))
	}
}

func (b *builder) site(f *file, key string, s *SiteSettings, defaults RouteSettings, own []source) *policy.Site {
	out := &policy.Site{Name: s.Name}
	for _, h := range s.Hosts {
		if !isHost(h) {
			b.problem(f.wrongEntry(key+".hosts", h, "host %q: expected a name in lower case such as \"api.example.com\" or \"*.example.com\"", h))
		}
		if other := b.taken[h]; other != "" {
			b.problem(f.wrongEntry(key+".hosts", h, "host %q is taken already by site %q: keep it in one", h, other))
		}
		b.taken[h] = s.Name
		out.Hosts = append(out.Hosts, h)
	}
	b.level(f, key, &s.RouteSettings)
	settings := merge(defaults, s.RouteSettings)
	own = append(slices.Clip(own), b.routeChecks(f, key, s.Check)...)
	for i := range s.Route {
		n := &s.Route[i]
		rkey := key + ".route." + strconv.Itoa(i)
		if n.Name == "" {
			n.Name = n.Path
		}
		if n.Name == "" {
			b.problem(f.wrong(rkey, "a route has neither name nor path: add path = \"/...\""))
		}
		if slices.ContainsFunc(out.Routes, func(o *policy.Route) bool { return o.Name == n.Name }) {
			b.problem(f.wrong(rkey+".name", "route name %q is taken already in site %q", n.Name, s.Name))
		}
		for _, m := range n.Methods {
			if m == "" || m != strings.ToUpper(m) {
				b.problem(f.wrongEntry(rkey+".methods", m, "method %q never comes, expected capital letters such as \"POST\"", m))
			}
		}
		b.level(f, rkey, &n.RouteSettings)
		route := b.route(s.Name, n.Name, merge(settings, n.RouteSettings),
			append(slices.Clip(own), b.routeChecks(f, rkey, n.Check)...))
		if err := route.Match(n.Path, n.Methods); err != nil {
			b.problem(f.wrong(rkey+".path", "%v", err))
		}
		out.Routes = append(out.Routes, route)
	}
	rest := b.route(s.Name, "default", settings, own)
	_ = rest.Match("", nil) // the empty pattern is always right
	out.Routes = append(out.Routes, rest)
	return out
}

func isHost(h string) bool {
	return h != "" && h == strings.ToLower(h) && !strings.ContainsAny(h, "/: ") && !strings.Contains(strings.TrimPrefix(h, "*."), "*")
}

// routeChecks lists the check tables of one level, checking their names.
func (b *builder) routeChecks(f *file, key string, tables map[string]toml.Primitive) []source {
	var out []source
	for name, prim := range tables {
		table := key + ".check." + name
		if find(name) == nil {
			b.problem(f.wrong(table, "unknown check %q, expected one of %s", name, strings.Join(names(), ", ")))
			continue
		}
		out = append(out, source{file: f, table: table, prim: prim, mode: b.modeOf(f, table, prim)})
	}
	return out
}

// merge lays a more special level over a more general one.
func merge(general, special RouteSettings) RouteSettings {
	out := general
	over(&out.Mode, special.Mode)
	over(&out.Threshold, special.Threshold)
	over(&out.RequireTLS, special.RequireTLS)
	over(&out.RequireTLSStatus, special.RequireTLSStatus)
	over(&out.MinTLS, special.MinTLS)
	over(&out.MaxInspectBytes, special.MaxInspectBytes)
	over(&out.LargeBody, special.LargeBody)
	over(&out.Failure.Metadata, special.Failure.Metadata)
	over(&out.Failure.Bodies, special.Failure.Bodies)
	over(&out.Failure.Limits, special.Failure.Limits)
	over(&out.Priority, special.Priority)
	over(&out.EveryRequest, special.EveryRequest)
	if special.Allow != nil {
		out.Allow = special.Allow
	}
	if special.Deny != nil {
		out.Deny = special.Deny
	}
	return out
}

func over[T any](general **T, special *T) {
	if special != nil {
		*general = special
	}
}

var (
	modeNames      = map[string]policy.Mode{"off": policy.Off, "detect": policy.Detect, "enforce": policy.Enforce}
	failureNames   = map[string]policy.Failure{"open": policy.Open, "closed": policy.Closed}
	largeBodyNames = map[string]policy.LargeBody{"deny": policy.LargeDeny, "inspect": policy.LargeInspect, "allow": policy.LargeAllow}
	tlsNames       = map[string]bool{"": true, "TLSv1": true, "TLSv1.1": true, "TLSv1.2": true, "TLSv1.3": true}
	priorityNames  = map[string]bool{"critical": true, "normal": true, "low": true}
)

// level judges the settings of one level where they stand, so that a wrong
// value is reported once, at its own line, however many routes inherit it.
func (b *builder) level(f *file, key string, s *RouteSettings) {
	choose(b, f, key+".mode", s.Mode, modeNames)
	choose(b, f, key+".threshold", s.Threshold, policy.Thresholds)
	choose(b, f, key+".min_tls", s.MinTLS, tlsNames)
	choose(b, f, key+".large_body", s.LargeBody, largeBodyNames)
	choose(b, f, key+".failure.metadata", s.Failure.Metadata, failureNames)
	choose(b, f, key+".failure.bodies", s.Failure.Bodies, failureNames)
	choose(b, f, key+".failure.limits", s.Failure.Limits, failureNames)
	choose(b, f, key+".priority", s.Priority, priorityNames)
	if n := s.RequireTLSStatus; n != nil && *n != 403 && *n != 426 {
		b.problem(f.wrong(key+".require_tls_status", "require_tls_status is %d, expected 403 or 426", *n))
	}
	if n := s.MaxInspectBytes; n != nil && (*n < 0 || *n > b.out.Server.MaxBodyMemoryBytes) {
		b.problem(f.wrong(key+".max_inspect_bytes", "max_inspect_bytes is %d, expected 0 to server.max_body_memory_bytes (%d)", *n, b.out.Server.MaxBodyMemoryBytes))
	}
	b.prefixes(f, key+".allow", s.Allow)
	b.prefixes(f, key+".deny", s.Deny)
}

// route builds a route from settings that every level has been judged for.
func (b *builder) route(site, name string, s RouteSettings, own []source) *policy.Route {
	r := &policy.Route{
		Site: site, Name: name,
		Mode: modeNames[*s.Mode], DenyAtName: *s.Threshold, DenyAt: policy.Thresholds[*s.Threshold],
		RequireTLS: *s.RequireTLS, RequireTLSStatus: *s.RequireTLSStatus, MinTLS: *s.MinTLS,
		Allow: prefixTable(s.Allow), Deny: prefixTable(s.Deny),
		MaxInspectBytes: *s.MaxInspectBytes, LargeBody: largeBodyNames[*s.LargeBody],
		FailMetadata: failureNames[*s.Failure.Metadata], FailBodies: failureNames[*s.Failure.Bodies], FailLimits: failureNames[*s.Failure.Limits],
		Priority: *s.Priority, EveryRequest: *s.EveryRequest || b.out.Events.EveryRequest,
	}
	if b.o.Mode != "" {
		r.Mode = modeNames[b.o.Mode]
	}
	r.SetChecks(b.slots(site+"/"+name, own))
	s.Check = nil
	print, _ := json.Marshal(s) // plain values alone
	b.out.prints["route "+site+"/"+name] = string(print)
	return r
}

// choose finds a name among those allowed, or says which are.
func choose[T any](b *builder, f *file, key string, name *string, among map[string]T) {
	if name == nil {
		return
	}
	if _, ok := among[*name]; ok {
		return
	}
	var known []string
	for k := range among {
		known = append(known, strconv.Quote(k))
	}
	slices.Sort(known)
	b.problem(f.wrong(key, "%s is %q, expected one of %s", key[strings.LastIndexByte(key, '.')+1:], *name, strings.Join(known, ", ")))
}

// prefixes judges a list of addresses and networks and builds its table.
func (b *builder) prefixes(f *file, key string, list []string) *bart.Lite {
	for _, s := range list {
		if _, err := parsePrefix(s); err != nil {
			b.problem(f.wrongEntry(key, s, "%q is no address or network, expected such as \"192.0.2.7\" or \"2001:db8::/32\"", s))
		}
	}
	return prefixTable(list)
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// prefixTable is nil for an empty list; entries that are none are left out.
func prefixTable(list []string) *bart.Lite {
	if len(list) == 0 {
		return nil
	}
	out := new(bart.Lite)
	for _, s := range list {
		if p, err := parsePrefix(s); err == nil {
			out.Insert(p)
		}
	}
	return out
}

func (b *builder) exceptions(p *policy.Policy) {
	for _, f := range b.files {
		for i, e := range f.Exception {
			key := "exception." + strconv.Itoa(i)
			if e.Reason == "" {
				b.problem(f.wrong(key, "an exception has no reason: add reason = \"...\", for whoever reads it next year"))
			}
			if find(e.Check) == nil && e.Check != "bounds" {
				b.problem(f.wrong(key+".check", "exception for unknown check %q, expected one of %s", e.Check, strings.Join(names(), ", ")))
			}
			b.place(f, key, e, p)
			p.Exceptions = append(p.Exceptions, policy.Exception{
				Site: e.Site, Route: e.Route, Check: e.Check, ID: e.ID, Where: e.Where, Reason: e.Reason, Expires: e.Expires,
			})
			print, _ := json.Marshal(e) // plain values
			b.out.prints[fmt.Sprintf("exception %s", print)] = ""
		}
	}
}

// place judges where an exception holds: a name that is misspelt would leave
// the false alarm as it was, and an exception that has expired does.
func (b *builder) place(f *file, key string, e ExceptionSettings, p *policy.Policy) {
	var sites, routes []string
	for _, s := range p.Sites {
		sites = append(sites, s.Name)
		for _, r := range s.Routes {
			if (e.Site == "" || e.Site == s.Name) && !slices.Contains(routes, r.Name) {
				routes = append(routes, r.Name)
			}
		}
	}
	if e.Site != "" && !slices.Contains(sites, e.Site) {
		b.problem(f.wrong(key+".site", "exception for unknown site %q, expected one of %s", e.Site, strings.Join(sites, ", ")))
	} else if e.Route != "" && !slices.Contains(routes, e.Route) {
		b.problem(f.wrong(key+".route", "exception for unknown route %q, expected one of %s", e.Route, strings.Join(routes, ", ")))
	}
	if !e.Expires.IsZero() && e.Expires.Before(time.Now()) {
		b.warn(f.wrong(key+".expires", "the exception for %s expired on %s and holds no more: remove it, or give it a new date", e.Check, e.Expires.Format(time.DateOnly)))
	}
}
