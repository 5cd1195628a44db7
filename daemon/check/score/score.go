// Package score is the second eye beside the signatures: a learned score of
// how much a value looks like an attack, put in the context of what that
// parameter of that endpoint normally carries.
package score

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/score/model"
	"github.com/sallyport/sallyport/daemon/request"
)

// Name is the check's name.
const Name = "score"

//go:embed default.model
var defaultModel []byte

// Embedded is the model that is built in.
var Embedded = sync.OnceValues(func() (*model.Model, error) { return model.Decode(defaultModel) })

// Check scores requests.
type Check struct {
	settings Settings
	model    *model.Model
	context  *context // nil when switched off
	scratch  sync.Pool
}

// New builds the check.
func New(s Settings, env check.Env) (check.Check, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	m, err := Embedded()
	if err != nil {
		return nil, fmt.Errorf("built-in attack model: %w", err)
	}
	if s.Model != "" {
		m, err = model.Load(env.Resolve(s.Model))
		if err != nil {
			return nil, &check.SettingError{Key: "model", Err: err}
		}
	}
	c := &Check{settings: s, model: m, scratch: sync.Pool{New: func() any { return new(scratch) }}}
	c.context, err = openContext(&s.Context, env)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Name is the check's name.
func (c *Check) Name() string { return Name }

// Needs says that both visits are looked at.
func (c *Check) Needs() check.Phase { return check.Head | check.Body }

// maxHits bounds the suspicious values of one visit that are kept: the first
// ones, and beyond that the most hostile.
const maxHits = 32

// suspect is a value that the model finds suspicious.
type suspect struct {
	hit    model.Hit
	text   []byte
	value  *request.Value
	class  model.Class
	change float32 // of the logit, by context
	why    string  // of the change
}

// scratch is the memory of one visit.
type scratch struct {
	model    model.Scratch
	suspects []suspect
	context  contextScratch
}

// Judge adds at most one finding for each class of attack: about the value
// that looks most like it.
func (c *Check) Judge(v *check.Visit) {
	s := c.scratch.Get().(*scratch)
	defer c.release(s)
	s.suspects = s.suspects[:0]
	learning := c.context != nil && !v.Stateless
	suspicious := c.suspicious()
	partial := ""
	Values(v.Request, v.Phase, func(value *request.Value, text []byte) {
		if partial == "" && long(value.Text) {
			partial = value.Where()
		}
		hit := Look(c.model, &s.model, value, text)
		if hit.Score >= suspicious {
			s.keep(suspect{hit: hit, text: text, value: value})
		}
		if learning {
			s.context.saw(value)
		}
	})
	if learning {
		c.context.judge(v, c.model, s)
	}
	if partial != "" {
		v.Add(check.Finding{Check: Name, ID: "partial", Where: partial,
			Message: "of a value longer than 96 KiB the first 64 and the last 32 KiB were scored"})
	}
	c.report(v, s)
}

// suspicious is the score from which a value is looked at more closely: what
// context can raise to a report.
func (c *Check) suspicious() float32 {
	if c.context != nil {
		return float32(min(c.settings.ReportScore, suspiciousScore))
	}
	return float32(c.settings.ReportScore)
}

const suspiciousScore = 35

func (c *Check) release(s *scratch) {
	clear(s.suspects[:cap(s.suspects)])
	s.context.reset()
	c.scratch.Put(s)
}

func (s *scratch) keep(n suspect) {
	if len(s.suspects) < maxHits {
		s.suspects = append(s.suspects, n)
		return
	}
	least := 0
	for i := range s.suspects {
		if s.suspects[i].hit.Score < s.suspects[least].hit.Score {
			least = i
		}
	}
	if s.suspects[least].hit.Score < n.hit.Score {
		s.suspects[least] = n
	}
}

// report makes the findings: the worst value of each class.
func (c *Check) report(v *check.Visit, s *scratch) {
	if len(s.suspects) == 0 {
		return
	}
	var worst [32]*suspect
	for i := range s.suspects {
		u := &s.suspects[i]
		if u.change != 0 {
			before := u.hit.Score
			u.hit.Score = c.model.Calibrate(u.hit.Logit + u.change)
			v.Note(Name, fmt.Sprintf("%s: score %.1f, in context %.1f: %s", u.value.Where(), before, u.hit.Score, u.why))
		}
		if float64(u.hit.Score) < c.settings.ReportScore {
			continue
		}
		u.class = c.model.Classify(&s.model, u.text, u.hit)
		if w := worst[u.class%32]; w == nil || u.hit.Score > w.hit.Score {
			worst[u.class%32] = u
		}
	}
	for _, u := range worst {
		if u != nil {
			v.Add(c.finding(s, u))
		}
	}
}

// plainPath says that a value is a path of plain names alone: it breaks out of
// nothing and names no other server, whatever its words are. What a name such
// as /.git/config gives away is for signatures to know.
func plainPath(v *request.Value, text []byte) bool {
	if v.Kind != request.Path {
		return false
	}
	for i, c := range text {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '~':
		case c == '.' && (i == 0 || text[i-1] != '.'):
		case c == '/' && (i == 0 || text[i-1] != '/'):
		default:
			return false
		}
	}
	return true
}

// plainHeader says that a header that lists media types, codings or languages
// holds nothing but such a list: names, stars and weights break out of nothing.
func plainHeader(v *request.Value, text []byte) bool {
	if v.Kind != request.HeaderKind {
		return false
	}
	if name := string(v.Name); name != "content-type" && !strings.HasPrefix(name, "accept") {
		return false
	}
	for i, c := range text {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '+', c == '*', c == '=', c == ' ':
		case c == '.' && (i == 0 || text[i-1] != '.'):
		case (c == '/' || c == ';' || c == ',') && (i == 0 || text[i-1] != c):
		default:
			return false
		}
	}
	return true
}

func (c *Check) finding(s *scratch, u *suspect) check.Finding {
	e := c.model.Explain(&s.model, u.text, u.hit)
	return check.Finding{
		Check: Name, ID: u.class.String(), Where: u.value.Where(),
		Message:  "looks like " + u.class.Title(),
		Severity: severity(u.hit.Score), Score: float64(u.hit.Score),
		Excerpt: e.Text, Mark: e.Mark, Detail: detail(u, e),
		Tags: []string{u.class.CWE(), u.class.String()},
	}
}

func severity(score float32) check.Severity {
	switch {
	case score >= 95:
		return check.Critical
	case score >= 80:
		return check.High
	case score >= 50:
		return check.Medium
	}
	return check.Low
}

func detail(u *suspect, e model.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "read %s", e.View)
	if u.hit.Floor != "" {
		fmt.Fprintf(&b, "; certain: a %s", u.hit.Floor)
	}
	for i, s := range e.Signs {
		if i == 0 {
			b.WriteString("; counted most: ")
		} else {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %+.1f", s.Sign, s.Logit)
	}
	if u.hit.Lowered > 0 {
		fmt.Fprintf(&b, ", %s %+.1f", u.hit.Why, -u.hit.Lowered)
	}
	fmt.Fprintf(&b, "; log odds %+.1f", u.hit.Logit)
	if u.change != 0 {
		fmt.Fprintf(&b, ", in context %+.1f: %s", u.hit.Logit+u.change, u.why)
	}
	return b.String()
}
