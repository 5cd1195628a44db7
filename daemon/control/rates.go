package control

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// maxRoutes bounds the routes whose rates are kept; the rest are summed
// under "other".
const maxRoutes = 1024

// rateStep and rateSteps make a window of five minutes.
const (
	rateStep  = 10 * time.Second
	rateSteps = 30
)

// RouteRate is what a route did over the last minutes.
type RouteRate struct {
	Site  string `json:"site"`
	Route string `json:"route"`
	// PerSecond counts the requests of the last minute.
	PerSecond float64 `json:"requests_per_second"`
	// Requests, Denied and WouldDeny count the last five minutes.
	Requests  uint64 `json:"requests_5m"`
	Denied    uint64 `json:"denied_5m"`
	WouldDeny uint64 `json:"would_deny_5m"`
}

type routeKey struct{ site, route string }

type routeRates struct {
	mu     sync.Mutex
	now    func() time.Time
	routes map[routeKey]*rateRing
	judged uint64
	denied uint64
}

type rateRing struct {
	step                  [rateSteps]int64 // which step of time the slot holds
	all, denied, wouldBut [rateSteps]uint64
}

func newRouteRates(now func() time.Time) routeRates {
	return routeRates{now: now, routes: map[routeKey]*rateRing{}}
}

// ring is where a route is counted, for as long as the daemon lives.
func (r *routeRates) ring(site, route string) *rateRing {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := routeKey{site, route}
	ring := r.routes[k]
	if ring == nil && len(r.routes) >= maxRoutes {
		k = routeKey{"", "other"}
		ring = r.routes[k]
	}
	if ring == nil {
		ring = &rateRing{}
		r.routes[k] = ring
	}
	return ring
}

func (r *routeRates) add(ring *rateRing, verdict string) {
	step := r.now().UnixNano() / int64(rateStep)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.judged++
	i := step % rateSteps
	if ring.step[i] != step {
		ring.step[i], ring.all[i], ring.denied[i], ring.wouldBut[i] = step, 0, 0, 0
	}
	ring.all[i]++
	switch verdict {
	case "deny":
		ring.denied[i]++
		r.denied++
	case "would_deny":
		ring.wouldBut[i]++
	}
}

func (r *routeRates) totals() (judged, denied uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.judged, r.denied
}

// Rates are the rates of every route, the one with most denials first.
func (m *Metrics) Rates() []RouteRate {
	r := &m.routes
	step := r.now().UnixNano() / int64(rateStep)
	r.mu.Lock()
	out := make([]RouteRate, 0, len(r.routes))
	for k, ring := range r.routes {
		rate := RouteRate{Site: k.site, Route: k.route}
		var minute uint64
		for i := range ring.step {
			age := step - ring.step[i]
			if age < 0 || age >= rateSteps {
				continue
			}
			rate.Requests += ring.all[i]
			rate.Denied += ring.denied[i]
			rate.WouldDeny += ring.wouldBut[i]
			if age < int64(time.Minute/rateStep) {
				minute += ring.all[i]
			}
		}
		rate.PerSecond = float64(minute) / time.Minute.Seconds()
		out = append(out, rate)
	}
	r.mu.Unlock()
	slices.SortFunc(out, func(a, b RouteRate) int {
		return cmp.Or(cmp.Compare(b.Denied+b.WouldDeny, a.Denied+a.WouldDeny), cmp.Compare(b.Requests, a.Requests),
			cmp.Compare(a.Site, b.Site), cmp.Compare(a.Route, b.Route))
	})
	return out
}
