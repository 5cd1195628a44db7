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
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/canary"
)

// Canaries makes canaries and tells where they were seen: the daemon, over its
// control socket.
type Canaries interface {
	Make() (string, error)
	Seen(canary string) ([]string, error)
}

// Proof is what became of one canary.
type Proof struct {
	Target
	Way string // "header", "body in chunks", ...
	// Inspected says that a door saw the canary and the client was denied.
	Inspected bool
	// Stopped says that no door saw it, and that it did not pass either.
	Stopped bool
	// Expected says whether the location's mode promises one or the other.
	Expected bool
	Status   int
	Why      string
}

// Broken says whether a proof shows less than the location's mode promises, or
// that no door stands before a backend.
func (p *Proof) Broken() bool {
	return p.Mode == "" && p.Way != "none" || p.Expected && !p.Inspected && !p.Stopped
}

// answered is what came back for a canary.
type answered struct {
	status int
	// ours says that the answer is NGINX's own refusal: its built-in page, or
	// the doors' for a request without a receipt.
	ours bool
}

// way is how a canary is sent.
type way struct {
	name     string
	body     bool // it stands in the body
	late     bool // past the inspection bound: seen nowhere, by design
	http2    bool
	send     func(p *prover, t *Target, canary string) (answered, error)
	expected func(mode string) bool
	// stopped says whether an answer shows that the canary did not pass, where
	// no door need see it; nil where NGINX's own refusal alone does.
	stopped func(status int) bool
}

func heads(mode string) bool  { return mode != "" && mode != "observe" }
func bodies(mode string) bool { return mode == "inline" || mode == "relay" || mode == ByHand }

