// Package signature runs Snort and Suricata rules on requests.
//
// Rule files are compiled once into a Set: package rule takes them apart,
// package keyword says what their options mean, package buffer makes the
// parts of a request they look at. One pass over each buffer (anchors.go)
// finds the rules that can match; only those are evaluated.
package signature

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// Name is the check's name.
const Name = "signature"

// Settings are the table [check.signature].
type Settings struct {
	// Rule files, directories (their *.rules files) and patterns, in the
	// dialect of Snort 2, Snort 3 or Suricata. A pattern may match nothing; a
	// file or directory that is named must be there. classification.config,
	// reference.config and threshold.config beside a rule file are read too.
	Rules []string `toml:"rules"`
	// Variables of rule headers: HOME_NET = "10.0.0.0/8". What neither this
	// nor a rule file sets is any.
	Vars map[string]string `toml:"vars"`
	// Whether one rule that cannot be read keeps the whole configuration from
	// loading. Otherwise it is left out and reported.
	Strict bool `toml:"strict"`
	// Rules to leave out, by "sid" or "gid:sid".
	Disable []string `toml:"disable"`
	// How many steps all rules together may take on one visit of a request,
	// 10000 to 100000000. A step is some nanoseconds: one option tried, 4 bytes
	// looked at for all rules at once, 64 bytes searched for one, one step of a
	// regular expression. Past it the rest of the rules is not looked at and
	// the finding "steps" says so.
	MaxSteps int `toml:"max_steps"`
	// How many milliseconds all rules together may take on one request, 1 to
	// 1000: a fifth of it on the head where a body follows. Past it the same
	// happens. Time in which the daemon waits for a processor does not count.
	MaxTime int `toml:"max_time_ms"`
	// What becomes of a request on which the rules were given up at a bound:
	// "mark" leaves it to its other findings, "deny" refuses it. With "mark" a
	// client can pad a body until the rules are given up; "deny" refuses large
	// bodies on a machine too slow for them.
	PastBound string `toml:"past_bound"`
}

// The words of past_bound.
const (
	mark = "mark"
	deny = "deny"
)

// Defaults reads the shipped rules and the administrator's own.
func Defaults() Settings {
	return Settings{
		Rules:    []string{filepath.Join(shippedRules(), "*.rules"), "/etc/sallyport/rules/*.rules"},
		Vars:     map[string]string{},
		MaxSteps: MaxSteps,
		MaxTime:  4, // with what it takes to notice, 5

		PastBound: mark,
	}
}

// shippedRules is the folder of the rules that came with the program: the
// installed one or, for a program that was built and not installed, rules/ of
// its source tree: beside the folder it was built into, or where it is run.
func shippedRules() string {
	const installed = "/usr/share/sallyport/rules"
	if _, err := os.Stat(installed); err == nil {
		return installed
	}
	if exe, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(exe), "..", "rules")
		if _, err := os.Stat(filepath.Join(beside, "sqli.rules")); err == nil {
			return beside
		}
	}
	// Run from a source tree, wherever the program was built into.
	for _, name := range []string{"rules/sqli.rules", "daemon/check/signature/check.go"} {
		if _, err := os.Stat(name); err != nil {
			return installed
		}
	}
	if here, err := filepath.Abs("rules"); err == nil {
		return here
	}
	return installed
}

// Check runs a Set. Build it with New.
type Check struct {
	set      *Set
	needs    check.Phase
	maxSteps int
	maxTime  time.Duration
	deny     bool // when the rules are given up
	clock    func() time.Duration
	tags     map[*keyword.Program][]string
	scope    string
	spent    *atomic.Uint64 // lives on over reloads
	pool     sync.Pool
}

