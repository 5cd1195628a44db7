package inventory

import (
	"io"
	"net/http"
	"sort"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sallyport/sallyport/daemon/endpoint"
)

// Endpoint is one line of the inventory.
type Endpoint struct {
	Site   string `json:"site,omitempty"`
	Method string `json:"method"`
	Path   string `json:"path"` // the template, "/users/{int}"
	// Documented is the documented path, if a document has the operation;
	// Known says that there are documents to look in.
	Documented string `json:"documented,omitempty"`
	Known      bool   `json:"documents"`
	Deprecated bool   `json:"deprecated,omitempty"`
	// Established says that min_clients distinct clients have used it.
	Established bool `json:"established"`
	// Absent says that all it ever answered was 404, 405 or 501.
	Absent    bool      `json:"absent,omitempty"`
	Requests  uint64    `json:"requests"`
	Ended     uint64    `json:"ended"` // requests whose end is known, by the access log
	Denied    uint64    `json:"denied"`
	Findings  uint64    `json:"findings"`
	Clients   int       `json:"clients"`
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	// ClientErrors and ServerErrors are shares of ended requests, 0 to 1.
	ClientErrors float64 `json:"client_error_rate"`
	ServerErrors float64 `json:"server_error_rate"`
	MeanUpstream float64 `json:"mean_upstream_ms"`
	// Authentication is "always", "sometimes" or "never".
	Authentication string   `json:"authentication"`
	Schemes        []string `json:"schemes,omitempty"`
	Sensitive      []Seen   `json:"sensitive,omitempty"`
}

// Seen is a class of sensitive data in an endpoint's requests.
type Seen struct {
	Class string `json:"class"`
	// Share of the searched requests that held it, 0 to 1.
	Share    float64  `json:"share"`
	Requests uint32   `json:"requests"` // searched requests that held it
	Places   []string `json:"places"`
}

// Listing is the answer of GET /endpoints.
type Listing struct {
	Endpoints []Endpoint `json:"endpoints"`
	// Hidden counts endpoints that were left out: not established, or absent.
	Hidden int `json:"hidden"`
	// Orphans are documented operations that nobody calls.
	Orphans []string `json:"orphans,omitempty"`
	// NotSaved says why the state file could not be written last time.
	NotSaved string         `json:"not_saved,omitempty"`
	Book     endpoint.Stats `json:"book"`
}

// List gives the endpoints, the most called first; all includes those with too
// few clients and those that the backend does not have.
func (c *Check) List(all bool) Listing {
	var l Listing
	called := map[*endpoint.Operation]bool{}
	c.book.Each(func(e *endpoint.Entry[facts]) {
		line := c.line(e)
		if c.ops != nil {
			if op := c.ops.Find(e.Method, []byte(e.Template)); op != nil {
				called[op] = true
			}
		}
		if !all && (!line.Established || line.Absent) {
			l.Hidden++
			return
		}
		l.Endpoints = append(l.Endpoints, line)
	})
	if c.ops != nil {
		for _, op := range c.ops.All() {
			if !called[op] {
				l.Orphans = append(l.Orphans, op.Method+" "+op.Path)
			}
		}
	}
	sort.Slice(l.Endpoints, func(i, j int) bool {
		a, b := &l.Endpoints[i], &l.Endpoints[j]
		if a.calls() != b.calls() {
			return a.calls() > b.calls()
		}
		return a.Site+a.Path+a.Method < b.Site+b.Path+b.Method
	})
	l.Book = c.book.Stats()
	if why := c.failure.Load(); why != nil {
		l.NotSaved = *why
	}
	return l
}

func (e *Endpoint) calls() uint64 { return max(e.Requests, e.Ended) }

