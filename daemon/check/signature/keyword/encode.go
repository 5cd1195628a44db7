package keyword

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// encoded looks for ways of writing characters (Snort 2's http_encode): any
// of the kinds, or with negated none of them.
type encoded struct {
	kinds   []func(b []byte) bool
	negated bool
}

func (x *encoded) Match(c *Cursor) bool {
	c.Env.Steps -= len(c.Buf) >> 4
	found := false
	for _, k := range x.kinds {
		found = found || k(c.Buf)
	}
	return found != x.negated
}

// escape reads what stands behind a percent sign: the byte that %XX means, and
// whether it is %uXXXX.
func escape(b []byte, i int) (v int, u bool) {
	if i+5 < len(b) && b[i+1]|0x20 == 'u' {
		return -1, true
	}
	if i+2 >= len(b) {
		return -1, false
	}
	hi, lo := hexDigit(b[i+1]), hexDigit(b[i+2])
	if hi < 0 || lo < 0 {
		return -1, false
	}
	return hi<<4 | lo, false
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// anyEscape says whether one of b's percent signs is of a kind.
func anyEscape(b []byte, is func(v int, u bool) bool) bool {
	for i, c := range b {
		if c == '%' && is(escape(b, i)) {
			return true
		}
	}
	return false
}

func bareByte(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}

var encodings = map[string]func(b []byte) bool{
	"utf8":          func(b []byte) bool { return anyEscape(b, func(v int, _ bool) bool { return v >= 0xc0 && v < 0xf8 }) },
	"double_encode": func(b []byte) bool { return anyEscape(b, func(v int, _ bool) bool { return v == '%' }) },
	"non_ascii":     func(b []byte) bool { return bareByte(b) || anyEscape(b, func(v int, _ bool) bool { return v >= 0x80 }) },
	"uencode":       func(b []byte) bool { return anyEscape(b, func(_ int, u bool) bool { return u }) },
	"iis_encode":    func(b []byte) bool { return anyEscape(b, func(_ int, u bool) bool { return u }) },
	"bare_byte":     bareByte,
	"ascii":         func(b []byte) bool { return anyEscape(b, func(v int, _ bool) bool { return v >= 0 && v < 0x80 }) },
}

var httpEncodeKeyword = &Keyword{
	Name: "http_encode",
	Help: "http_encode:uri|header|cookie,[!]utf8|double_encode|non_ascii|uencode|bare_byte|ascii|iis_encode: how characters are written (Snort 2)",
	Parse: func(b *Builder, o rule.Option) error {
		where, what, ok := strings.Cut(o.Value, ",")
		id, known := map[string]buffer.ID{"uri": buffer.SURIRaw, "header": buffer.SHeaderRaw, "cookie": buffer.SCookie}[strings.TrimSpace(where)]
		if !ok || !known {
			return fmt.Errorf("expected uri, header or cookie, and encodings")
		}
		x := &encoded{}
		what, x.negated = strings.CutPrefix(strings.TrimSpace(what), "!")
		for _, n := range strings.Split(what, "|") {
			k := encodings[strings.TrimSpace(n)]
			if k == nil {
				return fmt.Errorf("unknown encoding %q", clip(n))
			}
			x.kinds = append(x.kinds, k)
		}
		b.http = true
		b.items = append(b.items, item{spec: newSpec(id, ""), seq: b.seq, step: x})
		return nil
	},
}
