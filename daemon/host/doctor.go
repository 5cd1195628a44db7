package host

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/daemon/host/nginxconf"
)

// Grade is how bad a thing is.
type Grade string

// Grades: Bad lets something through or will break; Weak could be better.
const (
	Good Grade = "good"
	Weak Grade = "weak"
	Bad  Grade = "bad"
)

// Diagnosis is one thing doctor looked at.
type Diagnosis struct {
	Grade Grade  `json:"grade"`
	What  string `json:"what"`
	Place string `json:"place,omitempty"`
	// Do is what to do about it.
	Do string `json:"do,omitempty"`
}

// Doctor gathers diagnoses.
type Doctor struct {
	NGINX  NGINX
	Config *nginxconf.Config
	Build  Build
	Found  []Diagnosis
	Now    time.Time
	Proc   string // /proc
}

func (d *Doctor) add(g Grade, place, what, do string) {
	d.Found = append(d.Found, Diagnosis{g, what, place, do})
}

// Examine looks over NGINX's configuration and its surroundings.
func (d *Doctor) Examine() {
	d.modules()
	included := false
	for _, h := range d.Config.Root.Find("http") {
		included = included || includes(h, "http.conf")
		for _, s := range h.Find("server") {
			d.server(s)
		}
		if leadsToBackend(h) && len(h.Inherited("limit_conn")) == 0 {
			d.add(Weak, h.Place(), "connection floods are not bounded", "add limit_conn_zone and limit_conn, and client_body_timeout and client_header_timeout of a few seconds: include sallyport/slow-clients.conf")
		}
	}
	if !included {
		d.add(Bad, d.Config.Root.File, "sallyport/http.conf is included nowhere: no location is guarded", "run sallyport setup")
	}
}

func (d *Doctor) modules() {
	for _, m := range []string{"http_auth_request_module", "http_ssl_module", "http_v2_module"} {
		if d.Build.Has(m) {
			d.add(Good, "", "NGINX has "+m, "")
			continue
		}
		g, do := Weak, "install a build of NGINX that has it, if you need it"
		if m == "http_auth_request_module" {
			g, do = Bad, "install nginx-light or nginx-core, or NGINX's own package"
		}
		d.add(g, "", "NGINX was built without "+m, do)
	}
}

func includes(b *nginxconf.Directive, name string) bool {
	for _, inc := range b.Find("include") {
		if strings.HasSuffix(inc.Args[0], "sallyport/"+name) {
			return true
		}
	}
	return false
}

func (d *Doctor) server(s *nginxconf.Directive) {
	_, isTLS, isHTTP2 := listenOf(s)
	for _, l := range s.Find("listen") {
		isHTTP2 = isHTTP2 || slices.Contains(l.Args, "http2")
	}
	guarded := 0
	names := map[string]string{}
	for _, l := range s.Find("location") {
		if ownLocation(l) {
			continue
		}
		if strings.HasPrefix(l.Args[0], "@") {
			if first, twice := names[l.Args[0]]; twice {
				d.add(Bad, l.Place(), "named location "+l.Args[0]+" stands at "+first+" too: requests of one go to the other's backend", "give one another name")
			}
			names[l.Args[0]] = l.Place()
		}
		guarded += d.location(s, l, isHTTP2)
	}
	if guarded > 0 {
		if !includes(s, "server.conf") {
			d.add(Bad, s.Place(), "the server has guarded locations but does not include sallyport/server.conf", "include it in the server")
		}
		d.surroundings(s)
	}
	d.encryption(s, isTLS, guarded > 0)
}

// ownLocation says whether a location is one of the doors' own, of server.conf.
func ownLocation(l *nginxconf.Directive) bool {
	name := l.Args[len(l.Args)-1]
	return strings.HasPrefix(name, "/_sallyport/") || (strings.HasPrefix(name, "@sallyport_") && strings.HasSuffix(l.File, "sallyport/server.conf"))
}

