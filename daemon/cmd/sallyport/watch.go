package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/capture/watch"
	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/event"
)

func watchVerb() *cobra.Command {
	var asJSON bool
	var interfaces, backends, gateways []string
	var length time.Duration
	var name string
	c := &cobra.Command{
		Use:   "watch --interface IF --backend ADDR:PORT --gateway ADDR",
		Short: "Report connections to backends that did not come through the gateway",
		Long: `Watch captures on the interfaces given and reports each TCP connection to a
backend whose source is no gateway: who, to what, when, how often, and the
request line where it is in the clear, without its query. A source is reported
when first seen and then at most once a minute. The running daemon gets each
report as an event of kind bypass when its control socket answers. With --for,
the exit status is 1 when anything was reported.`,
		Example: "  sallyport watch --interface eth0 --backend 10.0.0.5:8080 --gateway 10.0.0.2\n  sallyport watch --interface any --backend 0.0.0.0:8080,[::]:8080 --gateway 10.0.0.2,fd00::2 --for 1h --json",
		Args:    cobra.NoArgs,
	}
	socket := control.SocketFlag(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	c.Flags().StringSliceVar(&interfaces, "interface", nil, "interfaces to capture on, or any for all that are up")
	c.Flags().StringSliceVar(&backends, "backend", nil, "backends, as ADDR:PORT; 0.0.0.0 and [::] are every address of their family")
	c.Flags().StringSliceVar(&gateways, "gateway", nil, "addresses from which NGINX connects to the backends")
	c.Flags().DurationVar(&length, "for", 0, "end after this time; 0 is until stopped")
	c.Flags().StringVar(&name, "user", "sallyport", "run as this user, when started as root, once the interfaces are open")
	c.RunE = func(c *cobra.Command, _ []string) error {
		w, err := newWatch(interfaces, backends, gateways)
		if err != nil {
			return usageError{err}
		}
		capture, err := watch.Open(w, interfaces)
		if err != nil {
			return err
		}
		if err := becomeUser(name); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if length > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, length)
			defer cancel()
		}
		r := &bypassReporter{c: c, json: asJSON, socket: *socket}
		capture.Run(func(name string, err error) {
			fmt.Fprintf(c.ErrOrStderr(), "sallyport: interface %s: %v; trying again\n", name, err)
		})
		fmt.Fprintf(c.ErrOrStderr(), "watching %s for connections to %s from others than %s\n", strings.Join(interfaces, ", "), strings.Join(backends, ", "), strings.Join(gateways, ", "))
		for tick := time.NewTicker(250 * time.Millisecond); ; {
			select {
			case now := <-tick.C:
				r.report(w.Due(now, false))
				continue
			case <-ctx.Done():
			}
			break
		}
		r.report(w.Due(time.Now(), true))
		if n := w.Forgotten(); n > 0 {
			fmt.Fprintf(c.ErrOrStderr(), "sallyport: %d sources were forgotten: the table was full\n", n)
		}
		if length > 0 && r.reported {
			return errFailed
		}
		return nil
	}
	return c
}

func newWatch(interfaces, backends, gateways []string) (*watch.Watch, error) {
	if len(interfaces) == 0 || len(backends) == 0 || len(gateways) == 0 {
		return nil, errors.New("--interface, --backend and --gateway are all needed")
	}
	var to []netip.AddrPort
	for _, text := range backends {
		b, err := netip.ParseAddrPort(text)
		if err != nil || b.Port() == 0 {
			return nil, fmt.Errorf("--backend %s: an address and port such as 10.0.0.5:8080 or [fd00::5]:8080 was expected", text)
		}
		to = append(to, netip.AddrPortFrom(b.Addr().Unmap(), b.Port()))
	}
	var from []netip.Addr
	for _, text := range gateways {
		g, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("--gateway %s: an address such as 10.0.0.2 or fd00::2 was expected", text)
		}
		from = append(from, g.Unmap())
	}
	return watch.New(to, from)
}

// becomeUser gives up root for good; nobody else is changed.
func becomeUser(name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("--user %s: %w; name an unprivileged user", name, err)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil || uid == 0 {
		return fmt.Errorf("--user %s: an unprivileged user was expected", name)
	}
	for _, err := range []error{syscall.Setgroups([]int{gid}), syscall.Setresgid(gid, gid, gid), syscall.Setresuid(uid, uid, uid)} {
		if err != nil {
			return fmt.Errorf("become user %s: %w", name, err)
		}
	}
	return nil
}

// bypassReporter prints findings and sends them to the daemon.
type bypassReporter struct {
	c        *cobra.Command
	json     bool
	socket   string
	reported bool
	headed   bool
	quiet    time.Time // no daemon is asked before
	told     bool
}

func (r *bypassReporter) report(found []watch.Finding) {
	if len(found) == 0 {
		return
	}
	r.reported = true
	out := r.c.OutOrStdout()
	for _, f := range found {
		if r.json {
			_ = json.NewEncoder(out).Encode(f)
			continue
		}
		if !r.headed {
			r.headed = true
			fmt.Fprintf(out, "%-20s %-30s %-30s %6s  %s\n", "LAST SEEN", "SOURCE", "BACKEND", "TIMES", "REQUEST")
		}
		fmt.Fprintf(out, "%-20s %-30s %-30s %6d  %s\n", f.Last.Local().Format(time.DateTime), f.Source, f.Backend, f.Connections, f.Request)
	}
	now := time.Now()
	if now.Before(r.quiet) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := control.Post(ctx, r.socket, "/bypass", found, nil); err != nil {
		r.quiet = now.Add(10 * time.Second)
		if !r.told {
			r.told = true
			fmt.Fprintf(r.c.ErrOrStderr(), "sallyport: not recorded as events: %v\n", err)
		}
		return
	}
	r.told = false
}

// handleBypass takes what sallyport watch found as events and a metric.
func (s *server) handleBypass() {
	s.control.HandleFunc("POST /bypass", func(w http.ResponseWriter, r *http.Request) {
		var found []watch.Finding
		if err := control.Read(r, &found); err != nil {
			control.Refuse(w, http.StatusBadRequest, err)
			return
		}
		for _, f := range found {
			if !f.Source.IsValid() || !f.Backend.IsValid() {
				control.Refuse(w, http.StatusBadRequest, errors.New("a finding has no source or backend"))
				return
			}
		}
		for _, f := range found {
			e := &event.Event{Kind: event.KindBypass, Time: f.Last, Client: netip.AddrPortFrom(f.Source, 0), ServerAddr: f.Backend, Message: f.String()}
			e.Method, e.URI, _ = strings.Cut(f.Request, " ")
			e.URI, e.Protocol, _ = strings.Cut(e.URI, " ")
			s.records.Recorder.Record(e)
			s.metrics.Count("sallyport_bypass_connections_total", "backend", f.Backend.String(), int(min(f.New, 1<<31-1)))
		}
		control.Answer(w, map[string]int{"recorded": len(found)})
	})
}
