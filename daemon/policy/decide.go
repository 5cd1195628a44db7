package policy

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/request"
)

// Thresholds by name: the score from which a request is denied.
var Thresholds = map[string]float64{"critical": 95, "high": 80, "medium": 60}

// ReputationWeight is how far the worst reputation alone takes the distance
// between a request's score and 100, once there is a finding at all.
const ReputationWeight = 0.3

// MinOpinion is the score below which a check's opinion adds nothing to those
// of others: an oddity beside a suspicion makes no attack.
const MinOpinion = 40

// Verdict is what the policy decided about a request so far.
type Verdict struct {
	Deny bool
	// Unanswered asks the door to hang up, as a dead daemon would: a canary of
	// sallyport prove finds out what NGINX makes of that.
	Unanswered bool
	// WouldDeny says that detect mode alone kept Deny from being set.
	WouldDeny bool
	// Status answers a denial: 401, 403, 404, 413, 415, 422, 426, 429, 451 or 503.
	Status     int
	RetryAfter time.Duration
	RateLimit  string
	RatePolicy string
	Delay      time.Duration
	Ban        time.Duration
	Score      float64
	// Why is the line of policy that decided, for people.
	Why string
	// Mode is the route's mode as it held, an override included.
	Mode Mode
	// Kept are the findings that count, Excepted those an exception took.
	Kept, Excepted []check.Finding
}

// Moment is when, and under which override, a decision is made.
type Moment struct {
	Now time.Time
	// Ceiling lowers every mode to at most this one while an override holds;
	// Enforce when none does.
	Ceiling Mode
	// CeilingWhy says who set it and why.
	CeilingWhy string
}

// Before decides what needs no check: a route that is off, lists, bans and
// encryption. With ok false the checks are to be asked; a verdict that would
// deny but for detect mode is handed to Decide by its Why and status.
func (p *Policy) Before(route *Route, r *request.Request, at Moment) (v Verdict, ok bool) {
	v.Mode = min(route.Mode, at.Ceiling)
	addr := r.Client.Addr()
	switch {
	case route.Mode == Off:
		v.Why = "route " + route.Name + " is off"
		return v, true
	case Contains(route.Allow, addr):
		v.Why = "the source is on the allow list of route " + route.Name
		return v, true
	case Contains(route.Deny, addr):
		v.refuse(403, "the source is on the deny list of route "+route.Name, at)
	case r.Source.Banned:
		v.refuse(403, "the source is banned: "+r.Source.Why, at)
		v.RetryAfter = max(r.Source.BannedUntil.Sub(at.Now), 0)
	case route.RequireTLS && r.TLS.Version == "":
		v.refuse(route.RequireTLSStatus, "route "+route.Name+" requires encryption and the request came in plain text", at)
	case route.RequireTLS && olderTLS(r.TLS.Version, route.MinTLS):
		v.refuse(403, "route "+route.Name+" requires "+route.MinTLS+" and the request came over "+r.TLS.Version, at)
	default:
		return v, false
	}
	return v, true
}

func (v *Verdict) refuse(status int, why string, at Moment) {
	v.Status, v.Score = status, 100
	v.close(why, at)
}

// olderTLS says whether version got is below want; "" wants nothing.
func olderTLS(got, want string) bool {
	if want == "" {
		return false
	}
	const order = "SSLv2 SSLv3 TLSv1 TLSv1.1 TLSv1.2 TLSv1.3 "
	g, w := strings.Index(order, got+" "), strings.Index(order, want+" ")
	return g < w
}

// opinions collects the highest score each check has given.
type opinions struct {
	names  [16]string
	scores [16]float64
	n      int
}

func (o *opinions) hear(name string, score float64) {
	for i := range o.n {
		if o.names[i] == name {
			o.scores[i] = max(o.scores[i], score)
			return
		}
	}
	if o.n < len(o.names) {
		o.names[o.n], o.scores[o.n] = name, score
		o.n++
	}
}

// Combine is the score that the highest scores of different checks come to: it
// takes those from MinOpinion on for independent, then lets a bad reputation
// take part of what is left to 100.
func Combine(scores []float64, reputation float64) float64 {
	rest, least := 1.0, 1.0
	for _, s := range scores {
		one := 1 - min(max(s, 0), 100)/100
		least = min(least, one)
		if s >= MinOpinion {
			rest *= one
		}
	}
	rest = min(rest, least)
	if rest < 1 {
		rest *= 1 - ReputationWeight*min(max(reputation, 0), 100)/100
	}
	return math.Round((1-rest)*1000) / 10
}