// location tells how one is guarded, and counts 1 when it is.
func (d *Doctor) location(s, l *nginxconf.Directive, isHTTP2 bool) int {
	title := "location " + strings.Join(l.Args, " ") + " of " + ServerNames(s)[0]
	mode := ModeOf(l)
	pass := passOf(l)
	if pass != nil {
		d.backend(l, pass)
	}
	switch {
	case mode == "" && pass != nil && !strings.HasPrefix(l.Args[0], "@"):
		d.add(Bad, l.Place(), title+" leads to a backend and is not guarded", "run sallyport setup --server "+ServerNames(s)[0])
		return 0
	case mode == "":
		return 0
	}
	switch name, failure, _ := strings.Cut(mode, "-"); {
	case name == "observe":
		d.add(Weak, l.Place(), title+" only observes: nothing is ever denied there", "include sallyport/inline-open.conf once its events are clean")
	case name == "inline" && isHTTP2 && older(d.Build.Version, [3]int{1, 19, 3}):
		d.add(Bad, l.Place(), title+" is in mode inline over HTTP/2, in which NGINX before 1.19.3 hangs", "include sallyport/relay-"+failure+".conf")
	case failure == "open":
		d.add(Good, l.Place(), title+" is guarded in mode "+name+", and lets requests pass while the daemon is away", "")
	default:
		d.add(Good, l.Place(), title+" is guarded in mode "+name+", and answers 503 while the daemon is away", "")
	}
	d.target(s, l, title)
	return 1
}

// target looks at the named location that a guarded one leads to.
func (d *Doctor) target(s, l *nginxconf.Directive, title string) {
	to := ""
	for _, set := range l.Find("set") {
		if set.Is("set", "$sallyport_to") && len(set.Args) == 2 {
			to = set.Args[1]
		}
	}
	if ModeOf(l) == "observe" {
		return
	}
	if to == "" {
		d.add(Bad, l.Place(), title+" does not say where it leads", "put set $sallyport_to @name; before the include")
		return
	}
	for _, named := range s.Find("location") {
		if named.Args[0] != to {
			continue
		}
		if !includes(named, "proven.conf") {
			d.add(Bad, named.Place(), "location "+to+" takes requests that passed no door: an error_page of the server's, or TRACE, leads straight in", "put include sallyport/proven.conf; into it")
		}
		for _, h := range named.Find("proxy_set_header") {
			if len(h.Args) == 2 && strings.EqualFold(h.Args[0], "upgrade") && h.Args[1] == "$http_upgrade" {
				d.add(Bad, h.Place(), "every Upgrade is passed on: with h2c the next request tunnels past the doors", "use $sallyport_upgrade and $sallyport_connection")
			}
		}
		return
	}
	d.add(Bad, l.Place(), title+" leads to "+to+", which this server does not have", "add location "+to+" { ... }")
}

// surroundings are directives around the doors that change what their answers
// mean. The receipts hold against them; what they break is named here.
func (d *Doctor) surroundings(s *nginxconf.Directive) {
	for _, rewrite := range s.Find("rewrite") {
		if len(rewrite.Args) == 3 && (rewrite.Args[2] == "last" || rewrite.Args[2] == "break") {
			d.add(Weak, rewrite.Place(), "a rewrite of the server's catches the doors' own requests: then every request is denied", "move it into a location, or leave out ^/_sallyport/")
		}
	}
	for _, cond := range s.Find("if") {
		if strings.Contains(strings.Join(cond.Args, " "), "$request_body") {
			d.add(Weak, cond.Place(), "$request_body is evaluated before the body was read, and stays empty", "move it behind the doors, into the named location")
		}
	}
	for _, name := range []string{"satisfy", "proxy_intercept_errors", "proxy_cache", "proxy_pass_request_headers", "auth_request", "mirror"} {
		for at := s; at != nil; at = at.Parent {
			for _, found := range at.Find(name) {
				bad := len(found.Args) > 0 && found.Args[0] != "off"
				if name == "proxy_pass_request_headers" {
					bad = found.Is(name, "off")
				}
				if bad && !found.Is("satisfy", "all") {
					d.add(Weak, found.Place(), name+" is inherited by everything; the doors' own locations set it back", "better in the locations that need it")
				}
			}
		}
	}
	for _, page := range s.Find("error_page") {
		for _, code := range page.Args {
			if code == "405" || code == "404" {
				if last := page.Args[len(page.Args)-1]; strings.HasPrefix(last, "@") {
					d.add(Weak, page.Place(), "error_page "+code+" leads to "+last+" past the doors; proven.conf refuses it there", "lead it to a location that is guarded")
				}
			}
		}
	}
}

