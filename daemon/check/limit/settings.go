package limit

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
)

// Bounds of settings.
const (
	maxLimits   = 200
	maxRates    = 4
	maxKeyParts = 8
	maxWindow   = 30 * 24 * time.Hour
	minWindow   = 100 * time.Millisecond
)

// Settings are the table [check.limit].
type Settings struct {
	// Limit are the limits, asked in order; the first that refuses ends it.
	Limit []Limit `toml:"limit"`
	// Group names sets of addresses and networks for the key part "group".
	Group map[string][]string `toml:"group"`
	// CountryFile is a database in MaxMind's format for the key part "country".
	CountryFile string `toml:"country_file"`
	// ASNFile is a database in MaxMind's format for the key part "asn".
	ASNFile string `toml:"asn_file"`
	// APIKeyHeader is the header that the key part "api_key" takes; without
	// that header it takes Authorization.
	APIKeyHeader string `toml:"api_key_header"`
	// JWKSFile holds the keys (RFC 7517) that tokens must be signed with for
	// the key part "claim:NAME". Without it claims are those that the check
	// token verified, once for both, and where that has no key set they are read
	// unverified, which a client can make up: then combine them with the address.
	JWKSFile string `toml:"jwks_file"`
	// HeldSeconds is after how many seconds a request whose end was never heard no longer counts as held.
	HeldSeconds int `toml:"held_seconds"`
	// Store shares counts between gateways.
	Store Store `toml:"store"`
}

// Store is [check.limit.store].
type Store struct {
	// Kind is "memory" or "redis".
	Kind string `toml:"kind"`
	// Address lists host:port, or unix:/path, of Redis or Valkey; several for Cluster or Sentinel.
	Address []string `toml:"address"`
	// Sentinel is the master's name when the addresses are Sentinels.
	Sentinel string `toml:"sentinel"`
	// Username logs in as an ACL user.
	Username string `toml:"username"`
	// PasswordFile holds the password, in a file that only the daemon may read.
	PasswordFile string `toml:"password_file"`
	// TLS encrypts the connection.
	TLS bool `toml:"tls"`
	// CAFile names the authority where the system's do not know it.
	CAFile string `toml:"ca_file"`
	// Database is the number for SELECT.
	Database int `toml:"database"`
	// Prefix begins every key, for a Redis that others use too.
	Prefix string `toml:"prefix"`
	// DeadlineMS is how long an exact limit waits for Redis, in milliseconds.
	DeadlineMS int `toml:"deadline_ms"`
	// SyncMS is how often synced limits are merged, in milliseconds.
	SyncMS int `toml:"sync_ms"`
	// FallbackShare is the part of each limit that this gateway grants by
	// itself while Redis is slow or gone: 0.5 for one of two gateways.
	FallbackShare float64 `toml:"fallback_share"`
}

// Limit is one [[check.limit.limit]].
type Limit struct {
	// Name is the limit's name in findings, headers and listings.
	Name string `toml:"name"`
	// Key is what is counted apart: "address", "prefix", "group", "country",
	// "asn", "header:NAME", "cookie:NAME", "api_key", "claim:NAME", "site",
	// "route", "host", "method", "upstream_addr", or several together. None
	// counts all requests as one.
	Key []string `toml:"key"`
	// Missing is what a request without a header, cookie, api key or claim of
	// the key is counted by: "address" (unless set), or "skip" to not count it.
	Missing string `toml:"missing"`
	// Prefix4 is the bits of an IPv4 address that the key part "prefix" keeps, 24 unless set.
	Prefix4 int `toml:"prefix4"`
	// Prefix6 is the bits of an IPv6 address that it keeps, 64 unless set.
	Prefix6 int `toml:"prefix6"`
	// Rate is how much in which time: "100/1m", or several that must all hold.
	Rate Rates `toml:"rate"`
	// Burst is how many calls may come back to back; past it they are paced
	// at the first rate. 0 sets no pace.
	Burst float64 `toml:"burst"`
	// Concurrent bounds the requests under way at once; 0 sets no bound.
	Concurrent int `toml:"concurrent"`
	// Cost is what a request counts: a number (1 unless set), "request_bytes",
	// "response_bytes" or "upstream_seconds". The last two are known and
	// counted when the answer has been sent, as is a body whose length no
	// header announced, with its request's head.
	Cost Cost `toml:"cost"`
	// Match narrows what the limit is about.
	Match Match `toml:"match"`
	// Action is "deny" (unless set), "delay", "detect" or "ban".
	Action string `toml:"action"`
	// Status answers a refused request: 429 (unless set), 403 or 503.
	Status int `toml:"status"`
	// DelayMS is how long "delay" holds a request at most, in milliseconds;
	// past that it is refused. 100 unless set, at most half of server.enter_timeout_ms.
	DelayMS int `toml:"delay_ms"`
	// BanSeconds is how long the first "ban" lasts, in seconds, 600 unless set.
	BanSeconds int `toml:"ban_seconds"`
	// BanFactor is how many times longer each further ban lasts, 2 unless set.
	BanFactor float64 `toml:"ban_factor"`
	// BanMaxSeconds bounds a ban, in seconds, 86400 unless set.
	BanMaxSeconds int `toml:"ban_max_seconds"`
	// Score is the finding's score, 20 unless set, which raises the source's reputation.
	Score float64 `toml:"score"`
	// CountDenied has refused requests count too: who keeps calling stays refused.
	CountDenied bool `toml:"count_denied"`
	// Shared is how gateways share the limit: "" (each its own), "synced"
	// (decided here, merged every sync_ms) or "exact" (asked for each request).
	Shared string `toml:"shared"`
}

