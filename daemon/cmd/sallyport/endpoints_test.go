package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/sallyport/sallyport/daemon/check/inventory"
	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/nginxtest"
)

// from calls as the loopback client 127.0.0.n.
func from(t *testing.T, n int, method, url string, body string, headers ...string) int {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(n))}, Timeout: 10 * time.Second}
	c := &http.Client{Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}, Timeout: 30 * time.Second}
	q, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func signedToken(t *testing.T, dir string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "jwks.json"), set, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(fmt.Appendf(nil, `{"sub":"u","exp":%d,"scope":"read"}`, time.Now().Add(time.Hour).Unix()))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTokensAndTheInventoryBehindARealNGINX(t *testing.T) {
	r := newRig(t, "inline", "closed")
	token := signedToken(t, r.nginx.Dir)
	r.configure("closed", `
[check.token]
jwks = ["jwks.json"]
[[check.token.rule]]
path = "/secure/*"
scopes = ["read"]
[[check.token.rule]]
path = "/admin/*"
scopes = ["admin"]
`)
	r.start()
	url := "http://" + r.nginx.Addr
	for n := 2; n < 7; n++ {
		for _, c := range []struct {
			want         int
			path, header string
		}{
			{200, fmt.Sprintf("/secure/%d", n), "Bearer " + token},
			{401, "/secure/1", ""},
			{401, "/secure/1", "Bearer " + token[:len(token)-6] + "AAAAAA"},
			{403, "/admin/1", "Bearer " + token},
		} {
			headers := []string{}
			if c.header != "" {
				headers = []string{"Authorization", c.header}
			}
			if got := from(t, n, "GET", url+c.path, "", headers...); got != c.want {
				t.Fatalf("%s with %.20q: %d, want %d\n%s", c.path, c.header, got, c.want, r.log.String())
			}
		}
		from(t, n, "POST", url+"/comments", `{"text":"mail jane@example.org"}`, "Content-Type", "application/json")
	}
	socket := filepath.Join(r.nginx.Dir, "control.sock")
	list := func() map[string]inventory.Endpoint {
		out, _ := verb(t, exitOK, "endpoints", "--control", socket, "--json")
		by := map[string]inventory.Endpoint{}
		for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
			var e inventory.Endpoint
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			by[e.Method+" "+e.Path] = e
		}
		return by
	}
	var secure, comments inventory.Endpoint
	r.until("the inventory heard of all requests and their ends", func() bool {
		now := list()
		secure, comments = now["GET /secure/{int}"], now["POST /comments"]
		return secure.Requests == 15 && secure.Ended == 15 && comments.Requests == 5
	})
	if secure.Denied != 10 || secure.Clients != 5 || secure.Authentication != "sometimes" || secure.ClientErrors < 0.66 || secure.Absent {
		t.Errorf("%+v", secure)
	}
	if len(comments.Sensitive) != 1 || comments.Sensitive[0].Class != "email" || comments.Authentication != "never" {
		t.Errorf("%+v", comments)
	}
	body, err := control.Stream(t.Context(), socket, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(body)
	body.Close()
	for _, want := range []string{`endpoint="/secure/{int}"} 15`, "\nsallyport_rule_steps_exhausted_total 0\n"} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("the metrics lack %s: %v", want, err)
		}
	}
	next := signedToken(t, r.nginx.Dir) // the issuer changed its key
	if err := r.daemon.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.until("the new key is known", func() bool {
		return from(t, 9, "GET", url+"/secure/1", "", "Authorization", "Bearer "+next) == 200
	})
	if got := from(t, 9, "GET", url+"/secure/1", "", "Authorization", "Bearer "+token); got != 401 {
		t.Errorf("a token of the old key was answered %d", got)
	}
	calls := list()["GET /secure/{int}"].Requests
	if err := r.daemon.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = r.daemon.Wait()
	r.log = &syncBuffer{}
	r.start()
	if again := list()["GET /secure/{int}"]; again.Requests < calls || again.Clients != 6 {
		t.Errorf("after a restart: %+v\n%s", again, r.log.String())
	}
}