// Decide combines findings into a verdict. The findings of one check are one
// opinion: its highest score counts; opinions of different checks, from
// MinOpinion on, add up as 1 - product of (1 - score). Findings of a check in detect mode are kept and
// do not count. The findings slice is reordered.
func (p *Policy) Decide(route *Route, r *request.Request, findings []check.Finding, at Moment) Verdict {
	v := Verdict{Mode: min(route.Mode, at.Ceiling)}
	v.Kept, v.Excepted = p.except(route, findings, at.Now)
	var heard opinions
	var worst, asked, askedIdle *check.Finding
	for i := range v.Kept {
		f := &v.Kept[i]
		if !route.enforced(f.Check) {
			if f.Deny && askedIdle == nil {
				askedIdle = f
			}
			continue
		}
		heard.hear(f.Check, f.Score)
		v.Delay = max(v.Delay, f.Delay)
		v.Ban = max(v.Ban, f.Ban)
		if worst == nil || f.Score > worst.Score {
			worst = f
		}
		if f.Deny && (asked == nil || f.Score > asked.Score) {
			asked = f
		}
	}
	v.Score = Combine(heard.scores[:heard.n], r.Source.Reputation)
	switch {
	case asked != nil:
		v.Score = max(v.Score, asked.Score)
		v.answerAs(asked)
		v.close(asked.Check+" "+asked.ID+" asks for a denial", at)
	case worst != nil && v.Score >= route.DenyAt:
		v.answerAs(worst)
		v.close(fmt.Sprintf("score %.1f reaches %s (%g) of route %s; most from %s %s", v.Score, route.DenyAtName, route.DenyAt, route.Name, worst.Check, worst.ID), at)
	case askedIdle != nil:
		v.WouldDeny = true
		v.Why = fmt.Sprintf("%s %s asks for a denial; allowed, for the check is in detect mode on route %s", askedIdle.Check, askedIdle.ID, route.Name)
	case len(v.Kept) > 0:
		v.Why = fmt.Sprintf("score %.1f is below %s (%g) of route %s", v.Score, route.DenyAtName, route.DenyAt, route.Name)
	case len(v.Excepted) > 0:
		v.Why = "every finding is excepted on route " + route.Name
	default:
		v.Why = "no finding"
	}
	if v.Mode < Enforce {
		v.Delay, v.Ban = 0, 0
	}
	return v
}

func (v *Verdict) answerAs(f *check.Finding) {
	v.Status, v.RetryAfter, v.RateLimit, v.RatePolicy = f.Status, f.RetryAfter, f.RateLimit, f.RateLimitPolicy
}

// close denies where the mode lets it, and says what else happened where not.
func (v *Verdict) close(why string, at Moment) {
	if v.Status == 0 {
		v.Status = 403
	}
	v.Why = why
	if v.Mode == Enforce {
		v.Deny = true
		return
	}
	v.WouldDeny = true
	if at.Ceiling < Enforce {
		v.Why += "; allowed, for " + at.Ceiling.String() + " mode was set: " + at.CeilingWhy
	} else {
		v.Why += "; allowed, for the route is in detect mode"
	}
}

// except parts the findings that an exception takes away from the others.
func (p *Policy) except(route *Route, findings []check.Finding, now time.Time) (kept, excepted []check.Finding) {
	if len(p.Exceptions) == 0 || len(findings) == 0 {
		return findings, nil
	}
	kept = findings[:0]
	for _, f := range findings {
		if e := p.exceptionFor(route, &f, now); e != nil {
			f.Detail = "excepted: " + e.Reason
			excepted = append(excepted, f)
		} else {
			kept = append(kept, f)
		}
	}
	return kept, excepted
}

func (p *Policy) exceptionFor(route *Route, f *check.Finding, now time.Time) *Exception {
	for i := range p.Exceptions {
		e := &p.Exceptions[i]
		if (e.Site == "" || e.Site == route.Site) && (e.Route == "" || e.Route == route.Name) &&
			e.Check == f.Check && (e.ID == "" || e.ID == f.ID) &&
			(e.Expires.IsZero() || now.Before(e.Expires)) && matchWhere(e.Where, f.Where) {
			return e
		}
	}
	return nil
}

func matchWhere(pattern, where string) bool {
	if head, any := strings.CutSuffix(pattern, "*"); any {
		return strings.HasPrefix(where, head)
	}
	return pattern == "" || pattern == where
}

// Fail is the verdict when none could be had: a check was late or failed, or
// a table was full. In detect mode it always allows.
func (r *Route) Fail(f Failure, why string, at Moment) Verdict {
	v := Verdict{Mode: min(r.Mode, at.Ceiling), Why: why}
	if f == Closed {
		v.Status = 503
		v.RetryAfter = time.Second
		v.close(why, at)
	}
	return v
}
