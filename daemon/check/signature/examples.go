package signature

import (
	"fmt"
	"os"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/example"
	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
	"github.com/sallyport/sallyport/daemon/keyed"
)

// Verdict is what a rule said of an example.
type Verdict struct {
	example.Case
	Passed bool
	Why    string // when not
}

// TestExamples runs the example files beside rule files. Each case looks at
// its own rule alone. untested are loaded rules that no match case and no
// pass case names.
func TestExamples(paths []string) (verdicts []Verdict, untested []*keyword.Program, err error) {
	files, err := Expand(paths)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range files {
		s, err := Compile([]string{f}, nil, Options{})
		if err != nil {
			return nil, nil, err
		}
		for _, r := range s.Reports {
			if r.State == Refused {
				verdicts = append(verdicts, Verdict{Case: example.Case{File: r.File, Line: r.Line, SID: r.SID}, Why: "the rule is refused: " + r.Reason})
			}
		}
		var cases []example.Case
		if name := example.Beside(f); exists(name) {
			if cases, err = example.Load(name); err != nil {
				return nil, nil, err
			}
		}
		seen := map[uint32][2]bool{}
		for _, c := range cases {
			v := s.judge(c)
			verdicts = append(verdicts, v)
			two := seen[c.SID]
			if c.Match {
				two[0] = true
			} else {
				two[1] = true
			}
			seen[c.SID] = two
		}
		for _, p := range s.Programs() {
			if two := seen[p.SID]; !two[0] || !two[1] {
				untested = append(untested, p)
			}
		}
	}
	return verdicts, untested, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (s *Set) judge(c example.Case) Verdict {
	v := Verdict{Case: c}
	known := false
	for i := range s.rules {
		known = known || s.rules[i].SID == c.SID
	}
	if !known {
		v.Why = fmt.Sprintf("no rule with sid %d is loaded", c.SID)
		return v
	}
	q := &buffer.Request{Method: []byte(c.Method), URI: []byte(c.URI), Protocol: []byte(c.Protocol), Headers: c.Headers, Body: c.Body, HasBody: c.HasBody}
	e := &keyword.Env{Now: time.Unix(1, 0), Store: keyed.New(1<<10, 1), Size: len(c.Body)}
	q.Parse()
	defer q.Parsed.Release()
	hit := false
	s.Match(&Input{Request: q, Env: e, Phase: check.Head | check.Body, Filter: func(p *keyword.Program) bool { return p.SID == c.SID }}, func(*Hit) { hit = true })
	switch {
	case e.Spent:
		v.Why = "the rule needs too many steps on this request"
	case hit && !c.Match:
		v.Why = "the rule matches"
	case !hit && c.Match:
		v.Why = "the rule does not match"
	default:
		v.Passed = true
	}
	return v
}
