package keyword

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// sticky is a keyword that chooses the buffer for what follows it.
func sticky(name string, id buffer.ID) *Keyword {
	return &Keyword{Name: name, Help: name + ": what follows looks at " + id.String(), Parse: func(b *Builder, o rule.Option) error {
		b.choose(id, "")
		return nil
	}}
}

// modifier is a Snort 2 keyword that puts the content before it into a
// buffer; in Snort 3 the same name chooses the buffer for what follows.
func modifier(name string, old, snort3 buffer.ID) *Keyword {
	return &Keyword{Name: name, Help: name + ": the content before it (Snort 2, Suricata) or what follows (Snort 3) looks at " + old.String(), Parse: func(b *Builder, o rule.Option) error {
		if b.snort3() {
			return b.chooseSnort3(snort3, o)
		}
		if old == buffer.None {
			return unsupported{"exists in Snort 3 alone"}
		}
		if b.last == nil || b.lastAt < 0 {
			return fmt.Errorf("no content stands before it")
		}
		b.http = true
		for i := len(b.items) - 1; i >= 0; i-- {
			if b.items[i].step == Step(b.last) {
				b.items[i].spec = newSpec(old, "")
				return nil
			}
		}
		return fmt.Errorf("no content stands before it")
	}}
}

// chooseSnort3 reads the options a buffer of Snort 3 may have: a header's
// field, a part of the URI, a parameter's name.
func (b *Builder) chooseSnort3(id buffer.ID, o rule.Option) error {
	arg := ""
	for _, f := range rule.Fields(o.Value) {
		key, value, _ := strings.Cut(f, " ")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch {
		case key == "" || key == "request" || key == "with_header" || key == "with_body" || key == "with_trailer":
		case key == "field" && (id == buffer.NHeader || id == buffer.NHeaderRaw || id == buffer.NTrailer || id == buffer.NTrailerRaw):
			arg = strings.ToLower(value)
		case (id == buffer.NURI || id == buffer.NURIRaw) && strings.Contains(" scheme host port path query fragment ", " "+key+" "):
			arg = key
		case id == buffer.NParam && strings.HasPrefix(key, `"`):
			arg += strings.Trim(f, `"`)
		case id == buffer.NParam && key == "nocase":
			arg = "~" + arg
		default:
			return fmt.Errorf("unknown parameter %q", clip(f))
		}
	}
	if id == buffer.NParam && arg == "" {
		return fmt.Errorf("expected the name of a parameter in quotes")
	}
	b.choose(id, arg)
	return nil
}

func snort3Buffer(name string, id buffer.ID) *Keyword {
	return &Keyword{Name: name, Help: name + " (Snort 3): what follows looks at " + id.String(), Parse: func(b *Builder, o rule.Option) error {
		return b.chooseSnort3(id, o)
	}}
}

// response is a keyword about the server's answer.
func response(name string) *Keyword {
	return &Keyword{Name: name, Help: name + ": about a response; the rule is skipped", Parse: func(*Builder, rule.Option) error {
		return Skip{"about a response: " + name}
	}}
}

var fileData = &Keyword{
	Name: "file_data",
	Help: "file_data: what follows looks at the files that the request uploads",
	Parse: func(b *Builder, o rule.Option) error {
		if b.snort3() {
			b.choose(buffer.NFileData, "")
			return nil
		}
		b.choose(buffer.SFileData, "")
		return nil
	},
}

var pktData = &Keyword{
	Name: "pkt_data",
	Help: "pkt_data: what follows looks at the request as it came",
	Parse: func(b *Builder, o rule.Option) error {
		if b.snort3() {
			b.choose(buffer.NPayload, "")
			return nil
		}
		b.sticky, b.inB64 = nil, false
		b.seq++
		return nil
	},
}

var absentKeyword = &Keyword{
	Name: "absent",
	Help: "absent[:or_else]: the chosen buffer is not there (or what follows holds)",
	Parse: func(b *Builder, o rule.Option) error {
		if b.sticky == nil {
			return fmt.Errorf("no buffer is chosen before it")
		}
		switch strings.TrimSpace(o.Value) {
		case "":
			b.gone(b.sticky, false)
		case "or_else":
			b.gone(b.sticky, true)
		default:
			return fmt.Errorf("expected or_else, found %q", clip(o.Value))
		}
		return nil
	},
}
