package signature_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/signature"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/request"
)

func newCheck(t *testing.T, rules string, change func(*signature.Settings)) check.Check {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "own.rules"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	s := signature.Defaults()
	s.Rules = []string{"own.rules"}
	if change != nil {
		change(&s)
	}
	c, err := signature.New(s, check.Env{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// judge runs the visits of one request and returns the findings of each.
func judge(c check.Check, method, uri, body string, state *keyed.Store) (head, rest []check.Finding) {
	r := request.Get()
	defer r.Release()
	r.Method, r.URI, r.Protocol = method, []byte(uri), "HTTP/1.1"
	r.Client = netip.MustParseAddrPort("198.51.100.7:4000")
	r.Connection = 7
	r.Headers = []request.Header{{Name: []byte("Host"), Value: []byte("h.test")}}
	v := &check.Visit{Request: r, Phase: check.Head, Last: body == "", Now: time.Unix(1_700_000_000, 0), State: state}
	c.Judge(v)
	head = append(head, v.Findings...)
	if body != "" {
		r.Body = request.Body{Present: true, Bytes: []byte(body), Length: int64(len(body))}
		v.Phase, v.Last, v.Findings = check.Body, true, nil
		c.Judge(v)
		rest = v.Findings
	}
	return head, rest
}

func TestARuleBecomesAFinding(t *testing.T) {
	c := newCheck(t, `drop http any any -> any any (msg:"bad path"; http.uri; content:"/evil"; classtype:web-application-attack; reference:cve,2021-1; metadata:cwe CWE-22; sid:5; rev:2;)`, nil)
	head, _ := judge(c, "GET", "/a/evil/b", "", keyed.New(64, 1))
	if len(head) != 1 {
		t.Fatalf("findings: %+v", head)
	}
	f := head[0]
	if f.ID != "1:5" || !f.Deny || f.Severity != check.Critical || f.Where != "http.uri" || f.Message != "bad path" || f.Rule != "own.rules:1" {
		t.Errorf("finding: %+v", f)
	}
	if f.Excerpt[f.Mark[0]:f.Mark[0]+f.Mark[1]] != "/evil" {
		t.Errorf("excerpt %q, mark %v", f.Excerpt, f.Mark)
	}
	if strings.Join(f.Tags, " ") != "CVE-2021-1 web-application-attack CWE-22" {
		t.Errorf("tags %q", f.Tags)
	}
}

func TestActionsAndPrioritiesMapToSeverities(t *testing.T) {
	for _, x := range []struct {
		rule     string
		severity check.Severity
		score    float64
		deny     bool
	}{
		{"alert http any any -> any any (http.uri; content:\"a\"; priority:1; sid:1;)", check.Medium, 50, false},
		{"alert http any any -> any any (http.uri; content:\"a\"; priority:2; sid:1;)", check.Low, 30, false},
		{"alert http any any -> any any (http.uri; content:\"a\"; sid:1;)", check.Low, 10, false},
		{"drop http any any -> any any (http.uri; content:\"a\"; sid:1;)", check.High, 80, true},
		{"reject http any any -> any any (http.uri; content:\"a\"; priority:1; sid:1;)", check.Critical, 95, true},
		{"block http any any -> any any (http.uri; content:\"a\"; priority:1; sid:1;)", check.Critical, 95, true},
	} {
		head, _ := judge(newCheck(t, x.rule, nil), "GET", "/a", "", keyed.New(64, 1))
		if len(head) != 1 || head[0].Severity != x.severity || head[0].Score != x.score || head[0].Deny != x.deny {
			t.Errorf("%s: %+v", x.rule, head)
		}
	}
}

func TestAPassRuleSilencesTheOthers(t *testing.T) {
	c := newCheck(t, "drop http any any -> any any (http.uri; content:\"a\"; sid:1;)\npass http any any -> any any (http.uri; content:\"ab\"; sid:2;)\ndrop http any any -> any any (http.request_body; content:\"x\"; sid:3;)\n", nil)
	state := keyed.New(64, 1)
	if head, _ := judge(c, "GET", "/a", "", state); len(head) != 1 {
		t.Errorf("without the pass: %+v", head)
	}
	if head, body := judge(c, "POST", "/ab", "x", state); len(head)+len(body) != 0 {
		t.Errorf("with the pass: %+v %+v", head, body)
	}
}

func TestHeadRulesRunBeforeTheBodyIsThereAndOnce(t *testing.T) {
	c := newCheck(t, "drop http any any -> any any (http.uri; content:\"a\"; sid:1;)\ndrop http any any -> any any (http.request_body; content:\"x\"; sid:2;)\ndrop http any any -> any any (sallyport.value; content:\"zz\"; sid:3;)\n", nil)
	if c.Needs() != check.Head|check.Body {
		t.Fatalf("needs %v", c.Needs())
	}
	head, body := judge(c, "POST", "/a?q=zz", "x=zz", keyed.New(64, 1))
	if len(head) != 2 || head[0].ID != "1:1" || head[1].ID != "1:3" {
		t.Errorf("head: %+v", head)
	}
	if len(body) != 2 || body[0].ID != "1:2" || body[1].ID != "1:3" {
		t.Errorf("body: %+v", body)
	}
}

func TestFlowBitsAndLimitsLastFromRequestToRequest(t *testing.T) {
	c := newCheck(t, `alert http any any -> any any (http.uri; content:"/one"; flowbits:set,seen; flowbits:noalert; sid:1;)
alert http any any -> any any (http.uri; content:"/two"; flowbits:isset,seen; sid:2;)
alert http any any -> any any (http.uri; content:"/lim"; threshold:type limit,track by_src,count 2,seconds 60; sid:3;)
alert http any any -> any any (http.uri; content:"/flt"; detection_filter:track by_src,count 2,seconds 60; sid:4;)`, nil)
	state := keyed.New(1<<10, 1)
	count := func(uri string, times int) (n int) {
		for range times {
			head, _ := judge(c, "GET", uri, "", state)
			n += len(head)
		}
		return n
	}
	if n := count("/two", 1); n != 0 {
		t.Error("isset held before the bit was set")
	}
	if n := count("/one", 1); n != 0 {
		t.Error("noalert alerted")
	}
	if n := count("/two", 1); n != 1 {
		t.Error("isset did not hold after the bit was set")
	}
	if n := count("/lim", 5); n != 2 {
		t.Errorf("limit let %d of 5 through, want 2", n)
	}
	if n := count("/flt", 5); n != 3 {
		t.Errorf("detection_filter let %d of 5 through, want 3", n)
	}
}

func TestARouteMayRefuseWhatItsRulesGaveUpOn(t *testing.T) {
	for word, want := range map[string]bool{"mark": false, "deny": true} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.rules"), []byte(`alert http any any -> any any (http.request_body; pcre:"/^(a+)+$/"; sid:1;)`), 0o644); err != nil {
			t.Fatal(err)
		}
		s := signature.Defaults()
		s.Rules, s.PastBound = []string{dir}, word
		c, err := signature.New(s, check.Env{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		_, body := judge(c, "POST", "/", strings.Repeat("a", 4000)+"!", keyed.New(64, 1))
		if len(body) != 1 || body[0].ID != "steps" || body[0].Deny != want {
			t.Errorf("past_bound %q: findings %+v", word, body)
		}
	}
	s := signature.Defaults()
	s.PastBound = "pass"
	if _, err := signature.New(s, check.Env{}); err == nil || !strings.Contains(err.Error(), `expected "mark" or "deny"`) {
		t.Errorf("past_bound pass: %v", err)
	}
}

func TestAHostileRequestEndsAtTheStepBound(t *testing.T) {
	c := newCheck(t, `alert http any any -> any any (http.request_body; pcre:"/^(a+)+$/"; sid:1;)`, nil)
	start := time.Now()
	_, body := judge(c, "POST", "/", strings.Repeat("a", 4000)+"!", keyed.New(64, 1))
	if len(body) != 1 || body[0].ID != "steps" {
		t.Fatalf("findings: %+v", body)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if n := c.(*signature.Check).Spent(); n != 1 {
		t.Errorf("spent %d", n)
	}
	if m := metricsOf(c); m != "sallyport_rule_steps_exhausted_total 1\n" {
		t.Errorf("the metrics are %q", m)
	}
	dir := t.TempDir()
	s := signature.Defaults()
	s.Rules = []string{filepath.Join(dir, "*.rules")}
	reloaded, err := signature.New(s, check.Env{Dir: dir, Old: c, Scope: `shop/a"b`})
	if err != nil {
		t.Fatal(err)
	}
	if m := metricsOf(reloaded); m != `sallyport_rule_steps_exhausted_total{route="shop/a\"b"} 1`+"\n" {
		t.Errorf("the metrics after a reload are %q", m)
	}
}

func metricsOf(c check.Check) string {
	var b strings.Builder
	c.(*signature.Check).WriteMetrics(&b)
	return b.String()
}

func TestOneBadRuleDoesNotTakeDownTheRestUnlessStrict(t *testing.T) {
	rules := "alert http any any -> any any (http.uri; content:\"a\"; sid:1;)\nalert http any any -> any any (http.uri; frob:1; sid:2;)\n"
	if head, _ := judge(newCheck(t, rules, nil), "GET", "/a", "", keyed.New(64, 1)); len(head) != 1 {
		t.Errorf("findings: %+v", head)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "own.rules"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	s := signature.Defaults()
	s.Rules, s.Strict = []string{"own.rules"}, true
	_, err := signature.New(s, check.Env{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), `own.rules:2:42: unknown option "frob"`) {
		t.Errorf("strict: %v", err)
	}
}

func TestVariablesAndDisabledRules(t *testing.T) {
	rules := "alert http $HOME_NET any -> any any (http.uri; content:\"a\"; sid:1;)\nalert http !$HOME_NET any -> any any (http.uri; content:\"a\"; sid:2;)\nalert http any any -> any any (http.uri; content:\"a\"; sid:3;)"
	c := newCheck(t, rules, func(s *signature.Settings) {
		s.Vars = map[string]string{"HOME_NET": "198.51.100.0/24"}
		s.Disable = []string{"3"}
	})
	if head, _ := judge(c, "GET", "/a", "", keyed.New(64, 1)); len(head) != 1 || head[0].ID != "1:1" {
		t.Errorf("findings: %+v", head)
	}
	if head, _ := judge(newCheck(t, rules, nil), "GET", "/a", "", keyed.New(64, 1)); len(head) != 3 {
		t.Errorf("unset variables are any: %+v", head)
	}
}

func TestFilesBesideTheRulesAreRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"own.rules":             "include more.rules\nalert http any any -> any any (http.uri; content:\"a\"; classtype:mine; sid:1;)\n",
		"more.rules":            "ipvar X [192.0.2.0/24]\nalert http $X any -> any any (http.uri; content:\"a\"; sid:2;)\nalert http any any -> \\\n  any any (http.uri; \\\n  content:\"a\"; sid:4;)\n",
		"classification.config": "config classification: mine,My class,1\n",
		"threshold.config":      "suppress gen_id 1, sig_id 4, track by_src, ip 198.51.100.7\nrate_filter gen_id 1, sig_id 1, track by_rule, count 1, seconds 60, new_action drop, timeout 10\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := signature.Defaults()
	s.Rules = []string{"own.rules"}
	c, err := signature.New(s, check.Env{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	state := keyed.New(1<<10, 1)
	head, _ := judge(c, "GET", "/a", "", state)
	if len(head) != 1 || head[0].ID != "1:1" || head[0].Severity != check.Medium || head[0].Deny {
		t.Errorf("first: %+v", head)
	}
	if head, _ = judge(c, "GET", "/a", "", state); len(head) != 1 || !head[0].Deny {
		t.Errorf("past the rate: %+v", head)
	}
}

func TestTheExampleInTheReadmeLoads(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(data), "```toml\n")
	block, _, _ = strings.Cut(block, "```")
	var conf struct {
		Check struct{ Signature signature.Settings }
	}
	conf.Check.Signature = signature.Defaults()
	meta, err := toml.Decode(block, &conf)
	if err != nil || len(meta.Undecoded()) > 0 {
		t.Fatalf("%v %v", err, meta.Undecoded())
	}
	if _, err := signature.New(conf.Check.Signature, check.Env{}); err != nil {
		t.Fatal(err)
	}
}
