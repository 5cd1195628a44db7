package keyword

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// suricataVersion is the version whose language is read.
var suricataVersion = [3]int{8, 0, 0}

// parseVersion reads 8, 8.0 or 8.0.3.
func parseVersion(v string) (out [3]int, err error) {
	parts := strings.Split(strings.TrimSpace(v), ".")
	for i, p := range parts {
		p, _, _ = strings.Cut(p, "-")
		if i > 2 {
			break
		}
		if out[i], err = strconv.Atoi(p); err != nil {
			return out, fmt.Errorf("%q is no version", clip(v))
		}
	}
	return out, nil
}

// versionHolds says whether every comparison of ">= 7.0.3 < 8" holds.
func versionHolds(text string) (bool, error) {
	f := strings.Fields(text)
	for i := 0; i < len(f); i++ {
		op := strings.TrimRight(f[i], "0123456789.-abcdefghijklmnopqrstuvwxyz")
		v := f[i][len(op):]
		if v == "" {
			if i++; i >= len(f) {
				return false, fmt.Errorf("expected a version behind %q", clip(op))
			}
			v = f[i]
		}
		want, err := parseVersion(v)
		if err != nil {
			return false, err
		}
		c := 0
		for k := range want {
			if c == 0 {
				c = suricataVersion[k] - want[k]
			}
		}
		ok := false
		switch op {
		case "<":
			ok = c < 0
		case "<=":
			ok = c <= 0
		case ">":
			ok = c > 0
		case ">=":
			ok = c >= 0
		default:
			return false, fmt.Errorf("unknown operator %q", clip(op))
		}
		if !ok {
			return false, nil
		}
	}
	return true, nil
}

// requiresKeyword leaves out a rule for other engines, as Suricata 7.0.4 and
// later do.
var requiresKeyword = &Keyword{
	Name: "requires",
	Help: "requires:version OP V[|OP V],feature NAME,keyword NAME: a rule that needs what is not here is skipped",
	Parse: func(b *Builder, o rule.Option) error {
		for _, p := range strings.Split(o.Value, ",") {
			key, v, _ := strings.Cut(strings.TrimSpace(p), " ")
			v = strings.TrimSpace(v)
			switch key {
			case "version":
				some := false
				for _, alternative := range strings.Split(v, "|") {
					ok, err := versionHolds(alternative)
					if err != nil {
						return err
					}
					some = some || ok
				}
				if !some {
					b.skip("requires version " + clip(v) + " of Suricata, read as 8.0.0")
				}
			case "feature":
				b.skip("requires the feature " + clip(v) + " of Suricata")
			case "keyword":
				if !b.known(v) {
					b.skip("requires the keyword " + clip(v))
				}
			default:
				b.skip("requires " + clip(p))
			}
		}
		return nil
	},
}
