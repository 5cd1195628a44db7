package train

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/daemon/check/score"
)

// shared finds a file of the labelled requests, or skips the test.
func shared(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("SALLYPORT_SHARED")
	for up := "."; dir == "" && len(up) < 40; up = filepath.Join(up, "..") {
		if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
			dir = filepath.Join(up, "..", "shared")
		}
	}
	path := filepath.Join(dir, "data", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no labelled requests at %s; SALLYPORT_SHARED names their folder", path)
	}
	return path
}

func TestTheSameDataAndSeedGiveTheSameBytes(t *testing.T) {
	path := shared(t, "exploits.jsonl.gz")
	o := DefaultOptions()
	o.Epochs, o.MadeBenign, o.MadeAttacks = 2, 800, 800
	make := func(seed uint64) []byte {
		o.Seed = seed
		m, err := Train([]string{path}, o)
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.Round().Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := make(1)
	if !bytes.Equal(first, make(1)) {
		t.Error("two runs of the same seed differ")
	}
	if bytes.Equal(first, make(2)) {
		t.Error("the seed changes nothing")
	}
}

// TestTheBuiltInModelHoldsItsFigures checks the model alone at the default
// deny threshold on the development set, which it was not trained on.
func TestTheBuiltInModelHoldsItsFigures(t *testing.T) {
	dev, recorded := shared(t, "dev.jsonl.gz"), shared(t, "dev-recorded.jsonl.gz")
	m, err := score.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Judge(m, []string{dev, recorded})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range r.Groups(80, func(j *Judged) string { return j.Source }) {
		least, most := 0.0, 1.0
		switch g.Name {
		case "foospidy":
			least = 0.95
		case "httpparams", "payloadbox-xss":
			least = 0.97
		case "crs-tests":
			least = 0.58
		case "all":
			most = 0.001
		case "browsing-perfcascade", "recorded-octokit":
			most = 0
		}
		if g.Hostile > 0 && g.Detected < least {
			t.Errorf("%s: %.2f%% found, %.0f%% wanted", g.Name, 100*g.Detected, 100*least)
		}
		if g.Benign > 0 && g.False > most {
			t.Errorf("%s: %.3f%% of benign requests denied, at most %.1f%% wanted", g.Name, 100*g.False, 100*most)
		}
	}
	evasions, err := Evade(m, r, 10, 80, 7)
	if err != nil {
		t.Fatal(err)
	}
	all := evasions[0]
	was, is := share(all.Found, all.Attacks), share(all.FoundMutants, all.Mutants)
	t.Logf("%.2f%% of %d attacks found, %.2f%% of their mutations", 100*was, all.Attacks, 100*is)
	if is < was-0.02 {
		t.Errorf("%.2f%% of attacks found, but only %.2f%% of their mutations; at most 2 points less wanted", 100*was, 100*is)
	}
}
