package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/signature"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/request"
	"github.com/sallyport/sallyport/daemon/request/jsonl"
)

const rulesEvaluateHelp = `Evaluate judges labelled requests by rules alone and counts what they deny.

A line is a request as inspect reads it, with "label" (benign or malicious) and,
where known, "class", "source" and "case". A case is covered when any of its
requests is denied; a malicious request without one is a case of its own. How many
are covered by a rule that covers another case, too, says what to expect of attacks
that no rule was written for. Every
false alarm is listed with the rules that raised it, and with --misses every
case that is not covered. The exit status is 1 when the benign requests that are
denied exceed --max-false, or the covered cases of a file fall short of --min-covered.`

// labelled is what an evaluation reads of a line beside the request.
type labelled struct {
	ID     string `json:"id"`
	Label  string `json:"label"`
	Class  string `json:"class"`
	Source string `json:"source"`
	Case   string `json:"case"`
}

// ruleCount is a class's or a file's figures.
type ruleCount struct {
	Cases   int `json:"cases"`
	Covered int `json:"covered"`
	// Shared are cases that a rule covers which covers another case, too: what
	// would be left of them had they been unknown when their own rule was written.
	Shared int `json:"shared"`
}

// ruleAlarm is a request that was denied though it is benign.
type ruleAlarm struct {
	ID     string   `json:"id"`
	Source string   `json:"source"`
	Rules  []string `json:"rules"`
	Where  string   `json:"where"`
}

// ruleFigures is what the rules did on one file.
type ruleFigures struct {
	File    string                `json:"file"`
	Benign  int                   `json:"benign"`
	Denied  int                   `json:"benign_denied"`
	All     ruleCount             `json:"attacks"`
	Classes map[string]*ruleCount `json:"classes"`
	Alarms  []ruleAlarm           `json:"false_alarms"`
	Misses  []string              `json:"misses"`
	// Nanos is the time of judging alone, in nanoseconds per request.
	Nanos int64 `json:"ns_per_request"`
}

func rulesEvaluateVerb() *cobra.Command {
	var paths []string
	var asJSON, misses bool
	var maxFalse, minCovered float64
	c := &cobra.Command{
		Use:   "evaluate --rules FILE... REQUESTS...",
		Short: "Count what rules deny of labelled requests: coverage by class, misses, false alarms",
		Long:  rulesEvaluateHelp,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(paths) == 0 {
				return usageError{fmt.Errorf("rules evaluate needs --rules")}
			}
			s := signature.Defaults()
			s.Rules = paths
			chk, err := signature.New(s, check.Env{Warn: func(m string) { fmt.Fprintln(c.ErrOrStderr(), m) }})
			if err != nil {
				return err
			}
			failed := false
			var all []*ruleFigures
			for _, name := range args {
				f, err := evaluateRules(chk, name)
				if err != nil {
					return err
				}
				all = append(all, f)
				failed = failed || share(f.Denied, f.Benign) > maxFalse || f.All.Cases > 0 && share(f.All.Covered, f.All.Cases) < minCovered
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(all)
			} else {
				err = printFigures(c.OutOrStdout(), all, misses)
			}
			if err == nil && failed {
				err = errFailed
			}
			return err
		},
	}
	f := c.Flags()
	f.StringSliceVar(&paths, "rules", nil, "rule files, directories or patterns")
	f.BoolVar(&asJSON, "json", false, "print one JSON array, an object for each file")
	f.BoolVar(&misses, "misses", false, "list every case that is not covered")
	f.Float64Var(&maxFalse, "max-false", 100, "how many percent of the benign requests may be denied")
	f.Float64Var(&minCovered, "min-covered", 0, "how many percent of a file's cases must be covered")
	return c
}

