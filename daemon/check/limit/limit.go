// Package limit bounds how often, how much and how much at once: sliding
// windows, pace, and requests under way, counted by any mix of what a request
// says of its sender and where it goes.
//
// It judges the head of a request. What is known only when the answer has been
// sent (status, bytes of the answer, seconds at the backend) is counted when
// the outcome is heard, and the next request meets the count: between the two
// lie the requests under way.
//
// Counts live in the keyed store under the limit's name and so survive a
// reload. Accuracy, eviction and memory are that store's: see package keyed.
package limit

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/gaissmai/bart"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/keyed/shared"
)

// Name is the check's name.
const Name = "limit"

// remembered is how long a request's key is kept for its end.
const remembered = 10 * time.Minute

// Check holds the limits of one policy.
type Check struct {
	limits       []limit
	groups       *bart.Table[string]
	geo          *geo
	claims       *claims
	apiKeyHeader string
	heldFor      time.Duration
	share        float64
	store        Store
	remote       *shared.Client // nil when every gateway counts for itself
	near         *near
	notify       *atomic.Pointer[func(string)]

	routes   atomic.Pointer[map[[2]string]bool] // judged so far, by site and route
	routesMu sync.Mutex
}

// limit is a Limit made ready.
type limit struct {
	Limit
	parts     []keyPart
	space     string
	idSpace   string
	heldSpace string
	header    string // RateLimit-Policy
	statuses  [600]bool
	anyStatus bool
	end       bool // counted when the answer was sent
	upstream  bool // the key holds the backend's address
	interval  time.Duration
	growth    keyed.Growth
	// backendSpace is that of keys with the backend's address in them.
	backendSpace string
	rates        []shared.Rate
}

// New builds the check. Errors are *check.SettingError.
func New(s Settings, env check.Env) (check.Check, error) {
	s.Limit = slices.Clone(s.Limit)
	if err := s.check(env); err != nil {
		return nil, err
	}
	c := &Check{
		groups: &bart.Table[string]{}, near: newNear(), notify: new(atomic.Pointer[func(string)]),
		apiKeyHeader: strings.ToLower(s.APIKeyHeader), heldFor: time.Duration(s.HeldSeconds) * time.Second,
		share: s.Store.FallbackShare, store: s.Store,
	}
	for name, list := range s.Group {
		for _, text := range list {
			p, _ := parsePrefix(text)
			c.groups.Insert(p, name)
		}
	}
	var names []string
	for i := range s.Limit {
		l, err := prepare(s.Limit[i])
		if err != nil {
			return nil, &check.SettingError{Key: fmt.Sprintf("limit.%d.key", i), Err: err}
		}
		if err := needs(&l, &s); err != nil {
			return nil, &check.SettingError{Key: fmt.Sprintf("limit.%d.key", i), Err: err}
		}
		for _, p := range l.parts {
			if p.kind == partClaim {
				names = append(names, p.name)
			}
		}
		c.limits = append(c.limits, l)
	}
	var err error
	var key string
	if c.geo, key, err = openGeo(env.Resolve(s.CountryFile), env.Resolve(s.ASNFile)); err != nil {
		return nil, &check.SettingError{Key: key, Err: err}
	}
	if c.claims, err = newClaims(env.Resolve(s.JWKSFile), names); err != nil {
		return nil, &check.SettingError{Key: "jwks_file", Err: err}
	}
	if len(names) > 0 && s.JWKSFile == "" && env.Warn != nil {
		env.Warn("jwks_file is not set: on routes where the check token has no key set either, claims of tokens are read unverified, and a client can make up any claim and so be counted as another")
	}
	old, _ := env.Old.(*Check)
	if old != nil {
		c.near, c.notify = old.near, old.notify
		c.routes.Store(old.routes.Load()) // requests under way end here
	}
	if err := c.connect(&s, env, old); err != nil {
		return nil, err
	}
	return c, nil
}

