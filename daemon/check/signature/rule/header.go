package rule

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Addresses is a set of addresses: any, or one of yes and none of no.
type Addresses struct {
	Any bool
	yes []addressRange
	no  []addressRange
}

type addressRange struct{ from, to netip.Addr }

// Ports is a set of ports.
type Ports struct {
	Any bool
	yes []portRange
	no  []portRange
}

type portRange struct{ from, to uint16 }

var (
	anyAddress = &Addresses{Any: true}
	anyPort    = &Ports{Any: true}
)

// All says that the set holds every address.
func (s *Addresses) All() bool { return s == nil || s.Any && len(s.no) == 0 }

// All says that the set holds every port.
func (s *Ports) All() bool { return s == nil || s.Any && len(s.no) == 0 }

// Has says whether the set holds a. An unknown address (the zero value) is in
// every set: what is not known must not keep a rule silent.
func (s *Addresses) Has(a netip.Addr) bool {
	if s == nil || s.Any && len(s.no) == 0 || !a.IsValid() {
		return true
	}
	a = a.Unmap()
	for _, r := range s.no {
		if r.has(a) {
			return false
		}
	}
	if s.Any || len(s.yes) == 0 {
		return true
	}
	for _, r := range s.yes {
		if r.has(a) {
			return true
		}
	}
	return false
}

func (r addressRange) has(a netip.Addr) bool {
	return a.BitLen() == r.from.BitLen() && r.from.Compare(a) <= 0 && a.Compare(r.to) <= 0
}

// Has says whether the set holds p; port 0 is unknown and in every set.
func (s *Ports) Has(p uint16) bool {
	if s == nil || s.Any && len(s.no) == 0 || p == 0 {
		return true
	}
	for _, r := range s.no {
		if r.from <= p && p <= r.to {
			return false
		}
	}
	if s.Any || len(s.yes) == 0 {
		return true
	}
	for _, r := range s.yes {
		if r.from <= p && p <= r.to {
			return true
		}
	}
	return false
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

// maxNesting bounds lists in lists and variables in variables.
const maxNesting = 12

func (v *Vars) address(text string) (*Addresses, string) {
	if a := v.addresses[text]; a != nil {
		return a, ""
	}
	a := &Addresses{}
	if msg := v.addAddress(a, text, false, 0); msg != "" {
		return nil, msg
	}
	if !a.Any && len(a.yes) == 0 {
		a.Any = true
	}
	if a.Any && len(a.no) == 0 {
		a = anyAddress
	}
	if v.addresses == nil {
		v.addresses = map[string]*Addresses{}
	}
	v.addresses[text] = a
	return a, ""
}

func (v *Vars) addAddress(a *Addresses, text string, not bool, depth int) string {
	if depth > maxNesting {
		return fmt.Sprintf("lists or variables nested more than %d deep", maxNesting)
	}
	text = strings.TrimSpace(text)
	for strings.HasPrefix(text, "!") {
		not, text = !not, strings.TrimSpace(text[1:])
	}
	switch {
	case text == "" || strings.EqualFold(text, "any"):
		if text == "" {
			return "an empty address in a list"
		}
		if not && depth == 0 {
			return "!any matches nothing"
		}
		a.Any = a.Any || !not
		return ""
	case text[0] == '[':
		if text[len(text)-1] != ']' {
			return fmt.Sprintf("list %q is not closed by ]", clip(text))
		}
		for _, part := range splitList(text[1 : len(text)-1]) {
			if msg := v.addAddress(a, part, not, depth+1); msg != "" {
				return msg
			}
		}
		return ""
	case text[0] == '$':
		value, ok := v.Address[text[1:]]
		if !ok || strings.EqualFold(strings.TrimSpace(value), "any") {
			a.Any = true
			return ""
		}
		return v.addAddress(a, value, not, depth+1)
	}
	r, err := parseAddress(text)
	if err != nil {
		return fmt.Sprintf("%q is no address, network, range or variable", clip(text))
	}
	if not {
		a.no = append(a.no, r)
	} else {
		a.yes = append(a.yes, r)
	}
	return ""
}

func parseAddress(text string) (addressRange, error) {
	if from, to, ok := strings.Cut(text, "-"); ok {
		a, err := netip.ParseAddr(strings.TrimSpace(from))
		if err != nil {
			return addressRange{}, err
		}
		b, err := netip.ParseAddr(strings.TrimSpace(to))
		if err != nil {
			return addressRange{}, err
		}
		return addressRange{a.Unmap(), b.Unmap()}, nil
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
			return addressRange{}, err
		}
		p = p.Masked()
		return addressRange{p.Addr(), last(p)}, nil
	}
	a, err := netip.ParseAddr(text)
	return addressRange{a.Unmap(), a.Unmap()}, err
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

func (v *Vars) port(text string) (*Ports, string) {
	if a := v.ports[text]; a != nil {
		return a, ""
	}
	a := &Ports{}
	if msg := v.addPort(a, text, false, 0); msg != "" {
		return nil, msg
	}
	if !a.Any && len(a.yes) == 0 {
		a.Any = true
	}
	if a.Any && len(a.no) == 0 {
		a = anyPort
	}
	if v.ports == nil {
		v.ports = map[string]*Ports{}
	}
	v.ports[text] = a
	return a, ""
}

func (v *Vars) addPort(a *Ports, text string, not bool, depth int) string {
	if depth > maxNesting {
		return fmt.Sprintf("lists or variables nested more than %d deep", maxNesting)
	}
	text = strings.TrimSpace(text)
	for strings.HasPrefix(text, "!") {
		not, text = !not, strings.TrimSpace(text[1:])
	}
	switch {
	case text == "":
		return "an empty port in a list"
	case strings.EqualFold(text, "any"):
		if not && depth == 0 {
			return "!any matches nothing"
		}
		a.Any = a.Any || !not
		return ""
	case text[0] == '[':
		if text[len(text)-1] != ']' {
			return fmt.Sprintf("list %q is not closed by ]", clip(text))
		}
		for _, part := range splitList(text[1 : len(text)-1]) {
			if msg := v.addPort(a, part, not, depth+1); msg != "" {
				return msg
			}
		}
		return ""
	case text[0] == '$':
		value, ok := v.Port[text[1:]]
		if !ok || strings.EqualFold(strings.TrimSpace(value), "any") {
			a.Any = true
			return ""
		}
		return v.addPort(a, value, not, depth+1)
	}
	r := portRange{0, 65535}
	from, to, ranged := strings.Cut(text, ":")
	if !ranged {
		to = from
	}
	for i, s := range [...]string{from, to} {
		s = strings.TrimSpace(s)
		if s == "" && ranged {
			continue
		}
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return fmt.Sprintf("%q is no port, range or variable", clip(text))
		}
		if i == 0 {
			r.from = uint16(n)
		} else {
			r.to = uint16(n)
		}
	}
	if r.from > r.to {
		return fmt.Sprintf("port range %q ends before it begins", clip(text))
	}
	if not {
		a.no = append(a.no, r)
	} else {
		a.yes = append(a.yes, r)
	}
	return ""
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
