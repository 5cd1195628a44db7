package signature

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// States of a rule after loading.
const (
	Loaded  = "loaded"
	Skipped = "skipped" // does not apply to HTTP requests
	Refused = "refused" // has a mistake, or an option that is not supported
)

// Report says what became of one rule.
type Report struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column,omitempty"`
	GID    uint32 `json:"gid,omitempty"`
	SID    uint32 `json:"sid"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// Options of Compile.
type Options struct {
	// Strict makes any refused rule an error of the whole.
	Strict bool
	// Disable leaves rules out, by "sid" or "gid:sid".
	Disable []string
}

// compiled is a rule in a Set.
type compiled struct {
	*keyword.Program
	groups []keyword.Group // cheap ones first
	body   bool            // looks at the body
	value  bool            // looks at values, of the head and then of the body
	// anchored is the group that the rule's text was taken from, -1 without.
	anchored int
	// anywhere says that the rule's header holds for every request.
	anywhere bool
}

// Set is a number of compiled rules, ready to match. It never changes and is
// safe for concurrent use.
type Set struct {
	rules   []compiled
	slots   []*keyword.Spec
	anchors []*anchors // by slot
	texts   int        // of all anchors
	// head looks in a plain head for the texts of all buffers that stand in
	// it; inHead marks their slots.
	head   *anchors
	inHead []bool
	// whole looks in a body for the texts of all buffers that show it.
	whole *anchors
	// always are rules that have no text to look for; those of them that ask
	// for how a buffer begins are in begins, by slot and byte.
	always []int32
	begins []begin

	gates  []gate // by rule
	tests  []test
	firsts [][4]uint64

	Reports []Report
	// Values says that a rule looks at the values that package request reads.
	Values bool
	// Counts of rules by state.
	Loaded, Skipped, Refused int

	suppress []rule.Limit
	rates    []rateFilter
}

// Expand turns files, directories and patterns into rule files: a directory
// gives its *.rules files.
func Expand(paths []string) ([]string, error) {
	var out []string
	for _, p := range paths {
		found := []string{p}
		if strings.ContainsAny(p, "*?[") {
			var err error
			if found, err = filepath.Glob(p); err != nil {
				return nil, fmt.Errorf("rule files %q: %w", p, err)
			}
		}
		for _, f := range found {
			info, err := os.Stat(f)
			if err != nil {
				return nil, fmt.Errorf("read rules: %w", err)
			}
			if !info.IsDir() {
				out = append(out, f)
				continue
			}
			inside, _ := filepath.Glob(filepath.Join(f, "*.rules"))
			sort.Strings(inside)
			out = append(out, inside...)
		}
	}
	return out, nil
}

// configs are files beside rules that say how to read them.
var configs = [...]string{"classification.config", "reference.config", "threshold.config"}

// Compile loads rule files, directories and patterns into a Set. A rule that
// cannot be used is in Reports; with Strict it makes the error. The error is
// also about files that cannot be read.
func Compile(paths []string, vars *rule.Vars, opts Options) (*Set, error) {
	files, err := Expand(paths)
	if err != nil {
		return nil, err
	}
	read := rule.NewFiles(vars)
	seen := map[string]bool{}
	for _, f := range files {
		for _, c := range configs {
			c = filepath.Join(filepath.Dir(f), c)
			if _, err := os.Stat(c); err == nil && !seen[c] {
				seen[c] = true
				if err := read.Load(c); err != nil {
					return nil, err
				}
			}
		}
	}
	for _, f := range files {
		if seen[f] {
			continue
		}
		seen[f] = true
		if err := read.Load(f); err != nil {
			return nil, err
		}
	}
	return Build(read, opts)
}

// Build compiles what was read.
func Build(read *rule.Files, opts Options) (*Set, error) {
	s := &Set{}
	var errs []error
	for i, e := range read.Errors {
		s.report(Report{File: e.File, Line: e.Line, Column: e.Col, SID: sidOf(read.Broken[i]), State: Refused, Reason: e.Msg})
		errs = append(errs, e)
	}
	disabled := map[string]bool{}
	for _, d := range opts.Disable {
		disabled[d] = true
	}
	type id struct{ gid, sid uint32 }
	newest := map[id]int{}
	var programs []*keyword.Program
	compiled := make([]struct {
		p   *keyword.Program
		err error
	}, len(read.Rules))
	eachAtOnce(len(read.Rules), func(i int) {
		compiled[i].p, compiled[i].err = keyword.Compile(read.Rules[i], read)
	})
	for i, r := range read.Rules {
		p, err := compiled[i].p, compiled[i].err
		rep := Report{File: r.File, Line: r.Line, GID: p.GID, SID: p.SID, State: Loaded}
		var skip keyword.Skip
		var bad *rule.Error
		switch {
		case errors.As(err, &skip):
			rep.State, rep.Reason = Skipped, skip.Reason
		case errors.As(err, &bad):
			if rep.SID == 0 {
				rep.SID = sidOf(r) // it may stand behind the mistake
			}
			rep.State, rep.Reason, rep.Line, rep.Column = Refused, bad.Msg, bad.Line, bad.Col
			errs = append(errs, bad)
		case len(disabled) > 0 && (disabled[fmt.Sprint(p.SID)] || disabled[fmt.Sprintf("%d:%d", p.GID, p.SID)]):
			rep.State, rep.Reason = Skipped, "disabled by the settings"
		default:
			k := id{p.GID, p.SID}
			if at, twice := newest[k]; twice && p.SID != 0 {
				if programs[at].Rev >= p.Rev {
					rep.State, rep.Reason = Skipped, fmt.Sprintf("the same sid stands at %s:%d", filepath.Base(programs[at].Rule.File), programs[at].Rule.Line)
				} else {
					old := programs[at].Rule
					for j := range s.Reports {
						if x := &s.Reports[j]; x.File == old.File && x.Line == old.Line && x.State == Loaded {
							x.State, x.Reason = Skipped, fmt.Sprintf("a newer revision stands at %s:%d", filepath.Base(r.File), r.Line)
							s.Loaded--
							s.Skipped++
						}
					}
					programs[at] = p
				}
			} else {
				newest[k] = len(programs)
				programs = append(programs, p)
			}
		}
		s.report(rep)
	}
	if opts.Strict && len(errs) > 0 {
		return nil, errors.Join(errs[:min(len(errs), 20)]...)
	}
	s.limits(programs, read.Limits)
	s.build(programs)
	return s, nil
}

func (s *Set) report(r Report) {
	switch r.State {
	case Loaded:
		s.Loaded++
	case Skipped:
		s.Skipped++
	default:
		s.Refused++
	}
	s.Reports = append(s.Reports, r)
}

// sidOf finds the sid in the text of a rule that could not be taken apart.
func sidOf(r *rule.Rule) uint32 {
	if r == nil {
		return 0
	}
	i := strings.LastIndex(r.Text, "sid:")
	if i < 0 {
		return 0
	}
	var n uint32
	_, _ = fmt.Sscanf(r.Text[i+4:], "%d", &n)
	return n
}

// Programs are the loaded rules in the order they are evaluated.
func (s *Set) Programs() []*keyword.Program {
	out := make([]*keyword.Program, len(s.rules))
	for i := range s.rules {
		out[i] = s.rules[i].Program
	}
	return out
}

// order is when an action is evaluated: pass before drop before alert.
func order(action string) int {
	switch action {
	case "pass":
		return 0
	case "drop", "block", "sdrop":
		return 1
	case "reject", "rejectsrc", "rejectdst", "rejectboth":
		return 2
	}
	return 3
}

// bitOrder evaluates rules that set flow bits before those that ask for them.
func bitOrder(p *keyword.Program) int {
	switch {
	case len(p.After) > 0 && len(p.Before) == 0:
		return 0
	case len(p.After) > 0:
		return 1
	case len(p.Before) > 0:
		return 2
	}
	return 1
}

func (s *Set) build(programs []*keyword.Program) {
	sort.SliceStable(programs, func(i, j int) bool {
		a, b := programs[i], programs[j]
		if x, y := order(a.Rule.Action), order(b.Rule.Action); x != y {
			return x < y
		}
		if x, y := bitOrder(a), bitOrder(b); x != y {
			return x < y
		}
		return a.Priority < b.Priority
	})
	slots := map[string]int{}
	for _, p := range programs {
		c := compiled{Program: p, anywhere: anywhere(p.Rule), anchored: -1}
		for g := range p.Groups {
			grp := &p.Groups[g]
			at, ok := slots[grp.Spec.Key]
			if !ok {
				at = len(s.slots)
				slots[grp.Spec.Key] = at
				s.slots = append(s.slots, grp.Spec)
			}
			grp.Slot = at
			c.body = c.body || grp.Spec.ID.Body()
			c.value = c.value || grp.Spec.ID == buffer.SValue
		}
		s.Values = s.Values || c.value
		c.groups = append([]keyword.Group(nil), p.Groups...)
		sort.SliceStable(c.groups, func(a, b int) bool { return cost(p, &c.groups[a]) < cost(p, &c.groups[b]) })
		s.rules = append(s.rules, c)
	}
	s.anchor(programs)
	s.gates = make([]gate, len(s.rules))
	for i := range s.rules {
		s.gates[i] = s.guard(&s.rules[i])
	}
}

// eachAtOnce calls do for 0 to n-1, on all processors.
func eachAtOnce(n int, do func(i int)) {
	const chunk = 64
	var next atomic.Int64
	var done sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n/chunk+1) {
		done.Go(func() {
			for {
				from := int(next.Add(chunk)) - chunk
				for i := from; i < min(from+chunk, n); i++ {
					do(i)
				}
				if from >= n {
					return
				}
			}
		})
	}
	done.Wait()
}

// anchor builds the prefilter.
func (s *Set) anchor(programs []*keyword.Program) {
	texts := make([]map[place][]int32, len(s.slots))
	head, body := map[place][]int32{}, map[place][]int32{}
	s.inHead = make([]bool, len(s.slots))
	for i, spec := range s.slots {
		texts[i] = map[place][]int32{}
		_, ok := spec.ID.Part(spec.Arg)
		s.inHead[i] = ok && len(spec.Transforms) == 0
	}
	usuals()
	choices := make([]struct {
		choice
		ok bool
	}, len(programs))
	eachAtOnce(len(programs), func(i int) { choices[i].choice, choices[i].ok = s.choose(&s.rules[i]) })
	for i := range programs {
		c := &choices[i]
		if !c.ok {
			s.unanchored(i)
			continue
		}
		s.rules[i].anchored = c.group
		id := s.slots[c.slot].ID
		for _, t := range c.texts {
			at := place{text: t}
			texts[c.slot][at] = append(texts[c.slot][at], int32(i))
			if showsBody(s.slots[c.slot]) {
				body[at] = append(body[at], int32(i))
			}
			if s.inHead[c.slot] {
				part, _ := id.Part("")
				at = place{part, piece(id, t)}
				head[at] = append(head[at], int32(i))
			}
		}
	}
	s.head, s.whole = s.buildAnchors(head), s.buildAnchors(body)
	s.anchors = make([]*anchors, len(s.slots))
	for i, t := range texts {
		s.anchors[i] = s.buildAnchors(t)
	}
}

// showsBody says that a buffer is the body or has it behind something else.
func showsBody(spec *keyword.Spec) bool {
	if len(spec.Transforms) > 0 {
		return false
	}
	switch spec.ID {
	case buffer.SBody, buffer.SFileData, buffer.SPayload, buffer.NBodyRaw, buffer.NFileData, buffer.NPayload:
		return true
	}
	return false
}

// begin are rules by the byte that a buffer begins with.
type begin struct {
	slot  int
	rules [256][]int32
}

// unanchored takes in a rule without a text.
func (s *Set) unanchored(i int) {
	for g := range s.rules[i].groups {
		grp := &s.rules[i].groups[g]
		if grp.Absent || len(grp.Spec.Transforms) > 0 || grp.Spec.ID.Body() || several(grp.Spec.ID) {
			continue
		}
		n := grp.Needs()
		if n.First == nil {
			continue
		}
		at := slices.IndexFunc(s.begins, func(b begin) bool { return b.slot == grp.Slot })
		if at < 0 {
			at = len(s.begins)
			s.begins = append(s.begins, begin{slot: grp.Slot})
		}
		for c := range s.begins[at].rules {
			if n.First[c>>6]&(1<<(c&63)) != 0 {
				s.begins[at].rules[c] = append(s.begins[at].rules[c], int32(i))
			}
		}
		return
	}
	s.always = append(s.always, int32(i))
}

// several says that a buffer may have more than one value.
func several(id buffer.ID) bool {
	switch id {
	case buffer.SRequestHeader, buffer.SFileData, buffer.SFileName, buffer.SValue, buffer.NParam, buffer.NPayload:
		return true
	}
	return false
}

func anywhere(r *rule.Rule) bool {
	return r.Src.All() && r.Dst.All() && r.SrcPorts.All() && r.DstPorts.All() && r.Proto != "http1" && r.Proto != "http2"
}
