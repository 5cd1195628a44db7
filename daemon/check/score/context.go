package score

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/score/model"
	"github.com/sallyport/sallyport/daemon/check/score/profile"
	"github.com/sallyport/sallyport/daemon/endpoint"
	"github.com/sallyport/sallyport/daemon/request"
	"github.com/sallyport/sallyport/daemon/safefile"
)

// Limits of what context does to a logit. The score's curve is steep: 12 takes
// any score that is not certain to nothing.
const (
	maxDiscount = 12
	maxRaise    = 1.2
)

// stateFile is the context's file in the state folder.
const stateFile = "score-context.json"

// context is the learned profiles with their file. It survives a reload.
type context struct {
	settings *ContextSettings
	path     string // empty offline

	book atomic.Pointer[profile.Book]

	writing sync.Mutex // held from taking the book to replacing the file

	mu     sync.Mutex
	saving bool
	next   time.Time // when to save again
	saved  uint64    // Changed at the last save
	warn   func(string)
}

func (s *ContextSettings) options(seed uint64) profile.Options {
	return profile.Options{Max: s.MaxEndpoints, MinClients: s.MinClients, NormalShare: s.NormalShare, Discount: maxDiscount, Raise: maxRaise, Seed: seed}
}

// openContext takes the running policy's context over, or reads the state
// file, or starts afresh.
func openContext(s *ContextSettings, env check.Env) (*context, error) {
	if !s.Enabled {
		return nil, nil
	}
	c := &context{settings: s, warn: env.Warn}
	if env.StateDir != "" {
		c.path = filepath.Join(env.StateDir, stateFile)
	}
	if old, ok := env.Old.(*Check); ok && old.context != nil {
		c.book.Store(old.context.book.Load())
		if same := old.context.settings; same.MaxEndpoints == s.MaxEndpoints && same.MinClients == s.MinClients && same.NormalShare == s.NormalShare {
			return c, nil
		}
		data, err := c.book.Load().Export()
		if err != nil {
			return nil, err
		}
		return c, c.take(data)
	}
	c.book.Store(profile.New(s.options(randomSeed())))
	if c.path == "" {
		return c, nil
	}
	data, err := safefile.Read(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		if err = c.take(data); err == nil {
			return c, nil
		}
	}
	c.say(fmt.Sprintf("the learned context starts afresh: %v", err))
	return c, nil
}

// take puts what Export once gave in place of what was learned.
func (c *context) take(data []byte) error {
	b, err := profile.Import(data, c.settings.options(0))
	if err != nil {
		return err
	}
	c.book.Store(b)
	return nil
}

func (c *context) say(message string) {
	if c.warn != nil {
		c.warn(message)
	}
}

func randomSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// maxSeen bounds the values of one visit that context looks at.
const maxSeen = 64

// contextScratch is the context's memory of one visit.
type contextScratch struct {
	values   []*request.Value
	seen     []profile.Seen
	evidence []model.Evidence
	template []byte
	names    []byte
}

func (s *contextScratch) saw(v *request.Value) {
	if len(s.values) < maxSeen && learned(v) && (len(s.values) == 0 || s.values[len(s.values)-1] != v) {
		s.values = append(s.values, v)
	}
}

// need puts a suspicious value among those looked at.
func (s *contextScratch) need(v *request.Value) {
	if learned(v) && s.indexOf(v) < 0 && len(s.values) < maxSeen+maxHits {
		s.values = append(s.values, v)
	}
}

func (s *contextScratch) indexOf(v *request.Value) int {
	for i, have := range s.values {
		if have == v {
			return i
		}
	}
	return -1
}

func (s *contextScratch) reset() {
	clear(s.values)
	clear(s.seen)
	s.values, s.seen, s.evidence, s.names = s.values[:0], s.seen[:0], s.evidence[:0], s.names[:0]
}

// learned says that a value has a profile: parameters have, the parts of the
// path, which the endpoint's template holds, and most headers have not.
func learned(v *request.Value) bool {
	switch v.Kind {
	case request.Path, request.Protobuf:
		return false
	case request.HeaderKind:
		return v.Part == "url"
	}
	return v.Part != "name"
}

// judge weighs the suspects in context, then learns.
func (c *context) judge(v *check.Visit, m *model.Model, s *scratch) {
	x := &s.context
	for i := range s.suspects {
		x.need(s.suspects[i].value)
	}
	if len(x.values) == 0 {
		return
	}
	for _, value := range x.values {
		from := len(x.names)
		x.names = value.AppendWhere(x.names)
		name := foldIndexes(x.names[from:])
		x.seen = append(x.seen, profile.Seen{Key: xxhash.Sum64(name), Name: name, Classes: profile.Classes(value.Text), Length: len(value.Text)})
	}
	for i := range s.suspects {
		u := &s.suspects[i]
		n := x.indexOf(u.value)
		if n < 0 || x.seen[n].Evidence != nil && x.seen[n].Logit >= u.hit.Logit {
			continue
		}
		from := len(x.evidence)
		x.evidence = m.Evidence(x.evidence, &s.model, u.text, u.hit)
		seen := &x.seen[n]
		seen.Evidence, seen.Logit, seen.Keep = x.evidence[from:len(x.evidence):len(x.evidence)], u.hit.Logit, u.hit.Floor != ""
	}
	x.template = endpoint.AppendTemplate(x.template[:0], v.Request.Path())
	book := c.book.Load()
	book.Judge(profile.Visit{
		Site: v.Site, Method: v.Request.Method, Template: x.template,
		Client: endpoint.Client(v.Request.Client.Addr(), book.Seed()), Now: v.Now,
		Reputation: v.Request.Source.Reputation, Teach: v.Request.Source.Reputation < c.settings.TeachReputation && !v.Request.Source.Banned,
	}, x.seen)
	for i := range s.suspects {
		u := &s.suspects[i]
		if n := x.indexOf(u.value); n >= 0 && u.hit.Floor == "" {
			u.change, u.why = x.seen[n].Change, x.seen[n].Why
		}
	}
	c.saveSoon(v.Now)
}

// foldIndexes shortens the numbers in a place's name to one zero, in place:
// json:/items/17/name and json:/items/3/name are one parameter.
func foldIndexes(name []byte) []byte {
	out := name[:0]
	number := false
	for _, c := range name {
		digit := c >= '0' && c <= '9'
		switch n := len(out); {
		case number && digit:
			continue
		case digit && n > 0 && (out[n-1] == '/' || out[n-1] == '['):
			number, c = true, '0'
		default:
			number = false
		}
		out = append(out, c)
	}
	return out
}

// saveSoon writes the book to its file when it is time, beside the requests.
func (c *context) saveSoon(now time.Time) {
	if c.path == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next.IsZero() {
		c.next = now.Add(time.Duration(c.settings.SaveSeconds) * time.Second)
	}
	if c.saving || now.Before(c.next) || c.book.Load().Changed.Load() == c.saved {
		return
	}
	c.saving, c.next = true, now.Add(time.Duration(c.settings.SaveSeconds)*time.Second)
	go func() {
		changed := c.book.Load().Changed.Load()
		err := c.save()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.saving = false
		if err == nil {
			c.saved = changed
		} else {
			c.say(err.Error())
		}
	}()
}

func (c *context) save() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	data, err := c.book.Load().Export()
	if err != nil {
		return err
	}
	return safefile.Write(c.path, data)
}

// Save writes what was learned to the state file.
func (c *Check) Save() error {
	if c.context == nil || c.context.path == "" {
		return nil
	}
	return c.context.save()
}
