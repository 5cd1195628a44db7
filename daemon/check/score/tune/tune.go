// Package tune finds likely false alarms in recorded events and proposes
// exceptions for them, each with its evidence and what it would let through.
// It changes nothing.
package tune

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/endpoint"
)

// Event is what tuning needs of a recorded request.
type Event struct {
	Time        time.Time
	Client      netip.Addr
	Site, Route string
	Method      string
	Path        []byte
	Denied      bool // denied, or would have been outside detect mode
	Reputation  float64
	Findings    []check.Finding
}

// Options say what makes a finding a likely false alarm.
type Options struct {
	// MinClients is how many distinct clients must have run into it.
	MinClients int
	// GoodReputation is the reputation, 0 good to 100 bad, below which a client
	// counts as a good one; GoodShare the share of good ones among the clients.
	GoodReputation, GoodShare float64
	// AloneShare is the share of requests in which nothing else was found.
	AloneShare float64
	// OtherScore is the score from which another finding speaks against it.
	OtherScore float64
	// Expires is how long a proposed exception holds.
	Expires time.Duration
	Now     time.Time
}

// Defaults are careful options.
func Defaults() Options {
	return Options{MinClients: 5, GoodReputation: 20, GoodShare: 0.9, AloneShare: 0.95, OtherScore: 50, Expires: 90 * 24 * time.Hour}
}

// Group is one finding at one place of one endpoint, over all events.
type Group struct {
	Site     string `json:"site"`
	Route    string `json:"route"`
	Method   string `json:"method"`
	Endpoint string `json:"endpoint"`
	Check    string `json:"check"`
	ID       string `json:"id"`
	Where    string `json:"where"`

	Requests int       `json:"requests"`
	Denied   int       `json:"denied"`
	Clients  int       `json:"clients"`
	Good     int       `json:"good_clients"`
	Alone    int       `json:"alone"` // requests in which nothing else was found
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	MaxScore float64   `json:"max_score"`
	Message  string    `json:"message"`
	// LetThrough is how many denied requests the exception alone would have let
	// through, and Doubtful how many of them came from clients that are not good.
	LetThrough int      `json:"let_through"`
	Doubtful   int      `json:"doubtful"`
	Examples   []string `json:"examples"`
	// Likely says that it looks like a false alarm, Why what decided.
	Likely bool   `json:"likely"`
	Why    string `json:"why"`

	clients map[netip.Addr]bool // true for good ones
}

// Bounds of what is kept.
const (
	maxGroups   = 10_000
	maxClients  = 10_000 // of a group
	maxExamples = 3
)

type key struct{ site, route, method, endpoint, check, id, where string }

// Groups sorts the events' findings and says of each group whether it looks
// like a false alarm; likely ones first, then by requests.
func Groups(events []Event, o Options) []Group {
	groups := map[key]*Group{}
	for i := range events {
		e := &events[i]
		for n := range e.Findings {
			add(groups, e, &e.Findings[n], o)
		}
	}
	out := make([]Group, 0, len(groups))
	for _, g := range groups {
		g.decide(o)
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b Group) int {
		if a.Likely != b.Likely {
			if a.Likely {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), strings.Compare(a.Site+a.Endpoint+a.Check+a.ID+a.Where, b.Site+b.Endpoint+b.Check+b.ID+b.Where))
	})
	return out
}

func add(groups map[key]*Group, e *Event, f *check.Finding, o Options) {
	k := key{e.Site, e.Route, e.Method, endpoint.Template(e.Path), f.Check, f.ID, f.Where}
	g := groups[k]
	if g == nil {
		if len(groups) >= maxGroups {
			return
		}
		g = &Group{Site: k.site, Route: k.route, Method: k.method, Endpoint: k.endpoint, Check: k.check, ID: k.id, Where: k.where,
			First: e.Time, Message: f.Message, clients: map[netip.Addr]bool{}}
		groups[k] = g
	}
	g.Requests++
	if e.Time.Before(g.First) {
		g.First = e.Time
	}
	if e.Time.After(g.Last) {
		g.Last = e.Time
	}
	g.MaxScore = max(g.MaxScore, f.Score)
	good := e.Reputation < o.GoodReputation
	if before, ok := g.clients[e.Client]; ok {
		g.clients[e.Client] = before && good
	} else if len(g.clients) < maxClients {
		g.clients[e.Client] = good
	}
	alone := true
	for i := range e.Findings {
		other := &e.Findings[i]
		if (other.Check != f.Check || other.ID != f.ID || other.Where != f.Where) && (other.Score >= o.OtherScore || other.Deny) {
			alone = false
		}
	}
	if alone {
		g.Alone++
	}
	if e.Denied {
		g.Denied++
		if alone {
			g.LetThrough++
			if !good {
				g.Doubtful++
			}
		}
	}
	if len(g.Examples) < maxExamples && f.Excerpt != "" && !slices.Contains(g.Examples, f.Excerpt) {
		g.Examples = append(g.Examples, f.Excerpt)
	}
}

func (g *Group) decide(o Options) {
	g.Clients = len(g.clients)
	for _, good := range g.clients {
		if good {
			g.Good++
		}
	}
	switch {
	case g.Clients < o.MinClients:
		g.Why = fmt.Sprintf("only %d clients, %d wanted", g.Clients, o.MinClients)
	case float64(g.Good) < o.GoodShare*float64(g.Clients):
		g.Why = fmt.Sprintf("only %d of %d clients have a good reputation", g.Good, g.Clients)
	case float64(g.Alone) < o.AloneShare*float64(g.Requests):
		g.Why = fmt.Sprintf("in %d of %d requests something else was found too", g.Requests-g.Alone, g.Requests)
	default:
		g.Likely = true
		g.Why = fmt.Sprintf("%d distinct clients, %d of good reputation, and nothing else found in %d of %d requests", g.Clients, g.Good, g.Alone, g.Requests)
	}
}

// TOML is the exception that takes the group's findings away, to paste, with
// its evidence as comments.
func (g *Group) TOML(o Options) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# %s %s: %s (%s)", g.Method, plain(g.Endpoint), plain(g.Message), plain(g.Where))
	line("# %s, %s to %s.", g.Why, g.First.UTC().Format(time.DateOnly), g.Last.UTC().Format(time.DateOnly))
	line("# It would have let through %d denied requests, %d of them from clients of doubtful reputation.", g.LetThrough, g.Doubtful)
	for _, e := range g.Examples {
		line("#   %s", plain(e))
	}
	line("[[exception]]")
	for _, f := range [][2]string{{"site", g.Site}, {"route", g.Route}, {"check", g.Check}, {"id", g.ID}, {"where", g.Where}} {
		if f[1] != "" {
			line("%s = %s", f[0], quote(f[1]))
		}
	}
	line("reason = %s", quote("likely false alarm: "+g.Why))
	if !o.Now.IsZero() {
		line("expires = %s", o.Now.Add(o.Expires).UTC().Format(time.DateOnly))
	}
	return b.String()
}

// plain makes a client's text safe to stand in a comment of one line.
func plain(s string) string {
	q := fmt.Sprintf("%+q", s)
	return q[1 : len(q)-1]
}

// quote is s as a TOML basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
