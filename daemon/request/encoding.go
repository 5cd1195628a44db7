package request

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// Bounds of a compressed body.
const (
	// MaxDecoded bounds a body after its content encoding, in bytes. What
	// stands behind is not seen; MarkDecoded says so.
	MaxDecoded = 4 << 20
	// MaxRatio bounds how many times larger than what was sent it may be once
	// it exceeds minBomb bytes. Repetitive JSON reaches 50.
	MaxRatio = 200
	minBomb  = 256 << 10
	// maxEncodings bounds the codings of one body.
	maxEncodings = 3
)

// DecodedBody is the body after its Content-Encoding was undone: gzip, deflate
// (with zlib's header or without), br and zstd, up to three of them in a row. A
// body that is cut, or broken, is what could be decoded; one that is not what
// its header says, or whose coding nobody knows, is returned as sent. Markers
// tell each case. It is Body.Bytes itself where there is nothing to undo.
func (r *Request) DecodedBody() []byte {
	if !r.first(doneDecoded) {
		return r.decoded
	}
	r.decoded = r.Body.Bytes
	if len(r.decoded) == 0 {
		return r.decoded
	}
	if r.Body.Cut {
		r.mark(MarkCut, true, BodyText, nil)
	}
	// The last coding was applied last, so it is undone first. Several headers
	// count as one list (RFC 9110 section 5.3).
	n, codings := 0, 0
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if !equalFold(r.Headers[i].Name, "content-encoding") {
			continue
		}
		for list := r.Headers[i].Value; len(list) > 0; {
			one := list
			if at := bytes.LastIndexByte(list, ','); at >= 0 {
				one, list = list[at+1:], list[:at]
			} else {
				list = nil
			}
			if one = trim(one); len(one) == 0 || equalFold(one, "identity") {
				continue
			}
			if codings++; codings > 1 {
				r.mark(MarkEncodingStacked, true, HeaderKind, []byte("content-encoding"))
			}
			if n < 0 || noCoding(one) {
				continue
			}
			if n++; n > maxEncodings {
				r.mark(MarkEncodingUnknown, true, HeaderKind, []byte("content-encoding"))
				n = -1
			} else if !r.undo(one) {
				n = -1
			}
		}
	}
	return r.decoded
}

// noCoding says that a name in Content-Encoding is no coding but what clients
// put there by mistake or by agreement: a charset, a transfer encoding, the
// names of AWS. The body is as it was sent.
func noCoding(name []byte) bool {
	for _, known := range [...]string{"utf-8", "utf8", "ascii", "us-ascii", "iso-8859-1", "none", "null", "binary", "7bit", "8bit",
		"amz-1.0", "aws-chunked", "application/json", "text", "json"} {
		if equalFold(name, known) {
			return true
		}
	}
	return false
}

// undo replaces the body by what coding hides; false ends the chain.
func (r *Request) undo(coding []byte) bool {
	var open func(*bytes.Reader) (io.Reader, func(), error)
	switch {
	case equalFold(coding, "gzip") || equalFold(coding, "x-gzip"):
		open = openGzip
	case equalFold(coding, "deflate"):
		open = openDeflate
	case equalFold(coding, "br"):
		open = openBrotli
	case equalFold(coding, "zstd"):
		open = openZstd
	default:
		r.mark(MarkEncodingUnknown, true, HeaderKind, []byte("content-encoding"))
		return false
	}
	in := bytes.NewReader(r.decoded)
	src, done, err := open(in)
	if err != nil {
		r.mark(MarkEncodingBroken, true, HeaderKind, []byte("content-encoding"))
		return false
	}
	sent := r.Body.Bytes
	out, err := r.inflate(src, len(sent))
	done()
	if err != nil && !(r.Body.Cut && errors.Is(err, io.ErrUnexpectedEOF)) {
		r.mark(MarkEncodingBroken, true, HeaderKind, []byte("content-encoding"))
		if len(out) == 0 {
			return false
		}
	}
	if err == nil && in.Len() > 0 && len(bytes.TrimSpace(r.decoded[len(r.decoded)-in.Len():])) > 0 && !r.Marked(MarkDecoded) && !r.Marked(MarkRatio) {
		r.mark(MarkEncodingTail, true, HeaderKind, []byte("content-encoding"))
	}
	r.decoded = out
	return true
}

