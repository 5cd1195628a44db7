// Package host is for the machine Sallyport runs on: it fits the doors into an
// NGINX configuration (setup), proves what is truly inspected (prove), and
// looks over what an administrator would at 3 a.m. (doctor).
package host

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/daemon/host/nginxconf"
)

// Edit replaces the bytes from Start to End of a file.
type Edit struct {
	File       string
	Start, End int
	Text       string
}

// Guarded is a location that a plan guards.
type Guarded struct {
	Location string // as written, "/api/" or "~ \.php$"
	Place    string // file:line
	Mode     string // "inline-open", "relay-closed", ...
	Why      string // why that mode
}

// Plan is what setup would change, and what it leaves alone and why.
type Plan struct {
	Edits   []Edit
	Guarded []Guarded
	// Left are locations that are not guarded: nothing of a backend stands there.
	Left []string
	// Refused are locations that cannot be converted, with the reason and the
	// lines to write by hand. A plan with one of them is not applied.
	Refused []string
}

// Choice is what the administrator asks for.
type Choice struct {
	// Server is a server_name; empty takes the only server that has a backend.
	Server string
	// Mode is "auto" or one of the include files' modes; Failure "open" or "closed".
	Mode, Failure string
	// Version is NGINX's, [1, 22, 1]; the default log is where its build writes one.
	Version    [3]int
	DefaultLog string
}

// ErrAmbiguous lists the servers to choose from.
type ErrAmbiguous struct{ Servers []string }

func (e *ErrAmbiguous) Error() string {
	return "several servers have a backend; name one of them: " + strings.Join(e.Servers, ", ")
}

const marker = "# sallyport"

var passes = []string{"proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass"}

// MakePlan finds the chosen server and plans to guard each of its locations
// that leads to a backend.
func MakePlan(c *nginxconf.Config, choice Choice) (*Plan, error) {
	server, http, err := chooseServer(c, choice.Server)
	if err != nil {
		return nil, err
	}
	p := &planner{Plan: &Plan{}, config: c, choice: choice, server: server}
	for _, inc := range server.Find("include") {
		if strings.HasSuffix(inc.Args[0], "sallyport/server.conf") {
			return nil, fmt.Errorf("%s: this server is guarded already; see sallyport doctor, or sallyport setup --remove", inc.Place())
		}
	}
	for _, location := range server.Find("location") {
		p.location(location)
	}
	if pass := passOf(server); pass != nil {
		p.refuse(pass, "a backend stands in the server itself", "move it into location / { ... }")
	}
	if len(p.Guarded) == 0 && len(p.Refused) == 0 {
		return nil, fmt.Errorf("%s: no location of this server leads to a backend: there is nothing to guard", server.Place())
	}
	p.include(http, "sallyport/http.conf")
	p.variables(http)
	p.serverLines()
	slices.SortStableFunc(p.Edits, func(a, b Edit) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Start - b.Start
	})
	return p.Plan, nil
}

func chooseServer(c *nginxconf.Config, name string) (server, http *nginxconf.Directive, err error) {
	var found []*nginxconf.Directive
	var names []string
	for _, h := range c.Root.Find("http") {
		for _, s := range h.Find("server") {
			if name == "" && !leadsToBackend(s) {
				continue
			}
			if name != "" && !slices.Contains(ServerNames(s), name) {
				continue
			}
			found = append(found, s)
			names = append(names, strings.Join(ServerNames(s), " ")+" ("+s.Place()+")")
		}
	}
	switch len(found) {
	case 0:
		if name != "" {
			return nil, nil, fmt.Errorf("no server has the name %q", name)
		}
		return nil, nil, fmt.Errorf("no server leads to a backend: there is nothing to guard")
	case 1:
		return found[0], found[0].Parent, nil
	}
	// A server that only redirects to its TLS twin is not the one meant.
	var backed []*nginxconf.Directive
	for _, s := range found {
		if leadsToBackend(s) {
			backed = append(backed, s)
		}
	}
	if len(backed) == 1 {
		return backed[0], backed[0].Parent, nil
	}
	return nil, nil, &ErrAmbiguous{names}
}

