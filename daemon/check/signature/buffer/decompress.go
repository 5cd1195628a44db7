package buffer

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
)

// MaxDecompressed bounds what a compressed body may grow to, in bytes; the
// rest is not looked at.
const MaxDecompressed = 1 << 20

// Decompress undoes a Content-Encoding. A body that is not what its header
// says comes back unchanged; one that breaks off comes back as far as it goes.
func Decompress(body []byte, encoding string) []byte {
	for _, enc := range strings.Split(encoding, ",") {
		var r io.Reader
		var err error
		switch strings.TrimSpace(enc) {
		case "gzip", "x-gzip":
			r, err = gzip.NewReader(bytes.NewReader(body))
		case "deflate":
			if r, err = zlib.NewReader(bytes.NewReader(body)); err != nil {
				r, err = flate.NewReader(bytes.NewReader(body)), nil
			}
		case "br":
			r = brotli.NewReader(bytes.NewReader(body))
		default:
			continue
		}
		if err != nil {
			return body
		}
		out, _ := io.ReadAll(io.LimitReader(r, MaxDecompressed))
		if len(out) == 0 {
			return body
		}
		body = out
	}
	return body
}
