package capture

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/event"
)

// ErrNoRequest says that an event is not about a request.
var ErrNoRequest = errors.New("the event is not about a request")

// Evidence is the request of a recorded event as a conversation over HTTP/1,
// for Writer: what the event holds of it, so redacted as it is. status is what
// the client got, 0 if nobody knows; it becomes an answer without a body.
//
// The result is always one whole request: its body's length is that of the
// body the event holds, and no byte of a name or a value begins a line of its
// own. notes say, a line each, how it is not what was on the wire.
func Evidence(e *event.Event, status int) (c Conversation, notes []string, err error) {
	if e.Method == "" || e.URI == "" {
		return c, nil, ErrNoRequest
	}
	w := &evidence{}
	c.Client, c.Server = w.ends(e)
	c.Start = e.Time
	c.Request = w.request(e)
	c.Answer = answer(status)
	return c, w.notes, nil
}

type evidence struct {
	notes   []string
	cleaned bool
}

func (w *evidence) note(format string, args ...any) {
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

// ends are the two addresses: those of the event as far as it has them, of one
// family, and a port for HTTP.
func (w *evidence) ends(e *event.Event) (client, server netip.AddrPort) {
	from, to := e.Client.Addr().Unmap().WithZone(""), e.ServerAddr.Addr().Unmap().WithZone("")
	if !from.IsValid() {
		from = netip.AddrFrom4([4]byte{192, 0, 2, 1}) // RFC 5737
		if to.Is6() {
			from = netip.MustParseAddr("2001:db8::1") // RFC 3849
		}
		w.note("the client's address is not known: %s stands for it", from)
	}
	if !to.IsValid() || to.Is4() != from.Is4() {
		to = netip.AddrFrom4([4]byte{198, 51, 100, 1}) // RFC 5737
		if from.Is6() {
			to = netip.MustParseAddr("2001:db8::2") // RFC 3849
		}
		w.note("the server's address is not known, or of another family than the client's: %s stands for it", to)
	}
	fromPort, toPort := e.Client.Port(), e.ServerAddr.Port()
	if fromPort == 0 {
		fromPort = 49152 // the first of the dynamic ports, RFC 6335, section 6
	}
	switch {
	case toPort == 0:
		toPort = 80
	case e.TLSVersion != "" || toPort == 443:
		w.note("it came over TLS to port %d: it is written without, to port 80, where engines look for HTTP", toPort)
		toPort = 80
	}
	return netip.AddrPortFrom(from, fromPort), netip.AddrPortFrom(to, toPort)
}

func (w *evidence) request(e *event.Event) []byte {
	protocol := e.Protocol
	if protocol != "HTTP/1.0" && protocol != "HTTP/1.1" {
		protocol = "HTTP/1.1"
		if e.Protocol != "" {
			w.note("it came over %s: it is written as %s", w.line(e.Protocol), protocol)
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\n", w.line(e.Method), w.line(e.URI), protocol)
	if e.Header("Host") == "" && e.Host != "" {
		fmt.Fprintf(&b, "Host: %s\r\n", w.line(e.Host))
	}
	length, framed := strconv.Itoa(len(e.Body)), false
	for _, h := range e.Headers {
		name := strings.ToLower(h.Name)
		switch {
		case name == "" || name[0] == ':': // HTTP/2's own, in the request line already
			continue
		case name == "content-length" || name == "transfer-encoding":
			if framed || h.Value != length {
				w.note("its %s: %s is written as a Content-Length of %s", w.line(h.Name), w.line(h.Value), length)
			}
			if framed {
				continue
			}
			framed = true
			fmt.Fprintf(&b, "Content-Length: %s\r\n", length)
		default:
			fmt.Fprintf(&b, "%s: %s\r\n", w.line(h.Name), w.line(h.Value))
		}
	}
	if !framed && len(e.Body) > 0 {
		fmt.Fprintf(&b, "Content-Length: %s\r\n", length)
	}
	b.WriteString("\r\n")
	b.Write(e.Body)
	w.missing(e)
	return b.Bytes()
}

func (w *evidence) missing(e *event.Event) {
	if e.HeadersCut {
		w.note("not all headers were kept")
	}
	if e.BodyOmitted != "" && e.BodyBytes > 0 {
		w.note("the body of %d bytes was not kept: %s", e.BodyBytes, e.BodyOmitted)
	} else if e.BodyCut {
		w.note("the body is the beginning of %d bytes", e.BodyBytes)
	}
	if w.cleaned {
		w.note("line ends and NUL within a name or a value are written as spaces")
	}
}

// line keeps what stands in one line from ending it.
func (w *evidence) line(s string) string {
	if !strings.ContainsAny(s, "\r\n\x00") {
		return s
	}
	w.cleaned = true
	return strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(s)
}

// answer is an answer of that status; nil for one that never went out, as
// NGINX's 444 and 499.
func answer(status int) []byte {
	text := http.StatusText(status)
	if text == "" {
		return nil
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status, text)
}
