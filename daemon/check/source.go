package check

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/daemon/keyed"
)

// RepeatWithin is how long after its last ban a source that earns another is
// banned for longer.
const RepeatWithin = 24 * time.Hour

// SourceOf is the address that stands for a client: itself, or its /64, which
// is what one subscriber gets.
func SourceOf(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// SourceKey is the key of a source in the keyed store. Its score and the number
// of its bans are kept there, whatever banned it: the next is the longer.
func SourceKey(s *keyed.Store, source netip.Addr) keyed.Key {
	raw := source.As16()
	return s.Key("source", raw[:])
}
