package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzConfiguration reads any text as a configuration: it must be taken or
// refused with places that stand in the file, and never end the daemon.
func FuzzConfiguration(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/bad.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, one := range archive.Files {
		if strings.HasSuffix(one.Name, ".toml") {
			f.Add(string(one.Data))
		}
	}
	f.Add(shop)
	off := ""
	for _, name := range names() { // building checks is their own tests' business
		off += "\n[check." + name + "]\nmode = \"off\"\n"
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "sallyport.toml")
		if err := os.WriteFile(path, []byte(text+off), 0o600); err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(text+off, "\n") + 1
		l, err := Load(path, Options{Offline: true})
		if err == nil {
			_ = l.Summary()
			return
		}
		for _, p := range err.(Problems) {
			if p.Message == "" || p.Line > lines || p.Line > 0 && p.Column < 1 {
				t.Fatalf("%+v in %d lines", p, lines)
			}
		}
	})
}
