package door_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/door"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/nginxtest"
	"github.com/sallyport/sallyport/daemon/request"
)

// bans is the least that keeps a ban list.
type bans struct {
	mu  sync.Mutex
	all map[netip.Addr]time.Time
}

func (b *bans) Source(a netip.Addr, now time.Time) request.Source {
	b.mu.Lock()
	defer b.mu.Unlock()
	until := b.all[a]
	return request.Source{Banned: now.Before(until), BannedUntil: until, Why: "guard"}
}

func (b *bans) Ban(a netip.Addr, d time.Duration, _ string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all[a] = now.Add(d)
}

func (b *bans) lift() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.all)
}

// besides are attacks in bodies that mode guard and observe let pass.
var besides = []call{
	{title: "with a length", method: "POST", path: "/a", body: "an attack"},
	{title: "without a length", method: "POST", path: "/a", body: "an attack", chunked: true},
	{title: "long after its headers", method: "POST", path: "/a", body: "an attack", late: true},
	{title: "behind a query", method: "PUT", path: "/a?x=1", body: "an attack"},
	{title: "at the end of 300 KB", method: "POST", path: "/a", body: strings.Repeat("clean ", 50000) + "attack"},
	{title: "at the end of 300 KB without a length", method: "POST", path: "/a", body: strings.Repeat("clean ", 50000) + "attack", chunked: true},
}

func TestABodyThatPassesIsJudgedBesideAndCountsAgainstTheNextRequest(t *testing.T) {
	for _, mode := range []string{"guard-open", "guard-closed", "observe"} {
		for _, proto := range []string{"", "http2"} {
			t.Run(mode+" "+proto, func(t *testing.T) {
				b := newBackend(t)
				server := guarded(mode, b.URL)
				if mode == "observe" {
					server = observed(b.URL)
				}
				n := nginxtest.Start(t, nginxtest.Conf{Server: server, Listen: proto})
				list, ev := &bans{all: map[netip.Addr]time.Time{}}, &events{}
				d := door.NewServer(inspect.New(testPolicy(nil), inspect.Options{State: keyed.New(1000, 1), Recorder: ev, Sources: list, GuardBan: time.Minute}), doorSettings)
				serveDoor(t, d, n.Door)
				client := plain
				if proto == "http2" {
					client = h2
				}
				for k, c := range besides {
					before := b.reached()
					resp, _, err := c.do(client, n.Addr)
					if err != nil || resp.StatusCode != 200 || b.reached() != before+1 {
						t.Fatalf("%s: %v %v, the backend was reached %d times\n%s", c.title, err, resp, b.reached()-before, n.ErrorLog())
					}
					waitFor(t, func() bool {
						return ev.count(func(e *event.Event) bool {
							return e.Door == strings.TrimSuffix(strings.TrimSuffix(mode, "-open"), "-closed") && len(e.Findings) == 1 && e.Findings[0].ID == "body"
						}) == k+1
					})
					clean := call{method: "GET", path: "/a"}
					want := 403
					if mode == "observe" {
						want = 200
					}
					if resp, _, err = clean.do(client, n.Addr); err != nil || resp.StatusCode != want {
						t.Fatalf("%s: the client's next request: %v %v, want %d", c.title, err, resp, want)
					}
					list.lift()
				}
			})
		}
	}
}

// observed is a server that observes every path and denies nothing.
func observed(backend string) string {
	return `
        include sallyport/server.conf;
        location / { include sallyport/observe.conf; proxy_pass ` + backend + `; }
`
}