// evaluateRules judges a file, each request alone.
func evaluateRules(chk check.Check, name string) (*ruleFigures, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open the requests: %w", err)
	}
	defer file.Close()
	in, err := jsonl.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f := &ruleFigures{File: name, Classes: map[string]*ruleCount{}}
	covered := map[string]bool{}
	classes := map[string]string{}
	byRule := map[string]map[string]bool{}
	var order []string
	var spent time.Duration
	requests := 0
	for {
		line, number, err := in.Next(nil)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		var l labelled
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		r := request.Get()
		if _, err := jsonl.Parse(line, r); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		begin := time.Now()
		denials := judgeRules(chk, r)
		spent += time.Since(begin)
		requests++
		r.Release()
		if l.Label == "benign" {
			f.Benign++
			if len(denials) > 0 {
				f.Denied++
				f.Alarms = append(f.Alarms, alarm(l, denials))
			}
			continue
		}
		key := l.Case
		if key == "" {
			key = l.ID
		}
		if _, seen := covered[key]; !seen {
			order = append(order, key)
			classes[key] = l.Class
		}
		covered[key] = covered[key] || len(denials) > 0
		for _, d := range denials {
			if byRule[d.ID] == nil {
				byRule[d.ID] = map[string]bool{}
			}
			byRule[d.ID][key] = true
		}
	}
	shared := sharedCases(byRule)
	for _, key := range order {
		n := f.Classes[classes[key]]
		if n == nil {
			n = &ruleCount{}
			f.Classes[classes[key]] = n
		}
		n.Cases++
		f.All.Cases++
		if covered[key] {
			n.Covered++
			f.All.Covered++
			if shared[key] {
				n.Shared++
				f.All.Shared++
			}
		} else {
			f.Misses = append(f.Misses, classes[key]+" "+key)
		}
	}
	f.Nanos = spent.Nanoseconds() / int64(max(requests, 1))
	return f, nil
}

// sharedCases are the cases of rules that cover more than one.
func sharedCases(byRule map[string]map[string]bool) map[string]bool {
	shared := map[string]bool{}
	for _, cases := range byRule {
		if len(cases) < 2 {
			continue
		}
		for key := range cases {
			shared[key] = true
		}
	}
	return shared
}

// judgeRules is one request's walk through the rules: head, then body. The
// state is the request's own, so that thresholds count nobody else.
func judgeRules(chk check.Check, r *request.Request) []check.Finding {
	v := &check.Visit{Request: r, Phase: check.Head, Last: !r.Body.Present, Now: time.Unix(1, 0), State: keyed.New(1<<8, 1), Stateless: true}
	chk.Judge(v)
	if r.Body.Present {
		v.Phase, v.Last = check.Body, true
		chk.Judge(v)
	}
	denials := v.Findings[:0]
	for _, f := range v.Findings {
		if f.Deny {
			denials = append(denials, f)
		}
	}
	return denials
}

func alarm(l labelled, denials []check.Finding) ruleAlarm {
	a := ruleAlarm{ID: l.ID, Source: l.Source}
	for _, d := range denials {
		a.Rules = append(a.Rules, d.ID+" "+d.Message)
		if a.Where == "" {
			a.Where = strings.TrimSpace(d.Where + " " + d.Excerpt[d.Mark[0]:min(len(d.Excerpt), d.Mark[0]+max(d.Mark[1], 0))])
		}
	}
	return a
}

// share is a part in percent of the whole.
func share(part, whole int) float64 { return 100 * float64(part) / float64(max(whole, 1)) }

func printFigures(w io.Writer, all []*ruleFigures, misses bool) error {
	var b strings.Builder
	for _, f := range all {
		fmt.Fprintf(&b, "%s: %d ns a request\n", f.File, f.Nanos)
		if f.All.Cases > 0 {
			fmt.Fprintf(&b, "  covered %d of %d attacks (%.1f%%)\n", f.All.Covered, f.All.Cases, share(f.All.Covered, f.All.Cases))
			fmt.Fprintf(&b, "  %d of them (%.1f%% of all) by a rule that covers another one, too\n", f.All.Shared, share(f.All.Shared, f.All.Cases))
			names := make([]string, 0, len(f.Classes))
			for n := range f.Classes {
				names = append(names, n)
			}
			sort.Strings(names)
			for _, n := range names {
				c := f.Classes[n]
				fmt.Fprintf(&b, "    %-10s %5d of %5d (%.1f%%)\n", n, c.Covered, c.Cases, share(c.Covered, c.Cases))
			}
		}
		if f.Benign > 0 {
			fmt.Fprintf(&b, "  denied %d of %d benign requests (%.3f%%)\n", f.Denied, f.Benign, share(f.Denied, f.Benign))
			for _, a := range f.Alarms {
				fmt.Fprintf(&b, "    false alarm %s (%s): %s: %q\n", a.ID, a.Source, strings.Join(a.Rules, ", "), a.Where)
			}
		}
		if misses {
			for _, m := range f.Misses {
				fmt.Fprintf(&b, "    miss %s\n", m)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
