package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/capture"
	"github.com/sallyport/sallyport/daemon/check/inventory"
	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/endpoint"
	"github.com/sallyport/sallyport/daemon/endpoint/learn"
)

const learnHelp = `Learn watches calls and writes an OpenAPI 3.1 document of them to standard
output: paths with their variable segments named, parameters and bodies with types,
bounds, enums and what is required, and x-sallyport members with counts and times.

Sources are files, plain or gzip, of any mix: access logs (combined, or the
format sallyport), HTTP archives (HAR), packet captures (pcap, pcapng), lines
as sallyport inspect takes them; - is standard input. With --live the running
daemon learns for a while instead; Ctrl-C ends earlier.

A new thing counts when --min-clients distinct clients, and --min-share of the
clients of what contains it, sent it; what narrows holds unless so many go beyond
it. So a minority of sources changes nothing. An archive counts as one client, and
so do inspect lines without a client: use --min-clients 1 for a few of them.
Calls answered 400 or more teach nothing. No value that a client sent is
written but names and enums, unless --examples is given.

What was left out for too few clients is told on standard error.`

type learnFlags struct {
	format     string
	output     string
	asJSON     bool
	minClients int
	minShare   float64
	host       string
	title      string
	examples   bool
	strict     bool
	live       bool
	time       time.Duration
	socket     *string
}

func learnVerb() *cobra.Command {
	var f learnFlags
	c := &cobra.Command{
		Use:   "learn [flags] FILE... | learn --live [--for 10m]",
		Short: "Write an OpenAPI 3.1 document of what is called",
		Long:  learnHelp,
		RunE: func(c *cobra.Command, args []string) error {
			r, err := f.learn(c, args)
			if err != nil {
				return err
			}
			return f.write(c, r)
		},
	}
	f.add(c)
	c.Flags().StringVarP(&f.output, "output", "o", "", "write the document to this file, replaced as a whole")
	c.Flags().BoolVar(&f.asJSON, "json", false, "write JSON, not YAML")
	c.Flags().StringVar(&f.title, "title", "", "the document's title")
	c.Flags().BoolVar(&f.examples, "examples", false, "keep and write one value of each parameter and member, as x-sallyport-example")
	c.Flags().BoolVar(&f.strict, "strict", false, "write additionalProperties: false for every object")
	c.AddCommand(learnDiffVerb())
	return c
}

func (f *learnFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.format, "format", "auto", "format of the files: auto, access-log, har, jsonl or pcap")
	c.Flags().IntVar(&f.minClients, "min-clients", 3, "distinct clients that make a thing count")
	c.Flags().Float64Var(&f.minShare, "min-share", 0.1, "share of the clients that makes a thing count, 0 to 1")
	c.Flags().StringVar(&f.host, "host", "", "learn from calls to this host alone")
	c.Flags().BoolVar(&f.live, "live", false, "let the running daemon learn from its traffic")
	c.Flags().DurationVar(&f.time, "for", 10*time.Minute, "how long to learn with --live")
	f.socket = control.SocketFlag(c.Flags())
}

func (f *learnFlags) learn(c *cobra.Command, args []string) (*learn.Result, error) {
	switch {
	case f.minShare < 0 || f.minShare > 1:
		return nil, usageError{fmt.Errorf("--min-share is %v, expected 0 to 1", f.minShare)}
	case f.minClients < 1:
		return nil, usageError{fmt.Errorf("--min-clients is %d, expected at least 1", f.minClients)}
	case f.live && len(args) > 0:
		return nil, usageError{errors.New("--live takes no files")}
	case !f.live && len(args) == 0:
		return nil, usageError{errors.New("no file to learn from; - is standard input, --live the running daemon")}
	}
	share := f.minShare
	if share == 0 {
		share = -1 // none; 0 is the learner's default
	}
	if f.live {
		return f.fromDaemon(c, share)
	}
	l := learn.New(learn.Options{MinClients: f.minClients, MinShare: share, Host: f.host, Title: f.title, Examples: f.examples, Strict: f.strict, Seed: rand.Uint64()})
	for i, name := range args {
		if err := f.read(c, l, name, i); err != nil {
			return nil, err
		}
	}
	return l.Result()
}

