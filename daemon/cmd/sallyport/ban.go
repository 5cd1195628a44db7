package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/check/reputation"
	"github.com/sallyport/sallyport/daemon/control"
)

func banVerb() *cobra.Command {
	var asJSON bool
	var length, why string
	c := &cobra.Command{
		Use:   "ban ADDRESS-OR-NETWORK --for 1h --why TEXT",
		Short: "Refuse an address or a network for a time",
		Long: `Ban refuses every request of an address or a network, from its next request
on, until the time is over or it is unbanned. The ban survives a restart, and
an event says who set it. An IPv6 address is banned alone; write its /64 to ban
a subscriber.`,
		Example: "  sallyport ban 192.0.2.7 --for 1h --why 'credential stuffing'\n  sallyport ban 2001:db8:5::/64 --for 7d --why scanning",
		Args:    cobra.ExactArgs(1),
	}
	socket := control.SocketFlag(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().StringVar(&length, "for", "1h", "how long: 10m, 1h, 7d")
	c.Flags().StringVar(&why, "why", "", "the reason, for whoever reads it later")
	c.RunE = func(c *cobra.Command, args []string) error {
		if _, err := reputation.ParsePrefix(args[0]); err != nil {
			return usageError{err}
		}
		if why == "" {
			return usageError{errors.New("--why is missing: say for what reason, for whoever reads it later")}
		}
		d, err := parseLength(length)
		if err != nil {
			return usageError{err}
		}
		ctx, cancel := context.WithTimeout(c.Context(), askTimeout)
		defer cancel()
		var ban reputation.Ban
		if err := control.Post(ctx, *socket, "/ban", reputation.BanRequest{Address: args[0], Seconds: int64(d / time.Second), Why: why}, &ban); err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(c.OutOrStdout()).Encode(ban)
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s is banned until %s\n", ban.Prefix, ban.Until.Local().Format(time.DateTime))
		return err
	}
	return c
}

// parseLength reads a duration, days included.
func parseLength(s string) (time.Duration, error) {
	factor := time.Duration(1)
	text := s
	if strings.HasSuffix(s, "d") {
		text, factor = s[:len(s)-1]+"h", 24
	}
	d, err := time.ParseDuration(text)
	if err != nil || d*factor < time.Second || d > 10*365*24*time.Hour/factor {
		return 0, fmt.Errorf("--for %s: expected one second to ten years, such as 10m, 1h or 7d", s)
	}
	return d * factor, nil
}

func unbanVerb() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "unban ADDRESS-OR-NETWORK",
		Short: "Lift the bans of an address, or of all in a network, and forget their score",
		Args:  cobra.ExactArgs(1),
	}
	socket := control.SocketFlag(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array of the bans lifted")
	c.RunE = func(c *cobra.Command, args []string) error {
		if _, err := reputation.ParsePrefix(args[0]); err != nil {
			return usageError{err}
		}
		ctx, cancel := context.WithTimeout(c.Context(), askTimeout)
		defer cancel()
		var lifted []reputation.Ban
		if err := control.Post(ctx, *socket, "/unban", reputation.BanRequest{Address: args[0]}, &lifted); err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(c.OutOrStdout()).Encode(lifted)
		}
		if len(lifted) == 0 {
			_, err := fmt.Fprintf(c.OutOrStdout(), "%s was not banned; its score is forgotten\n", args[0])
			return err
		}
		for _, b := range lifted {
			fmt.Fprintf(c.OutOrStdout(), "%s is no longer banned; it was, until %s: %s\n", b.Prefix, b.Until.Local().Format(time.DateTime), b.Why)
		}
		return nil
	}
	return c
}
