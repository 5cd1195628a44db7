// Package event is the record of what happened and why: its fields, its
// redaction, its sinks and its store.
package event

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
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
	Body       []byte  // the first bytes, up to the store's bound
	BodyBytes  int64   // the whole body's length

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
	e.Headers = make([]Field, len(r.Headers))
	for i, h := range r.Headers {
		e.Headers[i] = Field{string(h.Name), string(h.Value)}
	}
	e.Body = append(e.Body, r.Body.Bytes[:min(len(r.Body.Bytes), MaxBody)]...)
	return e
}

// MaxBody bounds the bytes of a body that an event keeps.
const MaxBody = 8 << 10
