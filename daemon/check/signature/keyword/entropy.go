package keyword

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// entropy is a condition on the Shannon entropy of a buffer, in bits a byte.
type entropy struct {
	bytes, offset int
	op            string
	lo, hi        float64
}

func (n *entropy) Match(c *Cursor) bool {
	b := c.Buf[min(n.offset, len(c.Buf)):]
	if n.bytes > 0 && n.bytes < len(b) {
		b = b[:n.bytes]
	}
	if len(b) == 0 {
		return false
	}
	c.Env.Steps -= len(b) >> 4
	h := shannon(b)
	switch n.op {
	case "<":
		return h < n.lo
	case "<=":
		return h <= n.lo
	case ">":
		return h > n.lo
	case ">=":
		return h >= n.lo
	case "!=", "!":
		return math.Abs(h-n.lo) >= 1e-9
	case "-":
		return n.lo < h && h < n.hi
	case "!-":
		return !(n.lo < h && h < n.hi)
	}
	return math.Abs(h-n.lo) < 1e-9
}

// shannon is the entropy of the bytes of b (Shannon 1948).
func shannon(b []byte) float64 {
	var counts [256]int
	for _, c := range b {
		counts[c]++
	}
	h := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(len(b))
			h -= p * math.Log2(p)
		}
	}
	return h
}

// bound reads "<= 4.5", "3-5", "!3-5" or a number.
func (n *entropy) bound(v string) error {
	for _, op := range [...]string{"<=", ">=", "!=", "<", ">", "=", "!"} {
		if rest, ok := strings.CutPrefix(v, op); ok {
			n.op, v = op, strings.TrimSpace(rest)
			break
		}
	}
	lo, hi, ranged := strings.Cut(v, "-")
	if ranged && (n.op == "" || n.op == "!") {
		n.op += "-"
	} else if ranged {
		return fmt.Errorf("%q is no entropy", clip(v))
	}
	var err error
	if n.lo, err = strconv.ParseFloat(strings.TrimSpace(lo), 64); err == nil && ranged {
		n.hi, err = strconv.ParseFloat(strings.TrimSpace(hi), 64)
	}
	if err != nil || n.lo < 0 || n.lo > 8 || n.hi < 0 || n.hi > 8 {
		return fmt.Errorf("%q is no entropy from 0 to 8", clip(v))
	}
	return nil
}

var entropyKeyword = &Keyword{
	Name: "entropy",
	Help: "entropy:[bytes N,][offset N,]value [<|>|=|!=]X: the Shannon entropy of the buffer, from 0 to 8",
	Parse: func(b *Builder, o rule.Option) error {
		n := &entropy{}
		seen := false
		for _, p := range strings.Split(o.Value, ",") {
			p = strings.TrimSpace(p)
			key, v, _ := strings.Cut(p, " ")
			v = strings.TrimSpace(v)
			switch {
			case key == "bytes" || key == "offset":
				x, err := strconv.ParseUint(v, 10, 31)
				if err != nil {
					return fmt.Errorf("%s %q is no number", key, clip(v))
				}
				if key == "bytes" {
					n.bytes = int(x)
				} else {
					n.offset = int(x)
				}
			case key == "value" && v != "":
				p = v
				fallthrough
			case !seen:
				seen = true
				if err := n.bound(strings.TrimPrefix(p, "value")); err != nil {
					return err
				}
			default:
				return fmt.Errorf("unknown parameter %q", clip(p))
			}
		}
		if !seen {
			return fmt.Errorf("expected value and an entropy")
		}
		b.add(b.spec(false), n)
		return nil
	},
}
