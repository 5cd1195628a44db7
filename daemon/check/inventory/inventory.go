// Package inventory keeps a list of the endpoints that are called: how often,
// how they end, with or without a credential, with what sensitive data, and
// whether a document knows of them. It makes no findings.
package inventory

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/endpoint"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/request"
)

// Name is the check's name.
const Name = "inventory"

// Settings are the table [check.inventory]. They belong in the main file: a
// route's own table makes a second inventory, which needs a name of its own.
type Settings struct {
	// Name of the state file in the state directory, letters, digits and dashes.
	Name string `toml:"name"`
	// Endpoints that are kept at most, 64 to 65536; each takes about 600 bytes.
	MaxEndpoints int `toml:"max_endpoints"`
	// Distinct clients after which an endpoint is established, 1 to 1000. Others are
	// shown with --all alone and are the first to be forgotten.
	MinClients int `toml:"min_clients"`
	// OpenAPI documents of what should be there.
	OpenAPI []string `toml:"openapi"`
	// Whether requests are searched for sensitive data.
	SensitiveData bool `toml:"sensitive_data"`
	// Bytes of a body that are searched, 0 to 1048576.
	MaxScanBytes int `toml:"max_scan_bytes"`
	// Endpoints that metrics name, 0 to 1000, the most called; the others are
	// summed up under the name "other".
	MaxSeries int `toml:"max_series"`
	// Seconds between writes of the state file, 1 to 86400. A crash loses that much.
	SaveSeconds int `toml:"save_seconds"`
}

// Defaults are the settings without a file.
func Defaults() Settings {
	return Settings{Name: "inventory", MaxEndpoints: 4096, MinClients: 3, SensitiveData: true, MaxScanBytes: 16 << 10, MaxSeries: 100, SaveSeconds: 60}
}

// facts are what is known of one endpoint.
type facts struct {
	Requests uint64 `json:"requests"`
	Denied   uint64 `json:"denied,omitempty"`
	Findings uint64 `json:"findings,omitempty"`
	WithAuth uint64 `json:"with_auth,omitempty"`
	// Status counts ended requests by class: [0] no or odd status, [1] 1xx ... [5] 5xx.
	Status [6]uint64 `json:"status"`
	// Absent counts 404, 405 and 501: no such endpoint, it seems.
	Absent        uint64        `json:"absent,omitempty"`
	ResponseBytes uint64        `json:"response_bytes,omitempty"`
	Upstream      time.Duration `json:"upstream_ns,omitempty"`
	Schemes       uint8         `json:"schemes,omitempty"` // bits of schemeNames
	// Data counts requests with a class of sensitive data; Places says where.
	Data    [classes]uint32 `json:"data"`
	Places  [classes]uint8  `json:"places"`
	Scanned uint64          `json:"scanned,omitempty"`
}

func merge(dst, src *facts) {
	dst.Requests += src.Requests
	dst.Denied += src.Denied
	dst.Findings += src.Findings
	dst.WithAuth += src.WithAuth
	for i := range src.Status {
		dst.Status[i] += src.Status[i]
	}
	dst.Absent += src.Absent
	dst.ResponseBytes += src.ResponseBytes
	dst.Upstream += src.Upstream
	dst.Schemes |= src.Schemes
	for i := range src.Data {
		dst.Data[i] += src.Data[i]
		dst.Places[i] |= src.Places[i]
	}
	dst.Scanned += src.Scanned
}

// Check is the inventory. Build it with New.
type Check struct {
	s     Settings
	path  string // of the state file; empty keeps nothing
	ops   *endpoint.Operations
	*kept // what survives a reload
}

// kept is shared by the inventories before and after a reload.
type kept struct {
	book   *endpoint.Book[facts]
	seed   uint64
	tap    atomic.Pointer[tap] // learns while somebody asked for it
	saved  atomic.Int64        // when, in Unix nanoseconds
	saving atomic.Bool
	// failure is why the last save failed; nil or empty when it did not.
	failure atomic.Pointer[string]
}

