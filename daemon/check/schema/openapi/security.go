package openapi

import (
	"bytes"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
)

// credential is a declared security scheme, and how to see one in a request.
type credential struct {
	name   string // as the document names the scheme
	in     string // "header", "query", "cookie", "" when it cannot be seen here
	key    string // the header, parameter or cookie
	scheme string // the Authorization scheme, lower case
}

func (l *loader) securitySchemes() {
	n := l.deref(l.deref(l.root.Get("components")).Get("securitySchemes"))
	if l.swagger() {
		n = l.root.Get("securityDefinitions")
	}
	for i, name := range contentKeys(n) {
		def := l.deref(n.Items[i])
		if def == nil {
			continue
		}
		c := &credential{name: name}
		switch t := def.Get("type").Str(); t {
		case "apiKey":
			c.in, c.key = def.Get("in").Str(), def.Get("name").Str()
			if c.in == "query" {
				l.api.keys[c.key] = true
			}
			if c.key == "" || c.in != "query" && c.in != "header" && c.in != "cookie" {
				l.warn(def, "security scheme %q does not say where its key is; it asks for nothing", name)
				c.in = ""
			}
		case "basic":
			c.in, c.key, c.scheme = "header", "Authorization", "basic"
		case "http":
			c.in, c.key, c.scheme = "header", "Authorization", strings.ToLower(def.Get("scheme").Str())
		case "oauth2", "openIdConnect":
			c.in, c.key, c.scheme = "header", "Authorization", "bearer"
		case "mutualTLS": // NGINX asks for the certificate
		default:
			l.warn(def, "security scheme %q has the type %q, which there is not; it asks for nothing", name, t)
		}
		l.schemes[name] = c
	}
}

// security reads the alternatives that an operation accepts; nil when it asks
// for nothing.
func (l *loader) security(op *document.Node) [][]*credential {
	n := op.Get("security")
	if n == nil {
		n = l.root.Get("security")
	}
	var out [][]*credential
	for _, alt := range n.List() {
		var set []*credential
		for i, name := range contentKeys(alt) {
			c, ok := l.schemes[name]
			if !ok {
				l.warn(alt.Items[i], "security scheme %q is not declared; it asks for nothing", name)
				continue
			}
			if c.in != "" {
				set = append(set, c)
			}
		}
		if len(set) == 0 {
			return nil // one alternative asks for nothing that can be seen
		}
		out = append(out, set)
	}
	return out
}

// credentialMissing says that no alternative is satisfied, and names the first.
func (j *judge) credentialMissing(op *operation) (want string, missing bool) {
	if op.security == nil {
		return "", false
	}
	for _, set := range op.security {
		all := true
		for _, c := range set {
			if !j.hasCredential(c) {
				all = false
				break
			}
		}
		if all {
			return "", false
		}
	}
	var b strings.Builder
	for i, set := range op.security {
		if i > 0 {
			b.WriteString(" or ")
		}
		for k, c := range set {
			if k > 0 {
				b.WriteString(" with ")
			}
			b.WriteString(c.describe())
		}
	}
	return b.String(), true
}

func (c *credential) describe() string {
	if c.scheme != "" {
		return "Authorization: " + c.scheme
	}
	return c.in + " " + c.key
}

func (j *judge) hasCredential(c *credential) bool {
	switch c.in {
	case "query":
		for i := range j.pairs {
			if string(j.pairs[i].key) == c.key && len(j.pairs[i].raw) > 0 {
				return true
			}
		}
	case "cookie":
		for i := range j.cookies() {
			if string(j.cookieJar[i].key) == c.key && len(j.cookieJar[i].raw) > 0 {
				return true
			}
		}
	case "header":
		for _, h := range j.r.Headers {
			if !strings.EqualFold(string(h.Name), c.key) {
				continue
			}
			value := bytes.TrimSpace(h.Value)
			if c.scheme == "" {
				if len(value) > 0 {
					return true
				}
				continue
			}
			scheme, rest, found := bytes.Cut(value, []byte(" "))
			if strings.EqualFold(string(scheme), c.scheme) && found && len(bytes.TrimSpace(rest)) > 0 {
				return true
			}
			if c.scheme == "bearer" && strings.EqualFold(string(scheme), "DPoP") && found {
				return true
			}
		}
	}
	return false
}
