package rule

import (
	"strings"
)

// actions are the words a rule may begin with, in any dialect.
var actions = map[string]bool{
	"alert": true, "log": true, "pass": true, "drop": true, "block": true,
	"reject": true, "rejectsrc": true, "rejectdst": true, "rejectboth": true,
	"sdrop": true, "rewrite": true, "react": true, "activate": true,
	"dynamic": true, "config": true, "accept": true, "file_id": true,
}

// IsAction says whether a line that begins with this word is a rule.
func IsAction(word string) bool {
	word, _, _ = strings.Cut(word, ":")
	word, _, _ = strings.Cut(word, ",")
	return actions[word]
}

// parser takes one rule apart.
type parser struct {
	r    *Rule
	text string
	i    int
	vars *Vars
}

// Parse takes one rule apart. Its text is r.Text; the rest of r is filled in.
func (r *Rule) parse(vars *Vars) *Error {
	p := &parser{r: r, text: r.Text, vars: vars}
	if len(r.Text) > MaxRule {
		return r.Errorf(0, "rule of %d bytes, at most %d expected", len(r.Text), MaxRule)
	}
	if err := p.header(); err != nil {
		return err
	}
	if err := p.options(); err != nil {
		return err
	}
	r.Dialect = dialectOf(r)
	return nil
}

