package reputation

import (
	"crypto/rand"
	"encoding/json"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
)

// Wire carries short messages between gateways, in order. Publish must not
// block; what is published is heard by every gateway, this one included.
type Wire interface {
	Publish(topic, message string)
	Subscribe(topic string, old bool, f func(message string))
}

// Topics. Bans are kept for gateways that start later; scores are not.
const (
	topicBans   = "bans"
	topicScores = "scores"
)

// message is what gateways tell each other.
type message struct {
	From   string     `json:"from"` // who sent it, so that no one counts his own
	Ban    *Ban       `json:"ban,omitempty"`
	Unban  string     `json:"unban,omitempty"`
	Source netip.Addr `json:"source,omitzero"`
	Raise  float64    `json:"raise,omitempty"`
}

// sharing is a Book's place among gateways.
type sharing struct {
	wire atomic.Pointer[Wire]
	self string
}

// Share has the Book tell the other gateways of bans and raised scores, and
// hear theirs. It may be called again after a reload.
func (b *Book) Share(w Wire) {
	if old := b.sharing.wire.Load(); old != nil && *old == w {
		return
	}
	b.sharing.wire.Store(&w)
	w.Subscribe(topicBans, true, b.hear)
	w.Subscribe(topicScores, false, b.hear)
}

func (b *Book) tell(topic string, m message) {
	w := b.sharing.wire.Load()
	if w == nil {
		return
	}
	m.From = b.sharing.self
	if text, err := json.Marshal(m); err == nil {
		(*w).Publish(topic, string(text))
	}
}

// hear takes what another gateway said. What is not understood, from a newer
// version perhaps, is left alone.
func (b *Book) hear(text string) {
	var m message
	if json.Unmarshal([]byte(text), &m) != nil || m.From == b.sharing.self {
		return
	}
	now := b.o.Now()
	switch {
	case m.Ban != nil:
		b.learn(*m.Ban, now)
	case m.Unban != "":
		if p, err := ParsePrefix(m.Unban); err == nil {
			for _, ban := range b.bans.remove(p) {
				b.forget(check.SourceOf(ban.Prefix.Addr()), now)
			}
			b.changed.Store(true)
		}
	case m.Raise > 0 && m.Raise <= 100 && m.Source.IsValid():
		b.o.State.Raise(b.key(check.SourceOf(m.Source)), now, b.rules.Load().halfLife, m.Raise, 100)
	}
}

// learn takes a ban that this gateway did not set now.
func (b *Book) learn(ban Ban, now time.Time) {
	ban.Prefix = unmap(ban.Prefix)
	if ban.Prefix.IsValid() {
		b.repeat(Repeat{ban.Prefix.Addr(), ban.Times, ban.Until}, now)
	}
	if ban.Prefix.IsValid() && ban.Prefix.Bits() >= 8 && now.Before(ban.Until) {
		if added, _ := b.bans.put(ban, now); added {
			b.changed.Store(true)
		}
	}
}

func newSelf() string { return rand.Text() }
