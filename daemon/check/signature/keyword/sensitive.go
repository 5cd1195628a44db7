package keyword

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/pcre"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// sensitive counts texts such as card numbers (Snort 3's sd_pattern).
type sensitive struct {
	re        *pcre.Regexp
	valid     func(b []byte) bool // nil: every match counts
	threshold int
}

// sensitiveNames are the patterns that have names, with what else a match must be.
var sensitiveNames = map[string]struct {
	pattern string
	valid   func(b []byte) bool
}{
	"credit_card":          {`(?<!\d)[3-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?!\d)|(?<!\d)3[47]\d{2}[ -]?\d{6}[ -]?\d{5}(?!\d)`, luhn},
	"us_social":            {`(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)`, nil},
	"us_social_nodashes":   {`(?<!\d)\d{9}(?!\d)`, nil},
	"email":                {`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}`, nil},
	"us_phone":             {`(?<!\d)(?:\+?1[ .-]?)?\(?\d{3}\)?[ .-]?\d{3}[ .-]?\d{4}(?!\d)`, nil},
	"credit_card_nodashes": {`(?<!\d)[3-6]\d{12,18}(?!\d)`, luhn},
}

// luhn says whether the digits of b pass the check of ISO/IEC 7812-1.
func luhn(b []byte) bool {
	sum, n := 0, 0
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < '0' || b[i] > '9' {
			continue
		}
		d := int(b[i] - '0')
		if n%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		n++
	}
	return n >= 13 && sum%10 == 0
}

func (s *sensitive) Match(c *Cursor) bool {
	found := 0
	for at := 0; at <= len(c.Buf); {
		from, end, ok := c.Env.find(s.re, c.Buf, at)
		if !ok {
			return false
		}
		if s.valid == nil || s.valid(c.Buf[from:end]) {
			if found++; found >= s.threshold {
				return true
			}
		}
		at = max(end, from+1)
	}
	return false
}

var sdPatternKeyword = &Keyword{
	Name: "sd_pattern",
	Help: `sd_pattern:"credit_card|us_social|us_social_nodashes|email|us_phone|expression"[,threshold N]: texts of that kind stand in the buffer`,
	Parse: func(b *Builder, o rule.Option) error {
		if !b.snort3() {
			return Skip{"option sd_pattern: for the sensitive data preprocessor"}
		}
		p := rule.Fields(o.Value)
		s := &sensitive{threshold: 1}
		name := strings.Trim(p[0], `"`)
		pattern := name
		if known, ok := sensitiveNames[name]; ok {
			pattern, s.valid = known.pattern, known.valid
		}
		for _, x := range p[1:] {
			key, v, _ := strings.Cut(x, " ")
			n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 16)
			if key != "threshold" || err != nil || n == 0 {
				return fmt.Errorf("expected threshold and a number, found %q", clip(x))
			}
			s.threshold = int(n)
		}
		var err error
		if s.re, err = pcre.Compile(pattern, ""); err != nil {
			return fmt.Errorf("expression: %w", err)
		}
		b.add(b.spec(false), s)
		return nil
	},
}
