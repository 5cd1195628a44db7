package keyword

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// base64Decode decodes from the cursor on; data are the steps behind
// base64_data, which look at what came out.
type base64Decode struct {
	bytes    int // at most; 0: all
	offset   int
	relative bool
	data     []Step
}

func (d *base64Decode) Relative() bool { return d.relative }
func (d *base64Decode) Match(c *Cursor) bool {
	at := d.offset
	if d.relative {
		at += c.Pos
	}
	if at < 0 || at >= len(c.Buf) {
		return false
	}
	b := c.Buf[at:]
	if d.bytes > 0 && d.bytes < len(b) {
		b = b[:d.bytes]
	}
	out := decodeBase64(c.Env.b64[:0], b, false)
	c.Env.b64 = out
	if len(out) == 0 {
		return false
	}
	if len(d.data) == 0 {
		return true
	}
	inner := Cursor{Buf: out, Vars: c.Vars, Env: c.Env}
	return run(d.data, &inner) == held
}

// maxBase64 bounds the text that is decoded, in bytes.
const maxBase64 = 64 << 10

// decodeBase64 appends what b holds up to the first byte that is not of the
// alphabet, or, with skip, passing over such bytes. A last incomplete block
// gives the whole bytes it holds.
func decodeBase64(dst, b []byte, skip bool) []byte {
	if len(b) > maxBase64 {
		b = b[:maxBase64]
	}
	var v uint32
	n := 0
	for _, c := range b {
		x := base64Value(c)
		if x < 0 {
			if c == '=' || !skip {
				break
			}
			continue
		}
		v = v<<6 | uint32(x)
		if n++; n == 4 {
			dst = append(dst, byte(v>>16), byte(v>>8), byte(v))
			v, n = 0, 0
		}
	}
	switch n {
	case 2:
		dst = append(dst, byte(v>>4))
	case 3:
		dst = append(dst, byte(v>>10), byte(v>>2))
	}
	return dst
}

func base64Value(c byte) int {
	switch {
	case c >= 'A' && c <= 'Z':
		return int(c - 'A')
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 26
	case c >= '0' && c <= '9':
		return int(c-'0') + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	}
	return -1
}

var base64DecodeKeyword = &Keyword{
	Name: "base64_decode",
	Help: "base64_decode[:bytes N][,offset N][,relative]: decodes for base64_data",
	Parse: func(b *Builder, o rule.Option) error {
		d := &base64Decode{}
		for _, p := range strings.Split(o.Value, ",") {
			key, value, _ := strings.Cut(strings.TrimSpace(p), " ")
			value = strings.TrimSpace(value)
			switch key {
			case "":
			case "relative":
				d.relative = true
			case "bytes", "offset":
				n, err := strconv.Atoi(value)
				if err != nil || n < 0 || n > 65535 {
					return fmt.Errorf("%s %q is not in 0 to 65535", key, clip(value))
				}
				if key == "bytes" {
					d.bytes = n
				} else {
					d.offset = n
				}
			default:
				return fmt.Errorf("unknown parameter %q", clip(key))
			}
		}
		b.inB64 = false
		b.add(b.spec(d.relative), d)
		b.decode = d
		return nil
	},
}

var base64DataKeyword = &Keyword{
	Name: "base64_data",
	Help: "base64_data: what follows looks at what base64_decode decoded",
	Parse: func(b *Builder, o rule.Option) error {
		if b.decode == nil {
			return fmt.Errorf("no base64_decode stands before it")
		}
		b.inB64 = true
		return nil
	},
}
