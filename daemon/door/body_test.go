package door

import (
	"bytes"
	"io"
	"net"
	"net/http/httputil"
	"testing"

	"github.com/sallyport/sallyport/daemon/request"
)

// FuzzChunkedBody reads any bytes as a chunked body that came in two pieces:
// what is taken is what net/http reads of it, and what is kept keeps its bound.
func FuzzChunkedBody(f *testing.F) {
	for _, s := range []string{"5\r\nhello\r\n0\r\n\r\n", "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n", "0\r\n\r\n", "ffffffffff\r\n", "-1\r\n", "5\r\nhel", "1\r\naX\r\n0\r\n\r\n"} {
		f.Add([]byte(s), uint16(3), uint16(4))
	}
	f.Fuzz(func(t *testing.T, b []byte, limit, split uint16) {
		at := min(int(split), len(b))
		ours, theirs := net.Pipe()
		go func() {
			_, _ = theirs.Write(b[at:])
			theirs.Close()
		}()
		defer ours.Close()
		d := &Server{}
		d.bodies.max = 1 << 20
		c := &conn{d: d, nc: ours}
		r := request.Get()
		defer r.Release()
		ok := c.readChunked(r, b[:at], int64(limit))
		if len(r.Body.Bytes) > int(limit) || d.bodies.used.Load() > int64(limit) {
			t.Fatalf("%d bytes kept, %d counted, limit %d", len(r.Body.Bytes), d.bodies.used.Load(), limit)
		}
		if !ok {
			if d.bodies.used.Load() != 0 {
				t.Fatal("memory of a refused body stays counted")
			}
			return
		}
		want, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(b)))
		if err != nil {
			return // net/http bounds its lines and extensions more tightly
		}
		if r.Body.Length != int64(len(want)) || !bytes.Equal(r.Body.Bytes, want[:min(len(want), int(limit))]) || r.Body.Cut != (len(want) > int(limit)) {
			t.Fatalf("%q: read %q of %d, net/http reads %q", b, r.Body.Bytes, r.Body.Length, want)
		}
	})
}
