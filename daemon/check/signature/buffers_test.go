package signature_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/capture"
	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
)

// oddRequests are spellings that parsers read differently.
var oddRequests = []string{
	"GET /a/b HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET  /two  HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET\t/tab HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /sp ace HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /lf HTTP/1.1\nHost: h\nX: y\n\n",
	"GET /fold HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\nY: c\r\n\r\n",
	"GET /fold2 HTTP/1.1\r\nHost: h\r\nX: a\r\n\t  b\r\nY: c\r\n\r\n",
	"GET /fold3 HTTP/1.1\r\nHost: h\r\nX:\r\n b\r\nY: c\r\n\r\n",
	"GET /twice HTTP/1.1\r\nHost: h\r\nX: a\r\nY: b\r\nx: c\r\n\r\n",
	"GET /host2 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	"GET /cookie2 HTTP/1.1\r\nHost: h\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n",
	"GET /nospace HTTP/1.1\r\nHost:h\r\nX:y\r\n\r\n",
	"GET /spaces HTTP/1.1\r\nHost:   h  \r\nX: y\t \r\n\r\n",
	"GET /spcolon HTTP/1.1\r\nHost : h\r\nX : y\r\n\r\n",
	"GET /nocolon HTTP/1.1\r\nHost: h\r\nnocolon\r\nX: y\r\n\r\n",
	"GET /empty HTTP/1.1\r\nHost: h\r\nX:\r\nUser-Agent: \r\n\r\n",
	"GET /emptyname HTTP/1.1\r\nHost: h\r\n: y\r\n\r\n",
	"GET / HTTP/1.0\r\n\r\n",
	"GET /nohost HTTP/1.1\r\nX: y\r\n\r\n",
	"GET http://H.Example:8080/abs?q#f HTTP/1.1\r\nHost: other\r\n\r\n",
	"GET http://u:p@h.example/abs HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET h.example/rel HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET ?q HTTP/1.1\r\nHost: h\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /%41%4a%zz%4%25%00x HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /%u0041%u2215%uFF0fb%u00 HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /a?b=%41+c%20d%2Fe%u0041%zz&x=%2525 HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /a#b%41?c HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /a?b?c=d#e#f HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /a;p=1/b;q?x;y HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET //a///b//?//c HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /a/../../b/./c/../d HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /a/.. HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /a/. HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /.../a/..b/.c HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET ../a HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /a%2f..%2fb%5c..%5cc HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /a\\b\\..\\c HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /%c0%af%e0%80%af%c3%a9 HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /\xc3\xa9\xff HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /h HTTP/1.1\r\nHost: Ex.Ample.\r\n\r\n",
	"GET /h HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
	"GET /h HTTP/1.1\r\nHost: a:b:c\r\n\r\n",
	"GET /h HTTP/1.1\r\nHost: \r\n\r\n",
	"get /lower HTTP/1.1\r\nHost: h\r\n\r\n",
	"FROB /x HTTP/1.1\r\nHost: h\r\n\r\n",
	"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde",
	"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
	"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
	"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n 3 \r\nabc\r\n0\r\nTr: v\r\n\r\n",
	"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\nContent-Length: 4\r\n\r\n1\r\na\r\n0\r\n\r\n",
	"\r\n\r\nGET /crlf HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /proto FOO/1.1\r\nHost: h\r\n\r\n",
	"GET /v HTTP/2.5\r\nHost: h\r\n\r\n",
	"GET /trail HTTP/1.1 \r\nHost: h\r\n\r\n",
	"GET /nul\x00x HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n",
	"GET /cr HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
	"GET /many HTTP/1.1\r\nHost: h\r\nUser-Agent: A\r\nAccept: */*\r\nReferer: http://r/\r\nCookie: c=d; e=f\r\nAccept-Language: de\r\nAccept-Encoding: gzip\r\nConnection: close\r\nContent-Type: x/y\r\n\r\n",
}

