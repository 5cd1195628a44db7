package keyword

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// Keyword is one option of the rule language.
type Keyword struct {
	Name string
	Help string
	// Parse adds what the option asks for to the rule under construction.
	Parse func(b *Builder, o rule.Option) error
}

// Skip is the error of a rule that is well-formed but cannot apply to an HTTP
// request.
type Skip struct{ Reason string }

func (s Skip) Error() string { return s.Reason }

// unsupported is the error of an option that is known to exist but not here.
type unsupported struct{ why string }

func (u unsupported) Error() string { return u.why }

// item is a step with the buffer it belongs to, until groups are made.
type item struct {
	spec *Spec
	seq  int // which choice of a sticky buffer it stands behind
	step Step
	// aside says that the step leaves the cursor where it was.
	aside bool
}

// absence asks for a part that the request does not have.
type absence struct {
	spec   *Spec
	orElse bool
}

// Builder makes a Program from a rule's options, one after another.
type Builder struct {
	Rule  *rule.Rule
	Prog  *Program
	files *rule.Files

	sticky *Spec // nil: the payload
	seq    int
	items  []item
	absent map[string]absence // by the Spec's key
	// address is ip.src or ip.dst while one of them is chosen.
	address string
	// known says whether an option is one of the language.
	known  func(name string) bool
	vars   map[string]int
	last   *Content // modifiers change it
	lastAt int
	// decode is the base64_decode that base64_data reads; data collects its
	// steps while base64_data is chosen.
	decode *base64Decode
	inB64  bool
	// sawSkip is a reason the rule does not apply, settled at the end so
	// that a mistake elsewhere in the rule is still reported.
	sawSkip string
	http    bool // names a buffer of an HTTP request
}

func specKey(id buffer.ID, arg string, tr []Transform) string {
	var b strings.Builder
	b.WriteString(id.String())
	if arg != "" {
		b.WriteString(" ")
		b.WriteString(arg)
	}
	for _, t := range tr {
		b.WriteString("|")
		b.WriteString(t.Key())
	}
	return b.String()
}

func newSpec(id buffer.ID, arg string) *Spec {
	return &Spec{ID: id, Arg: arg, Key: specKey(id, arg, nil)}
}

func (b *Builder) snort3() bool { return b.Rule.Dialect == rule.Snort3 }

func (b *Builder) payload() *Spec {
	if b.snort3() {
		return newSpec(buffer.NPayload, "")
	}
	return newSpec(buffer.SPayload, "")
}

// spec is the buffer a step belongs to: the chosen one; else for a relative
// step that of the last content; else the payload.
func (b *Builder) spec(relative bool) *Spec {
	if b.sticky != nil {
		return b.sticky
	}
	if relative {
		for i := len(b.items) - 1; i >= 0; i-- {
			if !b.items[i].aside {
				return b.items[i].spec
			}
		}
	}
	return b.payload()
}

func (b *Builder) add(spec *Spec, s Step) {
	if b.inB64 && b.decode != nil {
		b.decode.data = append(b.decode.data, s)
		b.lastAt = -1
		return
	}
	b.items = append(b.items, item{spec: spec, seq: b.seq, step: s})
	b.lastAt = len(b.items) - 1
}

// aside adds a step on a buffer of its own; the chosen buffer stays chosen.
func (b *Builder) aside(id buffer.ID, arg string, s Step) {
	b.http = true
	b.items = append(b.items, item{newSpec(id, arg), -1 - len(b.items), s, true})
}

// choose makes a buffer the one that further steps look at.
func (b *Builder) choose(id buffer.ID, arg string) {
	b.sticky = newSpec(id, arg)
	b.seq++
	b.inB64, b.address = false, ""
	b.http = b.http || id != buffer.NPayload && id != buffer.SPayload
}

// gone notes that a part must not be there.
func (b *Builder) gone(spec *Spec, orElse bool) {
	if b.absent == nil {
		b.absent = map[string]absence{}
	}
	b.absent[spec.Key] = absence{spec, orElse}
}

