package request

import (
	"bytes"
)

// MediaType is the Content-Type without its parameters, in lower case; empty
// when there is none.
func (r *Request) MediaType() []byte { r.contentType(); return r.media }

// Boundary is the Content-Type's boundary, without quotes.
func (r *Request) Boundary() []byte { r.contentType(); return r.boundary }

// Charset is the Content-Type's charset, without quotes, in lower case.
func (r *Request) Charset() []byte { r.contentType(); return r.charset }

// contentType reads the Content-Type (RFC 9110 section 8.3) leniently. The
// first of two headers counts, as in most servers; a different second is marked.
func (r *Request) contentType() {
	if !r.first(doneMedia) {
		return
	}
	v := r.Header("content-type")
	for i := range r.Headers {
		if h := &r.Headers[i]; equalFold(h.Name, "content-type") && !bytes.Equal(h.Value, v) {
			r.mark(MarkMediaTwice, true, HeaderKind, []byte("content-type"))
		}
	}
	if len(v) == 0 {
		return
	}
	media, params := v, []byte(nil)
	if i := bytes.IndexByte(v, ';'); i >= 0 {
		media, params = v[:i], v[i+1:]
	}
	r.media = r.lowered(trim(media))
	if slash := bytes.IndexByte(r.media, '/'); slash <= 0 || slash == len(r.media)-1 || bytes.ContainsAny(r.media, " \t,;=\"") {
		r.mark(MarkMediaSyntax, true, HeaderKind, []byte("content-type"))
	}
	boundaries, odd := 0, false
	for len(params) > 0 {
		var name, value []byte
		before := params
		name, value, params = nextParam(params)
		switch {
		case equalFold(name, "boundary"):
			if boundaries++; boundaries == 1 {
				r.boundary = value
			}
			odd = odd || spaceBeforeEquals(before)
		case len(name) > 9 && equalFold(name[:9], "boundary*"):
			odd = true // RFC 2231: some parsers join such pieces, most know no boundary
		case equalFold(name, "charset"):
			if len(r.charset) > 0 && !bytes.EqualFold(r.charset, value) {
				r.mark(MarkMediaTwice, true, HeaderKind, []byte("content-type"))
				if charsetNamed(r.charset).hides {
					continue // the one that hides more is the one to undo
				}
			}
			r.charset = r.lowered(value)
		}
	}
	if boundaries > 1 {
		r.mark(MarkBoundaryTwice, true, HeaderKind, []byte("content-type"))
	}
	if bytes.HasPrefix(r.media, []byte("multipart/")) && (odd || !goodBoundary(r.boundary)) {
		r.mark(MarkBoundarySyntax, true, HeaderKind, []byte("content-type"))
	}
}

// spaceBeforeEquals says that white space stands before the first equals sign
// of b, which RFC 9110 section 5.6.6 forbids: strict parsers see no parameter.
func spaceBeforeEquals(b []byte) bool {
	i := bytes.IndexByte(b, '=')
	return i > 0 && (b[i-1] == ' ' || b[i-1] == '\t')
}

// mediaParam is a parameter of a media type.
func mediaParam(mediaType []byte, want string) []byte {
	i := bytes.IndexByte(mediaType, ';')
	if i < 0 {
		return nil
	}
	for params := mediaType[i+1:]; len(params) > 0; {
		var name, value []byte
		if name, value, params = nextParam(params); equalFold(name, want) {
			return value
		}
	}
	return nil
}

