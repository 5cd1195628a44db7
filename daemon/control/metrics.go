package control

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
)

// maxSeries bounds the series of one Metrics; past it a new combination of
// labels is counted under "other".
const maxSeries = 8192

// doorBuckets are the upper bounds of the door's histograms, in seconds.
var doorBuckets = []float64{
	50e-6, 100e-6, 200e-6, 300e-6, 500e-6, 750e-6,
	1e-3, 2e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5,
}

// Metrics is everything the daemon counts, in Prometheus' exposition. It is
// safe for concurrent use; a counter that was seen before costs one look-up.
type Metrics struct {
	set    *vm.Set
	series sync.Map // seriesKey -> *vm.Counter or *vm.PrometheusHistogram
	size   atomic.Int64
	routes routeRates
}

type seriesKey struct{ name, a, b, c, d string }

// NewMetrics has counted nothing.
func NewMetrics() *Metrics { return &Metrics{set: vm.NewSet(), routes: newRouteRates(time.Now)} }

// Judgement is one visit's verdict, as counted.
type Judgement struct {
	Site, Route string
	Mode        string // "off", "detect", "enforce"
	Door        string
	Deny        bool
	WouldDeny   bool
	// Checks are the names of the checks with findings that counted.
	Checks []string
	// Final says that no further visit of the request follows.
	Final bool
	Took  time.Duration
}

// Verdict names what a judgement came to: "allow", "deny" or "would_deny".
func (j *Judgement) Verdict() string {
	switch {
	case j.Deny:
		return "deny"
	case j.WouldDeny:
		return "would_deny"
	}
	return "allow"
}

// Judged counts one visit: its verdict by site, route and mode, its checks,
// and its latency by door.
func (m *Metrics) Judged(j *Judgement) {
	m.door(j.Door).Update(j.Took.Seconds())
	if !j.Final && !j.Deny {
		return
	}
	verdict := j.Verdict()
	m.counter("sallyport_verdicts_total", verdictLabels, j.Site, j.Route, j.Mode, verdict).Inc()
	for _, c := range j.Checks {
		m.counter("sallyport_findings_total", []string{"check", "route", "mode", "verdict"}, c, j.Route, j.Mode, verdict).Inc()
	}
	m.routes.add(m.routes.ring(j.Site, j.Route), verdict)
}

// Tally counts judgements without findings that are alike in all but their
// time: it knows its series, where Judged looks them up.
type Tally struct {
	routes   *routeRates
	ring     *rateRing
	took     *vm.PrometheusHistogram
	verdicts *vm.Counter
	verdict  string
}

// Tally is for judgements like j, which is final.
func (m *Metrics) Tally(j *Judgement) *Tally {
	verdict := j.Verdict()
	return &Tally{routes: &m.routes, ring: m.routes.ring(j.Site, j.Route), took: m.door(j.Door), verdict: verdict,
		verdicts: m.counter("sallyport_verdicts_total", verdictLabels, j.Site, j.Route, j.Mode, verdict)}
}

// Count counts one more.
func (t *Tally) Count(took time.Duration) {
	t.took.Update(took.Seconds())
	t.verdicts.Inc()
	t.routes.add(t.ring, t.verdict)
}

var verdictLabels = []string{"site", "route", "mode", "verdict"}

// Panicked counts a check that failed.
func (m *Metrics) Panicked(check string) { m.one("sallyport_check_panics_total", "check", check) }

// Late counts a verdict that came too late or never, by door.
func (m *Metrics) Late(door string) { m.one("sallyport_late_verdicts_total", "door", door) }

// BodyOverLimit counts a body past its route's bound, by route.
func (m *Metrics) BodyOverLimit(route string) {
	m.one("sallyport_bodies_over_limit_total", "route", route)
}

// BoundReached counts what met a full table or buffer, by its name.
func (m *Metrics) BoundReached(bound string) { m.one("sallyport_bound_reached_total", "bound", bound) }

// Reloaded counts policies applied or refused.
func (m *Metrics) Reloaded(ok bool) {
	result := "refused"
	if ok {
		result = "applied"
	}
	m.one("sallyport_reloads_total", "result", result)
}

// FailedOpen counts requests that NGINX let pass without a verdict.
func (m *Metrics) FailedOpen(n int) {
	m.counter("sallyport_fail_open_total", nil).Add(n)
}

