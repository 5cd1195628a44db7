package decode

import "bytes"

// Bounds of Multipart. Parts beyond MaxParts are given as one part without a
// name; a part's headers beyond MaxPartHead are read as content.
const (
	MaxParts    = 1024
	MaxPartHead = 8 << 10
)

// Part is one part of a multipart body (RFC 2046, RFC 7578).
type Part struct {
	Head []byte // the header lines as sent
	// Name and Filename are the Content-Disposition's, between their quotes;
	// FilenameExt is filename*, still encoded (RFC 5987).
	Name, Filename, FilenameExt []byte
	HasFilename                 bool
	// Disposition is the Content-Disposition's value where a file name is spread
	// over several parameters (RFC 2231 section 3), else nil.
	Disposition []byte
	// Unknown says that the Content-Disposition has a parameter of another name.
	Unknown  bool
	Type     []byte // Content-Type
	Encoding []byte // Content-Transfer-Encoding
	Content  []byte
}

// PartFlaw is something about a multipart body that parsers read differently.
type PartFlaw uint8

// The flaws.
const (
	PartNoBoundary PartFlaw = iota // the content type names none, or the body never uses it
	PartNoEnd                      // no closing delimiter
	PartPreamble                   // text before the first delimiter
	PartEpilogue                   // text after the closing one
	PartBareLF                     // a line break of LF alone in a delimiter or a head
	PartFolded                     // a folded header line
	PartEscaped                    // a backslash in a quoted name or file name
	PartTwice                      // a parameter or a header twice in one part
	PartNoName                     // form data without a name
	PartHead                       // a head that is no header lines, or has no end
	PartUnquoted                   // a name without quotes
	PartExtended                   // filename* or name*
	PartTransfer                   // a Content-Transfer-Encoding that changes the content
	PartMany                       // more than MaxParts
	PartSplit                      // a file name spread over several parameters
	PartSingle                     // a name in single quotes
)

// PartSink takes what is found.
type PartSink interface {
	Part(Part)
	PartFlaw(PartFlaw)
}

// Multipart reports the parts of body in order. form says that it is form
// data, whose parts need names.
func Multipart(body, boundary []byte, form bool, sink PartSink) {
	if len(boundary) == 0 {
		sink.PartFlaw(PartNoBoundary)
		return
	}
	start, next, last, lf := delimiter(body, boundary, 0)
	if start < 0 {
		sink.PartFlaw(PartNoBoundary)
		return
	}
	if len(bytes.TrimSpace(body[:start])) > 0 {
		sink.PartFlaw(PartPreamble)
		sink.Part(Part{Content: body[:start]})
	}
	for n := 0; !last; n++ {
		if lf {
			sink.PartFlaw(PartBareLF)
		}
		if n >= MaxParts {
			sink.PartFlaw(PartMany)
			sink.Part(Part{Content: body[next:]})
			return
		}
		from := next
		start, next, last, lf = delimiter(body, boundary, from)
		if start < 0 {
			sink.PartFlaw(PartNoEnd)
			onePart(body[from:], form, sink)
			return
		}
		onePart(body[from:start], form, sink)
	}
	if rest := bytes.TrimSpace(body[next:]); len(rest) > 0 {
		sink.PartFlaw(PartEpilogue)
		sink.Part(Part{Content: rest})
	}
}

// delimiter finds the next delimiter line at or after from: where the content
// before it ends, where the line after it begins, and whether it closes.
func delimiter(body, boundary []byte, from int) (start, next int, last, lf bool) {
	for at := from; ; {
		i := bytes.Index(body[at:], boundary)
		if i < 0 {
			return -1, 0, false, false
		}
		i += at
		at = i + 1
		b := i - 2
		if b < from || body[b] != '-' || body[b+1] != '-' || b > from && body[b-1] != '\n' {
			continue
		}
		end := i + len(boundary)
		if end+1 < len(body) && body[end] == '-' && body[end+1] == '-' {
			last, end = true, end+2
		}
		for end < len(body) && (body[end] == ' ' || body[end] == '\t') {
			end++
		}
		switch {
		case end == len(body):
		case body[end] == '\n':
			lf = !last
			end++
		case body[end] == '\r' && end+1 < len(body) && body[end+1] == '\n':
			end += 2
		case !last:
			continue // a longer boundary that begins like ours
		}
		start = b
		if start > from {
			start--
			if start > from && body[start-1] == '\r' {
				start--
			} else {
				lf = true
			}
		}
		return start, end, last, lf
	}
}

