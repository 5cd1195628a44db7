package keyword

import (
	"fmt"
	"strings"

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
