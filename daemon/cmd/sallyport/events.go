package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/event/explain"
	"github.com/sallyport/sallyport/daemon/event/store"
)

const (
	defaultEventStore = "/var/lib/sallyport/events.db"
	storeEnv          = "SALLYPORT_STORE"
)

// eventQuery finds events: it asks the running daemon, and reads the store's
// file when none runs.
type eventQuery struct {
	socket, store string
}

// flags adds --control and --store.
func (q *eventQuery) flags(c *cobra.Command) {
	def := os.Getenv(storeEnv)
	if def == "" {
		def = defaultEventStore
	}
	socket := os.Getenv(control.SocketEnv)
	if socket == "" {
		socket = control.DefaultSocket
	}
	c.Flags().StringVar(&q.socket, "control", socket, "the daemon's control socket (environment: "+control.SocketEnv+")")
	c.Flags().StringVar(&q.store, "store", def, "the store's file, read when no daemon answers (environment: "+storeEnv+")")
}

func (q *eventQuery) search(ctx context.Context, f store.Filter) ([]*store.Record, error) {
	body, err := control.Stream(ctx, q.socket, "/events?"+f.Query().Encode())
	if errors.Is(err, control.ErrNotRunning) {
		return q.searchFile(ctx, f, err)
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var out []*store.Record
	err = eachRecord(body, func(r *store.Record) error { out = append(out, r); return nil })
	return out, err
}

func (q *eventQuery) searchFile(ctx context.Context, f store.Filter, down error) ([]*store.Record, error) {
	r, err := store.OpenReader(q.store)
	if err != nil {
		return nil, fmt.Errorf("%w; and %w", down, err)
	}
	defer r.Close()
	found, err := r.Search(ctx, f)
	out := make([]*store.Record, len(found))
	for i := range found {
		out[i] = &found[i]
	}
	return out, err
}

func (q *eventQuery) get(ctx context.Context, id string) (*store.Record, error) {
	var answer control.EventRecord
	err := control.Get(ctx, q.socket, "/events/"+url.PathEscape(id), &answer)
	if errors.Is(err, control.ErrNotRunning) {
		r, openErr := store.OpenReader(q.store)
		if openErr != nil {
			return nil, fmt.Errorf("%w; and %w", err, openErr)
		}
		defer r.Close()
		return r.Get(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	return answer.Parse()
}

// maxRecord bounds one line of the control socket's answer.
const maxRecord = 16 << 20

func eachRecord(in io.Reader, f func(*store.Record) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxRecord)
	for lines.Scan() {
		var answer control.EventRecord
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			return fmt.Errorf("read the daemon's answer: %w", err)
		}
		rec, err := answer.Parse()
		if err != nil {
			return err
		}
		if err := f(rec); err != nil {
			return err
		}
	}
	return lines.Err()
}

func parseFilter(query string) (store.Filter, error) {
	v, err := url.ParseQuery(query)
	if err != nil {
		return store.Filter{}, err
	}
	return store.ParseFilter(v)
}

// filterFlags are the filters as flags; each is given on as it was typed.
type filterFlags struct {
	values map[string]*string
	since  string
	until  string
}

func (f *filterFlags) flags(c *cobra.Command) {
	f.values = map[string]*string{}
	for _, one := range [][2]string{
		{"client", "from this address or network"},
		{"route", "on this route"},
		{"check", "with a finding of this check"},
		{"rule", "with a finding of this id"},
		{"verdict", "allow, deny or would-deny"},
		{"status", "the status the client got: 403, or 4xx"},
		{"kind", "request, outcome, late, bound, panic, fail-open, reload, audit, state, bypass"},
		{"text", "all these words stand in its id, host, target, reason, findings or user agent; word* for a beginning"},
	} {
		f.values[one[0]] = c.Flags().String(one[0], "", one[1])
	}
	c.Flags().StringVar(&f.since, "since", "", "not before: 30m, 2d, 15:04 (today, local), 2026-01-02, or RFC 3339")
	c.Flags().StringVar(&f.until, "until", "", "not after, as --since")
}

func (f *filterFlags) filter(limit int, now time.Time) (store.Filter, error) {
	q := url.Values{}
	for name, v := range f.values {
		if *v != "" {
			q.Set(name, *v)
		}
	}
	q.Set("limit", strconv.Itoa(limit))
	out, err := store.ParseFilter(q)
	if err != nil {
		return out, usageError{err}
	}
	for _, one := range []struct {
		flag, text string
		to         *time.Time
	}{{"since", f.since, &out.Since}, {"until", f.until, &out.Until}} {
		if one.text == "" {
			continue
		}
		if *one.to, err = parseMoment(one.text, now); err != nil {
			return out, usageError{fmt.Errorf("--%s %q: %w", one.flag, one.text, err)}
		}
	}
	return out, nil
}

// parseMoment reads a time as people say it.
func parseMoment(s string, now time.Time) (time.Time, error) {
	if d, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseFloat(d, 64); err == nil {
			return now.Add(-time.Duration(n * float64(24*time.Hour))), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if t, err := time.Parse("15:04", s); err == nil {
		y, m, d := now.Date()
		return time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, now.Location()), nil
	}
	return time.Time{}, errors.New("30m, 2d, 15:04, 2026-01-02 or a time of RFC 3339 was expected")
}

// styleOf marks for a terminal that wants colour (NO_COLOR, no-color.org).
func styleOf(w io.Writer) explain.Style {
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		return explain.Terminal
	}
	return explain.Plain
}

