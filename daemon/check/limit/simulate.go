package limit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"container/heap"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/request"
)

// Bounds of a simulation.
const (
	maxLogLine  = 1 << 20 // bytes; a longer line is skipped and counted
	maxUnderWay = 1 << 20
	topKeys     = 10
	maxKeysSeen = 100_000 // keys with refusals that are told apart
)

// Past is one request of a log.
type Past struct {
	Time                        time.Time
	Client                      netip.Addr
	Method, Host, URI           string
	Status                      int
	RequestBytes, ResponseBytes int64
	RequestTime, UpstreamTime   time.Duration
	UpstreamAddr                string
	Headers                     []request.Header
}

// Simulated is what a proposed configuration would have done.
type Simulated struct {
	Requests uint64    `json:"requests"`
	Skipped  uint64    `json:"skipped_lines"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Refused  uint64    `json:"refused"`
	Delayed  uint64    `json:"delayed"`
	// Clients counts the sources with a refused request, RefusedGood the
	// refused requests that were answered below 400 at the time: whom the
	// limits would have hit.
	Clients     int               `json:"clients_refused"`
	RefusedGood uint64            `json:"refused_answered_well"`
	Limits      []*SimulatedLimit `json:"limits"`
}

// SimulatedLimit is one limit's part of it.
type SimulatedLimit struct {
	Name    string         `json:"name"`
	Rate    string         `json:"rate"`
	Action  string         `json:"action"`
	Asked   uint64         `json:"asked"`
	Refused uint64         `json:"refused"`
	Delayed uint64         `json:"delayed"`
	Found   uint64         `json:"detected"` // by a limit that only detects
	Keys    int            `json:"keys"`
	Top     []SimulatedKey `json:"top"`
	keys    map[string]*SimulatedKey
}

// SimulatedKey is one key that a limit would have refused.
type SimulatedKey struct {
	Key     string    `json:"key"`
	Refused uint64    `json:"refused"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

// Place finds where a request is judged: its site and route, and the check
// with the limits there, nil where there is none.
type Place func(r *request.Request) (site, route string, c *Check)

// Simulate replays a log, oldest line first, against limits. It may be
// compressed by gzip, as log rotation leaves it.
func Simulate(in io.Reader, host string, state *keyed.Store, place Place) (*Simulated, error) {
	s := &simulation{place: place, state: state, host: host, limits: map[*Check][]*SimulatedLimit{}, byName: map[string]*SimulatedLimit{}, clients: map[netip.Addr]bool{}}
	lines, err := decompressed(in)
	if err != nil {
		return nil, err
	}
	for {
		line, err := readLine(lines)
		if len(line) > 0 {
			if past, perr := ParsePast(line); perr == nil {
				s.step(&past)
			} else {
				s.out.Skipped++
			}
		}
		if errors.Is(err, errLong) {
			s.out.Skipped++
			continue
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
	}
	return s.finish(), nil
}

func decompressed(in io.Reader) (*bufio.Reader, error) {
	lines := bufio.NewReaderSize(in, 64<<10)
	if magic, _ := lines.Peek(2); string(magic) != "\x1f\x8b" {
		return lines, nil
	}
	z, err := gzip.NewReader(lines)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	return bufio.NewReaderSize(z, 64<<10), nil
}

var errLong = errors.New("the line is too long")

func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLogLine {
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = r.ReadSlice('\n')
			}
			if err == nil {
				err = errLong
			}
			return nil, err
		}
		if line == nil && !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSpace(part), err
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSpace(line), err
		}
	}
}

type simulation struct {
	place   Place
	state   *keyed.Store
	host    string
	out     Simulated
	limits  map[*Check][]*SimulatedLimit
	byName  map[string]*SimulatedLimit
	clients map[netip.Addr]bool
	open    underWay
	n       uint64
}

