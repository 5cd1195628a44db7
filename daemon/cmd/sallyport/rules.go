package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/check/signature"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

func rulesVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "rules",
		Short: "Check, list and test signature rules",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(rulesListVerb(), rulesCheckVerb(), rulesTestVerb(), rulesEvaluateVerb())
	return c
}

// ruleVars reads NAME=VALUE pairs into variables of both kinds.
func ruleVars(pairs []string) (*rule.Vars, error) {
	v := (&rule.Vars{}).Clone()
	for _, p := range pairs {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usageError{fmt.Errorf("--var %q: expected NAME=VALUE", p)}
		}
		name = strings.TrimPrefix(name, "$")
		v.Address[name], v.Port[name] = value, value
	}
	return v, nil
}

func rulesCheckVerb() *cobra.Command {
	var asJSON, verbose, strict bool
	var vars []string
	c := &cobra.Command{
		Use:   "check FILE...",
		Short: "Say which rules of files, directories or patterns load, and why others do not",
		Long: `Reads Snort 2, Snort 3 and Suricata rules and says of each whether it is loaded,
skipped (it does not apply to HTTP requests) or refused (it holds a mistake or an
option that is not supported). With --strict the exit status is 1 when a rule is
refused, as the setting strict would have it.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			v, err := ruleVars(vars)
			if err != nil {
				return err
			}
			found, err := signature.Expand(args)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return usageError{fmt.Errorf("no rule file is there: %s", strings.Join(args, " "))}
			}
			s, err := signature.Compile(args, v, signature.Options{})
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(map[string]any{
					"loaded": s.Loaded, "skipped": s.Skipped, "refused": s.Refused, "rules": s.Reports,
				})
			} else {
				err = printReports(c.OutOrStdout(), s, verbose)
			}
			if err != nil {
				return err
			}
			if strict && s.Refused > 0 {
				return errFailed
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().BoolVar(&strict, "strict", false, "fail when a rule is refused")
	c.Flags().BoolVar(&verbose, "verbose", false, "print every skipped rule, not only the counts")
	c.Flags().StringArrayVar(&vars, "var", nil, "a variable of the rules, NAME=VALUE (what is not set is any)")
	return c
}

// printReports prints refused rules one by one and skipped ones by reason.
func printReports(w io.Writer, s *signature.Set, verbose bool) error {
	reasons := map[string]int{}
	for _, r := range s.Reports {
		switch {
		case r.State == signature.Refused:
			if _, err := fmt.Fprintf(w, "%s:%d:%d: sid %d refused: %s\n", r.File, r.Line, r.Column, r.SID, r.Reason); err != nil {
				return err
			}
		case r.State == signature.Skipped && verbose:
			if _, err := fmt.Fprintf(w, "%s:%d: sid %d skipped: %s\n", r.File, r.Line, r.SID, r.Reason); err != nil {
				return err
			}
		}
		if r.State != signature.Loaded {
			reasons[r.State+": "+r.Reason]++
		}
	}
	keys := make([]string, 0, len(reasons))
	for k := range reasons {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		if reasons[keys[i]] != reasons[keys[j]] {
			return reasons[keys[i]] > reasons[keys[j]]
		}
		return keys[i] < keys[j]
	})
	for _, k := range keys {
		if _, err := fmt.Fprintf(w, "%6d %s\n", reasons[k], k); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d loaded, %d skipped, %d refused\n", s.Loaded, s.Skipped, s.Refused)
	return err
}

func rulesTestVerb() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "test FILE...",
		Short: "Run the requests beside rule files: what each rule must match and must pass",
		Long: `Beside NAME.rules stands NAME.test with cases: a line "match SID" or "pass SID",
a request, a line with a dot. Every case must come out, and every rule must have
at least one of each.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			verdicts, untested, err := signature.TestExamples(args)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			type failure struct {
				File string `json:"file"`
				Line int    `json:"line"`
				SID  uint32 `json:"sid"`
				Why  string `json:"why"`
			}
			failures := []failure{}
			for _, v := range verdicts {
				if !v.Passed {
					failures = append(failures, failure{v.File, v.Line, v.SID, v.Why})
				}
			}
			for _, p := range untested {
				failures = append(failures, failure{p.Rule.File, p.Rule.Line, p.SID, "the rule needs at least one match and one pass case"})
			}
			if asJSON {
				if err := json.NewEncoder(out).Encode(map[string]any{"cases": len(verdicts), "failures": failures}); err != nil {
					return err
				}
			} else {
				for _, f := range failures {
					fmt.Fprintf(out, "%s:%d: sid %d: %s\n", f.File, f.Line, f.SID, f.Why)
				}
				fmt.Fprintf(out, "%d cases, %d failures\n", len(verdicts), len(failures))
			}
			if len(failures) > 0 {
				return errFailed
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}
