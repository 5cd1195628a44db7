package capture

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/event"
)

func TestEvidenceIsOneWholeRequestWhateverTheEventHolds(t *testing.T) {
	for _, c := range []struct {
		name           string
		event          event.Event
		status         int
		client, server string
		body           string
		holds          string
		note           string
	}{
		{name: "no address is known", event: event.Event{Method: "GET", URI: "/a", Protocol: "HTTP/1.0", Host: "x.test"},
			client: "192.0.2.1:49152", server: "198.51.100.1:80", holds: "GET /a HTTP/1.0\r\nHost: x.test\r\n\r\n", note: "client's address is not known"},
		{name: "a client over IPv6 behind a server known over IPv4", status: 403,
			event:  event.Event{Method: "GET", URI: "/", Client: netip.MustParseAddrPort("[2001:db8::7]:4000"), ServerAddr: netip.MustParseAddrPort("192.0.2.9:8080")},
			client: "[2001:db8::7]:4000", server: "[2001:db8::2]:8080", note: "another family"},
		{name: "an IPv4 address in IPv6's form", status: 444,
			event:  event.Event{Method: "GET", URI: "/", Client: netip.MustParseAddrPort("[::ffff:192.0.2.7]:4000"), ServerAddr: netip.MustParseAddrPort("192.0.2.9:8080")},
			client: "192.0.2.7:4000", server: "192.0.2.9:8080"},
		{name: "a body that came in chunks", status: 200,
			event:  event.Event{Method: "POST", URI: "/", Headers: []event.Field{{Name: "Transfer-Encoding", Value: "chunked"}}, Body: []byte("a=b"), BodyBytes: 3},
			client: "192.0.2.1:49152", server: "198.51.100.1:80", body: "a=b", holds: "\r\nContent-Length: 3\r\n", note: "Transfer-Encoding: chunked is written"},
		{name: "two lengths, and a body that was cut and is longer than a segment", status: 200,
			event: event.Event{Method: "POST", URI: "/", Headers: []event.Field{{Name: "Content-Length", Value: "90000"}, {Name: "content-length", Value: "5"}},
				Body: bytes.Repeat([]byte("0123456789"), 800), BodyBytes: 90000, BodyCut: true},
			client: "192.0.2.1:49152", server: "198.51.100.1:80", body: strings.Repeat("0123456789", 800), note: "the beginning of 90000 bytes"},
		{name: "a body that was not kept",
			event:  event.Event{Method: "POST", URI: "/", Headers: []event.Field{{Name: "Content-Length", Value: "70"}}, BodyBytes: 70, BodyOmitted: "binary"},
			client: "192.0.2.1:49152", server: "198.51.100.1:80", holds: "Content-Length: 0\r\n", note: "was not kept: binary"},
		{name: "line ends where HTTP/2 or a file let them in",
			event:  event.Event{Method: "GET", URI: "/a\r\nX: y", Headers: []event.Field{{Name: ":authority", Value: "x"}, {Name: "A", Value: "b\n\nGET /second HTTP/1.1\r\n\r\n"}}},
			client: "192.0.2.1:49152", server: "198.51.100.1:80", note: "written as spaces"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.event.Time = time.Unix(1_700_000_000, 0)
			conversation, notes, err := Evidence(&c.event, c.status)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			w, err := NewWriter(&b)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Write(conversation); err != nil {
				t.Fatal(err)
			}
			var found []*Request
			if err := Read(&b, false, func(r *Request) { found = append(found, r) }); err != nil {
				t.Fatal(err)
			}
			if len(found) != 1 {
				t.Fatalf("%d requests in %q", len(found), conversation.Request)
			}
			r := found[0]
			if r.Client.String() != c.client || r.Server.String() != c.server || string(r.Body) != c.body || !bytes.Contains(r.Raw, []byte(c.holds)) {
				t.Errorf("%v to %v: %q with the body %q", r.Client, r.Server, r.Raw, r.Body)
			}
			if !strings.Contains(strings.Join(notes, "\n"), c.note) {
				t.Errorf("%q does not say %q", notes, c.note)
			}
			if went := len(conversation.Answer) > 0; went != (c.status == 200 || c.status == 403) {
				t.Errorf("the answer to status %d is %q", c.status, conversation.Answer)
			}
		})
	}
	if _, _, err := Evidence(&event.Event{Kind: event.KindReload}, 0); !errors.Is(err, ErrNoRequest) {
		t.Errorf("an event without a request gave %v", err)
	}
}
