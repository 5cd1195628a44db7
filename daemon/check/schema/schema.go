// Package schema lets only documented calls through: it holds requests to
// OpenAPI and Swagger documents, to JSON Schemas attached to paths, to caps
// on what a call asks for, and to bounds on GraphQL queries.
package schema

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/schema/graphql"
	"github.com/sallyport/sallyport/daemon/check/schema/openapi"
	"github.com/sallyport/sallyport/daemon/request"
)

// Name is the check's name.
const Name = "schema"

// Check holds requests to what is documented. It keeps no state.
type Check struct {
	apis     []*api
	attached []*attached
	caps     []Cap
	graphql  *graphql.Limits
}

// api is a document with how its violations are taken.
type api struct {
	*openapi.API
	hosts  map[string]bool
	mode   mode
	routes map[string]mode // by operation id, and by "GET /path"
	open   map[string]taken
}

type mode uint8

const (
	enforce mode = iota
	detect
	off
)

// taken is how a violation that the document leaves open is taken.
type taken uint8

const (
	report taken = iota
	deny
	ignore
)

// New compiles everything the settings name.
func New(s Settings, env check.Env) (check.Check, error) {
	c := &Check{caps: s.Caps}
	for i, a := range s.APIs {
		key := fmt.Sprintf("api.%d.", i)
		one, err := newAPI(a, env, key)
		if err != nil {
			return nil, err
		}
		c.apis = append(c.apis, one)
	}
	for i, a := range s.Schemas {
		one, err := newAttached(a, env, fmt.Sprintf("json.%d.", i))
		if err != nil {
			return nil, err
		}
		c.attached = append(c.attached, one)
	}
	for i, one := range s.Caps {
		if len(one.Names) == 0 || one.Max < 0 {
			return nil, &check.SettingError{Key: fmt.Sprintf("cap.%d.names", i), Err: fmt.Errorf("a cap needs names and a max of 0 or more")}
		}
	}
	var err error
	if c.graphql, err = graphql.New(graphql.Settings(s.GraphQL)); err != nil {
		return nil, &check.SettingError{Key: "graphql", Err: err}
	}
	return c, nil
}

func newAPI(s API, env check.Env, key string) (*api, error) {
	wrong := func(name string, err error) error { return &check.SettingError{Key: key + name, Err: err} }
	if s.File == "" {
		return nil, wrong("file", fmt.Errorf("no file: expected an OpenAPI or Swagger document"))
	}
	a := &api{hosts: map[string]bool{}, routes: map[string]mode{}, open: map[string]taken{}}
	var err error
	if a.mode, err = parseMode(s.Mode); err != nil {
		return nil, wrong("mode", err)
	}
	for _, o := range []struct {
		name, value, id string
		strict          taken
	}{
		{"undeclared_query", s.Undeclared, "param_undeclared", report},
		{"repeated_parameter", s.Repeated, "param_repeated", report},
		{"undeclared_body", s.UndeclaredBody, "body_undeclared", report},
		{"read_only", s.ReadOnly, "body_read_only", report},
		{"deprecated", s.Deprecated, "deprecated", ignore},
		{"unknown_path", s.UnknownPath, "unknown_path", deny},
	} {
		t, err := parseTaken(o.value, o.strict)
		if err != nil {
			return nil, wrong(o.name, err)
		}
		a.open[o.id] = t
	}
	for _, h := range s.Hosts {
		a.hosts[strings.ToLower(h)] = true
	}
	for i, r := range s.Routes {
		m, err := parseMode(r.Mode)
		if err != nil {
			return nil, wrong(fmt.Sprintf("route.%d.mode", i), err)
		}
		for _, op := range r.Operations {
			a.routes[op] = m
		}
	}
	a.API, err = openapi.Load(env.Resolve(s.File), openapi.Options{
		BasePath: s.BasePath, MatchHost: s.MatchHost, EncodedDelimiters: s.EncodedDelimiters,
	})
	if err != nil {
		return nil, wrong("file", err)
	}
	a.tell(env.Warn, s.everyFlaw)
	return a, nil
}

