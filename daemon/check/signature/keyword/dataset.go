package keyword

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// datasetLife is how long a value stays in a set that rules fill, after it was
// last put there. Suricata keeps it until it ends.
const datasetLife = 24 * time.Hour

// dataset asks whether a whole buffer is in a set, or puts it there.
type dataset struct {
	op     string // isset, isnotset, set, unset
	name   []byte
	size   int // of its values; 0: any
	loaded map[string]int
	// rep compares the number a datarep list gives the value.
	rep *span
}

// In says whether the set holds v.
func (d *dataset) in(v []byte, e *Env) bool {
	if _, ok := d.loaded[string(v)]; ok {
		return true
	}
	return e.Store != nil && e.Store.Bits(e.Store.Key("signature dataset", d.name, v), e.Now)&1 != 0
}

func (d *dataset) Match(c *Cursor) bool { return d.holds(c.Buf, c.Env) }

func (d *dataset) holds(v []byte, e *Env) bool {
	if len(v) == 0 || d.size > 0 && len(v) != d.size {
		return false
	}
	if d.rep != nil {
		n, ok := d.loaded[string(v)]
		return ok && d.rep.has(n)
	}
	in := d.in(v, e)
	switch d.op {
	case "isset":
		return in
	case "isnotset":
		return !in
	}
	if e.Store == nil || in != (d.op == "unset") {
		return false
	}
	k := e.Store.Key("signature dataset", d.name, v)
	if d.op == "unset" {
		e.Store.SetBits(k, e.Now, datasetLife, 1, 0)
	} else {
		e.Store.SetBits(k, e.Now, datasetLife, 0, 1)
	}
	return true
}

// addressSet is a dataset of addresses that is asked for one side's.
type addressSet struct {
	dataset
	server bool
}

func (s *addressSet) Holds(e *Env) bool {
	a := e.Client.Addr()
	if s.server {
		a = e.Server.Addr()
	}
	if !a.IsValid() {
		return false
	}
	b := a.As16()
	return s.holds(b[:], e)
}

// value reads a set's value as its files write it.
func (d *dataset) value(kind, text string) (string, error) {
	switch kind {
	case "string":
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return "", fmt.Errorf("%q is not in base64", clip(text))
		}
		return string(b), nil
	case "ipv4", "ipv6", "ip":
		a, err := netip.ParseAddr(text)
		if err != nil {
			return "", fmt.Errorf("%q is no address", clip(text))
		}
		b := a.As16()
		return string(b[:]), nil
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != d.size {
		return "", fmt.Errorf("expected %d hexadecimal digits, found %q", 2*d.size, clip(text))
	}
	return string(b), nil
}

// kinds are the types of values, with their size in bytes.
var kinds = map[string]int{"string": 0, "md5": 16, "sha256": 32, "ipv4": 16, "ipv6": 16, "ip": 16}

// settings reads what follows a set's name.
func (d *dataset) settings(b *Builder, parts []string) error {
	kind, file := "", ""
	for _, p := range parts {
		key, v, _ := strings.Cut(strings.TrimSpace(p), " ")
		v = strings.TrimSpace(v)
		switch key {
		case "type":
			size, ok := kinds[v]
			if !ok {
				return fmt.Errorf("unknown type %q", clip(v))
			}
			kind, d.size = v, size
		case "load", "state":
			file = v
		case "save", "memcap", "hashsize":
		case "format":
			if v != "csv" {
				return unsupported{"not supported: lists in the format " + clip(v)}
			}
		case "context_key", "value_key", "array_key", "remove_key":
			return unsupported{"not supported: lists in the format json"}
		default:
			return fmt.Errorf("unknown parameter %q", clip(key))
		}
	}
	if file == "" {
		return nil
	}
	if kind == "" {
		return fmt.Errorf("expected a type for the values of %s", clip(file))
	}
	d.loaded = map[string]int{}
	return b.readList(file, func(line string) error {
		text, number, has := strings.Cut(line, ",")
		v, err := d.value(kind, strings.TrimSpace(text))
		if err != nil {
			return err
		}
		n := 0
		if d.rep != nil {
			if n, err = strconv.Atoi(strings.TrimSpace(number)); err != nil || !has || n < 0 || n > 65535 {
				return fmt.Errorf("expected a value and a number from 0 to 65535, found %q", clip(line))
			}
		}
		d.loaded[v] = n
		return nil
	})
}

// attach makes the chosen buffer, or the chosen address, what is looked up.
func (d *dataset) attach(b *Builder) error {
	switch {
	case b.address != "":
		b.Prog.Before = append(b.Prog.Before, &addressSet{*d, b.address == "ip.dst"})
	case b.sticky == nil:
		return fmt.Errorf("no buffer is chosen before it")
	default:
		b.add(b.sticky, d)
	}
	return nil
}

var datasetKeyword = &Keyword{
	Name: "dataset",
	Help: "dataset:isset|isnotset|set|unset,name[,type string|md5|sha256|ip][,load FILE]: the chosen buffer is a value of a set",
	Parse: func(b *Builder, o rule.Option) error {
		p := strings.Split(o.Value, ",")
		d := &dataset{op: strings.TrimSpace(p[0])}
		switch d.op {
		case "isset", "isnotset", "set", "unset":
		default:
			return fmt.Errorf("unknown word %q", clip(d.op))
		}
		if len(p) < 2 || strings.TrimSpace(p[1]) == "" {
			return fmt.Errorf("expected the name of a set")
		}
		d.name = []byte(strings.TrimSpace(p[1]))
		if err := d.settings(b, p[2:]); err != nil {
			return err
		}
		return d.attach(b)
	},
}

var datarepKeyword = &Keyword{
	Name: "datarep",
	Help: "datarep:name,<|>|=,N,load FILE,type string|md5|sha256: the number that a list gives the chosen buffer",
	Parse: func(b *Builder, o rule.Option) error {
		p := strings.Split(o.Value, ",")
		if len(p) < 3 {
			return fmt.Errorf("expected a name, an operator and a number")
		}
		op := strings.TrimSpace(p[1])
		if op != "<" && op != ">" && op != "=" && op != "==" {
			return fmt.Errorf("unknown operator %q", clip(op))
		}
		s, err := parseSpan(strings.TrimSuffix(op, "=") + strings.TrimSpace(p[2]))
		if err != nil {
			return err
		}
		d := &dataset{name: []byte(strings.TrimSpace(p[0])), rep: &s}
		if err := d.settings(b, p[3:]); err != nil {
			return err
		}
		if d.loaded == nil {
			return fmt.Errorf("expected load and a file")
		}
		return d.attach(b)
	},
}

// addressKeyword chooses an address of the connection; a dataset follows.
func addressKeyword(name string) *Keyword {
	return &Keyword{Name: name, Help: name + ": what a dataset that follows looks up is this address", Parse: func(b *Builder, o rule.Option) error {
		b.address = name
		return nil
	}}
}
