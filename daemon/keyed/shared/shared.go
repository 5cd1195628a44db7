// Package shared has several gateways count together in Redis or Valkey, and
// pass each other short messages such as bans.
//
// An exact limit asks Redis for each request, by a script that judges and
// counts in one step, and waits at most Deadline. A synced limit is decided
// here and what was counted is merged every Every: its overshoot is at most
// what the other gateways let through in one such interval and the time of one
// round trip, since each knows of the others' calls only then.
//
// Windows in Redis are those of package keyed in their second form: fifteen
// parts and a rest, and in which tenths of each events came, in one small hash
// a key, timed by Redis's own clock so that gateways need not agree on the time.
//
// Redis that is gone, or did not answer three times in a row within Deadline,
// is left alone but for a probe: no request waits for it. What was let through
// meanwhile is told it when it is back.
package shared

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/rueidis"

	"github.com/sallyport/sallyport/daemon/keyed"
)

// Bounds.
const (
	maxPending  = 65536 // keys with counts not yet told; past it new ones stay local
	batch       = 500   // keys a pipeline
	strikes     = 3     // failures in a row until Redis counts as away
	probeEvery  = 200 * time.Millisecond
	dialTimeout = 2 * time.Second
)

// Options are how Redis is reached.
type Options struct {
	Address      []string // host:port, or unix:/path
	Sentinel     string   // the master's name, when the addresses are Sentinels
	Username     string
	PasswordFile string
	TLS          bool
	CAFile       string
	Database     int
	Prefix       string
	Deadline     time.Duration
	Every        time.Duration
	// Event hears when Redis goes away and comes back. It must not block.
	Event func(message string)
	// Adjust, for tests, changes the client's options.
	Adjust func(*rueidis.ClientOption)
}

// Rate is an amount in a window.
type Rate struct {
	Amount float64
	Window time.Duration
}

// Client is one connection to the other gateways.
type Client struct {
	o      Options
	option rueidis.ClientOption
	seed   uint64
	redis  atomic.Pointer[rueidis.Client]
	users  atomic.Int64
	away   atomic.Bool
	missed atomic.Int32
	state  atomic.Pointer[keyed.Store]

	mu      sync.Mutex
	pending map[uint64]pending
	spare   map[uint64]pending

	topics topics
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once
}

// pending is what Redis has not been told of a key.
type pending struct {
	rates []Rate
	n     float64
}

