package keyword

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// digest compares the checksum of a stretch of the buffer: a content that the
// rule's author does not disclose.
type digest struct {
	kind     string // md5, sha256, sha512
	want     []byte
	length   int
	offset   num
	relative bool
	negated  bool
}

func (d *digest) Relative() bool { return d.relative }
func (d *digest) moves() bool    { return !d.negated }
func (d *digest) Match(c *Cursor) bool {
	at := d.offset.value(c)
	if d.relative {
		at += c.Pos
	}
	if at < 0 || at+d.length > len(c.Buf) {
		return false
	}
	b := c.Buf[at : at+d.length]
	c.Env.Steps -= d.length >> 3
	var sum []byte
	switch d.kind {
	case "md5":
		s := md5.Sum(b)
		sum = s[:]
	case "sha256":
		s := sha256.Sum256(b)
		sum = s[:]
	default:
		s := sha512.Sum512(b)
		sum = s[:]
	}
	if bytes.Equal(sum, d.want) == d.negated {
		return false
	}
	if !d.negated {
		c.Pos = at + d.length
		c.MarkAt, c.MarkEnd = at, c.Pos
	}
	return true
}

// settle checks the digest against its kind.
func (d *digest) settle() error {
	size := map[string]int{"md5": md5.Size, "sha256": sha256.Size, "sha512": sha512.Size}[d.kind]
	if size == 0 {
		return fmt.Errorf("unknown checksum %q, expected md5, sha256 or sha512", clip(d.kind))
	}
	if len(d.want) != size {
		return fmt.Errorf("%d hexadecimal digits, %d expected of %s", 2*len(d.want), 2*size, d.kind)
	}
	return nil
}

func (d *digest) setLength(v string) error {
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("length %q is not in 1 to 65535", clip(v))
	}
	d.length = int(n)
	return nil
}

// digestText reads a negation and a quoted checksum.
func (d *digest) digestText(v string) (err error) {
	v = strings.TrimSpace(v)
	if rest, ok := strings.CutPrefix(v, "!"); ok {
		d.negated, v = true, strings.TrimSpace(rest)
	}
	if d.want, err = hex.DecodeString(strings.Trim(v, `"`)); err != nil {
		return fmt.Errorf("%q is no checksum in hexadecimal digits", clip(v))
	}
	return nil
}

// hashKeyword is Snort 3's md5, sha256 and sha512.
func hashKeyword(kind string) *Keyword {
	return &Keyword{Name: kind, Help: kind + `:[!]"hex",length N[,offset N][,relative]: the checksum of N bytes of the buffer`, Parse: func(b *Builder, o rule.Option) error {
		p := rule.Fields(o.Value)
		d := &digest{kind: kind}
		if err := d.digestText(p[0]); err != nil {
			return err
		}
		for _, s := range p[1:] {
			key, v, _ := strings.Cut(s, " ")
			var err error
			switch key {
			case "length":
				err = d.setLength(v)
			case "offset":
				d.offset, err = b.number(v)
			case "relative":
				d.relative = true
			default:
				err = fmt.Errorf("unknown parameter %q", clip(key))
			}
			if err != nil {
				return err
			}
		}
		if d.length == 0 {
			return fmt.Errorf("expected length and a number of bytes")
		}
		if err := d.settle(); err != nil {
			return err
		}
		b.add(b.spec(d.relative), d)
		return nil
	}}
}

// protectedContent is Snort 2's: its parts are options of their own.
var protectedContentKeyword = &Keyword{
	Name: "protected_content",
	Help: `protected_content:[!]"hex"; hash:md5|sha256|sha512; length:N: the checksum of N bytes at offset or distance`,
	Parse: func(b *Builder, o rule.Option) error {
		d := &digest{kind: "md5"}
		if err := d.digestText(o.Value); err != nil {
			return err
		}
		// What belongs to it follows, up to the next content.
		behind := false
		for _, x := range b.Rule.Options {
			if x.Off == o.Off {
				behind = true
				continue
			}
			if !behind {
				continue
			}
			if strings.HasSuffix(x.Name, "content") || x.Name == "pcre" {
				break
			}
			var err error
			switch x.Name {
			case "hash":
				d.kind = strings.TrimSpace(x.Value)
			case "length":
				err = d.setLength(x.Value)
			case "offset":
				d.offset, err = b.number(x.Value)
			case "distance":
				d.relative = true
				d.offset, err = b.number(x.Value)
			}
			if err != nil {
				return err
			}
		}
		if d.length == 0 {
			return fmt.Errorf("expected length and a number of bytes behind it")
		}
		if err := d.settle(); err != nil {
			return err
		}
		// offset and distance behind it are its own: they find a content to change.
		b.last = &Content{}
		b.add(b.spec(d.relative), d)
		return nil
	},
}

// partOf is an option that the one before it has read.
func partOf(name, whole string) *Keyword {
	return &Keyword{Name: name, Help: name + ": a part of " + whole + " before it", Parse: func(b *Builder, o rule.Option) error {
		if _, ok := b.Rule.Option(whole); !ok {
			return fmt.Errorf("no %s stands before it", whole)
		}
		return nil
	}}
}
