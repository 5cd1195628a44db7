// Package explain puts a decision into words: every check, its finding, its
// score, the line of policy that decided, and what would change it. It works
// from a recorded event alone.
package explain

import (
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/policy"
)

// Style says how a text is marked for whoever reads it.
type Style struct {
	// Strong and Mark surround what stands out; they are empty where there is
	// no terminal.
	Strong, Mark, End string
}

// Terminal marks with ANSI sequences, Plain not at all.
var (
	Terminal = Style{Strong: "\x1b[1m", Mark: "\x1b[7m", End: "\x1b[0m"}
	Plain    = Style{}
)

// Visible makes text from a stranger safe to show: control characters, which a
// terminal would obey, and marks that turn the direction of writing, are
// written out as \xNN or \uNNNN.
func Visible(s string) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !hidden(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func hidden(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2060 && r <= 0x2069 || r == 0xfeff || r == 0xfffd
}

// printer keeps the first error of its writer.
type printer struct {
	w     io.Writer
	style Style
	err   error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// Note is what a check says it looked at.
type Note struct{ Check, Text string }

// Decision writes why e was decided as it was. outcome, which may be nil, is
// the record of how the request ended; notes, if any, what checks looked at.
func Decision(w io.Writer, e, outcome *event.Event, notes []Note, style Style) error {
	p := &printer{w: w, style: style}
	if e.Method == "" {
		p.f("%s at %s: %s\n", e.Kind, when(e.Time), Visible(e.Summary()))
		return p.err
	}
	p.headline(e)
	p.checks(e)
	p.sum(e)
	p.excepted(e)
	p.change(e)
	if len(notes) > 0 {
		p.f("\nWhat the checks looked at:\n")
		for _, n := range notes {
			p.f("  %s: %s\n", n.Check, Visible(n.Text))
		}
	}
	p.ending(outcome)
	return p.err
}

func when(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000 UTC")
}

func (p *printer) headline(e *event.Event) {
	verdict := "was allowed"
	switch {
	case e.Kind == event.KindFailOpen:
		verdict = "passed unjudged"
	case e.Verdict == "deny":
		verdict = fmt.Sprintf("was denied with %d", e.Status)
	case e.WouldDeny:
		verdict = "was allowed, and would have been denied"
	}
	from := ""
	if e.Client.Addr().IsValid() {
		from = " from " + e.Client.Addr().Unmap().String()
	}
	path, _, _ := strings.Cut(e.URI, "?")
	p.f("%s%s %s%s%s %s%s", p.style.Strong, Visible(e.Method), Visible(e.Host), Visible(path), from, verdict, p.style.End)
	p.f("\n  at %s", when(e.Time))
	if e.ID != "" {
		p.f(", request %s", Visible(e.ID))
	}
	if e.Route != "" {
		p.f("\n  on route %s", e.Route)
		if e.Site != "" {
			p.f(" of site %s", e.Site)
		}
		p.f(", mode %s", e.Mode)
	}
	if e.Policy != "" {
		p.f(", policy %s", e.Policy)
	}
	p.f("\n\nDecided by this line of policy:\n  %s%s%s\n", p.style.Strong, Visible(e.Why), p.style.End)
	if e.Message != "" {
		text, _, _ := strings.Cut(e.Message, "\n")
		p.f("What failed: %s\n", Visible(text))
	}
}

func (p *printer) checks(e *event.Event) {
	if len(e.Findings) == 0 {
		p.f("\nNo check had a finding that counts.\n")
		return
	}
	p.f("\nWhat the checks found:\n")
	for i := range e.Findings {
		p.finding(&e.Findings[i])
	}
	if e.Dropped > 0 {
		p.f("  and %d more that were not kept\n", e.Dropped)
	}
}

func (p *printer) finding(f *check.Finding) {
	p.f("  %s%s %s%s: %s (%s, score %s", p.style.Strong, f.Check, Visible(f.ID), p.style.End, Visible(f.Message), f.Severity, number(f.Score))
	if f.Deny {
		p.f(", asks for a denial")
	}
	p.f(")\n")
	if f.Where != "" {
		p.f("      at %s\n", Visible(f.Where))
	}
	p.excerpt(f, "      ")
	if f.Detail != "" {
		p.f("      %s\n", Visible(f.Detail))
	}
	if f.Rule != "" {
		p.f("      rule: %s\n", Visible(f.Rule))
	}
	if len(f.Tags) > 0 {
		p.f("      %s\n", Visible(strings.Join(f.Tags, ", ")))
	}
}

// excerpt writes the text of a finding with what matched underlined.
func (p *printer) excerpt(f *check.Finding, indent string) {
	if f.Excerpt == "" {
		return
	}
	from := min(max(f.Mark[0], 0), len(f.Excerpt))
	to := min(max(from+f.Mark[1], from), len(f.Excerpt))
	if from == to {
		from, to = 0, len(f.Excerpt) // a check that marks nothing means all of it
	}
	before, marked, after := Visible(f.Excerpt[:from]), Visible(f.Excerpt[from:to]), Visible(f.Excerpt[to:])
	p.f("%s%s%s%s%s%s\n", indent, before, p.style.Mark, marked, p.style.End, after)
	p.f("%s%s%s\n", indent, strings.Repeat(" ", runes(before)), strings.Repeat("^", runes(marked)))
}

func runes(s string) int { return len([]rune(s)) }

func number(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// opinion is one check's highest score.
type opinion struct {
	check string
	score float64
}

func opinions(fs []check.Finding) (out []opinion) {
	for i := range fs {
		at := slices.IndexFunc(out, func(o opinion) bool { return o.check == fs[i].Check })
		if at < 0 {
			out = append(out, opinion{fs[i].Check, fs[i].Score})
		} else {
			out[at].score = max(out[at].score, fs[i].Score)
		}
	}
	slices.SortStableFunc(out, func(a, b opinion) int { return int(math.Copysign(1, b.score-a.score)) })
	return out
}

func combined(os []opinion, reputation float64) float64 {
	scores := make([]float64, len(os))
	for i, o := range os {
		scores[i] = o.score
	}
	return policy.Combine(scores, reputation)
}

func (p *printer) sum(e *event.Event) {
	os := opinions(e.Findings)
	if len(os) == 0 {
		return
	}
	p.f("\nThe score: the highest of each check counts, ")
	for i, o := range os {
		if i > 0 {
			p.f(", ")
		}
		p.f("%s %s", o.check, number(o.score))
	}
	p.f("; together %s", number(combined(os, 0)))
	if e.SourceReputation > 0 {
		p.f(", and with the source's reputation of %s: %s", number(e.SourceReputation), number(combined(os, e.SourceReputation)))
	}
	p.f(".\n")
	if got := combined(os, e.SourceReputation); math.Abs(got-e.Score) > 0.15 {
		if e.Score < got {
			p.f("The request's score is %s: findings of checks that are in detect mode on this route do not count.\n", number(e.Score))
		} else {
			p.f("The request's score is %s: the finding that asks for a denial, or the line of policy above, set it.\n", number(e.Score))
		}
	}
}

func (p *printer) excepted(e *event.Event) {
	if len(e.Excepted) == 0 {
		return
	}
	p.f("\nTaken away by exceptions:\n")
	for i := range e.Excepted {
		f := &e.Excepted[i]
		p.f("  %s %s at %s (score %s): %s\n", f.Check, Visible(f.ID), Visible(orWhole(f.Where)), number(f.Score), Visible(f.Detail))
	}
}

func orWhole(where string) string {
	if where == "" {
		return "the whole request"
	}
	return where
}

var thresholdWords = regexp.MustCompile(`(?:reaches|below) (\w+) \(([0-9.]+)\)`)

// change says what would have decided otherwise.
func (p *printer) change(e *event.Event) {
	refused := e.Verdict == "deny" || e.WouldDeny
	m := thresholdWords.FindStringSubmatch(e.Why)
	switch {
	case !refused && m != nil && e.Score > 0:
		p.f("\nWhat would deny it: a score of %s (%s). This request is %s away.\n", m[2], m[1], number(atof(m[2])-e.Score))
		return
	case !refused:
		return
	}
	p.f("\nWhat would change it:\n")
	if len(e.Findings) > 0 {
		p.exceptions(e, m)
	}
	if m != nil {
		for _, name := range slices.Sorted(maps.Keys(policy.Thresholds)) {
			if at := policy.Thresholds[name]; at > e.Score && at > atof(m[2]) {
				p.f("  - threshold = %q on route %s: then a score of %g is needed\n", name, e.Route, at)
			}
		}
	}
	if e.Verdict == "deny" {
		p.f("  - for the time being, and with everything still recorded: sallyport mode detect --for 30m --route %s --why \"...\"\n", orRoute(e.Route))
	} else if e.Mode == "detect" {
		p.f("  - with mode = \"enforce\" on route %s it is denied\n", orRoute(e.Route))
	}
	if len(e.Findings) == 0 {
		p.f("  - the lists, bans or settings that the line of policy names\n")
	}
}

func orRoute(route string) string {
	if route == "" {
		return "NAME"
	}
	return route
}

func atof(s string) float64 {
	v, _ := strconv.ParseFloat(s, 64)
	return v
}

// exceptions says, for each check whose findings counted, what is left without
// them, and writes the exception out for the one that decided.
func (p *printer) exceptions(e *event.Event, m []string) {
	os := opinions(e.Findings)
	for _, o := range os {
		rest := slices.DeleteFunc(slices.Clone(os), func(x opinion) bool { return x.check == o.check })
		left := combined(rest, e.SourceReputation)
		p.f("  - without the findings of %s the score is %s", o.check, number(left))
		asks := slices.ContainsFunc(e.Findings, func(f check.Finding) bool { return f.Deny && f.Check != o.check })
		switch {
		case asks:
			p.f(", and another finding still asks for a denial\n")
		case m != nil && left >= atof(m[2]):
			p.f(", and still denied\n")
		case m != nil:
			p.f(": below %s (%s), so allowed\n", m[1], m[2])
		default:
			p.f("\n")
		}
	}
	f := decisive(e)
	p.f("  - if it is a false alarm, an exception in sallyport.toml or conf.d/:\n")
	p.f("      [[exception]]\n")
	if e.Site != "" {
		p.f("      site = %q\n", e.Site)
	}
	p.f("      route = %q\n      check = %q\n      id = %q\n", e.Route, f.Check, f.ID)
	if f.Where != "" {
		p.f("      where = %q\n", f.Where)
	}
	p.f("      reason = \"...\"\n")
	if !e.Time.IsZero() {
		p.f("      expires = %s\n", e.Time.UTC().AddDate(0, 1, 0).Format("2006-01-02"))
	}
}

// decisive is the finding that asks for a denial, or else the one that weighs
// most.
func decisive(e *event.Event) *check.Finding {
	best := &e.Findings[0]
	for i := range e.Findings {
		f := &e.Findings[i]
		if f.Deny && !best.Deny || f.Deny == best.Deny && f.Score > best.Score {
			best = f
		}
	}
	return best
}

func (p *printer) ending(outcome *event.Event) {
	switch {
	case outcome == nil:
	case outcome.Outcome == nil:
		p.f("\nHow it ended is not known: no access log line came for it.\n")
	default:
		o := outcome.Outcome
		p.f("\nIt ended with status %d after %v", o.Status, o.RequestTime)
		if o.UpstreamAddr != "" {
			p.f("; the backend %s answered %d in %v", Visible(o.UpstreamAddr), o.UpstreamStatus, o.UpstreamTime)
		} else {
			p.f("; no backend saw it")
		}
		p.f(".\n")
	}
}

// Request writes the request of e as it came, redacted, and each finding with
// what matched marked.
func Request(w io.Writer, e, outcome *event.Event, style Style) error {
	p := &printer{w: w, style: style}
	p.f("%s%s%s\n", style.Strong, Visible(e.Summary()), style.End)
	p.f("%s", when(e.Time))
	if e.ID != "" {
		p.f("  %s", Visible(e.ID))
	}
	if e.Client.Addr().IsValid() {
		p.f("  client %s", e.Client)
	}
	if e.TLSVersion != "" {
		p.f("  %s", Visible(e.TLSVersion))
	}
	p.f("\n")
	if e.Method != "" {
		p.f("\n%s %s %s\n", Visible(e.Method), p.highlight(e.URI, e.Findings), Visible(e.Protocol))
		if e.Header("Host") == "" && e.Host != "" {
			p.f("Host: %s\n", Visible(e.Host))
		}
		for _, h := range e.Headers {
			p.f("%s: %s\n", Visible(h.Name), p.highlight(h.Value, e.Findings))
		}
		if e.HeadersCut {
			p.f("(more headers were not kept)\n")
		}
		p.body(e)
	}
	if len(e.Findings) > 0 {
		p.f("\nFindings:\n")
		for i := range e.Findings {
			p.finding(&e.Findings[i])
		}
	}
	p.excepted(e)
	p.ending(outcome)
	return p.err
}

func (p *printer) body(e *event.Event) {
	switch {
	case len(e.Body) > 0:
		p.f("\n")
		for _, line := range strings.Split(strings.TrimRight(string(e.Body), "\r\n"), "\n") {
			p.f("%s\n", p.highlight(strings.TrimRight(line, "\r"), e.Findings))
		}
		if e.BodyCut {
			p.f("(the body goes on: it has %d bytes)\n", e.BodyBytes)
		}
	case e.BodyOmitted != "":
		p.f("\n(a body of %d bytes was not kept: %s)\n", e.BodyBytes, e.BodyOmitted)
	}
}

// highlight marks what findings matched where it stands in the request as it
// was sent; what was encoded there is found in the findings alone.
func (p *printer) highlight(s string, fs []check.Finding) string {
	if p.style.Mark == "" {
		return Visible(s)
	}
	for i := range fs {
		f := &fs[i]
		from, to := f.Mark[0], f.Mark[0]+f.Mark[1]
		if from < 0 || to > len(f.Excerpt) || to-from < 3 {
			continue
		}
		if at := strings.Index(s, f.Excerpt[from:to]); at >= 0 {
			end := at + to - from
			return Visible(s[:at]) + p.style.Mark + Visible(s[at:end]) + p.style.End + Visible(s[end:])
		}
	}
	return Visible(s)
}
