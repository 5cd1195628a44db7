// Package keyword holds what the options of a rule mean: a file for each
// option or family of options, and keywords.go, the list of them all.
//
// Compile turns a parsed rule into a Program: conditions on single buffers of
// a request, each a list of steps that move a cursor, and what else must hold
// before the rule fires.
package keyword

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
	"github.com/sallyport/sallyport/daemon/keyed"
)

// Spec names a buffer with what is done to it before a rule looks at it.
type Spec struct {
	ID         buffer.ID
	Arg        string
	Transforms []Transform
	// Key is the same for two Specs of the same contents.
	Key string
}

// Group is what must hold in one buffer. For a buffer with several values it
// must hold in one of them.
type Group struct {
	Spec  *Spec
	Steps []Step
	// Absent lets the group hold when the request has no such part; OnlyAbsent
	// then alone.
	Absent, OnlyAbsent bool
	// Slot is the place of Spec in the set of rules the program belongs to.
	Slot int
}

// Program is a compiled rule.
type Program struct {
	Rule     *rule.Rule
	GID, SID uint32
	Rev      uint32
	Msg      string
	Class    string
	Priority int
	// References are "cve,2021-44228" and their like; Metadata "key value".
	References []string
	Metadata   []string

	Groups []Group
	// Before are conditions outside the request's buffers, asked before the
	// groups; After, those that count or change state, once the groups hold.
	Before []Condition
	After  []Condition
	// Vars is how many byte_extract variables the rule uses.
	Vars    int
	NoAlert bool
	// Directed says that the rule asks for the direction to the server.
	Directed bool
	// Limits are thresholds on the rule's alerts, from the rule itself and
	// from a threshold.config.
	Limits []*Limit
	// Filter is a detection_filter: matches before the count is reached do
	// not count as matches.
	Filter *Limit
	// Ignored are options that mean nothing for an HTTP request.
	Ignored []string
}

// Either says that the rule is about answers as well as about requests: it
// names no direction, and no buffer that only requests have.
func (p *Program) Either() bool {
	for _, g := range p.Groups {
		if !g.Spec.ID.Both() {
			return false
		}
	}
	return !p.Directed && p.Rule.Dialect != rule.Snort3 && len(p.Groups) > 0
}

// Condition is something that must hold outside a request's buffers.
type Condition interface {
	Holds(e *Env) bool
}

// Env is what a rule sees of one request besides its buffers.
type Env struct {
	Now            time.Time
	Client, Server netip.AddrPort
	// Flow is a name for the client's connection, Addresses for its host.
	Flow  []byte
	Store *keyed.Store
	// Size is the length of the request in bytes.
	Size int
	// Two says that the request came over HTTP/2.
	Two bool

	// Steps is how many steps are left before the clock is looked at; see
	// Start and Take.
	Steps int
	// Spent says that a rule was given up for want of steps or of time.
	Spent bool
	// Clock, when set, is a clock that only goes forward, and Most the time
	// that all rules may take by it.
	Clock func() time.Duration
	Most  time.Duration

	budget budget
	gaveUp bool

	cursor  Cursor
	scratch []byte
	b64     []byte
}

// Keep takes over the working memory of an earlier Env.
func (e *Env) Keep(old *Env) { e.scratch, e.b64 = old.scratch[:0], old.b64[:0] }

// Cursor is a place in a buffer.
type Cursor struct {
	Buf  []byte
	Pos  int
	Vars []int64
	Env  *Env
	// Mark is the place of the last content or pcre that matched.
	MarkAt, MarkEnd int
}

// Step looks at the buffer from the cursor, and may move it.
type Step interface {
	Match(c *Cursor) bool
}

// Searcher is a Step that may match at several places. Search looks for the
// next place after the one that began at or after from (-1: the first) and
// moves the cursor behind it; it answers where the next search is to go on.
type Searcher interface {
	Step
	Search(c *Cursor, base, from int) (next int, ok bool)
	// Again says that the steps behind depend on where this one matched.
	Again() bool
}

// relative is a Step that depends on where the one before it matched.
type relative interface{ Relative() bool }

func isRelative(s Step) bool {
	r, ok := s.(relative)
	return ok && r.Relative()
}

// Run says whether steps hold in b. A content whose followers fail is tried
// at its next place, where they depend on it.
func Run(steps []Step, b []byte, vars []int64, e *Env) (at, end int, ok bool) {
	c := &e.cursor
	*c = Cursor{Buf: b, Vars: vars, Env: e, MarkAt: -1}
	if run(steps, c) != held || e.Out() {
		return 0, 0, false
	}
	return c.MarkAt, c.MarkEnd, true
}

// outcome of a list of steps: missed lets a step before them try its next
// place, stopped does not.
type outcome int8

const (
	missed outcome = iota
	held
	stopped
)

func run(steps []Step, c *Cursor) outcome {
	failed := missed
	for i, s := range steps {
		if c.Env.Steps--; c.Env.Steps < 0 && !c.Env.further() {
			return stopped
		}
		f, ok := s.(Searcher)
		if !ok || !f.Again() {
			if !s.Match(c) {
				return max(failed, fatal(s))
			}
			if t, ok := s.(*Content); ok && t.suricata && !t.Negated {
				failed = stopped // nothing behind depends on its place
			}
			continue
		}
		base, from := c.Pos, -1
		for {
			c.Pos = base
			next, found := f.Search(c, base, from)
			if !found {
				return max(failed, fatal(s))
			}
			if r := run(steps[i+1:], c); r != missed {
				return r
			}
			if c.Env.Out() {
				return stopped
			}
			from = next
		}
	}
	return held
}

// fatal is what the failure of a step means for those before it: in Suricata
// a step that depends on none of them ends the search.
func fatal(s Step) outcome {
	stops := false
	switch s := s.(type) {
	case *Content:
		stops = s.suricata && !s.Relative()
	case *dataAt:
		stops = !s.snort3 && s.n.v == 0 && !s.relative
	case *length, *dataset:
		stops = true
	}
	if stops {
		return stopped
	}
	return missed
}
