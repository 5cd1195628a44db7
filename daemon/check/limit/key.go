package limit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/request"
)

// keyPart is one part of a limit's key.
type keyPart struct {
	kind partKind
	name string // of the header, cookie or claim
}

type partKind uint8

const (
	partAddress partKind = iota
	partPrefix
	partGroup
	partCountry
	partASN
	partHeader
	partCookie
	partAPIKey
	partClaim
	partSite
	partRoute
	partHost
	partMethod
	partUpstream
)

var plainParts = map[string]partKind{
	"address": partAddress, "prefix": partPrefix, "group": partGroup, "country": partCountry, "asn": partASN,
	"api_key": partAPIKey, "site": partSite, "route": partRoute, "host": partHost, "method": partMethod, "upstream_addr": partUpstream,
}

func parseParts(key []string) ([]keyPart, error) {
	var out []keyPart
	for _, s := range key {
		if kind, ok := plainParts[s]; ok {
			out = append(out, keyPart{kind: kind})
			continue
		}
		kind, name, _ := strings.Cut(s, ":")
		p := keyPart{name: name}
		switch kind {
		case "header":
			p.kind, p.name = partHeader, strings.ToLower(name)
		case "cookie":
			p.kind = partCookie
		case "claim":
			p.kind = partClaim
		default:
			name = ""
		}
		if name == "" {
			return nil, fmt.Errorf("%q is no part of a key: expected address, prefix, group, country, asn, api_key, site, route, host, method, upstream_addr, or header:, cookie:, claim: and a name", s)
		}
		out = append(out, p)
	}
	return out, nil
}

// subject is what a key is made of: a request under way, or one that ended.
type subject struct {
	request     *request.Request // nil once it ended
	token       check.TokenReader
	address     netip.Addr
	site, route string
	method      string
	host        string
	hostBytes   []byte // in place of host
	upstream    string
}

func ofVisit(v *check.Visit) subject {
	r := v.Request
	return subject{request: r, token: v.Token, address: r.Client.Addr(), site: v.Site, route: v.Route, method: r.Method, hostBytes: r.Host}
}

func ofOutcome(o *outcome.Outcome) subject {
	return subject{address: o.Client, site: o.Site, route: o.Route, method: o.Method, host: o.Host, upstream: o.UpstreamAddr}
}

// maxKey bounds the bytes a key is hashed from: eight parts, a long one hashed.
const (
	maxKey  = maxKeyParts * (maxPart + 2)
	maxPart = 48
)

// keyBuffer gathers a key's parts, each with its length before it.
type keyBuffer struct {
	b [maxKey]byte
	n int
}

func (k *keyBuffer) begin() int { k.n++; return k.n }

func (k *keyBuffer) end(start int) { k.b[start-1] = byte(k.n - start) }

func (k *keyBuffer) add(v []byte) {
	if len(v) > maxPart {
		k.addHash(xxhash.Sum64(v), len(v))
		return
	}
	at := k.begin()
	k.n += copy(k.b[k.n:], v)
	k.end(at)
}

func (k *keyBuffer) addString(v string) {
	if len(v) > maxPart {
		k.addHash(xxhash.Sum64String(v), len(v))
		return
	}
	at := k.begin()
	k.n += copy(k.b[k.n:], v)
	k.end(at)
}

// addHash stands for a long value: its hash and length, told from a short
// value by a length byte that none has.
func (k *keyBuffer) addHash(h uint64, size int) {
	k.b[k.n] = 0xFF
	binary.LittleEndian.PutUint64(k.b[k.n+1:], h)
	binary.LittleEndian.PutUint32(k.b[k.n+9:], uint32(size))
	k.n += 13
}

func (k *keyBuffer) addAddress(a netip.Addr, bits4, bits6 int) {
	a = a.Unmap()
	bits := bits6
	if a.Is4() {
		bits = bits4
	}
	if p, err := a.WithZone("").Prefix(min(bits, a.BitLen())); err == nil {
		a = p.Addr()
	}
	raw := a.As16()
	k.add(raw[:])
}

