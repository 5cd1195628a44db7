package main

import (
	"github.com/sallyport/sallyport/daemon/check/limit"
	"github.com/sallyport/sallyport/daemon/check/pressure"
	"github.com/sallyport/sallyport/daemon/config"
	"github.com/sallyport/sallyport/daemon/event"
)

// limitsOf lists the checks with limits of a configuration.
func limitsOf(loaded *config.Loaded) (out []*limit.Check) {
	for _, c := range loaded.Policy.Checks {
		if l, ok := c.(*limit.Check); ok {
			out = append(out, l)
		}
	}
	return out
}

// shareLimits tells limits where to report, bans and scores where the other
// gateways are, and pressure how full the table of held requests is.
func (s *server) shareLimits(loaded *config.Loaded) {
	for _, c := range loaded.Policy.Checks {
		if p, ok := c.(*pressure.Check); ok {
			p.WatchHeld(func() float64 { return float64(s.door.Held()) / float64(loaded.Server.MaxHeld) })
		}
	}
	for _, l := range limitsOf(loaded) {
		l.OnEvent(s.records.note(event.KindState, "limit"))
		if remote := l.Shared(); remote != nil {
			s.sources.Share(remote)
		}
	}
}
