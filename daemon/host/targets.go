package host

import (
	"net"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/daemon/host/nginxconf"
)

// Target is one location as a client reaches it.
type Target struct {
	Server, Location, Place string
	// Mode is that of the include file that guards it, ByHand for doors that
	// someone wrote without one, and empty when no door stands there.
	Mode       string
	Address    string // host:port
	Host       string
	TLS, HTTP2 bool
	Path       string
	// Skip says why the location cannot be asked.
	Skip string

	triggers []trigger
	// wrong is what the configuration alone shows to let requests astray.
	wrong string
	// limited says that NGINX itself refuses some methods here.
	limited bool
}

// Modes of doors that are not an include file's.
const (
	ByHand      = "by hand"
	ByHandHeads = "by hand, headers alone"
)

// Targets lists every location that a backend, or a guard, stands in.
func Targets(c *nginxconf.Config, server string) (out []Target) {
	for _, h := range c.Root.Find("http") {
		for _, s := range h.Find("server") {
			if server != "" && !slices.Contains(ServerNames(s), server) {
				continue
			}
			for _, l := range s.Find("location") {
				if t, ok := targetOf(s, l); ok {
					out = append(out, t)
				}
			}
		}
	}
	return out
}

func targetOf(s, l *nginxconf.Directive) (Target, bool) {
	mode := modeOf(s, l)
	if ownLocation(l) || strings.HasPrefix(l.Args[0], "@") || (mode == "" && passOf(l) == nil) || len(l.Find("internal")) > 0 {
		return Target{}, false
	}
	address, isTLS, isHTTP2 := listenOf(s)
	t := Target{Server: ServerNames(s)[0], Location: strings.Join(l.Args, " "), Place: l.Place(), Mode: mode,
		Address: address, Host: hostOf(s), TLS: isTLS, HTTP2: isHTTP2, limited: len(l.Find("limit_except")) > 0}
	t.Path, t.Skip = pathOf(l)
	if address == "" {
		t.Skip = "the server listens on no TCP address"
	}
	if t.Skip == "" {
		t.triggers = triggersOf(s, l, t.Path)
	}
	t.wrong = twiceNamed(s, l)
	return t, true
}

// ModeOf is the mode and failure form of the include file in a location.
func ModeOf(l *nginxconf.Directive) string {
	for _, d := range l.Find("include") {
		if i := strings.LastIndex(d.Args[0], "sallyport/"); i >= 0 {
			name := strings.TrimSuffix(d.Args[0][i+len("sallyport/"):], ".conf")
			if m, _, _ := strings.Cut(name, "-"); slices.Contains([]string{"inline", "relay", "guard", "metadata", "observe"}, m) {
				return name
			}
		}
	}
	return ""
}

// modeOf knows doors written by hand, too: an auth_request that leads to ours.
func modeOf(s, l *nginxconf.Directive) string {
	if mode := ModeOf(l); mode != "" {
		return mode
	}
	door := asksOurs(s, l, "auth_request")
	if door == nil {
		return ""
	}
	mode := ByHand
	if asksOurs(s, l, "mirror") == nil {
		mode = ByHandHeads
	}
	for _, page := range door.Find("error_page") {
		if slices.Contains(page.Args, "502") {
			return mode + "-open"
		}
	}
	return mode + "-closed"
}

// asksOurs finds the location that a location's auth_request or mirror leads
// to, if that asks the daemon.
func asksOurs(s, l *nginxconf.Directive, directive string) *nginxconf.Directive {
	for _, d := range l.Find(directive) {
		for _, to := range s.Find("location") {
			if to.Args[len(to.Args)-1] != d.Args[0] {
				continue
			}
			if pass := passOf(to); pass != nil && strings.Contains(pass.Args[0], "sallyport") {
				return to
			}
		}
	}
	return nil
}

// twiceNamed says whether the named location that a guarded one leads to
// stands twice in the server: NGINX takes that, and mixes up their backends.
func twiceNamed(s, l *nginxconf.Directive) string {
	var to []string
	for _, set := range l.Find("set") {
		if set.Is("set", "$sallyport_to") && len(set.Args) == 2 {
			to = append(to, set.Args[1])
		}
	}
	for _, page := range l.Find("error_page") {
		to = append(to, page.Args[len(page.Args)-1])
	}
	for _, name := range to {
		var places []string
		for _, named := range s.Find("location") {
			if named.Args[0] == name && strings.HasPrefix(name, "@") {
				places = append(places, named.Place())
			}
		}
		if len(places) > 1 {
			return "named location " + name + " stands at " + strings.Join(places, " and ") + ": requests of one go to the other's backend"
		}
	}
	return ""
}

func hostOf(s *nginxconf.Directive) string {
	for _, name := range ServerNames(s) {
		if name != "_" && !strings.ContainsAny(name, "*~^") && name != "" {
			return strings.TrimPrefix(name, ".")
		}
	}
	return "localhost"
}

// listenOf is the first TCP address of a server, as one connects to it.
func listenOf(s *nginxconf.Directive) (address string, isTLS, isHTTP2 bool) {
	listens := s.Find("listen")
	if len(listens) == 0 {
		return "127.0.0.1:80", false, false
	}
	for _, d := range s.Inherited("http2") {
		isHTTP2 = isHTTP2 || d.Is("http2", "on")
	}
	for _, d := range listens {
		at := d.Args[0]
		if strings.HasPrefix(at, "unix:") {
			continue
		}
		host, port, err := net.SplitHostPort(at)
		if err != nil {
			host, port = at, "80"
			if !strings.Contains(at, ".") && !strings.Contains(at, "[") && strings.Trim(at, "0123456789") == "" {
				host, port = "", at
			}
		}
		switch host {
		case "", "*", "0.0.0.0":
			host = "127.0.0.1"
		case "::", "[::]":
			host = "::1"
		}
		return net.JoinHostPort(strings.Trim(host, "[]"), port), slices.Contains(d.Args, "ssl"), isHTTP2 || slices.Contains(d.Args, "http2")
	}
	return "", false, false
}

// pathOf is a path that the location takes.
func pathOf(l *nginxconf.Directive) (path, skip string) {
	pattern := l.Args[len(l.Args)-1]
	if !isRegex(l) {
		return pattern, ""
	}
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return "", "no path can be made for its pattern: name one with --path"
	}
	path = sample(re.Simplify())
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	flags := ""
	if l.Args[0] == "~*" {
		flags = "(?i)"
	}
	if ok, err := regexp.MatchString(flags+pattern, path); err != nil || !ok {
		return "", "no path can be made for its pattern: name one with --path"
	}
	return path, ""
}

// sample is a short text that a pattern matches.
func sample(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for _, c := range []rune{'x', '1'} {
				if re.Rune[i] <= c && c <= re.Rune[i+1] {
					return string(c)
				}
			}
		}
		if len(re.Rune) > 0 {
			return string(re.Rune[0])
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "x"
	case syntax.OpCapture, syntax.OpPlus:
		return sample(re.Sub[0])
	case syntax.OpRepeat:
		return strings.Repeat(sample(re.Sub[0]), re.Min)
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range re.Sub {
			b.WriteString(sample(sub))
		}
		return b.String()
	case syntax.OpAlternate:
		return sample(re.Sub[0])
	}
	return ""
}
