package keyword

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

var flowKeyword = &Keyword{
	Name: "flow",
	Help: "flow:[to_server|from_client|...][,established|stateless|...]: the direction; a rule about responses is skipped",
	Parse: func(b *Builder, o rule.Option) error {
		for _, f := range strings.Split(o.Value, ",") {
			switch f = strings.ToLower(strings.TrimSpace(f)); f {
			case "to_server", "from_client":
				b.Prog.Directed = true
			case "established", "stateless", "no_stream", "only_stream", "no_frag", "only_frag":
			case "to_client", "from_server":
				b.skip("about a response: flow " + f)
			case "not_established":
				b.skip("about a connection not yet established")
			default:
				return fmt.Errorf("unknown word %q", clip(f))
			}
		}
		return nil
	},
}

var serviceKeyword = &Keyword{
	Name: "service",
	Help: "service:name,...: the services a Snort 3 rule is for; one without http is skipped",
	Parse: func(b *Builder, o rule.Option) error {
		for _, s := range rule.Fields(o.Value) {
			if s == "http" || s == "http2" || s == "http3" || s == "unknown" {
				return nil
			}
		}
		b.skip("for service " + clip(o.Value))
		return nil
	},
}

var appLayerKeyword = &Keyword{
	Name: "app-layer-protocol",
	Help: "app-layer-protocol:[!]name: the protocol of the connection, which is HTTP here",
	Parse: func(b *Builder, o rule.Option) error {
		v, _, _ := strings.Cut(strings.TrimSpace(o.Value), ",")
		name, not := strings.CutPrefix(v, "!")
		isHTTP := name == "http" || name == "http1" || name == "http2"
		if isHTTP == not {
			b.skip("for protocol " + clip(o.Value))
		}
		return nil
	},
}

// dataFlags are the TCP flags of a segment that carries data.
const dataFlags = 1<<3 | 1<<4 // P and A

// flagsKeyword compares TCP flags with those that a request's segments have.
var flagsKeyword = &Keyword{
	Name: "flags",
	Help: "flags:[!|*|+]FSRPAU12CE[,mask]: TCP flags; a rule that segments with data cannot match is skipped",
	Parse: func(b *Builder, o rule.Option) error {
		want, mask, _ := strings.Cut(strings.ToUpper(o.Value), ",")
		how := byte(0)
		bits := func(s string) (n int, err error) {
			for _, c := range []byte(strings.TrimSpace(s)) {
				i := strings.IndexByte("FSRPAU21EC", c)
				switch {
				case i >= 8:
					n |= 1 << (i - 2)
				case i >= 0:
					n |= 1 << i
				case c == '!' || c == '*' || c == '+':
					how = c
				case c != '0' && c != ' ':
					return 0, fmt.Errorf("unknown flag %q", c)
				}
			}
			return n, nil
		}
		w, err := bits(want)
		if err != nil {
			return err
		}
		op := how
		m, err := bits(mask)
		if err != nil {
			return err
		}
		for _, have := range [...]int{dataFlags &^ m, dataFlags &^ (1<<3 | m)} {
			switch {
			case op == 0 && have == w, op == '+' && have&w == w, op == '*' && have&w != 0, op == '!' && have&w == 0:
				b.Prog.Ignored = append(b.Prog.Ignored, "flags")
				return nil
			}
		}
		return Skip{"option flags: about packets without a request"}
	},
}

var ipProtoKeyword = &Keyword{
	Name: "ip_proto",
	Help: "ip_proto:[!|<|>]name or number: the protocol over IP, which is TCP here",
	Parse: func(b *Builder, o rule.Option) error {
		v := strings.ToLower(strings.TrimSpace(o.Value))
		name, not := strings.CutPrefix(v, "!")
		if is := name == "tcp" || name == "6"; is == not {
			b.skip("for IP protocol " + clip(o.Value))
		}
		return nil
	},
}

// sameIP holds when the client's address is the server's.
type sameIP struct{}

func (sameIP) Holds(e *Env) bool { return e.Client.Addr() == e.Server.Addr() }

var sameipKeyword = &Keyword{
	Name: "sameip",
	Help: "sameip: the client's address is the server's",
	Parse: func(b *Builder, o rule.Option) error {
		b.Prog.Before = append(b.Prog.Before, sameIP{})
		return nil
	},
}

// frameKeyword chooses a frame of Suricata's parsers; those of an HTTP/1
// request are the whole of it.
var frameKeyword = &Keyword{
	Name: "frame",
	Help: "frame:http1.request: what follows looks at the request as it came; other frames are skipped",
	Parse: func(b *Builder, o rule.Option) error {
		name := strings.ToLower(strings.TrimSpace(o.Value))
		if name == "http1.request" || name == "request" && strings.HasPrefix(b.Rule.Proto, "http") {
			b.choose(buffer.SPayload, "")
			b.http = true
			return nil
		}
		return Skip{"option frame: not of an HTTP/1 request: " + clip(name)}
	},
}