// build fills k with the limit's key for a subject. ok is false when the limit
// is not about it. Without whole, a part known only at the end is left out.
func (l *limit) build(k *keyBuffer, c *Check, s *subject, whole bool) (ok bool) {
	for i := range l.parts {
		p := &l.parts[i]
		switch p.kind {
		case partAddress:
			k.addAddress(s.address, 32, 64)
		case partPrefix:
			k.addAddress(s.address, l.Prefix4, l.Prefix6)
		case partGroup:
			name, ok := c.groups.Lookup(s.address.Unmap())
			if !ok {
				return false
			}
			k.addString(name)
		case partCountry:
			k.addString(c.geo.country(s.address))
		case partASN:
			at := k.begin()
			binary.LittleEndian.PutUint32(k.b[k.n:], c.geo.asn(s.address))
			k.n += 4
			k.end(at)
		case partSite:
			k.addString(s.site)
		case partRoute:
			k.addString(s.route)
		case partMethod:
			k.addString(s.method)
		case partHost:
			if s.hostBytes != nil {
				k.add(s.hostBytes)
			} else {
				k.addString(s.host)
			}
		case partUpstream:
			if whole {
				k.addString(s.upstream)
			}
		default:
			if s.request == nil {
				return false // a request's own values are gone once it ended
			}
			if p.kind == partClaim {
				if v := c.claim(s, p.name); v != "" {
					k.addString(v)
					continue
				}
			} else if v := c.value(p, s.request); len(v) > 0 {
				k.add(v)
				continue
			}
			if l.Missing == "skip" {
				return false
			}
			k.b[k.n] = 0xFE // no value has this length: absent is not empty
			k.n++
			k.addAddress(s.address, 32, 64)
		}
	}
	return true
}

// claim is a claim of a request's token: as the check reads that verifies
// tokens, unless jwks_file names other keys.
func (c *Check) claim(s *subject, name string) string {
	if s.token == nil || c.claims.keys != nil {
		return c.claims.claim(bearer(s.request), name)
	}
	v, _ := s.token.Claim(s.request, name)
	return v
}

// value is a request's header, cookie or api key.
func (c *Check) value(p *keyPart, r *request.Request) []byte {
	switch p.kind {
	case partHeader:
		return header(r, p.name)
	case partCookie:
		return cookie(r, p.name)
	case partAPIKey:
		if v := header(r, c.apiKeyHeader); len(v) > 0 {
			return v
		}
		return header(r, "authorization")
	}
	return nil
}

// header is the first header of that name, given in lower case.
func header(r *request.Request, name string) []byte {
	for i := range r.Headers {
		if h := &r.Headers[i]; len(h.Name) == len(name) && equalFold(h.Name, name) {
			return bytes.TrimSpace(h.Value)
		}
	}
	return nil
}

func equalFold(a []byte, lower string) bool {
	for i, c := range a {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// cookie is the first cookie of that name in any Cookie header (RFC 6265).
func cookie(r *request.Request, name string) []byte {
	for i := range r.Headers {
		h := &r.Headers[i]
		if len(h.Name) != 6 || !equalFold(h.Name, "cookie") {
			continue
		}
		for rest := h.Value; len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, []byte{';'})
			n, v, ok := bytes.Cut(bytes.TrimSpace(pair), []byte{'='})
			if ok && string(n) == name {
				return v
			}
		}
	}
	return nil
}

func bearer(r *request.Request) []byte {
	v := header(r, "authorization")
	if len(v) > 7 && equalFold(v[:7], "bearer ") {
		return bytes.TrimSpace(v[7:])
	}
	return nil
}

// label names a key for people. Secrets stand in it as the first digits of
// their hash.
func (l *limit) label(c *Check, s *subject) string {
	var b strings.Builder
	for i := range l.parts {
		if i > 0 {
			b.WriteByte(' ')
		}
		p := &l.parts[i]
		switch p.kind {
		case partAddress:
			b.WriteString(source(s.address))
		case partPrefix:
			a := s.address.Unmap()
			bits := l.Prefix6
			if a.Is4() {
				bits = l.Prefix4
			}
			if n, err := a.WithZone("").Prefix(bits); err == nil {
				b.WriteString(n.String())
			}
		case partGroup:
			name, _ := c.groups.Lookup(s.address.Unmap())
			b.WriteString("group " + name)
		case partCountry:
			b.WriteString(c.geo.country(s.address))
		case partASN:
			b.WriteString("AS" + strconv.FormatUint(uint64(c.geo.asn(s.address)), 10))
		case partSite:
			b.WriteString(s.site)
		case partRoute:
			b.WriteString(s.route)
		case partMethod:
			b.WriteString(s.method)
		case partHost:
			if s.hostBytes != nil {
				b.Write(s.hostBytes)
			} else {
				b.WriteString(s.host)
			}
		case partUpstream:
			b.WriteString(s.upstream)
		case partHeader, partCookie, partAPIKey, partClaim:
			b.WriteString(l.Key[i])
			if s.request == nil {
				continue
			}
			v := c.value(p, s.request)
			if p.kind == partClaim {
				v = []byte(c.claim(s, p.name))
			}
			if len(v) > 0 {
				fmt.Fprintf(&b, "=#%08x", uint32(xxhash.Sum64(v)))
			} else {
				b.WriteString(" missing, " + source(s.address))
			}
		}
	}
	if b.Len() == 0 {
		return "all"
	}
	return strings.ToValidUTF8(b.String(), "?")
}

func source(a netip.Addr) string {
	if a = a.Unmap(); a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
