package signature_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/capture"
	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/signature"
	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
	"github.com/sallyport/sallyport/daemon/keyed"
)

// conformance is a case of testdata/*.txt: a rule, and a request that it must
// match or pass, or the error that refuses it. The files hold lines
//
//	rule OPTIONS             in "alert http any any -> any any (OPTIONS; sid:N;)"
//	rule3 OPTIONS            the same of Snort 3
//	match REQUEST
//	pass REQUEST
//	error TEXT               the rule is refused and the reason holds TEXT
//	skip TEXT                the rule is skipped and the reason holds TEXT
//
// A request is "GET /path | Header: value | Header: value || body", in which
// \r, \n, \t, \\ and \xHH are decoded. HTTP/1.1 and a Host are added.
type conformance struct {
	file    string
	line    int
	sid     uint32
	rule    string
	snort3  bool
	verb    string
	request string
}

func readConformance(t testing.TB) []conformance {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no cases in testdata")
	}
	var out []conformance
	sid := uint32(1000)
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		var cur conformance
		s := bufio.NewScanner(f)
		for n := 1; s.Scan(); n++ {
			line := s.Text()
			if line == "" || line[0] == '#' {
				continue
			}
			verb, rest, _ := strings.Cut(line, " ")
			switch verb {
			case "rule", "rule3":
				sid++
				cur = conformance{file: name, sid: sid, snort3: verb == "rule3"}
				cur.rule = fmt.Sprintf("alert http any any -> any any (msg:\"%d\"; %s; sid:%d;)", sid, strings.TrimSuffix(rest, ";"), sid)
				if cur.snort3 {
					cur.rule = fmt.Sprintf("alert http ( %s; sid:%d; )", strings.TrimSuffix(rest, ";"), sid)
				}
			case "match", "pass", "error", "skip":
				c := cur
				c.line, c.verb, c.request = n, verb, rest
				out = append(out, c)
			default:
				t.Fatalf("%s:%d: unknown verb %q", name, n, verb)
			}
		}
		f.Close()
	}
	return out
}

func decode(s string) []byte {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 >= len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'r':
			b = append(b, '\r')
		case 'n':
			b = append(b, '\n')
		case 't':
			b = append(b, '\t')
		case 'x':
			v, _ := strconv.ParseUint(s[i+1:i+3], 16, 8)
			b = append(b, byte(v))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return b
}

// wire is a case's request as it goes over the wire.
func (c *conformance) wire() []byte {
	head, body, hasBody := strings.Cut(c.request, " || ")
	parts := strings.Split(head, " | ")
	var b bytes.Buffer
	line := parts[0]
	if !strings.Contains(line, " HTTP/") && !strings.HasSuffix(line, "!") {
		line += " HTTP/1.1"
	}
	b.Write(decode(strings.TrimSuffix(line, "!")))
	b.WriteString("\r\n")
	host, length := false, false
	for _, h := range parts[1:] {
		lower := strings.ToLower(h)
		host = host || strings.HasPrefix(lower, "host")
		length = length || strings.HasPrefix(lower, "content-length") || strings.HasPrefix(lower, "transfer-encoding")
		b.Write(decode(h))
		b.WriteString("\r\n")
	}
	if !host {
		b.WriteString("Host: h.test\r\n")
	}
	payload := decode(body)
	if hasBody && !length {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(payload))
	}
	b.WriteString("\r\n")
	b.Write(payload)
	return b.Bytes()
}

// wirePcap writes the requests of cases into a pcap, a connection each.
func wirePcap(t testing.TB, cases []conformance) []byte {
	var out bytes.Buffer
	w, err := capture.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		err := w.Write(capture.Conversation{
			Client: clientOf(i), Server: netip.MustParseAddrPort("203.0.113.10:80"), Start: time.Unix(1_700_000_000+int64(i), 0),
			Request: c.wire(), Answer: []byte("HTTP/1.1 204 No Content\r\n\r\n"),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func clientOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i/200)}), uint16(10000+i%200))
}

func compileCase(t testing.TB, c *conformance) *signature.Set {
	read := rule.NewFiles(nil)
	read.Parse(c.file, []byte(c.rule))
	s, err := signature.Build(read, signature.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	cases := readConformance(t)
	t.Logf("%d cases", len(cases))
	for i := range cases {
		c := &cases[i]
		s := compileCase(t, c)
		rep := s.Reports[0]
		switch c.verb {
		case "error", "skip":
			want := map[string]string{"error": signature.Refused, "skip": signature.Skipped}[c.verb]
			if rep.State != want || !strings.Contains(rep.Reason, c.request) {
				t.Errorf("%s:%d: %s (%s), want %s with %q\n\t%s", c.file, c.line, rep.State, rep.Reason, want, c.request, c.rule)
			}
			continue
		}
		if rep.State != signature.Loaded {
			t.Errorf("%s:%d: %s: %s\n\t%s", c.file, c.line, rep.State, rep.Reason, c.rule)
			continue
		}
		for _, live := range []bool{false, true} {
			if got := matches(t, s, c, live); got != (c.verb == "match") {
				t.Errorf("%s:%d: matched is %v (as the daemon gets it: %v)\n\t%s\n\t%s", c.file, c.line, got, live, c.rule, c.request)
			}
		}
	}
}

// matches replays a case's request, from its bytes or as the daemon gets it.
func matches(t testing.TB, s *signature.Set, c *conformance, live bool) (hit bool) {
	store := keyed.New(1<<10, 1)
	err := capture.Read(bytes.NewReader(wirePcap(t, []conformance{*c})), false, func(r *capture.Request) {
		q := r.Request
		if live {
			q = &buffer.Request{Method: q.Method, URI: q.URI, Protocol: q.Protocol, Headers: q.Headers, Trailers: q.Trailers, Body: q.Body, HasBody: q.HasBody}
		}
		q.Parse()
		e := &keyword.Env{Now: r.Time, Client: r.Client, Server: r.Server, Flow: r.Flow(), Store: store, Size: len(r.Raw)}
		s.Match(&signature.Input{Request: q, Env: e, Phase: check.Head | check.Body}, func(*signature.Hit) { hit = true })
		q.Parsed.Release()
	})
	if err != nil {
		t.Fatal(err)
	}
	return hit
}
