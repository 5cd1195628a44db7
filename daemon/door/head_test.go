package door

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/request"
)

const enterHead = "GET /enter HTTP/1.1\r\nHost: Shop.Example:8443\r\n" +
	"X-Sallyport-Meta: 1 0123456789abcdef0123456789abcdef 192.0.2.7 4711 203.0.113.1 443 99 TLSv1.3 TLS_AES_128_GCM_SHA256 HTTP/1.1 GET  1 inline\r\n" +
	"X-Sallyport-Uri: /a/b?x=1&y=%2e\r\nX-Sallyport-Hop-Connection: close\r\n" +
	"User-Agent: test\r\nX-Empty:\r\nCookie: a=1\r\nx-sallyport-meta: 1 forged\r\nX-Sallyport-Unknown: 1\r\n\r\n"

func TestAHeadBecomesTheClientsRequest(t *testing.T) {
	var h head
	if !h.parse([]byte(enterHead)) {
		t.Fatal("not taken")
	}
	r := request.Get()
	defer r.Release()
	h.fill(r)
	switch {
	case string(h.target) != "/enter", string(r.ID) != "0123456789abcdef0123456789abcdef",
		r.Client != netip.MustParseAddrPort("192.0.2.7:4711"), r.ServerAddr != netip.MustParseAddrPort("203.0.113.1:443"),
		r.Connection != 99, r.TLS.Version != "TLSv1.3", r.Protocol != "HTTP/1.1", r.Method != "GET",
		string(r.URI) != "/a/b?x=1&y=%2e", string(r.Host) != "shop.example", !h.noBody(), h.mode() != "inline", h.close:
		t.Fatalf("%+v\n%+v", h, r)
	}
	var got []string
	for _, x := range r.Headers {
		got = append(got, string(x.Name)+"="+string(x.Value))
	}
	if want := "Host=Shop.Example:8443 Connection=close User-Agent=test X-Empty= Cookie=a=1 x-sallyport-meta=1 forged X-Sallyport-Unknown=1"; strings.Join(got, " ") != want {
		t.Fatalf("got %s\nwant %s", strings.Join(got, " "), want)
	}
}

func TestAHeadWithoutOurMetadataIsNotTaken(t *testing.T) {
	for _, s := range []string{
		"GET /enter HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /enter HTTP/1.1\r\nX-Sallyport-Meta: 2 0123456789abcdef0123456789abcdef\r\n\r\n",
		"GET /enter HTTP/1.1\r\nX-Sallyport-Meta: 1 short\r\n\r\n",
		"GET\r\n\r\n", "\r\n\r\n", "",
	} {
		var h head
		if h.parse([]byte(s)) {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestReadingAHeadNeedsNoAllocation(t *testing.T) {
	var h head
	b := []byte(enterHead)
	h.parse(b)
	r := request.Get()
	defer r.Release()
	if n := testing.AllocsPerRun(100, func() {
		h.parse(b)
		h.fill(r)
	}); n > 1 { // the host name in lower case
		t.Fatalf("%v allocations", n)
	}
}

func FuzzHead(f *testing.F) {
	f.Add([]byte(enterHead))
	f.Add([]byte("POST /body?x HTTP/1.1\r\nContent-Length: 5\r\nX-Sallyport-Meta: 1 0123456789abcdef0123456789abcdef ::1 1     HTTP/2.0 POST   guard\r\n: x\r\nno colon\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h head
		whole := append([]byte(nil), b...)
		if !h.parse(b) {
			return
		}
		r := request.Get()
		defer r.Release()
		h.fill(r)
		if len(r.ID) != 32 || len(r.Headers) > maxHeaders {
			t.Fatal("out of bounds")
		}
		if !bytes.Equal(whole, b) {
			t.Fatal("the input was changed")
		}
	})
}

func FuzzHandover(f *testing.F) {
	f.Add([]byte(`[{"ID":"0123456789abcdef0123456789abcdef","Answer":{"Deny":true,"Status":403},"Expires":"2030-01-01T00:00:00Z"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		tb := newTable(100)
		_ = tb.load(b, tb.shards[0].m[id{}].expires)
		if tb.len() > 200 {
			t.Fatal("past its bound")
		}
	})
}

func TestWhatAConnectionKeepsOfTheLastHeadIsNotTakenForTheNext(t *testing.T) {
	var h head
	for _, c := range []struct{ meta, client, server, tls, method, mode string }{
		{"192.0.2.7 1 203.0.113.1 443 9 TLSv1.3 X HTTP/1.1 GET  1 inline", "192.0.2.7:1", "203.0.113.1:443", "TLSv1.3", "GET", "inline"},
		{"192.0.2.7 2 203.0.113.1 80 9   HTTP/1.1 BREW  1 relay", "192.0.2.7:2", "203.0.113.1:80", "", "BREW", "relay"},
		{"unix:  unix:  9   HTTP/1.1 GET  1 inline", "invalid AddrPort", "invalid AddrPort", "", "GET", "inline"},
		{"192.0.2.70 1 203.0.113.1 443 9 TLSv1.2 X HTTP/1.1 GET  1 inline", "192.0.2.70:1", "203.0.113.1:443", "TLSv1.2", "GET", "inline"},
		{"2001:db8::1 1 ::1 443 9 TLSv1.2 X HTTP/1.1 GET  1 guard", "[2001:db8::1]:1", "[::1]:443", "TLSv1.2", "GET", "guard"},
		{"    9   HTTP/1.1 GET  1 guard", "invalid AddrPort", "invalid AddrPort", "", "GET", "guard"},
	} {
		if !h.parse([]byte("GET /enter HTTP/1.1\r\nX-Sallyport-Meta: 1 0123456789abcdef0123456789abcdef " + c.meta + "\r\n\r\n")) {
			t.Fatalf("%s: not taken", c.meta)
		}
		r := request.Get()
		h.fill(r)
		if r.Client.String() != c.client || r.ServerAddr.String() != c.server || r.TLS.Version != c.tls || r.Method != c.method || h.mode() != c.mode || len(r.Headers) != 0 || r.URI != nil {
			t.Errorf("%s: got %v %v %q %s %s", c.meta, r.Client, r.ServerAddr, r.TLS.Version, r.Method, h.mode())
		}
		r.Release()
	}
}
