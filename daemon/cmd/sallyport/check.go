package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/config"
)

// defaultConfig is where the packages put the configuration.
const defaultConfig = "/etc/sallyport/sallyport.toml"

func checkVerb() *cobra.Command {
	var path string
	var asJSON, reference bool
	c := &cobra.Command{
		Use:   "check [--config FILE]",
		Short: "Check a configuration as the daemon would load it",
		Long: `Check reads the configuration, its conf.d folder, and every rule file, schema,
list and model they name, exactly as the daemon does at start and on reload.
Each problem is printed as file:line:column with what was expected.

Exit status: 0 when the daemon would take it, 1 when it would not.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if reference {
				_, err := io.WriteString(c.OutOrStdout(), config.Reference())
				return err
			}
			loaded, err := config.Load(path, config.Options{Offline: true})
			return reportCheck(c, path, loaded, err, asJSON)
		},
	}
	c.Flags().StringVar(&path, "config", defaultConfig, "the main configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().BoolVar(&reference, "reference", false, "print every key of the configuration with its meaning and default")
	return c
}

func reportCheck(c *cobra.Command, path string, loaded *config.Loaded, err error, asJSON bool) error {
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		problems = config.Problems{{File: path, Message: err.Error()}}
	}
	var warnings []string
	if loaded != nil {
		warnings = loaded.Warnings
	}
	out := c.OutOrStdout()
	if asJSON {
		report := struct {
			OK       bool            `json:"ok"`
			Problems config.Problems `json:"problems"`
			Warnings []string        `json:"warnings"`
		}{len(problems) == 0, problems, warnings}
		if err := json.NewEncoder(out).Encode(report); err != nil {
			return err
		}
	} else {
		for _, w := range warnings {
			fmt.Fprintln(out, "warning:", w)
		}
		for _, p := range problems {
			fmt.Fprintln(c.ErrOrStderr(), p.Error())
		}
		if len(problems) == 0 {
			fmt.Fprintf(out, "%s is good: %s\n", path, loaded.Summary())
		}
	}
	if len(problems) > 0 {
		return errFailed
	}
	return nil
}