func (d *Doctor) encryption(s *nginxconf.Directive, isTLS, guarded bool) {
	if !isTLS {
		redirects := len(s.Find("return")) > 0 && !leadsToBackend(s)
		if guarded && !redirects && !loopbackOnly(s) {
			d.add(Weak, s.Place(), "server "+ServerNames(s)[0]+" answers in plain text", "listen with ssl, or set require_tls in sallyport.toml")
		}
		return
	}
	for _, p := range s.Inherited("ssl_protocols") {
		for _, old := range []string{"SSLv2", "SSLv3", "TLSv1", "TLSv1.1"} {
			if slices.Contains(p.Args, old) {
				d.add(Weak, p.Place(), "server "+ServerNames(s)[0]+" takes "+old, "ssl_protocols TLSv1.2 TLSv1.3;")
			}
		}
	}
	hsts := false
	for _, h := range s.Inherited("add_header") {
		hsts = hsts || (len(h.Args) > 0 && strings.EqualFold(h.Args[0], "strict-transport-security"))
	}
	if !hsts {
		d.add(Weak, s.Place(), "server "+ServerNames(s)[0]+" sends no Strict-Transport-Security", `add_header Strict-Transport-Security "max-age=31536000" always;`)
	}
	for _, c := range s.Inherited("ssl_certificate") {
		d.certificate(c)
	}
}

func (d *Doctor) certificate(c *nginxconf.Directive) {
	path := c.Args[0]
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(d.Config.Root.File), path)
	}
	if strings.Contains(path, "$") {
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		d.add(Weak, c.Place(), "the certificate cannot be read: "+err.Error(), "run doctor as root")
		return
	}
	leaf, err := parseCertificate(text)
	if err != nil {
		d.add(Bad, c.Place(), path+" holds no certificate: "+err.Error(), "")
		return
	}
	switch left := leaf.NotAfter.Sub(d.Now); {
	case left < 0:
		d.add(Bad, c.Place(), fmt.Sprintf("the certificate %s ended on %s", path, leaf.NotAfter.Format(time.DateOnly)), "renew it")
	case left < 21*24*time.Hour:
		d.add(Weak, c.Place(), fmt.Sprintf("the certificate %s ends in %d days", path, int(left.Hours()/24)), "renew it")
	default:
		d.add(Good, c.Place(), "the certificate "+path+" holds until "+leaf.NotAfter.Format(time.DateOnly), "")
	}
}

func loopbackOnly(s *nginxconf.Directive) bool {
	for _, l := range s.Find("listen") {
		if !strings.HasPrefix(l.Args[0], "127.") && !strings.HasPrefix(l.Args[0], "[::1]") && !strings.HasPrefix(l.Args[0], "unix:") {
			return false
		}
	}
	return len(s.Find("listen")) > 0
}