// Open makes a client. Redis need not be there yet: it counts as away until
// it answers. The error is about the options alone.
func Open(o Options) (*Client, error) {
	opt, err := o.client()
	if err != nil {
		return nil, err
	}
	if o.Event == nil {
		o.Event = func(string) {}
	}
	c := &Client{
		o: o, option: opt, pending: map[uint64]pending{}, spare: map[uint64]pending{},
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	c.seed = xxhash.Sum64String(o.Prefix + "\x00" + opt.Password)
	c.users.Store(1)
	c.away.Store(true)
	c.missed.Store(-1) // the first answer is no return
	c.connect()
	go c.run()
	return c, nil
}

func (o *Options) client() (opt rueidis.ClientOption, err error) {
	opt = rueidis.ClientOption{
		Username: o.Username, SelectDB: o.Database, ClientName: "sallyport",
		DisableCache: true, DisableRetry: true, ConnWriteTimeout: max(time.Second, 4*o.Deadline),
		Dialer: net.Dialer{Timeout: dialTimeout, KeepAlive: 5 * time.Second},
	}
	if o.PasswordFile != "" {
		b, err := os.ReadFile(o.PasswordFile)
		if err != nil {
			return opt, fmt.Errorf("read password_file: %w", err)
		}
		opt.Password = strings.TrimSpace(string(b))
	}
	for _, a := range o.Address {
		if path, ok := strings.CutPrefix(a, "unix:"); ok {
			if len(o.Address) > 1 {
				return opt, errors.New("address: a unix: address must be the only one")
			}
			opt.DialCtxFn = func(ctx context.Context, _ string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
				return d.DialContext(ctx, "unix", path)
			}
			opt.InitAddress, opt.ForceSingleClient = []string{path}, true
			continue
		}
		if _, _, err := net.SplitHostPort(a); err != nil {
			return opt, fmt.Errorf("address %q: expected host:port or unix:/path: %w", a, err)
		}
		opt.InitAddress = append(opt.InitAddress, a)
	}
	if o.Sentinel != "" {
		opt.Sentinel = rueidis.SentinelOption{MasterSet: o.Sentinel, Username: opt.Username, Password: opt.Password, Dialer: opt.Dialer}
	} else if len(opt.InitAddress) == 1 {
		opt.ForceSingleClient = true
	}
	if o.TLS {
		opt.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if o.CAFile != "" {
			pem, err := os.ReadFile(o.CAFile)
			if err != nil {
				return opt, fmt.Errorf("read ca_file: %w", err)
			}
			opt.TLSConfig.RootCAs = x509.NewCertPool()
			if !opt.TLSConfig.RootCAs.AppendCertsFromPEM(pem) {
				return opt, fmt.Errorf("ca_file %s holds no certificate", o.CAFile)
			}
		}
		opt.Sentinel.TLSConfig = opt.TLSConfig
	}
	if o.Adjust != nil {
		o.Adjust(&opt)
	}
	return opt, nil
}

// Same says whether a client for o would be this one.
func (c *Client) Same(o Options) bool {
	a := c.o
	a.Event, o.Event, a.Adjust, o.Adjust = nil, nil, nil, nil
	return reflect.DeepEqual(a, o)
}

// Keep counts one more user of the client.
func (c *Client) Keep() *Client { c.users.Add(1); return c }

// Release ends one use; the last one closes the client.
func (c *Client) Release() {
	if c.users.Add(-1) == 0 {
		c.once.Do(func() {
			close(c.stop)
			go func() {
				<-c.done
				if r := c.redis.Load(); r != nil {
					(*r).Close()
				}
			}()
		})
	}
}

// Seed is what gateways of one prefix and password hash keys under: no two of
// them would name a client alike under seeds of their own, and no client
// knows it where there is a password.
func (c *Client) Seed() uint64 { return c.seed }

// Away says that Redis is not asked at present.
func (c *Client) Away() bool { return c.away.Load() }

func (c *Client) connect() {
	if c.redis.Load() != nil {
		return
	}
	r, err := rueidis.NewClient(c.option)
	if err != nil {
		c.failed(err)
		return
	}
	c.redis.Store(&r)
	c.probe()
}

func (c *Client) probe() {
	r := c.redis.Load()
	if r == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.o.Deadline)
	defer cancel()
	if err := (*r).Do(ctx, (*r).B().Ping().Build()).Error(); err != nil {
		c.failed(err)
		return
	}
	c.answered()
}

func (c *Client) failed(err error) {
	n := c.missed.Add(1)
	if n <= 0 { // at start
		c.missed.Store(strikes)
		c.o.Event(fmt.Sprintf("the shared store at %s does not answer: limits are counted here alone, each at its fallback share: %v", strings.Join(c.o.Address, ", "), err))
		return
	}
	if n == strikes && c.away.CompareAndSwap(false, true) {
		c.o.Event(fmt.Sprintf("the shared store at %s does not answer in time: limits are counted here alone, each at its fallback share: %v", strings.Join(c.o.Address, ", "), err))
	}
}

func (c *Client) answered() {
	before := c.missed.Swap(0)
	if c.away.CompareAndSwap(true, false) && before >= strikes {
		c.o.Event(fmt.Sprintf("the shared store at %s answers again: limits are shared with the other gateways", strings.Join(c.o.Address, ", ")))
	}
}

// run tells Redis what was counted, hears the others, and probes.
func (c *Client) run() {
	defer close(c.done)
	tick := time.NewTicker(min(c.o.Every, probeEvery))
	defer tick.Stop()
	var last time.Time
	for {
		select {
		case <-c.stop:
			return
		case now := <-tick.C:
			if c.away.Load() {
				if c.redis.Load() == nil {
					c.connect()
				} else {
					c.probe()
				}
				if c.away.Load() {
					continue
				}
			}
			if now.Sub(last) >= c.o.Every-c.o.Every/10 {
				last = now
				c.sync()
				c.talk()
			}
		}
	}
}
