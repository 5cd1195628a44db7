package event

import (
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/outcome"
)

// SchemaVersion is the version of the field names, at sallyport.schema. A name
// is never given another meaning; a new one does not raise it.
const SchemaVersion = 1

// ecsVersion is the version of Elastic Common Schema the names were taken from.
const ecsVersion = "8.11.0"

// timeFormat keeps microseconds and is always UTC.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// AppendJSON appends e as one JSON object without a line end. Fields of no
// value are left out. README.md lists the names.
func AppendJSON(b []byte, e *Event) []byte {
	w := &writer{append(b, '{')}
	w.key("@timestamp")
	w.b = append(w.b, '"')
	w.b = e.Time.UTC().AppendFormat(w.b, timeFormat)
	w.b = append(w.b, '"')
	w.str("message", e.Summary())
	w.open("ecs")
	w.str("version", ecsVersion)
	w.close()
	w.open("log")
	w.str("level", e.Level())
	w.close()
	e.appendEvent(w)
	e.appendHTTP(w)
	appendAddress(w, "client", e.Client)
	appendAddress(w, "server", e.ServerAddr)
	if v, ok := strings.CutPrefix(e.TLSVersion, "TLSv"); ok {
		w.open("tls")
		w.str("version", v)
		w.str("version_protocol", "tls")
		w.close()
	}
	if e.Actor != "" {
		w.open("user")
		w.str("name", e.Actor)
		w.close()
	}
	if ua := e.Header("User-Agent"); ua != "" {
		w.open("user_agent")
		w.str("original", ua)
		w.close()
	}
	e.appendOwn(w)
	w.close()
	return w.b
}

// appendEvent writes ECS's event.* fields.
func (e *Event) appendEvent(w *writer) {
	kind, category, typ := "event", "web", "info"
	switch e.Kind {
	case KindRequest, KindLate, KindPanic, KindLimit:
		if e.Verdict == "deny" {
			kind, typ = "alert", "denied"
		} else if e.Verdict == "allow" {
			typ = "allowed"
			if len(e.Findings) > 0 {
				kind = "alert"
			}
		}
	case KindFailOpen:
		kind, typ = "alert", "allowed"
	case KindBypass:
		kind, category, typ = "alert", "network", "allowed"
	case KindReload, KindAudit:
		category, typ = "configuration", "change"
	case KindState:
		kind, category = "state", "process"
	case KindOutcome:
		typ = "end"
	}
	w.open("event")
	w.str("kind", kind)
	w.list("category")
	w.strItem(category)
	w.closeList()
	w.list("type")
	w.strItem(typ)
	w.closeList()
	w.str("action", string(e.Kind))
	w.str("module", "sallyport")
	w.str("dataset", "sallyport.event")
	w.str("id", e.ID)
	w.str("reason", e.Why)
	w.float("risk_score", e.Score)
	w.int("duration", int64(e.Duration))
	w.close()
}

func (e *Event) appendHTTP(w *writer) {
	if e.Method == "" && e.Outcome == nil && e.Status == 0 {
		return
	}
	w.open("http")
	if v, ok := strings.CutPrefix(e.Protocol, "HTTP/"); ok {
		w.str("version", v)
	}
	w.open("request")
	w.str("id", e.ID)
	w.str("method", e.Method)
	if o := e.Outcome; o != nil {
		w.int("bytes", o.RequestBytes)
	}
	if e.BodyBytes > 0 || len(e.Body) > 0 {
		w.open("body")
		w.int("bytes", e.BodyBytes)
		w.str("content", string(e.Body))
		w.close()
	}
	w.close()
	status, bytes := e.Status, int64(0)
	if o := e.Outcome; o != nil {
		status, bytes = o.Status, o.ResponseBytes
	}
	if status != 0 {
		w.open("response")
		w.int("status_code", int64(status))
		w.int("bytes", bytes)
		w.close()
	}
	w.close()
	if e.URI == "" && e.Host == "" {
		return
	}
	path, _, _ := strings.Cut(e.URI, "?")
	w.open("url")
	w.str("original", e.URI)
	w.str("domain", e.Host)
	w.str("path", path)
	w.close()
}

func appendAddress(w *writer, name string, a netip.AddrPort) {
	if !a.Addr().IsValid() {
		return
	}
	w.open(name)
	w.str("ip", a.Addr().Unmap().String())
	w.int("port", int64(a.Port()))
	w.close()
}

// appendOwn writes what no common schema has a name for.
func (e *Event) appendOwn(w *writer) {
	w.open("sallyport")
	w.int("schema", SchemaVersion)
	w.str("site", e.Site)
	w.str("route", e.Route)
	w.str("mode", e.Mode)
	w.str("door", e.Door)
	w.str("verdict", e.Verdict)
	w.bool("would_deny", e.WouldDeny)
	w.str("policy", e.Policy)
	w.float("source_reputation", e.SourceReputation)
	if e.Method != "" || e.Kind == KindOutcome {
		w.str("note", e.Message) // else it is the message itself
	}
	appendFindings(w, "findings", e.Findings)
	appendFindings(w, "excepted", e.Excepted)
	w.int("findings_dropped", int64(e.Dropped))
	if len(e.Headers) > 0 {
		w.list("headers")
		for i := range e.Headers {
			w.openItem()
			w.str("name", e.Headers[i].Name)
			w.key("value")
			w.b = appendString(w.b, e.Headers[i].Value)
			w.close()
		}
		w.closeList()
	}
	w.bool("headers_cut", e.HeadersCut)
	w.str("body_omitted", e.BodyOmitted)
	w.bool("body_cut", e.BodyCut)
	if e.Kind == KindOutcome || e.Outcome != nil {
		appendOutcome(w, e.Outcome)
	}
	w.close()
}

func appendFindings(w *writer, name string, fs []check.Finding) {
	if len(fs) == 0 {
		return
	}
	w.list(name)
	for i := range fs {
		f := &fs[i]
		w.openItem()
		w.str("check", f.Check)
		w.str("id", f.ID)
		w.str("message", f.Message)
		w.str("where", f.Where)
		w.str("severity", f.Severity.String())
		w.float("score", f.Score)
		w.bool("deny", f.Deny)
		w.str("excerpt", f.Excerpt)
		if f.Mark[1] > 0 {
			w.list("mark")
			w.item()
			w.b = appendFloat(w.b, float64(f.Mark[0]))
			w.item()
			w.b = appendFloat(w.b, float64(f.Mark[1]))
			w.closeList()
		}
		w.str("detail", f.Detail)
		w.str("rule", f.Rule)
		if len(f.Tags) > 0 {
			w.list("tags")
			for _, t := range f.Tags {
				w.strItem(t)
			}
			w.closeList()
		}
		w.int("status", int64(f.Status))
		w.ms("delay_ms", f.Delay)
		w.ms("ban_ms", f.Ban)
		w.close()
	}
	w.closeList()
}

func appendOutcome(w *writer, o *outcome.Outcome) {
	w.open("outcome")
	if o == nil {
		w.str("state", "missing")
		w.close()
		return
	}
	w.str("state", "known")
	w.ms("request_ms", o.RequestTime)
	w.int("upstream_status", int64(o.UpstreamStatus))
	w.ms("upstream_ms", o.UpstreamTime)
	w.str("upstream_address", o.UpstreamAddr)
	w.bool("authenticated", o.Authenticated)
	w.bool("denied", o.Denied)
	w.bool("failed_open", o.FailedOpen)
	w.close()
}
