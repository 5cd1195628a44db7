package request

import (
	"bytes"
	"hash/maphash"

	"github.com/sallyport/sallyport/daemon/request/decode"
)

// Bounds of parameters. What stands behind the last one is kept whole, as the
// value of a parameter with Rest set.
const (
	MaxParams  = 4096 // of a query, and of a form
	MaxCookies = 256
)

// Param is a parameter of the query or a form, or a cookie.
type Param struct {
	// Name and Value are decoded as application/x-www-form-urlencoded; of a
	// cookie percent-decoded.
	Name, Value       []byte
	RawName, RawValue []byte
	// HasValue says that an equals sign stood behind the name.
	HasValue bool
	// Rest says that this is everything behind the last parameter that was
	// told apart.
	Rest bool
	// Again says that an earlier parameter has the same name.
	Again bool
	// Quoted is what stands between a cookie's quotes for parsers of RFC 2109
	// (Tomcat's, Jetty's, Python's): up to the closing quote, past semicolons,
	// with its escapes undone. It is nil where Value holds that already.
	Quoted []byte
}

// Query are the query's parameters in order.
func (r *Request) Query() []Param {
	if r.first(doneQuery) {
		r.query = r.params(r.query, r.RawQuery(), false, Query)
	}
	return r.query
}

// params splits b at ampersands and equals signs and decodes both sides.
func (r *Request) params(dst []Param, b []byte, body bool, k Kind) []Param {
	for len(b) > 0 {
		if len(dst) >= MaxParams {
			r.mark(MarkParams, body, k, nil)
			text, _ := r.unescape(b, true)
			dst = append(dst, Param{Value: text, RawValue: b, Rest: true, HasValue: true})
			break
		}
		pair, rest := b, []byte(nil)
		if i := bytes.IndexByte(b, '&'); i >= 0 {
			pair, rest = b[:i], b[i+1:]
		}
		b = rest
		if len(pair) == 0 {
			continue
		}
		var p Param
		p.RawName = pair
		if i := bytes.IndexByte(pair, '='); i >= 0 {
			p.RawName, p.RawValue, p.HasValue = pair[:i], pair[i+1:], true
		}
		var bad, badName int
		p.Name, badName = r.unescape(p.RawName, true)
		p.Value, bad = r.unescape(p.RawValue, true)
		if bad+badName > 0 {
			r.mark(MarkPercent, body, k, p.Name)
		}
		dst = append(dst, p)
	}
	r.again(dst, MarkDuplicateParam, body, k)
	return dst
}

// unescape undoes percent and, with plus, plus; bad counts broken escapes.
func (r *Request) unescape(raw []byte, plus bool) (text []byte, bad int) {
	need := false
	for _, c := range raw {
		if c == '%' || c == '+' && plus {
			need = true
			break
		}
	}
	if !need {
		return raw, 0
	}
	room, ok := r.arena.open(len(raw))
	if !ok {
		r.mark(MarkDerived, false, 0, nil)
		return raw, 0
	}
	room, _, bad = decode.Percent(room, raw, plus)
	return r.arena.keep(room), bad
}

// again finds names that stand twice. A name that ends in [] is a list by
// agreement, so it is not marked.
func (r *Request) again(ps []Param, m Mark, body bool, k Kind) {
	if len(ps) < 2 {
		return
	}
	r.names.start(len(ps))
	for i := range ps {
		p := &ps[i]
		if p.Rest || len(p.Name) == 0 || r.names.add(p.Name) {
			continue
		}
		p.Again = true
		if !bytes.HasSuffix(p.Name, []byte("]")) {
			r.mark(m, body, k, p.Name)
		}
	}
}

// Cookies are the cookies of all Cookie headers in order.
func (r *Request) Cookies() []Param {
	if !r.first(doneCookies) {
		return r.cookies
	}
	for i := range r.Headers {
		if equalFold(r.Headers[i].Name, "cookie") {
			r.cookies = r.splitCookies(r.cookies, r.Headers[i].Value)
		}
	}
	r.again(r.cookies, MarkDuplicateCookie, false, Cookie)
	return r.cookies
}

