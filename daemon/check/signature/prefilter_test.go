package signature_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/daemon/capture"
	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/signature"
	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/keyword"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
	"github.com/sallyport/sallyport/daemon/request"
)

// alerts runs a set both ways and returns what each alerts.
func alerts(s *signature.Set, q *buffer.Request, phase check.Phase) (fast, naive []uint32) {
	q.Parse()
	defer q.Parsed.Release()
	env := func() *keyword.Env { return &keyword.Env{Size: len(q.Raw), Two: q.Two, Steps: 50_000_000} }
	s.Match(&signature.Input{Request: q, Env: env(), Phase: phase}, func(h *signature.Hit) { fast = append(fast, h.Rule.SID) })
	s.MatchAll(&signature.Input{Request: q, Env: env(), Phase: phase}, func(h *signature.Hit) { naive = append(naive, h.Rule.SID) })
	return fast, naive
}

func TestThePrefilterLosesNoAlertOfThePublishedRules(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	root := os.Getenv("SALLYPORT_SHARED")
	for _, up := range []string{"../../../../shared", "../../../../../shared"} {
		if _, err := os.Stat(up); err == nil && root == "" {
			root = up
		}
	}
	if _, err := os.Stat(filepath.Join(root, "snort")); root == "" || err != nil {
		t.Skip("no shared test data; set SALLYPORT_SHARED to the folder")
	}
	for _, corpus := range []string{"et-open-suri5-2021", "snort3-community-2025"} {
		s, err := signature.Compile([]string{filepath.Join(root, "snort", "corpora", corpus)}, nil, signature.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"exploits", "recorded"} {
			f, err := os.Open(filepath.Join(root, "snort", "oracle", name+".pcap"))
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			err = capture.Read(f, false, func(r *capture.Request) {
				if n++; n%24 != 0 {
					return
				}
				// As it came, and as the daemon gets it: without the raw bytes.
				for _, q := range []*buffer.Request{r.Request, {Method: r.Method, URI: r.URI, Protocol: r.Protocol, Headers: r.Headers, Body: r.Body, HasBody: r.HasBody}} {
					for _, phase := range []check.Phase{check.Head, check.Body, check.Head | check.Body} {
						if fast, naive := alerts(s, q, phase); !slices.Equal(fast, naive) {
							t.Errorf("%s %s, %s, phase %d: %v, without the prefilter %v", r.Client, r.URI, corpus, phase, fast, naive)
						}
					}
				}
			})
			f.Close()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// fuzzRules are conditions of every kind on a small alphabet, so that random
// requests match them.
func fuzzRules(b []byte) string {
	buffers := []string{"http.uri", "http.header", "http.header.raw", "http.user_agent", "http.host", "http.cookie", "http.request_body", "http.start", "http.header_names", "http.request_line", "sallyport.value", "http.request_header"}
	var out bytes.Buffer
	for i := 0; i+4 < len(b) && i < 400; i += 5 {
		text := []byte{'a' + b[i]%4, 'a' + b[i+1]%3, "ab:\r\n /"[b[i+2]%7], 'A' + b[i+3]%3, 'b'}[:1+b[i+4]%5]
		more := []string{"", "nocase; ", "depth:8; ", "offset:2; ", "endswith; "}[b[i+1]%5]
		if len(text) > 8 {
			more = ""
		}
		second := ""
		if b[i+3]%3 == 0 {
			second = fmt.Sprintf("content:\"%c\"; distance:%d; within:6; ", 'a'+b[i+4]%3, b[i]%3)
		}
		if b[i+2]%5 == 0 {
			second += fmt.Sprintf("pcre:\"/%c.%c/%s\"; ", 'a'+b[i+1]%3, 'a'+b[i]%3, []string{"", "i", "R", "s"}[b[i+4]%4])
		}
		hex := ""
		for _, c := range text {
			hex += fmt.Sprintf("%02x ", c)
		}
		fmt.Fprintf(&out, "alert http any any -> any any (%s; content:\"|%s|\"; %s%ssid:%d;)\n", buffers[int(b[i])%len(buffers)], hex, more, second, i+1)
	}
	return out.String()
}

func FuzzThePrefilterLosesNothing(f *testing.F) {
	f.Add([]byte("abcdefghijklmnopqrstuvwxyz0123456789"), []byte("abc/aab"), []byte("aab: abab"), []byte("abba"), true)
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}, []byte("/%61b"), []byte(" b"), []byte(""), false)
	f.Fuzz(func(t *testing.T, rules, uri, header, body []byte, twice bool) {
		read := rule.NewFiles(nil)
		read.Parse("fuzz.rules", []byte(fuzzRules(rules)))
		s, err := signature.Build(read, signature.Options{})
		if err != nil {
			t.Fatal(err)
		}
		q := &buffer.Request{Method: []byte("POST"), URI: uri, Protocol: []byte("HTTP/1.1"), Body: body, HasBody: len(body) > 0, Headers: []request.Header{
			{Name: []byte("Host"), Value: []byte("ab.Ac")}, {Name: []byte("User-Agent"), Value: header}, {Name: []byte("Cookie"), Value: []byte("aab=b")}, {Name: []byte("A"), Value: header},
		}}
		if twice {
			q.Headers = append(q.Headers, request.Header{Name: []byte("a"), Value: []byte("abc")})
		}
		if fast, naive := alerts(s, q, check.Head|check.Body); !slices.Equal(fast, naive) {
			t.Fatalf("%v, without the prefilter %v; rules:\n%s", fast, naive, fuzzRules(rules))
		}
	})
}

func FuzzRuleFiles(f *testing.F) {
	f.Add([]byte("alert http any any -> any any (http.uri; content:\"a|62|\"; nocase; pcre:\"/a(b|c)+/R\"; sid:1;)\nipvar HOME_NET [10.0.0.0/8,!10.1.0.0/16]\nalert tcp $HOME_NET 1:1024 -> !$X any (content:\"x\",depth 3; byte_test:2,>,1,0,relative,string; sid:2;)"))
	f.Add([]byte("threshold gen_id 1, sig_id 2, type limit, track by_src, count 1, seconds 60\nalert http ( http_uri; content:\"a\",fast_pattern; bufferlen:>5; sid:3; )\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		read := rule.NewFiles(nil)
		read.Parse("fuzz.rules", data)
		s, err := signature.Build(read, signature.Options{})
		if err != nil {
			t.Fatal(err)
		}
		q := &buffer.Request{Method: []byte("GET"), URI: []byte("/abc?x=1"), Headers: []request.Header{{Name: []byte("Host"), Value: []byte("h")}}}
		fast, naive := alerts(s, q, check.Head|check.Body)
		if !slices.Equal(fast, naive) {
			t.Fatalf("%v, without the prefilter %v", fast, naive)
		}
	})
}
