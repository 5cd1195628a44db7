package event

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/outcome"
)

// Parse reads an event that AppendJSON wrote. Fields it does not know are
// passed over, so that older tools read newer events.
func Parse(line []byte) (*Event, error) {
	var d document
	if err := json.Unmarshal(line, &d); err != nil {
		return nil, fmt.Errorf("read an event: %w", err)
	}
	if d.Own.Schema == 0 || d.Event.Action == "" {
		return nil, fmt.Errorf("read an event: this JSON object is none (sallyport.schema and event.action were expected)")
	}
	return d.event(), nil
}

type document struct {
	Time    time.Time `json:"@timestamp"`
	Message string    `json:"message"`
	Event   struct {
		Action   string  `json:"action"`
		ID       string  `json:"id"`
		Reason   string  `json:"reason"`
		Score    float64 `json:"risk_score"`
		Duration int64   `json:"duration"`
	} `json:"event"`
	HTTP struct {
		Version string `json:"version"`
		Request struct {
			Method string `json:"method"`
			Bytes  int64  `json:"bytes"`
			Body   struct {
				Bytes   int64  `json:"bytes"`
				Content string `json:"content"`
			} `json:"body"`
		} `json:"request"`
		Response struct {
			Status int   `json:"status_code"`
			Bytes  int64 `json:"bytes"`
		} `json:"response"`
	} `json:"http"`
	URL struct {
		Original string `json:"original"`
		Domain   string `json:"domain"`
	} `json:"url"`
	Client addressDoc `json:"client"`
	Server addressDoc `json:"server"`
	TLS    struct {
		Version string `json:"version"`
	} `json:"tls"`
	User struct {
		Name string `json:"name"`
	} `json:"user"`
	Own ownDoc `json:"sallyport"`
}

type addressDoc struct {
	IP   string `json:"ip"`
	Port uint16 `json:"port"`
}

func (a addressDoc) addrPort() netip.AddrPort {
	ip, err := netip.ParseAddr(a.IP)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, a.Port)
}

type ownDoc struct {
	Schema      int          `json:"schema"`
	Site        string       `json:"site"`
	Route       string       `json:"route"`
	Mode        string       `json:"mode"`
	Door        string       `json:"door"`
	Verdict     string       `json:"verdict"`
	WouldDeny   bool         `json:"would_deny"`
	Policy      string       `json:"policy"`
	Reputation  float64      `json:"source_reputation"`
	Note        string       `json:"note"`
	Findings    []findingDoc `json:"findings"`
	Excepted    []findingDoc `json:"excepted"`
	Dropped     int          `json:"findings_dropped"`
	Headers     []Field      `json:"headers"`
	HeadersCut  bool         `json:"headers_cut"`
	BodyOmitted string       `json:"body_omitted"`
	BodyCut     bool         `json:"body_cut"`
	Outcome     *outcomeDoc  `json:"outcome"`
}

type findingDoc struct {
	Check    string   `json:"check"`
	ID       string   `json:"id"`
	Message  string   `json:"message"`
	Where    string   `json:"where"`
	Severity string   `json:"severity"`
	Score    float64  `json:"score"`
	Deny     bool     `json:"deny"`
	Excerpt  string   `json:"excerpt"`
	Mark     [2]int   `json:"mark"`
	Detail   string   `json:"detail"`
	Rule     string   `json:"rule"`
	Tags     []string `json:"tags"`
	Status   int      `json:"status"`
	DelayMS  float64  `json:"delay_ms"`
	BanMS    float64  `json:"ban_ms"`
}

type outcomeDoc struct {
	State          string  `json:"state"`
	RequestMS      float64 `json:"request_ms"`
	UpstreamStatus int     `json:"upstream_status"`
	UpstreamMS     float64 `json:"upstream_ms"`
	UpstreamAddr   string  `json:"upstream_address"`
	Authenticated  bool    `json:"authenticated"`
	Denied         bool    `json:"denied"`
	FailedOpen     bool    `json:"failed_open"`
}

func (d *document) event() *Event {
	o := &d.Own
	e := &Event{
		Kind: Kind(d.Event.Action), Time: d.Time, ID: d.Event.ID,
		Client: d.Client.addrPort(), ServerAddr: d.Server.addrPort(),
		Method: d.HTTP.Request.Method, Host: d.URL.Domain, URI: d.URL.Original,
		Headers: o.Headers, HeadersCut: o.HeadersCut, BodyOmitted: o.BodyOmitted, BodyCut: o.BodyCut,
		BodyBytes: d.HTTP.Request.Body.Bytes,
		Site:      o.Site, Route: o.Route, Mode: o.Mode, Door: o.Door,
		Verdict: o.Verdict, WouldDeny: o.WouldDeny, Status: d.HTTP.Response.Status,
		Score: d.Event.Score, Why: d.Event.Reason, Message: o.Note,
		Findings: findings(o.Findings), Excepted: findings(o.Excepted), Dropped: o.Dropped,
		SourceReputation: o.Reputation, Actor: d.User.Name,
		Duration: time.Duration(d.Event.Duration), Policy: o.Policy,
	}
	if d.HTTP.Request.Body.Content != "" {
		e.Body = []byte(d.HTTP.Request.Body.Content)
	}
	if d.TLS.Version != "" {
		e.TLSVersion = "TLSv" + d.TLS.Version
	}
	if d.HTTP.Version != "" {
		e.Protocol = "HTTP/" + d.HTTP.Version
	}
	if e.Method == "" && e.Kind != KindOutcome {
		e.Message = d.Message
		if tail := " (" + e.Why + ")"; e.Why != "" && len(e.Message) > len(tail) && e.Message[len(e.Message)-len(tail):] == tail {
			e.Message = e.Message[:len(e.Message)-len(tail)]
		}
	}
	if o.Outcome != nil && o.Outcome.State == "known" {
		e.Status = 0
		e.Outcome = &outcome.Outcome{
			ID: e.ID, Time: e.Time, Client: e.Client.Addr(), Host: e.Host, Method: e.Method, URI: e.URI,
			Site: e.Site, Route: e.Route, Protocol: e.Protocol,
			Status: d.HTTP.Response.Status, RequestBytes: d.HTTP.Request.Bytes, ResponseBytes: d.HTTP.Response.Bytes,
			RequestTime: millis(o.Outcome.RequestMS), UpstreamTime: millis(o.Outcome.UpstreamMS),
			UpstreamStatus: o.Outcome.UpstreamStatus, UpstreamAddr: o.Outcome.UpstreamAddr,
			Authenticated: o.Outcome.Authenticated, Denied: o.Outcome.Denied, FailedOpen: o.Outcome.FailedOpen,
		}
	}
	return e
}

func millis(ms float64) time.Duration { return time.Duration(ms * 1e6) }

var severities = map[string]check.Severity{
	"info": check.Info, "low": check.Low, "medium": check.Medium, "high": check.High, "critical": check.Critical,
}

func findings(docs []findingDoc) []check.Finding {
	if len(docs) == 0 {
		return nil
	}
	out := make([]check.Finding, len(docs))
	for i, d := range docs {
		out[i] = check.Finding{
			Check: d.Check, ID: d.ID, Message: d.Message, Where: d.Where,
			Severity: severities[d.Severity], Score: d.Score, Deny: d.Deny,
			Excerpt: d.Excerpt, Mark: d.Mark, Detail: d.Detail, Rule: d.Rule, Tags: d.Tags,
			Status: d.Status, Delay: millis(d.DelayMS), Ban: millis(d.BanMS),
		}
	}
	return out
}
