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
	if i := strings.LastIndexByte(host, ':'); i > 0 && !strings.Contains(host[i:], "}") {
		if port := host[i+1:]; strings.Trim(port, "0123456789") == "" {
			host = host[:i]
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
	seen := map[string]bool{}
	for _, item := range n.List() {
		raw := item.Get("url").Str()
		if seen[raw] {
			continue
		}
		seen[raw] = true
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

// variables notes the enums. A variable with slashes in its values, or with
// none but its default where the path consists of it alone, is put in place.
func (l *loader) variables(s server, n *document.Node) server {
	for i, name := range contentKeys(n) {
		v := n.Items[i]
		if !strings.Contains(s.path, "{"+name+"}") {
			continue
		}
		enum := v.Get("enum").Strings()
		def := v.Get("default").Str()
		if v.Get("default") != nil && def == "" {
			def = v.Get("default").Text
		}
		if def == "" || strings.Contains(def, "/") {
			s.path = strings.ReplaceAll(s.path, "{"+name+"}", strings.Trim(def, "/"))
			s.path = strings.ReplaceAll(s.path, "//", "/")
			continue
		}
		if len(enum) > 0 {
			if s.enums == nil {
				s.enums = map[string]map[string]bool{}
			}
			s.enums[name] = map[string]bool{}
			for _, e := range enum {
				s.enums[name][e] = true
			}
		}
	}
	return s
}
