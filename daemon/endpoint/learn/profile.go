package learn

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/daemon/endpoint"
)

// Kinds of value, as bits. The ones of text are what a string looks like.
const (
	kindNull uint32 = 1 << iota
	kindBool
	kindInt
	kindNumber
	kindObject
	kindArray
	textEmpty
	textBool
	textInt
	textNumber
	textUUID
	textDate
	textDateTime
	textEmail
	textURI
	textIPv4
	textOther
)

const anyText = textEmpty | textBool | textInt | textNumber | textUUID | textDate | textDateTime | textEmail | textURI | textIPv4 | textOther

// Classes of characters, as bits.
const (
	charLower uint16 = 1 << iota
	charUpper
	charDigit
	charDash
	charUnderscore
	charDot
	charOther
)

// Bounds of enum candidates.
const (
	maxChoices  = 16
	maxChoice   = 40 // bytes of a value
	enoughCalls = 10 // per value of an enum
)

// profile is what is known of one parameter or member: at most 6 KB of
// clients and 4 KB of enum candidates.
type profile struct {
	clients endpoint.Distinct
	calls   uint64
	crowd   crowd
	choices []choice
	// spill are the clients that sent what is not among choices.
	spill   endpoint.Distinct
	open    bool // no enum: too many clients sent too many values
	example string

	owner     uint64 // the client that brought it
	confirmed bool   // by another client
}

type choice struct {
	value   string
	calls   uint64
	clients endpoint.Distinct
}

// text learns from a value that is text on the wire.
func (p *profile) text(v []byte, client uint64, example bool) {
	p.note(classify(v), v, client, example)
}

// note learns from one value of a kind.
func (p *profile) note(kind uint32, v []byte, client uint64, example bool) {
	p.calls++
	p.clients.Add(client)
	if example && p.example == "" && len(v) <= 128 {
		p.example = string(v)
	}
	if w := p.crowd.at(client); w != nil {
		w.calls++
		w.kinds |= kind
		switch {
		case kind&anyText != 0:
			w.length(uint32(min(len(v), 1<<31)))
			w.chars |= characters(v)
			if kind&(textInt|textNumber) != 0 {
				w.parse(v)
			}
		case kind&(kindInt|kindNumber) != 0:
			w.parse(v)
		}
	}
	if kind == textOther || kind == textBool {
		p.choose(v, client)
	} else if kind&anyText != 0 {
		p.spill.Add(client)
	}
}

func (w *witness) parse(v []byte) {
	if len(v) <= 40 {
		if f, err := strconv.ParseFloat(string(v), 64); err == nil {
			w.number(f)
		}
	}
}

// choose keeps candidates for an enum: short plain words.
func (p *profile) choose(v []byte, client uint64) {
	if p.open {
		return
	}
	if len(v) > maxChoice || !plainWord(v) {
		p.spill.Add(client)
		p.giveUp()
		return
	}
	for i := range p.choices {
		if c := &p.choices[i]; c.value == string(v) {
			c.calls++
			c.clients.Add(client)
			return
		}
	}
	if len(p.choices) == maxChoices {
		least := 0
		for i := range p.choices {
			if p.choices[i].clients.Count() < p.choices[least].clients.Count() {
				least = i
			}
		}
		if p.choices[least].clients.Count() > 1 {
			p.spill.Add(client)
			p.giveUp()
			return
		}
		p.spill.Merge(&p.choices[least].clients)
		p.choices[least] = p.choices[len(p.choices)-1]
		p.choices = p.choices[:len(p.choices)-1]
		p.giveUp()
		if p.open {
			return
		}
	}
	c := choice{value: string(v), calls: 1}
	c.clients.Add(client)
	p.choices = append(p.choices, c)
}

// giveUp frees the candidates once most clients sent something else.
func (p *profile) giveUp() {
	if n := p.spill.Count(); n > 64 && 2*n > p.clients.Count() {
		p.choices, p.open = nil, true
	}
}

func plainWord(v []byte) bool {
	for _, c := range v {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == ':' || c == '+' || c == '/') {
			return false
		}
	}
	return len(v) > 0
}

func (p *profile) merge(o *profile) {
	p.confirmed = p.confirmed || o.confirmed || p.owner != o.owner
	p.calls += o.calls
	p.clients.Merge(&o.clients)
	p.crowd.merge(&o.crowd)
	p.spill.Merge(&o.spill)
	if p.example == "" {
		p.example = o.example
	}
	if p.open = p.open || o.open; p.open {
		p.choices = nil
		return
	}
next:
	for i := range o.choices {
		from := &o.choices[i]
		for k := range p.choices {
			if p.choices[k].value == from.value {
				p.choices[k].calls += from.calls
				p.choices[k].clients.Merge(&from.clients)
				continue next
			}
		}
		if len(p.choices) < maxChoices {
			p.choices = append(p.choices, *from)
		} else {
			p.spill.Merge(&from.clients)
		}
	}
}

// classify says what a text looks like.
func classify(v []byte) uint32 {
	switch {
	case len(v) == 0:
		return textEmpty
	case len(v) > 256:
		return textOther
	case string(v) == "true" || string(v) == "false":
		return textBool
	}
	switch endpoint.Classify(v) {
	case endpoint.Int:
		if len(v) <= 18 && (len(v) == 1 || v[0] != '0') {
			return textInt
		}
		return textOther
	case endpoint.Number:
		if bytes.IndexByte(v, ',') < 0 {
			if _, err := strconv.ParseInt(string(v), 10, 64); err == nil {
				return textInt
			}
			if _, err := strconv.ParseFloat(string(v), 64); err == nil {
				return textNumber
			}
		}
		return textOther
	case endpoint.UUID:
		return textUUID
	case endpoint.Email:
		return textEmail
	case endpoint.Date:
		if len(v) == 10 {
			if _, err := time.Parse(time.DateOnly, string(v)); err == nil {
				return textDate
			}
			return textOther
		}
		if _, err := time.Parse(time.RFC3339, string(v)); err == nil {
			return textDateTime
		}
		return textOther
	}
	if bytes.HasPrefix(v, []byte("http://")) || bytes.HasPrefix(v, []byte("https://")) {
		return textURI
	}
	if len(v) <= 15 && bytes.Count(v, []byte(".")) == 3 {
		if a, err := netip.ParseAddr(string(v)); err == nil && a.Is4() {
			return textIPv4
		}
	}
	return textOther
}

func characters(v []byte) (set uint16) {
	for _, c := range v[:min(len(v), 4096)] {
		switch {
		case c >= 'a' && c <= 'z':
			set |= charLower
		case c >= 'A' && c <= 'Z':
			set |= charUpper
		case c >= '0' && c <= '9':
			set |= charDigit
		case c == '-':
			set |= charDash
		case c == '_':
			set |= charUnderscore
		case c == '.':
			set |= charDot
		default:
			set |= charOther
		}
	}
	return set
}
