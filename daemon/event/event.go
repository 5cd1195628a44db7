// Package event is the record of what happened and why: its fields, its
// redaction, its sinks and its store.
package event

import (
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/request"
)

// Kind says what an event is about.
type Kind string

// Kinds of event.
const (
	KindRequest  Kind = "request"   // a request was judged
	KindLate     Kind = "late"      // a verdict came too late or never; the failure policy answered
	KindLimit    Kind = "bound"     // a body or table passed its bound
	KindPanic    Kind = "panic"     // a check failed; the failure policy answered
	KindFailOpen Kind = "fail-open" // NGINX let a request pass while the daemon was away
	KindReload   Kind = "reload"    // a policy was applied or refused
	KindAudit    Kind = "audit"     // a person changed something: mode, ban, unban
	KindState    Kind = "state"     // a state file was set aside, a store fell back, a sink is stalled
	KindBypass   Kind = "bypass"    // traffic reached a backend without the gateway
	KindOutcome  Kind = "outcome"   // how a recorded request ended, or that nobody said
)

// Event is one record. Whoever makes it owns it; a sink copies what it keeps
// past the call. Secrets may stand in it until Redact.
type Event struct {
	Kind Kind
	Time time.Time
	// ID is the request's id, or one made for an event without a request.
	ID string

	Client     netip.AddrPort
	ServerAddr netip.AddrPort
	TLSVersion string
	Protocol   string
	Method     string
	Host       string
	URI        string
	Headers    []Field // as received
	// HeadersCut says that headers past MaxHeaders were left out.
	HeadersCut bool
	Body       []byte // the first bytes, up to MaxBody
	BodyBytes  int64  // the whole body's length
	// BodyCut says, once it was redacted, that Body is not the whole of it.
	BodyCut bool
	// BodyOmitted says why Redacted kept nothing of the body: "binary",
	// "encoded" (by its Content-Encoding) or "off".
	BodyOmitted string

	Site, Route string
	Mode        string // the route's: "off", "detect", "enforce"
	Door        string // "enter", "body", "leave", "relay", "offline"

	// Verdict is "allow" or "deny" as answered; WouldDeny says that detect
	// mode alone made it an allow.
	Verdict   string
	WouldDeny bool
	Status    int
	Score     float64
	Why       string // the policy line that decided
	Findings  []check.Finding
	Excepted  []check.Finding // findings that an exception took away
	Dropped   int
	// SourceReputation is the reputation the policy weighed.
	SourceReputation float64

	// Message is for events that are not about one request.
	Message string
	// Actor is who caused an audit event, "root (uid 0)".
	Actor string
	// Duration is how long the judgement took.
	Duration time.Duration

	// Outcome is how the request ended, on an event of KindOutcome; nil there
	// says that no access log line came.
	Outcome *outcome.Outcome

	// Policy names the policy that judged: its hash, from the configuration.
	Policy string
}

// Field is a header of the recorded request.
type Field struct{ Name, Value string }

// OfRequest starts an event about r, copying what it takes.
func OfRequest(r *request.Request) *Event {
	e := &Event{
		Kind: KindRequest, Time: r.Received, ID: string(r.ID),
		Client: r.Client, ServerAddr: r.ServerAddr, TLSVersion: r.TLS.Version,
		Protocol: r.Protocol, Method: r.Method, Host: string(r.Host), URI: string(r.URI),
		BodyBytes: r.Body.Length, SourceReputation: r.Source.Reputation,
	}
	e.Headers, e.HeadersCut = copyHeaders(r.Headers)
	e.URI = e.URI[:min(len(e.URI), MaxURI)]
	e.Body = append(e.Body, r.Body.Bytes[:min(len(r.Body.Bytes), MaxBody)]...)
	return e
}

// Bounds of what an event keeps of a request, in bytes: of its body, of its
// headers' names and values together, of its target.
const (
	MaxBody    = 8 << 10
	MaxHeaders = 16 << 10
	MaxURI     = 8 << 10
)

func copyHeaders(headers []request.Header) ([]Field, bool) {
	out := make([]Field, 0, min(len(headers), 256))
	room := MaxHeaders
	for _, h := range headers {
		if room -= len(h.Name) + len(h.Value) + 4; room < 0 {
			return out, true
		}
		out = append(out, Field{string(h.Name), string(h.Value)})
	}
	return out, false
}

// Header is the value of the first header of that name, in any case.
func (e *Event) Header(name string) string {
	for _, h := range e.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// size is about what an event takes in memory, in bytes.
func (e *Event) size() int64 {
	n := 512 + len(e.URI) + len(e.Body) + len(e.Message) + len(e.Why)
	for i := range e.Headers {
		n += 32 + len(e.Headers[i].Name) + len(e.Headers[i].Value)
	}
	for _, fs := range [2][]check.Finding{e.Findings, e.Excepted} {
		for i := range fs {
			n += 320 + len(fs[i].Excerpt) + len(fs[i].Detail)
		}
	}
	return int64(n)
}
