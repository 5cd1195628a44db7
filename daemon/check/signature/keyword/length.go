package keyword

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// span is a range of lengths.
type span struct {
	lo, hi int // inclusive
	not    bool
}

func (s span) has(n int) bool { return (s.lo <= n && n <= s.hi) != s.not }

const far = 1 << 40

// parseSpan reads <10, >10, <=10, >=10, =10, !10, 10, 5<>10 (between, ends
// excluded), 5<=>10 (ends included) and 5-10.
func parseSpan(v string) (span, error) {
	v = strings.ReplaceAll(strings.TrimSpace(v), " ", "")
	number := func(s string) (int, error) {
		n, err := strconv.ParseInt(s, 0, 40)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("%q is no length", clip(v))
		}
		return int(n), nil
	}
	for _, sep := range [...]string{"<=>", "<>"} {
		if a, b, ok := strings.Cut(v, sep); ok {
			lo, err := number(a)
			if err != nil {
				return span{}, err
			}
			hi, err := number(b)
			if err != nil {
				return span{}, err
			}
			if sep == "<>" {
				lo, hi = lo+1, hi-1
			}
			if lo > hi+2 {
				return span{}, fmt.Errorf("range %q ends before it begins", clip(v))
			}
			return span{lo: lo, hi: hi}, nil
		}
	}
	for _, op := range [...]string{"<=", ">=", "<", ">", "=", "!"} {
		rest, ok := strings.CutPrefix(v, op)
		if !ok {
			continue
		}
		n, err := number(rest)
		if err != nil {
			return span{}, err
		}
		switch op {
		case "<=":
			return span{hi: n}, nil
		case ">=":
			return span{lo: n, hi: far}, nil
		case "<":
			return span{hi: n - 1}, nil
		case ">":
			return span{lo: n + 1, hi: far}, nil
		case "!":
			return span{lo: n, hi: n, not: true}, nil
		}
		return span{lo: n, hi: n}, nil
	}
	n, err := number(v)
	return span{lo: n, hi: n}, err
}

// length is a condition on the length of a buffer.
type length struct {
	span
	relative bool
}

func (l *length) Relative() bool { return l.relative }
func (l *length) Match(c *Cursor) bool {
	if l.relative {
		return l.has(len(c.Buf) - c.Pos)
	}
	return l.has(len(c.Buf))
}

var urilenKeyword = &Keyword{
	Name: "urilen",
	Help: "urilen:[<>]N[<>M][,raw|norm]: the length of the URI in bytes, normalised unless raw",
	Parse: func(b *Builder, o rule.Option) error {
		f := strings.Split(o.Value, ",")
		s, err := parseSpan(f[0])
		if err != nil {
			return err
		}
		id := buffer.SURI
		if len(f) > 1 {
			switch strings.TrimSpace(f[1]) {
			case "raw":
				id = buffer.SURIRaw
			case "norm":
			default:
				return fmt.Errorf("expected raw or norm, found %q", clip(f[1]))
			}
		}
		if b.snort3() {
			id = buffer.NURI
		}
		b.http = true
		b.items = append(b.items, item{spec: newSpec(id, ""), seq: b.seq, step: &length{span: s}})
		return nil
	},
}

var bsizeKeyword = &Keyword{
	Name: "bsize",
	Help: "bsize:[<>!]N[<>M]: the length of the chosen buffer in bytes",
	Parse: func(b *Builder, o rule.Option) error {
		if b.sticky == nil {
			return fmt.Errorf("no buffer is chosen before it")
		}
		s, err := parseSpan(o.Value)
		if err != nil {
			return err
		}
		b.items = append(b.items, item{spec: b.sticky, seq: b.seq, step: &length{span: s}})
		return nil
	},
}

var bufferlenKeyword = &Keyword{
	Name: "bufferlen",
	Help: "bufferlen:[<>=!]N[<>M][,relative]: the length of the chosen buffer, or of what remains behind the cursor",
	Parse: func(b *Builder, o rule.Option) error {
		f := strings.Split(o.Value, ",")
		s, err := parseSpan(f[0])
		if err != nil {
			return err
		}
		l := &length{span: s}
		if len(f) > 1 {
			if strings.TrimSpace(f[1]) != "relative" {
				return fmt.Errorf("expected relative, found %q", clip(f[1]))
			}
			l.relative = true
		}
		b.add(b.spec(l.relative), l)
		return nil
	},
}

// size is a condition on the size of the whole request.
type size struct{ span }

func (s size) Holds(e *Env) bool { return s.has(e.Size) }

var dsizeKeyword = &Keyword{
	Name: "dsize",
	Help: "dsize:[<>!]N[<>M]: the size of the packet, taken as that of the request",
	Parse: func(b *Builder, o rule.Option) error {
		s, err := parseSpan(o.Value)
		if err != nil {
			return err
		}
		b.Prog.Before = append(b.Prog.Before, size{s})
		return nil
	},
}

// dataAt is a condition on how much of the buffer follows.
type dataAt struct {
	n        num
	relative bool
	negated  bool
	snort3   bool
}

func (d *dataAt) Relative() bool { return d.relative }
func (d *dataAt) Match(c *Cursor) bool {
	n := d.n.value(c)
	var ok bool
	switch {
	case d.snort3 && d.relative:
		ok = c.Pos+n >= 0 && c.Pos+n < len(c.Buf)
	case d.relative:
		ok = c.Pos+n <= len(c.Buf)
	default:
		ok = n < len(c.Buf)
	}
	return ok != d.negated
}

var isdataatKeyword = &Keyword{
	Name: "isdataat",
	Help: "isdataat:[!]N[,relative][,rawbytes]: the buffer has data at N, or N bytes behind the cursor",
	Parse: func(b *Builder, o rule.Option) error {
		f := strings.Split(strings.Trim(o.Value, `"`), ",")
		d := &dataAt{snort3: b.snort3()}
		n := strings.TrimSpace(f[0])
		if strings.HasPrefix(n, "!") {
			d.negated, n = true, n[1:]
		}
		var err error
		if d.n, err = b.number(n); err != nil {
			return err
		}
		for _, s := range f[1:] {
			switch strings.TrimSpace(s) {
			case "relative":
				d.relative = true
			case "rawbytes":
			default:
				return fmt.Errorf("expected relative or rawbytes, found %q", clip(s))
			}
		}
		if c := b.endingContent(d); c != nil {
			c.ends = true
			return nil
		}
		b.add(b.spec(d.relative), d)
		return nil
	},
}

// endingContent is the content that isdataat:!1,relative makes end the buffer.
// Suricata reads it as endswith of the last content, whatever moved the cursor
// in between.
func (b *Builder) endingContent(d *dataAt) *Content {
	if d.snort3 || !d.relative || !d.negated || d.n != (num{n: 1}) || b.inB64 {
		return nil
	}
	for i := len(b.items) - 1; i >= 0; i-- {
		switch s := b.items[i].step.(type) {
		case *Content:
			return s
		case *PCRE:
			return nil
		}
	}
	return nil
}
