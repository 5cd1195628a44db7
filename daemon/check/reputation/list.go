package reputation

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gaissmai/bart"

	"github.com/sallyport/sallyport/daemon/check"
)

// Bounds of lists; a file past them is refused.
const (
	MaxListBytes   = 64 << 20
	MaxListEntries = 2_000_000
	maxLists       = 64
)

// ListSettings is one [[reputation.list]].
type ListSettings struct {
	// Name is shown as the reason.
	Name string `toml:"name"`
	// File has an address or network a line. What follows a blank, comma,
	// semicolon or # is a comment, unless it is a time as in RFC 3339 or a
	// date, from which on the line no longer counts.
	File string `toml:"file"`
	// Action is "mark" (raise the reputation, leave it to the policy) or "deny".
	Action string `toml:"action"`
	// Reputation is the least score, 0 to 100, that a source on the list has.
	Reputation float64 `toml:"reputation"`
	// MaxAgeHours is after how many hours without change the file no longer
	// counts, with an event; 0 keeps it for ever.
	MaxAgeHours float64 `toml:"max_age_hours"`
}

// list is what all lines of a list share.
type list struct {
	name, why  string
	deny       bool
	reputation float64
}

type listEntry struct {
	list  *list
	until time.Time // zero for no end
	more  *listEntry
}

// lists is all lists in one table, never changed after it was built.
type lists struct {
	table bart.Table[*listEntry]
	size  int
}

// lookup returns the strictest live entry that covers an address.
func (l *lists) lookup(a netip.Addr, now time.Time) *listEntry {
	if l.size == 0 {
		return nil
	}
	e, ok := l.table.Lookup(a)
	if !ok {
		return nil
	}
	if e.more == nil && e.live(now) && e.list.deny {
		return e
	}
	var best *listEntry
	for _, e := range l.table.Supernets(netip.PrefixFrom(a, a.BitLen())) {
		for ; e != nil; e = e.more {
			if e.live(now) && (best == nil || e.stricter(best)) {
				best = e
			}
		}
	}
	return best
}

func (e *listEntry) live(now time.Time) bool { return e.until.IsZero() || now.Before(e.until) }

func (e *listEntry) stricter(o *listEntry) bool {
	if e.list.deny != o.list.deny {
		return e.list.deny
	}
	return e.list.reputation > o.list.reputation
}

func readLists(settings []ListSettings, dir string, now time.Time) (*lists, []string, error) {
	out := &lists{}
	var warnings []string
	if len(settings) > maxLists {
		return nil, nil, &check.SettingError{Key: "list", Err: fmt.Errorf("%d lists, at most %d expected", len(settings), maxLists)}
	}
	for i, s := range settings {
		wrong := func(key, format string, args ...any) error {
			return &check.SettingError{Key: fmt.Sprintf("list.%d.%s", i, key), Err: fmt.Errorf(format, args...)}
		}
		l := &list{name: s.Name, why: "on the list " + s.Name, reputation: s.Reputation, deny: s.Action == "deny"}
		switch {
		case s.Name == "":
			return nil, nil, wrong("name", "is missing: it is the reason that people read")
		case s.Action != "deny" && s.Action != "mark" && s.Action != "":
			return nil, nil, wrong("action", "is %q, expected \"mark\" or \"deny\"", s.Action)
		case !(s.Reputation >= 0 && s.Reputation <= 100):
			return nil, nil, wrong("reputation", "is %v, expected 0 to 100", s.Reputation)
		case !(s.MaxAgeHours >= 0):
			return nil, nil, wrong("max_age_hours", "is %v, expected 0 or more", s.MaxAgeHours)
		}
		path := s.File
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, nil, wrong("file", "%w", err)
		}
		if info.Size() > MaxListBytes {
			return nil, nil, wrong("file", "%s has %d bytes, at most %d expected", path, info.Size(), MaxListBytes)
		}
		var end time.Time
		if s.MaxAgeHours > 0 {
			end = info.ModTime().Add(time.Duration(s.MaxAgeHours * float64(time.Hour)))
			if !now.Before(end) {
				warnings = append(warnings, fmt.Sprintf("list %s does not count: %s was last changed %s, max_age_hours is %v; fetch it anew and reload", s.Name, path, info.ModTime().UTC().Format(time.RFC3339), s.MaxAgeHours))
				continue
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, wrong("file", "%w", err)
		}
		if err := out.add(l, path, text, end); err != nil {
			return nil, nil, wrong("file", "%w", err)
		}
	}
	return out, warnings, nil
}

// add reads a list's text. One bad line refuses the file: half an error page
// in place of a list must not pass for an empty list.
func (l *lists) add(of *list, path string, text []byte, end time.Time) error {
	for n := 1; len(text) > 0; n++ {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		p, until, column, err := parseLine(string(line))
		if err != nil {
			return fmt.Errorf("%s:%d:%d: %w", path, n, column, err)
		}
		if !p.IsValid() {
			continue
		}
		if until.IsZero() || (!end.IsZero() && end.Before(until)) {
			until = end
		}
		e := &listEntry{list: of, until: until}
		if old, ok := l.table.Get(p); ok {
			if old.list == of {
				continue
			}
			e.more = old
		}
		l.table.Insert(p, e)
		if l.size++; l.size > MaxListEntries {
			return fmt.Errorf("%s:%d:1: all lists together have more than %d entries", path, n, MaxListEntries)
		}
	}
	return nil
}

// parseLine reads "ADDRESS-OR-NETWORK [EXPIRY] [comment]"; an invalid prefix
// and no error is an empty line.
func parseLine(line string) (p netip.Prefix, until time.Time, column int, err error) {
	rest := strings.TrimLeft(line, " \t\r\ufeff")
	column = len(line) - len(rest) + 1
	if rest == "" || rest[0] == '#' || rest[0] == ';' {
		return p, until, column, nil
	}
	cut := strings.IndexAny(rest, " \t\r,;#")
	word := rest
	if cut >= 0 {
		word, rest = rest[:cut], rest[cut+1:]
	} else {
		rest = ""
	}
	if p, err = ParsePrefix(word); err != nil {
		if len(word) > 60 {
			word = word[:60] + "..."
		}
		return p, until, column, fmt.Errorf("%q is no address or network, expected such as 192.0.2.7 or 2001:db8::/32", word)
	}
	words := strings.FieldsFunc(rest, func(r rune) bool { return strings.ContainsRune(" \t\r,;#", r) })
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if len(words) == 0 {
			break
		}
		if t, err := time.Parse(layout, words[0]); err == nil {
			return p, t, column, nil
		}
	}
	return p, until, column, nil
}