func prepare(of Limit) (limit, error) {
	l := limit{Limit: of, space: "limit/" + of.Name, idSpace: "limit-id/" + of.Name, heldSpace: "limit-held/" + of.Name, backendSpace: "limit-backend/" + of.Name}
	var err error
	if l.parts, err = parseParts(of.Key); err != nil {
		return l, err
	}
	l.statuses, l.anyStatus = of.Match.Status.table(), len(of.Match.Status) == 0
	l.end = of.atEnd()
	for i, p := range l.parts {
		if p.kind == partUpstream {
			l.upstream = true
			if i != len(l.parts)-1 {
				return l, fmt.Errorf("\"upstream_addr\" must stand last")
			}
		}
	}
	var policies []string
	for _, r := range of.Rate {
		l.rates = append(l.rates, shared.Rate{Amount: r.Amount, Window: r.Window})
		p := fmt.Sprintf("%q;q=%.0f;w=%.0f", l.policy(r.Window), math.Floor(r.Amount), math.Ceil(r.Window.Seconds()))
		if u := of.Cost.unit(); u != "" {
			p += fmt.Sprintf(";qu=%q", u)
		}
		policies = append(policies, p)
	}
	if of.Concurrent > 0 {
		policies = append(policies, fmt.Sprintf("%q;q=%d;qu=\"concurrent-requests\"", l.policy(0), of.Concurrent))
	}
	l.header = strings.Join(policies, ", ")
	if of.Burst > 0 {
		l.interval = max(1, time.Duration(float64(of.Rate[0].Window)/of.Rate[0].Amount))
	}
	l.growth = keyed.Growth{First: time.Duration(of.BanSeconds) * time.Second, Max: time.Duration(of.BanMaxSeconds) * time.Second, Forget: check.RepeatWithin, Factor: of.BanFactor}
	return l, nil
}

// policy names one of a limit's quota policies in the RateLimit headers, by its
// window, 0 for the requests under way: a limit with several needs several names.
func (l *limit) policy(window time.Duration) string {
	switch {
	case len(l.Rate) == 0 || len(l.Rate) == 1 && l.Concurrent == 0:
		return l.Name
	case window == 0:
		return l.Name + "-at-once"
	}
	return l.Name + "-" + Rate{0, window}.String()[2:]
}

func needs(l *limit, s *Settings) error {
	for _, p := range l.parts {
		switch {
		case p.kind == partGroup && len(s.Group) == 0:
			return fmt.Errorf("\"group\" needs [check.limit.group] with a list such as office = [\"192.0.2.0/24\"]")
		case p.kind == partCountry && s.CountryFile == "":
			return fmt.Errorf("\"country\" needs check.limit.country_file")
		case p.kind == partASN && s.ASNFile == "":
			return fmt.Errorf("\"asn\" needs check.limit.asn_file")
		}
	}
	return nil
}

// connect takes the old check's connection to Redis, or makes one.
func (c *Check) connect(s *Settings, env check.Env, old *Check) error {
	if s.Store.Kind != "redis" || env.StateDir == "" {
		return nil // offline each request is judged by itself
	}
	st := s.Store
	o := shared.Options{
		Address: st.Address, Sentinel: st.Sentinel, Username: st.Username, TLS: st.TLS, CAFile: env.Resolve(st.CAFile), Database: st.Database,
		Prefix: st.Prefix, Deadline: time.Duration(st.DeadlineMS) * time.Millisecond, Every: time.Duration(st.SyncMS) * time.Millisecond,
		PasswordFile: env.Resolve(st.PasswordFile), Event: c.event,
	}
	if old != nil && old.remote != nil && old.remote.Same(o) {
		c.remote = old.remote.Keep()
	} else {
		var err error
		if c.remote, err = shared.Open(o); err != nil {
			return &check.SettingError{Key: "store", Err: err}
		}
	}
	// Walks may use this check long after a reload: the connection ends with
	// the last check that has it.
	runtime.AddCleanup(c, func(r *shared.Client) { r.Release() }, c.remote)
	return nil
}

func (c *Check) event(message string) {
	if f := c.notify.Load(); f != nil {
		(*f)(message)
	}
}

// OnEvent has f hear what an operator should know while the daemon runs:
// Redis slow or gone, and back. f must not block.
func (c *Check) OnEvent(f func(message string)) { c.notify.Store(&f) }

