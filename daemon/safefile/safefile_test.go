package safefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWhatWasWrittenIsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for _, data := range []string{"first", "", "line\nline\n"} {
		if err := Write(path, []byte(data)); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		if err != nil || string(got) != data {
			t.Fatalf("got %q, %v; want %q", got, err, data)
		}
	}
}

func TestAMissingFileIsNotAnError(t *testing.T) {
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v, want fs.ErrNotExist", err)
	}
}

func TestATornOrAlteredFileIsSetAside(t *testing.T) {
	for name, harm := range map[string]func([]byte) []byte{
		"torn":         func(b []byte) []byte { return b[:len(b)-3] },
		"torn in head": func(b []byte) []byte { return b[:9] },
		"altered":      func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"empty":        func([]byte) []byte { return nil },
		"foreign":      func([]byte) []byte { return []byte("hello\nworld") },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			if err := Write(path, []byte("some counters")); err != nil {
				t.Fatal(err)
			}
			whole, _ := os.ReadFile(path)
			if err := os.WriteFile(path, harm(whole), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Read(path); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("got %v, want ErrCorrupt", err)
			}
			if _, err := os.Stat(path + ".corrupt"); err != nil {
				t.Fatal("the file was not kept aside:", err)
			}
			if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("second read: got %v, want fs.ErrNotExist", err)
			}
		})
	}
}