var probed = map[string]buffer.ID{
	"http.uri": buffer.SURI, "http.uri.raw": buffer.SURIRaw, "http.method": buffer.SMethod, "http.request_line": buffer.SLine, "http.protocol": buffer.SProtocol,
	"http.header": buffer.SHeader, "http.header.raw": buffer.SHeaderRaw, "http.header_names": buffer.SHeaderNames, "http.cookie": buffer.SCookie,
	"http.user_agent": buffer.SUserAgent, "http.host": buffer.SHost, "http.host.raw": buffer.SHostRaw, "http.referer": buffer.SReferer,
	"http.content_type": buffer.SContentType, "http.content_len": buffer.SContentLen, "http.accept": buffer.SAccept, "http.accept_lang": buffer.SAcceptLang,
	"http.accept_enc": buffer.SAcceptEnc, "http.connection": buffer.SConnection, "http.start": buffer.SStart, "http.request_body": buffer.SBody,
}

// TestBuffersAgainstSuricata asks a real Suricata, by rules that name the
// whole contents, whether its buffers hold what ours do.
func TestBuffersAgainstSuricata(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	suricata, err := exec.LookPath("suricata")
	if err != nil {
		t.Skip("no suricata: apt-get install -t bookworm-backports suricata")
	}
	var pcap bytes.Buffer
	w, err := capture.NewWriter(&pcap)
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range oddRequests {
		if err := w.Write(capture.Conversation{Client: clientOf(i), Server: netip.MustParseAddrPort("203.0.113.10:80"), Start: time.Unix(1_700_000_000+int64(i), 0),
			Request: []byte(q), Answer: []byte("HTTP/1.1 204 No Content\r\n\r\n")}); err != nil {
			t.Fatal(err)
		}
	}
	type probe struct {
		client, name string
		value        []byte
		request      string
	}
	var probes []probe
	var rules strings.Builder
	err = capture.Read(bytes.NewReader(pcap.Bytes()), false, func(r *capture.Request) {
		var set buffer.Set
		set.Reset(r.Request, true, true)
		for name, id := range probed {
			v := set.Get(id, "")
			p := probe{r.Client.String(), name, bytes.Clone(v.One), string(r.Raw)}
			sid := len(probes) + 1
			switch {
			case !v.Present:
				// Absent: a negated content must not match either.
				fmt.Fprintf(&rules, "alert http any %d -> any any (msg:\"x\"; flow:to_server; %s; content:!\"|fe fd fc fb|\"; sid:%d;)\n", r.Client.Port(), name, sid)
				p.value = nil
			case len(v.One) == 0:
				continue
			default:
				fmt.Fprintf(&rules, "alert http any %d -> any any (msg:\"x\"; flow:to_server; %s; content:\"|%s|\"; startswith; bsize:%d; sid:%d;)\n", r.Client.Port(), name, hex.EncodeToString(v.One), len(v.One), sid)
			}
			probes = append(probes, p)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pcapFile, ruleFile := filepath.Join(dir, "odd.pcap"), filepath.Join(dir, "odd.rules")
	if err := os.WriteFile(pcapFile, pcap.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ruleFile, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(suricata, "-r", pcapFile, "-S", ruleFile, "-l", dir, "-k", "none", "--runmode", "single", "--set", "packet-alert-max=255").CombinedOutput()
	if err != nil {
		t.Fatalf("suricata: %v\n%s", err, out)
	}
	theirs := suricataAlerts(t, filepath.Join(dir, "eve.json"))
	allowed := differences(t)
	for i, p := range probes {
		if got, want := slices.Contains(theirs[p.client], i+1), p.value != nil; got != want {
			key := fmt.Sprintf("%s | %q", p.name, p.request)
			if !allowed[key] {
				t.Errorf("%s: ours is %q, suricata agrees: %v", key, p.value, got == want)
			}
		}
	}
	t.Logf("%d buffers of %d requests", len(probes), len(oddRequests))
}