// ServerNames are a server's names, "_" for one that has none.
func ServerNames(s *nginxconf.Directive) []string {
	var names []string
	for _, d := range s.Find("server_name") {
		names = append(names, d.Args...)
	}
	if len(names) == 0 {
		names = []string{"_"}
	}
	return names
}

func leadsToBackend(s *nginxconf.Directive) bool {
	found := false
	s.Walk(func(d *nginxconf.Directive) bool {
		found = found || slices.Contains(passes, d.Name)
		return !found
	})
	return found
}

// passOf is the directive that leads to a backend directly in a block.
func passOf(d *nginxconf.Directive) *nginxconf.Directive {
	for _, name := range passes {
		if found := d.Find(name); len(found) > 0 {
			return found[0]
		}
	}
	return nil
}

type planner struct {
	*Plan
	config *nginxconf.Config
	choice Choice
	server *nginxconf.Directive
	number int
}

func (p *planner) refuse(d *nginxconf.Directive, reason, remedy string) {
	p.Refused = append(p.Refused, fmt.Sprintf("%s: %s; %s", d.Place(), reason, remedy))
}

var numbered = regexp.MustCompile(`\$[1-9]`)

func (p *planner) location(l *nginxconf.Directive) {
	title := strings.Join(l.Args, " ")
	pass := passOf(l)
	byHand := "guard it by hand: move its body into a named location and put\n    set $sallyport_to @that; include sallyport/inline-" + p.choice.Failure + ".conf;\nin its place"
	switch {
	case len(l.Find("location")) > 0:
		if leadsToBackend(l) {
			p.refuse(l, "location "+title+" holds other locations, which a named location cannot", byHand)
		}
		return
	case pass == nil && leadsToBackend(l):
		p.refuse(l, "location "+title+" leads to a backend inside an if, which a named location would not inherit as it stands", byHand)
		return
	case pass == nil:
		p.Left = append(p.Left, fmt.Sprintf("%s: location %s leads to no backend", l.Place(), title))
		return
	case len(l.Find("internal")) > 0:
		p.Left = append(p.Left, fmt.Sprintf("%s: location %s is internal: what leads there is guarded", l.Place(), title))
		return
	}
	text := p.config.Files[l.File]
	if n := p.config.Reads[l.File]; n > 1 {
		p.refuse(l, fmt.Sprintf("location %s stands in a file that is included %d times: other servers would be changed too", title, n), "write the location into this server itself, and run setup again")
		return
	}
	if isRegex(l) && numbered.MatchString(withoutComments(l, text)) {
		p.refuse(l, "location "+title+" uses $1 of its own pattern, which the doors' patterns replace", "give the group a name, (?<name>...), and use $name; then run setup again")
		return
	}
	if len(l.Find("alias")) > 0 {
		p.refuse(l, "location "+title+" has alias, which a named location cannot", "use root in its place, or "+byHand)
		return
	}
	mode, why := p.mode(l)
	p.number++
	name := fmt.Sprintf("@sallyport_%d", p.number)
	if !p.passWithURI(l, pass, title, byHand) {
		return
	}
	p.body(l)
	guard := fmt.Sprintf("location %s { set $sallyport_to %s; include sallyport/%s.conf; } %s\n%s", text[argsStart(l, text):argsEnd(l, text)], name, mode, marker, indentOf(text, l.Start))
	header := fmt.Sprintf("location %s { include sallyport/proven.conf;%s", name, p.inheritedUpgrade(l))
	p.edit(l.File, l.Start, l.BodyStart, guard+header)
	p.Guarded = append(p.Guarded, Guarded{title, l.Place(), mode, why})
}

// argsStart and argsEnd are where a location's words stand, as written.
func argsStart(l *nginxconf.Directive, text string) int {
	at := l.Start + len("location")
	for text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r' {
		at++
	}
	return at
}

func argsEnd(l *nginxconf.Directive, text string) int {
	at := l.BodyStart - 1 // the brace
	for at > 0 && strings.ContainsRune(" \t\r\n", rune(text[at-1])) {
		at--
	}
	return at
}

func isRegex(l *nginxconf.Directive) bool {
	return len(l.Args) == 2 && (l.Args[0] == "~" || l.Args[0] == "~*")
}

