package capture

import (
	"bytes"
	"fmt"
	"math/rand"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	client = netip.MustParseAddrPort("198.51.100.7:40000")
	server = netip.MustParseAddrPort("203.0.113.10:80")
)

func found(t testing.TB, pcap []byte) []string {
	var out []string
	err := Read(bytes.NewReader(pcap), false, func(r *Request) {
		out = append(out, fmt.Sprintf("%s %s %s", r.Method, r.URI, r.Body))
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func written(t testing.TB, requests ...string) []byte {
	var b bytes.Buffer
	w, err := NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range requests {
		c := Conversation{Client: netip.AddrPortFrom(client.Addr(), uint16(40000+i)), Server: server, Start: time.Unix(1_700_000_000, 0), Request: []byte(q), Answer: []byte("HTTP/1.1 204 No Content\r\n\r\n")}
		if err := w.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	got := found(t, written(t, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n"+long,
		"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /d HTTP/1.1\r\n\r\n",
		"not http at all"))
	want := []string{"GET /a ", "POST /b " + long, "GET /1 ", "GET /2 ", "POST /c abc", "GET /d "}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %.200q", got)
	}
}

// feed runs segments of one direction through an assembler.
func feed(segments []segment) []byte {
	var data []byte
	a := &assembler{open: map[pair]*connection{}, ended: func(c *connection) { data = c.half[0].data }}
	for _, s := range segments {
		a.add(s)
	}
	a.flush()
	return data
}

func TestSegmentsInAnyOrderGiveTheSameStream(t *testing.T) {
	text := []byte(strings.Repeat("0123456789abcdef", 40))
	syn := segment{src: client, dst: server, seq: 0xfffffff0, syn: true}
	var parts []segment
	for i := 0; i < len(text); i += 20 {
		// Each overlaps the next.
		end := min(i+30, len(text))
		parts = append(parts, segment{src: client, dst: server, seq: syn.seq + 1 + uint32(i), payload: text[i:end]})
	}
	r := rand.New(rand.NewSource(1))
	for range 50 {
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		if got := feed(append([]segment{syn}, parts...)); !bytes.Equal(got, text) {
			t.Fatalf("got %q", got)
		}
	}
}

func TestAForgedResetDoesNotHideWhatFollows(t *testing.T) {
	got := feed([]segment{
		{src: client, dst: server, seq: 100, syn: true},
		{src: server, dst: client, seq: 500, ack: 101, syn: true, acks: true},
		{src: client, dst: server, seq: 101, rst: true},
		{src: client, dst: server, seq: 101, payload: []byte("GET / HTTP/1.1\r\n\r\n")},
	})
	if string(got) != "GET / HTTP/1.1\r\n\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestOfSeveralSYNsTheAnsweredOneCounts(t *testing.T) {
	got := feed([]segment{
		{src: client, dst: server, seq: 9000, syn: true},
		{src: client, dst: server, seq: 100, syn: true},
		{src: server, dst: client, seq: 500, ack: 101, syn: true, acks: true},
		{src: client, dst: server, seq: 101, payload: []byte("abc")},
	})
	if string(got) != "abc" {
		t.Errorf("got %q", got)
	}
}

func TestAMissingSegmentEndsTheStreamThere(t *testing.T) {
	got := feed([]segment{
		{src: client, dst: server, seq: 100, syn: true},
		{src: client, dst: server, seq: 101, payload: []byte("abc")},
		{src: client, dst: server, seq: 107, payload: []byte("ghi")},
	})
	if string(got) != "abc" {
		t.Errorf("got %q", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(written(f, "GET /a HTTP/1.1\r\nHost: h\r\n x\r\n\r\n", "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Add(written(f, string(preface)+"\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x84\x87"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = Read(bytes.NewReader(data), true, func(r *Request) {})
	})
}

func FuzzRequests(f *testing.F) {
	f.Add([]byte("GET /a HTTP/1.1\r\nHost: h\r\n x\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n"))
	f.Add(append(bytes.Clone(preface), "\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x84\x87"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &connection{client: client, server: server, handshake: true, answered: true}
		c.half[0].data = data
		total := 0
		c.requests(func(r *Request) {
			total += len(r.Raw)
		})
		if total > len(data) {
			t.Fatalf("%d bytes of requests in %d bytes", total, len(data))
		}
	})
}
