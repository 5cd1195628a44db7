package protocol

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/labelled"
	"github.com/sallyport/sallyport/daemon/request"
	"github.com/sallyport/sallyport/daemon/request/jsonl"
)

var update = flag.Bool("update", false, "rewrite the table of findings in README.md")

func newCheck(t testing.TB, s Settings) check.Check {
	t.Helper()
	c, err := New(s, check.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// judge gives what the check finds in a whole request.
func judge(c check.Check, r *request.Request) []check.Finding {
	v := check.Visit{Request: r, Phase: check.Head}
	c.Judge(&v)
	if r.Body.Present {
		v.Phase = check.Body
		c.Judge(&v)
	}
	return v.Findings
}

// TestNoBenignRequestComesNearADenial takes the findings of one request for
// independent, which is stricter than the policy, and demands less than 80.
func TestNoBenignRequestComesNearADenial(t *testing.T) {
	c := newCheck(t, Defaults())
	counts, examples := map[string]int{}, map[string]string{}
	total := 0
	sets := []string{"train-recorded", "dev-recorded", "train", "dev"}
	if testing.Short() {
		sets = sets[:2]
	}
	for _, name := range sets {
		labelled.Each(t, labelled.Path(t, "data/"+name+".jsonl.gz"), func(line []byte, label string) {
			if label != "benign" {
				return
			}
			total++
			text := string(line)
			r := request.Get()
			defer r.Release()
			id, err := jsonl.Parse(line, r)
			if err != nil {
				t.Fatal(err)
			}
			rest := 1.0
			findings := judge(c, r)
			for _, f := range findings {
				rest *= 1 - f.Score/100
				counts[f.ID]++
				examples[f.ID] = id.Text
			}
			if score := 100 * (1 - rest); score >= 80 {
				t.Errorf("%s: %v scores %.1f: %v\n%.300s", name, id, score, ids(findings), text)
			}
		})
	}
	if total < 1000 {
		t.Fatalf("only %d benign requests were read", total)
	}
	var lines []string
	for id, n := range counts {
		lines = append(lines, fmt.Sprintf("%6d %-30s %s", n, id, examples[id]))
	}
	sort.Sort(sort.Reverse(sort.StringSlice(lines)))
	t.Logf("%d benign requests\n%s", total, strings.Join(lines, "\n"))
}

func ids(fs []check.Finding) (out []string) {
	for _, f := range fs {
		out = append(out, f.ID)
	}
	return out
}

func TestSettingsThatAreWrongAreNamed(t *testing.T) {
	for _, c := range []struct {
		s    Settings
		want string
	}{
		{Settings{MaxURIBytes: -1, MaxHeaders: 1, MaxHeaderBytes: 1}, "max_uri_bytes: -1, expected a positive number"},
		{with(func(s *Settings) { s.Severity = map[string]string{"nope": "low"} }), "severity.nope: unknown finding"},
		{with(func(s *Settings) { s.Severity = map[string]string{"xml_syntax": "bad"} }), "severity.xml_syntax: \"bad\", expected one of"},
		{with(func(s *Settings) { s.Hosts = []string{"a", "*"} }), "hosts.1: \"*\", expected a name"},
	} {
		_, err := New(c.s, check.Env{})
		var at *check.SettingError
		if !errors.As(err, &at) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func with(f func(*Settings)) Settings { s := Defaults(); f(&s); return s }

func TestASeverityCanBeChangedOrTurnedOff(t *testing.T) {
	r := request.Get()
	defer r.Release()
	r.Method, r.URI, r.Host = "GET", []byte("/a%00"), []byte("x")
	c := newCheck(t, with(func(s *Settings) { s.Severity = map[string]string{"nul_in_path": "critical"} }))
	if fs := judge(c, r); len(fs) != 1 || fs[0].Severity != check.Critical || fs[0].Score != 95 || fs[0].Where != "path" {
		t.Errorf("got %+v", fs)
	}
	c = newCheck(t, with(func(s *Settings) { s.Severity = map[string]string{"nul_in_path": "off"} }))
	if fs := judge(c, r); len(fs) != 0 {
		t.Errorf("got %+v", fs)
	}
}

func TestAPlainRequestCostsNoAllocation(t *testing.T) {
	if raced {
		t.Skip("pools are emptied at random under the race detector")
	}
	c := newCheck(t, Defaults())
	v := check.Visit{Phase: check.Head}
	n := testing.AllocsPerRun(100, func() {
		r := plain()
		v.Request, v.Findings = r, v.Findings[:0]
		c.Judge(&v)
		r.Release()
	})
	if n > 0 || len(v.Findings) > 0 {
		t.Errorf("%v allocations, findings %v", n, ids(v.Findings))
	}
}

var (
	plainURI     = []byte("/api/v1/items?a=b%20c&d=e")
	plainHeaders = []request.Header{{Name: []byte("Host"), Value: []byte("x.org")}, {Name: []byte("User-Agent"), Value: []byte("curl/8")},
		{Name: []byte("Cookie"), Value: []byte("a=b; c=d")}, {Name: []byte("Connection"), Value: []byte("keep-alive")}}
)

func plain() *request.Request {
	r := request.Get()
	r.Method, r.URI = "GET", plainURI
	r.Headers = append(r.Headers, plainHeaders...)
	return r
}

func BenchmarkPlainRequest(b *testing.B) {
	c := newCheck(b, Defaults())
	v := check.Visit{Phase: check.Head}
	b.ReportAllocs()
	for b.Loop() {
		r := plain()
		v.Request, v.Findings = r, v.Findings[:0]
		c.Judge(&v)
		r.Release()
	}
}

const tableStart, tableEnd = "<!-- findings -->\n", "<!-- end -->\n"

func TestTheReadmeListsEveryFinding(t *testing.T) {
	var b strings.Builder
	b.WriteString("| id | severity | what was seen | why it matters |\n|---|---|---|---|\n")
	for _, k := range kinds {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.name, k.severity, k.message, k.why)
	}
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), tableStart)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok1 || !ok2 {
		t.Fatal("README.md has no place for the table")
	}
	want := before + tableStart + b.String() + tableEnd + after
	if *update {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Error("README.md is stale: run go test ./daemon/check/protocol -update")
	}
}

func TestEveryFindingIsKnownOnce(t *testing.T) {
	seen := map[string]bool{}
	for i, k := range kinds {
		if k.name == "" || k.message == "" || k.why == "" {
			t.Errorf("finding %d has no name, message or reason", i)
		}
		if seen[k.name] {
			t.Errorf("%s stands twice", k.name)
		}
		seen[k.name] = true
		if s := k.severity.Score(); math.IsNaN(s) {
			t.Errorf("%s has no score", k.name)
		}
	}
}