func withoutComments(l *nginxconf.Directive, text string) string {
	var b strings.Builder
	for _, line := range strings.Split(text[l.BodyStart:l.BodyEnd], "\n") {
		code, _, _ := strings.Cut(line, "#")
		b.WriteString(code)
		b.WriteByte('\n')
	}
	return b.String()
}

// mode picks the include file by what stands in the location.
func (p *planner) mode(l *nginxconf.Directive) (mode, why string) {
	with := func(m, why string) (string, string) { return m + "-" + p.choice.Failure, why }
	if p.choice.Mode != "auto" {
		return with(p.choice.Mode, "as asked for")
	}
	if len(l.Find("grpc_pass")) > 0 {
		return with("metadata", "gRPC streams bodies that must not be held")
	}
	for _, name := range []string{"proxy_request_buffering", "fastcgi_request_buffering", "uwsgi_request_buffering", "scgi_request_buffering"} {
		for _, d := range l.Inherited(name) {
			if d.Is(name, "off") {
				return with("metadata", name+" is off: uploads must not be held")
			}
		}
	}
	for _, d := range l.Inherited("proxy_set_header") {
		if len(d.Args) == 2 && strings.EqualFold(d.Args[0], "upgrade") {
			return with("metadata", "it takes WebSockets: requests are judged by their headers, frames are not inspected")
		}
	}
	if p.http2() && older(p.choice.Version, [3]int{1, 19, 3}) {
		return with("relay", "NGINX before 1.19.3 hangs with two doors over HTTP/2")
	}
	return with("inline", "headers and bodies are judged before the backend sees them")
}

func (p *planner) http2() bool {
	for _, d := range p.server.Find("listen") {
		if slices.Contains(d.Args, "http2") {
			return true
		}
	}
	for _, d := range p.server.Inherited("http2") {
		if d.Is("http2", "on") {
			return true
		}
	}
	return false
}

func older(a, b [3]int) bool { return slices.Compare(a[:], b[:]) < 0 }

var withURI = regexp.MustCompile(`^(https?://[^/$]+)(/[^$]*)$`)

// passWithURI rewrites "proxy_pass http://x/y/", which a named location does
// not take, into a rewrite that does the same.
func (p *planner) passWithURI(l, pass *nginxconf.Directive, title, byHand string) bool {
	if pass.Name != "proxy_pass" || len(pass.Args) != 1 {
		return true
	}
	m := withURI.FindStringSubmatch(pass.Args[0])
	if m == nil {
		if strings.HasPrefix(pass.Args[0], "http") && strings.Count(pass.Args[0], "/") > 2 && !strings.Contains(pass.Args[0], "$") {
			p.refuse(pass, "proxy_pass "+pass.Args[0]+" has a URI part", byHand)
			return false
		}
		return true
	}
	upstream, uri := m[1], m[2]
	var from, to string
	switch {
	case len(l.Args) == 1 && l.Args[0][0] == '/':
		from, to = l.Args[0], "^"+regexp.QuoteMeta(l.Args[0])+"(.*)$"
	case len(l.Args) == 2 && l.Args[0] == "^~":
		from, to = l.Args[1], "^"+regexp.QuoteMeta(l.Args[1])+"(.*)$"
	case len(l.Args) == 2 && l.Args[0] == "=":
		from, to = l.Args[1], "^"
	default:
		p.refuse(pass, "proxy_pass with a URI part in location "+title, byHand)
		return false
	}
	target := uri + "$1"
	if to == "^" {
		target = uri
	}
	text := fmt.Sprintf("rewrite \"%s\" \"%s\" break; proxy_pass %s;", to, target, upstream)
	if len(l.Inherited("proxy_redirect")) == 0 {
		text += fmt.Sprintf(" proxy_redirect %s %s;", pass.Args[0], from)
	}
	p.edit(pass.File, pass.Start, pass.End, text+" "+marker+"\n"+indentOf(p.config.Files[pass.File], pass.Start))
	return true
}

