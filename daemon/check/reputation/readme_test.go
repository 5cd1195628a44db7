package reputation

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// Every example in the README is a configuration that loads.
func TestTheREADMEsExamplesLoad(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lists"), 0o700); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n    ")
	var list string
	for _, l := range lines[1:4] {
		list += strings.SplitN(l, "\n", 2)[0] + "\n"
	}
	for _, name := range []string{"tor-exits.txt", "blocked.txt"} {
		if err := os.WriteFile(filepath.Join(dir, "lists", name), []byte(list), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, block, found := strings.Cut(string(text), "```toml\n")
	block, _, _ = strings.Cut(block, "```")
	var root struct {
		Reputation Settings `toml:"reputation"`
	}
	root.Reputation = Defaults()
	md, err := toml.Decode(block, &root)
	if err != nil || !found || len(md.Undecoded()) > 0 {
		t.Fatalf("%v, unknown %v", err, md.Undecoded())
	}
	if err := Check(root.Reputation, dir); err != nil {
		t.Error(err)
	}
}
