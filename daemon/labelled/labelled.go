// Package labelled hands tests the labelled requests that lie beside the source
// tree, in ../shared/data or below the folder that SALLYPORT_SHARED names, and
// skips a test that needs them where they are absent.
package labelled

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/daemon/request/jsonl"
)

// Path is where a file of the shared folder lies, "data/dev.jsonl.gz".
func Path(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("SALLYPORT_SHARED")
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for ; wd != "/"; wd = filepath.Dir(wd) {
			if _, err := os.Stat(filepath.Join(wd, "go.mod")); err == nil {
				dir = filepath.Join(filepath.Dir(wd), "shared")
			}
		}
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no shared data at %s; set SALLYPORT_SHARED to its folder", path)
	}
	return path
}

// Each calls see with every line of a file and its label. The line is see's
// until it returns.
func Each(t testing.TB, path string, see func(line []byte, label string)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := jsonl.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var line []byte
	for {
		line, _, err = lines.Next(line[:0])
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var l struct{ Label string }
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		see(line, l.Label)
	}
}
