package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/reputation"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/policy"
)

// Loaded is a whole configuration, ready to be put in force.
type Loaded struct {
	Policy   *policy.Policy
	Server   Server
	Warnings []string
	// Reputation is the table [reputation], judged with the lists it names.
	Reputation reputation.Settings
	// Events is the table [events].
	Events event.Settings

	main      *file
	instances map[string]check.Check // by scope and name, for the next load's Old
	prints    map[string]string      // what each part was built from, for Changes
}

// Options are how a configuration is loaded.
type Options struct {
	// Old is the configuration in force, whose state lives on; nil at start.
	Old *Loaded
	// Mode, when set, is every route's mode whatever the files say: "enforce" offline.
	Mode string
	// Only, when set, names the one check that is on.
	Only []string
	// Settings replaces the settings of checks, by name, with a pointer to them.
	Settings map[string]any
	// Offline keeps checks from keeping state in files.
	Offline bool
}

// Load reads the configuration at path ("" for the defaults) and builds all of
// it. The error is of type Problems.
func Load(path string, o Options) (*Loaded, error) {
	r := read(path)
	if len(r.files) == 0 {
		return nil, r.problems
	}
	b := &builder{reading: r, o: o, out: &Loaded{
		main: r.files[0], Server: r.files[0].Server,
		instances: map[string]check.Check{}, prints: map[string]string{},
	}}
	b.dir = filepath.Dir(r.files[0].path)
	b.server()
	b.globals()
	p := &policy.Policy{ID: r.identity()}
	b.out.Policy = p
	p.Trusted = b.prefixes(r.files[0], "server.trusted_proxies", b.out.Server.TrustedProxies)
	b.events()
	b.sites(p)
	b.exceptions(p)
	b.reputation()
	r.unknown()
	if len(r.problems) > 0 {
		return nil, r.problems.sorted()
	}
	p.Index()
	return b.out, nil
}

type builder struct {
	*reading
	o      Options
	dir    string
	out    *Loaded
	global map[string]source // where each check's own table stands
	built  map[string]check.Check
	taken  map[string]string // sites by the hosts they take
}

// source is a check's table in a file.
type source struct {
	file  *file
	table string
	prim  toml.Primitive
	mode  *string
}

