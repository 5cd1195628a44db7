package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/signature"
)

// shipped is the pattern of the rule files of this repository.
func shipped(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../../rules")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "*.rules")
}

func TestEveryShippedRuleLoadsAndSaysWhatItIs(t *testing.T) {
	s, err := signature.Compile([]string{shipped(t)}, nil, signature.Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	if s.Skipped > 0 {
		t.Errorf("%d rules are skipped", s.Skipped)
	}
	cves := map[string]bool{}
	for _, p := range s.Programs() {
		at := filepath.Base(p.Rule.File)
		if p.SID < 9_000_000 || p.SID > 9_099_999 {
			t.Errorf("%s: sid %d is not in our range 9000000 to 9099999", at, p.SID)
		}
		if p.Class == "" || p.Priority == 0 || len(p.References) == 0 {
			t.Errorf("%s: sid %d needs a classtype, a priority and a reference", at, p.SID)
		}
		has := map[string]bool{}
		for _, m := range p.Metadata {
			key, _, _ := strings.Cut(m, " ")
			has[key] = true
		}
		for _, key := range []string{"class", "cwe", "owasp_api", "since"} {
			if !has[key] {
				t.Errorf("%s: sid %d has no metadata %s", at, p.SID, key)
			}
		}
		for _, tag := range signature.Tags(p) {
			if strings.HasPrefix(tag, "CVE-") {
				cves[tag] = true
			}
		}
	}
	if len(cves) < 300 {
		t.Errorf("the rules name %d CVEs, expected at least 300", len(cves))
	}
}

func TestEveryShippedRuleMatchesItsExamplesAndPassesItsNearMisses(t *testing.T) {
	verdicts, untested, err := signature.TestExamples([]string{shipped(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if !v.Passed {
			t.Errorf("%s:%d: sid %d: %s", filepath.Base(v.File), v.Line, v.SID, v.Why)
		}
	}
	for _, p := range untested {
		t.Errorf("%s:%d: sid %d needs at least one match and one pass case", filepath.Base(p.Rule.File), p.Rule.Line, p.SID)
	}
}

// The bounds are what the rules are to hold on requests they were written
// without; a change that breaks them here has no chance there.
func TestShippedRulesCoverExploitsAndSpareBenignRequests(t *testing.T) {
	dir := sharedData(t, "data")
	s := signature.Defaults()
	s.Rules = []string{shipped(t)}
	chk, err := signature.New(s, check.Env{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := evaluateRules(chk, filepath.Join(dir, "exploits.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if p := share(f.All.Covered, f.All.Cases); p < 92 {
		t.Errorf("exploits: %d of %d cases are covered (%.1f%%), expected 92%%; missed: %s", f.All.Covered, f.All.Cases, p, strings.Join(f.Misses, ", "))
	}
	for _, name := range []string{"dev-recorded", "train-recorded", "dev", "train"} {
		if testing.Short() && !strings.HasSuffix(name, "recorded") {
			continue
		}
		f, err := evaluateRules(chk, filepath.Join(dir, name+".jsonl.gz"))
		if err != nil {
			t.Fatal(err)
		}
		if p := share(f.Denied, f.Benign); p > 0.05 {
			t.Errorf("%s: %d of %d benign requests are denied (%.3f%%), expected at most 0.05%%", name, f.Denied, f.Benign, p)
		}
	}
}

// The requests were written to look like attacks and be none: searches for
// commands and SQL, questions about code, pages of HTML, sources and diffs in
// JSON, templates, statements, filters, logs and stack traces.
func TestShippedRulesSpareRequestsThatTalkOfCode(t *testing.T) {
	s := signature.Defaults()
	s.Rules = []string{shipped(t)}
	chk, err := signature.New(s, check.Env{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := evaluateRules(chk, filepath.Join("testdata", "benign.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Benign < 1000 {
		t.Fatalf("%d requests, expected more than 1000", f.Benign)
	}
	for _, a := range f.Alarms {
		t.Errorf("%s (%s) is denied by %s: %s", a.ID, a.Source, strings.Join(a.Rules, ", "), a.Where)
	}
}

func TestRulesEvaluateCountsCasesAndFalseAlarms(t *testing.T) {
	dir := t.TempDir()
	rules := filepath.Join(dir, "a.rules")
	requests := filepath.Join(dir, "a.jsonl")
	writeRule(t, rules, `drop http any any -> any any (msg:"evil"; http.uri; content:"evil"; sid:1; rev:1;)`+"\n")
	writeRule(t, requests, `{"id":"1","method":"GET","uri":"/evil","label":"malicious","class":"rce","case":"a"}
{"id":"2","method":"GET","uri":"/","label":"malicious","class":"rce","case":"a"}
{"id":"3","method":"GET","uri":"/","label":"malicious","class":"lfi","case":"b"}
{"id":"4","method":"GET","uri":"/not-evil","label":"benign","source":"made"}
{"id":"5","method":"GET","uri":"/","label":"benign","source":"made"}
`)
	var out, errOut bytes.Buffer
	if got := run([]string{"rules", "evaluate", "--rules", rules, "--misses", requests}, nil, &out, &errOut); got != exitOK {
		t.Fatalf("exit status %d: %s", got, errOut.String())
	}
	for _, want := range []string{"covered 1 of 2 attacks (50.0%)", "0 of them (0.0% of all) by a rule that covers another", "rce            1 of     1", "miss lfi b", "denied 1 of 2 benign requests (50.000%)", "false alarm 4 (made): 1:1 evil"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
	if got := run([]string{"rules", "evaluate", "--rules", rules, "--max-false", "1", requests}, nil, &out, &errOut); got != exitFailed {
		t.Errorf("exit status %d with too many false alarms, expected %d", got, exitFailed)
	}
}

func writeRule(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
