package store

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/event"
)

// Filter says which events are wanted: those that meet every field that is set.
type Filter struct {
	Since, Until time.Time
	Client       netip.Prefix // a single address is a prefix of full length
	Route        string
	Check        string
	Rule         string // a finding's id
	Verdict      string // "allow", "deny" or "would deny"
	Status       int    // the status the client got, or the verdict's own; 4 stands for all of 4xx
	Kind         string
	// Text holds words that must all stand in the event's id, host, method,
	// target, reason, findings or user agent; a * at the end has the last be the
	// beginning of one.
	Text string
	// Limit is how many events are wanted, the newest first; 0 means DefaultLimit.
	Limit int
}

// Bounds of a search.
const (
	DefaultLimit = 100
	MaxLimit     = 100_000
)

// Query encodes a filter for the control socket.
func (f Filter) Query() url.Values {
	q := url.Values{}
	set := func(k, v string) {
		if v != "" {
			q.Set(k, v)
		}
	}
	if !f.Since.IsZero() {
		set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	if !f.Until.IsZero() {
		set("until", f.Until.UTC().Format(time.RFC3339Nano))
	}
	if f.Client.IsValid() {
		set("client", f.Client.String())
	}
	set("route", f.Route)
	set("check", f.Check)
	set("rule", f.Rule)
	set("verdict", f.Verdict)
	set("kind", f.Kind)
	set("text", f.Text)
	if f.Status != 0 {
		set("status", strconv.Itoa(f.Status))
	}
	if f.Limit != 0 {
		set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// ParseFilter reads what Query wrote and what a person typed: client as an
// address or a network, status as 403 or 4xx, verdict with a space, a dash or
// an underscore.
func ParseFilter(q url.Values) (f Filter, err error) {
	for k := range q {
		v := q.Get(k)
		switch k {
		case "since":
			f.Since, err = time.Parse(time.RFC3339Nano, v)
		case "until":
			f.Until, err = time.Parse(time.RFC3339Nano, v)
		case "client":
			f.Client, err = ParseClient(v)
		case "route":
			f.Route = v
		case "check":
			f.Check = v
		case "rule":
			f.Rule = v
		case "verdict":
			f.Verdict = strings.NewReplacer("-", " ", "_", " ").Replace(v)
			if _, ok := verdictNumbers[f.Verdict]; !ok || f.Verdict == "" {
				err = fmt.Errorf("%q: allow, deny or would-deny was expected", v)
			}
		case "kind":
			f.Kind = v
		case "text":
			f.Text = v
		case "status":
			f.Status, err = parseStatus(v)
		case "limit":
			f.Limit, err = strconv.Atoi(v)
			if err != nil || f.Limit < 1 || f.Limit > MaxLimit {
				err = fmt.Errorf("%q: a number from 1 to %d was expected", v, MaxLimit)
			}
		default:
			err = fmt.Errorf("there is no such filter")
		}
		if err != nil {
			return f, fmt.Errorf("filter %s: %w", k, err)
		}
	}
	return f, nil
}

// ParseClient reads an address or a network.
func ParseClient(v string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(v); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(v)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q: an address or a network such as 192.0.2.0/24 was expected", v)
	}
	return p.Masked(), nil
}

func parseStatus(v string) (int, error) {
	if len(v) == 3 && strings.HasSuffix(strings.ToLower(v), "xx") {
		v = v[:1]
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > 5 && n < 100 || n > 599 {
		return 0, fmt.Errorf("%q: a status such as 403, or 4xx, was expected", v)
	}
	return n, nil
}

// Match says whether an event meets the filter; Limit is of no account.
func (f *Filter) Match(e *event.Event) bool {
	status := e.Status
	if e.Outcome != nil {
		status = e.Outcome.Status
	}
	switch {
	case !f.Since.IsZero() && e.Time.Before(f.Since),
		!f.Until.IsZero() && e.Time.After(f.Until),
		f.Client.IsValid() && !f.Client.Contains(e.Client.Addr().Unmap()),
		f.Route != "" && e.Route != f.Route,
		f.Verdict != "" && e.VerdictWord() != f.Verdict,
		f.Kind != "" && string(e.Kind) != f.Kind,
		f.Status >= 100 && status != f.Status,
		f.Status > 0 && f.Status < 100 && status/100 != f.Status:
		return false
	}
	if f.Check != "" || f.Rule != "" {
		if !slices.ContainsFunc(e.Findings, func(x checkFinding) bool {
			return (f.Check == "" || x.Check == f.Check) && (f.Rule == "" || x.ID == f.Rule)
		}) {
			return false
		}
	}
	if f.Text != "" {
		all := strings.ToLower(words(e))
		for _, w := range tokens(f.Text) {
			if !strings.Contains(all, strings.ToLower(w)) {
				return false
			}
		}
	}
	return true
}

// tokens parts a text as the index does: letters, digits and underscores.
func tokens(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r >= 0x80)
	})
}
