package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/event/explain"
	"github.com/sallyport/sallyport/daemon/event/redact"
	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/request"
	"github.com/sallyport/sallyport/daemon/request/jsonl"
)

const explainHelp = `Explain puts one decision into words: every check, its finding and its score,
the line of policy that decided, and what would change it.

ID is the id of a recorded request, or its beginning; it stands in the denial's
page and in its X-Request-Id header. With - the input is one JSON object: an
event as any sink writes it, which is explained as it stands, or a request as
'sallyport inspect' takes it, which is judged first, by --config or the built-in
policy. Neither needs a daemon.

Exit status: 0 when it was explained, 1 when the id is unknown or the work
failed, 2 for a wrong command line.`

func explainVerb() *cobra.Command {
	var q eventQuery
	var f inspectFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain ID|-",
		Short: "Explain a decision: what was found, what decided, what would change it",
		Long:  explainHelp,
		Example: `  sallyport explain 5f2a9c41d0e7
  echo '{"method":"GET","uri":"/?q=<script>"}' | sallyport explain -`,
		Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			var e, outcome *event.Event
			var notes []explain.Note
			if args[0] == "-" {
				var err error
				if e, notes, err = f.explainInput(c.InOrStdin(), c.ErrOrStderr()); err != nil {
					return err
				}
			} else {
				rec, err := q.get(c.Context(), args[0])
				if err != nil {
					return err
				}
				e, outcome = rec.Event, rec.Outcome
			}
			if asJSON {
				return explainJSON(c.OutOrStdout(), e, outcome)
			}
			return explain.Decision(c.OutOrStdout(), e, outcome, notes, styleOf(c.OutOrStdout()))
		},
	}
	q.flags(c)
	c.Flags().StringVar(&f.config, "config", "", "for a request on standard input: the main configuration file (default: the built-in policy, enforcing)")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object: the event and the explanation's text")
	return c
}

func explainJSON(w io.Writer, e, outcome *event.Event) error {
	var text bytes.Buffer
	if err := explain.Decision(&text, e, outcome, nil, explain.Plain); err != nil {
		return err
	}
	line := append([]byte(`{"event":`), event.AppendJSON(nil, e)...)
	if outcome != nil {
		line = event.AppendJSON(append(line, `,"outcome":`...), outcome)
	}
	line = append(line, `,"explanation":`...)
	line = append(jsonl.AppendString(line, text.Bytes()), "}\n"...)
	_, err := w.Write(line)
	return err
}

// maxExplained bounds what is read from standard input, in bytes.
const maxExplained = 16 << 20

// explainInput takes an event as it is, and judges a request.
func (f *inspectFlags) explainInput(in io.Reader, errOut io.Writer) (*event.Event, []explain.Note, error) {
	line, err := io.ReadAll(io.LimitReader(in, maxExplained))
	if err != nil {
		return nil, nil, fmt.Errorf("read standard input: %w", err)
	}
	line = bytes.TrimSpace(line)
	if first, _, more := bytes.Cut(line, []byte("\n")); more && bytes.HasSuffix(bytes.TrimSpace(first), []byte("}")) {
		line = first // the event's outcome may follow on a line of its own
	}
	if len(line) == 0 {
		return nil, nil, errors.New("standard input is empty; an event or a request as 'sallyport inspect' takes it was expected")
	}
	if e, err := event.Parse(line); err == nil {
		return e, nil, nil
	}
	loaded, err := f.load()
	if err != nil {
		return nil, nil, err
	}
	for _, w := range loaded.Warnings {
		fmt.Fprintln(errOut, "warning:", w)
	}
	j, err := f.newJudge(loaded)
	if err != nil {
		return nil, nil, err
	}
	r := request.Get()
	defer r.Release()
	id, err := jsonl.Parse(line, r)
	if err != nil {
		return nil, nil, fmt.Errorf("standard input is neither an event nor a request: %w", err)
	}
	if r.Received.IsZero() {
		r.Received = time.Now()
	}
	e, notes := j.event(r, id.Text)
	return event.Redacted(e, redact.New(loaded.Events.Redact), true), notes, nil
}

// event judges r and makes the event of it.
func (j *offlineJudge) event(r *request.Request, id string) (*event.Event, []explain.Note) {
	w := j.inspector.Begin(r, inspect.Offline)
	defer w.End()
	if limit := w.Route().MaxInspectBytes; int64(len(r.Body.Bytes)) > limit {
		r.Body.Bytes, r.Body.Cut = r.Body.Bytes[:limit], true
	}
	var notes []explain.Note
	w.Explain(func(check, text string) { notes = append(notes, explain.Note{Check: check, Text: text}) })
	v := w.Whole()
	e := event.OfRequest(r)
	e.ID = id
	e.Site, e.Route, e.Mode, e.Door = w.Route().Site, w.Route().Name, v.Mode.String(), inspect.Offline
	e.Verdict, e.WouldDeny, e.Status, e.Score, e.Why = "allow", v.WouldDeny, v.Status, v.Score, v.Why
	if v.Deny {
		e.Verdict = "deny"
	}
	e.Findings = append(e.Findings, w.Findings()...)
	e.Excepted = append(e.Excepted, v.Excepted...)
	e.Policy = j.inspector.Policy().ID
	return e, notes
}
