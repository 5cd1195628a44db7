package event

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"time"
)

// Settings is the table [events]: what is recorded, where, and for how long.
type Settings struct {
	// File is a file that gets one JSON object a line. It is opened again on
	// SIGUSR1 and when it was moved away. Empty writes none.
	File string `toml:"file"`
	// Stdout writes the same lines to standard output, from where systemd takes them to the journal.
	Stdout bool `toml:"stdout"`
	// Journal sends events to systemd's journal with a field for each of what is searched for.
	Journal bool `toml:"journal"`
	// Syslog sends events to a syslog server.
	Syslog SyslogSettings `toml:"syslog"`
	// Store is the file of recent events that `sallyport events` searches.
	// Empty means events.db in the state directory, "off" keeps none.
	Store string `toml:"store"`
	// StoreMaxBytes bounds the store; past it the oldest events go.
	StoreMaxBytes int64 `toml:"store_max_bytes"`
	// StoreMaxAgeHours is how long the store keeps an event, in hours.
	StoreMaxAgeHours int `toml:"store_max_age_hours"`
	// EveryRequest records an event for requests without findings too, on all routes.
	EveryRequest bool `toml:"every_request"`
	// Bodies keeps the first 8 KiB of a recorded request's body, redacted, if it is text.
	Bodies bool `toml:"bodies"`
	// Queue is how many events each sink may be behind. Past it events are dropped for that sink and counted.
	Queue int `toml:"queue"`
	// QueueBytes bounds the memory of events on their way, in bytes.
	QueueBytes int64 `toml:"queue_bytes"`
	// Redact lists further names of fields, parameters, cookies and headers whose values are secrets.
	Redact []string `toml:"redact"`
}

// SyslogSettings says where and how syslog is sent (RFC 5424).
type SyslogSettings struct {
	// Address is "unix:///dev/log", "udp://host:514", "tcp://host:514" or "tls://host:6514". Empty sends nothing.
	Address string `toml:"address"`
	// Format of the message is "json", or "text" for one line for people.
	Format string `toml:"format"`
	// Facility is a name such as "local0" or "authpriv".
	Facility string `toml:"facility"`
	// MaxBytes bounds one message; a longer event is sent without its headers and body.
	MaxBytes int `toml:"max_bytes"`
	// CAFile holds the certificates that the server's must come from, for tls. Empty takes the system's.
	CAFile string `toml:"ca_file"`
	// CertFile is this client's certificate, for tls, if the server asks for one.
	CertFile string `toml:"cert_file"`
	// KeyFile is the key of CertFile.
	KeyFile string `toml:"key_file"`
	// ServerName is the name in the server's certificate. Empty takes the address's host.
	ServerName string `toml:"server_name"`
}

// Defaults are the settings of a table that says nothing.
func Defaults() Settings {
	return Settings{
		StoreMaxBytes: 1 << 30, StoreMaxAgeHours: 30 * 24, Bodies: true,
		Queue: 4096, QueueBytes: 64 << 20,
		Syslog: SyslogSettings{Format: "json", Facility: "local0", MaxBytes: 8192},
	}
}

// StorePath is the store's file for a state directory, empty when it is off.
func (s Settings) StorePath(stateDir string) string {
	switch s.Store {
	case "off":
		return ""
	case "":
		if stateDir == "" {
			return ""
		}
		return filepath.Join(stateDir, "events.db")
	}
	return s.Store
}

// StoreMaxAge is StoreMaxAgeHours as a duration.
func (s Settings) StoreMaxAge() time.Duration {
	return time.Duration(s.StoreMaxAgeHours) * time.Hour
}

// Facilities of syslog by name (RFC 5424, table 1).
var Facilities = map[string]int{
	"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8, "cron": 9, "authpriv": 10, "ftp": 11,
	"local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}

// SettingError is an error in one setting; Key is its dotted path below [events].
type SettingError struct {
	Key string
	Err error
}

func (e *SettingError) Error() string { return e.Key + ": " + e.Err.Error() }
func (e *SettingError) Unwrap() error { return e.Err }

// Check reports the first setting that cannot hold, as a *SettingError.
func (s Settings) Check() error {
	bad := func(key, format string, args ...any) error {
		return &SettingError{key, fmt.Errorf(format, args...)}
	}
	switch {
	case s.Queue < 16 || s.Queue > 1<<20:
		return bad("queue", "%d: 16 to %d was expected", s.Queue, 1<<20)
	case s.QueueBytes < 1<<20:
		return bad("queue_bytes", "%d: at least %d (1 MiB) was expected", s.QueueBytes, 1<<20)
	case s.StoreMaxBytes < 8<<20:
		return bad("store_max_bytes", "%d: at least %d (8 MiB) was expected", s.StoreMaxBytes, 8<<20)
	case s.StoreMaxAgeHours < 1:
		return bad("store_max_age_hours", "%d: at least 1 was expected", s.StoreMaxAgeHours)
	case s.File != "" && !filepath.IsAbs(s.File):
		return bad("file", "%q: an absolute path was expected", s.File)
	case s.Store != "" && s.Store != "off" && !filepath.IsAbs(s.Store):
		return bad("store", "%q: an absolute path, or \"off\", was expected", s.Store)
	}
	return s.Syslog.check(bad)
}

func (s SyslogSettings) check(bad func(string, string, ...any) error) error {
	if s.Address == "" {
		return nil
	}
	if _, _, err := s.Target(); err != nil {
		return bad("syslog.address", "%w", err)
	}
	if _, ok := Facilities[s.Facility]; !ok {
		return bad("syslog.facility", "%q is none; a name such as local0, daemon or authpriv was expected", s.Facility)
	}
	if s.Format != "json" && s.Format != "text" {
		return bad("syslog.format", "%q: json or text was expected", s.Format)
	}
	if s.MaxBytes < 480 || s.MaxBytes > 64<<10 {
		return bad("syslog.max_bytes", "%d: 480 to %d was expected", s.MaxBytes, 64<<10)
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		return bad("syslog.cert_file", "cert_file and key_file are needed together")
	}
	return nil
}

// Target parts Address into its transport ("unix", "udp", "tcp", "tls") and
// where it goes: a path or host:port.
func (s SyslogSettings) Target() (transport, addr string, err error) {
	u, err := url.Parse(s.Address)
	if err != nil {
		return "", "", fmt.Errorf("%q: %w", s.Address, err)
	}
	switch u.Scheme {
	case "unix":
		if !filepath.IsAbs(u.Path) || u.Host != "" {
			return "", "", fmt.Errorf("%q: a path with three slashes, unix:///dev/log, was expected", s.Address)
		}
		return "unix", u.Path, nil
	case "udp", "tcp", "tls":
		if _, _, err := net.SplitHostPort(u.Host); err != nil {
			port := map[string]string{"udp": "514", "tcp": "514", "tls": "6514"}[u.Scheme]
			if u.Hostname() == "" {
				return "", "", fmt.Errorf("%q: a host was expected after %s://", s.Address, u.Scheme)
			}
			return u.Scheme, net.JoinHostPort(u.Hostname(), port), nil
		}
		return u.Scheme, u.Host, nil
	}
	return "", "", fmt.Errorf("%q: unix:///path, udp://, tcp:// or tls://host:port was expected", s.Address)
}
