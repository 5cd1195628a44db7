package reputation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/request"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

type fixture struct {
	*Book
	now    time.Time
	events []string
	file   string
	dir    string
}

func newBook(t *testing.T, change func(*Settings)) *fixture {
	t.Helper()
	f := &fixture{now: start, dir: t.TempDir()}
	f.file = filepath.Join(f.dir, "reputation")
	f.open(t, change)
	return f
}

func (f *fixture) open(t *testing.T, change func(*Settings)) {
	t.Helper()
	s := Defaults()
	if change != nil {
		change(&s)
	}
	b, err := New(s, Options{
		State: keyed.New(1000, 1), StateFile: f.file, Dir: f.dir,
		Event: func(m string) { f.events = append(f.events, m) }, Now: func() time.Time { return f.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Book = b
}

func (f *fixture) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) found(addr string, score float64, denied bool) {
	a := netip.MustParseAddr(addr)
	f.Found(&check.Visit{
		Request: &request.Request{Client: netip.AddrPortFrom(a, 1)}, Now: f.now,
		Findings: []check.Finding{{Check: "signature", ID: "1:1", Message: "a test", Score: score}},
	}, denied)
}

func (f *fixture) source(addr string) request.Source {
	return f.Source(netip.MustParseAddr(addr), f.now)
}

func TestFindingsRaiseAndTimeAndGoodAnswersLower(t *testing.T) {
	f := newBook(t, nil)
	if got := f.source("192.0.2.1"); got != (request.Source{}) {
		t.Errorf("an unknown source: %+v", got)
	}
	f.found("192.0.2.1", 80, true)
	f.found("192.0.2.1", 80, true)
	if got := f.source("192.0.2.1").Reputation; math.Abs(got-40) > 1e-9 {
		t.Errorf("after two findings of 80: %v, want 40", got)
	}
	f.now = f.now.Add(time.Hour)
	if got := f.source("192.0.2.1").Reputation; math.Abs(got-20) > 1e-9 {
		t.Errorf("after a half-life: %v, want 20", got)
	}
	o := &outcome.Outcome{Client: netip.MustParseAddr("192.0.2.1"), Time: f.now, Status: 200}
	f.Ended(o, nil)
	if got := f.source("192.0.2.1").Reputation; math.Abs(got-19.5) > 1e-9 {
		t.Errorf("after a good answer: %v, want 19.5", got)
	}
	o.Status = 404
	f.Ended(o, nil)
	if got := f.source("192.0.2.1").Reputation; math.Abs(got-19.5) > 1e-9 {
		t.Errorf("a bad answer lowered the score to %v", got)
	}
	for range 20 {
		f.found("192.0.2.1", 95, true)
	}
	if got := f.source("192.0.2.1").Reputation; got != 100 {
		t.Errorf("score %v, want at most 100", got)
	}
}

func TestPressureIsNoFaultOfTheClient(t *testing.T) {
	f := newBook(t, nil)
	f.Found(&check.Visit{
		Request: &request.Request{Client: netip.MustParseAddrPort("192.0.2.1:1")}, Now: f.now,
		Findings: []check.Finding{{Check: "pressure", ID: "shed", Score: 50}},
	}, true)
	if got := f.source("192.0.2.1").Reputation; got != 0 {
		t.Errorf("score %v for a request that was shed", got)
	}
}

func TestAnIPv6SourceIsItsSlash64(t *testing.T) {
	f := newBook(t, nil)
	f.found("2001:db8:1:2::3", 80, true)
	if f.source("2001:db8:1:2:ffff::1").Reputation == 0 || f.source("2001:db8:1:3::3").Reputation != 0 {
		t.Error("the score is not that of the /64")
	}
	f.Ban(netip.MustParseAddr("2001:db8:1:2::3"), time.Minute, "test", f.now)
	if !f.source("2001:db8:1:2::99").Banned || f.source("2001:db8:1:3::3").Banned {
		t.Error("the ban is not that of the /64")
	}
	f.Ban(netip.MustParseAddr("::ffff:192.0.2.9"), time.Minute, "test", f.now)
	if !f.source("192.0.2.9").Banned || !f.source("::ffff:192.0.2.9").Banned {
		t.Error("a mapped address is not its IPv4 address")
	}
}

func TestABadScoreBansForLongerEachTime(t *testing.T) {
	f := newBook(t, func(s *Settings) { s.BanAt = 60 })
	for i, want := range []time.Duration{10, 20, 40} {
		for range 3 {
			f.found("192.0.2.1", 90, true)
		}
		got := f.source("192.0.2.1")
		if !got.Banned || got.BannedUntil.Sub(f.now) != want*time.Minute {
			t.Errorf("ban %d: %+v, want %v minutes", i+1, got, want)
		}
		f.now = got.BannedUntil
		if f.source("192.0.2.1").Banned {
			t.Error("banned past the end")
		}
	}
}

func TestWhatIsOnlyWatchedIsNotBanned(t *testing.T) {
	f := newBook(t, func(s *Settings) { s.BanAt = 60 })
	for range 20 {
		f.found("192.0.2.1", 95, false)
	}
	if got := f.source("192.0.2.1"); got.Banned || got.Reputation != 100 {
		t.Errorf("%+v", got)
	}
}

func TestBansAndScoresSurviveARestart(t *testing.T) {
	f := newBook(t, nil)
	f.found("192.0.2.1", 80, true)
	f.Ban(netip.MustParseAddr("192.0.2.2"), time.Hour, "too many", f.now)
	if _, err := f.BanPrefix(netip.MustParsePrefix("198.51.100.0/24"), 2*time.Hour, "by hand", "root", f.now); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(30 * time.Minute)
	f.open(t, nil)
	if got := f.source("192.0.2.1").Reputation; math.Abs(got-20/math.Sqrt2) > 0.01 {
		t.Errorf("score %v after half an hour, want %v", got, 20/math.Sqrt2)
	}
	if got := f.source("192.0.2.2"); !got.Banned || got.Why != "too many" || !got.BannedUntil.Equal(start.Add(time.Hour)) {
		t.Errorf("ban: %+v", got)
	}
	if !f.source("198.51.100.77").Banned {
		t.Error("the network's ban is gone")
	}
	worst := f.Worst(10, f.now)
	if len(worst) != 1 || worst[0].Findings != 1 || worst[0].Denied != 1 || len(worst[0].Why) != 1 || worst[0].Why[0].Message != "a test" {
		t.Errorf("worst: %+v", worst)
	}
	f.now = f.now.Add(24 * time.Hour)
	f.open(t, nil)
	if len(f.Bans(f.now)) != 0 || len(f.events) != 0 {
		t.Errorf("a day later: bans %v, events %v", f.Bans(f.now), f.events)
	}
}

// What a source did before the daemon was restarted still makes its next ban
// the longer, the ended bans included; a day without one makes it the first.
func TestARepeatersNextBanIsLongerAfterARestart(t *testing.T) {
	f := newBook(t, func(s *Settings) { s.BanAt = 60 })
	next := func() time.Duration {
		for range 3 {
			f.found("192.0.2.1", 90, true)
		}
		until := f.source("192.0.2.1").BannedUntil
		took := until.Sub(f.now)
		f.now = until.Add(time.Hour)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		f.open(t, func(s *Settings) { s.BanAt = 60 })
		return took
	}
	for i, want := range []time.Duration{10, 20, 40} {
		if got := next(); got != want*time.Minute {
			t.Errorf("ban %d: %v, want %v minutes", i+1, got, want)
		}
	}
	f.now = f.now.Add(check.RepeatWithin)
	if got := next(); got != 10*time.Minute {
		t.Errorf("after a day: %v", got)
	}
	if _, err := f.Unban(netip.MustParsePrefix("192.0.2.1/32"), f.now); err != nil {
		t.Fatal(err)
	}
	f.open(t, func(s *Settings) { s.BanAt = 60 })
	if got := next(); got != 10*time.Minute {
		t.Errorf("after unban: %v", got)
	}
}

func TestATornStateFileIsSetAside(t *testing.T) {
	f := newBook(t, nil)
	f.Ban(netip.MustParseAddr("192.0.2.2"), time.Hour, "too many", f.now)
	if err := f.Save(); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(f.file)
	if err := os.WriteFile(f.file, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	f.open(t, nil)
	if len(f.events) != 1 || !strings.Contains(f.events[0], "start afresh") || len(f.Bans(f.now)) != 0 {
		t.Errorf("events %q, bans %v", f.events, f.Bans(f.now))
	}
	if _, err := os.Stat(f.file + ".corrupt"); err != nil {
		t.Error(err)
	}
	f.Ban(netip.MustParseAddr("192.0.2.3"), time.Hour, "again", f.now)
	if err := f.Save(); err != nil {
		t.Error(err)
	}
}

func TestAnEndedBanDoesNotHideThatOfItsNetwork(t *testing.T) {
	f := newBook(t, nil)
	f.Ban(netip.MustParseAddr("198.51.100.7"), time.Minute, "short", f.now)
	if _, err := f.BanPrefix(netip.MustParsePrefix("198.51.100.0/24"), time.Hour, "long", "root", f.now); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(2 * time.Minute)
	if got := f.source("198.51.100.7"); !got.Banned || got.Why != "long" {
		t.Errorf("%+v", got)
	}
}

func TestAFullBanListDropsTheAutomaticBanThatEndsSoonest(t *testing.T) {
	f := newBook(t, func(s *Settings) { s.MaxBans = 10 })
	if _, err := f.BanPrefix(netip.MustParsePrefix("192.0.2.200/32"), time.Second, "by hand", "root", f.now); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		f.Ban(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), time.Duration(100+i)*time.Minute, "test", f.now)
	}
	got := f.Bans(f.now)
	if len(got) != 10 || !f.source("192.0.2.200").Banned || f.source("192.0.2.20").Banned || !f.source("192.0.2.21").Banned {
		t.Errorf("%d bans: %+v", len(got), got)
	}
	for i := range 30 {
		_, err := f.BanPrefix(netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), 32), time.Hour, "hand", "root", f.now)
		if (err != nil) != (i >= 9) {
			t.Fatalf("ban %d by hand: %v", i, err)
		}
	}
}

