package keyword

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/pcre"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// PCRE is a regular expression to find.
type PCRE struct {
	re       *pcre.Regexp
	must     [][]*Content // of each list one stands in every match
	relative bool
	negated  bool
	again    bool
}

func (p *PCRE) Relative() bool   { return p.relative }
func (p *PCRE) setAgain(on bool) { p.again = on }
func (p *PCRE) Again() bool      { return p.again && !p.negated }
func (p *PCRE) moves() bool      { return !p.negated }

func (p *PCRE) Match(c *Cursor) bool {
	c.Env.gaveUp = false
	_, ok := p.Search(c, c.Pos, -1)
	return ok != p.negated && !c.Env.gaveUp
}

// Search finds the next match. A relative expression sees the buffer from the
// cursor on: its ^ is the cursor's place.
func (p *PCRE) Search(c *Cursor, base, from int) (next int, ok bool) {
	lo := 0
	if p.relative {
		lo = base
	}
	if lo > len(c.Buf) {
		return 0, false
	}
	sub := c.Buf[lo:]
	start := 0
	if from >= 0 {
		start = from - lo
	} else if !p.possible(sub, c.Env) {
		return 0, false
	}
	// An expression anchored by its flag is anchored where the search goes on.
	if start > len(sub) {
		return 0, false
	}
	at, end, ok := c.Env.find(p.re, sub, start)
	if !ok {
		return 0, false
	}
	if !p.negated {
		c.Pos = lo + end
		c.MarkAt, c.MarkEnd = lo+at, lo+end
	}
	return lo + max(at+1, 0), true
}

// Bounds of what is looked for before an expression is searched for.
const (
	maxMust      = 2
	maxMustTexts = 24
)

// prepare chooses the texts to look for first: searching for them costs a
// fraction of what the expression does.
func (p *PCRE) prepare() {
	sets := slices.DeleteFunc(slices.Clone(p.re.Needed()), func(s []string) bool {
		return len(s) > maxMustTexts || slices.ContainsFunc(s, func(t string) bool { return len(t) < 2 })
	})
	slices.SortStableFunc(sets, func(a, b []string) int { return len(a) - len(b) })
	for _, s := range sets[:min(len(sets), maxMust)] {
		var list []*Content
		for _, t := range s {
			c := &Content{Text: []byte(t), Nocase: true}
			c.settle()
			list = append(list, c)
		}
		p.must = append(p.must, list)
	}
}

// possible says whether b holds what every match does.
func (p *PCRE) possible(b []byte, e *Env) bool {
	for _, list := range p.must {
		if !slices.ContainsFunc(list, func(c *Content) bool {
			e.Steps -= 1 + len(b)>>6
			return len(b) >= len(c.Text) && c.index(b, e) >= 0
		}) {
			return false
		}
	}
	return true
}

// pcreBuffers are the buffers that flag letters choose, in Snort 2 and
// Suricata.
var pcreBuffers = map[byte]buffer.ID{
	'U': buffer.SURI, 'I': buffer.SURIRaw, 'P': buffer.SBody, 'H': buffer.SHeader, 'D': buffer.SHeaderRaw,
	'M': buffer.SMethod, 'C': buffer.SCookie, 'K': buffer.SCookie, 'V': buffer.SUserAgent, 'W': buffer.SHost, 'Z': buffer.SHostRaw,
}

// splitPCRE takes "/pattern/flags" apart.
func splitPCRE(v string) (pattern, flags string, negated bool, err error) {
	v = strings.TrimSpace(v)
	if strings.HasPrefix(v, "!") {
		negated = true
		v = strings.TrimSpace(v[1:])
	}
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		v = v[1 : len(v)-1]
	}
	// Inside the quotes a semicolon and a quote may be escaped for the rule's
	// sake; for the expression such an escape means the character itself.
	delim := byte('/')
	start := 1
	if strings.HasPrefix(v, "m") && len(v) > 1 {
		delim, start = v[1], 2
	} else if !strings.HasPrefix(v, "/") {
		return "", "", false, fmt.Errorf("expected /expression/flags, found %q", clip(v))
	}
	end := strings.LastIndexByte(v, delim)
	if end < start {
		return "", "", false, fmt.Errorf("the expression has no closing %c", delim)
	}
	return v[start:end], v[end+1:], negated, nil
}

var pcreKeyword = &Keyword{
	Name: "pcre",
	Help: `pcre:[!]"/expression/flags": the buffer matches; flags i s m x A E G, R (from the cursor), O, B, and in Snort 2 and Suricata U I P H D M C K V W Z for the buffer`,
	Parse: func(b *Builder, o rule.Option) error {
		pattern, flags, neg, err := splitPCRE(o.Value)
		if err != nil {
			return err
		}
		// Suricata may keep captures: "/.../, flow:name".
		flags, captures, keeps := strings.Cut(flags, ",")
		if keeps && !strings.Contains(captures, ":") {
			return fmt.Errorf("unknown capture %q", clip(captures))
		}
		p := &PCRE{negated: neg}
		options := ""
		id := buffer.None
		for _, f := range []byte(strings.TrimSpace(flags)) {
			switch f {
			case 'i', 's', 'm', 'x', 'A', 'E', 'G':
				options += string(f)
			case 'R':
				p.relative = true
			case 'O', 'B':
			case 'S', 'Y':
				b.skip("about a response: pcre flag " + string(f))
			case 'Q':
				b.skip("about a response: pcre flag Q")
			default:
				named, ok := pcreBuffers[f]
				if !ok || b.snort3() {
					return fmt.Errorf("unknown flag %q", f)
				}
				id = named
			}
		}
		if p.re, err = pcre.Compile(pattern, options); err != nil {
			return fmt.Errorf("expression: %w", err)
		}
		spec := b.spec(p.relative)
		if id != buffer.None {
			spec = newSpec(id, "")
			b.http = true
		}
		p.prepare()
		b.add(spec, p)
		return nil
	},
}

// regexKeyword is Snort 3's expression for hyperscan, read as a pcre.
var regexKeyword = &Keyword{
	Name: "regex",
	Help: `regex:"/expression/flags"[,fast_pattern][,nocase]: the buffer matches; flags i s m O R (Snort 3)`,
	Parse: func(b *Builder, o rule.Option) error {
		p := rule.Fields(o.Value)
		pattern, flags, neg, err := splitPCRE(p[0])
		if err != nil {
			return err
		}
		r := &PCRE{negated: neg}
		options := ""
		for _, f := range []byte(flags) {
			switch f {
			case 'i', 's', 'm':
				options += string(f)
			case 'R':
				r.relative = true
			case 'O':
			default:
				return fmt.Errorf("unknown flag %q", f)
			}
		}
		for _, x := range p[1:] {
			switch x {
			case "nocase":
				options += "i"
			case "fast_pattern":
			default:
				return fmt.Errorf("unknown parameter %q", clip(x))
			}
		}
		if r.re, err = pcre.Compile(pattern, options); err != nil {
			return fmt.Errorf("expression: %w", err)
		}
		r.prepare()
		b.add(b.spec(r.relative), r)
		return nil
	},
}
