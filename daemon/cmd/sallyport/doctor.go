package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/config"
	"github.com/sallyport/sallyport/daemon/host"
	"github.com/sallyport/sallyport/daemon/host/nginxconf"
)

func doctorVerb() *cobra.Command {
	var n nginxFlags
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look over NGINX, the daemon and the machine for what is weak or broken",
		Long: `Doctor reads NGINX's configuration and tells which location is guarded and how,
what around the doors weakens them, which backends are reached without TLS,
which certificates end soon; and asks whether the daemon answers, NGINX may use
its socket, its log can be written, the disk has room and the clock is right.
It changes nothing.

Exit status: 0 when nothing is bad, 1 when something is.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			nginx, err := n.nginx()
			if err != nil {
				return err
			}
			d := &host.Doctor{NGINX: nginx, Now: time.Now()}
			if d.Build, err = nginx.Build(); err != nil {
				return err
			}
			if d.Config, err = nginxconf.Read(nginx.Conf); err != nil {
				return err
			}
			d.Examine()
			server := config.DefaultServer()
			if loaded, err := config.Load(path, config.Options{Offline: true}); err != nil {
				d.Found = append(d.Found, host.Diagnosis{Grade: host.Bad, What: "the configuration would be refused: " + err.Error(), Place: path, Do: "sallyport check"})
			} else {
				server = loaded.Server
				d.Log(loaded.Events.File)
				d.Rules(config.RuleFiles(loaded))
			}
			d.Machine(server.Door, host.User(d.Config), server.StateDir, "/var/log/audit/audit.log")
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(d.Found)
			} else {
				printDiagnoses(c.OutOrStdout(), d.Found)
			}
			if err == nil && d.Worst() == host.Bad {
				return errFailed
			}
			return err
		},
	}
	n.add(c)
	c.Flags().StringVar(&path, "config", defaultConfig, "the daemon's main configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return c
}

// printDiagnoses prints the worst first, coloured on a terminal.
func printDiagnoses(out io.Writer, found []host.Diagnosis) {
	color := map[host.Grade]string{}
	reset := ""
	if f, ok := out.(*os.File); ok && isatty.IsTerminal(f.Fd()) && os.Getenv("NO_COLOR") == "" {
		color = map[host.Grade]string{host.Bad: "\x1b[31m", host.Weak: "\x1b[33m", host.Good: "\x1b[32m"}
		reset = "\x1b[0m"
	}
	for _, grade := range []host.Grade{host.Bad, host.Weak, host.Good} {
		for _, f := range found {
			if f.Grade != grade {
				continue
			}
			fmt.Fprintf(out, "%s%-4s%s  %s\n", color[grade], grade, reset, f.What)
			if f.Place != "" && grade != host.Good {
				fmt.Fprintf(out, "      at %s\n", f.Place)
			}
			if f.Do != "" {
				fmt.Fprintf(out, "      do: %s\n", f.Do)
			}
		}
	}
}
