package host

import (
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/daemon/host/nginxconf"
)

// trigger is a request that satisfies an if of the configuration which answers
// 404 or 405: those statuses are the way on between the doors, so where they
// are not compared with a receipt such an if leads past them.
type trigger struct {
	place   string
	method  string
	path    string // with its query
	headers string
	skip    string // why none can be made
}

func triggersOf(s, l *nginxconf.Directive, path string) (out []trigger) {
	for _, block := range []*nginxconf.Directive{s, l} {
		for _, cond := range block.Find("if") {
			for _, ret := range cond.Find("return") {
				if len(ret.Args) > 0 && (ret.Args[0] == "404" || ret.Args[0] == "405") {
					out = append(out, triggerOf(cond, path))
					break
				}
			}
		}
	}
	return out
}

var condition = regexp.MustCompile(`^\((\$\w+)(?: (=|!=|~\*|~|!~\*|!~) (.*))?\)$`)

func triggerOf(cond *nginxconf.Directive, path string) trigger {
	t := trigger{place: cond.Place(), method: "GET", path: path}
	m := condition.FindStringSubmatch(strings.ReplaceAll(strings.ReplaceAll(strings.Join(cond.Args, " "), "( ", "("), " )", ")"))
	if m == nil {
		t.skip = "no request can be made for the condition of this if: try one by hand"
		return t
	}
	candidates := []string{"proof"}
	if m[1] == "$request_method" {
		candidates = []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "GET", "HEAD", "PROPFIND"}
	}
	value, ok := satisfy(m[2], m[3], candidates)
	if !ok || !t.set(m[1][1:], value) {
		t.skip = "no request can be made for the condition of this if: try one by hand"
	}
	return t
}

// satisfy finds a value that a comparison holds for.
func satisfy(operator, operand string, candidates []string) (string, bool) {
	switch operator {
	case "":
		return candidates[0], true
	case "=":
		return operand, true
	case "!=":
		i := slices.IndexFunc(candidates, func(c string) bool { return c != operand })
		return candidates[max(i, 0)], i >= 0
	}
	flags := ""
	if strings.HasSuffix(operator, "*") {
		flags = "(?i)"
	}
	re, err := regexp.Compile(flags + operand)
	if err != nil {
		return "", false
	}
	negated := strings.HasPrefix(operator, "!")
	if !negated {
		if parsed, err := syntax.Parse(operand, syntax.Perl); err == nil {
			candidates = append([]string{sample(parsed.Simplify())}, candidates...)
		}
	}
	i := slices.IndexFunc(candidates, func(c string) bool { return re.MatchString(c) != negated })
	return candidates[max(i, 0)], i >= 0
}

// set gives a variable of NGINX its value, if a client can.
func (t *trigger) set(variable, value string) bool {
	if strings.ContainsAny(value, "\r\n") {
		return false
	}
	kind, name, _ := strings.Cut(variable, "_")
	switch {
	case variable == "request_method":
		t.method = value
	case variable == "args" || variable == "query_string":
		t.path += "?" + strings.ReplaceAll(value, " ", "%20")
	case kind == "arg":
		t.path += "?" + name + "=" + url.QueryEscape(value)
	case kind == "cookie":
		t.headers = "Cookie: " + name + "=" + value + "\r\n"
	case kind == "http" && !slices.Contains([]string{"host", "connection", "content_length", "transfer_encoding"}, name):
		t.headers = strings.ReplaceAll(name, "_", "-") + ": " + value + "\r\n"
	default:
		return false
	}
	return true
}