// New builds the check from its settings.
func New(s Settings, env check.Env) (check.Check, error) {
	if s.MaxSteps < 10_000 || s.MaxSteps > 100_000_000 {
		return nil, &check.SettingError{Key: "max_steps", Err: fmt.Errorf("%d, expected 10000 to 100000000", s.MaxSteps)}
	}
	if s.MaxTime < 1 || s.MaxTime > 1000 {
		return nil, &check.SettingError{Key: "max_time_ms", Err: fmt.Errorf("%d, expected 1 to 1000", s.MaxTime)}
	}
	if s.PastBound != mark && s.PastBound != deny {
		return nil, &check.SettingError{Key: "past_bound", Err: fmt.Errorf("%q, expected \"mark\" or \"deny\"", s.PastBound)}
	}
	vars := (&rule.Vars{}).Clone()
	for name, value := range s.Vars {
		name = strings.TrimPrefix(name, "$")
		vars.Address[name], vars.Port[name] = value, value
	}
	paths := make([]string, len(s.Rules))
	for i, p := range s.Rules {
		paths[i] = env.Resolve(p)
	}
	set, err := Compile(paths, vars, Options{Strict: s.Strict, Disable: s.Disable})
	if err != nil {
		return nil, &check.SettingError{Key: "rules", Err: err}
	}
	c := &Check{set: set, maxSteps: s.MaxSteps, maxTime: time.Duration(s.MaxTime) * time.Millisecond, deny: s.PastBound == deny, clock: sinceStart, scope: env.Scope, spent: &atomic.Uint64{}, tags: map[*keyword.Program][]string{}}
	if old, ok := env.Old.(*Check); ok {
		c.spent = old.spent
	}
	c.pool.New = func() any { return &judged{} }
	for i := range set.rules {
		r := &set.rules[i]
		c.tags[r.Program] = Tags(r.Program)
		if r.body || r.value {
			c.needs |= check.Body
		}
		if !r.body {
			c.needs |= check.Head
		}
	}
	if env.Warn != nil && set.Refused > 0 {
		first := ""
		for _, r := range set.Reports {
			if r.State == Refused {
				first = fmt.Sprintf("%s:%d:%d: %s", r.File, r.Line, r.Column, r.Reason)
				break
			}
		}
		env.Warn(fmt.Sprintf("signature: %d of %d rules are refused, the first at %s; run \"sallyport rules check\" for all", set.Refused, len(set.Reports), first))
	}
	return c, nil
}

// Name is "signature".
func (c *Check) Name() string { return Name }

// Needs says which parts of a request the loaded rules look at.
func (c *Check) Needs() check.Phase { return c.needs }

// Set is what is loaded.
func (c *Check) Set() *Set { return c.set }

// Spent counts the requests on which the rules were given up for want of
// steps, those before a reload too.
func (c *Check) Spent() uint64 { return c.spent.Load() }

// WriteMetrics writes Spent in Prometheus' text format, for a route with rules
// of its own under the route's name.
func (c *Check) WriteMetrics(w io.Writer) {
	name := "sallyport_rule_steps_exhausted_total"
	if c.scope != "" {
		name += `{route="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(c.scope) + `"}`
	}
	metrics.WriteCounterUint64(w, name, c.Spent())
}

var started = time.Now()

// sinceStart is a clock that only goes forward.
func sinceStart() time.Duration { return time.Since(started) }

// judged is what one Judge needs, recycled.
type judged struct {
	request buffer.Request
	env     keyword.Env
	input   Input
	flow    [16]byte
	visit   *check.Visit
	check   *Check
	passed  bool
	hit     func(*Hit)
}

// Judge adds a finding for every rule that matches. On the head's visit the
// rules that look at the head alone run, on the body's the others; a request
// without a body gets all on its only visit.
func (c *Check) Judge(v *check.Visit) {
	if len(c.set.rules) == 0 {
		return
	}
	j := c.pool.Get().(*judged)
	if j.hit == nil {
		j.hit = j.found
	}
	r := v.Request
	j.visit, j.check, j.passed = v, c, false
	j.request.From(r)
	phase := v.Phase
	if v.Phase == check.Head && v.Last {
		phase = check.Head | check.Body
	}
	steps, most, scratch := c.maxSteps, c.maxTime, j.env
	switch { // a request with a body is looked at twice
	case !v.Last:
		most /= 5
	case v.Phase == check.Body:
		most = most * 4 / 5
	}
	j.env = keyword.Env{Now: v.Now, Client: r.Client, Server: r.ServerAddr, Store: v.State, Steps: steps, Clock: c.clock, Most: most,
		Size: len(r.URI) + len(r.Body.Bytes), Two: strings.HasPrefix(r.Protocol, "HTTP/2")}
	j.env.Keep(&scratch)
	j.env.Flow = j.flow[:8]
	binary.BigEndian.PutUint64(j.env.Flow, r.Connection)
	if r.Connection == 0 {
		a := r.Client.Addr().As16()
		copy(j.flow[:], a[:])
		j.env.Flow = j.flow[:16]
	}
	j.input = Input{Request: &j.request, Env: &j.env, Phase: phase}
	c.set.Match(&j.input, j.hit)
	if j.env.Spent {
		c.spent.Add(1)
		if n := len(v.Findings); n >= check.MaxFindings { // the policy must hear of it
			v.Findings = v.Findings[:n-1]
			v.Dropped++
		}
		v.Add(check.Finding{Check: Name, ID: "steps", Severity: check.Low, Deny: c.deny,
			Message: "the rules needed more than max_steps or max_time_ms on this request; the rest was not looked at"})
	}
	if v.Explain != nil {
		v.Note(Name, "looked at "+strconv.Itoa(len(c.set.rules))+" rules")
	}
	j.visit = nil
	c.pool.Put(j)
}