func onePart(b []byte, form bool, sink PartSink) {
	var p Part
	end, skip := headEnd(b)
	if end < 0 {
		sink.PartFlaw(PartHead)
		p.Content = b
		sink.Part(p)
		return
	}
	p.Head, p.Content = b[:end], b[end+skip:]
	disposition, named := 0, false
	for rest := p.Head; len(rest) > 0; {
		var line []byte
		line, rest = headerLine(rest, sink)
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 {
			if len(bytes.TrimSpace(line)) > 0 {
				sink.PartFlaw(PartHead)
			}
			continue
		}
		name, value := bytes.TrimSpace(line[:colon]), bytes.TrimSpace(line[colon+1:])
		if len(name) != colon {
			sink.PartFlaw(PartHead) // some parsers take "name :" for no header
		}
		switch {
		case bytes.EqualFold(name, []byte("content-disposition")):
			if disposition++; disposition > 1 {
				sink.PartFlaw(PartTwice)
			}
			named = p.disposition(value, sink) || named
		case bytes.EqualFold(name, []byte("content-type")):
			if p.Type != nil {
				sink.PartFlaw(PartTwice)
			}
			p.Type = value
		case bytes.EqualFold(name, []byte("content-transfer-encoding")):
			p.Encoding = value
			if bytes.EqualFold(value, []byte("base64")) || bytes.EqualFold(value, []byte("quoted-printable")) {
				sink.PartFlaw(PartTransfer)
			}
		}
	}
	if form && !named {
		sink.PartFlaw(PartNoName)
	}
	sink.Part(p)
}

// headEnd finds the blank line between a part's head and content.
func headEnd(b []byte) (end, skip int) {
	if bytes.HasPrefix(b, []byte("\r\n")) {
		return 0, 2
	}
	if bytes.HasPrefix(b, []byte("\n")) {
		return 0, 1
	}
	window := b[:min(len(b), MaxPartHead)]
	crlf, lf := bytes.Index(window, []byte("\r\n\r\n")), bytes.Index(window, []byte("\n\n"))
	switch {
	case crlf >= 0 && (lf < 0 || crlf < lf):
		return crlf, 4
	case lf >= 0:
		return lf, 2
	}
	return -1, 0
}

// headerLine takes one header off b, with the lines folded into it.
func headerLine(b []byte, sink PartSink) (line, rest []byte) {
	for at := 0; ; {
		n := bytes.IndexByte(b[at:], '\n')
		if n < 0 {
			return b, nil
		}
		n += at
		if n == 0 || b[n-1] != '\r' {
			sink.PartFlaw(PartBareLF)
		}
		if n+1 < len(b) && (b[n+1] == ' ' || b[n+1] == '\t') {
			sink.PartFlaw(PartFolded)
			at = n + 1
			continue
		}
		return bytes.TrimSuffix(b[:n], []byte("\r")), b[n+1:]
	}
}

// disposition reads a Content-Disposition's parameters leniently and says
// whether one was a name.
func (p *Part) disposition(v []byte, sink PartSink) (named bool) {
	semi := bytes.IndexByte(v, ';')
	if semi < 0 {
		return false
	}
	whole := v
	for v = v[semi+1:]; len(v) > 0; {
		v = bytes.TrimLeft(v, " \t\r\n;")
		eq := bytes.IndexByte(v, '=')
		if eq < 0 {
			break
		}
		key := bytes.TrimSpace(v[:eq])
		var value []byte
		value, v = paramValue(bytes.TrimLeft(v[eq+1:], " \t\r\n"), sink)
		switch {
		case bytes.EqualFold(key, []byte("name")):
			if named {
				sink.PartFlaw(PartTwice)
			}
			if p.Name == nil {
				p.Name = value
			}
			named = true
		case bytes.EqualFold(key, []byte("filename")):
			if p.HasFilename {
				sink.PartFlaw(PartTwice)
			}
			p.Filename, p.HasFilename = value, true
		case bytes.EqualFold(key, []byte("filename*")):
			sink.PartFlaw(PartExtended)
			p.FilenameExt, p.HasFilename = value, true
		case bytes.EqualFold(key, []byte("name*")):
			sink.PartFlaw(PartExtended)
			named = true
			if p.Name == nil {
				p.Name = value
			}
		case len(key) > 9 && bytes.EqualFold(key[:9], []byte("filename*")):
			sink.PartFlaw(PartSplit)
			p.Disposition, p.HasFilename = whole, true
		default:
			p.Unknown = true
		}
	}
	return named
}

func paramValue(v []byte, sink PartSink) (value, rest []byte) {
	if len(v) > 0 && (v[0] == '"' || v[0] == '\'') {
		quote := v[0]
		if quote == '\'' {
			sink.PartFlaw(PartSingle)
		}
		for i := 1; i < len(v); i++ {
			switch v[i] {
			case '\\':
				sink.PartFlaw(PartEscaped)
				i++
			case quote:
				return v[1:i], v[i+1:]
			}
		}
		sink.PartFlaw(PartHead)
		return v[1:], nil
	}
	end := bytes.IndexByte(v, ';')
	if end < 0 {
		end = len(v)
	}
	sink.PartFlaw(PartUnquoted)
	return bytes.TrimSpace(v[:end]), v[end:]
}
