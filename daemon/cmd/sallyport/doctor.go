package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
			d := &host.Doctor{Now: time.Now(), Proc: "/proc"}
			nginxUser := examineNGINX(d, &n)
			server := config.DefaultServer()
			if err := readable(path); errors.Is(err, fs.ErrPermission) {
				d.Found = append(d.Found, host.Diagnosis{Grade: host.Weak, What: "the daemon's configuration is not yours to read", Place: path, Do: "run doctor as root"})
			} else if err != nil {
				d.Found = append(d.Found, host.Diagnosis{Grade: host.Bad, What: "the daemon's configuration cannot be found: " + err.Error(), Place: path, Do: "install the package again, or name the file with --config"})
			} else if loaded, err := config.Load(path, config.Options{Offline: true}); err != nil {
				d.Found = append(d.Found, host.Diagnosis{Grade: host.Bad, What: "the configuration would be refused: " + err.Error(), Place: path, Do: "sallyport check"})
			} else {
				server = loaded.Server
				d.Log(loaded.Events.File)
				d.Rules(config.RuleFiles(loaded))
			}
			d.Machine(server.Door, nginxUser, server.StateDir, "/var/log/audit/audit.log")
			var err error
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

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// examineNGINX looks over NGINX as far as there is one and it can be read, and
// returns its user. The daemon and the machine are looked over in any case.
func examineNGINX(d *host.Doctor, n *nginxFlags) (user string) {
	bad := func(place, what, do string) {
		d.Found = append(d.Found, host.Diagnosis{Grade: host.Bad, What: what, Place: place, Do: do})
	}
	nginx, err := n.nginx()
	if err != nil {
		bad("", "there is no nginx on the path", "install nginx-light or nginx-core (RHEL: nginx), or name its binary with --nginx")
		return ""
	}
	d.NGINX = nginx
	if d.Build, err = nginx.Build(); err != nil {
		bad(nginx.Binary, err.Error(), "name NGINX's binary with --nginx")
		return ""
	}
	switch d.Config, err = nginxconf.Read(nginx.Conf); {
	case errors.Is(err, fs.ErrPermission):
		bad(nginx.Conf, "NGINX's configuration is not yours to read: "+err.Error(), "run doctor as root")
		return ""
	case errors.Is(err, fs.ErrNotExist):
		bad(nginx.Conf, "NGINX's configuration is not whole: "+err.Error(), "make the file, or name the main one with --nginx-conf")
		return ""
	case err != nil:
		bad(nginx.Conf, "NGINX's configuration is broken: "+err.Error(), "mend that line, then nginx -t")
		return ""
	}
	if os.Geteuid() == 0 { // others may not open its log
		if _, err := nginx.Test(); err != nil {
			bad(nginx.Conf, err.Error(), "mend it: a reload is refused, and NGINX does not start again")
		}
	}
	d.Examine()
	return host.User(d.Config)
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
