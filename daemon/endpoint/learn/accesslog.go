package learn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/request"
)

// Lines counts what a reader read.
type Lines struct {
	Read    int // calls
	Skipped int // lines or entries that are no call
	// Why is the first that was skipped, with its number.
	Why string
}

func (l *Lines) skip(number int, err error) {
	if l.Skipped++; l.Skipped == 1 {
		l.Why = fmt.Sprintf("line %d: %v", number, err)
	}
}

// ReadAccessLog reads an access log of NGINX or Apache: a line each of the
// format combined, with a virtual host before it or not and whatever behind
// it, or of the format sallyport. Lines that are neither are skipped; so are
// those longer than outcome.MaxLine.
func ReadAccessLog(in io.Reader, add func(Call)) (Lines, error) {
	var n Lines
	r := bufio.NewReaderSize(in, outcome.MaxLine)
	for number := 1; ; number++ {
		line, err := r.ReadSlice('\n')
		long := err == bufio.ErrBufferFull
		for err == bufio.ErrBufferFull {
			_, err = r.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return n, fmt.Errorf("read the access log: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case long:
			n.skip(number, fmt.Errorf("longer than %d bytes", outcome.MaxLine))
		case len(bytes.TrimSpace(line)) > 0:
			if bad := readLine(line, add); bad != nil {
				n.skip(number, bad)
			} else {
				n.Read++
			}
		}
		if err == io.EOF {
			return n, nil
		}
	}
}

func readLine(line []byte, add func(Call)) error {
	o, err := parseLine(line)
	if err != nil {
		return err
	}
	r := request.Get()
	defer r.Release()
	r.Received, r.Method, r.URI, r.Host = o.Time, o.Method, []byte(o.URI), []byte(o.Host)
	r.Client = netip.AddrPortFrom(o.Client, 0)
	add(Call{Request: r, Status: o.Status, Denied: o.Denied, HeadUnknown: true})
	return nil
}

func parseLine(line []byte) (outcome.Outcome, error) {
	if i := bytes.IndexByte(line, '{'); i >= 0 && bytes.Contains(line[i:min(len(line), i+8)], []byte(`"id"`)) {
		return outcome.Parse(line, "")
	}
	return parseCombined(line)
}

// parseCombined reads
//
//	192.0.2.7 - jane [24/Nov/2026:12:00:00 +0000] "GET /a?b=c HTTP/1.1" 200 17 "referer" "agent"
//
// NGINX writes bytes that need it as \xHH, Apache quotes as \".
func parseCombined(line []byte) (o outcome.Outcome, err error) {
	first, rest, _ := bytes.Cut(line, []byte(" "))
	if o.Client, err = netip.ParseAddr(string(first)); err != nil { // a virtual host stands first
		second, more, _ := bytes.Cut(rest, []byte(" "))
		if o.Client, err = netip.ParseAddr(string(second)); err != nil {
			return o, fmt.Errorf("%.40q is no address; the format combined or sallyport was expected", first)
		}
		host, _, _ := bytes.Cut(first, []byte(":"))
		o.Host, rest = string(host), more
	}
	open, end := bytes.IndexByte(rest, '['), bytes.IndexByte(rest, ']')
	if open < 0 || end < open {
		return o, errors.New("no time in brackets; the format combined was expected")
	}
	if o.Time, err = time.Parse("02/Jan/2006:15:04:05 -0700", string(rest[open+1:end])); err != nil {
		return o, fmt.Errorf("%.40q is no time such as 24/Nov/2026:12:00:00 +0000", rest[open+1:end])
	}
	rest = rest[end+1:]
	quote := bytes.IndexByte(rest, '"')
	if quote < 0 {
		return o, errors.New("no request in quotes")
	}
	text, rest, err := unquote(rest[quote+1:])
	if err != nil {
		return o, err
	}
	method, uri, ok := bytes.Cut(text, []byte(" "))
	if !ok {
		return o, fmt.Errorf("%.40q is no request line", text)
	}
	if i := bytes.LastIndex(uri, []byte(" HTTP/")); i >= 0 {
		uri = uri[:i]
	}
	o.Method, o.URI = string(method), string(uri)
	status, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	if o.Status, err = strconv.Atoi(string(status)); err != nil || o.Status < 0 || o.Status > 999 {
		return o, fmt.Errorf("%.20q is no status", status)
	}
	return o, nil
}

// unquote reads up to the closing quote.
func unquote(b []byte) (text, rest []byte, err error) {
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '"':
			return text, b[i+1:], nil
		case b[i] == '\\' && i+3 < len(b) && b[i+1] == 'x':
			n, err := strconv.ParseUint(string(b[i+2:i+4]), 16, 8)
			if err != nil {
				text = append(text, b[i])
				continue
			}
			text = append(text, byte(n))
			i += 3
		case b[i] == '\\' && i+1 < len(b):
			i++
			text = append(text, b[i])
		default:
			text = append(text, b[i])
		}
	}
	return nil, nil, errors.New("the request has no closing quote")
}
