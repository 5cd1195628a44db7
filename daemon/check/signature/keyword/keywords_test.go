package keyword

import (
	"strings"
	"testing"
)

func TestEveryKeywordHasANameOfItsOwnAndHelp(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range All {
		if seen[k.Name] {
			t.Errorf("%s is listed twice", k.Name)
		}
		seen[k.Name] = true
		if k.Help == "" || !strings.Contains(k.Help, strings.Split(k.Name, ".")[0]) {
			t.Errorf("%s: help %q does not name it", k.Name, k.Help)
		}
		if k.Parse == nil {
			t.Errorf("%s cannot be parsed", k.Name)
		}
	}
}
