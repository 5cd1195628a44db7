package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/check/reputation"
	"github.com/sallyport/sallyport/daemon/control"
)

func sourcesVerb() *cobra.Command {
	var asJSON, bans bool
	var most int
	c := &cobra.Command{
		Use:   "sources",
		Short: "Show the worst sources and why, or the bans in force",
		Args:  cobra.NoArgs,
	}
	socket := control.SocketFlag(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	c.Flags().BoolVar(&bans, "bans", false, "show the ban list instead")
	c.Flags().IntVarP(&most, "number", "n", 20, "show at most so many sources")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(c.Context(), askTimeout)
		defer cancel()
		out := c.OutOrStdout()
		if bans {
			var list []reputation.Ban
			if err := control.Get(ctx, *socket, "/bans", &list); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(out).Encode(list)
			}
			return printBans(out, list)
		}
		var list []reputation.Source
		if err := control.Get(ctx, *socket, "/sources?limit="+strconv.Itoa(most), &list); err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(out).Encode(list)
		}
		return printSources(out, list)
	}
	return c
}

func printSources(out io.Writer, list []reputation.Source) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no source has findings against it")
		return err
	}
	t := newTable(out, "SCORE", "SOURCE", "FINDINGS", "DENIED", "LAST SEEN", "STANDING", "WHY")
	for _, s := range list {
		name := s.Address.String()
		if s.Network != "" {
			name = s.Network
		}
		standing := "-"
		switch {
		case s.Ban != nil:
			standing = "banned until " + s.Ban.Until.Local().Format(time.DateTime)
		case s.Listed != "":
			standing = "listed: " + s.Listed
		}
		why := ""
		for i, r := range s.Why {
			if i > 0 {
				why += "; "
			}
			why += fmt.Sprintf("%s %s %d times", r.Check, r.ID, r.Times)
		}
		t.row(fmt.Sprintf("%.1f", s.Score), name, s.Findings, s.Denied, s.Last.Local().Format(time.DateTime), standing, why)
	}
	return t.end()
}

func printBans(out io.Writer, list []reputation.Ban) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "nobody is banned")
		return err
	}
	t := newTable(out, "BANNED", "UNTIL", "SINCE", "BY", "TIMES", "WHY")
	for _, b := range list {
		by := b.By
		if by == "" {
			by = "sallyport"
		}
		times := "-"
		if b.Times > 0 {
			times = strconv.Itoa(b.Times)
		}
		t.row(b.Prefix, b.Until.Local().Format(time.DateTime), b.Since.Local().Format(time.DateTime), by, times, b.Why)
	}
	return t.end()
}
