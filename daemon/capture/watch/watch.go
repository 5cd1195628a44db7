// Package watch notices connections to backends that did not come through the
// gateway. It sees frames as AF_PACKET hands them over, and keeps, within
// bounds, who connected to what, when and how often, and the request line
// where it was sent in the clear.
//
// Bounds: 4,096 pairs of source and backend, and 8,192 connections; past them
// the one seen least recently is forgotten (Forgotten counts pairs). A pair is
// reported when first seen and then once a minute while it goes on, at most 32
// pairs in one report. A request line is kept up to 512 bytes.
package watch

import (
	"bytes"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Bounds; see the package comment.
const (
	maxPairs       = 4096
	maxConnections = 8192
	maxReport      = 32
	maxLine        = 512
	MaxBackends    = 64
	MaxGateways    = 32

	// settle is how long a new pair waits for its request line, repeat how
	// long one that was reported is silent.
	settle = 500 * time.Millisecond
	repeat = time.Minute
)

// Finding is a source that reached a backend without the gateway.
type Finding struct {
	Source  netip.Addr     `json:"source"`
	Backend netip.AddrPort `json:"backend"`
	// Interface is where the last connection was seen.
	Interface string    `json:"interface"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	// Connections are all that were seen, New those since the last report.
	Connections uint64 `json:"connections"`
	New         uint64 `json:"new"`
	// Request is the last request line in the clear, without its query.
	Request string `json:"request,omitempty"`
}

// String says it in a line.
func (f Finding) String() string {
	s := fmt.Sprintf("%s reached backend %s without the gateway, %d times from %s to %s on %s", f.Source, f.Backend, f.Connections,
		f.First.UTC().Format(time.RFC3339), f.Last.UTC().Format(time.RFC3339), f.Interface)
	if f.Request != "" {
		s += fmt.Sprintf(": %q", f.Request)
	}
	return s
}

// Watch keeps what was seen. It is safe for concurrent use.
type Watch struct {
	backends []netip.AddrPort
	gateways []netip.Addr

	mu          sync.Mutex
	pairs       *recent[pairKey, pair]
	connections *recent[connection, state]
	forgotten   uint64
}

type pairKey struct {
	source  netip.Addr
	backend netip.AddrPort
}

type pair struct {
	Finding
	told time.Time // of the last report; zero before the first
}

type connection struct{ src, dst netip.AddrPort }

type state struct {
	seq   uint32
	asked bool // its request line was looked for
}

// New watches backends; an unspecified address (0.0.0.0, ::) stands for every
// address of its family.
func New(backends []netip.AddrPort, gateways []netip.Addr) (*Watch, error) {
	if len(backends) == 0 || len(backends) > MaxBackends {
		return nil, fmt.Errorf("%d backends: one to %d were expected", len(backends), MaxBackends)
	}
	if len(gateways) > MaxGateways {
		return nil, fmt.Errorf("%d gateways: %d at most were expected", len(gateways), MaxGateways)
	}
	return &Watch{backends: backends, gateways: gateways,
		pairs: newRecent[pairKey, pair](maxPairs), connections: newRecent[connection, state](maxConnections)}, nil
}

// Frame takes in one Ethernet frame; it keeps nothing of it.
func (w *Watch) Frame(frame []byte, on string, at time.Time) {
	s, ok := parse(frame)
	if !ok || !w.guarded(s.dst) || w.gateway(s.src.Addr()) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	key := connection{s.src, s.dst}
	c := w.connections.get(key)
	if s.opens {
		// The same SYN comes twice from loopback, from a bridge and its port,
		// and when it is sent again.
		if c != nil && c.seq == s.seq {
			return
		}
		if c == nil {
			w.connections.add(key, state{seq: s.seq})
		} else {
			*c = state{seq: s.seq}
		}
		w.count(s, on, at)
		return
	}
	if c == nil || c.asked || len(s.payload) == 0 || s.seq != c.seq+1 {
		return
	}
	c.asked = true
	if p := w.pairs.get(pairKey{s.src.Addr(), s.dst}); p != nil {
		if line := requestLine(s.payload); line != "" {
			p.Request = line
		}
	}
}

func (w *Watch) count(s segment, on string, at time.Time) {
	key := pairKey{s.src.Addr(), s.dst}
	p := w.pairs.get(key)
	if p == nil {
		var full bool
		p, full = w.pairs.add(key, pair{Finding: Finding{Source: key.source, Backend: key.backend, First: at}})
		if full {
			w.forgotten++
		}
	}
	p.Last, p.Interface = at, on
	p.Connections++
	p.New++
}

func (w *Watch) guarded(dst netip.AddrPort) bool {
	for _, b := range w.backends {
		if b.Port() != dst.Port() {
			continue
		}
		if b.Addr() == dst.Addr() || b.Addr().IsUnspecified() && b.Addr().Is4() == dst.Addr().Is4() {
			return true
		}
	}
	return false
}

func (w *Watch) gateway(a netip.Addr) bool {
	for _, g := range w.gateways {
		if g == a {
			return true
		}
	}
	return false
}

// Due takes what is to be reported now; at the end of a watch all is.
func (w *Watch) Due(now time.Time, all bool) []Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	var due []Finding
	w.pairs.each(func(p *pair) {
		ripe := all || p.told.IsZero() && now.Sub(p.First) >= settle || !p.told.IsZero() && now.Sub(p.told) >= repeat
		if p.New == 0 || !ripe || len(due) >= maxReport && !all {
			return
		}
		due = append(due, p.Finding)
		p.New, p.told = 0, now
	})
	return due
}

// Forgotten is how many pairs were forgotten because the table was full.
func (w *Watch) Forgotten() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.forgotten
}

// requestLine is the line an HTTP/1 request begins with, or empty. Its query is
// left out: it may hold a secret.
func requestLine(b []byte) string {
	line, _, _ := bytes.Cut(b[:min(len(b), maxLine)], []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	method, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(method) == 0 || len(method) > 32 {
		return ""
	}
	for _, c := range method {
		if c < 'A' || c > 'Z' {
			return ""
		}
	}
	target, version, _ := bytes.Cut(rest, []byte(" "))
	if path, _, has := bytes.Cut(target, []byte("?")); has {
		target = append(bytes.Clone(path), "?..."...)
	}
	out := append(append(bytes.Clone(method), ' '), target...)
	if len(version) > 0 {
		out = append(append(out, ' '), version...)
	}
	for i, c := range out {
		if c < 0x20 || c > 0x7e {
			out[i] = '.'
		}
	}
	return string(out)
}
