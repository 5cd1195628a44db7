package main

import (
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/policy"
)

// meter lets the walk count without knowing of control. Nearly every request
// is one of a few kinds: those have their counters at hand.
type meter struct {
	m      *control.Metrics
	routes atomic.Pointer[map[*policy.Route]*tallies]
}

// tallies are a route's, by door and verdict, each made when it is first needed.
type tallies [6][3]atomic.Pointer[control.Tally]

// apply makes room for the routes of a policy and lets go of the last one's.
func (m *meter) apply(p *policy.Policy) {
	routes := map[*policy.Route]*tallies{}
	for _, s := range p.Sites {
		for _, r := range s.Routes {
			routes[r] = new(tallies)
		}
	}
	m.routes.Store(&routes)
}

// Judged counts a visit's verdict.
func (m *meter) Judged(route *policy.Route, door string, v *policy.Verdict, took time.Duration) {
	j := control.Judgement{Site: route.Site, Route: route.Name, Mode: v.Mode.String(), Door: door,
		Deny: v.Deny, WouldDeny: v.WouldDeny, Final: true, Took: took}
	if place := m.place(route, door, v); place != nil {
		t := place.Load()
		if t == nil {
			t = m.m.Tally(&j)
			place.Store(t)
		}
		t.Count(took)
		return
	}
	for i := range v.Kept {
		j.Checks = append(j.Checks, v.Kept[i].Check)
		if f := &v.Kept[i]; f.Check == "bounds" {
			m.m.BodyOverLimit(route.Name)
		}
	}
	m.m.Judged(&j)
}

// place is where the tally of a judgement stands, or nil: it has findings, a
// break-glass mode is in force, or its policy is the last one.
func (m *meter) place(route *policy.Route, door string, v *policy.Verdict) *atomic.Pointer[control.Tally] {
	if len(v.Kept) > 0 || v.Mode != route.Mode {
		return nil
	}
	t := (*m.routes.Load())[route]
	if t == nil {
		return nil
	}
	verdict := 0
	switch {
	case v.Deny:
		verdict = 1
	case v.WouldDeny:
		verdict = 2
	}
	switch door {
	case inspect.Enter:
		return &t[0][verdict]
	case inspect.Body:
		return &t[1][verdict]
	case inspect.Leave:
		return &t[2][verdict]
	case inspect.Relay:
		return &t[3][verdict]
	case inspect.Guard:
		return &t[4][verdict]
	case inspect.Observe:
		return &t[5][verdict]
	}
	return nil
}

// Panicked counts a check that failed.
func (m *meter) Panicked(check string) { m.m.Panicked(check) }

// Late counts a verdict that came too late, by door.
func (m *meter) Late(door string) { m.m.Late(door) }