const eventsHelp = `Events searches what was recorded, the newest last. It asks the running daemon,
and reads its store when none answers.

With --json each event is one line of JSON, followed, if it is known, by a line
for how the request ended; the names are in daemon/event/README.md.

Exit status: 0 when events were found or followed, 1 when none was found or the
work failed, 2 for a wrong command line.`

func eventsVerb() *cobra.Command {
	var q eventQuery
	var f filterFlags
	var asJSON, follow bool
	var limit int
	c := &cobra.Command{
		Use:   "events [flags]",
		Short: "Search recorded events, or follow them",
		Long:  eventsHelp,
		Example: `  sallyport events --since 1h --verdict deny
  sallyport events --client 192.0.2.0/24 --check signature --text "union select"
  sallyport events --follow --json`,
		Args: strict(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			filter, err := f.filter(limit, time.Now())
			if err != nil {
				return err
			}
			out := &eventTable{w: c.OutOrStdout(), json: asJSON, style: styleOf(c.OutOrStdout())}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if follow {
				return q.follow(ctx, filter, out)
			}
			records, err := q.search(ctx, filter)
			if err != nil {
				return err
			}
			if len(records) == 0 {
				if !asJSON {
					fmt.Fprintln(c.ErrOrStderr(), "no event meets these filters")
				}
				return errFailed
			}
			for i := len(records) - 1; i >= 0; i-- {
				if err := out.write(records[i]); err != nil {
					return err
				}
			}
			return nil
		},
	}
	q.flags(c)
	f.flags(c)
	c.Flags().IntVarP(&limit, "limit", "n", store.DefaultLimit, "at most so many, the newest")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "then show events as they come, until interrupted")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	c.AddCommand(eventsShowVerb(), eventsPcapVerb())
	return c
}

// follow shows the last few events and then each as it comes.
func (q *eventQuery) follow(ctx context.Context, f store.Filter, out *eventTable) error {
	body, err := control.Stream(ctx, q.socket, "/events/follow?"+f.Query().Encode())
	if err != nil {
		return err
	}
	defer body.Close()
	last := f
	last.Limit = min(max(f.Limit, 1), 10)
	if records, err := q.search(ctx, last); err == nil {
		for i := len(records) - 1; i >= 0; i-- {
			if err := out.write(records[i]); err != nil {
				return err
			}
		}
	}
	err = eachRecord(body, out.write)
	if ctx.Err() != nil {
		return nil // interrupted: that is how following ends
	}
	if err == nil {
		err = errors.New("the daemon stopped")
	}
	return err
}