// body changes what the location's own lines would otherwise undo.
func (p *planner) body(l *nginxconf.Directive) {
	if logs := l.Find("access_log"); len(logs) > 0 {
		if logs[0].Is("access_log", "off") {
			// Off would silence what the daemon hears too.
			p.edit(logs[0].File, logs[0].Start, logs[0].End, "include sallyport/access.conf;")
		} else {
			p.edit(logs[0].File, logs[0].Start, logs[0].Start, "include sallyport/access.conf; ")
		}
	}
	for _, d := range l.Find("proxy_set_header") {
		if len(d.Args) == 2 && strings.EqualFold(d.Args[0], "upgrade") && d.Args[1] == "$http_upgrade" {
			p.edit(d.File, d.Start, d.End, "proxy_set_header Upgrade $sallyport_upgrade;")
		}
	}
}

// inheritedUpgrade restates the headers that a location inherits, where one of
// them passes every Upgrade on: h2c would tunnel past the doors.
func (p *planner) inheritedUpgrade(l *nginxconf.Directive) string {
	if len(l.Find("proxy_set_header")) > 0 {
		return ""
	}
	text, passes := "", false
	for _, d := range l.Inherited("proxy_set_header") {
		line := p.config.Files[d.File][d.Start:d.End]
		if len(d.Args) == 2 && strings.EqualFold(d.Args[0], "upgrade") && d.Args[1] == "$http_upgrade" {
			line, passes = "proxy_set_header Upgrade $sallyport_upgrade;", true
		}
		text += " " + line
	}
	if !passes {
		return ""
	}
	return text + " " + marker + "\n" + indentOf(p.config.Files[l.File], l.Start) + "    "
}

func (p *planner) edit(file string, start, end int, text string) {
	p.Edits = append(p.Edits, Edit{file, start, end, text})
}

func (p *planner) include(block *nginxconf.Directive, file string) {
	for _, d := range block.Find("include") {
		if strings.HasSuffix(d.Args[0], file) {
			return
		}
	}
	indent := indentOf(p.config.Files[block.File], block.Start) + "    "
	p.edit(block.File, block.BodyStart, block.BodyStart, "\n"+indent+"include "+file+"; "+marker)
}

// variables makes room for ours: NGINX warns at each start where a table of
// its default size cannot be laid out well.
func (p *planner) variables(http *nginxconf.Directive) {
	if len(http.Find("variables_hash_max_size")) == 0 {
		indent := indentOf(p.config.Files[http.File], http.Start) + "    "
		p.edit(http.File, http.BodyStart, http.BodyStart, "\n"+indent+"variables_hash_max_size 2048; "+marker)
	}
}

// serverLines puts our include into the server, and restates an access log
// that the server had from around it.
func (p *planner) serverLines() {
	s := p.server
	indent := indentOf(p.config.Files[s.File], s.Start) + "    "
	text := "\n" + indent + "include sallyport/server.conf; " + marker
	if len(s.Find("access_log")) == 0 {
		inherited := s.Inherited("access_log")
		switch {
		case len(inherited) == 0:
			text += "\n" + indent + "access_log " + p.choice.DefaultLog + "; " + marker
		case !inherited[0].Is("access_log", "off"):
			for _, d := range inherited {
				text += "\n" + indent + p.config.Files[d.File][d.Start:d.End] + " " + marker
			}
		}
	} else if s.Find("access_log")[0].Is("access_log", "off") {
		d := s.Find("access_log")[0]
		p.edit(d.File, d.Start, d.End, marker+": access_log off\n"+indent)
	}
	p.edit(s.File, s.BodyStart, s.BodyStart, text)
}

func indentOf(text string, at int) string {
	begin := strings.LastIndexByte(text[:at], '\n') + 1
	end := begin
	for end < at && (text[end] == ' ' || text[end] == '\t') {
		end++
	}
	return text[begin:end]
}

// Apply gives the files as the plan would have them.
func (p *Plan) Apply(files map[string]string) map[string]string {
	out := map[string]string{}
	for i := len(p.Edits) - 1; i >= 0; i-- {
		e := p.Edits[i]
		text, begun := out[e.File]
		if !begun {
			text = files[e.File]
		}
		out[e.File] = text[:e.Start] + e.Text + text[e.End:]
	}
	return out
}
