package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

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
	var data, fix []string
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
			t, err := train.Train(data, nil, o)
			if err != nil {
				return err
			}
			m := t.Round()
			_ = fix
			b, err := m.Encode()
			if err != nil {
				return err
			}
			return os.WriteFile(out, b, 0o644)
		},
	}
	f := c.Flags()
	f.StringSliceVar(&data, "data", nil, "files of labelled requests, JSON lines, plain or gzipped")
	f.StringSliceVar(&fix, "fix", nil, "files of benign requests to fix the deny threshold on; never trained on")
	f.StringVar(&out, "out", "", "the model file to write")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "seed of the order of training")
	f.IntVar(&o.Epochs, "epochs", o.Epochs, "passes over the data")
	f.Float64Var(&o.Rate, "rate", o.Rate, "learning rate")
	f.Float64Var(&o.Decay, "decay", o.Decay, "L2 penalty")
	f.Float64Var(&o.BenignWeight, "benign-weight", o.BenignWeight, "the loss of a benign value against a hostile one's")
	return c
}

func modelEvaluateVerb() *cobra.Command {
	var data []string
	var file string
	var worst int
	c := &cobra.Command{
		Use:   "evaluate --data FILE...",
		Short: "Measure a model on labelled requests",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := model.Load(file)
			if err != nil {
				return err
			}
			rep, err := train.Judge(m, data)
			if err != nil {
				return err
			}
			return rep.Write(c.OutOrStdout(), m, 80, worst)
		},
	}
	f := c.Flags()
	f.StringSliceVar(&data, "data", nil, "files of labelled requests, JSON lines, plain or gzipped")
	f.StringVar(&file, "model", "", "the model file; without it the embedded one")
	f.IntVar(&worst, "worst", 20, "how many of the worst errors to list")
	return c
}

func modelInfoVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "info [MODEL]",
		Short: "Describe a model file, or the embedded one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := model.Load(args[0])
			if err != nil {
				return err
			}
			return json.NewEncoder(c.OutOrStdout()).Encode(m.Info)
		},
	}
}