func (c *Check) line(e *endpoint.Entry[facts]) Endpoint {
	f := &e.Value
	l := Endpoint{
		Site: e.Site, Method: e.Method, Path: e.Template, Known: c.ops != nil, Established: e.Established(),
		Requests: f.Requests, Denied: f.Denied, Findings: f.Findings,
		Clients: e.Clients.Count(), FirstSeen: e.First, LastSeen: e.Last, Authentication: "never",
	}
	for _, n := range f.Status {
		l.Ended += n
	}
	if l.Ended > 0 {
		l.ClientErrors = float64(f.Status[4]) / float64(l.Ended)
		l.ServerErrors = float64(f.Status[5]) / float64(l.Ended)
		l.MeanUpstream = float64(f.Upstream.Microseconds()) / 1000 / float64(l.Ended)
		l.Absent = f.Absent == l.Ended
	}
	switch {
	case f.WithAuth > 0 && f.WithAuth >= f.Requests:
		l.Authentication = "always"
	case f.WithAuth > 0:
		l.Authentication = "sometimes"
	}
	l.Schemes = bitNames(f.Schemes, schemeNames)
	for i, n := range f.Data {
		if n > 0 {
			l.Sensitive = append(l.Sensitive, Seen{Class(i).String(), float64(n) / float64(max(f.Scanned, uint64(n))), n, bitNames(f.Places[i], placeNames)})
		}
	}
	if c.ops != nil {
		if op := c.ops.Find(e.Method, []byte(e.Template)); op != nil {
			l.Documented, l.Deprecated = op.Path, op.Deprecated
		}
	}
	return l
}

func bitNames(bits uint8, names []string) (out []string) {
	for i, n := range names {
		if bits>>i&1 != 0 {
			out = append(out, n)
		}
	}
	return out
}

// ServeEndpoints answers GET /endpoints with a Listing; ?all=1 lists all.
func (c *Check) ServeEndpoints(w http.ResponseWriter, r *http.Request) {
	answer(w, c.List(r.URL.Query().Get("all") != ""))
}

// WriteMetrics writes the inventory in Prometheus' text format: the most
// called established endpoints by name, the others summed up as "other", so
// that the number of series is bounded by max_series whatever is called.
func (c *Check) WriteMetrics(w io.Writer) {
	list := c.List(true)
	var rest Endpoint
	var restErrors uint64
	named := 0
	for i := range list.Endpoints {
		e := &list.Endpoints[i]
		if named >= c.s.MaxSeries || !e.Established || e.Absent {
			rest.Requests += e.calls()
			restErrors += uint64(e.ServerErrors*float64(e.Ended) + 0.5)
			continue
		}
		named++
		labels := `{site="` + label(e.Site) + `",method="` + e.Method + `",endpoint="` + label(e.Path) + `"}`
		metrics.WriteCounterUint64(w, "sallyport_endpoint_requests_total"+labels, e.calls())
		metrics.WriteCounterUint64(w, "sallyport_endpoint_denied_total"+labels, e.Denied)
		metrics.WriteCounterUint64(w, "sallyport_endpoint_server_errors_total"+labels, uint64(e.ServerErrors*float64(e.Ended)+0.5))
		metrics.WriteCounterUint64(w, "sallyport_endpoint_client_errors_total"+labels, uint64(e.ClientErrors*float64(e.Ended)+0.5))
	}
	other := `{site="",method="",endpoint="other"}`
	metrics.WriteCounterUint64(w, "sallyport_endpoint_requests_total"+other, rest.Requests)
	metrics.WriteCounterUint64(w, "sallyport_endpoint_server_errors_total"+other, restErrors)
	metrics.WriteGaugeUint64(w, "sallyport_endpoints", uint64(list.Book.Established))
	shadow := 0
	sensitive := map[string]uint64{}
	for i := range list.Endpoints {
		e := &list.Endpoints[i]
		if !e.Established || e.Absent {
			continue
		}
		if e.Known && e.Documented == "" {
			shadow++
		}
		for _, s := range e.Sensitive {
			sensitive[s.Class]++
		}
	}
	if c.ops != nil {
		metrics.WriteGaugeUint64(w, "sallyport_endpoints_undocumented", uint64(shadow))
		metrics.WriteGaugeUint64(w, "sallyport_endpoints_never_called", uint64(len(list.Orphans)))
	}
	for i := range classes {
		metrics.WriteGaugeUint64(w, `sallyport_endpoints_with_sensitive_data{class="`+i.String()+`"}`, sensitive[i.String()])
	}
}

// label makes a text fit for a label value.
func label(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s[:min(len(s), 200)])
}