// read learns from one file.
func (f *learnFlags) read(c *cobra.Command, l *learn.Learner, name string, number int) error {
	in := c.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("open a source to learn from: %w", err)
		}
		defer file.Close()
		in = file
	}
	b := bufio.NewReaderSize(in, 64<<10)
	if magic, _ := b.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(b)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		b = bufio.NewReaderSize(z, 64<<10)
	}
	format := learn.Format(f.format)
	if format == "auto" {
		head, err := b.Peek(512)
		if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("read %s: %w", name, err)
		}
		format = learn.Detect(head)
	}
	var n learn.Lines
	var err error
	switch format {
	case learn.AccessLog:
		n, err = learn.ReadAccessLog(b, l.Add)
	case learn.HAR:
		client := netip.AddrFrom4([4]byte{192, 0, 2, byte(number)}) // documentation addresses: nobody's
		n, err = learn.ReadHAR(b, client, l.Add)
	case learn.JSONLines:
		n, err = learn.ReadJSONLines(b, l.Add)
	case learn.PCAP:
		n, err = readCapture(b, l)
	default:
		return usageError{fmt.Errorf("--format is %q, expected auto, access-log, har, jsonl or pcap", f.format)}
	}
	if err != nil {
		return fmt.Errorf("learn from %s: %w", name, err)
	}
	if n.Skipped > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "%s: %d of %d skipped, first %s\n", name, n.Skipped, n.Skipped+n.Read, n.Why)
	}
	return nil
}

func readCapture(in io.Reader, l *learn.Learner) (n learn.Lines, err error) {
	err = capture.Read(in, true, func(q *capture.Request) {
		q.Parse()
		r := q.Parsed
		r.Client, r.Received = q.Client, q.Time
		r.Host = q.Host
		if len(r.Host) == 0 {
			host := r.Header("host")
			for i, b := range host {
				if b == ':' {
					host = host[:i]
					break
				}
			}
			r.Host = host
		}
		l.Add(learn.Call{Request: r})
		n.Read++
		r.Release()
		q.Parsed = nil
	})
	return n, err
}

// fromDaemon lets the daemon learn until the time is over or Ctrl-C.
func (f *learnFlags) fromDaemon(c *cobra.Command, share float64) (*learn.Result, error) {
	seconds := int(f.time.Round(time.Second) / time.Second)
	if seconds < 1 || seconds > inventory.MaxLearnSeconds {
		return nil, usageError{fmt.Errorf("--for is %s, expected 1s to %s", f.time, inventory.MaxLearnSeconds*time.Second)}
	}
	ask := inventory.Learn{Seconds: seconds, MinClients: f.minClients, MinShare: share, Host: f.host, Examples: f.examples, Strict: f.strict, Title: f.title}
	if err := control.Post(c.Context(), *f.socket, "/learn", &ask, nil); err != nil {
		return nil, err
	}
	fmt.Fprintf(c.ErrOrStderr(), "learning for %s; Ctrl-C ends earlier\n", f.time)
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
	defer stop()
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(seconds) * time.Second):
	}
	var r learn.Result
	if err := control.Get(context.WithoutCancel(c.Context()), *f.socket, "/learn", &r); err != nil {
		return nil, err
	}
	return &r, control.Post(context.WithoutCancel(c.Context()), *f.socket, "/learn/stop", nil, nil)
}

func (f *learnFlags) write(c *cobra.Command, r *learn.Result) error {
	text, err := r.YAML()
	if f.asJSON {
		text, err = r.JSON()
	}
	if err != nil {
		return err
	}
	tell(c.ErrOrStderr(), r)
	if f.output == "" {
		_, err = c.OutOrStdout().Write(text)
		return err
	}
	if err := renameio.WriteFile(f.output, text, 0o644); err != nil {
		return fmt.Errorf("write the learned document to %s: %w", f.output, err)
	}
	return nil
}