// backend looks at how a backend is reached.
func (d *Doctor) backend(l, pass *nginxconf.Directive) {
	scheme, rest, found := strings.Cut(pass.Args[0], "://")
	if !found || scheme == "https" || scheme == "grpcs" || strings.Contains(rest, "$") {
		return
	}
	host, _, _ := strings.Cut(rest, "/")
	addresses := []string{host}
	for at := l; at != nil; at = at.Parent {
		for _, u := range at.Find("upstream") {
			if u.Args[0] != host {
				continue
			}
			addresses = nil
			for _, server := range u.Find("server") {
				addresses = append(addresses, server.Args[0])
			}
		}
	}
	for _, a := range addresses {
		if strings.HasPrefix(a, "unix:") {
			continue
		}
		port := "80"
		if name, p, err := net.SplitHostPort(a); err == nil {
			a, port = name, p
		}
		d.exposed(pass.Place(), a, port)
		if ip := net.ParseIP(strings.Trim(a, "[]")); ip != nil && !ip.IsLoopback() {
			g := Weak
			if !ip.IsPrivate() {
				g = Bad
			}
			d.add(g, pass.Place(), "the backend "+a+" is reached without TLS over a network", "proxy_pass https://..., or keep it on loopback")
		}
	}
}

// Machine looks at the daemon's sockets, the disk, the clock and the denials
// of SELinux.
func (d *Doctor) Machine(door, user, stateDir, auditLog string) {
	if info, err := os.Stat(door); err != nil {
		d.add(Bad, door, "the door's socket is not there: the daemon does not run", "systemctl start sallyport.socket sallyport")
	} else if err := answersAt(door); errors.Is(err, fs.ErrPermission) {
		d.add(Weak, door, "who runs doctor may not ask at the door", "run doctor as root")
		d.socketRights(door, user, info)
	} else if err != nil {
		d.add(Bad, door, "nobody answers at the door: "+err.Error(), "systemctl status sallyport, and journalctl -u sallyport says why")
		d.socketRights(door, user, info)
	} else {
		d.add(Good, door, "the daemon answers", "")
		d.socketRights(door, user, info)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(stateDir, &disk); err == nil {
		if free := uint64(disk.Bavail) * uint64(disk.Bsize); free < 512<<20 {
			d.add(Bad, stateDir, fmt.Sprintf("only %d MB are free", free>>20), "make room: events and state are kept there")
		} else {
			d.add(Good, stateDir, fmt.Sprintf("%d MB are free", free>>20), "")
		}
	}
	if d.Now.Year() < 2025 {
		d.add(Bad, "", "the clock stands at "+d.Now.Format(time.RFC3339), "set it: tokens, windows and certificates go by it")
	}
	var tx unix.Timex
	if state, err := unix.Adjtimex(&tx); err == nil && state == unix.TIME_ERROR {
		d.add(Weak, "", "the clock is not synchronised", "enable systemd-timesyncd or chrony")
	}
	d.selinux(auditLog)
}

// answersAt asks the door without telling it of a request, which it refuses. A
// connection alone proves nothing: systemd takes it for a daemon that is gone.
func answersAt(door string) error {
	nc, err := net.DialTimeout("unix", door, time.Second)
	if err != nil {
		return err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := nc.Write([]byte("GET /doctor HTTP/1.1\r\nHost: doctor\r\n\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(nc).ReadString('\n')
	if err != nil {
		return fmt.Errorf("no answer within five seconds: %w", err)
	}
	if !strings.HasPrefix(line, "HTTP/1.1 ") {
		return fmt.Errorf("something else than the daemon answered %q", strings.TrimSpace(line))
	}
	return nil
}

// selinux reads denials of NGINX at our sockets from the audit log.
func (d *Doctor) selinux(path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	denied := 0
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	for lines.Scan() {
		t := lines.Text()
		if strings.Contains(t, "avc:") && strings.Contains(t, "denied") && strings.Contains(t, "httpd_t") && (strings.Contains(t, "sallyport") || strings.Contains(t, "connectto")) {
			denied++
		}
	}
	if denied > 0 {
		d.add(Bad, path, fmt.Sprintf("SELinux denied NGINX our sockets %d times", denied), "semodule -i /usr/share/selinux/packages/sallyport.pp")
	}
}

// Worst is the worst grade found.
func (d *Doctor) Worst() Grade {
	worst := Good
	for _, f := range d.Found {
		if f.Grade == Bad {
			return Bad
		}
		if f.Grade == Weak {
			worst = Weak
		}
	}
	return worst
}
