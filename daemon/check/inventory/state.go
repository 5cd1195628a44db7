package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/sallyport/sallyport/daemon/endpoint"
	"github.com/sallyport/sallyport/daemon/safefile"
)

// state is the state file: the seed of the client counts, and the endpoints.
type state struct {
	Version   int          `json:"version"`
	Seed      uint64       `json:"seed"`
	Endpoints []savedEntry `json:"endpoints"`
}

type savedEntry struct {
	Site     string    `json:"site"`
	Method   string    `json:"method"`
	Template string    `json:"template"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Count    uint64    `json:"count"`
	Clients  []byte    `json:"clients"`
	Facts    facts     `json:"facts"`
}

// Save writes the state file, if there is a place for one.
func (c *Check) Save() error {
	if c.path == "" {
		return nil
	}
	st := state{Version: 1, Seed: c.seed}
	c.book.Each(func(e *endpoint.Entry[facts]) {
		clients, _ := e.Clients.MarshalBinary()
		st.Endpoints = append(st.Endpoints, savedEntry{e.Site, e.Method, e.Template, e.First, e.Last, e.Count, clients, e.Value})
	})
	b, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("write the inventory: %w", err)
	}
	return safefile.Write(c.path, b)
}

// restore reads the state file. A file that is not whole was set aside by
// safefile; the inventory then begins afresh and the error says so.
func (c *Check) restore() error {
	if c.path == "" {
		return nil
	}
	b, err := safefile.Read(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the inventory begins afresh: %w", err)
	}
	var st state
	if err := json.Unmarshal(b, &st); err != nil || st.Version != 1 {
		return fmt.Errorf("the inventory begins afresh: %s is of version %d, expected 1 (%v)", c.path, st.Version, err)
	}
	c.seed = st.Seed
	c.book = c.newBook()
	for i := range st.Endpoints {
		s := &st.Endpoints[i]
		e := endpoint.Entry[facts]{Site: s.Site, Method: s.Method, Template: s.Template, First: s.First, Last: s.Last, Count: s.Count, Value: s.Facts}
		if e.Clients.UnmarshalBinary(s.Clients) == nil {
			c.book.Restore(e)
		}
	}
	return nil
}