func (p *parser) space() {
	for p.i < len(p.text) && isSpace(p.text[p.i]) {
		p.i++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// word reads up to a space outside square brackets, or up to "(".
func (p *parser) word() (string, int) {
	p.space()
	start, depth := p.i, 0
	for p.i < len(p.text) {
		c := p.text[p.i]
		if c == '[' {
			depth++
		} else if c == ']' {
			depth--
		} else if depth <= 0 && (isSpace(c) || c == '(') {
			break
		}
		p.i++
	}
	return p.text[start:p.i], start
}

func (p *parser) header() *Error {
	r := p.r
	action, at := p.word()
	r.Action = strings.ToLower(action)
	if !IsAction(r.Action) {
		return r.Errorf(at, "unknown action %q, expected alert, log, pass, drop, block, reject, sdrop or rewrite", clip(action))
	}
	proto, at := p.word()
	if proto == "" {
		// Snort 3 allows a rule about any protocol: "alert ( ... )".
		p.space()
		if p.i < len(p.text) && p.text[p.i] == '(' {
			r.Bare, r.Proto = true, "ip"
			r.Src, r.Dst, r.SrcPorts, r.DstPorts = anyAddress, anyAddress, anyPort, anyPort
			return nil
		}
		return r.Errorf(at, "expected a protocol after %q", clip(action))
	}
	proto, r.Hook, _ = strings.Cut(strings.ToLower(proto), ":")
	r.Proto = proto
	p.space()
	if p.i < len(p.text) && p.text[p.i] == '(' {
		r.Bare = true
		r.Src, r.Dst, r.SrcPorts, r.DstPorts = anyAddress, anyAddress, anyPort, anyPort
		return nil
	}
	var err *Error
	if r.Src, err = p.addresses(); err != nil {
		return err
	}
	if r.SrcPorts, _, err = p.ports(); err != nil {
		return err
	}
	arrow, at := p.word()
	switch arrow {
	case "->", "=>":
	case "<>":
		r.Both = true
	case "<-":
		return r.Errorf(at, "direction <- is not supported by any engine, write -> and swap the sides")
	default:
		return r.Errorf(at, "expected a direction, -> or <>, found %q", clip(arrow))
	}
	if r.Dst, err = p.addresses(); err != nil {
		return err
	}
	r.DstPorts, r.DstIsHTTP, err = p.ports()
	return err
}

func (p *parser) addresses() (*Addresses, *Error) {
	w, at := p.word()
	if w == "" {
		return nil, p.r.Errorf(at, "expected an address, a list in [ ], a variable or any")
	}
	a, msg := p.vars.address(w)
	if msg != "" {
		return nil, p.r.Errorf(at, "%s", msg)
	}
	return a, nil
}

func (p *parser) ports() (*Ports, bool, *Error) {
	w, at := p.word()
	if w == "" {
		return nil, false, p.r.Errorf(at, "expected a port, a range, a list in [ ], a variable or any")
	}
	a, msg := p.vars.port(w)
	if msg != "" {
		return nil, false, p.r.Errorf(at, "%s", msg)
	}
	return a, strings.Contains(w, "$HTTP_PORTS"), nil
}

// options reads "( name; name:value; ... )".
func (p *parser) options() *Error {
	r := p.r
	p.space()
	if p.i >= len(p.text) || p.text[p.i] != '(' {
		return r.Errorf(p.i, "expected ( and the rule's options, found %q", clip(p.text[min(p.i, len(p.text)):]))
	}
	p.i++
	for {
		p.space()
		if p.i >= len(p.text) {
			return r.Errorf(p.i, "the rule ends without )")
		}
		if p.text[p.i] == ')' {
			break
		}
		if p.text[p.i] == ';' {
			p.i++
			continue
		}
		if len(r.Options) >= MaxOptions {
			return r.Errorf(p.i, "more than %d options", MaxOptions)
		}
		if err := p.option(); err != nil {
			return err
		}
	}
	rest := strings.TrimSpace(p.text[p.i+1:])
	if rest != "" && rest[0] != '#' {
		return r.Errorf(p.i+1, "text after the closing ): %q", clip(rest))
	}
	return nil
}

func (p *parser) option() *Error {
	start := p.i
	for p.i < len(p.text) {
		c := p.text[p.i]
		if c == ':' || c == ';' || c == ')' || c == '(' || c == '"' || isSpace(c) {
			break
		}
		p.i++
	}
	o := Option{Name: strings.ToLower(p.text[start:p.i]), Off: start}
	if o.Name == "" {
		return p.r.Errorf(start, "expected the name of an option, found %q", clip(p.text[start:]))
	}
	p.space()
	if p.i < len(p.text) && p.text[p.i] == ':' {
		p.i++
		p.space()
		o.Has = true
		v, ok := p.value(o.Name)
		if !ok {
			return p.r.Errorf(start, "option %s has no ; at its end", clip(o.Name))
		}
		o.Value = strings.TrimSpace(v)
		p.r.Options = append(p.r.Options, o)
		return nil
	}
	if p.i >= len(p.text) || p.text[p.i] != ';' && p.text[p.i] != ')' {
		return p.r.Errorf(p.i, "expected : or ; after option %s", clip(o.Name))
	}
	if p.text[p.i] == ';' {
		p.i++
	}
	p.r.Options = append(p.r.Options, o)
	return nil
}

// value reads up to the semicolon that ends an option and leaves p.i behind
// it. Inside quotes a semicolon belongs to the value; a quote ends them only
// before a semicolon, a closing bracket or, in a content, a comma, so that
// patterns with bare quotes in them, which both engines take, are read whole.
func (p *parser) value(name string) (string, bool) {
	if v, next, ok := scanValue(p.text, p.i, true, name); ok {
		p.i = next
		return v, true
	}
	v, next, ok := scanValue(p.text, p.i, false, name)
	if ok {
		p.i = next
	}
	return v, ok
}

func scanValue(t string, i int, quotes bool, name string) (string, int, bool) {
	start, quoted := i, false
	commas := strings.HasSuffix(name, "content")
	for ; i < len(t); i++ {
		switch c := t[i]; {
		case c == '\\' && i+1 < len(t):
			i++
		case c == '"' && quotes:
			if !quoted {
				quoted = true
				continue
			}
			j := i + 1
			for j < len(t) && isSpace(t[j]) {
				j++
			}
			if j >= len(t) || t[j] == ';' || t[j] == ',' && (commas || name != "pcre") || t[j] == ')' && endsRule(t[j:]) {
				quoted = false
			} else if name != "pcre" && name != "msg" && !commas {
				quoted = false
			}
		case c == ';' && !quoted:
			return t[start:i], i + 1, true
		}
	}
	// The last option of a rule may go without its semicolon.
	if end := strings.TrimRight(t, " \t\r\n"); !quoted && strings.HasSuffix(end, ")") && len(end) > start {
		return t[start : len(end)-1], len(end) - 1, true
	}
	return "", i, false
}

func endsRule(s string) bool { return strings.TrimSpace(s[1:]) == "" }

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

// dialectOf tells the dialects apart by what only one of them has. Unknown
// means that the rule reads the same in all.
func dialectOf(r *Rule) Dialect {
	if r.Bare {
		return Snort3
	}
	if r.Hook != "" {
		return Suricata
	}
	for _, o := range r.Options {
		if snort3Only[o.Name] || o.Name == "content" && len(Fields(o.Value)) > 1 {
			return Snort3
		}
	}
	content := false
	for _, o := range r.Options {
		switch {
		case strings.HasSuffix(o.Name, "content"):
			content = true
		case strings.Contains(o.Name, ".") || suricataOnly[o.Name]:
			return Suricata
		case strings.HasPrefix(o.Name, "http_") && !content && !stickyInBoth[o.Name]:
			return Snort3
		case snort2Modifiers[o.Name]:
			if r.Proto != "tcp" && r.Proto != "ip" && r.Proto != "udp" && r.Proto != "icmp" {
				return Suricata
			}
			return Snort2
		}
	}
	switch r.Proto {
	case "http":
		return Suricata
	}
	return Unknown
}

var snort3Only = set("service", "bufferlen", "rem", "raw_data", "sip_method", "sip_stat_code", "appids", "http_version", "http_param", "http_raw_body", "http_raw_request", "http_raw_trailer", "http_trailer", "http_true_ip", "js_data", "vba_data", "http_version_match", "http_num_headers", "http_num_cookies", "http_num_trailers", "http_max_header_line", "http_max_trailer_line", "http_header_test", "http_trailer_test", "soid", "file_type", "http_raw_status", "regex", "sd_pattern", "md5", "sha256", "sha512", "file_meta", "ber_data", "ber_skip")

var suricataOnly = set("bsize", "startswith", "endswith", "xbits", "app-layer-protocol", "app-layer-event", "flowint", "dotprefix", "dataset", "http_user_agent", "http_host", "http_raw_host", "http_content_type", "http_content_len", "http_header_names", "http_accept", "http_accept_lang", "http_accept_enc", "http_referer", "http_connection", "http_start", "http_request_line", "http_protocol", "http_server_body", "tls_sni", "dns_query", "ja3_hash", "filemagic", "filestore", "filename", "fileext", "filesize", "filemd5", "filesha1", "filesha256", "datarep", "hostbits", "entropy", "requires", "absent", "frame", "target", "prefilter", "noalert", "stream_size", "threshold")

// stickyInBoth are underscore names that Suricata takes as sticky buffers,
// so that standing first does not make a rule Snort 3.
var stickyInBoth = set("http_encode", "http_header_names", "http_protocol", "http_request_line", "http_start", "http_accept", "http_accept_lang", "http_accept_enc", "http_referer", "http_connection", "http_content_type", "http_content_len", "http_response_line")

var snort2Modifiers = set("nocase", "depth", "offset", "distance", "within", "fast_pattern", "rawbytes", "uricontent", "urilen", "http_uri", "http_raw_uri", "http_header", "http_raw_header", "http_method", "http_cookie", "http_raw_cookie", "http_client_body", "http_stat_code", "http_stat_msg", "http_encode", "protected_content")

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}