// Shared is the connection to the other gateways, nil without one.
func (c *Check) Shared() *shared.Client { return c.remote }

// Name is "limit".
func (c *Check) Name() string { return Name }

// Needs is the head alone.
func (c *Check) Needs() check.Phase { return check.Head }

// Judge asks each limit that the request is about, until one refuses.
func (c *Check) Judge(v *check.Visit) {
	if v.Phase != check.Head || len(c.limits) == 0 {
		return
	}
	c.note(v.Site, v.Route)
	if c.remote != nil {
		c.remote.Use(v.State)
	}
	for i := range c.limits {
		l := &c.limits[i]
		if l.about(v.Site, v.Route, v.Request.Method, v.Request.Host) && c.ask(l, v) {
			return
		}
	}
}

// note remembers that requests of a route are judged here, so that outcomes
// of other routes are left to their own check.
func (c *Check) note(site, route string) {
	key := [2]string{site, route}
	if m := c.routes.Load(); m != nil && (*m)[key] {
		return
	}
	c.routesMu.Lock()
	defer c.routesMu.Unlock()
	fresh := map[[2]string]bool{key: true}
	if m := c.routes.Load(); m != nil {
		for k := range *m {
			fresh[k] = true
		}
	}
	c.routes.Store(&fresh)
}

func (l *limit) about(site, route, method string, host []byte) bool {
	m := &l.Match
	return (len(m.Site) == 0 || slices.Contains(m.Site, site)) &&
		(len(m.Route) == 0 || slices.Contains(m.Route, route)) &&
		(len(m.Method) == 0 || slices.Contains(m.Method, method)) &&
		(len(m.Host) == 0 || slices.ContainsFunc(m.Host, func(h string) bool { return h == string(host) }))
}

// key hashes a limit's key: for a shared limit under the seed of all gateways.
func (c *Check) key(l *limit, state *keyed.Store, space string, key []byte) keyed.Key {
	if l.Shared != "" && c.remote != nil {
		return keyed.KeyOf(c.remote.Seed(), space, key)
	}
	return state.Key(space, key)
}

// verdict is what one limit says of a request.
type verdict struct {
	refused bool
	count   float64
	amount  float64
	window  time.Duration
	wait    time.Duration
	delay   time.Duration
	held    bool // refused for the requests under way
}

func (c *Check) ask(l *limit, v *check.Visit) (refused bool) {
	s := ofVisit(v)
	var kb keyBuffer
	if !l.build(&kb, c, &s, false) {
		return false
	}
	k := c.key(l, v.State, l.space, kb.b[:kb.n])
	var d verdict
	var token keyed.Held
	if l.Concurrent > 0 {
		token, d = c.hold(l, v, kb.b[:kb.n])
	}
	if !d.refused && len(l.Rate) > 0 {
		if l.end {
			d = c.askEnded(l, v, k)
		} else {
			d = c.take(l, v, k)
		}
		if token != 0 && d.refused {
			v.State.Release(token, v.Now)
			token = 0
		}
	}
	if token != 0 {
		v.State.SetBits(v.State.Key(l.heldSpace, v.Request.ID), v.Now, 2*c.heldFor, ^uint64(0), uint64(token))
	}
	if v.Explain != nil {
		v.Note(Name, fmt.Sprintf("%s for %s: %s of %s, refused: %v", l.Name, l.label(c, &s), number(d.count), number(d.amount), d.refused))
	}
	if d.amount > 0 && (d.refused || d.count >= nearShare*d.amount) {
		c.near.note(l, k, &d, v.Now, false, func() string { return l.label(c, &s) })
	}
	if d.refused || d.delay > 0 {
		v.Add(c.finding(l, v, &s, &d))
	}
	return d.refused && l.Action != "detect"
}

// amounts is the part of a limit that this gateway grants by itself.
func (c *Check) factor(l *limit) float64 {
	if l.Shared != "" && c.remote != nil && c.remote.Away() {
		return c.share
	}
	return 1
}