func (b *Builder) skip(reason string) {
	if b.sawSkip == "" {
		b.sawSkip = reason
	}
}

// number reads a number or the name of a byte_extract variable.
func (b *Builder) number(s string) (num, error) {
	s = strings.TrimSpace(s)
	if v, ok := b.vars[s]; ok {
		return num{v: v + 1}, nil
	}
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		if n, err = strconv.ParseInt(s, 10, 64); err != nil {
			return num{}, fmt.Errorf("%q is no number and no variable set before", clip(s))
		}
	}
	return num{n: n}, nil
}

func (b *Builder) variable(name string) int {
	if i, ok := b.vars[name]; ok {
		return i
	}
	if b.vars == nil {
		b.vars = map[string]int{}
	}
	i := len(b.vars)
	b.vars[name] = i
	return i
}

// num is a number known at load, or a variable (v is its index plus one).
type num struct {
	n int64
	v int
}

// bits are all 64 of the number, as byte options compare and calculate.
func (n num) bits(c *Cursor) uint64 {
	if n.v > 0 {
		return uint64(c.Vars[n.v-1])
	}
	return uint64(n.n)
}

func (n num) value(c *Cursor) int {
	if n.v > 0 {
		x := c.Vars[n.v-1]
		return int(min(max(x, -1<<31), 1<<31))
	}
	return int(n.n)
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

// maxVars bounds the variables of one rule.
const maxVars = 16

// skippedProtocols cannot carry an HTTP request in clear.
var skippedProtocols = map[string]bool{
	"udp": true, "icmp": true, "icmpv4": true, "icmpv6": true, "dns": true, "tls": true, "ssl": true, "smtp": true,
	"smb": true, "smb2": true, "ftp": true, "ftp-data": true, "ssh": true, "dcerpc": true, "dnp3": true, "modbus": true,
	"enip": true, "nfs": true, "ikev2": true, "ike": true, "krb5": true, "ntp": true, "dhcp": true, "rfb": true, "rdp": true,
	"snmp": true, "tftp": true, "sip": true, "mqtt": true, "imap": true, "pop3": true, "telnet": true, "quic": true,
	"pgsql": true, "bittorrent-dht": true, "websocket": true, "ldap": true, "doh2": true, "arp": true, "sctp": true,
	"ipv4": true, "ipv6": true, "ip4": true, "ip6": true, "pkthdr": true, "ether": true, "file": true, "user": true,
	"mdns": true, "template": true, "dcerpc-tcp": true, "tcp-pkt": true, "mysql": true, "llmnr": true, "sdp": true,
	"igmp": true, "gre": true, "esp": true, "ah": true, "radius": true, "netbios-ssn": true, "netbios-ns": true, "cip": true,
	"s7commplus": true, "mms": true, "opcua": true, "iec104": true, "gtp": true, "rtp": true, "rpc": true, "sunrpc": true,
	"socks": true, "stun": true, "teredo": true, "irc": true, "pop": true, "ftps": true, "http3": true, "dccp": true,
	"decoder-event": true, "unknown": true, "failed": true, "llc": true, "ppp": true, "vlan": true, "mpls": true,
}

var httpProtocols = map[string]bool{"http": true, "http1": true, "http2": true, "tcp": true, "tcp-stream": true, "ip": true}

// Compile makes a Program of a parsed rule. The error is a Skip when the rule
// cannot apply to an HTTP request, else a *rule.Error with the option's place.
func Compile(r *rule.Rule, files *rule.Files) (*Program, error) {
	b := &Builder{Rule: r, files: files, Prog: &Program{Rule: r, GID: 1, Rev: 0, Priority: 3}}
	if r.Action == "accept" || strings.Contains(r.Action, ":") || strings.Contains(r.Action, ",") {
		return b.Prog, r.Errorf(0, "action %q belongs to Suricata's firewall mode and is not supported", r.Action)
	}
	b.known = func(name string) bool { return byName[name] != nil }
	switch r.Action {
	case "config":
		b.skip("configures the engine")
	case "dynamic":
		b.skip("is switched on by another rule")
	case "file_id":
		b.skip("tells types of files apart")
	}
	if !httpProtocols[r.Proto] && !skippedProtocols[r.Proto] {
		return b.Prog, r.Errorf(0, "unknown protocol %q", r.Proto)
	}
	if r.Hook != "" && !strings.HasPrefix(r.Hook, "request") && r.Hook != "all" {
		b.skip("about a response: hook " + r.Hook)
	}
	skipProto := skippedProtocols[r.Proto]
	for _, o := range r.Options {
		k := byName[o.Name]
		if k == nil {
			if protocol := otherProtocol(o.Name); protocol != "" {
				b.skip("option " + o.Name + ": about the protocol " + protocol)
			}
			if skipProto || b.sawSkip != "" {
				continue
			}
			return b.Prog, r.Errorf(o.Off, "unknown option %q", clip(o.Name))
		}
		if skipProto && !identity[o.Name] {
			continue
		}
		if err := k.Parse(b, o); err != nil {
			switch e := err.(type) {
			case Skip:
				b.skip(e.Reason)
				continue
			case unsupported:
				if b.sawSkip != "" {
					continue
				}
				return b.Prog, r.Errorf(o.Off, "option %s: %s", o.Name, e.why)
			}
			if b.sawSkip != "" {
				continue
			}
			return b.Prog, r.Errorf(o.Off, "option %s: %v", o.Name, err)
		}
	}
	if skipProto {
		return b.Prog, Skip{"protocol " + r.Proto + " carries no HTTP request that a rule could see"}
	}
	if b.sawSkip != "" {
		return b.Prog, Skip{b.sawSkip}
	}
	if b.Prog.SID == 0 && !r.Bare {
		return b.Prog, r.Errorf(0, "the rule has no sid")
	}
	if reason := b.rawTCP(); reason != "" {
		return b.Prog, Skip{reason}
	}
	b.groups()
	b.requestFiles()
	b.wholeValues()
	b.packetData()
	b.Prog.Vars = len(b.vars)
	if b.Prog.Vars > maxVars {
		return b.Prog, r.Errorf(0, "more than %d variables", maxVars)
	}
	return b.Prog, nil
}

// rawTCP is why a rule about TCP at large does not apply to HTTP requests, or
// empty when it does: it names a part of an HTTP request, or the port or
// service of HTTP.
func (b *Builder) rawTCP() string {
	r := b.Rule
	if b.http || strings.HasPrefix(r.Proto, "http") || b.Prog.serviceHTTP() {
		return ""
	}
	if r.Dialect != rule.Snort3 && r.DstIsHTTP && len(b.items) > 0 {
		return ""
	}
	return "about TCP packets of no named protocol"
}

// serviceHTTP says whether the rule names HTTP as its service; a rule of Snort
// 2 does so in its metadata.
func (p *Program) serviceHTTP() bool {
	for _, m := range p.Metadata {
		if name, v, _ := strings.Cut(m, " "); name == "service" && p.Rule.Dialect != rule.Snort3 && strings.TrimSpace(v) == "http" {
			return true
		}
	}
	o, ok := p.Rule.Option("service")
	if !ok {
		return false
	}
	for _, s := range rule.Fields(o.Value) {
		if s == "http" || s == "http2" {
			return true
		}
	}
	return false
}

// several says whether a buffer may have more than one value: then each
// choice of it is a group of its own.
func several(id buffer.ID) bool {
	switch id {
	case buffer.SRequestHeader, buffer.SFileData, buffer.SFileName, buffer.SValue:
		return true
	}
	return false
}

// groups sorts the steps by buffer. Suricata keeps one list a buffer for the
// whole rule; Snort 3 begins anew at every choice of a buffer.
func (b *Builder) groups() {
	type at struct {
		key string
		seq int
	}
	index := map[at]int{}
	for _, it := range b.items {
		k := at{key: it.spec.Key}
		if b.snort3() || several(it.spec.ID) {
			k.seq = it.seq
		}
		i, ok := index[k]
		if !ok {
			i = len(b.Prog.Groups)
			index[k] = i
			b.Prog.Groups = append(b.Prog.Groups, Group{Spec: it.spec})
		}
		g := &b.Prog.Groups[i]
		g.Steps = append(g.Steps, it.step)
	}
	for i := range b.Prog.Groups {
		g := &b.Prog.Groups[i]
		settle(g.Steps, b.snort3())
		if _, ok := b.absent[g.Spec.Key]; ok {
			g.Absent = true
		}
	}
	keys := make([]string, 0, len(b.absent))
	for key := range b.absent {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		found := false
		for _, g := range b.Prog.Groups {
			found = found || g.Spec.Key == key
		}
		if !found {
			b.Prog.Groups = append(b.Prog.Groups, Group{Spec: b.absent[key].spec, Absent: true, OnlyAbsent: true})
		}
	}
}

// requestFiles keeps a rule about the direction to the server from looking at
// the names of files that are asked for: those are the answer's.
func (b *Builder) requestFiles() {
	for i := range b.Prog.Groups {
		if g := &b.Prog.Groups[i]; b.Prog.Directed && g.Spec.ID == buffer.SFileName {
			s := *g.Spec
			s.Arg = "sent"
			s.Key = specKey(s.ID, s.Arg, s.Transforms)
			g.Spec = &s
		}
	}
}

// wholeValues makes the groups about values of a rule that also looks at the
// body take the head's values too: it runs only once the body is there.
func (b *Builder) wholeValues() {
	body := false
	for _, g := range b.Prog.Groups {
		body = body || g.Spec.ID.Body()
	}
	for i := range b.Prog.Groups {
		if g := &b.Prog.Groups[i]; body && g.Spec.ID == buffer.SValue {
			s := *g.Spec
			s.Arg = "all"
			s.Key = specKey(s.ID, s.Arg, s.Transforms)
			g.Spec = &s
		}
	}
}

// packetData narrows what Snort 3's contents without a buffer look at. It
// hands the head to such contents, but looks for fast patterns in the data of
// bodies alone: a rule whose fast pattern has no buffer never comes to a head.
func (b *Builder) packetData() {
	if !b.snort3() {
		return
	}
	marked, elsewhere := false, false
	for _, g := range b.Prog.Groups {
		elsewhere = elsewhere || g.Spec.ID != buffer.NPayload
		for _, s := range g.Steps {
			if c, ok := s.(*Content); ok && c.Fast {
				marked = marked || g.Spec.ID == buffer.NPayload
			}
		}
	}
	if elsewhere && !marked {
		return
	}
	for i := range b.Prog.Groups {
		if g := &b.Prog.Groups[i]; g.Spec.ID == buffer.NPayload {
			g.Spec = newSpec(buffer.NPayload, "body")
		}
	}
}

// settle tells each searcher whether steps behind it depend on its place. In
// Suricata that is asked of the content or expression right before a relative
// step alone, and a content bound by distance only does not need another place.
func settle(steps []Step, snort3 bool) {
	for i, s := range steps {
		if a, ok := s.(interface{ setAgain(bool) }); ok {
			if snort3 {
				a.setAgain(needed(steps[i+1:]))
			} else {
				a.setAgain(neededHere(s, steps[i+1:]))
			}
		}
		if d, ok := s.(*base64Decode); ok {
			settle(d.data, snort3)
		}
	}
}

// needed says whether a step depends on the place of the one before the list,
// up to the next that moves the cursor.
func needed(behind []Step) bool {
	for _, n := range behind {
		if isRelative(n) {
			return true
		}
		if f, ok := n.(interface{ moves() bool }); ok && f.moves() {
			return false
		}
	}
	return false
}

// neededHere is needed as Suricata has it for s.
func neededHere(s Step, behind []Step) bool {
	_, content := s.(*Content)
	for _, n := range behind {
		_, last := n.(*PCRE)
		relative := isRelative(n)
		switch n := n.(type) {
		case *Content:
			last = true
			relative = n.hasWin || n.hasDistance && (n.Negated || !content)
		case *base64Decode:
			relative = false
		}
		if relative {
			return true
		}
		if last {
			return false
		}
	}
	return false
}
