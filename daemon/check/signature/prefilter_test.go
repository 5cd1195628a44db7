package signature_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// fuzzBuffers are those that rules choose, and what is done to them.
var fuzzBuffers = []string{
	"http.uri", "http.uri.raw", "http.header", "http.header.raw", "http.user_agent", "http.host", "http.host.raw", "http.cookie",
	"http.request_body", "http.start", "http.header_names", "http.request_line", "http.protocol", "http.method", "http.referer",
	"http.content_type", "http.content_len", "http.accept", "http.accept_lang", "http.accept_enc", "http.connection",
	"sallyport.value", "http.request_header", "file.data", "file.name", "pkt_data",
	"http.uri; to_lowercase", "http.uri; url_decode", "http.host; dotprefix", "http.user_agent; strip_whitespace",
	"http.request_body; compress_whitespace", "http.cookie; to_md5", "http.uri; xor:\"01\"", "http.header; pcrexform:\"a(.*)b\"",
}

// fuzzSnort are the buffers of Snort 3.
var fuzzSnort = []string{
	"http_uri", "http_raw_uri", "http_header", "http_raw_header", "http_header:field user-agent", "http_cookie", "http_raw_cookie",
	"http_client_body", "http_raw_body", "http_method", "http_version", "http_raw_request", "http_param:\"ab\"", "http_uri:path",
	"http_uri:query", "file_data", "pkt_data", "http_true_ip",
}

// fuzzExpressions have literal parts of every form, %c a letter.
var fuzzExpressions = []string{
	"%c.%c", "(?:%cab|ab%c)", "%c{2}[ab]", "(?=%ca)a[^%c]", "(?!%ca)[ab]%c", "a(?:%c|b%c)?b", "[a%c]{1,3}%c", "^%cb|^a%c", "(?<=%c)a%c",
	"(%c)a\\1|b%c", "(?:a%cb)+", "\\b%c\\w+%c", "(?i)A%cB|%c", "a%c$|^/%c",
}

// fuzzRules are conditions of every kind on a small alphabet, so that random
// requests match them.
func fuzzRules(b []byte) string {
	var out bytes.Buffer
	for i := 0; i+5 < len(b) && i < 400; i += 6 {
		text := []byte{'a' + b[i]%4, 'a' + b[i+1]%3, "ab:\r\n /"[b[i+2]%7], 'A' + b[i+3]%3, 'b', 'a', 'b', 'a'}[:1+b[i+4]%8]
		hex := ""
		for _, c := range text {
			hex += fmt.Sprintf("%02x ", c)
		}
		letter := func(k int) byte { return 'a' + b[i+k]%3 }
		pcre := fmt.Sprintf(strings.ReplaceAll(fuzzExpressions[int(b[i+5])%len(fuzzExpressions)], "%c", "%[1]c"), letter(1))
		if b[i+5]%4 == 3 { // Snort 3's
			fmt.Fprintf(&out, "alert http ( %s; content:%s\"|%s|\"%s; ", fuzzSnort[int(b[i])%len(fuzzSnort)],
				[]string{"", "", "!"}[b[i+2]%3], hex, []string{"", ",nocase", ",fast_pattern"}[b[i+1]%3])
			if b[i+2]%5 == 0 {
				fmt.Fprintf(&out, "pcre:\"/%s/%s\"; ", pcre, []string{"", "i", "R"}[b[i+4]%3])
			}
			fmt.Fprintf(&out, "sid:%d; )\n", i+1)
			continue
		}
		more := []string{"", "nocase; ", "depth:8; ", "offset:2; ", "endswith; ", "startswith; "}[b[i+1]%6]
		not := []string{"", "", "", "!"}[b[i+2]%4]
		second := ""
		switch b[i+3] % 5 {
		case 0:
			second = fmt.Sprintf("content:\"%c\"; distance:%d; within:6; ", letter(4), b[i]%3)
		case 1:
			second = fmt.Sprintf("content:!\"%c%c\"; ", letter(4), letter(0))
		case 2:
			second = fmt.Sprintf("bsize:>%d; ", b[i+4]%9)
		}
		if b[i+2]%3 == 0 {
			second += fmt.Sprintf("pcre:%s\"/%s/%s\"; ", not, pcre, []string{"", "i", "R", "s", "m"}[b[i+4]%5])
		}
		if b[i+4]%7 == 0 { // in a second buffer
			second += fmt.Sprintf("%s; content:%s\"%c\"; ", fuzzBuffers[int(b[i+3])%len(fuzzBuffers)], []string{"", "!"}[b[i+1]%2], letter(5))
		}
		fmt.Fprintf(&out, "alert http any any -> any any (%s; content:%s\"|%s|\"; %s%ssid:%d;)\n", fuzzBuffers[int(b[i])%len(fuzzBuffers)], not, hex, more, second, i+1)
	}
	return out.String()
}

func TestTheFuzzRulesOfEveryBufferLoad(t *testing.T) {
	buffers := map[string]bool{}
	loaded := 0
	for n := range 4000 {
		b := make([]byte, 6)
		for i := range b {
			b[i] = byte((n*(2*i+7) + n/(i+3)) >> (i % 3))
		}
		b[0] = byte(n)
		read := rule.NewFiles(nil)
		read.Parse("fuzz.rules", []byte(fuzzRules(append(b, 0))))
		s, err := signature.Build(read, signature.Options{})
		if err != nil {
			t.Fatal(err)
		}
		loaded += s.Loaded
		for _, p := range s.Programs() {
			for _, g := range p.Groups {
				buffers[g.Spec.Key] = true
			}
		}
	}
	if want := len(fuzzBuffers) + len(fuzzSnort) - 4; loaded < 2500 || len(buffers) < want {
		t.Errorf("%d of 4000 rules load, over %d buffers, want 2500 and %d", loaded, len(buffers), want)
	}
}

func FuzzThePrefilterLosesNothing(f *testing.F) {
	f.Add([]byte("abcdefghijklmnopqrstuvwxyz0123456789"), []byte("abc/aab"), []byte("aab: abab"), []byte("abba"), true)
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}, []byte("/%61b"), []byte(" b"), []byte(""), false)
	many := make([]byte, 396)
	for i := range many {
		many[i] = byte(i * 37 >> 1)
	}
	f.Add(many, []byte("/abab/ba?ab=aba&b=%61b"), []byte("abab ba"), []byte("ab=abba&bab=%61a"), false)
	f.Add(many, []byte("//ab/../ba"), []byte("aa"), []byte("{\"ab\":\"baab\"}"), true)
	f.Fuzz(func(t *testing.T, rules, uri, header, body []byte, twice bool) {
		read := rule.NewFiles(nil)
		read.Parse("fuzz.rules", []byte(fuzzRules(rules)))
		s, err := signature.Build(read, signature.Options{})
		if err != nil {
			t.Fatal(err)
		}
		q := &buffer.Request{Method: []byte("POST"), URI: uri, Protocol: []byte("HTTP/1.1"), Body: body, HasBody: len(body) > 0, Headers: []request.Header{
			{Name: []byte("Host"), Value: []byte("ab.Ac")}, {Name: []byte("User-Agent"), Value: header}, {Name: []byte("Cookie"), Value: []byte("aab=b")}, {Name: []byte("A"), Value: header},
			{Name: []byte("Referer"), Value: []byte("http://ab/ba")}, {Name: []byte("Accept"), Value: header},
			{Name: []byte("Content-Type"), Value: []byte("application/x-www-form-urlencoded")}, {Name: []byte("X-Forwarded-For"), Value: []byte("ab, ba")},
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
