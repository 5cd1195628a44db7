package config

import (
	"time"

	"github.com/BurntSushi/toml"
)

// Settings is one configuration file. The main file, sallyport.toml, may hold
// every table; files in conf.d/ may add sites, exceptions and check tables.
type Settings struct {
	// Server is how the daemon is reached and what it may use.
	Server Server `toml:"server"`
	// Defaults hold for every route that does not say otherwise.
	Defaults RouteSettings `toml:"defaults"`
	// Check holds a table per check: its own settings, and mode.
	Check map[string]toml.Primitive `toml:"check"`
	// Events is what is recorded, where, and for how long.
	Events toml.Primitive `toml:"events"`
	// Reputation is how sources gain and lose standing, and the lists they may stand on.
	Reputation toml.Primitive `toml:"reputation"`
	// Site is a set of hosts with their routes.
	Site []SiteSettings `toml:"site"`
	// Exception takes findings away, for a reason.
	Exception []ExceptionSettings `toml:"exception"`
}

// Server is how the daemon is reached and what it may use.
type Server struct {
	// Door is the Unix socket that NGINX asks. Under systemd the socket unit's is used.
	Door string `toml:"door"`
	// DoorMode is the socket's mode, as octal digits.
	DoorMode string `toml:"door_mode"`
	// DoorGroup owns the socket: the group NGINX's workers run as. Empty leaves it as it is.
	DoorGroup string `toml:"door_group"`
	// Access is the Unix datagram socket that NGINX's access log is sent to. Empty turns outcomes off.
	Access string `toml:"access"`
	// Control is the Unix socket of the tools: status, events, ban. Empty turns it off.
	Control string `toml:"control"`
	// ControlGroup may use the control socket beside root.
	ControlGroup string `toml:"control_group"`
	// Metrics is a loopback address for Prometheus, such as "127.0.0.1:9145". Empty leaves the metrics on the control socket alone.
	Metrics string `toml:"metrics"`
	// StateDir is where state that survives a restart is kept.
	StateDir string `toml:"state_dir"`
	// FailOpenLog is the file in which NGINX notes what passed while the daemon was away.
	FailOpenLog string `toml:"fail_open_log"`
	// TrustedProxies are addresses and networks whose X-Forwarded-For names the client.
	TrustedProxies []string `toml:"trusted_proxies"`
	// PassKeyFile holds the keys that sign X-Sallyport-Pass, by which a backend knows that a request came through the gateway; they are made and rotated daily. Empty signs nothing.
	PassKeyFile string `toml:"pass_key_file"`
	// EnterTimeoutMS is how long NGINX waits for ENTER, in milliseconds; the daemon answers within 80% of it.
	EnterTimeoutMS int `toml:"enter_timeout_ms"`
	// LeaveTimeoutMS is how long NGINX waits for LEAVE, in milliseconds; the daemon answers within 80% of it.
	LeaveTimeoutMS int `toml:"leave_timeout_ms"`
	// MaxHeld bounds the requests between the two doors. Past it the route's failure.bodies answers.
	MaxHeld int `toml:"max_held"`
	// MaxConnections bounds NGINX's connections to the door. Past it new ones are closed at once.
	MaxConnections int `toml:"max_connections"`
	// MaxBodyMemoryBytes bounds all bodies held at once. Past it a body counts as too large for its route.
	MaxBodyMemoryBytes int64 `toml:"max_body_memory_bytes"`
	// MaxHeadBytes bounds what NGINX sends ahead of a body. Past it the route's failure.metadata answers.
	MaxHeadBytes int `toml:"max_head_bytes"`
	// MaxKeys bounds the counters, flow bits and reputations kept.
	MaxKeys int `toml:"max_keys"`
	// GuardBanSeconds is how long a source is refused after mode guard found a body hostile that had passed.
	GuardBanSeconds int `toml:"guard_ban_seconds"`
}

