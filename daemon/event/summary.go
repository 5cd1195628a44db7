package event

import (
	"fmt"
	"strings"
)

// Summary is the event in one line for a person.
func (e *Event) Summary() string {
	switch {
	case e.Kind == KindOutcome:
		return e.outcomeSummary()
	case e.Method == "":
		if e.Why != "" {
			return e.Message + " (" + e.Why + ")"
		}
		return e.Message
	}
	var b strings.Builder
	b.WriteString(e.VerdictWord())
	if e.Verdict == "deny" {
		fmt.Fprintf(&b, " %d", e.Status)
	}
	b.WriteByte(' ')
	b.WriteString(e.Method)
	b.WriteByte(' ')
	b.WriteString(e.Host)
	path, _, _ := strings.Cut(e.URI, "?")
	b.WriteString(path)
	if e.Client.Addr().IsValid() {
		b.WriteString(" from ")
		b.WriteString(e.Client.Addr().Unmap().String())
	}
	if e.Why != "" {
		b.WriteString(": ")
		b.WriteString(e.Why)
	}
	return b.String()
}

func (e *Event) outcomeSummary() string {
	if e.Outcome == nil {
		return "no access log line came for request " + e.ID
	}
	s := fmt.Sprintf("ended with %d", e.Outcome.Status)
	if e.Outcome.UpstreamStatus != 0 {
		s += fmt.Sprintf(", the backend answered %d in %v", e.Outcome.UpstreamStatus, e.Outcome.UpstreamTime)
	}
	return s
}

// VerdictWord is "deny", "would deny" or "allow"; empty for an event without
// a verdict.
func (e *Event) VerdictWord() string {
	if e.WouldDeny && e.Verdict == "allow" {
		return "would deny"
	}
	return e.Verdict
}

// Level is ECS's log.level: "error" when something is broken, "warn" when
// something was refused or let pass unjudged, else "info".
func (e *Event) Level() string {
	switch {
	case e.Kind == KindPanic:
		return "error"
	case e.Verdict == "deny", e.WouldDeny, e.Kind == KindLate, e.Kind == KindFailOpen, e.Kind == KindBypass, e.Kind == KindState, e.Kind == KindLimit:
		return "warn"
	}
	return "info"
}
