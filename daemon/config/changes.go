package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/daemon/check"
)

// Inventory is what a check that holds many named things (rules, schemas)
// tells of them: a print of each, for saying what a reload changed.
type Inventory interface {
	// Inventory names what is counted ("rules") and maps each thing to a hash.
	Inventory() (noun string, prints map[string]uint64)
}

// Changes says in one line what this configuration changes against the old one.
func (l *Loaded) Changes(old *Loaded) string {
	changed, same := map[string]int{}, map[string]int{}
	compare(l.prints, old.prints, changed, same)
	for id, c := range l.instances {
		now, ok := c.(Inventory)
		if !ok {
			continue
		}
		noun, prints := now.Inventory()
		var before map[string]uint64
		if o, ok := old.instances[id].(Inventory); ok {
			_, before = o.Inventory()
		}
		tally(noun, prints, before, changed, same)
	}
	return "changed: " + counts(changed) + "; unchanged: " + counts(same)
}

func compare(now, before map[string]string, changed, same map[string]int) {
	byNoun := func(m map[string]string, noun string) map[string]string {
		out := map[string]string{}
		for k, v := range m {
			if rest, ok := strings.CutPrefix(k, noun+" "); ok {
				out[rest] = v
			}
		}
		return out
	}
	for _, noun := range []string{"route", "check", "exception"} {
		tally(noun+"s", byNoun(now, noun), byNoun(before, noun), changed, same)
	}
	for _, table := range []string{"events", "reputation"} {
		if now[table] != before[table] {
			changed[table+" table"]++
		}
	}
}

func tally[T comparable](noun string, now, before map[string]T, changed, same map[string]int) {
	for k, v := range now {
		if was, ok := before[k]; ok && was == v {
			same[noun]++
		} else {
			changed[noun]++
		}
	}
	for k := range before {
		if _, ok := now[k]; !ok {
			changed[noun]++
		}
	}
}

func counts(m map[string]int) string {
	var parts []string
	for noun, n := range m {
		if n == 1 {
			noun = strings.TrimSuffix(noun, "s")
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, noun))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// Summary says in one line what the configuration holds.
func (l *Loaded) Summary() string {
	return counts(l.numbers())
}

func (l *Loaded) numbers() map[string]int {
	n := map[string]int{}
	for k := range l.prints {
		if noun, _, many := strings.Cut(k, " "); many {
			n[noun+"s"]++
		}
	}
	for _, c := range l.instances {
		if inv, ok := c.(Inventory); ok {
			noun, prints := inv.Inventory()
			n[noun] += len(prints)
		}
	}
	return n
}

// Detail is a line about what a check holds, for people; empty when it has none.
func Detail(c check.Check) string {
	inv, ok := c.(Inventory)
	if !ok {
		return ""
	}
	noun, prints := inv.Inventory()
	return counts(map[string]int{noun: len(prints)})
}

// RuleFiles are the files that the signature check was built from.
func RuleFiles(l *Loaded) []string {
	for _, c := range l.Policy.Checks {
		if named, ok := c.(interface{ Files() []string }); ok {
			return named.Files()
		}
	}
	return nil
}
