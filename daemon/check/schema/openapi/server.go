package openapi

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
)

// server is one place where the API is served.
type server struct {
	path  string // with variables in braces
	host  *hostPattern
	enums map[string]map[string]bool
}

// hostPattern is a host's name, where a variable stands for any text.
type hostPattern struct {
	literals []string // what stands around the variables
}

func newHostPattern(host string) *hostPattern {
	host = strings.ToLower(host)
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	for i, depth := len(host)-1, 0; i > 0; i-- { // the port counts for nothing
		switch host[i] {
		case '}':
			depth++
		case '{':
			depth--
		case ':':
			if depth == 0 && !strings.Contains(host[i:], "]") {
				host = host[:i]
			}
		}
	}
	h := &hostPattern{}
	for {
		open := strings.IndexByte(host, '{')
		end := -1
		if open >= 0 {
			end = strings.IndexByte(host[open:], '}')
		}
		if end < 0 {
			h.literals = append(h.literals, host)
			return h
		}
		h.literals = append(h.literals, host[:open])
		host = host[open+end+1:]
	}
}

func (h *hostPattern) match(host []byte) bool {
	host = bytes.ToLower(host)
	if len(h.literals) == 1 {
		return string(host) == h.literals[0]
	}
	first, last := h.literals[0], h.literals[len(h.literals)-1]
	if len(host) < len(first)+len(last) || !bytes.HasPrefix(host, []byte(first)) || !bytes.HasSuffix(host, []byte(last)) {
		return false
	}
	host = host[len(first) : len(host)-len(last)]
	for _, lit := range h.literals[1 : len(h.literals)-1] {
		i := bytes.Index(host, []byte(lit))
		if i < 0 {
			return false
		}
		host = host[i+len(lit):]
	}
	return true
}

func (l *loader) servers(root *document.Node) []server {
	if l.api.options.BasePath != "" {
		return []server{{path: l.api.options.BasePath}}
	}
	if l.swagger() {
		s := server{path: root.Get("basePath").Str()}
		if h := root.Get("host").Str(); h != "" {
			s.host = newHostPattern(h)
		}
		return []server{s}
	}
	return l.serverList(root.Get("servers"))
}

func (l *loader) serverList(n *document.Node) (out []server) {
	if l.api.options.BasePath != "" {
		return []server{{path: l.api.options.BasePath}}
	}
	type place struct {
		item *document.Node
		url  string
	}
	var places []place
	seen := map[string]bool{}
	for _, item := range n.List() {
		for _, url := range expanded(item) {
			if !seen[url] {
				seen[url] = true
				places = append(places, place{item, url})
			}
		}
	}
	for _, pl := range places {
		item, raw := pl.item, pl.url
		s := server{path: raw}
		rest := raw
		if i := strings.Index(raw, "://"); i >= 0 && !strings.Contains(raw[:i], "/") {
			rest = raw[i+3:]
		} else if strings.HasPrefix(raw, "//") {
			rest = raw[2:]
		} else if first, _, _ := strings.Cut(raw, "/"); strings.Contains(first, ".") && first != "." && first != ".." {
			l.warn(item, "server %q has no scheme; taken as a host", raw)
		} else {
			rest = ""
		}
		if rest != "" {
			host, path := rest, ""
			if i := strings.IndexByte(rest, '/'); i >= 0 {
				host, path = rest[:i], rest[i:]
			}
			s.host, s.path = newHostPattern(host), path
		}
		if i := strings.IndexAny(s.path, "?#"); i >= 0 {
			s.path = s.path[:i]
		}
		s.path = strings.TrimPrefix(s.path, ".")
		if s.path != "" && s.path[0] != '/' {
			s.path = "/" + s.path
		}
		if p, err := url.PathUnescape(s.path); err == nil {
			s.path = p
		}
		out = append(out, l.variables(s, item.Get("variables")))
	}
	if len(out) == 0 {
		out = []server{{path: ""}}
	}
	return out
}

// maxServers bounds the places that one server's variables make.
const maxServers = 64

// expanded puts the variables in place whose values hold slashes, or nothing:
// they are more, or less, than a segment.
func expanded(item *document.Node) []string {
	out := []string{item.Get("url").Str()}
	vars := item.Get("variables")
	for i, name := range contentKeys(vars) {
		values := vars.Items[i].Get("enum").Strings()
		if def := vars.Items[i].Get("default"); def != nil {
			values = append(values, def.Text)
		}
		odd := false
		for _, v := range values {
			odd = odd || v == "" || strings.Contains(v, "/")
		}
		if !odd || len(out)*len(values) > maxServers {
			continue
		}
		var next []string
		for _, url := range out {
			for _, v := range values {
				next = append(next, strings.ReplaceAll(url, "{"+name+"}", v))
			}
		}
		out = next
	}
	for i := range out {
		scheme, rest, found := strings.Cut(out[i], "://")
		if !found {
			scheme, rest = "", out[i]
		}
		relative := strings.HasPrefix(rest, "//") // to a host, without a scheme
		for strings.Contains(rest, "//") {
			rest = strings.ReplaceAll(rest, "//", "/")
		}
		if relative {
			rest = "/" + rest
		}
		if found {
			rest = scheme + "://" + rest
		}
		out[i] = rest
	}
	return out
}

// variables notes the enums of those in the path.
func (l *loader) variables(s server, n *document.Node) server {
	for i, name := range contentKeys(n) {
		enum := n.Items[i].Get("enum")
		if len(enum.List()) == 0 || !strings.Contains(s.path, "{"+name+"}") {
			continue
		}
		if s.enums == nil {
			s.enums = map[string]map[string]bool{}
		}
		s.enums[name] = map[string]bool{}
		for _, e := range enum.Items {
			s.enums[name][e.Text] = true
		}
	}
	return s
}