func (s *simulation) step(p *Past) {
	if p.Time.Before(s.out.Last) {
		p.Time = s.out.Last // logs are written at the end of requests: nearly in order
	}
	if s.out.Requests == 0 {
		s.out.First = p.Time
	}
	s.out.Requests++
	s.out.Last = p.Time
	s.end(p.Time)
	if p.Host == "" {
		p.Host = s.host
	}
	s.n++
	id := fmt.Sprintf("%032x", s.n)
	r := request.Get()
	defer r.Release()
	r.ID, r.Received, r.Client = []byte(id), p.Time, netip.AddrPortFrom(p.Client, 0)
	r.Method, r.Host, r.URI, r.Headers, r.Protocol = p.Method, []byte(p.Host), []byte(p.URI), p.Headers, "HTTP/1.1"
	r.Body.Length = p.RequestBytes
	site, route, c := s.place(r)
	if c == nil {
		return
	}
	v := &check.Visit{Request: r, Phase: check.Head, Last: true, Now: p.Time, Site: site, Route: route, State: s.state}
	for i, l := range s.of(c) {
		if c.limits[i].about(site, route, r.Method, r.Host) {
			l.Asked++
		}
	}
	c.Judge(v)
	refused := s.count(c, v, p)
	o := &outcome.Outcome{
		ID: id, Time: p.Time.Add(p.RequestTime), Client: p.Client, Host: p.Host, Method: p.Method, URI: p.URI, Site: site, Route: route,
		Status: p.Status, RequestBytes: p.RequestBytes, ResponseBytes: p.ResponseBytes,
		RequestTime: p.RequestTime, UpstreamTime: p.UpstreamTime, UpstreamAddr: p.UpstreamAddr,
	}
	if refused {
		o.Denied, o.Status, o.Time = true, 429, p.Time
	}
	if len(s.open) >= maxUnderWay {
		s.endFirst()
	}
	heap.Push(&s.open, ending{o, c})
}

// count notes what the limits found and says whether the request is refused.
func (s *simulation) count(c *Check, v *check.Visit, p *Past) (refused bool) {
	for i := range v.Findings {
		f := &v.Findings[i]
		l := s.byName[f.ID]
		if l == nil {
			continue
		}
		switch {
		case f.Deny:
			refused = true
			l.Refused++
		case f.Delay > 0:
			l.Delayed++
			s.out.Delayed++
			continue
		default:
			l.Found++
		}
		for j := range c.limits {
			if c.limits[j].Name == f.ID {
				sub := ofVisit(v)
				l.note(c.limits[j].label(c, &sub), v.Now)
			}
		}
	}
	if refused {
		s.out.Refused++
		if p.Status > 0 && p.Status < 400 {
			s.out.RefusedGood++
		}
		if len(s.clients) < maxKeysSeen {
			s.clients[p.Client] = true
		}
	}
	return refused
}

func (l *SimulatedLimit) note(key string, now time.Time) {
	k := l.keys[key]
	if k == nil {
		if len(l.keys) >= maxKeysSeen {
			return
		}
		k = &SimulatedKey{Key: key, First: now}
		l.keys[key] = k
	}
	k.Refused++
	k.Last = now
}

// of gives a check's limits; limits of one name in several checks are one.
func (s *simulation) of(c *Check) []*SimulatedLimit {
	if l, ok := s.limits[c]; ok {
		return l
	}
	var out []*SimulatedLimit
	for i := range c.limits {
		l := &c.limits[i]
		sim := s.byName[l.Name]
		if sim == nil {
			var rates []string
			for _, r := range l.Rate {
				rates = append(rates, r.String())
			}
			if l.Concurrent > 0 {
				rates = append(rates, strconv.Itoa(l.Concurrent)+" at once")
			}
			sim = &SimulatedLimit{Name: l.Name, Rate: strings.Join(rates, ", "), Action: l.Action, keys: map[string]*SimulatedKey{}}
			s.byName[l.Name] = sim
			s.out.Limits = append(s.out.Limits, sim)
		}
		out = append(out, sim)
	}
	s.limits[c] = out
	return out
}

func (s *simulation) end(now time.Time) {
	for len(s.open) > 0 && !s.open[0].o.Time.After(now) {
		s.endFirst()
	}
}

func (s *simulation) endFirst() {
	e := heap.Pop(&s.open).(ending)
	e.c.Ended(e.o, s.state)
}

func (s *simulation) finish() *Simulated {
	for _, l := range s.out.Limits {
		l.Keys = len(l.keys)
		for _, k := range l.keys {
			l.Top = append(l.Top, *k)
		}
		slices.SortFunc(l.Top, func(a, b SimulatedKey) int {
			if a.Refused != b.Refused {
				return int(b.Refused) - int(a.Refused)
			}
			return strings.Compare(a.Key, b.Key)
		})
		l.Top = l.Top[:min(len(l.Top), topKeys)]
	}
	s.out.Clients = len(s.clients)
	return &s.out
}

type ending struct {
	o *outcome.Outcome
	c *Check
}

// underWay is a heap of requests by their end.
type underWay []ending

func (u underWay) Len() int           { return len(u) }
func (u underWay) Less(i, j int) bool { return u[i].o.Time.Before(u[j].o.Time) }
func (u underWay) Swap(i, j int)      { u[i], u[j] = u[j], u[i] }
func (u *underWay) Push(x any)        { *u = append(*u, x.(ending)) }
func (u *underWay) Pop() any {
	old := *u
	x := old[len(old)-1]
	*u = old[:len(old)-1]
	return x
}

