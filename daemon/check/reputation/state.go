package reputation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/safefile"
)

// SaveEvery is how often what changed is written to the state file. A crash
// loses at most that much of the scores; bans set by people are written at once.
const SaveEvery = 10 * time.Second

// Source is what `sallyport sources` shows of one source.
type Source struct {
	Address  netip.Addr `json:"address"`
	Network  string     `json:"network,omitempty"` // the /64 an IPv6 source stands for
	Score    float64    `json:"score"`
	Findings uint64     `json:"findings"`
	Denied   uint64     `json:"denied"`
	First    time.Time  `json:"first"`
	Last     time.Time  `json:"last"`
	Listed   string     `json:"listed,omitempty"`
	Ban      *Ban       `json:"ban,omitempty"`
	Why      []Reason   `json:"why"`
}

// Reason is one kind of finding against a source.
type Reason struct {
	Check   string    `json:"check"`
	ID      string    `json:"id"`
	Message string    `json:"message"`
	Times   uint64    `json:"times"`
	Last    time.Time `json:"last"`
}

// Worst lists up to n sources, the highest score first.
func (b *Book) Worst(n int, now time.Time) []Source {
	r := b.rules.Load()
	b.mu.Lock()
	out := make([]Source, 0, len(b.details))
	for a, d := range b.details {
		s := Source{Address: a, Score: b.o.State.Score(b.key(a), now, r.halfLife), Findings: d.findings, Denied: d.denied, First: d.first, Last: d.last}
		if s.Score == 0 {
			continue
		}
		for _, why := range d.reasons {
			if why.times > 0 {
				s.Why = append(s.Why, Reason{why.Check, why.ID, why.Message, why.times, why.last})
			}
		}
		out = append(out, s)
	}
	b.mu.Unlock()
	slices.SortFunc(out, func(x, y Source) int {
		switch {
		case x.Score != y.Score:
			if x.Score > y.Score {
				return -1
			}
			return 1
		}
		return x.Address.Compare(y.Address)
	})
	out = out[:min(max(n, 0), len(out))]
	for i := range out {
		if out[i].Address.Is6() {
			out[i].Network = netip.PrefixFrom(out[i].Address, 64).String()
		}
		if e := r.lists.lookup(out[i].Address, now); e != nil {
			out[i].Listed = e.list.name
		}
		out[i].Ban = b.bans.find(out[i].Address, now)
	}
	return out
}

// Repeat is how often a source was banned, ended bans included.
type Repeat struct {
	Address netip.Addr
	Times   int
	Until   time.Time // the end of the last one
}

// saved is the state file's content.
type saved struct {
	Time    time.Time
	Bans    []Ban
	Sources []Source
	Repeats []Repeat
}

// Save writes bans and sources to the state file, if there is one.
func (b *Book) Save() error {
	if b.o.StateFile == "" {
		return nil
	}
	b.saving.Lock()
	defer b.saving.Unlock()
	b.changed.Store(false)
	now := b.o.Now()
	sources := b.Worst(MaxDetails, now)
	for i := range sources {
		sources[i].Ban = nil // kept with the bans
	}
	data, err := json.Marshal(saved{now, b.Bans(now), sources, b.repeats(now)})
	if err == nil {
		err = safefile.Write(b.o.StateFile, data)
	}
	if err != nil {
		b.changed.Store(true)
		return fmt.Errorf("keep bans and reputation: %w", err)
	}
	return nil
}

// repeats lists the sources with bans that are still counted.
func (b *Book) repeats(now time.Time) (out []Repeat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for a := range b.banned {
		times, until := b.o.State.Bans(b.key(a), now)
		if times == 0 {
			delete(b.banned, a)
			continue
		}
		out = append(out, Repeat{a, times, until})
	}
	return out
}

// repeat takes what the state file or another gateway knows of a source.
func (b *Book) repeat(r Repeat, now time.Time) {
	if r.Times <= 0 || !r.Address.IsValid() {
		return
	}
	a := check.SourceOf(r.Address)
	b.o.State.RestoreBans(b.key(a), now, min(r.Times, maxTimes), r.Until, check.RepeatWithin)
	b.remember(a)
}

func (b *Book) load() {
	if b.o.StateFile == "" {
		return
	}
	data, err := safefile.Read(b.o.StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var s saved
	if err == nil {
		if err = json.Unmarshal(data, &s); err != nil {
			err = fmt.Errorf("read state file %s: %w; it will be replaced", b.o.StateFile, err)
		}
	}
	if err != nil {
		b.o.Event(fmt.Sprintf("bans and reputation start afresh: %v", err))
		return
	}
	now := b.o.Now()
	for _, ban := range s.Bans {
		b.learn(ban, now)
	}
	for _, r := range s.Repeats[:min(len(s.Repeats), maxBanned)] {
		b.repeat(r, now)
	}
	r := b.rules.Load()
	for _, src := range s.Sources[:min(len(s.Sources), MaxDetails)] {
		if !src.Address.IsValid() {
			continue
		}
		a := check.SourceOf(src.Address)
		// Raised as of then, so that it goes on to decay from there.
		b.o.State.Raise(b.key(a), s.Time, r.halfLife, src.Score, 100)
		d := &detail{first: src.First, last: src.Last, findings: src.Findings, denied: src.Denied}
		for i, why := range src.Why[:min(len(src.Why), maxReasons)] {
			d.reasons[i] = reason{cut(why.Check), cut(why.ID), cut(why.Message), why.Times, why.Last}
		}
		b.details[a] = d
	}
	b.changed.Store(false)
}

// Start begins the background work: saving what changed, dropping ended bans.
func (b *Book) Start() {
	b.stop, b.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(b.done)
		tick := time.NewTicker(SaveEvery)
		defer tick.Stop()
		failed := false
		for {
			select {
			case <-b.stop:
				return
			case <-tick.C:
			}
			if b.bans.purge(b.o.Now()) > 0 {
				b.changed.Store(true)
			}
			if !b.changed.Load() {
				continue
			}
			err := b.Save()
			if err != nil && !failed {
				b.o.Event(err.Error()) // once, not every ten seconds
			}
			failed = err != nil
		}
	}()
}

// Close ends the background work and saves a last time.
func (b *Book) Close() error {
	if b.stop != nil {
		close(b.stop)
		<-b.done
		b.stop = nil
	}
	return b.Save()
}
