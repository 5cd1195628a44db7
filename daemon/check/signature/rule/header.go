package rule

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// span is a range of values, both ends included.
type span[T any] struct{ from, to T }

// values is what a list in a rule's header holds: anything, or one of yes, and
// none of no and of the lists not.
type values[T any] struct {
	any     bool
	yes, no []span[T]
	not     []values[T]
}

// all says that the set holds every value.
func (s *values[T]) all() bool { return s.any && len(s.no) == 0 && len(s.not) == 0 }

func (s *values[T]) has(in func(span[T]) bool) bool {
	for _, r := range s.no {
		if in(r) {
			return false
		}
	}
	for i := range s.not {
		if s.not[i].has(in) {
			return false
		}
	}
	if s.any || len(s.yes) == 0 {
		return true
	}
	for _, r := range s.yes {
		if in(r) {
			return true
		}
	}
	return false
}

// Addresses is a set of addresses.
type Addresses struct{ values[netip.Addr] }

// Ports is a set of ports.
type Ports struct{ values[uint16] }

var (
	anyAddress = &Addresses{values[netip.Addr]{any: true}}
	anyPort    = &Ports{values[uint16]{any: true}}
)

// All says that the set holds every address.
func (s *Addresses) All() bool { return s == nil || s.all() }

// All says that the set holds every port.
func (s *Ports) All() bool { return s == nil || s.all() }

// Has says whether the set holds a. An unknown address (the zero value) is in
// every set: what is not known must not keep a rule silent.
func (s *Addresses) Has(a netip.Addr) bool {
	if s.All() || !a.IsValid() {
		return true
	}
	a = a.Unmap()
	return s.has(func(r span[netip.Addr]) bool {
		return a.BitLen() == r.from.BitLen() && r.from.Compare(a) <= 0 && a.Compare(r.to) <= 0
	})
}

// Has says whether the set holds p; port 0 is unknown and in every set.
func (s *Ports) Has(p uint16) bool {
	if s.All() || p == 0 {
		return true
	}
	return s.has(func(r span[uint16]) bool { return r.from <= p && p <= r.to })
}

// Vars are the variables of rule headers. The zero value has none.
//
// A variable that nothing sets is any: a rule file must load without the
// configuration it was written beside. Negating such a variable is any too.
type Vars struct {
	Address map[string]string
	Port    map[string]string

	addresses map[string]*Addresses
	ports     map[string]*Ports
}

// Clone is a copy whose changes leave v alone.
func (v *Vars) Clone() *Vars {
	n := &Vars{Address: map[string]string{}, Port: map[string]string{}}
	if v != nil {
		for k, x := range v.Address {
			n.Address[k] = x
		}
		for k, x := range v.Port {
			n.Port[k] = x
		}
	}
	return n
}

// set takes a var, ipvar or portvar line.
func (v *Vars) set(kind, name, value string) {
	if kind != "portvar" {
		v.Address[name] = value
	}
	if kind != "ipvar" {
		v.Port[name] = value
	}
	v.addresses, v.ports = nil, nil
}

// address reads a list of addresses; each is read once for all rules.
func (v *Vars) address(text string) (*Addresses, string) {
	if a := v.addresses[text]; a != nil {
		return a, ""
	}
	l := list[netip.Addr]{what: "address", kinds: "address, network, range or variable", vars: v.Address, item: parseAddress}
	s, msg := l.read(text, 0)
	if msg != "" {
		return nil, msg
	}
	a := &Addresses{s}
	if a.All() {
		a = anyAddress
	}
	if v.addresses == nil {
		v.addresses = map[string]*Addresses{}
	}
	v.addresses[text] = a
	return a, ""
}

// port reads a list of ports; each is read once for all rules.
func (v *Vars) port(text string) (*Ports, string) {
	if a := v.ports[text]; a != nil {
		return a, ""
	}
	l := list[uint16]{what: "port", kinds: "port, range or variable", vars: v.Port, item: parsePort}
	s, msg := l.read(text, 0)
	if msg != "" {
		return nil, msg
	}
	a := &Ports{s}
	if a.All() {
		a = anyPort
	}
	if v.ports == nil {
		v.ports = map[string]*Ports{}
	}
	v.ports[text] = a
	return a, ""
}

// maxNesting bounds lists in lists and variables in variables.
const maxNesting = 12

// list reads lists of values: any, items, variables and lists in brackets,
// each negated by an exclamation mark before it.
type list[T any] struct {
	what, kinds string
	vars        map[string]string
	item        func(text string) (span[T], error)
}