// ParsePast reads one line: JSON, or NGINX's combined format with anything
// behind it.
func ParsePast(line []byte) (Past, error) {
	if line[0] == '{' {
		return parseJSON(line)
	}
	return parseCombined(string(line))
}

// first holds the names under which logs keep one thing.
func first(m map[string]json.RawMessage, names ...string) (out string) {
	for _, n := range names {
		raw, ok := m[n]
		if !ok {
			continue
		}
		if json.Unmarshal(raw, &out) != nil {
			out = string(raw) // a number
		}
		if out != "" && out != "-" && out != "null" {
			return out
		}
	}
	return ""
}

func parseJSON(line []byte) (p Past, err error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(line, &m); err != nil {
		return p, err
	}
	at := first(m, "time", "time_iso8601", "timestamp", "@timestamp", "msec", "received", "time_local")
	if p.Time, err = parseTime(at); err != nil {
		return p, err
	}
	if p.Client, err = parseClient(first(m, "client", "remote_addr", "client_ip", "ip")); err != nil {
		return p, err
	}
	p.Method = first(m, "method", "request_method")
	p.URI = first(m, "uri", "request_uri", "url", "path")
	if line := first(m, "request"); p.URI == "" && line != "" {
		p.Method, p.URI = requestLine(line)
	}
	p.Host = first(m, "host", "server_name")
	p.Status, _ = strconv.Atoi(first(m, "status"))
	p.RequestBytes, _ = strconv.ParseInt(first(m, "request_bytes", "request_length"), 10, 64)
	p.ResponseBytes, _ = strconv.ParseInt(first(m, "response_bytes", "bytes_sent", "body_bytes_sent"), 10, 64)
	p.RequestTime = seconds(first(m, "request_time"))
	p.UpstreamTime = seconds(first(m, "upstream_time", "upstream_response_time"))
	p.UpstreamAddr = first(m, "upstream_addr")
	p.Headers = headers(m["headers"])
	if p.Method == "" || p.URI == "" {
		return p, errors.New("no method or no URI")
	}
	return p, nil
}

// headers takes {"name": "value"} and [["name", "value"]].
func headers(raw json.RawMessage) (out []request.Header) {
	var pairs [][]string
	if json.Unmarshal(raw, &pairs) == nil {
		for _, p := range pairs {
			if len(p) == 2 {
				out = append(out, request.Header{Name: []byte(p[0]), Value: []byte(p[1])})
			}
		}
		return out
	}
	var object map[string]string
	if json.Unmarshal(raw, &object) == nil {
		for n, v := range object {
			out = append(out, request.Header{Name: []byte(n), Value: []byte(v)})
		}
	}
	return out
}

const localTime = "02/Jan/2006:15:04:05 -0700"

func parseTime(s string) (time.Time, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil && f > 0 && f < 1e11 {
		return time.UnixMicro(int64(f * 1e6)), nil
	}
	for _, layout := range []string{time.RFC3339Nano, localTime, "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("time %q", s)
}

func parseClient(s string) (netip.Addr, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr(), nil
	}
	return netip.ParseAddr(s)
}

func seconds(s string) time.Duration {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f > 1e6 {
		return 0
	}
	return time.Duration(f * float64(time.Second))
}

func requestLine(s string) (method, uri string) {
	method, rest, _ := strings.Cut(s, " ")
	uri, _, _ = strings.Cut(rest, " ")
	return method, uri
}

// parseCombined reads: ADDRESS - USER [TIME] "METHOD URI PROTOCOL" STATUS BYTES ...
func parseCombined(line string) (p Past, err error) {
	addr, rest, _ := strings.Cut(line, " ")
	if p.Client, err = parseClient(addr); err != nil {
		return p, err
	}
	open := strings.IndexByte(rest, '[')
	shut := strings.Index(rest, `] "`)
	if open < 0 || shut < open {
		return p, errors.New("no [time] and request")
	}
	if p.Time, err = parseTime(rest[open+1 : shut]); err != nil {
		return p, err
	}
	rest = rest[shut+3:]
	end := strings.Index(rest, `" `)
	if end < 0 {
		return p, errors.New("no status")
	}
	p.Method, p.URI = requestLine(rest[:end])
	fields := strings.Fields(rest[end+2:])
	if len(fields) < 2 || p.Method == "" || p.URI == "" {
		return p, errors.New("no status and size, or no request")
	}
	if p.Status, err = strconv.Atoi(fields[0]); err != nil {
		return p, err
	}
	p.ResponseBytes, _ = strconv.ParseInt(fields[1], 10, 64)
	return p, nil
}
