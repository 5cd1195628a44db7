package keyword

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// Content is a text to find, with where it may stand.
type Content struct {
	Text    []byte // in lower case if Nocase
	Nocase  bool
	Negated bool
	Fast    bool // marked as the rule's fast pattern

	offset, depth       num // depth counts from offset
	hasDepth            bool
	distance, within    num
	hasDistance, hasWin bool
	starts, ends        bool
	again               bool
	rare                int // index of the byte in Text that is rarest in requests
	// suricata says that Suricata's search is followed where it is peculiar: a
	// within that ends before the buffer begins bounds nothing (the bound is a
	// negative number without sign), and see Search for endswith.
	suricata bool
}

// maxContent bounds a content, in bytes.
const maxContent = 8192

// Relative says whether the content's place depends on the one before it.
func (c *Content) Relative() bool   { return c.hasDistance || c.hasWin }
func (c *Content) setAgain(on bool) { c.again = on }
func (c *Content) Again() bool      { return c.again && !c.Negated }
func (c *Content) moves() bool      { return !c.Negated }
func (c *Content) Match(k *Cursor) bool {
	_, ok := c.Search(k, k.Pos, -1)
	return ok != c.Negated
}

// window is the part of the buffer that the content must lie in.
func (c *Content) window(k *Cursor, base int) (lo, hi int) {
	n := len(k.Buf)
	lo, hi = 0, n
	if c.Relative() {
		d := 0
		if c.hasDistance {
			d = c.distance.value(k)
		}
		lo = base + d
		if c.hasWin {
			if end := base + d + c.within.value(k); end >= 0 || !c.suricata {
				hi = min(hi, end)
			}
		}
		if c.hasDepth {
			hi = min(hi, base+c.offset.value(k)+c.depth.value(k))
		}
		lo = max(lo, c.offset.value(k), 0)
	} else {
		lo = max(c.offset.value(k), 0)
		if c.hasDepth {
			hi = min(hi, lo+c.depth.value(k))
		}
	}
	if c.starts {
		hi = min(hi, lo+len(c.Text))
	}
	if c.ends {
		if hi < n {
			return 0, -1
		}
		if !c.Negated || !c.suricata {
			lo = max(lo, n-len(c.Text))
		}
	}
	return lo, hi
}

// Search finds the content at or after from inside its window.
func (c *Content) Search(k *Cursor, base, from int) (next int, ok bool) {
	lo, hi := c.window(k, base)
	lo = max(lo, from)
	if hi-lo < len(c.Text) || lo < 0 {
		return 0, false
	}
	at := c.index(k.Buf[lo:hi], k.Env)
	k.Env.Steps -= (hi - lo) >> 6
	if at < 0 {
		return 0, false
	}
	at += lo
	if c.ends && c.Negated && c.suricata && at+len(c.Text) != hi-lo {
		// Suricata looks at the first place alone, and counts its end from the
		// buffer's begin but the buffer's from the content's offset.
		return 0, false
	}
	if !c.Negated {
		k.Pos = at + len(c.Text)
		k.MarkAt, k.MarkEnd = at, k.Pos
	}
	return at + 1, true
}

// index is where the content first stands in b, as far as the steps go.
func (c *Content) index(b []byte, e *Env) int {
	if !c.Nocase {
		return bytes.Index(b, c.Text)
	}
	t := c.Text
	if len(t) == 0 {
		return 0
	}
	r := t[c.rare]
	from, to := c.rare, len(b)-len(t)+c.rare+1 // where r may stand
	if to <= from {
		return -1
	}
	// low and up are where r next stands, in lower and in upper case.
	low, up := from-1, to
	if r >= 'a' && r <= 'z' {
		up = from - 1
	}
	for {
		if low < from {
			low = next(b, from, to, r)
		}
		if up < from {
			up = next(b, from, to, r-32)
		}
		at := min(low, up)
		if at >= to || !e.Take(1) {
			return -1
		}
		if equalFold(b[at-c.rare:at-c.rare+len(t)], t) {
			return at - c.rare
		}
		from = at + 1
	}
}

// next is where c stands in b[from:to], or to.
func next(b []byte, from, to int, c byte) int {
	if i := bytes.IndexByte(b[from:to], c); i >= 0 {
		return from + i
	}
	return to
}