func TestLearnReadsWhatARealNGINXLogs(t *testing.T) {
	n := nginxtest.Start(t, nginxtest.Conf{Server: `
        include sallyport/server.conf;
        access_log DIR/combined.log combined;
        access_log DIR/sallyport.log sallyport;
        location /items/ { return 200 "ok"; }
        location = /search { return 200 "ok"; }
        location / { return 404; }`})
	url := "http://" + n.Addr
	for c := 2; c < 14; c++ {
		for i := range 3 {
			from(t, c, "GET", fmt.Sprintf("%s/items/%d", url, 100*c+i), "")
			from(t, c, "GET", url+"/search?q=%22two+words%22&sort="+[]string{"up", "down"}[i%2], "")
			from(t, c, "GET", url+"/.env", "")
		}
	}
	for _, name := range []string{"combined.log", "sallyport.log"} {
		path := filepath.Join(n.Dir, name)
		for range 500 { // NGINX writes a line after the answer
			if b, _ := os.ReadFile(path); strings.Count(string(b), "\n") >= 108 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		out, told := verb(t, exitOK, "learn", path)
		doc, err := openapi3.NewLoader().LoadFromData([]byte(out))
		if err != nil || fmt.Sprint(doc.Paths.Keys()) != "[/items/{itemId} /search]" {
			t.Errorf("%s: %v\n%s%s", name, err, told, out)
			continue
		}
		if p := doc.Paths.Find("/search").Get.Parameters.GetByInAndName("query", "sort"); p == nil || len(p.Schema.Value.Enum) != 2 {
			t.Errorf("%s: sort: %+v", name, p)
		}
		if strings.Contains(told, "skipped") || !strings.Contains(told, "36 calls refused") {
			t.Errorf("%s: %s", name, told)
		}
	}
}

func TestLearnReadsACapture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := pcapgo.NewWriter(f)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	packet := func(client byte, seq uint32, syn bool, payload string) {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.IPv4(10, 0, 0, client), DstIP: net.IPv4(10, 1, 0, 1)}
		tcp := &layers.TCP{SrcPort: 40000, DstPort: 80, Seq: seq, SYN: syn, ACK: !syn, PSH: !syn, Window: 65535}
		if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		buf := gopacket.NewSerializeBuffer()
		eth := &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}
		if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, tcp, gopacket.Payload(payload)); err != nil {
			t.Fatal(err)
		}
		info := gopacket.CaptureInfo{Timestamp: time.Unix(1795521600, 0), CaptureLength: len(buf.Bytes()), Length: len(buf.Bytes())}
		if err := w.WritePacket(info, buf.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	for c := byte(1); c <= 12; c++ {
		packet(c, 1, true, "")
		seq := uint32(2)
		for i := range 3 {
			body := fmt.Sprintf(`{"count":%d,"note":"n%d"}`, i+1, c)
			text := fmt.Sprintf("PUT /orders/%d?dry=true HTTP/1.1\r\nHost: shop.example:80\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", 10*int(c)+i, len(body), body)
			packet(c, seq, false, text)
			seq += uint32(len(text))
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, told := verb(t, exitOK, "learn", "--host", "shop.example", path)
	doc, err := openapi3.NewLoader().LoadFromData([]byte(out))
	if err != nil || fmt.Sprint(doc.Paths.Keys()) != "[/orders/{orderId}]" {
		t.Fatalf("%v\n%s%s", err, told, out)
	}
	put := doc.Paths.Find("/orders/{orderId}").Put
	if s := put.RequestBody.Value.Content["application/json"].Schema.Value; len(s.Properties) != 2 || !s.Properties["count"].Value.Type.Is("integer") {
		t.Errorf("%s", out)
	}
}