// New builds the inventory from its state file, or takes over the running one.
func New(s Settings, env check.Env) (check.Check, error) {
	var errs []error
	between := func(key string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, &check.SettingError{Key: key, Err: fmt.Errorf("%d, expected %d to %d", v, low, high)})
		}
	}
	between("max_endpoints", s.MaxEndpoints, 64, 65536)
	between("min_clients", s.MinClients, 1, 1000)
	between("max_scan_bytes", s.MaxScanBytes, 0, 1<<20)
	between("max_series", s.MaxSeries, 0, 1000)
	between("save_seconds", s.SaveSeconds, 1, 86400)
	if s.Name == "" || strings.Trim(s.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		errs = append(errs, &check.SettingError{Key: "name", Err: fmt.Errorf("%q, expected lower-case letters, digits and dashes", s.Name)})
	}
	c := &Check{s: s}
	for _, name := range s.OpenAPI {
		ops, err := endpoint.ReadOperations(env.Resolve(name), name, env.Warn)
		switch {
		case err != nil:
			errs = append(errs, &check.SettingError{Key: "openapi", Err: err})
		case c.ops == nil:
			c.ops = ops
		default:
			c.ops.Merge(ops)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if env.StateDir != "" {
		c.path = filepath.Join(env.StateDir, s.Name+".state")
	}
	if old, ok := env.Old.(*Check); ok && old.s.MaxEndpoints == s.MaxEndpoints && old.s.MinClients == s.MinClients && old.path == c.path {
		c.kept = old.kept
		return c, nil
	}
	c.kept = &kept{seed: rand.Uint64()}
	if err := c.restore(); err != nil && env.Warn != nil {
		env.Warn(err.Error())
	}
	if c.book == nil {
		c.book = c.newBook()
	}
	return c, nil
}

func (c *Check) newBook() *endpoint.Book[facts] {
	return endpoint.NewBook(endpoint.Options{Max: c.s.MaxEndpoints, MinClients: c.s.MinClients, Seed: c.seed}, merge)
}

// Name is "inventory".
func (c *Check) Name() string { return Name }

// Needs is nothing: the inventory hears of requests after their verdict.
func (c *Check) Needs() check.Phase { return 0 }

// Judge makes no findings.
func (c *Check) Judge(*check.Visit) {}

// scanEvery is how many requests of a well-known endpoint go by for one that is
// searched for sensitive data, and scanFirst how many are searched before that.
const (
	scanEvery = 16
	scanFirst = 256
)

// Found counts a judged request.
func (c *Check) Found(v *check.Visit, denied bool) {
	if v.Stateless {
		return
	}
	r := v.Request
	var buf [endpoint.MaxTemplate]byte
	template := endpoint.AppendTemplate(buf[:0], r.Path())
	auth := credentials(r)
	e := c.book.Acquire(v.Site, method(r.Method), template, endpoint.Client(r.Client.Addr(), c.seed), v.Now)
	f := &e.Value
	f.Requests++
	if denied {
		f.Denied++
	}
	f.Findings += uint64(len(v.Findings))
	if auth != 0 {
		f.WithAuth++
		f.Schemes |= auth
	}
	scan := c.s.SensitiveData && !denied && (f.Requests <= scanFirst || f.Requests%scanEvery == 0)
	if scan {
		f.Scanned++
	}
	e.Release()
	if scan {
		if s := c.search(r); s.any {
			c.note(v, template, &s)
		}
	}
	if t := c.tap.Load(); t != nil {
		t.found(v, denied)
	}
	c.now(v.Now)
}

// note adds what the search of one request found. The endpoint is looked up
// anew: no lock is held while a body is searched.
func (c *Check) note(v *check.Visit, template []byte, s *sightings) {
	r := v.Request
	e := c.book.Acquire(v.Site, method(r.Method), template, endpoint.Client(r.Client.Addr(), c.seed), v.Now)
	for i, places := range s.places {
		if places != 0 {
			e.Value.Data[i]++
			e.Value.Places[i] |= places
		}
	}
	e.Release()
}

// Ended counts how a request ended.
func (c *Check) Ended(o *outcome.Outcome, _ *keyed.Store) {
	var buf [endpoint.MaxTemplate]byte
	r := request.Get()
	r.URI = []byte(o.URI)
	template := endpoint.AppendTemplate(buf[:0], r.Path())
	if t := c.tap.Load(); t != nil {
		t.ended(o, r.Path())
	}
	r.Release()
	e := c.book.Acquire(o.Site, method(o.Method), template, endpoint.Client(o.Client, c.seed), o.Time)
	f := &e.Value
	class := o.Status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	f.Status[class]++
	if absent(o.Status) && !o.Denied {
		f.Absent++
	}
	f.ResponseBytes += uint64(max(0, o.ResponseBytes))
	f.Upstream += max(0, o.UpstreamTime)
	e.Release()
	c.now(o.Time)
}

func absent(status int) bool { return status == 404 || status == 405 || status == 501 }

// now folds and saves in the background, once every save_seconds.
func (c *Check) now(at time.Time) {
	last := c.saved.Load()
	if last == 0 {
		c.saved.CompareAndSwap(0, at.UnixNano())
		return
	}
	if at.UnixNano()-last < int64(c.s.SaveSeconds)*int64(time.Second) || !c.saving.CompareAndSwap(false, true) {
		return
	}
	c.saved.Store(at.UnixNano())
	go func() {
		defer c.saving.Store(false)
		c.book.Fold(at)
		why := ""
		if err := c.Save(); err != nil {
			why = err.Error()
		}
		c.failure.Store(&why)
	}()
}

// ControlHandlers are what the control socket serves.
func (c *Check) ControlHandlers() map[string]http.Handler {
	return map[string]http.Handler{
		"GET /endpoints":   http.HandlerFunc(c.ServeEndpoints),
		"POST /learn":      http.HandlerFunc(c.startLearning),
		"GET /learn":       http.HandlerFunc(c.learned),
		"POST /learn/stop": http.HandlerFunc(c.stopLearning),
	}
}

// methods are kept as they are; any other is one for all, so that inventing
// methods makes no endpoints.
func method(m string) string {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "REPORT", "SEARCH", "QUERY":
		return m
	}
	return "OTHER"
}
