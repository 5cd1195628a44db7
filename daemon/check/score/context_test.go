package score

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/score/generate"
	"github.com/sallyport/sallyport/daemon/request"
)

// denied judges one form or query parameter and says whether the default
// policy would deny it.
func denied(c *Check, client int, now time.Time, path, name, text string, stateless bool) bool {
	r := request.Get()
	defer r.Release()
	r.Method, r.Protocol, r.Host = "POST", "HTTP/1.1", []byte("shop.example.com")
	r.URI = []byte(path)
	r.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(client >> 8), byte(client)}), 4711)
	r.Headers = []request.Header{{Name: []byte("Content-Type"), Value: []byte("application/x-www-form-urlencoded")}}
	body := []byte(name + "=" + url.QueryEscape(text) + "&id=1")
	r.Body = request.Body{Present: true, Bytes: body, Length: int64(len(body))}
	v := &check.Visit{Request: r, Phase: check.Head | check.Body, Now: now, Site: "shop", Stateless: stateless}
	c.Judge(v)
	for _, f := range v.Findings {
		if f.Score >= 80 {
			return true
		}
	}
	return false
}

// week is a simulated week of a shop with a content editor and a search box
// for developers. Its ordinary values are the kind that a model alone denies.
type week struct {
	random *rand.Rand
	maker  *generate.Maker
}

func (w *week) pick(from ...string) string { return from[w.random.IntN(len(from))] }

// article is what this shop's editor always sends: pages with inline handlers
// and script elements.
func (w *week) article() string {
	n := w.random.IntN(1000)
	words := w.pick("Garden chairs", "Oak tables", "Summer sale", "Lamps and lights", "About our shop") + fmt.Sprint(" ", n)
	return w.pick(
		fmt.Sprintf(`<h2>%s</h2><img src="/img/%d.jpg" onerror="fallback(this)"><script>loadGallery(%d)</script>`, words, n, n),
		fmt.Sprintf(`<img src="/img/%d.jpg" onerror="fallback(this)"><p>%s</p><script>loadGallery(%d)</script>`, n, words, n),
		fmt.Sprintf(`<script>loadGallery(%d)</script><p>%s</p><img src="/img/%d.png" onerror="fallback(this)">`, n, words, n))
}

// question is what this shop's developers search for.
func (w *week) question() string {
	table := w.pick("orders", "users", "items", "invoices")
	n := w.random.IntN(100)
	return w.pick(
		fmt.Sprintf("select id, name from %s where id = %d union select id, name from archive", table, n),
		fmt.Sprintf("union select id, name from %s where name = 'x'", table),
		fmt.Sprintf("select count(*) from %s where id = %d union all select null", table, n))
}

func (w *week) attack(class string) string {
	for {
		if s := w.maker.Attack(); s.Class == class {
			return s.Text
		}
	}
}

type tally struct{ alarms, benign, found, attacks int }

// run plays days of traffic: 200 clients, 5% of them hostile.
func (w *week) run(c *Check, from, days int, stateless bool) (t tally) {
	start := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	for day := from; day < from+days; day++ {
		for n := range 400 {
			now := start.AddDate(0, 0, day).Add(time.Duration(n) * 3 * time.Minute)
			client := w.random.IntN(200)
			path, name, class, text := "/cms/pages", "body", "xss", w.article
			if w.random.IntN(2) == 0 {
				path, name, class, text = "/search", "q", "sqli", w.question
			}
			if client < 10 {
				t.attacks++
				if denied(c, client, now, path, name, w.attack(class), stateless) {
					t.found++
				}
				continue
			}
			t.benign++
			if denied(c, client, now, path, name, text(), stateless) {
				t.alarms++
			}
		}
	}
	return t
}

func newWeek(t testing.TB) *week {
	t.Helper()
	maker, err := generate.New(99)
	if err != nil {
		t.Fatal(err)
	}
	return &week{random: rand.New(rand.NewPCG(1, 2)), maker: maker}
}

