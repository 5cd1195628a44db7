package signature

import (
	"os"
	"path/filepath"
	"testing"
)

// shared finds the folder of shared test data, beside the repository.
func shared(t testing.TB, parts ...string) string {
	dir := os.Getenv("SALLYPORT_SHARED")
	if dir == "" {
		at, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for ; ; at = filepath.Dir(at) {
			if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
				dir = filepath.Join(at, "..", "shared")
				if _, err := os.Stat(dir); err != nil {
					dir = filepath.Join(at, "..", "..", "shared")
				}
				break
			}
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	path := filepath.Join(append([]string{dir}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no shared test data at %s; set SALLYPORT_SHARED to the folder", path)
	}
	return path
}

func TestPublishedCorporaLoad(t *testing.T) {
	for _, c := range []string{"et-open-snort29-2021", "et-open-suri5-2021", "snort2-community-2022", "snort3-community-2025"} {
		t.Run(c, func(t *testing.T) {
			s, err := Compile([]string{shared(t, "snort", "corpora", c)}, nil, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if s.Loaded == 0 || s.Refused*100 > s.Loaded {
				t.Errorf("%d loaded, %d skipped, %d refused: more than 1%% refused", s.Loaded, s.Skipped, s.Refused)
			}
			for _, r := range s.Reports {
				if r.State == Refused {
					t.Logf("%s:%d:%d: sid %d: %s", filepath.Base(r.File), r.Line, r.Column, r.SID, r.Reason)
				}
			}
		})
	}
}
