package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/event/explain"
)

const modeHelp = `Mode is for breaking glass. It lowers the mode of all routes, or of one, for a
time, at once and without a reload; the configuration rules again by itself when
the time is over. With detect everything is still judged and recorded, and nothing
is denied. Each change and its end are recorded as audit events.

Without an argument it shows the change in force; with enforce it ends it early.

Exit status: 0 when it was done, 1 when the daemon refused or does not run, 2 for
a wrong command line.`

func modeVerb() *cobra.Command {
	var req control.ModeRequest
	var span time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use:   "mode [detect|off|enforce]",
		Short: "Break glass: lower the mode for a time",
		Long:  modeHelp,
		Example: `  sallyport mode detect --for 30m --why "false alarms on checkout since the release"
  sallyport mode detect --for 2h --route checkout --why "ticket 4711"
  sallyport mode enforce --why "fixed"`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && args[0] != "detect" && args[0] != "off" && args[0] != "enforce" {
				return usageError{fmt.Errorf("mode takes detect, off or enforce; got %q", args)}
			}
			return nil
		},
		ValidArgs: []string{"detect", "off", "enforce"},
	}
	socket := control.SocketFlag(c.Flags())
	c.Flags().DurationVar(&span, "for", 0, "how long, up to 24h: 30m, 2h")
	c.Flags().StringVar(&req.Route, "route", "", "this route alone (default: all)")
	c.Flags().StringVar(&req.Why, "why", "", "the reason, for the record")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		var state control.ModeState
		var err error
		if len(args) == 0 {
			err = control.Get(c.Context(), *socket, "/mode", &state)
		} else {
			req.Mode, req.ForSeconds = args[0], span.Seconds()
			if req.Mode != "enforce" && span <= 0 {
				return usageError{errors.New("--for is needed: how long, such as 30m")}
			}
			if req.Mode != "enforce" && req.Why == "" {
				return usageError{errors.New("--why is needed: the reason goes on record")}
			}
			err = control.Post(c.Context(), *socket, "/mode", req, &state)
		}
		if err != nil {
			return err
		}
		if asJSON {
			e := json.NewEncoder(c.OutOrStdout())
			e.SetEscapeHTML(false)
			return e.Encode(state)
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), modeState(state))
		return err
	}
	return c
}

func modeState(s control.ModeState) string {
	if s.Change == nil {
		return "The configuration rules: no change is in force."
	}
	on := "all routes"
	if s.Change.Route != "" {
		on = "route " + s.Change.Route
	}
	return fmt.Sprintf("Mode %s on %s until %s, set by %s: %s", s.Change.Mode, on, s.Change.Until.Local().Format("2006-01-02 15:04:05"), s.Change.By, explain.Visible(s.Change.Why))
}
