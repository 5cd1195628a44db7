package keyword

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

type byteTest struct {
	field
	op      byte // < > = & ^, l for <=, g for >=
	negated bool
	value   num
}

func (t *byteTest) Match(c *Cursor) bool {
	v, _, ok := t.read(c)
	if !ok {
		return false
	}
	w := t.value.bits(c)
	switch t.op {
	case '<':
		ok = v < w
	case '>':
		ok = v > w
	case 'l':
		ok = v <= w
	case 'g':
		ok = v >= w
	case '=':
		ok = v == w
	case '&':
		ok = v&w != 0
	case '^':
		ok = v^w != 0
	}
	return ok != t.negated
}

var byteTestKeyword = &Keyword{
	Name: "byte_test",
	Help: "byte_test:N,[!]op,value,offset[,relative][,endian][,string,base][,bitmask]: compares a number in the buffer",
	Parse: func(b *Builder, o rule.Option) error {
		t := &byteTest{}
		p, err := b.beginField(&t.field, o.Value, 4, unknownParameter)
		if err != nil {
			return err
		}
		op := strings.TrimSpace(p[1])
		if rest, ok := strings.CutPrefix(op, "!"); ok {
			t.negated, op = true, strings.TrimSpace(rest)
			if op == "" {
				op = "="
			}
		}
		switch op {
		case "<", ">", "=", "&", "^":
			t.op = op[0]
		case "<=":
			t.op = 'l'
		case ">=":
			t.op = 'g'
		default:
			return fmt.Errorf("unknown operator %q", clip(op))
		}
		if t.value, err = b.number(p[2]); err != nil {
			return err
		}
		if t.offset, err = b.number(p[3]); err != nil {
			return err
		}
		b.add(b.spec(t.relative), t)
		return nil
	},
}
