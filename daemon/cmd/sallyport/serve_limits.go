package main

import (
	"github.com/sallyport/sallyport/daemon/check/limit"
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

// shareLimits tells limits where to report, and bans and scores where the
// other gateways are.
func (s *server) shareLimits(loaded *config.Loaded) {
	for _, l := range limitsOf(loaded) {
		l.OnEvent(s.records.note(event.KindState, "limit"))
		if remote := l.Shared(); remote != nil {
			s.sources.Share(remote)
		}
	}
}
