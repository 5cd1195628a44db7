package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/check/inventory"
	"github.com/sallyport/sallyport/daemon/control"
)

func endpointsVerb() *cobra.Command {
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "endpoints",
		Short: "List the endpoints that are called: traffic, errors, credentials, sensitive data, documented or not",
		Long: `List the endpoints that are called, the most called first.

An endpoint is listed once enough distinct clients used it (min_clients of
[check.inventory]) and unless the backend answers that there is no such thing;
--all lists the others too. With documents in [check.inventory] openapi, DOCUMENTED
says yes, no, or old (deprecated), and documented operations that nobody calls follow.`,
		Args: cobra.NoArgs,
	}
	socket := control.SocketFlag(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per endpoint")
	c.Flags().BoolVar(&all, "all", false, "list endpoints of few clients and absent ones too")
	c.RunE = func(c *cobra.Command, _ []string) error {
		path := "/endpoints"
		if all {
			path += "?all=1"
		}
		var l inventory.Listing
		if err := control.Get(c.Context(), *socket, path, &l); err != nil {
			return err
		}
		if asJSON {
			e := json.NewEncoder(c.OutOrStdout())
			for i := range l.Endpoints {
				if err := e.Encode(&l.Endpoints[i]); err != nil {
					return err
				}
			}
			return nil
		}
		return printEndpoints(c.OutOrStdout(), &l)
	}
	return c
}

func printEndpoints(out io.Writer, l *inventory.Listing) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "SITE\tMETHOD\tPATH\tREQUESTS\tCLIENTS\tDENIED\t4XX\t5XX\tCREDENTIALS\tDOCUMENTED\tSENSITIVE\tLAST SEEN")
	for i := range l.Endpoints {
		e := &l.Endpoints[i]
		documented := "-"
		switch {
		case e.Deprecated:
			documented = "old"
		case e.Documented != "":
			documented = "yes"
		case e.Known:
			documented = "no"
		}
		var data []string
		for _, s := range e.Sensitive {
			data = append(data, s.Class)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", dash(e.Site), e.Method, e.Path, humanize.Comma(int64(max(e.Requests, e.Ended))),
			e.Clients, e.Denied, percent(e.ClientErrors, e.Ended), percent(e.ServerErrors, e.Ended), e.Authentication, documented, dash(strings.Join(data, ",")), e.LastSeen.Format("2006-01-02 15:04"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, o := range l.Orphans {
		fmt.Fprintf(out, "never called: %s\n", o)
	}
	if l.Hidden > 0 {
		fmt.Fprintf(out, "%d more, of few clients or absent: --all lists them\n", l.Hidden)
	}
	if l.NotSaved != "" {
		fmt.Fprintf(out, "the inventory cannot be saved: %s\n", l.NotSaved)
	}
	return nil
}

func percent(share float64, of uint64) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*share)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
