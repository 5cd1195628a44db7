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

// Settings are the check's settings, table [score].
type Settings struct {
	// Model is the file of an attack model to use instead of the built-in
	// one, made by "sallyport model train". Empty uses the built-in model.
	Model string `toml:"model"`
	// ReportScore is the lowest score, 0 to 100, that makes a finding. The
	// model's scores are calibrated so that 80 is where a denial is right
	// for all but about one in thousands of benign requests.
	ReportScore float64 `toml:"report_score"`
}

// Defaults are the settings without a configuration.
func Defaults() Settings { return Settings{ReportScore: 50} }

// Check scores requests.
type Check struct {
	settings Settings
	model    *model.Model
	scratch  sync.Pool
}

// New builds the check.
func New(s Settings, env check.Env) (check.Check, error) {
	if s.ReportScore < 1 || s.ReportScore > 100 {
		return nil, &check.SettingError{Key: "report_score", Err: fmt.Errorf("%v is not between 1 and 100", s.ReportScore)}
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
	return &Check{settings: s, model: m, scratch: sync.Pool{New: func() any { return new(model.Scratch) }}}, nil
}

// Name is the check's name.
func (c *Check) Name() string { return Name }

// Needs says that both visits are looked at.
func (c *Check) Needs() check.Phase { return check.Head | check.Body }

// best is the most hostile value of one class.
type best struct {
	hit   model.Hit
	text  []byte
	value *request.Value
}

// Judge adds at most one finding for each class of attack: about the value
// that looks most like it.
func (c *Check) Judge(v *check.Visit) {
	s := c.scratch.Get().(*model.Scratch)
	defer c.scratch.Put(s)
	var byClass [32]best
	any := false
	Values(v.Request, v.Phase, func(value *request.Value, text []byte) {
		hit := c.model.Score(s, text)
		if float64(hit.Score) < c.settings.ReportScore {
			return
		}
		class := c.model.Classify(s, text, hit)
		if b := &byClass[class%32]; hit.Score > b.hit.Score {
			*b = best{hit, text, value}
			any = true
		}
	})
	if !any {
		return
	}
	for class := range byClass {
		if b := &byClass[class]; b.hit.Score > 0 {
			v.Add(c.finding(s, model.Class(class), b))
		}
	}
}

func (c *Check) finding(s *model.Scratch, class model.Class, b *best) check.Finding {
	e := c.model.Explain(s, b.text, b.hit)
	f := check.Finding{
		Check: Name, ID: class.String(), Where: b.value.Where(),
		Message:  fmt.Sprintf("looks like %s", class.Title()),
		Severity: severity(b.hit.Score), Score: float64(b.hit.Score),
		Excerpt: e.Text, Mark: e.Mark, Detail: detail(b.hit, e),
		Tags: []string{class.CWE(), class.String()},
	}
	return f
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

func detail(hit model.Hit, e model.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "read %s", e.View)
	if hit.Floor != "" {
		fmt.Fprintf(&b, "; certain: a %s", hit.Floor)
	}
	for i, s := range e.Signs {
		if i == 0 {
			b.WriteString("; counted most: ")
		} else {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %+.1f", s.Sign, s.Logit)
	}
	fmt.Fprintf(&b, "; log odds %+.1f", hit.Logit)
	return b.String()
}
