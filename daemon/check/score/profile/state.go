package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/check/score/model"
	"github.com/sallyport/sallyport/daemon/endpoint"
)

// version is of the state's format; featureless changes keep it.
const version = 1

// state is a Book on disk and in exports. The seed goes with it: without it the
// panel's hashes mean nothing.
type state struct {
	Version   int             `json:"version"`
	Seed      uint64          `json:"seed"`
	Endpoints []endpointState `json:"endpoints"`
}

type endpointState struct {
	Site     string            `json:"site"`
	Method   string            `json:"method"`
	Template string            `json:"template"`
	First    time.Time         `json:"first"`
	Last     time.Time         `json:"last"`
	Count    uint64            `json:"count"`
	Clients  endpoint.Distinct `json:"-"`
	Distinct []byte            `json:"clients"`
	Panel    []uint64          `json:"panel"`
	Params   []paramState      `json:"params"`
}

type paramState struct {
	Key     uint64            `json:"key"`
	Name    string            `json:"name"`
	Seen    uint64            `json:"seen"`
	Classes [classes]uint64   `json:"classes"`
	Longest uint32            `json:"longest"`
	Fired   uint64            `json:"fired,omitempty"`
	Signs   map[uint16]uint64 `json:"signs,omitempty"`
}

// Export is the whole book, for a file.
func (b *Book) Export() ([]byte, error) {
	st := state{Version: version, Seed: b.o.Seed}
	var failed error
	b.book.Each(func(e *endpoint.Entry[Profile]) {
		s := endpointState{Site: e.Site, Method: e.Method, Template: e.Template, First: e.First, Last: e.Last, Count: e.Count}
		clients, err := e.Clients.MarshalBinary()
		if err != nil {
			failed = err
			return
		}
		s.Distinct = clients
		p := &e.Value
		s.Panel = slices.Clone(p.panel[:p.n])
		for key, q := range p.params {
			s.Params = append(s.Params, q.state(key))
		}
		slices.SortFunc(s.Params, func(a, b paramState) int { return strings.Compare(a.Name, b.Name) })
		st.Endpoints = append(st.Endpoints, s)
	})
	if failed != nil {
		return nil, fmt.Errorf("export context: %w", failed)
	}
	return json.Marshal(st)
}

func (q *param) state(key uint64) paramState {
	s := paramState{Key: key, Name: q.name, Seen: q.seen, Classes: q.classes, Longest: q.longest, Fired: q.fired}
	if q.signs != nil {
		s.Signs = map[uint16]uint64{}
		for id, m := range q.signs {
			if m != 0 {
				s.Signs[uint16(id)] = m
			}
		}
	}
	return s
}

// ErrState says that a state cannot be used.
var ErrState = errors.New("not a usable context")

// Import makes a book of what Export gave, with o's bounds and the state's seed.
func Import(data []byte, o Options) (*Book, error) {
	var st state
	if err := json.Unmarshal(data, &st); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	if st.Version != version {
		return nil, fmt.Errorf("%w: version %d, %d expected", ErrState, st.Version, version)
	}
	o.Seed = st.Seed
	b := New(o)
	for _, s := range st.Endpoints {
		if len(s.Panel) > panelSize || len(s.Params) > maxParams {
			return nil, fmt.Errorf("%w: %s %s holds more than its bounds allow", ErrState, s.Method, s.Template)
		}
		e := endpoint.Entry[Profile]{Site: s.Site, Method: s.Method, Template: s.Template, First: s.First, Last: s.Last, Count: s.Count}
		if err := e.Clients.UnmarshalBinary(s.Distinct); err != nil {
			return nil, fmt.Errorf("%w: %s %s: %w", ErrState, s.Method, s.Template, err)
		}
		p := &e.Value
		p.n = copy(p.panel[:], s.Panel)
		p.params = make(map[uint64]*param, len(s.Params))
		for _, q := range s.Params {
			got, err := p.restore(q)
			if err != nil {
				return nil, err
			}
			p.params[q.Key] = got
		}
		b.book.Restore(e)
	}
	return b, nil
}

func (p *Profile) restore(s paramState) (*param, error) {
	q := &param{name: s.Name[:min(len(s.Name), maxName)], seen: s.Seen, classes: s.Classes, longest: s.Longest, fired: s.Fired}
	if len(s.Signs) > 0 && p.lexicons < maxLexicons {
		p.lexicons++
		q.signs = new([model.EvidenceIDs]uint64)
		for id, m := range s.Signs {
			if int(id) >= len(q.signs) {
				return nil, fmt.Errorf("%w: sign %d of %s, at most %d expected", ErrState, id, s.Name, len(q.signs)-1)
			}
			q.signs[id] = m
		}
	}
	return q, nil
}

// Shown is a parameter's profile for people.
type Shown struct {
	Site      string   `json:"site"`
	Method    string   `json:"method"`
	Template  string   `json:"template"`
	Parameter string   `json:"parameter"`
	Members   int      `json:"clients_sampled"` // that sent it
	Warm      bool     `json:"warm"`            // enough of them for the profile to count
	Fired     int      `json:"clients_fired"`   // whose values the model found suspicious
	Longest   int      `json:"longest_bytes"`
	Holds     []string `json:"holds"`  // classes of bytes seen
	Normal    []string `json:"normal"` // suspicious signs that are normal here
}

// Show lists every parameter's profile, by endpoint and name.
func (b *Book) Show() []Shown {
	var out []Shown
	b.book.Each(func(e *endpoint.Entry[Profile]) {
		for _, q := range e.Value.params {
			members := bits.OnesCount64(q.seen)
			s := Shown{Site: e.Site, Method: e.Method, Template: e.Template, Parameter: q.name, Members: members,
				Warm: members >= b.o.MinClients, Fired: bits.OnesCount64(q.fired), Longest: int(q.longest)}
			for c, m := range q.classes {
				if m != 0 {
					s.Holds = append(s.Holds, classNames[c])
				}
			}
			if q.signs != nil {
				least := max(float64(b.o.MinClients)/2, b.o.NormalShare*float64(members))
				for id, m := range q.signs {
					if float64(bits.OnesCount64(m)) >= least && id < model.EvidenceIDs {
						if name := model.EvidenceName(uint16(id)); name != "a word" {
							s.Normal = append(s.Normal, name)
						}
					}
				}
			}
			out = append(out, s)
		}
	})
	slices.SortFunc(out, func(x, y Shown) int {
		return strings.Compare(x.Site+"\x00"+x.Template+"\x00"+x.Method+"\x00"+x.Parameter, y.Site+"\x00"+y.Template+"\x00"+y.Method+"\x00"+y.Parameter)
	})
	return out
}

// Seed is what clients' hashes are seeded with.
func (b *Book) Seed() uint64 { return b.o.Seed }