// nextParam takes one parameter off b.
func nextParam(b []byte) (name, value, rest []byte) {
	for len(b) > 0 && (b[0] == ';' || b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	end := bytes.IndexAny(b, "=;")
	if end < 0 || b[end] == ';' {
		if end < 0 {
			end = len(b)
		}
		return trim(b[:end]), nil, b[end:]
	}
	name, b = trim(b[:end]), b[end+1:]
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	if len(b) > 0 && b[0] == '"' {
		for i := 1; i < len(b); i++ {
			if b[i] == '\\' {
				i++
			} else if b[i] == '"' {
				return name, b[1:i], b[i+1:]
			}
		}
		return name, b[1:], nil
	}
	if end = bytes.IndexByte(b, ';'); end < 0 {
		end = len(b)
	}
	return name, trim(b[:end]), b[end:]
}

// goodBoundary checks RFC 2046 section 5.1.1: 1 to 70 characters of its set,
// but for the comma, where PHP ends a boundary.
func goodBoundary(b []byte) bool {
	if len(b) == 0 || len(b) > 70 || b[len(b)-1] == ' ' {
		return false
	}
	for _, c := range b {
		if !wordByte[c] && bytes.IndexByte([]byte("'()+./:=? "), c) < 0 {
			return false
		}
	}
	return true
}

// format is what a body is read as.
type format uint8

const (
	formatNone format = iota
	formatJSON
	formatLines // NDJSON
	formatForm
	formatMultipart
	formatXML
	formatGraphQL
	formatProtobuf
	formatProtobufText // in base64, as browsers send gRPC
	formatText
	formatBinary
	formatPacked // binary, with strings behind their lengths: MessagePack, CBOR, BSON, ...
)

// declared is the format the media type names.
func declared(media []byte) format {
	has := func(s string) bool { return bytes.Contains(media, []byte(s)) }
	switch {
	case len(media) == 0:
		return formatNone
	case has("ndjson") || has("jsonl") || has("json-seq") || has("json-lines"):
		return formatLines
	case has("json") || has("csp-report") || has("javascript-object"):
		return formatJSON
	case has("x-www-form-urlencoded"):
		return formatForm
	case bytes.HasPrefix(media, []byte("multipart/")):
		return formatMultipart
	case has("openxmlformats"):
		return formatBinary
	case has("xml"):
		return formatXML
	case has("graphql"):
		return formatGraphQL
	case has("grpc-web-text"):
		return formatProtobufText
	case has("protobuf") || has("grpc") || has("x-proto"):
		return formatProtobuf
	case has("msgpack") || has("cbor") || has("bson") || has("ubjson") || has("x-amf") || has("thrift") || has("avro") ||
		has("hessian") || has("wbxml") || has("serialized") || has("pickle") || has("fastinfoset"):
		return formatPacked
	case bytes.HasPrefix(media, []byte("text/")):
		return formatText
	case bytes.HasPrefix(media, []byte("image/")) && !has("svg"), bytes.HasPrefix(media, []byte("audio/")),
		bytes.HasPrefix(media, []byte("video/")), bytes.HasPrefix(media, []byte("font/")):
		return formatBinary
	}
	return formatNone
}

// sniff is the format a body looks like, whatever it says.
func sniff(b []byte) format {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	t := bytes.TrimLeft(b[:min(len(b), 4096)], " \t\r\n")
	if len(t) == 0 {
		return formatText
	}
	switch {
	case t[0] == '{' && len(t) > 1 || t[0] == '[' && len(t) > 1:
		return formatJSON
	case t[0] == '<' && len(t) > 2 && (bytes.HasPrefix(t, []byte("<?xml")) || t[1] == '!' || t[1]|0x20 >= 'a' && t[1]|0x20 <= 'z'):
		return formatXML
	case len(sniffBoundary(b)) > 0:
		return formatMultipart
	}
	for i, c := range t {
		if c == '=' && i > 0 {
			return formatForm
		}
		if !tokenByte[c] && c != '+' && c != '&' {
			break
		}
	}
	if binary(b) {
		return formatBinary
	}
	return formatText
}

// sniffBoundary is the boundary of a body that begins like a multipart one.
func sniffBoundary(b []byte) []byte {
	b = bytes.TrimLeft(b, "\r\n")
	if len(b) < 4 || b[0] != '-' || b[1] != '-' {
		return nil
	}
	end := bytes.IndexByte(b[:min(len(b), 256)], '\n')
	if end < 3 {
		return nil
	}
	next := b[end+1:]
	if len(next) < 8 || !equalFold(next[:8], "content-") {
		return nil
	}
	return bytes.TrimRight(b[2:end], "\r \t")
}

// binary says that b is no text: one of thirty bytes near its start is a control
// character, and there are more of them than somebody would put into a text to
// have it taken for binary.
func binary(b []byte) bool {
	b = b[:min(len(b), 1024)]
	controls := 0
	for _, c := range b {
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x1b {
			controls++
		}
	}
	return controls*32 > len(b) && (len(b) >= 256 || controls*8 > len(b))
}
