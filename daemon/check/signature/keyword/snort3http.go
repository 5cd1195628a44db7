package keyword

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// numeric is a condition on a number written in decimal digits, at most 18 of
// them as in Snort 3.
type numeric struct {
	check   *span
	numeric *bool
}

func (n *numeric) Match(c *Cursor) bool {
	v, err := strconv.ParseUint(string(c.Buf[:min(len(c.Buf), 19)]), 10, 62)
	is := err == nil && len(c.Buf) <= 18
	if n.numeric != nil && *n.numeric != is {
		return false
	}
	return n.check == nil || is && n.check.has(int(v))
}

// section says whether a word only tells Snort 3 when to look.
func section(word string) bool {
	switch word {
	case "request", "with_header", "with_body", "with_trailer":
		return true
	}
	return false
}

// countKeyword compares a number that http_inspect counts, such as that of
// the headers.
func countKeyword(name, what string, id buffer.ID) *Keyword {
	return &Keyword{Name: name, Help: name + ":[<>=!]N[<>M][,request]: the number of " + what, Parse: func(b *Builder, o rule.Option) error {
		var s *span
		for _, f := range rule.Fields(o.Value) {
			if section(f) || f == "" {
				continue
			}
			x, err := parseSpan(f)
			if err != nil || s != nil {
				return fmt.Errorf("expected one range, found %q", clip(o.Value))
			}
			s = &x
		}
		if s == nil {
			return fmt.Errorf("expected a range")
		}
		b.aside(id, "", &numeric{check: s})
		return nil
	}}
}

// headerTestKeyword is http_header_test and http_trailer_test.
func headerTestKeyword(name string, id buffer.ID) *Keyword {
	return &Keyword{Name: name, Help: name + ":field NAME[,check RANGE][,numeric true|false][,absent]: what stands in a header", Parse: func(b *Builder, o rule.Option) error {
		field := ""
		n := &numeric{}
		absent := false
		for _, f := range rule.Fields(o.Value) {
			key, v, _ := strings.Cut(f, " ")
			v = strings.TrimSpace(v)
			switch {
			case section(key):
			case key == "field":
				field = strings.ToLower(strings.Trim(v, `"`))
			case key == "check":
				s, err := parseSpan(strings.Trim(v, `"`))
				if err != nil {
					return err
				}
				n.check = &s
			case key == "numeric":
				is := v == "true"
				if !is && v != "false" {
					return fmt.Errorf("expected numeric true or numeric false, found %q", clip(v))
				}
				n.numeric = &is
			case key == "absent":
				absent = true
			default:
				return fmt.Errorf("unknown parameter %q", clip(f))
			}
		}
		if field == "" || !absent && n.check == nil && n.numeric == nil {
			return fmt.Errorf("expected field, and check, numeric or absent")
		}
		if absent {
			b.http = true
			b.gone(newSpec(id, field), false)
		} else {
			b.aside(id, field, n)
		}
		return nil
	}}
}

// version is a condition on the protocol's version.
type version struct{ names []string }

func (v *version) Match(c *Cursor) bool {
	is := "other"
	switch p, ok := strings.CutPrefix(string(c.Buf), "HTTP/"); {
	case !ok:
		is = "malformed"
	case p == "0.9" || p == "1.0" || p == "1.1" || p == "2.0" || p == "3.0":
		is = p
	case p == "2" || p == "3":
		is = p + ".0"
	case len(p) != 3 || p[1] != '.' || p[0] < '0' || p[0] > '9' || p[2] < '0' || p[2] > '9':
		is = "malformed"
	}
	for _, n := range v.names {
		if n == is {
			return true
		}
	}
	return false
}

var versionMatchKeyword = &Keyword{
	Name: "http_version_match",
	Help: `http_version_match:"1.0 1.1 2.0 0.9 other malformed"[,request]: the protocol's version is one of these`,
	Parse: func(b *Builder, o rule.Option) error {
		v := &version{}
		for _, f := range rule.Fields(o.Value) {
			if section(f) {
				continue
			}
			for _, n := range strings.Fields(strings.Trim(f, `"`)) {
				switch n {
				case "malformed", "other", "0.9", "1.0", "1.1", "2.0", "3.0":
					v.names = append(v.names, n)
				default:
					return fmt.Errorf("unknown version %q", clip(n))
				}
			}
		}
		if len(v.names) == 0 {
			return fmt.Errorf("expected versions")
		}
		b.aside(buffer.NVersion, "", v)
		return nil
	},
}