// tell says what was learned, and what not.
func tell(out io.Writer, r *learn.Result) {
	s := &r.Summary
	fmt.Fprintf(out, "%d operations from %d calls of %d clients; %d calls refused by the backend taught nothing\n", s.Learned, s.Calls-s.Refused, s.Clients, s.Refused)
	if s.LeftOut > 0 {
		fmt.Fprintf(out, "%d operations left out, too few clients (--min-clients, --min-share):\n", s.LeftOut)
		for i, line := range r.LeftOut {
			if i == 20 {
				fmt.Fprintf(out, "  and %d more\n", s.LeftOut-i)
				break
			}
			fmt.Fprintf(out, "  %s\n", line)
		}
	}
	if s.Evicted+s.Dropped > 0 {
		fmt.Fprintf(out, "for want of room %d operations and %d parameters and members of few clients were not kept\n", s.Evicted, s.Dropped)
	}
}

func learnDiffVerb() *cobra.Command {
	var f learnFlags
	c := &cobra.Command{
		Use:   "diff [flags] DOCUMENT [FILE...]",
		Short: "Compare an OpenAPI document with what is called",
		Long: `Diff compares a document with what is called, in files as learn takes them, with
--live in the daemon's traffic from now on, or, without either, in the running
daemon's inventory (operations alone, no parameters).

  shadow  called, but not documented
  zombie  documented as deprecated, yet called
  drift   a parameter or body member sent but not documented, or documented as
          required but not (always) sent
  orphan  documented, but never called

Exit status: 0 when nothing differs, 1 when something does, 2 for a wrong command line.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("learn diff takes a document, and files to compare it with")}
			}
			return nil
		},
	}
	f.add(c)
	c.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON object per difference")
	c.RunE = func(c *cobra.Command, args []string) error {
		documented, err := endpoint.ReadOperations(args[0], args[0], func(m string) { fmt.Fprintln(c.ErrOrStderr(), "warning:", m) })
		if err != nil {
			return err
		}
		seen, rare, err := f.seen(c, args[1:])
		if err != nil {
			return err
		}
		return f.printDifferences(c.OutOrStdout(), learn.Diff(documented, seen, func(op *endpoint.Operation) bool {
			for i := range rare {
				if documented.Find(rare[i].Method, []byte(rare[i].Path)) == op {
					return true
				}
			}
			return false
		}))
	}
	return c
}

// seen are the operations that are called, and those that few clients call.
func (f *learnFlags) seen(c *cobra.Command, files []string) (seen, rare []learn.Operation, err error) {
	if f.live || len(files) > 0 {
		r, err := f.learn(c, files)
		if err != nil {
			return nil, nil, err
		}
		return r.Operations, r.Rare, nil
	}
	var l inventory.Listing
	if err := control.Get(c.Context(), *f.socket, "/endpoints?all=1", &l); err != nil {
		return nil, nil, err
	}
	for i := range l.Endpoints {
		e := &l.Endpoints[i]
		op := learn.Operation{Method: e.Method, Path: e.Path, Calls: max(e.Requests, e.Ended), Clients: e.Clients, ParamsUnknown: true}
		switch {
		case e.Absent || e.Method == "OPTIONS":
		case e.Established:
			seen = append(seen, op)
		default:
			rare = append(rare, op)
		}
	}
	return seen, rare, nil
}

func (f *learnFlags) printDifferences(out io.Writer, found []learn.Difference) error {
	for i := range found {
		d := &found[i]
		if f.asJSON {
			if err := json.NewEncoder(out).Encode(d); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(out, "%-7s %-7s %s", d.Kind, d.Method, d.Path)
		if d.Detail != "" {
			fmt.Fprintf(out, ": %s", d.Detail)
		}
		if d.Clients > 0 {
			fmt.Fprintf(out, " (%d calls, %d clients)", d.Calls, d.Clients)
		}
		fmt.Fprintln(out)
	}
	if len(found) > 0 {
		return errFailed
	}
	return nil
}