func eventsShowVerb() *cobra.Command {
	var q eventQuery
	var asJSON bool
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show the request of an event as it came, redacted, with what was found marked",
		Long: `Show prints one event: the request as it came with its secrets masked, and each
finding with what matched underlined. ID is the request's id, or its beginning.

Exit status: 0 when it was found, 1 when not, 2 for a wrong command line.`,
		Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			rec, err := q.get(c.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return (&eventTable{w: c.OutOrStdout(), json: true}).write(rec)
			}
			return explain.Request(c.OutOrStdout(), rec.Event, rec.Outcome, styleOf(c.OutOrStdout()))
		},
	}
	q.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print the event as JSON")
	return c
}

// strict has wrong arguments end with the status of a wrong command line.
func strict(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if err := args(c, given); err != nil {
			return usageError{err}
		}
		return nil
	}
}

func oneID(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{fmt.Errorf("%s takes one id, as `sallyport events` lists them; got %d", c.CommandPath(), len(args))}
	}
	return nil
}

// eventTable writes events, a row or a line of JSON each.
type eventTable struct {
	w     io.Writer
	json  bool
	style explain.Style
	begun bool
}

const eventRow = "%-19s  %-10s %3s  %-15s  %-32s  %-10s %s  %s\n"

func (t *eventTable) write(r *store.Record) error {
	if t.json {
		if _, err := fmt.Fprintf(t.w, "%s\n", r.JSON); err != nil || r.OutJSON == nil {
			return err
		}
		_, err := fmt.Fprintf(t.w, "%s\n", r.OutJSON)
		return err
	}
	if !t.begun {
		t.begun = true
		if _, err := fmt.Fprintf(t.w, t.style.Strong+eventRow+t.style.End, "TIME", "VERDICT", "", "CLIENT", "REQUEST", "ROUTE", "ID", "WHY"); err != nil {
			return err
		}
	}
	e := r.Event
	verdict := e.VerdictWord()
	if verdict == "" || e.Kind != event.KindRequest {
		verdict = string(e.Kind)
	}
	status := ""
	if s := finalStatus(r); s != 0 {
		status = strconv.Itoa(s)
	}
	client := ""
	if e.Client.Addr().IsValid() {
		client = e.Client.Addr().Unmap().String()
	}
	request := ""
	if e.Method != "" {
		request = e.Method + " " + e.URI
	}
	id := e.ID
	if len(id) == 32 {
		id = id[:12]
	}
	_, err := fmt.Fprintf(t.w, eventRow, e.Time.Local().Format("2006-01-02 15:04:05"), verdict, status, client,
		shorten(explain.Visible(request), 32), shorten(explain.Visible(e.Route), 10), explain.Visible(id), explain.Visible(reason(e)))
	return err
}

func finalStatus(r *store.Record) int {
	for _, e := range []*event.Event{r.Outcome, r.Event} {
		if e != nil && e.Outcome != nil {
			return e.Outcome.Status
		}
	}
	return r.Event.Status
}

// reason is what an event's row ends with: its findings, or its message.
func reason(e *event.Event) string {
	if len(e.Findings) == 0 {
		if e.Method != "" {
			return e.Why
		}
		return e.Summary()
	}
	var parts []string
	for i := range e.Findings {
		f := &e.Findings[i]
		parts = append(parts, f.Check+":"+f.ID+"@"+f.Where)
		if i == 3 && len(e.Findings) > 4 {
			parts = append(parts, fmt.Sprintf("and %d more", len(e.Findings)-4))
			break
		}
	}
	return strings.Join(parts, " ")
}

func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
