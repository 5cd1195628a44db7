package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/reputation"
	"github.com/sallyport/sallyport/daemon/check/schema"
	"github.com/sallyport/sallyport/daemon/config"
	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/policy"
	"github.com/sallyport/sallyport/daemon/request"
	"github.com/sallyport/sallyport/daemon/request/jsonl"
)

const inspectHelp = `Inspect judges requests offline, through the very pipeline that the doors use.

It reads one JSON object a line, from a file (plain or gzip) or, with -, from
standard input:

  {"id":"7","method":"POST","uri":"/a?b=c","headers":{"Host":"x.org"},
   "body":"...","body_base64":"...","client":"192.0.2.7","time":"2026-01-02T15:04:05Z"}

Only method and uri must be there; a header's value may be a list, and headers
a list of pairs. It writes one object for every line that is not blank, in the
same order:

  {"id":"7","verdict":"deny","status":403,"score":97.2,"findings":[
   {"check":"score","id":"sqli","message":"...","where":"query:b","severity":"high","score":97.2}]}

Without --config it judges by the built-in policy with every check on and
enforcing. With --openapi FILE it judges by that OpenAPI or Swagger document
alone, enforcing, every other check off; the document's flaws are told on
standard error. The hosts of its servers count, unless --any-host says otherwise. Nothing is asked over the network. Each line is judged alone; with
--stateful the lines are taken in order, by one worker, with their client and
time, so that windows, bans and reputations of the lines before count.

A line that cannot be read is answered by {"id":...,"error":"line 7: byte 12: ..."}
and the next one is judged.

Exit status: 0 when every line was judged, 1 when one could not be read or the
work failed, 2 for a wrong command line.`

type inspectFlags struct {
	config   string
	openapi  string
	anyHost  bool
	stateful bool
	explain  bool
	workers  int
}

func inspectVerb() *cobra.Command {
	var f inspectFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "inspect [--config FILE | --openapi FILE] [--stateful] [--explain] FILE|-",
		Short: "Judge requests offline, one JSON object a line",
		Long:  inspectHelp,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("inspect takes one file, or - for standard input; got %d", len(args))}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			in := c.InOrStdin()
			var size int64
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("open the requests: %w", err)
				}
				defer file.Close()
				if info, err := file.Stat(); err == nil {
					size = info.Size()
				}
				in = file
			}
			return f.run(in, size, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&f.config, "config", "", "the main configuration file (default: the built-in policy, enforcing)")
	c.Flags().StringVar(&f.openapi, "openapi", "", "judge by this OpenAPI or Swagger document alone")
	c.Flags().BoolVar(&f.anyHost, "any-host", false, "with --openapi: take hosts that the document's servers do not name")
	c.MarkFlagsMutuallyExclusive("config", "openapi")
	c.Flags().BoolVar(&f.stateful, "stateful", false, "take the lines in order and keep state between them")
	c.Flags().BoolVar(&f.explain, "explain", false, "add the values seen and what each check looked at")
	c.Flags().IntVar(&f.workers, "workers", runtime.GOMAXPROCS(0), "lines judged at once")
	c.Flags().BoolVar(&asJSON, "json", true, "the output is always JSON")
	return c
}

func (f *inspectFlags) load() (*config.Loaded, error) {
	o := config.Options{Offline: true}
	if f.config == "" {
		o.Mode = "enforce"
	}
	if f.openapi != "" {
		alone := schema.Document(f.openapi)
		alone.APIs[0].MatchHost = !f.anyHost
		o.Only, o.Settings = []string{schema.Name}, map[string]any{schema.Name: &alone}
	}
	loaded, err := config.Load(f.config, o)
	if err != nil {
		return nil, fmt.Errorf("load the configuration:\n%w", err)
	}
	return loaded, nil
}

func (f *inspectFlags) run(in io.Reader, size int64, out, errOut io.Writer) error {
	loaded, err := f.load()
	if err != nil {
		return err
	}
	for _, w := range loaded.Warnings {
		fmt.Fprintln(errOut, "warning:", w)
	}
	if f.stateful {
		f.workers = 1
	}
	counted := &countingReader{in: in}
	lines, err := jsonl.NewReader(counted)
	if err != nil {
		return fmt.Errorf("read the requests: %w", err)
	}
	p := &pipe{lines: lines, out: out, workers: max(1, f.workers)}
	if file, ok := errOut.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
		stop := showProgress(file, p, counted, size)
		defer stop()
	}
	err = p.run(func() (judge, error) {
		j, err := f.newJudge(loaded)
		if err != nil {
			return nil, err
		}
		return j.line, nil
	})
	if err != nil {
		return err
	}
	if p.failed.Load() > 0 {
		fmt.Fprintf(errOut, "%d lines could not be read; their output says why\n", p.failed.Load())
		return errFailed
	}
	return nil
}

// offlineKeys is the room for state of one offline judgement; stateful runs get
// what the daemon would have.
const offlineKeys = 4096

// offlineJudge judges lines, each by itself or after those before it.
type offlineJudge struct {
	inspector *inspect.Inspector
	state     *keyed.Store
	explain   bool
	stateful  bool
	now       time.Time // of lines that tell no time
}

