package generate

import (
	"strings"
	"testing"
)

func TestTheGrammarsAreWhole(t *testing.T) {
	if _, err := load(); err != nil {
		t.Fatal(err)
	}
}

func TestTheSameSeedMakesTheSameRequests(t *testing.T) {
	write := func() string {
		m, err := New(7)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for range 500 {
			b.WriteString(m.Benign().Text + "\n" + m.Attack().Text + "\n")
		}
		return b.String()
	}
	first, second := write(), write()
	if first != second {
		t.Fatal("two makers of the same seed differ")
	}
}