func TestAWeekOfContextEndsFalseAlarmsAndKeepsAttacksOut(t *testing.T) {
	c := testCheck(t)
	without := newWeek(t).run(c, 0, 7, true)
	w := newWeek(t)
	warm := w.run(c, 0, 2, false)
	after := w.run(c, 2, 5, false)
	t.Logf("without context %+v, first two days %+v, then %+v", without, warm, after)
	if without.alarms*4 < without.benign {
		t.Fatalf("only %d of %d ordinary requests raise an alarm without context: the week shows nothing", without.alarms, without.benign)
	}
	before := float64(without.alarms) / float64(without.benign)
	now := float64(after.alarms) / float64(after.benign)
	if now > before/10 {
		t.Errorf("false alarms %.1f%% without context, %.1f%% with it; at most a tenth wanted", 100*before, 100*now)
	}
	if after.found*100 < after.attacks*95 {
		t.Errorf("%d of %d attacks found in context, 95%% wanted", after.found, after.attacks)
	}
}

// TestACodeFieldIsNormalAfterTwoDozenClients has a knowledge base's JSON field
// that takes pages with handlers, SQL and shell lines in turn, each client
// sending a few: how many clients must send before it is what is normal there.
func TestACodeFieldIsNormalAfterTwoDozenClients(t *testing.T) {
	c := testCheck(t)
	w := newWeek(t)
	now := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	send := func(client int, text string, stateless bool) bool {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		r := placed("")["JSON"]
		r.Host, r.Client = []byte("kb.example.com"), netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(client >> 8), byte(client)}), 4711)
		r.Body.Bytes = []byte(`{"title":"How to","content":` + string(quoted) + `}`)
		v := &check.Visit{Request: r, Phase: check.Head | check.Body, Now: now, Site: "kb", Stateless: stateless}
		c.Judge(v)
		now = now.Add(time.Minute)
		for _, f := range v.Findings {
			if f.Score >= 80 {
				return true
			}
		}
		return false
	}
	page := func() string {
		n := w.random.IntN(1000)
		return w.pick(w.article(), w.question(), fmt.Sprintf("cd /srv/app%d; cat config.yml | grep -v host; sudo systemctl restart app%d && id", n, n))
	}
	before, after, benign, found, attacks := 0, 0, 0, 0, 0
	for client := range 300 {
		for range 3 {
			text := page()
			if client < 24 {
				send(client, text, false)
				continue
			}
			benign++
			before += count(send(client, text, true))
			after += count(send(client, text, false))
		}
		if client >= 24 {
			attacks++
			found += count(send(5000+client%10, w.attack(w.pick("path", "ssti", "lookup", "code", "xxe", "ssrf")), false))
		}
	}
	t.Logf("of %d pages %d are denied without context, %d with it; %d of %d attacks", benign, before, after, found, attacks)
	if before < benign/4 || after*10 > before {
		t.Errorf("of %d pages %d are denied without context and %d with it; a tenth wanted", benign, before, after)
	}
	if float64(found) < 0.95*float64(attacks) {
		t.Errorf("%d of %d attacks found, 95%% wanted", found, attacks)
	}
}

func count(denied bool) int {
	if denied {
		return 1
	}
	return 0
}

func TestAStatelessVisitTeachesNothing(t *testing.T) {
	c := testCheck(t)
	newWeek(t).run(c, 0, 1, true)
	if shown := c.context.book.Load().Show(); len(shown) != 0 {
		t.Fatalf("learned %v", shown)
	}
}

func TestContextSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	env := check.Env{StateDir: dir, Warn: func(m string) { t.Error(m) }}
	settings := Defaults()
	settings.Context.SaveSeconds = 86400 // so that Save alone writes
	first, err := New(settings, env)
	if err != nil {
		t.Fatal(err)
	}
	newWeek(t).run(first.(*Check), 0, 1, false)
	if err := first.(*Check).Save(); err != nil {
		t.Fatal(err)
	}
	second, err := New(settings, env)
	if err != nil {
		t.Fatal(err)
	}
	a, b := first.(*Check).context.book.Load().Show(), second.(*Check).context.book.Load().Show()
	if len(a) == 0 || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Fatalf("kept %v\nread %v", a, b)
	}
	if _, err := filepath.Glob(filepath.Join(dir, "*.corrupt")); err != nil {
		t.Fatal(err)
	}
}

func TestNumbersInPlacesAreOneParameter(t *testing.T) {
	for in, want := range map[string]string{
		"json:/items/17/name": "json:/items/0/name", "query:a[12]": "query:a[0]", "form:page2": "form:page2", "json:/0/0": "json:/0/0", "json:/10a/b": "json:/0a/b",
	} {
		if got := string(foldIndexes([]byte(in))); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