// toldFlaws is how many flaws of a document a configuration's warnings name.
const toldFlaws = 20

func (a *api) tell(warn func(string), all bool) {
	if warn == nil {
		return
	}
	for i, w := range a.Warnings {
		if i == toldFlaws && !all {
			warn(fmt.Sprintf("%s: %d flaws more: sallyport inspect --openapi tells all", a.API.Name, len(a.Warnings)-i))
			return
		}
		warn(w.String())
	}
}

func parseMode(s string) (mode, error) {
	switch s {
	case "", "enforce":
		return enforce, nil
	case "detect":
		return detect, nil
	case "off":
		return off, nil
	}
	return 0, fmt.Errorf("mode is %q, expected enforce, detect or off", s)
}

func parseTaken(s string, unset taken) (taken, error) {
	switch s {
	case "":
		return unset, nil
	case "report":
		return report, nil
	case "deny":
		return deny, nil
	case "ignore":
		return ignore, nil
	}
	return 0, fmt.Errorf("%q, expected deny, report or ignore", s)
}

// Name is the check's name.
func (c *Check) Name() string { return Name }

// Needs says that both visits matter.
func (c *Check) Needs() check.Phase { return check.Head | check.Body }

// Judge holds a request to all that applies to it.
func (c *Check) Judge(v *check.Visit) {
	parts := openapi.Part(0)
	if v.Phase&check.Head != 0 {
		parts |= openapi.Head
	}
	if v.Phase&check.Body != 0 || v.Last {
		parts |= openapi.Body
	}
	c.judgeAPIs(v, parts)
	for _, a := range c.attached {
		a.judge(v, parts)
	}
	if len(c.caps) > 0 {
		c.judgeCaps(v, parts)
	}
	if c.graphql != nil {
		c.judgeGraphQL(v, parts)
	}
}

func (c *Check) judgeAPIs(v *check.Visit, parts openapi.Part) {
	var fits *api
	for _, a := range c.apis {
		if a.mode == off || !a.hostOK(v.Request) {
			continue
		}
		if fits == nil {
			fits = a
		}
		if len(c.apis) == 1 || a.Documents(v.Request) {
			fits = a
			break
		}
	}
	if fits == nil {
		return
	}
	for _, one := range fits.Judge(v.Request, parts, nil) {
		fits.add(v, one)
	}
}

func (a *api) hostOK(r *request.Request) bool {
	return len(a.hosts) == 0 || a.hosts[string(r.Host)]
}

// add makes a finding of a violation, as the settings take it.
func (a *api) add(v *check.Visit, one openapi.Violation) {
	m := a.mode
	if r, ok := a.routes[one.Operation]; ok {
		m = r
	} else if r, ok := a.routes[one.OperationID]; ok && one.OperationID != "" {
		m = r
	}
	if m == off {
		return
	}
	how := deny
	if one.Open || one.ID == "unknown_path" {
		how = a.open[one.ID]
	}
	if how == ignore {
		return
	}
	f := check.Finding{
		Check: Name, ID: one.ID, Where: one.Where, Rule: one.At,
		Message:  message(one),
		Excerpt:  one.Got,
		Severity: check.Info,
		Status:   one.Status,
		Detail:   detail(one),
	}
	if m == enforce && how == deny {
		f.Severity, f.Deny = check.High, true
	}
	v.Add(f)
}

func message(one openapi.Violation) string {
	where := one.Where
	if where == "" {
		where = "request"
	}
	m := where + ": want " + one.Want
	if one.Got != "" {
		m += ", got " + one.Got
	}
	return clip(m, 300)
}

func detail(one openapi.Violation) string {
	d := one.Operation
	if one.Keyword != "" {
		d += "; keyword " + one.Keyword
	}
	return strings.TrimPrefix(d, "; ")
}

func clip(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