// equalFold compares b with a text in lower case.
func equalFold(b, t []byte) bool {
	for i, x := range t {
		y := b[i]
		if y >= 'A' && y <= 'Z' {
			y += 32
		}
		if x != y {
			return false
		}
	}
	return true
}

// Frequency orders bytes by how often they stand in HTTP requests, roughly:
// higher is more frequent.
func Frequency(b byte) int {
	const often = "etaoinsrhldcumfpgwybvkxjqz"
	switch {
	case b >= 'a' && b <= 'z':
		return 60 - strings.IndexByte(often, b)
	case b >= '0' && b <= '9':
		return 40
	case strings.IndexByte("/.-:= ;,\r\n", b) >= 0:
		return 55
	case b >= 'A' && b <= 'Z':
		return 30
	case b < 0x20 || b >= 0x7f:
		return 1
	}
	return 20
}

func (c *Content) settle() {
	if c.Nocase {
		for i, b := range c.Text {
			if b >= 'A' && b <= 'Z' {
				c.Text[i] = b + 32
			}
		}
	}
	for i, b := range c.Text {
		f, g := Frequency(b), Frequency(c.Text[c.rare])
		if f < g {
			c.rare = i
		}
	}
}

// parseContent reads "text |41 42| text", with an exclamation mark before it
// for negation.
func parseContent(v string) (text []byte, negated bool, err error) {
	v = strings.TrimSpace(v)
	if strings.HasPrefix(v, "!") {
		negated = true
		v = strings.TrimSpace(v[1:])
	}
	if strings.HasPrefix(v, `"`) {
		if len(v) < 2 || v[len(v)-1] != '"' {
			return nil, false, fmt.Errorf("the text's quote is not closed")
		}
		v = v[1 : len(v)-1]
	}
	if strings.HasPrefix(v, "!") && !negated && len(v) > 1 && v[1] == '"' {
		return nil, false, fmt.Errorf("the exclamation mark belongs before the quote")
	}
	hex := false
	var nibbles []byte
	for i := 0; i < len(v); i++ {
		ch := v[i]
		switch {
		case ch == '|':
			if hex && len(nibbles)%2 != 0 {
				return nil, false, fmt.Errorf("an odd number of hexadecimal digits between | |")
			}
			for j := 0; j+1 < len(nibbles); j += 2 {
				n, _ := strconv.ParseUint(string(nibbles[j:j+2]), 16, 8)
				text = append(text, byte(n))
			}
			nibbles = nibbles[:0]
			hex = !hex
		case hex && (ch == ' ' || ch == '\t'):
		case hex:
			if !strings.ContainsRune("0123456789abcdefABCDEF", rune(ch)) {
				return nil, false, fmt.Errorf("%q between | | is no hexadecimal digit", ch)
			}
			nibbles = append(nibbles, ch)
		case ch == '\\' && i+1 < len(v) && strings.IndexByte(`";:\`, v[i+1]) >= 0:
			i++
			text = append(text, v[i])
		default:
			text = append(text, ch)
		}
	}
	if hex {
		return nil, false, fmt.Errorf("hexadecimal digits are not closed by |")
	}
	if len(text) == 0 {
		return nil, false, fmt.Errorf("an empty text")
	}
	if len(text) > maxContent {
		return nil, false, fmt.Errorf("a text of %d bytes, at most %d expected", len(text), maxContent)
	}
	return text, negated, nil
}

var contentKeyword = &Keyword{
	Name: "content",
	Help: `content:[!]"text|hex|"[,modifiers]: the buffer holds this text`,
	Parse: func(b *Builder, o rule.Option) error {
		parts := rule.Fields(o.Value)
		if !b.snort3() {
			parts = []string{o.Value}
		}
		text, neg, err := parseContent(parts[0])
		if err != nil {
			return err
		}
		c := &Content{Text: text, Negated: neg, suricata: !b.snort3()}
		b.last = c
		b.add(b.spec(false), c)
		for _, m := range parts[1:] {
			name, value, _ := strings.Cut(m, " ")
			mod := contentModifiers[name]
			if mod == nil {
				return fmt.Errorf("unknown modifier %q", clip(name))
			}
			if err := mod(b, c, strings.TrimSpace(value)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		c.settle()
		return c.widen(parts[1:])
	},
}

// widen writes every byte of the text in two or four (Snort 3's width and
// endian).
func (c *Content) widen(modifiers []string) error {
	width, little := 1, false
	for _, m := range modifiers {
		name, v, _ := strings.Cut(m, " ")
		switch v = strings.TrimSpace(v); {
		case name == "width" && (v == "8" || v == "16" || v == "32"):
			width = map[string]int{"8": 1, "16": 2, "32": 4}[v]
		case name == "width":
			return fmt.Errorf("width %q is not 8, 16 or 32", clip(v))
		case name == "endian":
			little = v == "little"
		}
	}
	if width == 1 {
		return nil
	}
	wide := make([]byte, len(c.Text)*width)
	for i, b := range c.Text {
		if little {
			wide[i*width] = b
		} else {
			wide[(i+1)*width-1] = b
		}
	}
	c.Text = wide
	c.settle()
	return nil
}

// contentModifiers change the content they follow; Snort 3 has them inside
// the option, the others as options of their own.
var contentModifiers = map[string]func(b *Builder, c *Content, value string) error{
	"nocase": func(_ *Builder, c *Content, _ string) error {
		c.Nocase = true
		return nil
	},
	"offset": func(b *Builder, c *Content, v string) (err error) {
		c.offset, err = b.number(v)
		return err
	},
	"depth": func(b *Builder, c *Content, v string) (err error) {
		c.depth, err = b.number(v)
		c.hasDepth = true
		if err == nil && c.depth.v == 0 && c.depth.n < int64(len(c.Text)) {
			if !b.snort3() {
				return fmt.Errorf("depth %d is less than the text's %d bytes", c.depth.n, len(c.Text))
			}
		}
		return err
	},
	"distance": func(b *Builder, c *Content, v string) (err error) {
		c.distance, err = b.number(v)
		c.hasDistance = true
		return err
	},
	"within": func(b *Builder, c *Content, v string) (err error) {
		c.within, err = b.number(v)
		c.hasWin = true
		if err == nil && c.within.v == 0 && c.within.n < int64(len(c.Text)) {
			return fmt.Errorf("within %d is less than the text's %d bytes", c.within.n, len(c.Text))
		}
		return err
	},
	"fast_pattern": func(_ *Builder, c *Content, v string) error {
		c.Fast = true
		if v == "" || v == "only" {
			return nil
		}
		from, n, ok := strings.Cut(v, ",")
		if !ok {
			return fmt.Errorf("expected only, or an offset and a length, found %q", clip(v))
		}
		for _, s := range [...]string{from, n} {
			if _, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16); err != nil {
				return fmt.Errorf("%q is no number", clip(s))
			}
		}
		return nil
	},
	"fast_pattern_offset": func(*Builder, *Content, string) error { return nil },
	"fast_pattern_length": func(*Builder, *Content, string) error { return nil },
	"width":               func(*Builder, *Content, string) error { return nil },
	"endian":              func(*Builder, *Content, string) error { return nil },
	"rawbytes":            func(*Builder, *Content, string) error { return nil },
	"startswith": func(_ *Builder, c *Content, _ string) error {
		c.starts = true
		return nil
	},
	"endswith": func(_ *Builder, c *Content, _ string) error {
		c.ends = true
		return nil
	},
}

func modifierKeyword(name, help string) *Keyword {
	mod := contentModifiers[name]
	return &Keyword{Name: name, Help: help, Parse: func(b *Builder, o rule.Option) error {
		if b.last == nil {
			return fmt.Errorf("no content stands before it")
		}
		if err := mod(b, b.last, strings.Trim(o.Value, `"`)); err != nil {
			return err
		}
		b.last.settle()
		return nil
	}}
}

var uricontentKeyword = &Keyword{
	Name: "uricontent",
	Help: `uricontent:"text": content in the normalised URI`,
	Parse: func(b *Builder, o rule.Option) error {
		text, neg, err := parseContent(o.Value)
		if err != nil {
			return err
		}
		c := &Content{Text: text, Negated: neg, suricata: true}
		c.settle()
		b.last, b.http = c, true
		b.add(newSpec(buffer.SURI, ""), c)
		return nil
	},
}