// take counts a request in every window, or in none.
func (c *Check) take(l *limit, v *check.Visit, k keyed.Key) (d verdict) {
	n := l.Cost.Fixed
	if l.Cost.By == byRequestBytes {
		n = float64(max(v.Request.Body.Length, int64(len(v.Request.Body.Bytes)), contentLength(v.Request)))
		if n == 0 && lengthUnknown(v.Request) {
			n = 1 // the rest when it ended
			c.remember(l, v, k)
		}
	}
	if c.remote != nil && l.Shared == "exact" && len(l.rates) > 0 {
		if r, ok := c.remote.Take(uint64(k), v.Now, l.rates, n, l.CountDenied); ok {
			d = verdict{refused: r.Refused, count: r.Count, amount: l.Rate[r.Rate].Amount, window: l.Rate[r.Rate].Window, wait: r.Wait}
			if !d.refused || l.CountDenied {
				for _, rate := range l.Rate {
					v.State.Add(k, v.Now, rate.Window, n) // for the time without Redis
				}
			}
			return c.pace(l, v, k, n, d)
		}
	}
	factor := c.factor(l)
	for i, r := range l.Rate {
		amount := r.Amount * factor
		allowed := amount
		if l.Shared == "synced" && c.remote != nil {
			allowed -= c.remote.Others(uint64(k), r.Window, v.Now)
		}
		count, ok, wait := v.State.Take(k, v.Now, r.Window, n, allowed)
		count += amount - allowed
		if !ok {
			c.giveBack(l, v, k, i, n)
			if l.CountDenied {
				for _, r := range l.Rate {
					v.State.Add(k, v.Now, r.Window, n)
				}
			}
			if l.Shared != "" && c.remote != nil {
				c.remote.Note(uint64(k), v.Now, l.rates, 0) // hear the others even while refusing
			}
			return verdict{refused: true, count: count, amount: amount, window: r.Window, wait: min(wait, r.Window)}
		}
		if d.amount == 0 || count*d.amount > d.count*amount {
			d.count, d.amount, d.window = count, amount, r.Window
		}
	}
	if l.Shared != "" && c.remote != nil {
		c.remote.Note(uint64(k), v.Now, l.rates, n)
	}
	return c.pace(l, v, k, n, d)
}

func (c *Check) pace(l *limit, v *check.Visit, k keyed.Key, n float64, d verdict) verdict {
	if l.interval == 0 || d.refused {
		return d
	}
	longest := time.Duration(0)
	if l.Action == "delay" {
		longest = time.Duration(l.DelayMS) * time.Millisecond
	}
	ok, wait := v.State.Reserve(k, v.Now, l.interval, l.Burst, n, longest)
	if ok {
		d.delay = wait
		return d
	}
	c.giveBack(l, v, k, len(l.Rate), n)
	return verdict{refused: true, count: l.Burst + 1, amount: l.Burst, window: l.interval, wait: max(wait-longest, 1)}
}

// giveBack takes a request's cost out of the first windows again.
func (c *Check) giveBack(l *limit, v *check.Visit, k keyed.Key, windows int, cost float64) {
	for _, r := range l.Rate[:windows] {
		v.State.Add(k, v.Now, r.Window, -cost)
	}
}

// askEnded compares what was counted of ended requests, and remembers the
// request's key for its own end.
func (c *Check) askEnded(l *limit, v *check.Visit, k keyed.Key) (d verdict) {
	c.remember(l, v, k)
	if l.upstream {
		// Which backend will answer is not known yet: the one that answered last.
		full := v.State.Bits(k, v.Now)
		if full == 0 {
			return d
		}
		k = keyed.Key(full)
	}
	factor := c.factor(l)
	if l.Shared != "" && c.remote != nil {
		c.remote.Note(uint64(k), v.Now, l.rates, 0)
	}
	for _, r := range l.Rate {
		amount := r.Amount * factor
		count := v.State.Count(k, v.Now, r.Window)
		others := 0.0
		if l.Shared != "" && c.remote != nil {
			others = c.remote.Others(uint64(k), r.Window, v.Now)
		}
		if count+others >= amount-1e-9 && count+others > 0 {
			wait := v.State.Wait(k, v.Now, r.Window, count+others-amount+min(1, amount))
			return verdict{refused: true, count: count + others, amount: amount, window: r.Window, wait: min(wait, r.Window)}
		}
		if d.amount == 0 || (count+others)*d.amount > d.count*amount {
			d.count, d.amount, d.window = count+others, amount, r.Window
		}
	}
	return d
}

