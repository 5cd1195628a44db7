package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/check/score"
	"github.com/sallyport/sallyport/daemon/check/score/model"
	"github.com/sallyport/sallyport/daemon/check/score/train"
)

func modelVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "model",
		Short: "Train, measure and describe attack models",
		Args:  cobra.NoArgs,
	}
	c.AddCommand(modelTrainVerb(), modelEvaluateVerb(), modelInfoVerb())
	return c
}

func modelTrainVerb() *cobra.Command {
	o := train.DefaultOptions()
	var data []string
	var out string
	c := &cobra.Command{
		Use:   "train --data FILE... --out MODEL",
		Short: "Train an attack model on labelled requests; the same data and seed give the same bytes",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(data) == 0 || out == "" {
				return usageError{fmt.Errorf("model train needs --data and --out")}
			}
			start := time.Now()
			o.Progress = func(format string, args ...any) {
				fmt.Fprintf(c.ErrOrStderr(), "%4.0fs "+format+"\n", append([]any{time.Since(start).Seconds()}, args...)...)
			}
			t, err := train.Train(data, o)
			if err != nil {
				return err
			}
			m := t.Round()
			b, err := m.Encode()
			if err != nil {
				return err
			}
			return os.WriteFile(out, b, 0o644)
		},
	}
	f := c.Flags()
	f.StringSliceVar(&data, "data", nil, "files of labelled requests, JSON lines, plain or gzipped")
	f.StringVar(&out, "out", "", "the model file to write")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "seed of the order of training")
	f.IntVar(&o.Epochs, "epochs", o.Epochs, "passes over the data")
	f.IntVar(&o.MadeBenign, "made-benign", o.MadeBenign, "how many benign requests to generate")
	f.IntVar(&o.MadeAttacks, "made-attacks", o.MadeAttacks, "how many attacks to generate")
	f.StringSliceVar(&o.Text, "text", nil, "folders of ordinary text files to take benign pieces from")
	f.IntVar(&o.TextPieces, "text-pieces", o.TextPieces, "how many pieces to take at most")
	f.StringSliceVar(&o.Without, "without", nil, "sources of the data to leave out, to measure on them afterwards")
	f.Float64Var(&o.Cut, "cut", o.Cut, "the logit that scores 80")
	f.Float64Var(&o.Slope, "slope", o.Slope, "how steep the score rises at the cut")
	f.Float64Var(&o.Rate, "rate", o.Rate, "learning rate")
	f.Float64Var(&o.Decay, "decay", o.Decay, "L2 penalty")
	f.Float64Var(&o.BenignWeight, "benign-weight", o.BenignWeight, "the loss of a benign value against a hostile one's")
	return c
}

func modelEvaluateVerb() *cobra.Command {
	var data []string
	var file, scores, svg string
	var verdicts, only []string
	var worst, mutations int
	c := &cobra.Command{
		Use:   "evaluate --data FILE...",
		Short: "Measure a model on labelled requests",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := loadModel(file)
			if err != nil {
				return err
			}
			rep, err := train.Judge(m, data, only...)
			if err != nil {
				return err
			}
			if len(verdicts) > 0 {
				if err := rep.Join(verdicts); err != nil {
					return err
				}
			}
			if svg != "" {
				if err := os.WriteFile(svg, rep.SVG(m), 0o644); err != nil {
					return fmt.Errorf("write the curve: %w", err)
				}
			}
			if scores != "" {
				if err := writeScores(scores, rep); err != nil {
					return err
				}
			}
			if err := rep.Write(c.OutOrStdout(), m, 80, worst); err != nil || mutations == 0 {
				return err
			}
			evasions, err := train.Evade(m, rep, mutations, 80, 7)
			if err != nil {
				return err
			}
			return train.WriteEvasions(c.OutOrStdout(), evasions)
		},
	}
	f := c.Flags()
	f.StringSliceVar(&data, "data", nil, "files of labelled requests, JSON lines, plain or gzipped")
	f.StringVar(&file, "model", "", "the model file; without it the embedded one")
	f.StringSliceVar(&verdicts, "verdicts", nil, "what \"sallyport inspect\" wrote for the same files in the same order, to add all checks together")
	f.StringSliceVar(&only, "only", nil, "the sources to measure on; without it all of them")
	f.StringVar(&svg, "svg", "", "a file to draw the ROC curve into")
	f.StringVar(&scores, "scores", "", "a file to write every request's score to, as JSON lines")
	f.IntVar(&mutations, "mutations", 0, "how many random mutations of each attack to score too")
	f.IntVar(&worst, "worst", 20, "how many of the worst errors to list")
	return c
}

func modelInfoVerb() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "info [MODEL]",
		Short: "Describe a model file, or the embedded one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := loadModel(strings.Join(args, ""))
			if err != nil {
				return err
			}
			i := m.Info
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(struct {
					model.Info
					Sum  string `json:"checksum"`
					Size int    `json:"bytes"`
				}{i, i.Sum, i.Size})
			}
			w := c.OutOrStdout()
			fmt.Fprintf(w, "features version %d, seed %d, %d bytes, checksum %s\n", i.Version, i.Seed, i.Size, i.Sum)
			fmt.Fprintf(w, "trained on %d benign and %d hostile windows\n", i.Benign, i.Hostile)
			fmt.Fprintf(w, "a logit of %.2f scores 80\n", i.Cut)
			for _, d := range i.Data {
				fmt.Fprintf(w, "data %s\n", d)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// loadModel reads a model file, or takes the embedded model for "".
func loadModel(path string) (*model.Model, error) {
	if path == "" {
		return score.Embedded()
	}
	return model.Load(path)
}

func writeScores(path string, rep *train.Report) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write scores: %w", err)
	}
	w := bufio.NewWriter(f)
	e := json.NewEncoder(w)
	for i := range rep.All {
		if err := e.Encode(&rep.All[i]); err != nil {
			return fmt.Errorf("write scores to %s: %w", path, err)
		}
	}
	return errors.Join(w.Flush(), f.Close())
}
