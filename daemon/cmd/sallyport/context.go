package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/check/score"
	"github.com/sallyport/sallyport/daemon/control"
)

func contextVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "context",
		Short: "Show, export and import what is learned of each endpoint's parameters",
		Args:  cobra.NoArgs,
	}
	socket := control.SocketFlag(c.PersistentFlags())
	c.AddCommand(contextShowVerb(socket), contextExportVerb(socket), contextImportVerb(socket))
	return c
}

func contextShowVerb(socket *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show [TEXT]",
		Short: "List the parameters that have a profile, or those whose endpoint or name holds TEXT",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var l score.Listing
			if err := control.Get(c.Context(), *socket, "/context", &l); err != nil {
				return err
			}
			kept := l.Parameters[:0]
			for _, p := range l.Parameters {
				if len(args) == 0 || strings.Contains(p.Method+" "+p.Template+" "+p.Parameter, args[0]) {
					kept = append(kept, p)
				}
			}
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				for i := range kept {
					if err := e.Encode(&kept[i]); err != nil {
						return err
					}
				}
				return nil
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "SITE\tMETHOD\tPATH\tPARAMETER\tCLIENTS\tWARM\tFIRED\tLONGEST\tHOLDS\tNORMAL THERE")
			for _, p := range kept {
				warm := "no"
				if p.Warm {
					warm = "yes"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%d\t%d\t%s\t%s\n", dash(p.Site), p.Method, p.Template, p.Parameter, p.Members, warm, p.Fired, p.Longest,
					dash(strings.Join(p.Holds, ", ")), dash(strings.Join(p.Normal, ", ")))
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per parameter")
	return c
}

func contextExportVerb(socket *string) *cobra.Command {
	return &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write the learned context to a file, or to standard output, for another gateway",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			body, err := control.Stream(c.Context(), *socket, "/context/export")
			if err != nil {
				return err
			}
			defer body.Close()
			if len(args) == 0 {
				_, err = io.Copy(c.OutOrStdout(), body)
				return err
			}
			f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
			if err != nil {
				return fmt.Errorf("write the context: %w", err)
			}
			if _, err := io.Copy(f, body); err != nil {
				f.Close()
				return fmt.Errorf("write the context to %s: %w", args[0], err)
			}
			return f.Close()
		},
	}
}

func contextImportVerb(socket *string) *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Put an exported context in place of what the daemon has learned",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("read the context: %w", err)
			}
			if !json.Valid(data) {
				return fmt.Errorf("%s is not JSON; export it with \"sallyport context export\"", args[0])
			}
			var done struct{ Parameters int }
			if err := control.Post(c.Context(), *socket, "/context/import", json.RawMessage(data), &done); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%d parameters imported\n", done.Parameters)
			return nil
		},
	}
}
