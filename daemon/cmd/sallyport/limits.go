package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/check/limit"
	"github.com/sallyport/sallyport/daemon/config"
	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/policy"
	"github.com/sallyport/sallyport/daemon/request"
)

// askTimeout is how long a verb waits for the daemon.
const askTimeout = 10 * time.Second

func limitsVerb() *cobra.Command {
	var asJSON bool
	var most int
	c := &cobra.Command{
		Use:   "limits",
		Short: "Show the limits that clients are near, or past",
		Long: `Limits shows the keys that have used 80% of a limit or more, the fullest
first, as the running daemon sees them. Values of headers, cookies, API keys
and claims are shown as the first digits of their hash.`,
		Args: cobra.NoArgs,
	}
	socket := control.SocketFlag(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	c.Flags().IntVarP(&most, "number", "n", 50, "show at most so many")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(c.Context(), askTimeout)
		defer cancel()
		var rows []limit.Row
		if err := control.Get(ctx, *socket, "/limits?limit="+strconv.Itoa(most), &rows); err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(c.OutOrStdout()).Encode(rows)
		}
		return printLimits(c.OutOrStdout(), rows)
	}
	c.AddCommand(simulateVerb())
	return c
}

func printLimits(out io.Writer, rows []limit.Row) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(out, "no client is near a limit")
		return err
	}
	t := newTable(out, "LIMIT", "KEY", "COUNT", "OF", "IN", "REFUSED", "LAST SEEN")
	for _, r := range rows {
		in := r.Window
		if in == "" {
			in = "at once"
		}
		t.row(r.Limit, r.Key, math.Round(r.Count), math.Round(r.Amount), in, r.Refused, r.Last.Format(time.TimeOnly))
	}
	return t.end()
}

func simulateVerb() *cobra.Command {
	var path, host string
	var asJSON bool
	c := &cobra.Command{
		Use:   "simulate FILE --config FILE",
		Short: "Replay an access log against proposed limits",
		Long: `Simulate replays a log, gzip-compressed or not, - for standard input, against the limits of a
configuration and tells whom they would have refused, before they are enforced.

A line is in NGINX's combined format (anything may follow), or a JSON object
with time, client (or remote_addr), method, uri and status; host, request_time,
request_bytes, response_bytes, upstream_time, upstream_addr and headers are
used where they stand. Without headers, limits by header, cookie, API key or
claim count by address. Lines of another form are skipped and counted.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			in := c.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			loaded, err := config.Load(path, config.Options{Mode: "enforce", Only: []string{limit.Name}, Offline: true})
			if err != nil {
				return fmt.Errorf("load the configuration:\n%w", err)
			}
			s, err := limit.Simulate(in, host, keyed.New(loaded.Server.MaxKeys, 1), placeIn(loaded.Policy))
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(s)
			}
			return printSimulated(c.OutOrStdout(), s)
		},
	}
	c.Flags().StringVar(&path, "config", defaultConfig, "the configuration with the limits to try")
	c.Flags().StringVar(&host, "host", "", "the host of lines that name none")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// placeIn finds the limits of the route that a request would be judged on.
func placeIn(p *policy.Policy) limit.Place {
	return func(r *request.Request) (site, route string, c *limit.Check) {
		at := p.Route(r)
		for _, s := range at.Slots {
			if c, ok := s.Check.(*limit.Check); ok {
				return at.Site, at.Name, c
			}
		}
		return at.Site, at.Name, nil
	}
}

func printSimulated(out io.Writer, s *limit.Simulated) error {
	if s.Requests == 0 {
		_, err := fmt.Fprintf(out, "no request was read; %d lines are of another form\n", s.Skipped)
		return err
	}
	percent := func(n uint64) string {
		return fmt.Sprintf("%d (%.2f%%)", n, 100*float64(n)/float64(s.Requests))
	}
	t := newTable(out)
	t.row("requests", fmt.Sprintf("%d, from %s to %s", s.Requests, s.First.Format(time.RFC3339), s.Last.Format(time.RFC3339)))
	if s.Skipped > 0 {
		t.row("skipped", fmt.Sprintf("%d lines of another form", s.Skipped))
	}
	t.row("would be refused", fmt.Sprintf("%s, from %d addresses", percent(s.Refused), s.Clients))
	t.row("of these", fmt.Sprintf("%d had been answered below 400", s.RefusedGood))
	if s.Delayed > 0 {
		t.row("would be delayed", percent(s.Delayed))
	}
	if err := t.end(); err != nil {
		return err
	}
	if len(s.Limits) == 0 {
		_, err := fmt.Fprintln(out, "\nthe configuration has no limits: add [[check.limit.limit]]")
		return err
	}
	for _, l := range s.Limits {
		if err := printSimulatedLimit(out, l); err != nil {
			return err
		}
	}
	return nil
}

func printSimulatedLimit(out io.Writer, l *limit.SimulatedLimit) error {
	fmt.Fprintf(out, "\n%s (%s, %s): asked %d times, ", l.Name, l.Rate, l.Action, l.Asked)
	var did []string
	if l.Refused > 0 {
		did = append(did, fmt.Sprintf("would refuse %d", l.Refused))
	}
	if l.Delayed > 0 {
		did = append(did, fmt.Sprintf("would delay %d", l.Delayed))
	}
	if l.Found > 0 {
		did = append(did, fmt.Sprintf("would report %d", l.Found))
	}
	if len(did) == 0 {
		did = append(did, "never reached")
	}
	fmt.Fprintln(out, strings.Join(did, ", "))
	t := newTable(out)
	for _, k := range l.Top {
		t.row("  "+k.Key, k.Refused, k.First.Format(time.DateTime)+" to "+k.Last.Format(time.DateTime))
	}
	if more := l.Keys - len(l.Top); more > 0 {
		t.row(fmt.Sprintf("  and %d more", more))
	}
	return t.end()
}