// Match narrows a limit. An empty list matches everything.
type Match struct {
	// Site lists names of sites.
	Site []string `toml:"site"`
	// Route lists names of routes.
	Route []string `toml:"route"`
	// Method lists methods, in the case they are sent in.
	Method []string `toml:"method"`
	// Host lists host names, in lower case.
	Host []string `toml:"host"`
	// Status has answers counted in place of requests, those with one of
	// these: 401 or "4xx". Once the count is reached requests are refused.
	Status Statuses `toml:"status"`
}

// Defaults are the settings where none are given.
func Defaults() Settings {
	return Settings{
		APIKeyHeader: "x-api-key", HeldSeconds: 300,
		Store: Store{Kind: "memory", Prefix: "sallyport", DeadlineMS: 20, SyncMS: 200, FallbackShare: 0.5},
	}
}

func (l *Limit) defaults() {
	set := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	number := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Missing, "address")
	set(&l.Action, "deny")
	number(&l.Prefix4, 24)
	number(&l.Prefix6, 64)
	number(&l.Status, 429)
	number(&l.DelayMS, 100)
	number(&l.BanSeconds, 600)
	number(&l.BanMaxSeconds, 86400)
	if l.BanFactor == 0 {
		l.BanFactor = 2
	}
	if l.Score == 0 {
		l.Score = 20
	}
	if l.Cost == (Cost{}) {
		l.Cost = Cost{Fixed: 1}
	}
	if l.Action == "delay" && l.Burst == 0 {
		l.Burst = 1
	}
}

// Rate is an amount in a window.
type Rate struct {
	Amount float64
	Window time.Duration
}

// String is the rate as it is written in a configuration.
func (r Rate) String() string {
	w := r.Window.String()
	if strings.HasSuffix(w, "m0s") {
		w = w[:len(w)-2]
	}
	if strings.HasSuffix(w, "h0m") {
		w = w[:len(w)-2]
	}
	return strconv.FormatFloat(r.Amount, 'f', -1, 64) + "/" + w
}

// Rates is one rate or several.
type Rates []Rate

// UnmarshalTOML takes "100/1m" or a list of such.
func (r *Rates) UnmarshalTOML(v any) error {
	*r = nil
	var texts []string
	switch v := v.(type) {
	case string:
		texts = []string{v}
	case []any:
		for _, x := range v {
			s, ok := x.(string)
			if !ok {
				return fmt.Errorf("rate %v: expected text such as \"100/1m\"", x)
			}
			texts = append(texts, s)
		}
	default:
		return fmt.Errorf("rate %v: expected text such as \"100/1m\", or a list of such", v)
	}
	for _, t := range texts {
		rate, err := ParseRate(t)
		if err != nil {
			return err
		}
		*r = append(*r, rate)
	}
	return nil
}

// ParseRate reads an amount, a slash and a time: "100/1m", "5/s", "2000000/1h", "1000/1d".
func ParseRate(s string) (Rate, error) {
	amount, window, ok := strings.Cut(s, "/")
	n, err := strconv.ParseFloat(amount, 64)
	if !ok || err != nil || !(n > 0) || n > 999_999_999_999_999 {
		return Rate{}, fmt.Errorf("rate %q: expected an amount and a time such as \"100/1m\"", s)
	}
	if window != "" && window[0] >= 'a' {
		window = "1" + window
	}
	days := 1
	if strings.HasSuffix(window, "d") {
		window, days = window[:len(window)-1]+"h", 24
	}
	d, err := time.ParseDuration(window)
	if err == nil && d > 0 && d <= maxWindow {
		d *= time.Duration(days)
	}
	if err != nil || d < minWindow || d > maxWindow {
		return Rate{}, fmt.Errorf("rate %q: time %q: expected 100ms to 30d such as \"1s\", \"5m\", \"1h\" or \"1d\"", s, window)
	}
	return Rate{n, d}, nil
}

