package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/event/explain"
)

// worstRoutes is how many routes status lists by what was denied on them.
const worstRoutes = 10

func statusVerb() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the running daemon on one screen",
		Long: `Status asks the running daemon for its mode, routes, checks, rates, the routes
with most denials, the event sinks, and what is degraded and since when.

Exit status: 0 when the daemon takes requests and nothing is degraded, 1 when it
does not run, takes none or something is degraded, 2 for a wrong command line.`,
		Args: strict(cobra.NoArgs),
	}
	socket := control.SocketFlag(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.RunE = func(c *cobra.Command, _ []string) error {
		var st control.Status
		if err := control.Get(c.Context(), *socket, "/status", &st); err != nil {
			return err
		}
		var err error
		if asJSON {
			e := json.NewEncoder(c.OutOrStdout())
			e.SetEscapeHTML(false)
			err = e.Encode(&st)
		} else {
			err = writeStatus(c.OutOrStdout(), &st, time.Now(), styleOf(c.OutOrStdout()))
		}
		if err == nil && (!st.Ready || len(st.Degraded) > 0) {
			err = errFailed
		}
		return err
	}
	return c
}

func writeStatus(out io.Writer, st *control.Status, now time.Time, style explain.Style) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	state := "ready"
	if !st.Ready {
		state = "NOT READY: " + st.NotReady
	}
	line("sallyport", "%s, %s, up %s, pid %d", st.Version, state, since(st.Started, now), st.PID)
	line("policy", "%s, applied %s ago", st.Policy, since(st.Loaded, now))
	if st.Refused != "" {
		first, _, _ := strings.Cut(st.Refused, "\n")
		line("", "the last reload was REFUSED: %s", first)
	}
	line("mode", "%s", modeWords(st, now))
	var checks []string
	for _, c := range st.Checks {
		if c.Detail != "" {
			checks = append(checks, c.Name+" ("+c.Detail+")")
		} else {
			checks = append(checks, c.Name)
		}
	}
	line("checks", "%s", strings.Join(checks, ", "))
	line("since start", "%s judged, %s denied", humanize.Comma(int64(st.Judged)), humanize.Comma(int64(st.Denied)))
	var rate float64
	for _, r := range st.Rates {
		rate += r.PerSecond
	}
	line("now", "%.1f requests/s over the last minute, %d held", rate, st.Held)
	if err := w.Flush(); err != nil {
		return err
	}
	if err := writeRoutes(out, st, style); err != nil {
		return err
	}
	if err := writeSinks(out, st, style); err != nil {
		return err
	}
	if len(st.Degraded) == 0 {
		_, err := fmt.Fprintln(out, "\nNothing is degraded.")
		return err
	}
	fmt.Fprintf(out, "\n%sDegraded%s\n", style.Strong, style.End)
	for _, c := range st.Degraded {
		if _, err := fmt.Fprintf(out, "  %s, for %s (since %s): %s\n", c.Name, since(c.Since, now), c.Since.UTC().Format(time.RFC3339), explain.Visible(c.Detail)); err != nil {
			return err
		}
	}
	return nil
}

func modeWords(st *control.Status, now time.Time) string {
	count := map[string]int{}
	for _, r := range st.Routes {
		count[r.Mode]++
	}
	var parts []string
	for _, m := range []string{"enforce", "detect", "off"} {
		if count[m] > 0 {
			parts = append(parts, fmt.Sprintf("%s on %d of %d routes", m, count[m], len(st.Routes)))
		}
	}
	s := strings.Join(parts, ", ")
	if c := st.Change; c != nil {
		on := "all routes"
		if c.Route != "" {
			on = "route " + c.Route
		}
		s += fmt.Sprintf("; BREAK GLASS: %s on %s for another %s, by %s: %s", c.Mode, on, since(now, c.Until), c.By, explain.Visible(c.Why))
	}
	return s
}

func writeRoutes(out io.Writer, st *control.Status, style explain.Style) error {
	if len(st.Rates) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\n%sRoutes, most denials first (last 5 minutes)%s\n", style.Strong, style.End)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "denied\twould deny\trequests\trequests/s\t  route\t")
	for _, r := range st.Rates[:min(len(st.Rates), worstRoutes)] {
		name := r.Route
		if r.Site != "" {
			name = r.Site + "/" + r.Route
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%.1f\t  %s\t\n", r.Denied, r.WouldDeny, r.Requests, r.PerSecond, explain.Visible(name))
	}
	return w.Flush()
}

func writeSinks(out io.Writer, st *control.Status, style explain.Style) error {
	if len(st.Sinks) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\n%sEvent sinks%s\n", style.Strong, style.End)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "written\tdropped\tqueued\t  sink\t")
	for _, s := range st.Sinks {
		name := s.Name
		if s.Error != "" {
			name += ": " + explain.Visible(s.Error)
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t  %s\t\n", s.Written, s.Dropped, s.Queued, name)
	}
	return w.Flush()
}

// since is a span of time as people say it.
func since(from, to time.Time) string {
	d := to.Sub(from).Round(time.Second)
	if from.IsZero() || d < 0 {
		d = 0
	}
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return d.String()
}