// Outcome counts a finished request by its status class and whether its event was met.
func (m *Metrics) Outcome(status int) {
	m.one("sallyport_outcomes_total", "status", strconv.Itoa(status/100)+"xx")
}

// Count adds n to a counter of a part's own, with at most one label; name is
// a constant of the program and label values are bounded by maxSeries.
func (m *Metrics) Count(name, label, value string, n int) {
	if label == "" {
		m.counter(name, nil).Add(n)
		return
	}
	m.counter(name, []string{label}, value).Add(n)
}

// Gauge registers a value that is read when asked for: held requests, queue
// depth, keys kept. labels may be nil. A gauge of the same name is replaced.
func (m *Metrics) Gauge(name string, labels map[string]string, f func() float64) {
	full := name + formatLabels(labels)
	m.set.UnregisterMetric(full)
	m.set.NewGauge(full, f)
}

// Include adds what f writes, in Prometheus' text format, to every answer.
func (m *Metrics) Include(f func(io.Writer)) { m.set.RegisterMetricsWriter(f) }

// Requests is how many requests were judged so far, and denied.
func (m *Metrics) Requests() (judged, denied uint64) { return m.routes.totals() }

func (m *Metrics) one(name, label, value string) { m.counter(name, []string{label}, value).Inc() }

func (m *Metrics) counter(name string, labels []string, values ...string) *vm.Counter {
	k := key(name, values)
	if c, ok := m.series.Load(k); ok {
		return c.(*vm.Counter)
	}
	if m.size.Add(1) > maxSeries {
		m.size.Add(-1)
		values = make([]string, len(labels))
		for i := range values {
			values[i] = "other"
		}
		return m.set.GetOrCreateCounter(seriesName(name, labels, values))
	}
	c := m.set.GetOrCreateCounter(seriesName(name, labels, values))
	if _, raced := m.series.LoadOrStore(k, c); raced {
		m.size.Add(-1)
	}
	return c
}

func (m *Metrics) door(door string) *vm.PrometheusHistogram {
	k := seriesKey{name: "sallyport_door_seconds", a: door}
	if h, ok := m.series.Load(k); ok {
		return h.(*vm.PrometheusHistogram)
	}
	h := m.set.GetOrCreatePrometheusHistogramExt(seriesName(k.name, []string{"door"}, []string{door}), doorBuckets)
	m.series.Store(k, h)
	return h
}

func key(name string, values []string) seriesKey {
	k := seriesKey{name: name}
	for i, dst := range []*string{&k.a, &k.b, &k.c, &k.d} {
		if i < len(values) {
			*dst = values[i]
		}
	}
	return k
}

func seriesName(name string, labels, values []string) string {
	if len(labels) == 0 {
		return name
	}
	var b strings.Builder
	b.WriteString(name)
	for i, l := range labels {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		b.WriteByte(sep)
		b.WriteString(l)
		b.WriteByte('=')
		b.WriteString(quoteLabel(values[i]))
	}
	b.WriteByte('}')
	return b.String()
}

// quoteLabel quotes as the exposition format has it: only \, " and newline
// are escaped.
func quoteLabel(v string) string {
	if len(v) > 128 {
		v = v[:128]
	}
	v = strings.ToValidUTF8(v, "?")
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(v) + `"`
}

func formatLabels(labels map[string]string) string {
	if len(labels) == 0 {
		return ""
	}
	names := make([]string, 0, len(labels))
	for n := range labels {
		names = append(names, n)
	}
	slices.Sort(names)
	values := make([]string, len(names))
	for i, n := range names {
		values[i] = labels[n]
	}
	return seriesName("", names, values)
}

// HandleMetrics serves /metrics.
func HandleMetrics(s *Server, m *Metrics) { s.Handle("GET /metrics", m) }

// ServeHTTP writes everything in Prometheus' text format.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	m.set.WritePrometheus(w)
	vm.WriteProcessMetrics(w)
}

// ServeMetrics serves /metrics, /healthz and /readyz alone on a TCP listener,
// in the background, until the listener is closed. It refuses a listener that
// is not on a loopback address: there is no access control.
func ServeMetrics(l net.Listener, m *Metrics, h *Health) error {
	if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		return fmt.Errorf("serve metrics on %s: a loopback address such as 127.0.0.1:9145 was expected; anybody could read them there", l.Addr())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m)
	for pattern, handler := range healthHandlers(h) {
		mux.Handle(pattern, handler)
	}
	go func() { _ = newHTTP(mux).Serve(bounded(l)) }()
	return nil
}
