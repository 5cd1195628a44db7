package outcome

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxLine bounds one access log line, in bytes: NGINX logs no request line or
// header longer than its own buffers, and a datagram holds no more.
const MaxLine = 128 << 10

// maxTries bounds the tries at the backend that are read of one request.
const maxTries = 64

// Parse reads one line of the access log format "sallyport": a flat JSON
// object of strings, as NGINX's escape=json writes it, behind the header of a
// syslog datagram or on its own. A variable that NGINX had no value for is
// empty or "-". door is the path of the daemon's own socket: a try there is no
// try at the backend, and is left out.
//
// Bytes that are no UTF-8 are kept as they are. Unknown names are passed over,
// a name that stands twice keeps its last value.
func Parse(line []byte, door string) (Outcome, error) {
	var o Outcome
	if len(line) > MaxLine {
		return o, fmt.Errorf("access log line of %d bytes, at most %d are read", len(line), MaxLine)
	}
	from := bytes.IndexByte(line, '{')
	if from < 0 {
		return o, errors.New("access log line without a JSON object; the log format sallyport was expected")
	}
	var tries tries
	p := fields{rest: line[from+1:]}
	for {
		name, value, more, err := p.next()
		if err != nil {
			return o, fmt.Errorf("access log line: %w", err)
		}
		if !more {
			break
		}
		if err := o.set(name, value, &tries); err != nil {
			return o, fmt.Errorf("access log line: %s: %w", name, err)
		}
	}
	if o.ID == "" {
		return o, errors.New("access log line without an id; the log format sallyport was expected")
	}
	tries.into(&o, door)
	return o, nil
}

// set takes one field of the log format.
func (o *Outcome) set(name, value string, t *tries) (err error) {
	if value == "-" || value == "" {
		return nil
	}
	switch name {
	case "id":
		o.ID = value
	case "t":
		o.Time, err = parseTime(value)
	case "client":
		if strings.HasPrefix(value, "unix:") {
			return nil // NGINX listens on a Unix socket: there is no address
		}
		o.Client, err = netip.ParseAddr(value)
		o.Client = o.Client.Unmap().WithZone("")
	case "host":
		o.Host = value
	case "method":
		o.Method = value
	case "uri":
		o.URI = value
	case "proto":
		o.Protocol = value
	case "status":
		o.Status, err = parseStatus(value)
	case "in":
		o.RequestBytes, err = parseBytes(value)
	case "out":
		o.ResponseBytes, err = parseBytes(value)
	case "rt":
		o.RequestTime, err = parseSeconds(value)
	case "ut":
		t.times = split(value)
	case "us":
		t.statuses = split(value)
	case "ua":
		t.addrs = split(value)
	case "open":
		o.FailedOpen = value != "0"
	case "auth":
		o.Authenticated = value != "0"
	}
	return err
}

func parseStatus(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 999 {
		return 0, fmt.Errorf("%.20q is no status", v)
	}
	return n, nil
}

func parseBytes(v string) (int64, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%.20q is no number of bytes", v)
	}
	return n, nil
}

// parseTime reads $msec: seconds since 1970 with milliseconds.
func parseTime(v string) (time.Time, error) {
	sec, frac, _ := strings.Cut(v, ".")
	s, err := strconv.ParseInt(sec, 10, 64)
	if err != nil || s < 0 || s > 1<<36 {
		return time.Time{}, fmt.Errorf("%.20q is no time in seconds", v)
	}
	ms := int64(0)
	if frac != "" {
		if ms, err = strconv.ParseInt((frac + "00")[:3], 10, 64); err != nil || ms < 0 {
			return time.Time{}, fmt.Errorf("%.20q is no time in seconds", v)
		}
	}
	return time.UnixMilli(s*1000 + ms).UTC(), nil
}

func parseSeconds(v string) (time.Duration, error) {
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !(f >= 0 && f < 1e8) {
		return 0, fmt.Errorf("%.20q is no time in seconds", v)
	}
	return time.Duration(f*1000+0.5) * time.Millisecond, nil
}

// tries are the lists of $upstream_addr, $upstream_status and
// $upstream_response_time, which go along with each other.
type tries struct{ addrs, statuses, times []string }

