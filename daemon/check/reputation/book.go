// Package reputation is what is known of the clients: a score that findings
// raise and time and good behaviour lower, imported lists of addresses, and
// the ban list.
//
// A source is an IPv4 address or an IPv6 /64, which is what one subscriber
// gets: who moves about in his own /64 stays one source. Scores live in the
// daemon's keyed store, in fixed memory for any number of sources. The Book
// adds what people want to read: why, since when, how often, for the sources
// seen last with findings, at most MaxDetails of them.
//
// The walk asks Source for each request and attaches the answer to it; the
// policy weighs it. No check asks the Book.
package reputation

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/request"
)

// Bounds. Past MaxDetails the source with the lower score of a few drawn at
// random gives way; its score lives on in the keyed store. Past maxBanned one
// source, drawn at random, begins anew with short bans after a restart.
const (
	MaxDetails = 16384
	maxBanned  = 65536
	maxReasons = 4
	maxWhy     = 200 // bytes of a reason that are kept
	maxTimes   = 1000
)

// Settings are the table [reputation].
type Settings struct {
	// HalfLifeMinutes is after how many minutes a score has halved by itself.
	HalfLifeMinutes float64 `toml:"half_life_minutes"`
	// Raise is the share of a request's worst finding that is added to its
	// source's score: 0.25 adds 20 for a finding of 80.
	Raise float64 `toml:"raise"`
	// Good is what an answer below 400 takes from a source's score.
	Good float64 `toml:"good"`
	// BanAt is the score from which a source is banned when a request of it is
	// denied; 0 never bans for its score.
	BanAt float64 `toml:"ban_at"`
	// BanMinutes is how long the first such ban lasts. Each further one lasts
	// BanFactor times the last, up to BanMaxMinutes.
	BanMinutes    float64 `toml:"ban_minutes"`
	BanFactor     float64 `toml:"ban_factor"`
	BanMaxMinutes float64 `toml:"ban_max_minutes"`
	// MaxBans bounds the ban list. Past it the automatic ban that ends soonest gives way.
	MaxBans int `toml:"max_bans"`
	// List are files with addresses and networks to know.
	List []ListSettings `toml:"list"`
}

// Defaults are the settings where none are given.
func Defaults() Settings {
	return Settings{HalfLifeMinutes: 60, Raise: 0.25, Good: 0.5, BanMinutes: 10, BanFactor: 2, BanMaxMinutes: 1440, MaxBans: 100_000}
}

func (s *Settings) check() error {
	for _, x := range []struct {
		key      string
		v        float64
		min, max float64
	}{
		{"half_life_minutes", s.HalfLifeMinutes, 0.1, 525600},
		{"raise", s.Raise, 0, 1},
		{"good", s.Good, 0, 100},
		{"ban_at", s.BanAt, 0, 100},
		{"ban_minutes", s.BanMinutes, 0.1, 525600},
		{"ban_factor", s.BanFactor, 1, 100},
		{"ban_max_minutes", s.BanMaxMinutes, s.BanMinutes, 525600},
		{"max_bans", float64(s.MaxBans), 1, 1_000_000},
	} {
		if !(x.v >= x.min && x.v <= x.max) {
			return &check.SettingError{Key: x.key, Err: fmt.Errorf("is %v, expected %v to %v", x.v, x.min, x.max)}
		}
	}
	return nil
}

// Options are the parts a Book works with.
type Options struct {
	// State keeps the scores.
	State *keyed.Store
	// StateFile is where bans and details survive a restart; empty keeps them
	// in memory alone.
	StateFile string
	// Dir is the folder that list files start from.
	Dir string
	// Event reports what an operator should know: a file set aside, a list
	// that grew old. It must not block. It may be nil.
	Event func(message string)
	// Now is the clock of the background work; nil takes time.Now.
	Now func() time.Time
}

// rules are settings and lists as in force, swapped whole.
type rules struct {
	Settings
	halfLife time.Duration
	growth   keyed.Growth
	lists    *lists
}

// Book keeps sources, lists and bans. It is safe for concurrent use.
type Book struct {
	o     Options
	rules atomic.Pointer[rules]
	bans  bans

	sharing sharing

	mu      sync.Mutex
	details map[netip.Addr]*detail
	banned  map[netip.Addr]struct{} // sources with bans that the keyed store counts
	changed atomic.Bool
	saving  sync.Mutex
	stop    chan struct{}
	done    chan struct{}
}

// detail is what people may read of a source.
type detail struct {
	first, last      time.Time
	findings, denied uint64
	reasons          [maxReasons]reason // the latest first
}

type reason struct {
	Check, ID, Message string
	times              uint64
	last               time.Time
}

// New makes a Book and reads its state file. A file that is not whole has been
// set aside and is reported, never an error.
func New(s Settings, o Options) (*Book, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Event == nil {
		o.Event = func(string) {}
	}
	b := &Book{o: o, details: map[netip.Addr]*detail{}, banned: map[netip.Addr]struct{}{}}
	b.bans.init()
	b.sharing.self = newSelf()
	if err := b.Apply(s); err != nil {
		return nil, err
	}
	b.load()
	return b, nil
}

// Apply puts new settings and lists in force, whole or not at all: for SIGHUP.
// Scores and bans stay.
func (b *Book) Apply(s Settings) error {
	r, err := b.prepare(s)
	if err != nil {
		return err
	}
	b.rules.Store(r)
	b.bans.setMax(s.MaxBans)
	return nil
}