// splitCookies splits at semicolons (RFC 6265 section 4.2.1). What cannot be a
// cookie's name, for it holds spaces or brackets, belongs to the value before.
func (r *Request) splitCookies(dst []Param, b []byte) []Param {
	from := len(dst)
	for len(b) > 0 {
		if len(dst) >= MaxCookies {
			r.mark(MarkParams, false, Cookie, nil)
			return append(dst, Param{Value: b, RawValue: b, Rest: true, HasValue: true})
		}
		piece, rest := b, []byte(nil)
		if i := bytes.IndexByte(b, ';'); i >= 0 {
			piece, rest = b[:i], b[i+1:]
		}
		b = rest
		piece = trim(piece)
		eq := bytes.IndexByte(piece, '=')
		if len(piece) == 0 {
			continue
		}
		if (eq < 0 || !token(piece[:eq])) && len(dst) > from {
			r.mark(MarkCookieSyntax, false, Cookie, dst[len(dst)-1].Name)
			r.lengthen(&dst[len(dst)-1], piece)
			continue
		}
		p := Param{RawName: piece}
		if eq >= 0 {
			p.RawName, p.RawValue, p.HasValue = piece[:eq], trim(piece[eq+1:]), true
		} else {
			p.RawName, p.RawValue = nil, piece
		}
		p.Name = p.RawName
		p.Value, _ = r.unescape(p.RawValue, false)
		if len(p.RawValue) > 1 && p.RawValue[0] == '"' {
			r.quotedCookie(&p, rest)
		}
		if bytes.EqualFold(p.Name, []byte("$version")) {
			r.mark(MarkCookieLegacy, false, Cookie, p.Name)
		}
		dst = append(dst, p)
	}
	return dst
}

// quotedCookie reads a quoted cookie whose header goes on with rest.
func (r *Request) quotedCookie(p *Param, rest []byte) {
	b := p.RawValue
	if len(rest) > 0 {
		b = spanning(b, rest)
	}
	end, escaped := 1, false
	for ; end < len(b) && b[end] != '"'; end++ {
		if b[end] == '\\' {
			escaped = true
			end++
		}
	}
	if end >= len(b) || end < len(p.RawValue) && !escaped {
		return
	}
	if end >= len(p.RawValue) {
		r.mark(MarkCookieSyntax, false, Cookie, p.Name)
	}
	room, ok := r.arena.open(end)
	if !ok {
		r.mark(MarkDerived, false, Cookie, p.Name)
		return
	}
	p.Quoted = r.arena.keep(decode.QuotedPairs(room, b[1:end]))
}

// lengthen makes a cookie's value reach to the end of piece, which stands
// behind it in the same header.
func (r *Request) lengthen(p *Param, piece []byte) {
	p.RawValue = spanning(p.RawValue, piece)
	p.Value, _ = r.unescape(p.RawValue, false)
}

// spanning is the slice from the start of a to the end of b, two pieces of one
// array with a before b.
func spanning(a, b []byte) []byte {
	n := cap(a) - cap(b) + len(b)
	if n < len(a) || n > cap(a) {
		return b
	}
	return a[:n]
}

// token says that b is a token (RFC 9110 section 5.6.2) that is not empty, with
// the brackets and colons that cookies' names in use have.
func token(b []byte) bool {
	for _, c := range b {
		if !tokenByte[c] {
			return false
		}
	}
	return len(b) > 0
}

var tokenByte = func() (t [256]bool) {
	for c := '0'; c <= 'z'; c++ {
		t[c] = c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a'
	}
	for _, c := range "!#$%&'*+-.^_`|~:[]@/{}" {
		t[c] = true
	}
	return
}()

// nameSet finds names that come again, by a seeded hash.
type nameSet struct {
	slots []uint64
}

var nameSeed = maphash.MakeSeed()

func (s *nameSet) start(n int) {
	size := 16
	for size < 2*n {
		size *= 2
	}
	if cap(s.slots) < size {
		s.slots = make([]uint64, size)
	}
	s.slots = s.slots[:size]
	clear(s.slots)
}

// add says whether name is new.
func (s *nameSet) add(name []byte) bool {
	h := maphash.Bytes(nameSeed, name) | 1
	mask := uint64(len(s.slots) - 1)
	for i := h >> 8 & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case 0:
			s.slots[i] = h
			return true
		case h:
			return false
		}
	}
}