func TestUnbanLiftsAnAddressAndWhatLiesInANetwork(t *testing.T) {
	f := newBook(t, nil)
	f.found("192.0.2.1", 80, true)
	for i := range 5 {
		f.Ban(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), time.Hour, "test", f.now)
	}
	removed, err := f.Unban(netip.MustParsePrefix("192.0.2.0/30"), f.now)
	if err != nil || len(removed) != 4 {
		t.Errorf("%v, %v", removed, err)
	}
	if got := f.source("192.0.2.1"); got.Banned || got.Reputation != 0 {
		t.Errorf("after unban: %+v", got)
	}
	if !f.source("192.0.2.4").Banned {
		t.Error("another address was unbanned")
	}
	f.Ban(netip.MustParseAddr("2001:db8::1"), time.Hour, "test", f.now)
	if removed, _ := f.Unban(netip.MustParsePrefix("2001:db8::1/128"), f.now); len(removed) != 1 {
		t.Errorf("the /64 of an address was not unbanned: %v", removed)
	}
}

func TestListsMarkAndDenyAndEnd(t *testing.T) {
	f := newBook(t, nil)
	f.write(t, "tor.txt", "# exits\n192.0.2.1\n192.0.2.2 2026-11-25\n\n198.51.100.0/24 ; SBL1\n2001:db8::/32,reason\n")
	f.write(t, "own.txt", "198.51.100.7\n")
	if err := f.Apply(withLists(
		ListSettings{Name: "tor", File: "tor.txt", Action: "mark", Reputation: 30},
		ListSettings{Name: "own", File: "own.txt", Action: "deny"},
	)); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]request.Source{
		"192.0.2.1":    {Reputation: 30, Listed: "tor", Why: "on the list tor"},
		"192.0.2.2":    {Reputation: 30, Listed: "tor", Why: "on the list tor"},
		"192.0.2.3":    {},
		"198.51.100.6": {Reputation: 30, Listed: "tor", Why: "on the list tor"},
		"198.51.100.7": {Banned: true, Listed: "own", Why: "on the list own"},
		"2001:db8::77": {Reputation: 30, Listed: "tor", Why: "on the list tor"},
	} {
		if got := f.source(addr); got != want {
			t.Errorf("%s: %+v, want %+v", addr, got, want)
		}
	}
	f.now = start.Add(24 * time.Hour)
	if got := f.source("192.0.2.2"); got.Listed != "" {
		t.Errorf("past its line's end: %+v", got)
	}
}