// remember keeps a request's key for its end.
func (c *Check) remember(l *limit, v *check.Visit, k keyed.Key) {
	if !v.Stateless && len(v.Request.ID) > 0 {
		v.State.SetBits(v.State.Key(l.idSpace, v.Request.ID), v.Now, remembered, ^uint64(0), uint64(k))
	}
}

// hold counts a request among those under way. The token is 0 for one that
// cannot be held: it stands alone, or has no id by which its end is known.
func (c *Check) hold(l *limit, v *check.Visit, kb []byte) (keyed.Held, verdict) {
	if v.Stateless || len(v.Request.ID) == 0 {
		return 0, verdict{}
	}
	token, held, ok := v.State.Hold(v.State.Key(l.heldSpace, kb), v.Now, c.heldFor, float64(l.Concurrent))
	d := verdict{count: held, amount: float64(l.Concurrent)}
	if !ok {
		d.refused, d.held, d.wait = true, true, time.Second
	}
	return token, d
}

func (c *Check) finding(l *limit, v *check.Visit, s *subject, d *verdict) check.Finding {
	f := check.Finding{Check: Name, ID: l.Name, Severity: check.Low, Score: l.Score, Tags: []string{"CWE-770"}}
	who := l.label(c, s)
	if !d.refused {
		f.Severity, f.Score, f.Delay = check.Info, 0, d.delay
		f.Message = fmt.Sprintf("%s is held back %v to keep to %s", who, d.delay.Round(time.Millisecond), l.Rate[0])
		return f
	}
	switch {
	case d.held:
		f.Message = fmt.Sprintf("%s has %s requests under way, %s are allowed", who, number(d.count), number(d.amount))
	case l.end && len(l.Match.Status) > 0:
		f.Message = fmt.Sprintf("%s got %s answers of status %s in %v, %s are allowed", who, number(d.count), strings.Join(l.Match.Status, ", "), d.window, number(d.amount))
	case l.interval > 0 && d.window == l.interval:
		f.Message = fmt.Sprintf("%s calls faster than %s with bursts of %s", who, l.Rate[0], number(l.Burst))
	default:
		f.Message = fmt.Sprintf("%s reached %s in %v, %s are allowed", who, number(d.count), d.window, number(d.amount))
	}
	if l.Action == "detect" {
		f.Severity, f.Score = check.Info, 0
		return f
	}
	f.Deny, f.Status = true, l.Status
	f.RetryAfter = max(time.Second, (d.wait + time.Second - 1).Truncate(time.Second))
	f.RateLimitPolicy = l.header
	window := d.window
	if l.interval > 0 && window == l.interval {
		window = l.Rate[0].Window // the pace is that of the first
	}
	f.RateLimit = fmt.Sprintf("%q;r=0;t=%d", l.policy(window), int(f.RetryAfter/time.Second))
	if l.Action == "ban" {
		until, times := v.State.Ban(check.SourceKey(v.State, check.SourceOf(s.address)), v.Now, l.growth)
		f.Ban = until.Sub(v.Now)
		f.Detail = fmt.Sprintf("ban %d, for %v", times, f.Ban.Round(time.Second))
	}
	return f
}

func number(x float64) string {
	return strconv.FormatFloat(math.Ceil(x*100-1e-6)/100, 'f', -1, 64)
}

// Inventory names the limits, each with a hash of its settings, for what a
// reload changed.
func (c *Check) Inventory() (noun string, prints map[string]uint64) {
	prints = make(map[string]uint64, len(c.limits))
	for i := range c.limits {
		prints[c.limits[i].Name] = xxhash.Sum64String(fmt.Sprintf("%+v", c.limits[i].Limit))
	}
	return "limits", prints
}