// Cost is what a request counts: Fixed, or By what is measured.
type Cost struct {
	Fixed float64
	By    string
}

// Costs that are measured.
const (
	byRequestBytes    = "request_bytes"
	byResponseBytes   = "response_bytes"
	byUpstreamSeconds = "upstream_seconds"
)

// UnmarshalTOML takes a number or a name.
func (c *Cost) UnmarshalTOML(v any) error {
	switch v := v.(type) {
	case int64:
		*c = Cost{Fixed: float64(v)}
	case float64:
		*c = Cost{Fixed: v}
	case string:
		*c = Cost{By: v}
		if v != byRequestBytes && v != byResponseBytes && v != byUpstreamSeconds {
			return fmt.Errorf("cost %q: expected a number, %q, %q or %q", v, byRequestBytes, byResponseBytes, byUpstreamSeconds)
		}
		return nil
	default:
		return fmt.Errorf("cost %v: expected a number or a name", v)
	}
	if !(c.Fixed > 0 && c.Fixed <= 1e12) {
		return fmt.Errorf("cost %v: expected more than 0, at most 1e12", c.Fixed)
	}
	return nil
}

// Statuses is a set of status codes.
type Statuses []string

// UnmarshalTOML takes codes and classes: [401, "5xx"].
func (s *Statuses) UnmarshalTOML(v any) error {
	*s = nil
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, x := range list {
		text := fmt.Sprint(x)
		if n, err := strconv.Atoi(text); (err != nil || n < 100 || n > 599) && (len(text) != 3 || text[1:] != "xx" || text[0] < '1' || text[0] > '5') {
			return fmt.Errorf("status %v: expected a code such as 401 or a class such as \"4xx\"", x)
		}
		*s = append(*s, text)
	}
	return nil
}

func (s Statuses) table() (t [600]bool) {
	for _, text := range s {
		if n, err := strconv.Atoi(text); err == nil {
			t[n] = true
			continue
		}
		for i := range 100 {
			t[int(text[0]-'0')*100+i] = true
		}
	}
	return t
}

// check judges one limit and says which key is wrong.
func (l *Limit) check(env check.Env, s *Settings) (key string, err error) {
	wrong := func(key, format string, args ...any) (string, error) { return key, fmt.Errorf(format, args...) }
	among := func(v string, names ...string) bool { return slices.Contains(names, v) }
	switch {
	case l.Name == "" || len(l.Name) > 64 || strings.ContainsAny(l.Name, "\"\\,;") || strings.ContainsFunc(l.Name, func(r rune) bool { return r < ' ' || r > '~' }):
		return wrong("name", "is %q, expected 1 to 64 printable ASCII characters without quotes, commas and semicolons", l.Name)
	case len(l.Rate) == 0 && l.Concurrent == 0:
		return wrong("rate", "is missing: give a rate such as \"100/1m\", or concurrent")
	case len(l.Rate) > maxRates:
		return wrong("rate", "has %d rates, at most %d expected", len(l.Rate), maxRates)
	case len(l.Key) > maxKeyParts:
		return wrong("key", "has %d parts, at most %d expected", len(l.Key), maxKeyParts)
	case !among(l.Missing, "address", "skip"):
		return wrong("missing", "is %q, expected \"address\" or \"skip\"", l.Missing)
	case !among(l.Action, "deny", "delay", "detect", "ban"):
		return wrong("action", "is %q, expected \"deny\", \"delay\", \"detect\" or \"ban\"", l.Action)
	case !among(l.Shared, "", "synced", "exact"):
		return wrong("shared", "is %q, expected \"synced\" or \"exact\", or none", l.Shared)
	case l.Shared != "" && s.Store.Kind != "redis":
		return wrong("shared", "is %q, which needs [check.limit.store] with kind = \"redis\"", l.Shared)
	case l.Prefix4 < 1 || l.Prefix4 > 32:
		return wrong("prefix4", "is %d, expected 1 to 32", l.Prefix4)
	case l.Prefix6 < 1 || l.Prefix6 > 128:
		return wrong("prefix6", "is %d, expected 1 to 128", l.Prefix6)
	case l.Status != 429 && l.Status != 403 && l.Status != 503:
		return wrong("status", "is %d, expected 429, 403 or 503", l.Status)
	case !(l.Burst >= 0) || l.Burst > 1e12:
		return wrong("burst", "is %v, expected 0 or more", l.Burst)
	case l.Burst > 0 && len(l.Rate) == 0:
		return wrong("burst", "needs a rate to pace by")
	case l.Action == "delay" && l.Shared != "":
		return wrong("action", "\"delay\" paces at one gateway alone: leave out shared, or deny")
	case l.Burst > 0 && l.atEnd():
		return wrong("burst", "cannot pace what is counted when the answer was sent")
	case l.Burst > 0 && l.Shared != "":
		return wrong("burst", "paces at one gateway alone: leave out shared, or burst")
	case l.Concurrent < 0:
		return wrong("concurrent", "is %d, expected 0 or more", l.Concurrent)
	case !(l.Score >= 0 && l.Score <= 100):
		return wrong("score", "is %v, expected 0 to 100", l.Score)
	case l.BanSeconds < 1 || l.BanMaxSeconds < l.BanSeconds:
		return wrong("ban_seconds", "is %d with ban_max_seconds %d, expected 1 or more and not above it", l.BanSeconds, l.BanMaxSeconds)
	case !(l.BanFactor >= 1 && l.BanFactor <= 100):
		return wrong("ban_factor", "is %v, expected 1 to 100", l.BanFactor)
	case l.Action == "delay" && len(l.Rate) == 0:
		return wrong("rate", "is missing: \"delay\" paces by it")
	case l.Action == "delay" && l.DelayMS < 1:
		return wrong("delay_ms", "is %d, expected 1 or more", l.DelayMS)
	}
	if most := env.DoorTimeout / 2; l.Action == "delay" && most > 0 && time.Duration(l.DelayMS)*time.Millisecond > most {
		return wrong("delay_ms", "is %d, expected at most %d: half of server.enter_timeout_ms, or NGINX gives up while a request is held", l.DelayMS, most.Milliseconds())
	}
	return "", nil
}

