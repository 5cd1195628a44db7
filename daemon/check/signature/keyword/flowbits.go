package keyword

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// flowLife is how long a flow bit stays set after it was last changed.
const flowLife = time.Hour

// bits asks for or changes bits of a connection or a host.
type bits struct {
	op      string // isset, isnotset, set, unset, toggle
	names   [][]byte
	any     bool // isset: one of the names will do
	track   string
	expires time.Duration
}

func (x *bits) key(e *Env, name []byte) (k [3][]byte) {
	switch x.track {
	case "ip_src":
		a := e.Client.Addr().As16()
		return [3][]byte{name, append(e.scratch[:0], a[:]...), nil}
	case "ip_dst":
		a := e.Server.Addr().As16()
		return [3][]byte{name, append(e.scratch[:0], a[:]...), nil}
	case "ip_pair":
		a, b := e.Client.Addr().As16(), e.Server.Addr().As16()
		return [3][]byte{name, append(append(e.scratch[:0], a[:]...), b[:]...), nil}
	}
	return [3][]byte{name, e.Flow, nil}
}

func (x *bits) Holds(e *Env) bool {
	if e.Store == nil {
		return x.op == "isnotset" || x.op == "set" || x.op == "unset" || x.op == "toggle"
	}
	space := "signature bits"
	if x.track != "" {
		space = "signature xbits " + x.track
	}
	found := 0
	for _, name := range x.names {
		p := x.key(e, name)
		k := e.Store.Key(space, p[0], p[1])
		switch x.op {
		case "set":
			e.Store.SetBits(k, e.Now, x.expires, 0, 1)
		case "unset":
			e.Store.SetBits(k, e.Now, x.expires, 1, 0)
		case "toggle":
			if e.Store.Bits(k, e.Now)&1 != 0 {
				e.Store.SetBits(k, e.Now, x.expires, 1, 0)
			} else {
				e.Store.SetBits(k, e.Now, x.expires, 0, 1)
			}
		default:
			if e.Store.Bits(k, e.Now)&1 != 0 {
				found++
			}
		}
	}
	switch x.op {
	case "isset":
		return found == len(x.names) || x.any && found > 0
	case "isnotset":
		return found == 0 || !x.any && found < len(x.names)
	}
	return true
}

// maxBits bounds the names in one option.
const maxBits = 32

func names(v string) (out [][]byte, any bool, err error) {
	sep := "&"
	if strings.Contains(v, "|") {
		sep, any = "|", true
	}
	for _, n := range strings.Split(v, sep) {
		if n = strings.TrimSpace(n); n == "" {
			return nil, false, fmt.Errorf("an empty name")
		}
		out = append(out, []byte(n))
	}
	if len(out) > maxBits {
		return nil, false, fmt.Errorf("more than %d names", maxBits)
	}
	return out, any, nil
}

var flowbitsKeyword = &Keyword{
	Name: "flowbits",
	Help: "flowbits:set|unset|toggle|isset|isnotset,name[&name|name] or noalert: marks of the client's connection",
	Parse: func(b *Builder, o rule.Option) error {
		op, rest, _ := strings.Cut(o.Value, ",")
		op = strings.ToLower(strings.TrimSpace(op))
		name, _, _ := strings.Cut(rest, ",")
		switch op {
		case "noalert":
			b.Prog.NoAlert = true
			return nil
		case "reset":
			return nil
		case "set", "setx", "unset", "toggle", "isset", "isnotset":
		default:
			return fmt.Errorf("unknown word %q", clip(op))
		}
		n, any, err := names(name)
		if err != nil {
			return err
		}
		if op == "setx" {
			op = "set"
		}
		x := &bits{op: op, names: n, any: any, expires: flowLife}
		x.attach(b)
		return nil
	},
}

// hostBits reads what xbits and hostbits begin with, the word and the name. It
// is nil, without an error, for noalert.
func hostBits(b *Builder, p []string, life time.Duration) (*bits, error) {
	x := &bits{op: strings.ToLower(strings.TrimSpace(p[0])), expires: life, track: "ip_src"}
	switch x.op {
	case "noalert":
		b.Prog.NoAlert = true
		return nil, nil
	case "set", "unset", "toggle", "isset", "isnotset":
	default:
		return nil, fmt.Errorf("unknown word %q", clip(x.op))
	}
	if len(p) < 2 || strings.TrimSpace(p[1]) == "" {
		return nil, fmt.Errorf("expected a name")
	}
	x.names = [][]byte{[]byte(strings.TrimSpace(p[1]))}
	return x, nil
}

