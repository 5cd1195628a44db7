package host

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/host/nginxconf"
)

// Target is one location as a client reaches it.
type Target struct {
	Server, Location, Place string
	Mode                    string // of the include file that guards it; empty when none does
	Address                 string // host:port
	Host                    string
	TLS, HTTP2              bool
	Path                    string
	// Skip says why the location cannot be asked.
	Skip string
}

// Targets lists every location that a backend, or a guard, stands in.
func Targets(c *nginxconf.Config, server string) (out []Target) {
	for _, h := range c.Root.Find("http") {
		for _, s := range h.Find("server") {
			if server != "" && !slices.Contains(ServerNames(s), server) {
				continue
			}
			address, isTLS, isHTTP2 := listenOf(s)
			for _, l := range s.Find("location") {
				mode := ModeOf(l)
				if ownLocation(l) || strings.HasPrefix(l.Args[0], "@") || (mode == "" && passOf(l) == nil) || len(l.Find("internal")) > 0 {
					continue
				}
				t := Target{Server: ServerNames(s)[0], Location: strings.Join(l.Args, " "), Place: l.Place(), Mode: mode,
					Address: address, Host: hostOf(s), TLS: isTLS, HTTP2: isHTTP2}
				if t.Path, t.Skip = pathOf(l); address == "" {
					t.Skip = "the server listens on no TCP address"
				}
				out = append(out, t)
			}
		}
	}
	return out
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

// Canaries makes canaries and tells where they were seen: the daemon, over its
// control socket.
type Canaries interface {
	Make() (string, error)
	Seen(canary string) ([]string, error)
}

// Proof is what became of one canary.
type Proof struct {
	Target
	Way       string // "header", "body in chunks", ...
	Inspected bool
	// Expected says whether the location's mode promises it.
	Expected bool
	Status   int
	Why      string
}

// Way is how a canary is sent.
type way struct {
	name     string
	body     bool // it stands in the body
	late     bool // past the inspection bound: seen nowhere, by design
	http2    bool
	send     func(p *prover, t *Target, canary string) (status int, err error)
	expected func(mode string) bool
}

func heads(mode string) bool  { return mode != "" && mode != "observe" }
func bodies(mode string) bool { return mode == "inline" || mode == "relay" }

var ways = []way{
	{name: "header", expected: heads, send: func(p *prover, t *Target, c string) (int, error) {
		return p.http1(t, "GET", t.Path, "X-Proof: "+c+"\r\n", "", false)
	}},
	{name: "query", expected: heads, send: func(p *prover, t *Target, c string) (int, error) {
		return p.http1(t, "GET", t.Path+"?proof="+c, "", "", false)
	}},
	{name: "second request on the connection", expected: heads, send: func(p *prover, t *Target, c string) (int, error) {
		return p.http1(t, "GET", t.Path, "X-Proof: "+c+"\r\n", "", true)
	}},
	{name: "body", body: true, expected: bodies, send: func(p *prover, t *Target, c string) (int, error) {
		return p.http1(t, "POST", t.Path, fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n", len(c)), c, false)
	}},
	{name: "body in chunks", body: true, expected: bodies, send: func(p *prover, t *Target, c string) (int, error) {
		return p.http1(t, "POST", t.Path, "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(c), c), false)
	}},
	{name: "body spooled to disk", body: true, expected: bodies, send: func(p *prover, t *Target, c string) (int, error) {
		body := strings.Repeat("harmless\n", 20_000) + c
		return p.http1(t, "POST", t.Path, fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n", len(body)), body, false)
	}},
	{name: "body over HTTP/2 without a length", body: true, http2: true, expected: bodies, send: (*prover).overHTTP2},
	{name: "body past the inspection bound", body: true, late: true, expected: func(string) bool { return false }, send: func(p *prover, t *Target, c string) (int, error) {
		body := strings.Repeat("harmless\n", int(p.bound)/9+1) + c
		return p.http1(t, "POST", t.Path, fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n", len(body)), body, false)
	}},
}

type prover struct {
	canaries Canaries
	bound    int64
}

// Prove sends canaries through the front door of each target in every way,
// and tells of each whether the daemon saw and denied it. A location that lets
// one in a header pass is sent no further ones: they would reach its backend.
// bound is the largest inspected body, in bytes.
func Prove(ctx context.Context, targets []Target, canaries Canaries, bound int64) (out []Proof, err error) {
	p := &prover{canaries, bound}
	for i := range targets {
		t := &targets[i]
		if t.Skip != "" {
			out = append(out, Proof{Target: *t, Way: "none", Why: t.Skip})
			continue
		}
		for _, w := range ways {
			if ctx.Err() != nil {
				return out, ctx.Err()
			}
			if w.http2 && !t.HTTP2 {
				continue
			}
			one, err := p.one(t, w)
			if err != nil {
				return out, err
			}
			out = append(out, one)
			if w.name == "header" && !one.Inspected && t.Mode != "observe" {
				break
			}
		}
	}
	return out, nil
}

func (p *prover) one(t *Target, w way) (Proof, error) {
	mode, _, _ := strings.Cut(t.Mode, "-")
	proof := Proof{Target: *t, Way: w.name, Expected: w.expected(mode)}
	c, err := p.canaries.Make()
	if err != nil {
		return proof, err
	}
	status, err := w.send(p, t, c)
	proof.Status = status
	if err != nil {
		proof.Why = "the request failed: " + err.Error()
		return proof, nil
	}
	var seen []string
	for range 20 { // a body judged beside its request is seen a moment later
		if seen, err = p.canaries.Seen(c); err != nil {
			return proof, err
		}
		if len(seen) > 0 || !proof.Expected && mode != "guard" && mode != "observe" {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	proof.Inspected = len(seen) > 0 && status == 403
	proof.Why = explain(mode, w, status, seen)
	return proof, nil
}

func explain(mode string, w way, status int, seen []string) string {
	switch {
	case len(seen) > 0 && status == 403:
		return "seen at " + strings.Join(seen, ", ") + " and denied"
	case len(seen) > 0:
		return fmt.Sprintf("seen at %s, but answered %d: judged beside the request, which passed", strings.Join(seen, ", "), status)
	case mode == "":
		return fmt.Sprintf("no door stands here: answered %d by what is behind", status)
	case w.late:
		return fmt.Sprintf("past max_inspect_bytes: answered %d, and the event says that the body was cut", status)
	case w.body && mode == "metadata":
		return "bodies are not looked at in mode metadata"
	case status == 503:
		return "answered 503: the daemon could not be reached, and the location fails closed"
	case status == 403:
		return "answered 403, but not by the daemon: an access rule, or a door without a receipt"
	case status == 401 || status == 405 || status == 413:
		return fmt.Sprintf("answered %d by NGINX before the doors", status)
	default:
		return fmt.Sprintf("answered %d and seen by no door: it passes uninspected", status)
	}
}

func (p *prover) dial(t *Target, protocols ...string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	nc, err := d.Dial("tcp", t.Address)
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	if !t.TLS {
		return nc, nil
	}
	// Whether the certificate holds is doctor's question.
	tc := tls.Client(nc, &tls.Config{ServerName: t.Host, InsecureSkipVerify: true, NextProtos: protocols})
	if err := tc.Handshake(); err != nil {
		nc.Close()
		return nil, err
	}
	return tc, nil
}

// http1 sends a request as written, behind a first one that holds the same
// canary if asked.
func (p *prover) http1(t *Target, method, path, headers, body string, second bool) (int, error) {
	nc, err := p.dial(t, "http/1.1")
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	r := bufio.NewReader(nc)
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sallyport-prove\r\n%s\r\n", method, path, t.Host, headers)
	times := 1
	if second {
		times = 2
	}
	status := 0
	for range times {
		go func() { _, _ = io.WriteString(nc, text+body) }() // an early answer must not block us
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return 0, err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		status = resp.StatusCode
	}
	return status, nil
}

func (p *prover) overHTTP2(t *Target, canary string) (int, error) {
	dial := func(context.Context, string, string) (net.Conn, error) { return p.dial(t, "h2") }
	transport := &http.Transport{DialContext: dial, DialTLSContext: dial, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP2(true)
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	scheme := "http"
	if t.TLS {
		scheme = "https"
	}
	body := struct{ io.Reader }{bytes.NewReader([]byte(canary))} // hides its length
	req, err := http.NewRequest("POST", scheme+"://"+t.Address+t.Path, body)
	if err != nil {
		return 0, err
	}
	req.Host = t.Host
	resp, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode, nil
}
