package keyword

import (
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

type byteExtract struct {
	field
	multiplied
	variable int
}

func (x *byteExtract) Match(c *Cursor) bool {
	v, end, ok := x.read(c)
	if !ok {
		return false
	}
	c.Vars[x.variable] = x.of(int64(v))
	c.Pos = min(end, len(c.Buf))
	return true
}

var byteExtractKeyword = &Keyword{
	Name: "byte_extract",
	Help: "byte_extract:N,offset,name[,relative][,multiplier M][,endian][,string,base][,align][,bitmask]: keeps a number for later options",
	Parse: func(b *Builder, o rule.Option) error {
		x := &byteExtract{multiplied: multiplied{by: 1}}
		p, err := b.beginField(&x.field, o.Value, 3, func(key, value string) error {
			if ok, err := x.parameter(key, value); ok {
				return err
			}
			return unknownParameter(key, value)
		})
		if err != nil {
			return err
		}
		if x.offset, err = b.number(p[1]); err != nil {
			return err
		}
		x.variable = b.variable(strings.TrimSpace(p[2]))
		b.add(b.spec(x.relative), x)
		return nil
	},
}