// read returns the set, or what is wrong with the list.
func (l *list[T]) read(text string, depth int) (s values[T], msg string) {
	if msg = l.add(&s, text, depth); msg != "" {
		return s, msg
	}
	if len(s.yes) == 0 {
		s.any = true
	}
	return s, ""
}

func (l *list[T]) add(s *values[T], text string, depth int) string {
	if depth > maxNesting {
		return fmt.Sprintf("lists or variables nested more than %d deep", maxNesting)
	}
	text = strings.TrimSpace(text)
	not := false
	for strings.HasPrefix(text, "!") {
		not, text = !not, strings.TrimSpace(text[1:])
	}
	if not && text != "" && (text[0] == '[' || text[0] == '$') {
		inner, msg := l.read(text, depth+1)
		if msg == "" && !inner.all() {
			s.not = append(s.not, inner)
		}
		return msg
	}
	switch {
	case text == "":
		return "an empty " + l.what + " in a list"
	case strings.EqualFold(text, "any"):
		if not && depth == 0 {
			return "!any matches nothing"
		}
		s.any = s.any || !not
		return ""
	case text[0] == '[':
		if text[len(text)-1] != ']' {
			return fmt.Sprintf("list %q is not closed by ]", clip(text))
		}
		for _, part := range splitList(text[1 : len(text)-1]) {
			if msg := l.add(s, part, depth+1); msg != "" {
				return msg
			}
		}
		return ""
	case text[0] == '$':
		value, ok := l.vars[text[1:]]
		if !ok || strings.EqualFold(strings.TrimSpace(value), "any") {
			s.any = true
			return ""
		}
		return l.add(s, value, depth+1)
	}
	r, err := l.item(text)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is no %s%s", clip(text), l.kinds, because(err))
	case not:
		s.no = append(s.no, r)
	default:
		s.yes = append(s.yes, r)
	}
	return ""
}

// because adds what an item's own parser has to say, beyond that it is none.
func because(err error) string {
	if e, ok := err.(backwards); ok {
		return ": " + e.Error()
	}
	return ""
}

// backwards is a range whose ends are the wrong way round.
type backwards struct{}

func (backwards) Error() string { return "the range ends before it begins" }

// parseAddress reads an address, a network or a range of addresses.
func parseAddress(text string) (span[netip.Addr], error) {
	if from, to, ok := strings.Cut(text, "-"); ok {
		a, err := netip.ParseAddr(strings.TrimSpace(from))
		if err != nil {
			return span[netip.Addr]{}, err
		}
		b, err := netip.ParseAddr(strings.TrimSpace(to))
		if err == nil && b.Less(a) {
			err = backwards{}
		}
		return span[netip.Addr]{a.Unmap(), b.Unmap()}, err
	}
	if addr, mask, ok := strings.Cut(text, "/"); ok {
		// A mask in dotted form: 10.0.0.0/255.0.0.0.
		if m, err := netip.ParseAddr(mask); err == nil && m.Is4() {
			ones := 0
			for _, b := range m.As4() {
				for ; b&0x80 != 0; b <<= 1 {
					ones++
				}
			}
			text = addr + "/" + strconv.Itoa(ones)
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return span[netip.Addr]{}, err
		}
		p = p.Masked()
		return span[netip.Addr]{p.Addr(), last(p)}, nil
	}
	a, err := netip.ParseAddr(text)
	return span[netip.Addr]{a.Unmap(), a.Unmap()}, err
}

// last is the highest address of a network.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// parsePort reads a port or a range of ports, 1024: or :1023 included.
func parsePort(text string) (span[uint16], error) {
	r := span[uint16]{0, 65535}
	from, to, ranged := strings.Cut(text, ":")
	if !ranged {
		to = from
	}
	for _, end := range [...]struct {
		text string
		to   *uint16
	}{{from, &r.from}, {to, &r.to}} {
		text := strings.TrimSpace(end.text)
		if text == "" && ranged {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return r, err
		}
		*end.to = uint16(n)
	}
	if r.from > r.to {
		return r, backwards{}
	}
	return r, nil
}

// splitList splits at commas outside nested brackets.
func splitList(s string) []string {
	var out []string
	depth, start := 0, 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || s[i] == ',' && depth == 0:
			if part := strings.TrimSpace(s[start:i]); part != "" || i < len(s) {
				out = append(out, part)
			}
			start = i + 1
		case s[i] == '[':
			depth++
		case s[i] == ']':
			depth--
		}
	}
	return out
}
