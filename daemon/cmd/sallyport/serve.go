package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/daemon/canary"
	"github.com/sallyport/sallyport/daemon/check/reputation"
	"github.com/sallyport/sallyport/daemon/config"
	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/door"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/safefile"
)

func serveVerb() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "serve [--config FILE]",
		Short: "Run the daemon that NGINX asks",
		Long: `Serve answers NGINX on the door's socket until it is told to stop.

Signals: HUP loads the configuration again, whole or not at all; USR1 reopens
the log files; TERM and INT let requests under way finish and stop.

Exit status: 0 after a clean stop, 1 when it could not start.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
			s, err := start(path, log)
			if err != nil {
				return err
			}
			return s.run()
		},
	}
	c.Flags().StringVar(&path, "config", defaultConfig, "the main configuration file")
	return c
}

// server is the running daemon: what was wired together, and the signals.
type server struct {
	path      string
	log       *slog.Logger
	loaded    *config.Loaded
	inspector *inspect.Inspector
	door      *door.Server
	health    *control.Health
	metrics   *control.Metrics
	meter     *meter
	control   *control.Server
	records   records
	outcomes  *outcomes
	sources   *reputation.Book
	canaries  *canary.Book
	applied   atomic.Int64 // unix nanoseconds
	garbage   atomic.Int64 // reloads since the last collection began
	change    atomic.Pointer[control.ModeChange]
	started   time.Time
	refused   atomic.Pointer[string]
	parts     atomic.Pointer[config.Loaded]
	failed    chan error
}

// start loads the configuration and opens every socket, or says what is wrong.
func start(path string, log *slog.Logger) (*server, error) {
	loaded, err := config.Load(path, config.Options{})
	if err != nil {
		return nil, fmt.Errorf("load the configuration:\n%w", err)
	}
	s := &server{path: path, log: log, loaded: loaded, failed: make(chan error, 4), started: time.Now(),
		health: control.NewHealth(), metrics: control.NewMetrics(), canaries: canary.New()}
	s.parts.Store(loaded)
	s.applied.Store(s.started.UnixNano())
	for _, w := range loaded.Warnings {
		log.Warn(w)
	}
	settings := loaded.Server
	sockets, err := inherited()
	if err != nil {
		return nil, err
	}
	if err := s.openRecords(); err != nil {
		return nil, err
	}
	if err := s.openOutcomes(sockets); err != nil {
		return nil, err
	}
	state := keyed.New(settings.MaxKeys, seed())
	if s.sources, err = reputation.New(loaded.Reputation, reputation.Options{
		State: state, StateFile: filepath.Join(settings.StateDir, "reputation"), Dir: loaded.Dir(), Event: s.records.note(event.KindState, "reputation"),
	}); err != nil {
		return nil, fmt.Errorf("open the book of sources: %w", err)
	}
	s.sources.Start()
	s.shareLimits(loaded)
	s.meter = &meter{m: s.metrics}
	s.meter.apply(loaded.Policy)
	s.inspector = inspect.New(loaded.Policy, inspect.Options{
		State: state, Sources: s.sources, Canaries: s.canaries, Recorder: s.outcomes, Meter: s.meter,
		HeadBudget: time.Duration(settings.EnterTimeoutMS) * time.Millisecond * 6 / 10,
		BodyBudget: time.Duration(settings.LeaveTimeoutMS) * time.Millisecond * 6 / 10,
		GuardBan:   time.Duration(settings.GuardBanSeconds) * time.Second,
	})
	signer, err := s.signer()
	if err != nil {
		return nil, err
	}
	s.door = door.NewServer(s.inspector, door.Settings{
		Pass:           signer,
		EnterTimeout:   time.Duration(settings.EnterTimeoutMS) * time.Millisecond,
		LeaveTimeout:   time.Duration(settings.LeaveTimeoutMS) * time.Millisecond,
		MaxHeld:        settings.MaxHeld,
		MaxConnections: settings.MaxConnections,
		MaxBodyMemory:  settings.MaxBodyMemoryBytes,
		MaxHeadBytes:   settings.MaxHeadBytes,
	})
	s.takeOver()
	s.beginOutcomes()
	if err := s.openDoor(sockets); err != nil {
		return nil, err
	}
	if err := s.openControl(sockets); err != nil {
		return nil, err
	}
	return s, nil
}

// inherited are the sockets that systemd hands over, by what they are for. One
// socket unit may hold several, so their addresses tell: door.sock, control.sock
// and access.sock by name, anything on TCP is for the metrics.
func inherited() (map[string][]*os.File, error) {
	byName := map[string][]*os.File{}
	for _, f := range activation.Files(true) {
		address, err := unix.Getsockname(int(f.Fd()))
		if err != nil {
			return nil, fmt.Errorf("take a socket from systemd (%s): %w", f.Name(), err)
		}
		name := "metrics"
		if u, ok := address.(*unix.SockaddrUnix); ok {
			name = strings.TrimSuffix(filepath.Base(u.Name), ".sock")
		}
		switch name {
		case "door", "control", "access", "metrics":
			byName[name] = append(byName[name], f)
		default:
			return nil, fmt.Errorf("systemd handed over a socket that is none of door.sock, control.sock, access.sock and a TCP listener: %s", name)
		}
	}
	return byName, nil
}

func (s *server) openDoor(sockets map[string][]*os.File) error {
	var listeners []net.Listener
	for _, f := range sockets["door"] {
		l, err := net.FileListener(f)
		if err != nil {
			return fmt.Errorf("take the door's socket from systemd: %w", err)
		}
		f.Close()
		listeners = append(listeners, l)
	}
	if len(listeners) == 0 {
		mode, err := strconv.ParseUint(s.loaded.Server.DoorMode, 8, 32)
		if err != nil {
			return fmt.Errorf("door_mode: %w", err)
		}
		l, err := door.Listen(s.loaded.Server.Door, fs.FileMode(mode), s.loaded.Server.DoorGroup)
		if err != nil {
			return err
		}
		listeners = append(listeners, l)
	}
	for _, l := range listeners {
		if u, ok := l.(*net.UnixListener); ok {
			// The socket stays: systemd's is not ours to remove, and NGINX's
			// requests wait in its queue while the next daemon starts.
			u.SetUnlinkOnClose(false)
		}
		go func() {
			if err := s.door.Serve(l); err != nil {
				s.failed <- err
			}
		}()
	}
	return nil
}

// heldFile is where verdicts wait between two daemons.
func (s *server) heldFile() string {
	return filepath.Join(s.loaded.Server.StateDir, "held")
}

func (s *server) takeOver() {
	data, err := safefile.Read(s.heldFile())
	if err == nil {
		err = s.door.TakeOver(data, time.Now())
		_ = os.Remove(s.heldFile())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("verdicts of the last daemon are lost", "error", err)
	}
}

func (s *server) handOver() {
	data, err := s.door.Handover()
	if err == nil && string(data) != "null" {
		err = safefile.Write(s.heldFile(), data)
	}
	if err != nil {
		s.log.Warn("verdicts cannot be handed to the next daemon", "error", err)
	}
}

// run serves until a signal ends it.
func (s *server) run() error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTERM, syscall.SIGINT)
	s.health.Ready()
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady) // without systemd there is nobody to tell
	s.log.Info("ready", "version", version, "door", s.loaded.Server.Door, "policy", s.loaded.Policy.ID, "holds", s.loaded.Summary())
	watchdog, stop := s.watchdog()
	defer stop()
	for {
		select {
		case err := <-s.failed:
			return err
		case <-watchdog:
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		case sig := <-signals:
			switch sig {
			case syscall.SIGHUP:
				s.reload()
			case syscall.SIGUSR1:
				s.records.Recorder.Reopen()
			default:
				return s.stop(sig)
			}
		}
	}
}

// watchdog ticks at half of the time after which systemd would restart us.
func (s *server) watchdog() (<-chan time.Time, func()) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return nil, func() {}
	}
	t := time.NewTicker(every / 2)
	return t.C, t.Stop
}

// reload builds the new policy whole and puts it in force in one step, or
// keeps the old one and says why.
func (s *server) reload() {
	_, _ = daemon.SdNotify(false, "RELOADING=1\nMONOTONIC_USEC="+strconv.FormatInt(monotonic(), 10))
	defer daemon.SdNotify(false, daemon.SdNotifyReady) //nolint:errcheck // nobody to tell
	next, err := config.Load(s.path, config.Options{Old: s.loaded})
	if err != nil {
		s.metrics.Reloaded(false)
		text := err.Error()
		s.refused.Store(&text)
		s.log.Error("the configuration is refused; the running policy stays", "policy", s.loaded.Policy.ID, "problems", strings.Count(text, "\n")+1)
		for _, line := range strings.Split(text, "\n") { // a line each, to be read and copied as it is
			s.log.Error(line)
		}
		s.records.reload("refused", text, s.loaded.Policy.ID)
		return
	}
	for _, w := range next.Warnings {
		s.log.Warn(w)
	}
	changes := next.Changes(s.loaded)
	if next.Server.Door != s.loaded.Server.Door || next.Server.MaxHeld != s.loaded.Server.MaxHeld || next.Server.MaxKeys != s.loaded.Server.MaxKeys {
		s.log.Warn("changed settings of [server] are taken at the next restart")
	}
	if !reflect.DeepEqual(next.Events, s.loaded.Events) {
		s.log.Warn("changed settings of [events] are taken at the next restart; every_request is taken now")
	}
	if err := s.sources.Apply(next.Reputation); err != nil {
		s.log.Warn("the lists of sources changed since they were checked; the old ones stay", "error", err)
	}
	s.shareLimits(next)
	s.meter.apply(next.Policy)
	s.inspector.Apply(next.Policy)
	s.loaded = next
	s.applied.Store(time.Now().UnixNano())
	s.parts.Store(next)
	s.refused.Store(nil)
	s.metrics.Reloaded(true)
	s.log.Info("policy applied", "policy", next.Policy.ID, "what", changes)
	s.records.reload("applied", changes, next.Policy.ID)
	// The old policy is garbage as soon as its last walk has ended; a large one
	// would otherwise stay resident until the next collection, beside the new.
	s.collect()
}

// collect gives memory back beside everything else. Reloads that come faster
// than collections end share the next one.
func (s *server) collect() {
	if s.garbage.Add(1) > 1 {
		return
	}
	go func() {
		for {
			asked := s.garbage.Load()
			debug.FreeOSMemory()
			if s.garbage.CompareAndSwap(asked, 0) {
				return
			}
		}
	}()
}

// monotonic is the clock that systemd orders reloads by, in microseconds.
func monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return ts.Nano() / 1000
}

// seed makes the hashes of keys unknown to whoever sends requests.
func seed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return binary.LittleEndian.Uint64(b[:])
}

// stop lets what is under way finish, hands its verdicts over, and closes all.
func (s *server) stop(sig os.Signal) error {
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	s.health.NotReady("stopping")
	s.log.Info("stopping", "signal", sig.String())
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := s.door.Shutdown(ctx)
	s.handOver()
	if s.control != nil {
		_ = s.control.Close(ctx)
	}
	if err := s.sources.Close(); err != nil {
		s.log.Warn("reputation and bans could not be saved", "error", err)
	}
	s.saveChecks()
	s.closeOutcomes()
	s.closeRecords(ctx)
	return err
}
