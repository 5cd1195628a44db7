package keyword

import (
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

type byteJump struct {
	field
	multiplied
	fromBegin, fromEnd bool
	post               num
}

func (j *byteJump) moves() bool { return true }
func (j *byteJump) Match(c *Cursor) bool {
	v, end, ok := j.read(c)
	if !ok || v > 1<<31 && v < 1<<63 {
		return false
	}
	jump := int(j.of(int64(v)))
	switch {
	case j.fromBegin:
		end = 0
	case j.fromEnd:
		end = len(c.Buf)
	}
	pos := end + jump + j.post.value(c)
	if pos < 0 && j.whole {
		pos = 0 // Suricata's jump back ends at the begin
	}
	if pos < 0 || pos > len(c.Buf) {
		return false
	}
	c.Pos = pos
	return true
}

var byteJumpKeyword = &Keyword{
	Name: "byte_jump",
	Help: "byte_jump:N,offset[,relative][,multiplier M][,endian][,string,base][,align][,from_beginning|from_end][,post_offset P][,bitmask]: moves the cursor by a number in the buffer",
	Parse: func(b *Builder, o rule.Option) error {
		j := &byteJump{multiplied: multiplied{by: 1}}
		p, err := b.beginField(&j.field, o.Value, 2, func(key, value string) (err error) {
			if ok, err := j.parameter(key, value); ok {
				return err
			}
			switch key {
			case "from_beginning":
				j.fromBegin = true
			case "from_end":
				j.fromEnd = true
			case "post_offset":
				j.post, err = b.number(value)
			default:
				return unknownParameter(key, value)
			}
			return err
		})
		if err != nil {
			return err
		}
		if j.offset, err = b.number(p[1]); err != nil {
			return err
		}
		b.add(b.spec(j.relative), j)
		return nil
	},
}