func (f *inspectFlags) newJudge(loaded *config.Loaded) (*offlineJudge, error) {
	j := &offlineJudge{explain: f.explain, stateful: f.stateful, now: time.Now()}
	keys := offlineKeys
	if f.stateful {
		keys = loaded.Server.MaxKeys
	}
	j.state = keyed.New(keys, 1)
	o := inspect.Options{State: j.state, Stateless: !f.stateful}
	if f.stateful {
		book, err := reputation.New(loaded.Reputation, reputation.Options{State: j.state, Dir: loaded.Dir()})
		if err != nil {
			return nil, fmt.Errorf("open the book of sources: %w", err)
		}
		o.Sources = book
	}
	j.inspector = inspect.New(loaded.Policy, o)
	return j, nil
}

// line judges one line and appends the line that answers it; ok is false when
// it could not be read.
func (j *offlineJudge) line(dst, line []byte, number int) (answer []byte, ok bool) {
	r := request.Get()
	defer r.Release()
	id, err := jsonl.Parse(line, r)
	if err != nil {
		return appendUnread(dst, id, number, err), false
	}
	if r.Received.IsZero() {
		r.Received = j.now
	}
	w := j.inspector.Begin(r, inspect.Offline)
	defer w.End()
	if limit := w.Route().MaxInspectBytes; int64(len(r.Body.Bytes)) > limit {
		r.Body.Bytes, r.Body.Cut = r.Body.Bytes[:limit], true
	}
	var notes []note
	if j.explain {
		w.Explain(func(check, text string) { notes = append(notes, note{check, text}) })
	}
	v := w.Whole()
	dst = appendVerdict(dst, id, &v, w.Findings())
	if j.explain {
		dst = appendExplained(dst, r, v.Why, notes)
	}
	dst = append(dst, "}\n"...)
	if !j.stateful {
		j.state.Reset()
	}
	return dst, true
}

type note struct{ check, text string }

func appendUnread(dst []byte, id jsonl.ID, number int, err error) []byte {
	dst = append(dst, `{"id":`...)
	dst = id.Append(dst)
	dst = append(dst, `,"error":`...)
	dst = jsonl.AppendString(dst, fmt.Appendf(nil, "line %d: %v", number, err))
	return append(dst, "}\n"...)
}

// appendVerdict appends everything but the closing brace.
func appendVerdict(dst []byte, id jsonl.ID, v *policy.Verdict, findings []check.Finding) []byte {
	verdict, status := "allow", 200
	if v.Deny {
		verdict, status = "deny", v.Status
	}
	dst = append(dst, `{"id":`...)
	dst = id.Append(dst)
	dst = fmt.Appendf(dst, `,"verdict":%q,"status":%d,"score":`, verdict, status)
	dst = jsonl.AppendScore(dst, v.Score)
	dst = append(dst, `,"findings":[`...)
	for i := range findings {
		f := &findings[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendField(append(dst, '{'), "check", f.Check)
		dst = appendField(append(dst, ','), "id", f.ID)
		dst = appendField(append(dst, ','), "message", f.Message)
		dst = appendField(append(dst, ','), "where", f.Where)
		dst = appendField(append(dst, ','), "severity", f.Severity.String())
		dst = append(dst, `,"score":`...)
		dst = append(jsonl.AppendScore(dst, f.Score), '}')
	}
	return append(dst, ']')
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, '"'), name...), `":`...)
	return jsonl.AppendString(dst, []byte(value))
}

// appendExplained appends why it was decided so, every value seen with its
// decodings, the marks met, and what the checks say they looked at.
func appendExplained(dst []byte, r *request.Request, why string, notes []note) []byte {
	dst = appendField(append(dst, ','), "why", why)
	dst = append(dst, `,"values":[`...)
	first := true
	for _, vs := range [][]request.Value{r.HeadValues(), r.BodyValues()} {
		for i := range vs {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = appendValue(dst, r, &vs[i])
		}
	}
	dst = append(dst, `],"marks":[`...)
	for i := range r.Markers() {
		m := &r.Markers()[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendField(append(dst, '{'), "mark", m.Mark.String())
		dst = append(appendField(append(dst, ','), "where", m.Where()), '}')
	}
	dst = append(dst, `],"looked":[`...)
	for i, n := range notes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendField(append(dst, '{'), "check", n.check)
		dst = append(appendField(append(dst, ','), "note", n.text), '}')
	}
	return append(dst, ']')
}

func appendValue(dst []byte, r *request.Request, v *request.Value) []byte {
	dst = appendField(append(dst, '{'), "where", v.Where())
	dst = append(dst, `,"text":`...)
	dst = jsonl.AppendString(dst, v.Text)
	layers := r.Layers(v)
	if len(layers) > 0 {
		dst = append(dst, `,"layers":[`...)
		for i, l := range layers {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendField(append(dst, '{'), "by", l.By)
			dst = append(dst, `,"text":`...)
			dst = append(jsonl.AppendString(dst, l.Text), '}')
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}
