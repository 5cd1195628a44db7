package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/daemon/capture"
)

const eventsPcapHelp = `Pcap writes the request of an event into a capture that Snort, Suricata and
Wireshark open: one TCP connection with its handshake, the request, an answer of
the status that the client got, and its end. So a rule and what it is about can
be handed on, and 'sallyport replay FILE' runs rules on it.

The request is written as it is stored: redacted. Where it says [redacted] a
secret stood; a rule that matched within one does not match the capture. The
body is what the event kept of it, and its Content-Length is made to agree. What
else is not as it was on the wire (TLS, HTTP/2, an address that is not known) is
said on standard error, a line each.

A new file is made readable for its owner alone; an existing one is overwritten.

Exit status: 0 when it was written, 1 when the id is unknown, the event is not
about a request or the work failed, 2 for a wrong command line.`

func eventsPcapVerb() *cobra.Command {
	var q eventQuery
	var out string
	var asJSON bool
	c := &cobra.Command{
		Use:     "pcap ID --out FILE",
		Short:   "Write the request of an event, as stored, into a pcap file",
		Long:    eventsPcapHelp,
		Example: `  sallyport events pcap 5f2a9c41d0e7 --out evidence.pcap`,
		Args:    oneID,
		RunE: func(c *cobra.Command, args []string) error {
			if out == "" {
				return usageError{fmt.Errorf("%s needs --out FILE, the capture to write", c.CommandPath())}
			}
			rec, err := q.get(c.Context(), args[0])
			if err != nil {
				return err
			}
			conversation, notes, err := capture.Evidence(rec.Event, finalStatus(rec))
			if err != nil {
				return fmt.Errorf("write event %s into a capture: %w", args[0], err)
			}
			if err := writeEvidence(out, conversation); err != nil {
				return err
			}
			if asJSON {
				if notes == nil {
					notes = []string{}
				}
				e := json.NewEncoder(c.OutOrStdout())
				e.SetEscapeHTML(false)
				return e.Encode(map[string]any{"id": rec.Event.ID, "file": out, "notes": notes,
					"client": conversation.Client.String(), "server": conversation.Server.String()})
			}
			for _, n := range notes {
				fmt.Fprintln(c.ErrOrStderr(), "note:", n)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: the request of event %s, %s to %s\n", out, rec.Event.ID, conversation.Client, conversation.Server)
			return err
		},
	}
	q.flags(c)
	c.Flags().StringVarP(&out, "out", "o", "", "the capture to write")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object: id, file, client, server, notes")
	return c
}

func writeEvidence(path string, conversation capture.Conversation) error {
	var b bytes.Buffer
	w, err := capture.NewWriter(&b)
	if err != nil {
		return err
	}
	if err := w.Write(conversation); err != nil {
		return err
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write the capture: %w", err)
	}
	return nil
}
