package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/capture"
	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/signature"
	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
	"github.com/sallyport/sallyport/daemon/keyed"
)

func replayVerb() *cobra.Command {
	var asJSON, midstream bool
	var files, vars []string
	c := &cobra.Command{
		Use:   "replay FILE.pcap --rules FILE...",
		Short: "Run signature rules on the HTTP requests of a packet capture",
		Long: `Reassembles the TCP connections of a pcap or pcapng file, finds the HTTP requests in
them and prints what the rules alert, in Snort's fast format or, with --json, an
object a line. Rules that name neither a direction nor a part of requests alone are
run on the answers too. A variable of the rules that nothing sets is any.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(files) == 0 {
				return usageError{fmt.Errorf("replay needs --rules FILE")}
			}
			v, err := ruleVars(vars)
			if err != nil {
				return err
			}
			s, err := signature.Compile(files, v, signature.Options{})
			if err != nil {
				return err
			}
			for _, r := range s.Reports {
				if r.State == signature.Refused {
					fmt.Fprintf(c.ErrOrStderr(), "%s:%d:%d: sid %d refused: %s\n", r.File, r.Line, r.Column, r.SID, r.Reason)
				}
			}
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			out := bufio.NewWriter(c.OutOrStdout())
			defer out.Flush()
			return replay(f, midstream, s, func(r *capture.Request, h *signature.Hit) error {
				if asJSON {
					return alertJSON(out, r, h)
				}
				return alertFast(out, r, h)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object an alert")
	c.Flags().BoolVar(&midstream, "midstream", false, "take in connections whose beginning the capture does not hold")
	c.Flags().StringArrayVar(&files, "rules", nil, "rule file, directory or pattern; may be given again; every other check is off")
	c.Flags().StringArrayVar(&vars, "var", nil, "a variable of the rules, NAME=VALUE (what is not set is any)")
	return c
}

// replay runs the rules on a capture's requests, and those that name neither
// direction on its answers too.
func replay(f *os.File, midstream bool, s *signature.Set, alert func(*capture.Request, *signature.Hit) error) error {
	store := keyed.New(1<<18, 1)
	var failed error
	run := func(r *capture.Request, e *keyword.Env, filter func(*keyword.Program) bool) {
		e.Now, e.Flow, e.Store, e.Size, e.Two = r.Time, r.Flow(), store, len(r.Raw), r.Two
		passed, dropped := false, false
		s.Match(&signature.Input{Request: r.Request, Env: e, Phase: check.Head | check.Body, Filter: filter}, func(h *signature.Hit) {
			switch h.Action {
			case "pass":
				passed = true
				return
			case "drop", "block", "sdrop", "reject", "rejectsrc", "rejectdst", "rejectboth":
				dropped = true
			}
			for n := times(r, h, passed, dropped); n > 0 && failed == nil; n-- {
				failed = alert(r, h)
			}
		})
	}
	err := capture.ReadBoth(f, midstream, func(r *capture.Request) {
		if s.Values {
			r.Parse()
			defer r.Parsed.Release()
		}
		run(r, &keyword.Env{Client: r.Client, Server: r.Server}, nil)
	}, func(r *capture.Request) {
		run(r, &keyword.Env{Client: r.Server, Server: r.Client}, (*keyword.Program).Either)
	})
	if failed != nil {
		return failed
	}
	return err
}

// times is how often a hit is alerted. A rule that names no part of a request
// matches packets: every one of the connection once it is known to be HTTP,
// until one is dropped or passed. Any other rule alerts once a request.
func times(r *capture.Request, h *signature.Hit, passed, dropped bool) int {
	switch {
	case len(h.Rule.Groups) > 0 && passed:
		return 0
	case len(h.Rule.Groups) > 0 || r.Two:
		return 1
	case r.Index > 0:
		return 0
	case dropped:
		return 1
	case passed:
		return r.Packets.First
	}
	n := r.Packets.ToServer
	if !h.Rule.Directed {
		n += r.Packets.ToClient
	}
	return max(n, 1)
}

func alertJSON(out *bufio.Writer, r *capture.Request, h *signature.Hit) error {
	return json.NewEncoder(out).Encode(struct {
		SID  uint32         `json:"sid"`
		GID  uint32         `json:"gid"`
		Rev  uint32         `json:"rev"`
		Msg  string         `json:"msg"`
		Src  netip.AddrPort `json:"src"`
		Dst  netip.AddrPort `json:"dst"`
		URI  string         `json:"uri"`
		Time string         `json:"time"`
	}{h.Rule.SID, h.Rule.GID, h.Rule.Rev, h.Rule.Msg, r.Client, r.Server, string(r.URI), r.Time.UTC().Format("2006-01-02T15:04:05.000000Z")})
}

// alertFast prints a line of Snort's alert_fast.
func alertFast(out *bufio.Writer, r *capture.Request, h *signature.Hit) error {
	_, err := fmt.Fprintf(out, "%s [**] [%d:%d:%d] %q [**] [Classification: %s] [Priority: %d] {TCP} %s -> %s\n",
		r.Time.UTC().Format("01/02/06-15:04:05.000000"), h.Rule.GID, h.Rule.SID, h.Rule.Rev, h.Rule.Msg, h.Rule.Class, h.Rule.Priority, r.Client, r.Server)
	return err
}
