package sink

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/daemon/event"
)

// syslogTimeout bounds a connection attempt and one write of a batch.
const syslogTimeout = 5 * time.Second

// Syslog sends RFC 5424 messages: a datagram each over a Unix socket or UDP
// (RFC 5426), counted octets over TCP (RFC 6587, section 3.4.1) and TLS (RFC
// 5425). Structured data is "-": a message is one JSON object or one line.
//
// What a server took is only known to the kernel: bytes that it had not yet
// read when it died are lost without a count. A server that closed its end is
// noticed before the next batch.
type Syslog struct {
	settings  event.SyslogSettings
	transport string
	addr      string
	tls       *tls.Config
	prefix    string // " HOST APP PROCID "
	facility  int
	conn      *peer
	buf       []byte
	ends      []int
}

// peer is one connection, watched for its end.
type peer struct {
	net.Conn
	stream bool
	gone   atomic.Bool
}

// NewSyslog reads certificates, and connects with the first event.
func NewSyslog(s event.SyslogSettings) (*Syslog, error) {
	transport, addr, err := s.Target()
	if err != nil {
		return nil, &event.SettingError{Key: "syslog.address", Err: err}
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-"
	}
	sl := &Syslog{settings: s, transport: transport, addr: addr, facility: event.Facilities[s.Facility],
		prefix: " " + nilIfEmpty(host, 255) + " sallyport " + strconv.Itoa(os.Getpid()) + " "}
	if transport == "udp" {
		sl.settings.MaxBytes = min(s.MaxBytes, 65000) // what one datagram holds
	}
	if transport == "tls" {
		if sl.tls, err = tlsConfig(s, addr); err != nil {
			return nil, err
		}
	}
	return sl, nil
}

// nilIfEmpty keeps printable ASCII without spaces, as HOSTNAME must be.
func nilIfEmpty(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), limit)]
}

func tlsConfig(s event.SyslogSettings, addr string) (*tls.Config, error) {
	name := s.ServerName
	if name == "" {
		name, _, _ = net.SplitHostPort(addr)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, &event.SettingError{Key: "syslog.ca_file", Err: err}
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &event.SettingError{Key: "syslog.ca_file", Err: fmt.Errorf("%s holds no certificate in PEM", s.CAFile)}
		}
	}
	if s.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, &event.SettingError{Key: "syslog.cert_file", Err: err}
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

// Name is "syslog".
func (s *Syslog) Name() string { return "syslog" }

// Write sends a message for each entry.
func (s *Syslog) Write(entries []event.Entry) (int, error) {
	if err := s.connect(); err != nil {
		return 0, err
	}
	n, err := 0, error(nil)
	_ = s.conn.SetWriteDeadline(time.Now().Add(syslogTimeout))
	if s.conn.stream {
		n, err = s.writeStream(entries)
	} else {
		n, err = s.writeDatagrams(entries)
	}
	if err != nil {
		_ = s.conn.Close()
		s.conn = nil
		return n, fmt.Errorf("send to syslog server %s: %w", s.settings.Address, err)
	}
	return n, nil
}

// writeStream sends a batch with one write and, if that fails, counts the
// messages that went out whole.
func (s *Syslog) writeStream(entries []event.Entry) (int, error) {
	s.buf, s.ends = s.buf[:0], s.ends[:0]
	var one []byte
	for _, e := range entries {
		one = s.message(one[:0], e)
		s.buf = append(strconv.AppendInt(s.buf, int64(len(one)), 10), ' ')
		s.buf = append(s.buf, one...)
		s.ends = append(s.ends, len(s.buf))
	}
	n, err := s.conn.Write(s.buf)
	if err == nil {
		return len(entries), nil
	}
	taken := 0
	for taken < len(s.ends) && s.ends[taken] <= n {
		taken++
	}
	return taken, err
}

func (s *Syslog) writeDatagrams(entries []event.Entry) (int, error) {
	for i, e := range entries {
		s.buf = s.message(s.buf[:0], e)
		if _, err := s.conn.Write(s.buf); err != nil {
			return i, err
		}
	}
	return len(entries), nil
}

