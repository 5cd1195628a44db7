// Package check is the contract between the walk and the checks: what a check
// is given, what it may answer, and how it hears what became of a request.
//
// A check knows nothing of other checks, of routes or of verdicts. It looks at
// a request and adds findings; the policy alone decides what they mean.
package check

import (
	"time"

	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/request"
)

// Severity orders findings for people. The policy decides by Score.
type Severity uint8

// Severities, with the score a finding has that sets none of its own.
const (
	Info     Severity = iota // 0: worth a line, never a denial
	Low                      // 20
	Medium                   // 50
	High                     // 80
	Critical                 // 95
)

var severityNames = [...]string{"info", "low", "medium", "high", "critical"}

// String is the severity's name in lower case.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return "unknown"
}

// Score is the score a finding of this severity has unless it sets its own.
func (s Severity) Score() float64 { return [...]float64{0, 20, 50, 80, 95}[min(s, Critical)] }

// Finding is one thing a check has to say against a request.
type Finding struct {
	Check   string // the check's name, "signature"
	ID      string // stable within the check, "1:100001" or "unknown_path"
	Message string // one line for a person
	Where   string // the value it is about, "query:q"; empty for the whole request

	Severity Severity
	// Score is the confidence, 0 to 100, that this is an attack or a
	// violation; 0 takes the severity's.
	Score float64
	// Deny asks for a denial whatever the score (a rule that says drop). The
	// policy still has the last word: detect mode and exceptions hold.
	Deny bool

	// Excerpt is the text the finding is about, cut to MaxExcerpt bytes, and
	// Mark the part of it that matched, as offset and length. Redaction is
	// the event's business.
	Excerpt string
	Mark    [2]int
	// Detail says more than Message where there is more to say: what was
	// expected, the schema's location, the features that counted.
	Detail string
	// Rule points to where the finding's rule is written, "file:line".
	Rule string
	// Tags are CVE, CWE and class names for search.
	Tags []string

	// Status and RetryAfter are how a denial for this finding is to be
	// answered; 0 leaves it to the policy (403).
	Status     int
	RetryAfter time.Duration
	// RateLimit and RateLimitPolicy are header values for the answer.
	RateLimit, RateLimitPolicy string
	// Delay asks to hold the answer back, Ban to refuse the source for a time.
	Delay, Ban time.Duration
}

// Bounds of what one visit keeps. Past MaxFindings the rest is counted in
// Visit.Dropped; a longer excerpt is cut.
const (
	MaxFindings = 64
	MaxExcerpt  = 256
)

// Phase is a visit's part of a request, and what a check needs to see.
type Phase uint8

// A request is visited once for its head and, if it has a body, once more.
// On the body's visit the head can still be read, but findings about the
// head alone were made before.
const (
	Head Phase = 1 << iota
	Body
)

// Visit is one look at a request, handed to each check in turn.
type Visit struct {
	Request *request.Request
	Phase   Phase
	// Last says that no further visit of this request follows.
	Last bool
	// Now is the time all windows and expiries go by.
	Now time.Time
	// Site and Route name where the policy put the request.
	Site, Route string
	// Priority is the route's: "critical", "normal" or "low".
	Priority string
	// Token reads the request's token, nil where no check verifies tokens.
	Token TokenReader
	// State holds counters and small state by key. It is shared by all
	// requests of the daemon; an offline judgement gets an empty one.
	State *keyed.Store
	// Stateless says that this request stands alone: learned profiles and
	// inventories neither judge nor learn from it. State may be used: it is empty.
	Stateless bool
	// Explain, when set, receives what a check looked at, in words.
	Explain func(check, note string)

	// Findings holds what was added so far by all checks; a check adds through Add.
	Findings []Finding
	// Dropped counts findings past MaxFindings.
	Dropped int
}

// Add records a finding and fills in its score from its severity.
func (v *Visit) Add(f Finding) {
	if len(v.Findings) >= MaxFindings {
		v.Dropped++
		return
	}
	if f.Score == 0 {
		f.Score = f.Severity.Score()
	}
	v.Findings = append(v.Findings, f)
}

// Note explains, if anybody asked.
func (v *Visit) Note(check, note string) {
	if v.Explain != nil {
		v.Explain(check, note)
	}
}

// Check looks at requests. Judge is called from many goroutines at once, each
// with a Visit of its own. A panic in Judge is caught by the walk and answered
// by the route's failure policy.
type Check interface {
	Name() string
	// Needs says on which visits Judge is to be called.
	Needs() Phase
	Judge(v *Visit)
}

// TokenReader reads the token of a request, after verifying it: once, however
// many ask. The check that verifies tokens is one. The walk attaches it to the
// visit, so that whoever asks need not know which check that is.
type TokenReader interface {
	// Claim is a claim as text. It is not ok without a token, for one that does
	// not hold, and for a claim that is not there or no single value.
	Claim(r *request.Request, name string) (value string, ok bool)
	// Verifies says whether there are keys to verify a token by.
	Verifies() bool
}

// FindingObserver is a Check, or other part, that hears what was found and
// decided, after the verdict and outside its time. The visit is valid during
// the call alone.
type FindingObserver interface {
	Found(v *Visit, denied bool)
}

// OutcomeObserver is a Check, or other part, that hears how requests ended.
type OutcomeObserver interface {
	Ended(o *outcome.Outcome, state *keyed.Store)
}

// Env is what a check may use while it is built.
type Env struct {
	// Dir is the folder that relative file names in the settings start from.
	Dir string
	// StateDir is where state that survives a restart may be kept; empty offline.
	StateDir string
	// Old is the check of this name in the running policy, or nil: what
	// survives a reload is taken from it.
	Old Check
	// Scope is the route whose own settings these are, "site/route"; empty for
	// those of all routes. It tells two checks of one name apart.
	Scope string
	// DoorTimeout is how long NGINX waits for ENTER: a check that holds an
	// answer back holds it for at most half of that. 0 offline.
	DoorTimeout time.Duration
	// Hosts are the hosts that the sites name, "*.example.com" among them; none
	// when a site takes every host.
	Hosts []string
	// Warn reports what the person who wrote the settings should know though
	// it is no error: rules skipped, a flaw in a document.
	Warn func(message string)
}

// Resolve makes a file name of the settings absolute.
func (e Env) Resolve(name string) string { return resolve(e.Dir, name) }

// SettingError is an error in one setting; config adds file, line and column.
type SettingError struct {
	Key string // dotted path below the check's table, "rules" or "limit.0.window"
	Err error
}

func (e *SettingError) Error() string { return e.Key + ": " + e.Err.Error() }
func (e *SettingError) Unwrap() error { return e.Err }