// split parts a list at ", " (another server was tried) and " : " (the request
// was redirected inside NGINX).
func split(v string) []string {
	var out []string
	for len(out) < maxTries {
		i := strings.IndexAny(v, ",:")
		for i >= 0 && !(v[i] == ',' && strings.HasPrefix(v[i:], ", ") || v[i] == ':' && i > 0 && v[i-1] == ' ' && strings.HasPrefix(v[i:], ": ")) {
			j := strings.IndexAny(v[i+1:], ",:")
			if j < 0 {
				i = -1
				break
			}
			i += 1 + j
		}
		if i < 0 {
			return append(out, strings.TrimSpace(v))
		}
		out = append(out, strings.TrimSpace(v[:i]))
		v = v[i+1:]
	}
	return out
}

// into sums up the tries at the backend. A time or status that is no number
// ("-": no answer) counts for nothing.
func (t *tries) into(o *Outcome, door string) {
	own := "unix:" + door
	for i, a := range t.addrs {
		if door != "" && a == own || a == "sallyport" || a == "-" || a == "" {
			continue
		}
		o.UpstreamAddr, o.UpstreamStatus = a, 0
		if i < len(t.statuses) {
			if n, err := parseStatus(t.statuses[i]); err == nil {
				o.UpstreamStatus = n
			}
		}
		if i < len(t.times) {
			if d, err := parseSeconds(t.times[i]); err == nil {
				o.UpstreamTime += d
			}
		}
	}
}

// fields walks a flat JSON object whose values are strings or bare words.
type fields struct {
	rest  []byte
	begun bool
}

func (p *fields) next() (name, value string, more bool, err error) {
	p.space()
	if len(p.rest) > 0 && p.rest[0] == '}' {
		return "", "", false, nil
	}
	if p.begun {
		if err := p.take(','); err != nil {
			return "", "", false, err
		}
	}
	p.begun = true
	if name, err = p.string(); err != nil {
		return "", "", false, err
	}
	if err := p.take(':'); err != nil {
		return "", "", false, err
	}
	p.space()
	if len(p.rest) > 0 && p.rest[0] == '"' {
		value, err = p.string()
		return name, value, true, err
	}
	n := 0
	for n < len(p.rest) && p.rest[n] != ',' && p.rest[n] != '}' && p.rest[n] != '{' && p.rest[n] != '[' && p.rest[n] != '"' {
		n++
	}
	if n == 0 || n == len(p.rest) || p.rest[n] != ',' && p.rest[n] != '}' {
		return "", "", false, fmt.Errorf("%s: a string or a number was expected", name)
	}
	value = strings.TrimSpace(string(p.rest[:n]))
	p.rest = p.rest[n:]
	return name, value, true, nil
}

func (p *fields) space() {
	p.rest = bytes.TrimLeft(p.rest, " \t\r\n")
}

func (p *fields) take(c byte) error {
	p.space()
	if len(p.rest) == 0 {
		return errors.New("it ends early; NGINX cuts datagrams that are too long")
	}
	if p.rest[0] != c {
		return fmt.Errorf("%q where %q was expected", p.rest[0], c)
	}
	p.rest = p.rest[1:]
	return nil
}

func (p *fields) string() (string, error) {
	if err := p.take('"'); err != nil {
		return "", err
	}
	end := bytes.IndexAny(p.rest, `"\`)
	if end >= 0 && p.rest[end] == '"' {
		s := string(p.rest[:end])
		p.rest = p.rest[end+1:]
		return s, nil
	}
	var b []byte
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case '"':
			p.rest = p.rest[i+1:]
			return string(b), nil
		case '\\':
			n, err := unescape(&b, p.rest[i:])
			if err != nil {
				return "", err
			}
			i += n - 1
		default:
			b = append(b, c)
		}
	}
	return "", errors.New("it ends inside a string; NGINX cuts datagrams that are too long")
}

// unescape reads an escape as RFC 8259, section 7, has them.
func unescape(dst *[]byte, b []byte) (int, error) {
	if len(b) < 2 {
		return 0, errors.New("it ends inside a string")
	}
	if i := strings.IndexByte(`"\/bfnrt`, b[1]); i >= 0 {
		*dst = append(*dst, "\"\\/\b\f\n\r\t"[i])
		return 2, nil
	}
	if b[1] == 'u' && len(b) >= 6 {
		if r, err := strconv.ParseUint(string(b[2:6]), 16, 16); err == nil {
			*dst = utf8.AppendRune(*dst, rune(r))
			return 6, nil
		}
	}
	return 0, fmt.Errorf(`\%c is no escape`, b[1])
}
