package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/check/score/tune"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/event/store"
)

func tuneVerb() *cobra.Command {
	o := tune.Defaults()
	var path string
	var since time.Duration
	var asJSON, all bool
	var limit int
	c := &cobra.Command{
		Use:   "tune",
		Short: "Find likely false alarms in the recorded events and propose exceptions to paste",
		Long: `Find likely false alarms in the recorded events and propose exceptions to paste.

A finding is a likely false alarm when many distinct clients of good reputation run into it
at the same place of the same endpoint and nothing else is found in their requests.
Nothing is changed: the exceptions are printed as TOML, each with its evidence and what it
would have let through.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := store.OpenReader(path)
			if err != nil {
				return err
			}
			defer r.Close()
			now := time.Now()
			o.Now = now
			records, err := r.Search(c.Context(), store.Filter{Since: now.Add(-since), Kind: string(event.KindRequest), Limit: limit})
			if err != nil {
				return err
			}
			events := make([]tune.Event, 0, len(records))
			for i := range records {
				events = append(events, tuneEvent(records[i].Event))
			}
			groups := tune.Groups(events, o)
			shown := 0
			for i := range groups {
				g := &groups[i]
				if !g.Likely && !all {
					continue
				}
				shown++
				switch {
				case asJSON:
					err = json.NewEncoder(c.OutOrStdout()).Encode(g)
				case g.Likely:
					_, err = fmt.Fprintln(c.OutOrStdout(), g.TOML(o))
				default:
					_, err = fmt.Fprintf(c.OutOrStdout(), "# no exception proposed for %s %s, %s %s at %s: %s\n", g.Method, g.Endpoint, g.Check, g.ID, g.Where, g.Why)
				}
				if err != nil {
					return err
				}
			}
			if shown == 0 && !asJSON {
				fmt.Fprintf(c.OutOrStdout(), "# no likely false alarm in %d events since %s; --all lists what was looked at\n", len(events), now.Add(-since).Format(time.DateTime))
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&path, "store", "/var/lib/sallyport/events.db", "the daemon's event store")
	f.DurationVar(&since, "since", 7*24*time.Hour, "how far back to look")
	f.IntVar(&limit, "limit", store.MaxLimit, "how many events to read at most, the newest")
	f.IntVar(&o.MinClients, "min-clients", o.MinClients, "how many distinct clients make a false alarm likely")
	f.BoolVar(&all, "all", false, "list what is no likely false alarm too, and why")
	f.BoolVar(&asJSON, "json", false, "print one JSON object per finding and place")
	return c
}

func tuneEvent(e *event.Event) tune.Event {
	path := []byte(e.URI)
	for i, b := range path {
		if b == '?' {
			path = path[:i]
			break
		}
	}
	return tune.Event{
		Time: e.Time, Client: e.Client.Addr(), Site: e.Site, Route: e.Route, Method: e.Method, Path: path,
		Denied: e.Verdict == "deny" || e.WouldDeny, Reputation: e.SourceReputation, Findings: e.Findings,
	}
}