// RouteSettings is how requests on a route are judged. What a route leaves out
// it takes from its site, the site from [defaults].
type RouteSettings struct {
	// Mode is "off", "detect" (find, never deny) or "enforce".
	Mode *string `toml:"mode"`
	// Threshold names the score from which a request is denied: "critical" (95), "high" (80) or "medium" (60).
	Threshold *string `toml:"threshold"`
	// RequireTLS refuses plain requests.
	RequireTLS *bool `toml:"require_tls"`
	// RequireTLSStatus answers a plain request: 403, or 426 to tell the client to upgrade.
	RequireTLSStatus *int `toml:"require_tls_status"`
	// MinTLS is the lowest version taken: "TLSv1", "TLSv1.1", "TLSv1.2" or "TLSv1.3".
	MinTLS *string `toml:"min_tls"`
	// Allow lists addresses and networks that skip every check.
	Allow []string `toml:"allow"`
	// Deny lists addresses and networks that are refused.
	Deny []string `toml:"deny"`
	// MaxInspectBytes bounds the bytes of a body that are inspected.
	MaxInspectBytes *int64 `toml:"max_inspect_bytes"`
	// LargeBody is what happens to a body past a bound: "deny" with 413, "inspect" its first bytes and mark, or "allow" and mark.
	LargeBody *string `toml:"large_body"`
	// Failure is what answers when the daemon is late or out of room, or a check fails.
	Failure FailureSettings `toml:"failure"`
	// Priority is "critical", "normal" or "low": low is shed first under pressure.
	Priority *string `toml:"priority"`
	// EveryRequest records an event for requests without findings too.
	EveryRequest *bool `toml:"every_request"`
	// Check changes checks on this route: a table per check with its settings or its mode.
	Check map[string]toml.Primitive `toml:"check"`
}

// FailureSettings is "open" (allow, with an event) or "closed" (deny with 503).
type FailureSettings struct {
	// Metadata answers for the request line and headers.
	Metadata *string `toml:"metadata"`
	// Bodies answers for bodies.
	Bodies *string `toml:"bodies"`
	// Limits answers for the check limit.
	Limits *string `toml:"limits"`
}

// SiteSettings is a set of hosts. A site without hosts takes every host no other takes.
type SiteSettings struct {
	// Name names the site in events.
	Name string `toml:"name"`
	// Hosts are names such as "api.example.com" or "*.example.com".
	Hosts []string `toml:"hosts"`
	// Route is one of the site's routes; the first that fits is taken.
	Route []NamedRoute `toml:"route"`
	RouteSettings
}

// NamedRoute is a route: which requests, and how they are judged.
type NamedRoute struct {
	// Name names the route in events and exceptions.
	Name string `toml:"name"`
	// Path is "/login", "/users/{id}" ({...} is one segment) or "/files/**". It is matched on the normalised path.
	Path string `toml:"path"`
	// Methods are the methods it takes; none takes all.
	Methods []string `toml:"methods"`
	RouteSettings
}

// ExceptionSettings takes findings away where they are known to be wrong.
type ExceptionSettings struct {
	// Site limits it to one site.
	Site string `toml:"site"`
	// Route limits it to one route.
	Route string `toml:"route"`
	// Check is the check whose findings it takes.
	Check string `toml:"check"`
	// ID is the finding's id; none takes all of the check's.
	ID string `toml:"id"`
	// Where is the place, such as "query:q"; a trailing * takes any rest.
	Where string `toml:"where"`
	// Reason says why; it is required.
	Reason string `toml:"reason"`
	// Expires ends it: a date or a date and time with its zone.
	Expires time.Time `toml:"expires"`
}

// DefaultServer is a server with every setting at its default.
func DefaultServer() Server {
	return Server{
		Door: "/run/sallyport/door.sock", DoorMode: "0660",
		Access: "/run/sallyport/access.sock", Control: "/run/sallyport/control.sock",
		StateDir:       "/var/lib/sallyport",
		EnterTimeoutMS: 500, LeaveTimeoutMS: 5000,
		MaxHeld: 16384, MaxConnections: 8192, MaxBodyMemoryBytes: 64 << 20, MaxHeadBytes: 1 << 20,
		MaxKeys: 1_000_000, GuardBanSeconds: 600,
	}
}

// DefaultRoute is a route with every setting at its default.
func DefaultRoute() RouteSettings {
	return RouteSettings{
		Mode: new("detect"), Threshold: new("high"),
		RequireTLS: new(false), RequireTLSStatus: new(403), MinTLS: new(""),
		MaxInspectBytes: new(int64(1 << 20)), LargeBody: new("inspect"),
		Failure:  FailureSettings{Metadata: new("closed"), Bodies: new("closed"), Limits: new("open")},
		Priority: new("normal"), EveryRequest: new(false),
	}
}
