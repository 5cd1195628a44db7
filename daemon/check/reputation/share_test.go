package reputation

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/keyed/shared"
	"github.com/sallyport/sallyport/daemon/redistest"
)

func TestGatewaysShareBansAndScores(t *testing.T) {
	r := redistest.Start(t)
	var books []*fixture
	join := func() *fixture {
		f := newBook(t, nil)
		c, err := shared.Open(shared.Options{Address: []string{"unix:" + r.Socket}, Prefix: "t", Deadline: time.Second, Every: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Release)
		f.Share(c)
		f.Share(c)
		for c.Away() {
			time.Sleep(5 * time.Millisecond)
		}
		books = append(books, f)
		return f
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for range 1000 {
			if ok() {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Fatalf("it never came to be: %s", what)
	}
	a, b := join(), join()
	time.Sleep(60 * time.Millisecond) // both listen
	a.Ban(netip.MustParseAddr("192.0.2.1"), time.Hour, "too many", start)
	if _, err := a.BanPrefix(netip.MustParsePrefix("198.51.100.0/24"), time.Hour, "by hand", "root", start); err != nil {
		t.Fatal(err)
	}
	until("b bans what a bans", func() bool { return b.source("192.0.2.1").Banned && b.source("198.51.100.9").Banned })
	if got := b.source("198.51.100.9").Why; got != "by hand" {
		t.Errorf("why: %q", got)
	}
	a.found("192.0.2.3", 80, true)
	until("b's score rises with a's finding", func() bool { return b.source("192.0.2.3").Reputation == 20 })
	if got := a.source("192.0.2.3").Reputation; got != 20 {
		t.Errorf("a counted its own finding as %v", got)
	}
	late := join()
	until("a late gateway learns the bans", func() bool { return late.source("192.0.2.1").Banned })
	if _, err := b.Unban(netip.MustParsePrefix("192.0.2.1/32"), start); err != nil {
		t.Fatal(err)
	}
	until("all lift what b lifts", func() bool { return !a.source("192.0.2.1").Banned && !late.source("192.0.2.1").Banned })
}