func (b *builder) server() {
	s, f := &b.out.Server, b.out.main
	positive := map[string]int64{
		"enter_timeout_ms": int64(s.EnterTimeoutMS), "leave_timeout_ms": int64(s.LeaveTimeoutMS),
		"max_held": int64(s.MaxHeld), "max_connections": int64(s.MaxConnections),
		"max_body_memory_bytes": s.MaxBodyMemoryBytes, "max_head_bytes": int64(s.MaxHeadBytes),
		"max_keys": int64(s.MaxKeys), "guard_ban_seconds": int64(s.GuardBanSeconds),
	}
	for key, n := range positive {
		if n <= 0 {
			b.problem(f.wrong("server."+key, "server.%s is %d, expected a positive number", key, n))
		}
	}
	if s.LeaveTimeoutMS < 2*s.EnterTimeoutMS {
		b.problem(f.wrong("server.leave_timeout_ms", "server.leave_timeout_ms is %d, expected at least twice enter_timeout_ms (%d): LEAVE waits for a body that is judged after ENTER", s.LeaveTimeoutMS, s.EnterTimeoutMS))
	}
	if s.MaxHeadBytes < 64<<10 {
		b.problem(f.wrong("server.max_head_bytes", "server.max_head_bytes is %d, expected at least 65536: NGINX's own header buffers hold 32 KiB by default, and its metadata comes on top", s.MaxHeadBytes))
	}
	if s.EnterTimeoutMS > DefaultServer().EnterTimeoutMS || s.LeaveTimeoutMS > DefaultServer().LeaveTimeoutMS {
		b.warn(f.wrong("server.enter_timeout_ms", "NGINX waits %d ms for ENTER and %d ms for LEAVE, as sallyport/server.conf says: times above them take a proxy_read_timeout to match there, or NGINX gives up first",
			DefaultServer().EnterTimeoutMS, DefaultServer().LeaveTimeoutMS))
	}
	if s.Door == "" || !filepath.IsAbs(s.Door) {
		b.problem(f.wrong("server.door", "server.door is %q, expected the whole path of a Unix socket, such as %q", s.Door, DefaultServer().Door))
	}
	if host, _, err := net.SplitHostPort(s.Metrics); s.Metrics != "" && (err != nil || !loopback(host)) {
		b.problem(f.wrong("server.metrics", "server.metrics is %q, expected a loopback address and port, such as \"127.0.0.1:9145\": anybody who reaches it reads it", s.Metrics))
	}
	var mode uint32
	if _, err := fmt.Sscanf(s.DoorMode, "%o", &mode); err != nil || mode > 0o777 {
		b.problem(f.wrong("server.door_mode", "server.door_mode is %q, expected octal digits such as \"0660\"", s.DoorMode))
	}
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// warn tells what its writer should know of a configuration that is taken.
func (b *builder) warn(p Problem) { b.out.Warnings = append(b.out.Warnings, p.Error()) }

// globals finds each check's own table, which one file alone may hold.
func (b *builder) globals() {
	b.global, b.built = map[string]source{}, map[string]check.Check{}
	for _, f := range b.files {
		for name, prim := range f.Check {
			table := "check." + name
			if find(name) == nil {
				b.problem(f.wrong(table, "unknown check %q, expected one of %s", name, strings.Join(names(), ", ")))
				continue
			}
			if first, twice := b.global[name]; twice {
				b.problem(f.wrong(table, "table [%s] stands in %s already: keep one", table, first.file.path))
				continue
			}
			s := source{file: f, table: table, prim: prim}
			s.mode = b.modeOf(f, table, prim)
			b.global[name] = s
		}
	}
}

func (b *builder) reputation() {
	const table = "reputation"
	f := b.out.main
	b.out.Reputation = reputation.Defaults()
	if f.md.IsDefined(table) {
		b.decode(f, table, f.Reputation, &b.out.Reputation)
	}
	if err := reputation.Check(b.out.Reputation, b.dir); err != nil {
		b.checkProblems(source{file: f, table: table}, err)
	}
	b.print(table, b.out.Reputation)
}

func (b *builder) events() {
	const table = "events"
	f := b.out.main
	b.out.Events = event.Defaults()
	if f.md.IsDefined(table) {
		b.decode(f, table, f.Events, &b.out.Events)
	}
	if err := b.out.Events.Check(); err != nil {
		var setting *event.SettingError
		if errors.As(err, &setting) {
			err = &check.SettingError{Key: setting.Key, Err: setting.Err}
		}
		b.checkProblems(source{file: f, table: table}, err)
	}
	b.print(table, b.out.Events)
}

// print notes what a part was built from, so that a reload can say what changed.
func (b *builder) print(part string, settings any) {
	text, _ := json.Marshal(settings) // plain values alone
	b.out.prints[part] = string(text)
}

// Dir is the folder of the main file, which relative names start from.
func (l *Loaded) Dir() string {
	if l.main.path == builtIn {
		return ""
	}
	return filepath.Dir(l.main.path)
}

func (b *builder) modeOf(f *file, table string, prim toml.Primitive) *string {
	var m struct {
		Mode *string `toml:"mode"`
	}
	// A wrong type elsewhere in the table is found when all of it is decoded.
	if err := f.md.PrimitiveDecode(prim, &m); err != nil {
		b.undecoded(f, table, err)
	}
	choose(b, f, table+".mode", m.Mode, modeNames)
	return m.Mode
}

// slots builds the checks of a route, each from its defaults, its own table,
// and the route's.
func (b *builder) slots(scope string, own []source) []policy.Slot {
	var slots []policy.Slot
	for i := range checks {
		e := &checks[i]
		if len(b.o.Only) > 0 && !slices.Contains(b.o.Only, e.name) {
			continue
		}
		mode, where, settings := policy.Enforce, "", e.defaults()
		if given, ok := b.o.Settings[e.name]; ok {
			settings = given
		}
		last := source{file: b.out.main, table: "check." + e.name}
		if g, ok := b.global[e.name]; ok {
			b.decode(g.file, g.table, g.prim, settings)
			last = g
			if g.mode != nil {
				mode = modeNames[*g.mode]
			}
		}
		for _, s := range own {
			if s.table[strings.LastIndexByte(s.table, '.')+1:] != e.name {
				continue
			}
			b.decode(s.file, s.table, s.prim, settings)
			last, where = s, scope
			if s.mode != nil {
				mode = modeNames[*s.mode]
			}
		}
		if mode == policy.Off || last.file.isBroken(unnumbered(last.table)) {
			continue
		}
		if c := b.instance(e, where, settings, last); c != nil {
			slots = append(slots, policy.Slot{Check: c, Mode: mode})
		}
	}
	return slots
}

// instance builds a check, or gives the one built from equal settings.
func (b *builder) instance(e *entry, scope string, settings any, from source) check.Check {
	print, err := json.Marshal(settings)
	key := e.name + "\x00" + string(print)
	if c := b.built[key]; c != nil && err == nil {
		return c
	}
	if err != nil {
		key = e.name + "\x00" + scope
	}
	id := strings.TrimSuffix(e.name+" "+scope, " ")
	// A check may keep Warn: it must not lead to the builder, which knows the
	// configuration before this one, whose checks kept theirs, and so on.
	out := b.out
	env := check.Env{Dir: b.dir, Scope: scope, Hosts: b.hosts(), DoorTimeout: time.Duration(b.out.Server.EnterTimeoutMS) * time.Millisecond,
		Warn: func(m string) { out.Warnings = append(out.Warnings, e.name+": "+m) }}
	if from.file != nil && from.file.path != builtIn {
		env.Dir = filepath.Dir(from.file.path)
	}
	if !b.o.Offline {
		env.StateDir = b.out.Server.StateDir
	}
	if b.o.Old != nil {
		env.Old = b.o.Old.instances[id]
	}
	c, err := e.build(settings, env)
	if err != nil {
		b.checkProblems(from, err)
		return nil
	}
	b.built[key] = c
	b.out.instances[id] = c
	b.out.prints["check "+id] = string(print)
	b.out.Policy.Checks = append(b.out.Policy.Checks, c)
	return c
}

// hosts are the hosts of all sites, or none when a site takes every host.
func (b *builder) hosts() (all []string) {
	for _, f := range b.files {
		for i := range f.Site {
			if len(f.Site[i].Hosts) == 0 {
				return nil
			}
			for _, h := range f.Site[i].Hosts {
				if isHost(h) { // another is reported where it stands
					all = append(all, h)
				}
			}
		}
	}
	return all
}

// checkProblems places the errors of a check that could not be built.
func (b *builder) checkProblems(from source, err error) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			b.checkProblems(from, e)
		}
		return
	}
	var setting *check.SettingError
	if errors.As(err, &setting) {
		b.problem(from.file.wrong(from.table+"."+setting.Key, "%s.%v", from.table, err))
		return
	}
	b.problem(from.file.wrong(from.table, "%s: %v", from.table, err))
}