var xbitsKeyword = &Keyword{
	Name: "xbits",
	Help: "xbits:set|unset|toggle|isset|isnotset,name,track ip_src|ip_dst|ip_pair[,expire SECONDS]: marks of a host",
	Parse: func(b *Builder, o rule.Option) error {
		p := strings.Split(o.Value, ",")
		x, err := hostBits(b, p, 30*time.Second)
		if x == nil {
			return err
		}
		for _, s := range p[2:] {
			key, value, _ := strings.Cut(strings.TrimSpace(s), " ")
			switch value = strings.TrimSpace(value); strings.TrimSuffix(key, ":") {
			case "track":
				if value != "ip_src" && value != "ip_dst" && value != "ip_pair" {
					return fmt.Errorf("track %q is not ip_src, ip_dst or ip_pair", clip(value))
				}
				x.track = value
			case "expire":
				n, err := strconv.Atoi(value)
				if err != nil || n < 1 {
					return fmt.Errorf("expire %q is no number of seconds", clip(value))
				}
				x.expires = time.Duration(n) * time.Second
			default:
				return fmt.Errorf("unknown parameter %q", clip(key))
			}
		}
		x.attach(b)
		return nil
	},
}

var hostbitsKeyword = &Keyword{
	Name: "hostbits",
	Help: "hostbits:set|unset|toggle|isset|isnotset,name[,src|dst]: marks of a host",
	Parse: func(b *Builder, o rule.Option) error {
		p := strings.Split(o.Value, ",")
		x, err := hostBits(b, p, 5*time.Minute)
		if x == nil {
			return err
		}
		if len(p) > 2 {
			switch side := strings.TrimSpace(p[2]); side {
			case "src":
			case "dst":
				x.track = "ip_dst"
			case "both":
				x.track = "ip_pair"
			default:
				return fmt.Errorf("expected src or dst, found %q", clip(side))
			}
		}
		x.attach(b)
		return nil
	},
}

// attach makes the bits a condition of the rule, or what it does.
func (x *bits) attach(b *Builder) {
	if x.op == "isset" || x.op == "isnotset" {
		b.Prog.Before = append(b.Prog.Before, x)
	} else {
		b.Prog.After = append(b.Prog.After, x)
	}
}

// counter is a flowint: a number of the connection. The store keeps the
// number plus one, so that 0 stays "not set".
type counter struct {
	name  []byte
	op    string
	other []byte // another counter's name, or nil
	n     uint64
}

func (x *counter) Holds(e *Env) bool {
	if e.Store == nil {
		return false
	}
	k := e.Store.Key("signature flowint", x.name, e.Flow)
	old := e.Store.Bits(k, e.Now)
	n := x.n
	if x.other != nil {
		v := e.Store.Bits(e.Store.Key("signature flowint", x.other, e.Flow), e.Now)
		if v == 0 {
			return false
		}
		n = v - 1
	}
	put := func(v uint64) bool {
		e.Store.SetBits(k, e.Now, flowLife, ^uint64(0), v+1)
		return true
	}
	switch x.op {
	case "isset":
		return old != 0
	case "notset", "isnotset":
		return old == 0
	case "=":
		return put(n)
	case "+":
		return put(max(old, 1) - 1 + n)
	case "-":
		return put(max(old, n+1) - 1 - n)
	}
	if old == 0 {
		return false
	}
	v := old - 1
	switch x.op {
	case "==":
		return v == n
	case "!=":
		return v != n
	case "<":
		return v < n
	case ">":
		return v > n
	case "<=":
		return v <= n
	}
	return v >= n
}

var flowintKeyword = &Keyword{
	Name: "flowint",
	Help: "flowint:name,op[,value]: a number of the client's connection",
	Parse: func(b *Builder, o rule.Option) error {
		p := strings.Split(o.Value, ",")
		if len(p) < 2 {
			return fmt.Errorf("expected a name and an operator")
		}
		x := &counter{name: []byte(strings.TrimSpace(p[0])), op: strings.TrimSpace(p[1])}
		switch x.op {
		case "isset", "notset", "isnotset":
			b.Prog.Before = append(b.Prog.Before, x)
			return nil
		case "=", "+", "-", "==", "!=", "<", ">", "<=", ">=":
		default:
			return fmt.Errorf("unknown operator %q", clip(x.op))
		}
		if len(p) < 3 {
			return fmt.Errorf("expected a value")
		}
		v := strings.TrimSpace(p[2])
		if n, err := strconv.ParseUint(v, 10, 32); err == nil {
			x.n = n
		} else {
			x.other = []byte(v)
		}
		if x.op == "=" || x.op == "+" || x.op == "-" {
			b.Prog.After = append(b.Prog.After, x)
		} else {
			b.Prog.Before = append(b.Prog.Before, x)
		}
		return nil
	},
}