// inflate reads src within the bounds and keeps what came before an error.
func (r *Request) inflate(src io.Reader, sent int) ([]byte, error) {
	buf := r.decodedBuf[:0]
	if len(r.decoded) > 0 && cap(buf) > 0 && &r.decoded[0] == &buf[:1][0] {
		buf = nil // a second coding must not overwrite what it reads
	}
	if buf == nil {
		buf = make([]byte, 0, min(max(4*sent, 4<<10), MaxDecoded))
	}
	for {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(2*cap(buf)+1<<10, MaxDecoded+1))
			copy(grown, buf)
			buf = grown
		}
		n, err := src.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		r.decodedBuf = buf
		switch {
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return buf, err
		case len(buf) > MaxDecoded:
			r.mark(MarkDecoded, true, BodyText, nil)
			return buf[:MaxDecoded], nil
		case len(buf) > minBomb && len(buf)/MaxRatio > sent:
			r.mark(MarkRatio, true, BodyText, nil)
			return buf, nil
		}
	}
}

var (
	gzips    = sync.Pool{New: func() any { return new(gzipMembers) }}
	flates   = sync.Pool{New: func() any { return flate.NewReader(nil) }}
	brotlis  = sync.Pool{New: func() any { return brotli.NewReader(nil) }}
	zstds    = sync.Pool{New: func() any { return newZstd() }}
	nothing  = bytes.NewReader(nil)
	errWraps = errors.New("not a zlib stream")
)

// gzipMembers reads the members of a gzip stream (RFC 1952 section 2.2) and
// stops before bytes that begin none.
type gzipMembers struct {
	z  gzip.Reader
	in *bytes.Reader
}

func (g *gzipMembers) reset(in *bytes.Reader) error {
	g.in = in
	if err := g.z.Reset(in); err != nil {
		return err
	}
	g.z.Multistream(false)
	return nil
}

func (g *gzipMembers) Read(b []byte) (int, error) {
	n, err := g.z.Read(b)
	if err != io.EOF || g.in.Len() < 2 {
		return n, err
	}
	var magic [2]byte
	at := g.in.Size() - int64(g.in.Len())
	if _, err := g.in.ReadAt(magic[:], at); err != nil || magic != [2]byte{0x1f, 0x8b} {
		return n, io.EOF
	}
	return n, g.reset(g.in)
}

func openGzip(in *bytes.Reader) (io.Reader, func(), error) {
	g := gzips.Get().(*gzipMembers)
	done := func() { g.in = nil; gzips.Put(g) }
	if err := g.reset(in); err != nil {
		done()
		return nil, nil, err
	}
	return g, done, nil
}

// openDeflate reads zlib's format, as RFC 9110 section 8.4.1.2 says, or bare
// deflate, as many clients send.
func openDeflate(in *bytes.Reader) (io.Reader, func(), error) {
	var head [2]byte
	n, _ := in.ReadAt(head[:], 0)
	f := flates.Get().(io.ReadCloser)
	if n == 2 && head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
		z, err := zlib.NewReader(in)
		if err != nil {
			flates.Put(f)
			return nil, nil, errWraps
		}
		return z, func() { z.Close(); flates.Put(f) }, nil
	}
	if err := f.(flate.Resetter).Reset(in, nil); err != nil {
		flates.Put(f)
		return nil, nil, err
	}
	return f, func() { flates.Put(f) }, nil
}

func openBrotli(in *bytes.Reader) (io.Reader, func(), error) {
	z := brotlis.Get().(*brotli.Reader)
	if err := z.Reset(in); err != nil {
		return nil, nil, err
	}
	return z, func() { z.Reset(nothing); brotlis.Put(z) }, nil
}

func newZstd() *zstd.Decoder {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		panic(err) // the options above are constants
	}
	return z
}

func openZstd(in *bytes.Reader) (io.Reader, func(), error) {
	z := zstds.Get().(*zstd.Decoder)
	if err := z.Reset(in); err != nil {
		zstds.Put(z)
		return nil, nil, err
	}
	return z, func() { z.Reset(nothing); zstds.Put(z) }, nil
}