// found turns a hit into a finding. Pass rules are evaluated first and end it.
func (j *judged) found(h *Hit) {
	if h.Action == "pass" {
		j.passed = true
	}
	if j.passed {
		return
	}
	p := h.Rule
	f := check.Finding{
		Check: Name, ID: ruleID(p),
		Message: p.Msg, Where: whereOf(j.visit.Request, h), Severity: check.Low, Score: 10,
		Rule: filepath.Base(p.Rule.File) + ":" + strconv.Itoa(p.Rule.Line), Tags: j.check.tags[p],
	}
	if f.Message == "" {
		f.Message = "rule " + f.ID
	}
	f.Severity = Severity(p, h.Action)
	f.Deny = denies(h.Action)
	switch {
	case f.Deny:
		f.Score = f.Severity.Score()
	case p.Priority == 1:
		f.Score = 50
	case p.Priority == 2:
		f.Score = 30
	}
	f.Excerpt, f.Mark = excerpt(h)
	j.visit.Add(f)
}

func denies(action string) bool { return order(action) == 1 || order(action) == 2 }

// Severity is the severity of a rule's finding under an action.
func Severity(p *keyword.Program, action string) check.Severity {
	switch {
	case denies(action) && p.Priority == 1:
		return check.Critical
	case denies(action):
		return check.High
	case p.Priority == 1:
		return check.Medium
	}
	return check.Low
}

// ruleID is how findings and exceptions name a rule: "gid:sid".
func ruleID(p *keyword.Program) string {
	return strconv.FormatUint(uint64(p.GID), 10) + ":" + strconv.FormatUint(uint64(p.SID), 10)
}

// excerpt is the part of a buffer around the match.
func excerpt(h *Hit) (string, [2]int) {
	if h.Text == nil {
		return "", [2]int{}
	}
	from := max(0, h.At-64)
	to := min(len(h.Text), from+check.MaxExcerpt)
	return string(h.Text[from:to]), [2]int{h.At - from, min(h.End, to) - h.At}
}

// Tags are what a rule can be searched by: its CVEs and other references,
// class and metadata.
func Tags(p *keyword.Program) []string {
	var out []string
	for _, r := range p.References {
		system, id, _ := strings.Cut(r, ",")
		if system == "cve" {
			id = strings.TrimPrefix(strings.TrimPrefix(strings.ToUpper(id), "CVE-"), "CVE ")
			out = append(out, "CVE-"+id)
		}
	}
	if p.Class != "" {
		out = append(out, p.Class)
	}
	for _, m := range p.Metadata {
		key, value, _ := strings.Cut(m, " ")
		switch strings.ToLower(key) {
		case "cve":
			if v := strings.ToUpper(strings.ReplaceAll(value, "_", "-")); strings.HasPrefix(v, "CVE-") {
				out = append(out, v)
			} else {
				out = append(out, "CVE-"+v)
			}
		case "cwe", "owasp_api", "class", "tag":
			out = append(out, strings.TrimSpace(value))
		}
	}
	return dedupe(out)
}

func dedupe(in []string) []string {
	out := in[:0]
	for i, s := range in {
		twice := false
		for _, t := range in[:i] {
			twice = twice || t == s
		}
		if !twice {
			out = append(out, s)
		}
	}
	return out
}