func withLists(l ...ListSettings) Settings {
	s := Defaults()
	s.List = l
	return s
}

func TestABadListLeavesTheOldOneInForce(t *testing.T) {
	f := newBook(t, nil)
	f.write(t, "a.txt", "192.0.2.1\n")
	l := ListSettings{Name: "a", File: "a.txt", Action: "deny"}
	if err := f.Apply(withLists(l)); err != nil {
		t.Fatal(err)
	}
	f.write(t, "a.txt", "192.0.2.5\n  <html>\n")
	err := f.Apply(withLists(l))
	if err == nil || !strings.Contains(err.Error(), "a.txt:2:3: \"<html>\" is no address or network") || !strings.HasPrefix(err.Error(), "list.0.file: ") {
		t.Errorf("error %v", err)
	}
	if !f.source("192.0.2.1").Banned || f.source("192.0.2.5").Banned {
		t.Error("the old list is not in force")
	}
}

func TestAnOldListDoesNotCount(t *testing.T) {
	f := newBook(t, nil)
	f.write(t, "a.txt", "192.0.2.1\n")
	path := filepath.Join(f.dir, "a.txt")
	if err := os.Chtimes(path, start, start.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	l := ListSettings{Name: "a", File: path, Action: "deny", MaxAgeHours: 2}
	if err := f.Apply(withLists(l)); err != nil {
		t.Fatal(err)
	}
	if !f.source("192.0.2.1").Banned {
		t.Error("not on the list")
	}
	f.now = start.Add(time.Hour)
	if f.source("192.0.2.1").Banned {
		t.Error("on a list that is too old")
	}
	if err := f.Apply(withLists(l)); err != nil || len(f.events) != 1 || !strings.Contains(f.events[0], "does not count") {
		t.Errorf("%v, events %q", err, f.events)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	for key, change := range map[string]func(*Settings){
		"half_life_minutes":    func(s *Settings) { s.HalfLifeMinutes = 0 },
		"raise":                func(s *Settings) { s.Raise = 2 },
		"ban_at":               func(s *Settings) { s.BanAt = math.NaN() },
		"list.0.action":        func(s *Settings) { s.List = []ListSettings{{Name: "x", Action: "drop"}} },
		"list.0.file":          func(s *Settings) { s.List = []ListSettings{{Name: "x", File: "none"}} },
		"list.0.name":          func(s *Settings) { s.List = []ListSettings{{File: "none"}} },
		"list.0.max_age_hours": func(s *Settings) { s.List = []ListSettings{{Name: "x", MaxAgeHours: -1}} },
		"max_bans":             func(s *Settings) { s.MaxBans = 0 },
		"ban_max_minutes":      func(s *Settings) { s.BanMaxMinutes = 1 },
		"list.0.reputation":    func(s *Settings) { s.List = []ListSettings{{Name: "x", Reputation: 101}} },
	} {
		s := Defaults()
		change(&s)
		err := Check(s, t.TempDir())
		if err == nil || !strings.HasPrefix(err.Error(), key+": ") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestDetailsAreBounded(t *testing.T) {
	f := newBook(t, nil)
	for i := range MaxDetails + 500 {
		f.found(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String(), 80, true)
	}
	if n := len(f.details); n != MaxDetails {
		t.Errorf("%d details", n)
	}
}

func TestSourceAllocatesNothing(t *testing.T) {
	f := newBook(t, nil)
	f.found("192.0.2.1", 80, true)
	f.Ban(netip.MustParseAddr("192.0.2.2"), time.Hour, "x", f.now)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	if n := testing.AllocsPerRun(100, func() { f.Source(a, f.now); f.Source(b, f.now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTheControlHandlersBanListAndUnban(t *testing.T) {
	f := newBook(t, nil)
	var audits []string
	mux := http.NewServeMux()
	f.Handle(mux, func(*http.Request) string { return "root" }, func(m string) { audits = append(audits, m) })
	ask := func(method, path string, in, out any) int {
		var body bytes.Buffer
		_ = json.NewEncoder(&body).Encode(in)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(method, path, &body))
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
		}
		return w.Code
	}
	var ban Ban
	if code := ask("POST", "/ban", BanRequest{Address: "192.0.2.7", Seconds: 60, Why: "test"}, &ban); code != 200 || ban.By != "root" || ban.Prefix.String() != "192.0.2.7/32" {
		t.Errorf("ban: %d %+v", code, ban)
	}
	var refused map[string]string
	if code := ask("POST", "/ban", BanRequest{Address: "0.0.0.0/0", Seconds: 60}, &refused); code != 400 || !strings.Contains(refused["error"], "more than a /8") {
		t.Errorf("ban of everybody: %d %v", code, refused)
	}
	var bans []Ban
	if ask("GET", "/bans", nil, &bans); len(bans) != 1 {
		t.Errorf("bans: %+v", bans)
	}
	f.found("192.0.2.7", 80, true)
	var sources []Source
	if ask("GET", "/sources?limit=5", nil, &sources); len(sources) != 1 || sources[0].Ban == nil || sources[0].Score != 20 {
		t.Errorf("sources: %+v", sources)
	}
	if code := ask("POST", "/unban", BanRequest{Address: "192.0.2.7"}, &bans); code != 200 || len(bans) != 1 || f.source("192.0.2.7").Banned {
		t.Errorf("unban: %d %+v", code, bans)
	}
	if len(audits) != 2 {
		t.Errorf("audits: %q", audits)
	}
}

func TestSaveWhileBansChange(t *testing.T) {
	f := newBook(t, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 500 {
			a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			f.Ban(a, time.Hour, fmt.Sprint(i), start)
			f.found(a.String(), 50, false)
			f.Source(a, start)
		}
	}()
	for range 5 {
		if err := f.Save(); err != nil {
			t.Error(err)
		}
	}
	<-done
}

func BenchmarkSource(b *testing.B) {
	book, err := New(Defaults(), Options{State: keyed.New(100_000, 1)})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 10_000 {
		book.Ban(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), time.Hour, "x", start)
	}
	a := netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		book.Source(a, start)
	}
}

func FuzzListLine(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "# x", "1.10.16.0/20 ; SBL256894", "2001:db8::/32,2026-01-01", "::ffff:1.2.3.4/100", "fe80::1%eth0", "\ufeff10.0.0.0/8"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		p, _, column, err := parseLine(line)
		if err == nil && p.IsValid() && (p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "") {
			t.Errorf("%q gives %v", line, p)
		}
		if column < 1 || column > len(line)+1 {
			t.Errorf("%q: column %d", line, column)
		}
	})
}
