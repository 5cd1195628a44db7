package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// table writes rows in columns that line up. What clients chose, a host's name
// in a key say, cannot break a line or move the cursor: control characters are
// shown as "?".
type table struct{ w *tabwriter.Writer }

// newTable begins a table, with a line of headings if there are any.
func newTable(out io.Writer, headings ...any) table {
	t := table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	if len(headings) > 0 {
		t.row(headings...)
	}
	return t
}

func (t table) row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			_, _ = io.WriteString(t.w, "\t")
		}
		_, _ = io.WriteString(t.w, plain(fmt.Sprint(c)))
	}
	_, _ = io.WriteString(t.w, "\n")
}

// end writes what was held back until all widths are known.
func (t table) end() error { return t.w.Flush() }

func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