// Check judges settings and reads their lists without putting them in force.
func Check(s Settings, dir string) error {
	b := &Book{o: Options{Dir: dir, Now: time.Now, Event: func(string) {}}}
	_, err := b.prepare(s)
	return err
}

func (b *Book) prepare(s Settings) (*rules, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	l, warnings, err := readLists(s.List, b.o.Dir, b.o.Now())
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		b.o.Event(w)
	}
	minutes := func(m float64) time.Duration { return time.Duration(m * float64(time.Minute)) }
	return &rules{
		Settings: s, halfLife: minutes(s.HalfLifeMinutes), lists: l,
		growth: keyed.Growth{First: minutes(s.BanMinutes), Max: minutes(s.BanMaxMinutes), Forget: check.RepeatWithin, Factor: s.BanFactor},
	}, nil
}

func (b *Book) key(source netip.Addr) keyed.Key { return check.SourceKey(b.o.State, source) }

// Source is what is known of a client. It allocates nothing.
func (b *Book) Source(addr netip.Addr, now time.Time) request.Source {
	var out request.Source
	if !addr.IsValid() {
		return out
	}
	r := b.rules.Load()
	addr = addr.Unmap().WithZone("")
	out.Reputation = b.o.State.Score(b.key(check.SourceOf(addr)), now, r.halfLife)
	if e := r.lists.lookup(addr, now); e != nil {
		out.Listed = e.list.name
		out.Reputation = max(out.Reputation, e.list.reputation)
		if e.list.deny {
			out.Banned, out.BannedUntil, out.Why = true, e.until, e.list.why
		} else {
			out.Why = e.list.why
		}
	}
	if ban := b.bans.find(addr, now); ban != nil {
		out.Banned, out.BannedUntil, out.Why = true, ban.Until, ban.Why
	}
	return out
}

// Found raises the score of a request's source by its findings. Findings of
// the check pressure are no fault of the client's.
func (b *Book) Found(v *check.Visit, denied bool) {
	if v.Stateless || len(v.Findings) == 0 || !v.Request.Client.Addr().IsValid() {
		return
	}
	var worst *check.Finding
	for i := range v.Findings {
		f := &v.Findings[i]
		if f.Check != "pressure" && f.Score > 0 && (worst == nil || f.Score > worst.Score) {
			worst = f
		}
	}
	if worst == nil {
		return
	}
	r := b.rules.Load()
	source := check.SourceOf(v.Request.Client.Addr())
	k := b.key(source)
	score := b.o.State.Raise(k, v.Now, r.halfLife, worst.Score*r.Raise, 100)
	b.note(source, v.Now, worst, denied, r.halfLife)
	b.tell(topicScores, message{Source: source, Raise: worst.Score * r.Raise})
	if denied && r.BanAt > 0 && score >= r.BanAt { // what is only watched is never banned
		until, times := b.o.State.Ban(k, v.Now, r.growth)
		why := "reputation " + strconv.FormatFloat(score, 'f', 1, 64) + ", last for " + worst.Check + " " + worst.ID
		if times > 1 {
			why += ", ban " + strconv.Itoa(times)
		}
		b.Ban(source, until.Sub(v.Now), why, v.Now)
	}
}

func sourceBits(source netip.Addr) int {
	if source.Is6() {
		return 64
	}
	return 32
}

// Ended lowers the score of a source that was answered well.
func (b *Book) Ended(o *outcome.Outcome, _ *keyed.Store) {
	if o.Denied || o.Status < 100 || o.Status >= 400 || !o.Client.IsValid() {
		return
	}
	if r := b.rules.Load(); r.Good > 0 {
		b.o.State.Raise(b.key(check.SourceOf(o.Client)), o.Time, r.halfLife, -r.Good, 100)
	}
}

func (b *Book) note(source netip.Addr, now time.Time, f *check.Finding, denied bool, halfLife time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.details[source]
	if d == nil {
		if len(b.details) >= MaxDetails {
			b.forgetOne(now, halfLife)
		}
		d = &detail{first: now}
		b.details[source] = d
	}
	d.last = now
	d.findings++
	if denied {
		d.denied++
	}
	i := 0
	for i < maxReasons-1 && (d.reasons[i].Check != f.Check || d.reasons[i].ID != f.ID) {
		i++
	}
	r := d.reasons[i]
	if r.Check != f.Check || r.ID != f.ID {
		r = reason{Check: strings.Clone(f.Check), ID: strings.Clone(cut(f.ID)), Message: strings.Clone(cut(f.Message))}
	}
	r.times++
	r.last = now
	copy(d.reasons[1:i+1], d.reasons[:i])
	d.reasons[0] = r
	b.changed.Store(true)
}

func cut(s string) string { return s[:min(len(s), maxWhy)] }

// forgetOne drops the lowest of a few details; map order is random enough.
func (b *Book) forgetOne(now time.Time, halfLife time.Duration) {
	var victim netip.Addr
	lowest, n := 101.0, 0
	for a := range b.details {
		if s := b.o.State.Score(b.key(a), now, halfLife); s < lowest {
			victim, lowest = a, s
		}
		if n++; n == 8 {
			break
		}
	}
	delete(b.details, victim)
}