var ways = []way{
	{name: "header", expected: heads, send: func(p *prover, t *Target, c string) (answered, error) {
		return p.http1(t, request("GET", t, t.Path, "X-Proof: "+c+"\r\n", ""))
	}},
	{name: "query", expected: heads, send: func(p *prover, t *Target, c string) (answered, error) {
		return p.http1(t, request("GET", t, t.Path+"?proof="+c, "", ""))
	}},
	{name: "second request on the connection", expected: heads, send: func(p *prover, t *Target, c string) (answered, error) {
		return p.http1(t, request("GET", t, t.Path, "X-Proof: harmless\r\n", ""), request("GET", t, t.Path, "X-Proof: "+c+"\r\n", ""))
	}},
	{name: "TRACE", expected: heads, send: func(p *prover, t *Target, c string) (answered, error) {
		return p.http1(t, request("TRACE", t, t.Path, "X-Proof: "+c+"\r\n", ""))
	}},
	{name: "body", body: true, expected: bodies, send: func(p *prover, t *Target, c string) (answered, error) {
		return p.http1(t, post(t, c))
	}},
	{name: "body in chunks", body: true, expected: bodies, send: func(p *prover, t *Target, c string) (answered, error) {
		return p.http1(t, request("POST", t, t.Path, "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(c), c)))
	}},
	{name: "body spooled to disk", body: true, expected: bodies, send: func(p *prover, t *Target, c string) (answered, error) {
		return p.http1(t, post(t, strings.Repeat("harmless\n", 20_000)+c))
	}},
	{name: "body over HTTP/2 without a length", body: true, http2: true, expected: bodies, send: (*prover).overHTTP2},
	{name: "body past the inspection bound", body: true, late: true, expected: func(string) bool { return false }, send: func(p *prover, t *Target, c string) (answered, error) {
		return p.http1(t, post(t, strings.Repeat("harmless\n", int(p.bound)/9+1)+c))
	}},
	{name: "a change to h2c", expected: heads, stopped: func(status int) bool { return status != http.StatusSwitchingProtocols },
		send: func(p *prover, t *Target, _ string) (answered, error) {
			return p.http1(t, request("GET", t, t.Path, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", ""))
		}},
	{name: "while no door answers", expected: heads, stopped: func(status int) bool { return status >= 500 },
		send: func(p *prover, t *Target, c string) (answered, error) {
			return p.http1(t, request("GET", t, t.Path, "X-Proof: "+canary.Away+c+"\r\n", ""))
		}},
}

func request(method string, t *Target, path, headers, body string) string {
	if !strings.HasPrefix(headers, "user-agent:") {
		headers = "User-Agent: sallyport-prove\r\n" + headers
	}
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n%s", method, path, t.Host, headers, body)
}

func post(t *Target, body string) string {
	return request("POST", t, t.Path, fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n", len(body)), body)
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
		if t.wrong != "" {
			out = append(out, Proof{Target: *t, Way: "its configuration", Expected: true, Why: t.wrong})
		}
		for _, w := range t.ways() {
			if ctx.Err() != nil {
				return out, ctx.Err()
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
		for i := range t.triggers {
			if trigger := &t.triggers[i]; trigger.skip != "" {
				out = append(out, Proof{Target: *t, Way: "through the if at " + trigger.place, Why: trigger.skip})
			}
		}
	}
	return out, nil
}

// inARow is how many canaries must be seen one after the other before it is
// held that no worker of before a reload takes connections any more.
const inARow = 8

// Await waits, ten seconds at most, until NGINX's workers that know the doors
// have taken over after a reload. What is wrong then is for Prove to tell.
func Await(ctx context.Context, targets []Target, canaries Canaries) error {
	p := &prover{canaries: canaries}
	for i := range targets {
		t := &targets[i]
		if t.Skip != "" || !heads(t.Mode) {
			continue
		}
		seen := 0
		for end := time.Now().Add(10 * time.Second); seen < inARow && time.Now().Before(end) && ctx.Err() == nil; time.Sleep(25 * time.Millisecond) {
			proof, err := p.one(t, ways[0])
			if err != nil {
				return err
			}
			if seen++; !proof.Inspected {
				seen = 0
			}
		}
		return ctx.Err()
	}
	return nil
}

// ways are those in which a target can be sent a canary.
func (t *Target) ways() (out []way) {
	for _, w := range ways {
		switch {
		case w.http2 && !t.HTTP2:
		case w.name == "while no door answers" && !strings.HasSuffix(t.Mode, "-closed"): // it lets pass, as it promises
		default:
			out = append(out, w)
		}
	}
	for i := range t.triggers {
		if trigger := &t.triggers[i]; trigger.skip == "" {
			out = append(out, way{name: "through the if at " + trigger.place, expected: heads, send: func(p *prover, t *Target, c string) (answered, error) {
				return p.http1(t, request(trigger.method, t, trigger.path, trigger.headers+"X-Proof: "+c+"\r\n", ""))
			}})
		}
	}
	return out
}

func (p *prover) one(t *Target, w way) (Proof, error) {
	mode, _, _ := strings.Cut(t.Mode, "-")
	proof := Proof{Target: *t, Way: w.name, Expected: w.expected(mode)}
	c, err := p.canaries.Make()
	if err != nil {
		return proof, err
	}
	got, err := w.send(p, t, c)
	proof.Status = got.status
	if err != nil {
		proof.Why = "the request failed: " + err.Error()
		return proof, nil
	}
	var seen []string
	for range 20 { // a body judged beside its request is seen a moment later
		if seen, err = p.canaries.Seen(c); err != nil {
			return proof, err
		}
		if len(seen) > 0 || w.stopped != nil || got.ours || !proof.Expected && mode != "guard" && mode != "observe" {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	switch {
	case w.stopped != nil:
		proof.Stopped = w.stopped(got.status)
	case len(seen) > 0:
		proof.Inspected = got.status == 403
	default:
		proof.Stopped = mode != "" && (got.ours || t.limited && got.status == 403)
	}
	proof.Why = explain(&proof, mode, w, seen)
	return proof, nil
}

func explain(p *Proof, mode string, w way, seen []string) string {
	places := strings.Join(seen, ", ")
	switch {
	case w.name == "a change to h2c" && p.Stopped:
		return fmt.Sprintf("answered %d: the backend was not asked to change its protocol", p.Status)
	case w.name == "a change to h2c":
		return "answered 101: the backend took Upgrade: h2c, and what follows on the connection tunnels past the doors; pass on $sallyport_upgrade, not $http_upgrade"
	case w.name == "while no door answers" && p.Stopped:
		return fmt.Sprintf("answered %d: nothing passes while the daemon is away", p.Status)
	case w.name == "while no door answers":
		return fmt.Sprintf("answered %d: with the daemon away requests pass, though the location fails closed", p.Status)
	case p.Inspected:
		return "seen at " + places + " and denied"
	case len(seen) > 0 && bodies(mode):
		return fmt.Sprintf("seen at %s, but the denial was turned into %d: an error_page or proxy_intercept_errors around the doors", places, p.Status)
	case len(seen) > 0:
		return fmt.Sprintf("seen at %s, but answered %d: judged beside the request, which passed", places, p.Status)
	case mode == "":
		return fmt.Sprintf("no door stands here: answered %d by what is behind", p.Status)
	case p.Stopped:
		return fmt.Sprintf("answered %d by NGINX itself: it did not pass", p.Status)
	case w.late:
		return fmt.Sprintf("past max_inspect_bytes: answered %d, and the event says that the body was cut", p.Status)
	case w.body && (mode == "metadata" || mode == ByHandHeads):
		return "bodies are not looked at in mode " + mode
	case p.Status == 503:
		return "answered 503: the daemon could not be reached, and the location fails closed"
	case p.Status == 401 || p.Status == 403 || p.Status == 405 || p.Status == 413:
		return fmt.Sprintf("answered %d, but not by the daemon: an access rule with a page of its own, or the backend", p.Status)
	default:
		return fmt.Sprintf("answered %d and seen by no door: it passes uninspected", p.Status)
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

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// http1 sends requests as written, one after the other on one connection, and
// returns what the last was answered.
func (p *prover) http1(t *Target, requests ...string) (got answered, err error) {
	nc, err := p.dial(t, "http/1.1")
	if err != nil {
		return got, err
	}
	defer nc.Close()
	r := bufio.NewReader(nc)
	for _, text := range requests {
		go func() { _, _ = io.WriteString(nc, text) }() // an early answer must not block us
		method, _, _ := strings.Cut(text, " ")
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return got, err
		}
		if resp.StatusCode == http.StatusSwitchingProtocols {
			return answered{status: resp.StatusCode}, nil
		}
		got = readAnswer(resp)
	}
	return got, nil
}

func readAnswer(resp *http.Response) answered {
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	page := resp.StatusCode >= 400 && bytes.Contains(text, []byte("<center>nginx"))
	return answered{resp.StatusCode, page || resp.Header.Get("X-Sallyport-Error") != ""}
}

func (p *prover) overHTTP2(t *Target, canary string) (answered, error) {
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
		return answered{}, err
	}
	req.Host = t.Host
	resp, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		return answered{}, err
	}
	return readAnswer(resp), nil
}
