// Package pattern matches the regular expressions of JSON Schema, which are
// those of ECMA-262 (section 22.2, with the flag u), not Go's.
//
// A pattern that Go's linear-time engine can express is rewritten for it:
// \s, \d, ., $ and \cX mean other things there. One with lookaround or
// back-references runs on a backtracking engine, which gives up after
// MaxTime or MaxStack; a value that makes it give up does not match, for the
// client chose that value.
package pattern

import (
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/dlclark/regexp2/v2"
)

// Bounds of one match on the backtracking engine. Its clock ticks every
// MaxTime/4, so a match ends within about 1.25 MaxTime.
const (
	MaxTime  = 20 * time.Millisecond
	MaxStack = 200_000
)

// Pattern is one compiled expression, safe for concurrent use.
type Pattern struct {
	text   string
	linear *regexp.Regexp
	back   *regexp2.Regexp
	simple *sequence
}

var clock sync.Once

// Compile reads an ECMA-262 expression. An error names what is wrong in it.
func Compile(text string) (*Pattern, error) {
	p := &Pattern{text: text}
	tr := translator{in: []rune(text)}
	out, err := tr.run()
	if err == nil && !tr.backtracks {
		if p.simple = tr.sequence(); p.simple != nil {
			return p, nil
		}
		if re, goErr := regexp.Compile(out); goErr == nil {
			p.linear = re
			return p, nil
		}
	}
	clock.Do(func() { regexp2.SetTimeoutCheckPeriod(MaxTime / 4) })
	back, backErr := regexp2.Compile(text, regexp2.ECMAScript|regexp2.Unicode, regexp2.OptionMaxBacktrackingStackSize(MaxStack))
	if backErr != nil {
		back, backErr = regexp2.Compile(text, regexp2.ECMAScript, regexp2.OptionMaxBacktrackingStackSize(MaxStack))
	}
	if backErr != nil {
		if err == nil {
			err = backErr
		}
		return nil, fmt.Errorf("pattern %q: %w", text, err)
	}
	back.MatchTimeout = MaxTime
	p.back = back
	return p, nil
}

// Match says whether the expression matches anywhere in s.
func (p *Pattern) Match(s []byte) bool {
	switch {
	case p.simple != nil:
		return p.simple.match(s)
	case p.linear != nil:
		return p.linear.Match(s)
	}
	ok, err := p.back.MatchString(string(s))
	return ok && err == nil
}

// String is the expression as written.
func (p *Pattern) String() string { return p.text }

// Engine names what runs the pattern: "sequence", "linear" or "backtracking".
func (p *Pattern) Engine() string {
	switch {
	case p.simple != nil:
		return "sequence"
	case p.linear != nil:
		return "linear"
	}
	return "backtracking"
}
