package keyword

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

type byteMath struct {
	field
	oper     string
	rvalue   num
	variable int
}

func (m *byteMath) Match(c *Cursor) bool {
	v, end, ok := m.read(c)
	if !ok {
		return false
	}
	r := m.rvalue.bits(c)
	switch m.oper {
	case "+":
		v += r
	case "-":
		v -= r
	case "*":
		v *= r
	case "/":
		if r == 0 {
			return false
		}
		v /= r
	case "<<":
		v <<= min(r, 64)
	case ">>":
		v >>= min(r, 64)
	}
	c.Vars[m.variable] = int64(v)
	c.Pos = min(end, len(c.Buf))
	return true
}

var byteMathKeyword = &Keyword{
	Name: "byte_math",
	Help: "byte_math:bytes N,offset N,oper + - * / << >>,rvalue V,result name[,relative][,endian E][,string base][,bitmask M]: calculates with a number in the buffer",
	Parse: func(b *Builder, o rule.Option) error {
		m := &byteMath{}
		result := ""
		var other []string
		var err error
		for _, p := range strings.Split(o.Value, ",") {
			p = strings.TrimSpace(p)
			key, value, _ := strings.Cut(p, " ")
			value = strings.TrimSpace(value)
			switch key {
			case "bytes":
				m.bytes, err = b.number(value)
			case "offset":
				m.offset, err = b.number(value)
			case "oper":
				m.oper = value
			case "rvalue":
				m.rvalue, err = b.number(value)
			case "result":
				result = value
			default:
				other = append(other, p)
			}
			if err != nil {
				return err
			}
		}
		rest, err := b.parseField(&m.field, other)
		if err != nil {
			return err
		}
		if len(rest) > 0 {
			return fmt.Errorf("unknown parameter %q", clip(rest[0]))
		}
		switch m.oper {
		case "+", "-", "*", "/", "<<", ">>":
		default:
			return fmt.Errorf("unknown operator %q", clip(m.oper))
		}
		if result == "" {
			return fmt.Errorf("expected result and a name")
		}
		m.variable = b.variable(result)
		b.add(b.spec(m.relative), m)
		return nil
	},
}
