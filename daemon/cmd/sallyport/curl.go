package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/event/redact"
)

const curlHelp = `Curl prints a command that sends a recorded request again, to a staging server:
it is printed, not run. Secrets were masked when the request was recorded; the
places stand as [redacted], and a note on standard error says what is missing.

Exit status: 0 when it was printed, 1 when the id is unknown or the work failed,
2 for a wrong command line.`

func curlVerb() *cobra.Command {
	var q eventQuery
	var to string
	var asJSON bool
	c := &cobra.Command{
		Use:     "curl ID",
		Short:   "Print a curl command that replays a recorded request against staging",
		Long:    curlHelp,
		Example: `  sallyport curl 5f2a9c41d0e7 --to https://staging.example.com`,
		Args:    oneID,
		RunE: func(c *cobra.Command, args []string) error {
			base, err := url.Parse(to)
			if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
				return usageError{fmt.Errorf("--to %q: a URL such as https://staging.example.com was expected", to)}
			}
			rec, err := q.get(c.Context(), args[0])
			if err != nil {
				return err
			}
			if rec.Event.Method == "" || rec.Event.URI == "" {
				return fmt.Errorf("event %s is not about a request", args[0])
			}
			words := curlWords(rec.Event, strings.TrimSuffix(base.Scheme+"://"+base.Host, "/"))
			missing := curlMissing(rec.Event)
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetEscapeHTML(false)
				return e.Encode(map[string]any{"argv": words, "command": shellJoin(words), "missing": missing})
			}
			for _, m := range missing {
				fmt.Fprintln(c.ErrOrStderr(), "note:", m)
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), shellJoin(words))
			return err
		},
	}
	q.flags(c)
	c.Flags().StringVar(&to, "to", "http://127.0.0.1:8080", "the server to send it to")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// hopHeaders are curl's own to set, or the connection's (RFC 9110, section 7.6.1).
var hopHeaders = map[string]bool{
	"content-length": true, "connection": true, "transfer-encoding": true, "te": true, "trailer": true, "upgrade": true, "keep-alive": true, "expect": true,
}

func curlWords(e *event.Event, base string) []string {
	words := []string{"curl", "--globoff", "--path-as-is", "--request", e.Method}
	host, sent := false, map[string]bool{}
	for _, h := range e.Headers {
		name := strings.ToLower(h.Name)
		if hopHeaders[name] || strings.HasPrefix(name, "x-sallyport-") {
			continue
		}
		host, sent[name] = host || name == "host", true
		sep := ": "
		if h.Value == "" {
			sep = ";" // curl sends an empty header so, and drops it otherwise
		}
		words = append(words, "--header", h.Name+sep+h.Value)
	}
	if !host && e.Host != "" {
		words = append(words, "--header", "Host: "+e.Host)
	}
	for _, name := range []string{"User-Agent", "Accept"} {
		if !sent[strings.ToLower(name)] {
			words = append(words, "--header", name+":") // or curl sends its own
		}
	}
	if len(e.Body) > 0 {
		if !sent["content-type"] {
			words = append(words, "--header", "Content-Type:")
		}
		words = append(words, "--data-raw", string(e.Body))
	}
	uri := e.URI
	if !strings.HasPrefix(uri, "/") {
		// A target that is no path ("*", a whole URL) is sent as it was.
		return append(words, "--request-target", uri, base+"/")
	}
	return append(words, base+uri)
}

func curlMissing(e *event.Event) (out []string) {
	redacted := strings.Contains(e.URI, redact.Mask) || strings.Contains(string(e.Body), redact.Mask)
	for _, h := range e.Headers {
		redacted = redacted || strings.Contains(h.Value, redact.Mask)
	}
	if redacted {
		out = append(out, "put staging's own secrets where it says "+redact.Mask)
	}
	if e.BodyOmitted != "" && e.BodyBytes > 0 {
		out = append(out, fmt.Sprintf("the body of %d bytes was not kept: %s", e.BodyBytes, e.BodyOmitted))
	} else if e.BodyCut {
		out = append(out, fmt.Sprintf("the body is the beginning of %d bytes", e.BodyBytes))
	}
	if e.HeadersCut {
		out = append(out, "not all headers were kept")
	}
	return out
}

// shellJoin quotes words for a POSIX shell. Control characters go in $'...',
// which bash, zsh, ksh and POSIX 2024 know, so that what is printed does
// nothing to a terminal.
func shellJoin(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = shellQuote(w)
	}
	return strings.Join(out, " ")
}

func shellQuote(w string) string {
	if w != "" && !strings.ContainsFunc(w, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+", r))
	}) {
		return w
	}
	if !strings.ContainsFunc(w, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for i := range len(w) {
		switch c := w[i]; {
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}
