package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/canary"
	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/host"
	"github.com/sallyport/sallyport/daemon/host/nginxconf"
)

// nginxFlags are shared by the verbs that look at NGINX.
type nginxFlags struct {
	binary, conf, prefix, server string
}

func (n *nginxFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&n.binary, "nginx", "", "NGINX's binary (found on the path)")
	c.Flags().StringVar(&n.conf, "nginx-conf", "/etc/nginx/nginx.conf", "NGINX's main configuration file")
	c.Flags().StringVar(&n.prefix, "nginx-prefix", "", "NGINX's prefix, its -p")
	c.Flags().StringVar(&n.server, "server", "", "a server_name: that server alone")
}

func (n *nginxFlags) nginx() (host.NGINX, error) {
	binary := n.binary
	if binary == "" {
		for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
			if path, err := exec.LookPath(name); err == nil {
				binary = path
				break
			}
		}
	}
	if binary == "" {
		return host.NGINX{}, errors.New("no nginx is installed here, or --nginx must say where")
	}
	return host.NGINX{Binary: binary, Conf: n.conf, Prefix: n.prefix}, nil
}

func setupVerb() *cobra.Command {
	var n nginxFlags
	var mode, failure, backup string
	var yes, dry, remove, noProof bool
	var socket *string
	c := &cobra.Command{
		Use:   "setup [--server NAME] [--mode MODE] [--fail open|closed]",
		Short: "Fit the doors into an NGINX server, prove them, or take them out",
		Long: `Setup finds the server in NGINX's configuration, shows as a diff what it would
change, and asks. On consent it keeps a backup, changes the files, runs nginx -t,
reloads NGINX and proves by canaries that each guarded location is inspected.
If any of it fails, every file is given back as it was.

What it cannot convert it refuses, with the reason and the lines to write by
hand; then nothing is changed. --remove gives back the same bytes.

Exit status: 0 when it is done and proven, 1 when it was refused or undone.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			nginx, err := n.nginx()
			if err != nil {
				return err
			}
			if remove {
				return removeSetup(c, nginx, backup)
			}
			s := setting{c: c, nginx: nginx, backup: backup, socket: *socket, server: n.server, proof: !noProof}
			return s.run(mode, failure, yes, dry)
		},
	}
	n.add(c)
	socket = control.SocketFlag(c.Flags())
	c.Flags().StringVar(&mode, "mode", "auto", "auto, inline, relay, guard or metadata")
	c.Flags().StringVar(&failure, "fail", "open", "what happens while the daemon cannot be reached: open or closed")
	c.Flags().StringVar(&backup, "backup", "/var/lib/sallyport/setup", "where the backup is kept")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&dry, "dry-run", false, "show the change and stop")
	c.Flags().BoolVar(&remove, "remove", false, "take the doors out again")
	c.Flags().BoolVar(&noProof, "no-proof", false, "do not send canaries")
	return c
}

func removeSetup(c *cobra.Command, nginx host.NGINX, backup string) error {
	names, err := host.Remove(backup)
	if err != nil {
		return err
	}
	for _, name := range names {
		fmt.Fprintln(c.OutOrStdout(), "given back:", name)
	}
	if _, err := nginx.Test(); err != nil {
		return err
	}
	return nginx.Reload()
}

// setting is one run of setup.
type setting struct {
	c              *cobra.Command
	nginx          host.NGINX
	backup, socket string
	server         string
	proof          bool
}

func (s *setting) run(mode, failure string, yes, dry bool) error {
	if failure != "open" && failure != "closed" {
		return usageError{fmt.Errorf("--fail %s: expected open or closed", failure)}
	}
	build, err := s.nginx.Build()
	if err != nil {
		return err
	}
	for _, module := range []string{"http_auth_request_module"} {
		if !build.Has(module) {
			return fmt.Errorf("this NGINX was built without %s, which the doors need (Debian: install nginx-light or nginx-core)", module)
		}
	}
	conf, err := nginxconf.Read(s.nginx.Conf)
	if err != nil {
		return err
	}
	plan, err := host.MakePlan(conf, host.Choice{Server: s.server, Mode: mode, Failure: failure, Version: build.Version, DefaultLog: build.AccessLog})
	if err != nil {
		return err
	}
	after := plan.Apply(conf.Files)
	out := s.c.OutOrStdout()
	fmt.Fprint(out, host.Diff(conf.Files, after))
	for _, g := range plan.Guarded {
		fmt.Fprintf(out, "%s: location %s: %s, for %s\n", g.Place, g.Location, g.Mode, g.Why)
	}
	for _, left := range plan.Left {
		fmt.Fprintln(out, "left alone:", left)
	}
	if len(plan.Refused) > 0 {
		for _, r := range plan.Refused {
			fmt.Fprintln(s.c.ErrOrStderr(), "cannot be converted:", r)
		}
		fmt.Fprintln(s.c.ErrOrStderr(), "sallyport: nothing was changed")
		return errFailed
	}
	if dry || (!yes && !s.consent()) {
		return nil
	}
	return s.apply(conf.Files, after, plan)
}

func (s *setting) consent() bool {
	fmt.Fprint(s.c.OutOrStdout(), "Apply this? [y/N] ")
	answer, _ := bufio.NewReader(s.c.InOrStdin()).ReadString('\n')
	return strings.EqualFold(strings.TrimSpace(answer), "y")
}

func (s *setting) apply(before, after map[string]string, plan *host.Plan) error {
	if err := os.MkdirAll(filepath.Dir(s.backup), 0o750); err != nil {
		return fmt.Errorf("make the backup's folder: %w", err)
	}
	if err := host.Write(s.backup, before, after); err != nil {
		return err
	}
	undo := func(err error) error {
		if _, rerr := host.Remove(s.backup); rerr != nil {
			return errors.Join(err, rerr)
		}
		_ = s.nginx.Reload() // it may not have been running
		return fmt.Errorf("undone, every file is as it was: %w", err)
	}
	if _, err := s.nginx.Test(); err != nil {
		return undo(err)
	}
	if err := s.nginx.Reload(); err != nil {
		return undo(err)
	}
	if !s.proof {
		return nil
	}
	if err := s.await(plan); err != nil {
		return undo(fmt.Errorf("%w; --no-proof sets up without asking the daemon", err))
	}
	proofs, err := prove(s.c.Context(), s.nginx.Conf, s.server, s.socket, "")
	if err != nil {
		return undo(err)
	}
	proofs = guardedOnly(proofs, plan)
	printProofs(s.c.OutOrStdout(), proofs)
	if failed := countFailed(proofs); failed > 0 {
		return undo(fmt.Errorf("%d canaries were not inspected as the mode promises", failed))
	}
	return nil
}

// await waits for the new workers.
func (s *setting) await(plan *host.Plan) error {
	c, err := nginxconf.Read(s.nginx.Conf)
	if err != nil {
		return err
	}
	var targets []host.Target
	for _, t := range host.Targets(c, s.server) {
		for _, g := range plan.Guarded {
			if t.Location == g.Location && t.Mode == g.Mode {
				targets = append(targets, t)
			}
		}
	}
	return host.Await(s.c.Context(), targets, &daemonCanaries{ctx: s.c.Context(), socket: s.socket})
}

// guardedOnly are the proofs of what the plan guards.
func guardedOnly(proofs []host.Proof, plan *host.Plan) (out []host.Proof) {
	for _, p := range proofs {
		for _, g := range plan.Guarded {
			if p.Location == g.Location && p.Mode == g.Mode {
				out = append(out, p)
				break
			}
		}
	}
	return out
}

// daemonCanaries asks the daemon for canaries, some at a time.
type daemonCanaries struct {
	ctx    context.Context
	socket string
	stock  []string
}

func (d *daemonCanaries) Make() (string, error) {
	if len(d.stock) == 0 {
		var made canary.Made
		if err := control.Post(d.ctx, d.socket, "/canaries", nil, &made); err != nil {
			return "", err
		}
		if d.stock = made.Canaries; len(d.stock) == 0 {
			return "", errors.New("the daemon makes no more canaries for now: try again in five minutes")
		}
	}
	c := d.stock[0]
	d.stock = d.stock[1:]
	return c, nil
}

func (d *daemonCanaries) Seen(c string) ([]string, error) {
	var answer struct{ Seen []string }
	err := control.Get(d.ctx, d.socket, "/canaries?c="+c, &answer)
	return answer.Seen, err
}

func prove(ctx context.Context, conf, server, socket, path string) ([]host.Proof, error) {
	c, err := nginxconf.Read(conf)
	if err != nil {
		return nil, err
	}
	targets := host.Targets(c, server)
	if len(targets) == 0 {
		return nil, fmt.Errorf("%s: no location leads to a backend or is guarded", conf)
	}
	if path != "" {
		for i := range targets {
			targets[i].Path, targets[i].Skip = path, ""
		}
	}
	return host.Prove(ctx, targets, &daemonCanaries{ctx: ctx, socket: socket}, 1<<20)
}

func proveVerb() *cobra.Command {
	var n nginxFlags
	var path string
	var asJSON bool
	var socket *string
	c := &cobra.Command{
		Use:   "prove [--server NAME]",
		Short: "Send harmless canaries through NGINX and tell what is truly inspected",
		Long: `Prove finds every location in NGINX's configuration that leads to a backend and
sends canaries through its front door: texts that only this daemon can sign, in
a header, a query, bodies of every kind, and a second request on a connection.
Where the daemon sees one it denies the request, in every mode. A location that
lets the first one pass is sent no more, for they would reach its backend.

Exit status: 0 when every location inspects what its mode promises, 1 when not.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			proofs, err := prove(c.Context(), n.conf, n.server, *socket, path)
			if err != nil {
				return err
			}
			if asJSON {
				if err := json.NewEncoder(c.OutOrStdout()).Encode(proofs); err != nil {
					return err
				}
			} else {
				printProofs(c.OutOrStdout(), proofs)
			}
			failed := countFailed(proofs)
			report := map[string]int{"sent": len(proofs), "failed": failed}
			_ = control.Post(c.Context(), *socket, "/proved", report, nil) // only a metric
			if failed > 0 {
				return errFailed
			}
			return nil
		},
	}
	n.add(c)
	socket = control.SocketFlag(c.Flags())
	c.Flags().StringVar(&path, "path", "", "ask this path in every location, for patterns no path can be made for")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return c
}