// atEnd says that the limit counts when an answer has been sent.
func (l *Limit) atEnd() bool {
	return len(l.Match.Status) > 0 || l.Cost.By == byResponseBytes || l.Cost.By == byUpstreamSeconds || slices.Contains(l.Key, "upstream_addr")
}

// unit is the quota unit of the RateLimit-Policy header.
func (c Cost) unit() string {
	switch c.By {
	case byRequestBytes, byResponseBytes:
		return "content-bytes"
	case byUpstreamSeconds:
		return "upstream-seconds"
	}
	return ""
}

func (s *Settings) check(env check.Env) error {
	wrong := func(key, format string, args ...any) error {
		return &check.SettingError{Key: key, Err: fmt.Errorf(format, args...)}
	}
	if math.IsNaN(s.Store.FallbackShare) || s.Store.FallbackShare < 0.001 || s.Store.FallbackShare > 1 {
		return wrong("store.fallback_share", "is %v, expected 0.001 to 1", s.Store.FallbackShare)
	}
	switch st := &s.Store; {
	case st.Kind != "memory" && st.Kind != "redis":
		return wrong("store.kind", "is %q, expected \"memory\" or \"redis\"", st.Kind)
	case st.Kind == "redis" && len(st.Address) == 0:
		return wrong("store.address", "is missing: give host:port or unix:/path of Redis")
	case st.DeadlineMS < 1 || st.DeadlineMS > 1000:
		return wrong("store.deadline_ms", "is %d, expected 1 to 1000", st.DeadlineMS)
	case env.DoorTimeout > 0 && time.Duration(st.DeadlineMS)*time.Millisecond > env.DoorTimeout/2:
		return wrong("store.deadline_ms", "is %d, expected at most %d: half of server.enter_timeout_ms", st.DeadlineMS, (env.DoorTimeout / 2).Milliseconds())
	case st.SyncMS < 10 || st.SyncMS > 60000:
		return wrong("store.sync_ms", "is %d, expected 10 to 60000", st.SyncMS)
	case s.HeldSeconds < 1 || s.HeldSeconds > 86400:
		return wrong("held_seconds", "is %d, expected 1 to 86400", s.HeldSeconds)
	case len(s.Limit) > maxLimits:
		return wrong("limit", "%d limits, at most %d expected", len(s.Limit), maxLimits)
	}
	names := map[string]bool{}
	for i := range s.Limit {
		l := &s.Limit[i]
		l.defaults()
		if key, err := l.check(env, s); err != nil {
			return &check.SettingError{Key: fmt.Sprintf("limit.%d.%s", i, key), Err: err}
		}
		if names[l.Name] {
			return wrong(fmt.Sprintf("limit.%d.name", i), "%q is taken already", l.Name)
		}
		names[l.Name] = true
	}
	for name, list := range s.Group {
		for _, p := range list {
			if _, err := parsePrefix(p); err != nil {
				return wrong("group."+name, "%q is no address or network, expected such as \"192.0.2.7\" or \"2001:db8::/32\"", p)
			}
		}
	}
	return nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}
