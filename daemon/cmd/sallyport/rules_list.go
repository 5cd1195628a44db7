package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/check/signature"
	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
)

// ruleQuery is what "rules list" asks for.
type ruleQuery struct {
	files            []string
	sid, msg         string
	cve, tag         string
	severity, action string
}

func rulesListVerb() *cobra.Command {
	var q ruleQuery
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List and search the loaded rules, and count those that are skipped and refused",
		Long: `Without --rules the shipped rules and the administrator's own are read, as the
daemon does by default. Conditions are joined by and.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			files := q.files
			if len(files) == 0 {
				files = signature.Defaults().Rules
			}
			s, err := signature.Compile(files, nil, signature.Options{})
			if err != nil {
				return err
			}
			var found []*keyword.Program
			for _, p := range s.Programs() {
				if q.matches(p) {
					found = append(found, p)
				}
			}
			slices.SortFunc(found, func(a, b *keyword.Program) int { return int(int64(a.SID) - int64(b.SID)) })
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(map[string]any{
					"loaded": s.Loaded, "skipped": s.Skipped, "refused": s.Refused, "rules": listed(found),
				})
			}
			return printList(c.OutOrStdout(), s, found)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&q.files, "rules", nil, "rule file, directory or pattern instead of the installed ones; may be given again")
	f.StringVar(&q.sid, "sid", "", "the rule's number, or gid:sid")
	f.StringVar(&q.msg, "message", "", "text in the message, in any case")
	f.StringVar(&q.cve, "cve", "", "a CVE, with or without CVE-")
	f.StringVar(&q.tag, "tag", "", "class, CWE, OWASP category or other tag")
	f.StringVar(&q.severity, "severity", "", "low, medium, high or critical, as a finding of the rule has it")
	f.StringVar(&q.action, "action", "", "alert, drop, block, reject, pass")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

func (q *ruleQuery) matches(p *keyword.Program) bool {
	tags := signature.Tags(p)
	hasTag := func(want string) bool {
		return slices.ContainsFunc(tags, func(t string) bool { return strings.EqualFold(t, want) })
	}
	id := strconv.FormatUint(uint64(p.SID), 10)
	switch {
	case q.sid != "" && q.sid != id && q.sid != fmt.Sprintf("%d:%s", p.GID, id):
	case q.msg != "" && !strings.Contains(strings.ToLower(p.Msg), strings.ToLower(q.msg)):
	case q.cve != "" && !hasTag("CVE-"+strings.TrimPrefix(strings.ToUpper(q.cve), "CVE-")):
	case q.tag != "" && !hasTag(q.tag):
	case q.severity != "" && !strings.EqualFold(q.severity, signature.Severity(p, p.Rule.Action).String()):
	case q.action != "" && q.action != p.Rule.Action:
	default:
		return true
	}
	return false
}

type listedRule struct {
	GID      uint32   `json:"gid"`
	SID      uint32   `json:"sid"`
	Rev      uint32   `json:"rev"`
	Action   string   `json:"action"`
	Severity string   `json:"severity"`
	Msg      string   `json:"msg"`
	Tags     []string `json:"tags,omitempty"`
	Dialect  string   `json:"dialect"`
	File     string   `json:"file"`
	Line     int      `json:"line"`
}

func listed(ps []*keyword.Program) []listedRule {
	out := make([]listedRule, len(ps))
	for i, p := range ps {
		out[i] = listedRule{p.GID, p.SID, p.Rev, p.Rule.Action, signature.Severity(p, p.Rule.Action).String(), p.Msg,
			signature.Tags(p), p.Rule.Dialect.String(), p.Rule.File, p.Rule.Line}
	}
	return out
}

func printList(w io.Writer, s *signature.Set, found []*keyword.Program) error {
	for _, r := range listed(found) {
		if _, err := fmt.Fprintf(w, "%d:%d  %-6s %-8s %s  [%s] %s:%d\n", r.GID, r.SID, r.Action, r.Severity, r.Msg,
			strings.Join(r.Tags, " "), filepath.Base(r.File), r.Line); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d found, %d loaded, %d skipped, %d refused (sallyport rules check says why)\n", len(found), s.Loaded, s.Skipped, s.Refused)
	return err
}
