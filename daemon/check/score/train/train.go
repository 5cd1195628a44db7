package train

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/sallyport/sallyport/daemon/check/score/generate"
	"github.com/sallyport/sallyport/daemon/check/score/model"
)

// Train makes a model of the samples in the files and of generated ones.
func Train(files []string, o Options) (*model.Trained, error) {
	say := o.Progress
	if say == nil {
		say = func(string, ...any) {}
	}
	s := newSet()
	var data []string
	for _, path := range files {
		sum, err := sumOf(path)
		if err != nil {
			return nil, err
		}
		data = append(data, fmt.Sprintf("%s %016x", filepath.Base(path), sum))
		n := 0
		err = Read(path, func(m *Sample) error {
			if !slices.Contains(o.Without, m.Source) {
				s.add(m)
				n++
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		say("%s: %d requests; %d windows, %d features so far", path, n, len(s.windows), len(s.features))
	}
	if err := s.addMade(o); err != nil {
		return nil, err
	}
	say("generated: %d requests; %d windows, %d features so far", o.MadeBenign+o.MadeAttacks, len(s.windows), len(s.features))
	n, sum, err := s.addText(o.Text, o.TextPieces, o.Seed)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		data = append(data, fmt.Sprintf("%d pieces of ordinary text %016x", n, sum))
	}
	if len(o.Without) > 0 {
		data = append(data, "without "+strings.Join(o.Without, ", "))
	}
	data = append(data, fmt.Sprintf("%d benign and %d hostile generated", o.MadeBenign, o.MadeAttacks))
	say("ordinary text: %d pieces; %d windows, %d features so far", n, len(s.windows), len(s.features))
	var f *fitter
	for round := 0; round <= o.Rounds; round++ {
		epochs := o.Epochs
		if round < o.Rounds {
			epochs = max(2, o.Epochs/2)
		}
		ex := s.examples(o)
		f = s.fit(ex, o, epochs, uint64(round))
		if round < o.Rounds {
			empty := s.choose(f, round == o.Rounds-1)
			say("round %d: %d examples; %d hostile requests hold nothing of their own", round, len(ex), empty)
		}
	}
	t := &model.Trained{Bias: f.bias, Weights: f.weights}
	for i := range s.windows {
		if s.windows[i].benign {
			t.Info.Benign++
		}
	}
	t.Info.Hostile = s.distinctChosen()
	t.Info.Seed, t.Info.Data = o.Seed, data
	t.Info.Cut, t.Info.Slope = o.Cut, o.Slope
	t.Heads, t.HeadBias = s.fitHeads(o)
	return t, nil
}

func (s *set) distinctChosen() int {
	seen := map[int32]bool{}
	for k := range s.bags {
		if c := s.bags[k].chosen; c >= 0 {
			seen[c] = true
		}
	}
	return len(seen)
}

func sumOf(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("read samples: %w", err)
	}
	defer f.Close()
	var d xxhash.Digest
	d.Reset()
	if _, err := io.Copy(&d, f); err != nil {
		return 0, fmt.Errorf("read samples %s: %w", path, err)
	}
	return d.Sum64(), nil
}

// addMade takes generated samples in.
func (s *set) addMade(o Options) error {
	maker, err := generate.New(o.Seed)
	if err != nil {
		return err
	}
	for range o.MadeBenign {
		s.addGenerated(maker.Benign())
	}
	for range o.MadeAttacks {
		s.addGenerated(maker.Attack())
	}
	return nil
}

func (s *set) addGenerated(g *generate.Sample) {
	s.add(&Sample{Malicious: g.Malicious, Class: g.Class, Source: g.Source, Request: g.Request})
}