func (s *Syslog) connect() error {
	if s.conn != nil && s.conn.gone.Load() {
		_ = s.conn.Close()
		s.conn = nil
	}
	if s.conn != nil {
		return nil
	}
	c, stream, err := s.dial()
	if err != nil {
		return fmt.Errorf("connect to syslog server %s: %w", s.settings.Address, err)
	}
	s.conn = &peer{Conn: c, stream: stream}
	if stream {
		go s.conn.watch()
	}
	return nil
}

// watch waits for the peer's end: a syslog server sends nothing.
func (p *peer) watch() {
	_, _ = io.Copy(io.Discard, p.Conn)
	p.gone.Store(true)
}

func (s *Syslog) dial() (c net.Conn, stream bool, err error) {
	d := &net.Dialer{Timeout: syslogTimeout}
	switch s.transport {
	case "unix":
		if c, err = d.Dial("unixgram", s.addr); err == nil {
			return c, false, nil
		}
		if c, streamErr := d.Dial("unix", s.addr); streamErr == nil {
			return c, true, nil
		}
		return nil, false, err
	case "udp":
		c, err = d.Dial("udp", s.addr)
		return c, false, err
	case "tls":
		c, err = tls.DialWithDialer(d, "tcp", s.addr, s.tls)
		if err != nil {
			var unknown x509.UnknownAuthorityError
			if errors.As(err, &unknown) {
				err = fmt.Errorf("%w; name the authority's certificate with syslog.ca_file", err)
			}
			return nil, false, err
		}
		return c, true, nil
	}
	c, err = d.Dial("tcp", s.addr)
	return c, true, err
}

// message appends one whole syslog message, at most MaxBytes long.
func (s *Syslog) message(dst []byte, e event.Entry) []byte {
	start := len(dst)
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(s.facility*8+severity(e.Event)), 10)
	dst = append(dst, ">1 "...)
	dst = e.Event.Time.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	dst = append(dst, s.prefix...)
	dst = append(dst, nilIfEmpty(string(e.Event.Kind), 32)...)
	dst = append(dst, " - "...)
	room := s.settings.MaxBytes - (len(dst) - start)
	if s.settings.Format == "text" {
		return append(dst, cutUTF8(textLine(e.Event), room)...)
	}
	if len(e.JSON) <= room {
		return append(dst, e.JSON...)
	}
	return append(dst, shortened(e.Event, room)...)
}

// shortened encodes e within room bytes: without the request's headers and
// body, then without details, then its findings alone in part, and at last
// just its line for people.
func shortened(e *event.Event, room int) []byte {
	c := *e
	c.Headers, c.HeadersCut = nil, len(e.Headers) > 0
	if len(c.Body) > 0 {
		c.Body, c.BodyOmitted, c.BodyCut = nil, "shortened", false
	}
	b := event.AppendJSON(nil, &c)
	if len(b) <= room {
		return b
	}
	c.URI = cutUTF8(c.URI, 256)
	c.Findings = append(c.Findings[:0:0], c.Findings...)
	for i := range c.Findings {
		f := &c.Findings[i]
		f.Detail, f.Tags, f.Excerpt, f.Mark = "", nil, "", [2]int{}
	}
	for {
		if b = event.AppendJSON(b[:0], &c); len(b) <= room {
			return b
		}
		if len(c.Findings) == 0 {
			return []byte(cutUTF8(textLine(e), room))
		}
		c.Dropped += len(c.Findings) - len(c.Findings)/2
		c.Findings = c.Findings[:len(c.Findings)/2]
	}
}

// textLine is an event in one line for people, without control characters.
func textLine(e *event.Event) string {
	s := e.Summary()
	if checks := checksOf(e); checks != "" {
		s += " [" + checks + "]"
	}
	if e.ID != "" {
		s += " id=" + e.ID
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func cutUTF8(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n = max(n, 0)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Close closes the connection.
func (s *Syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}
