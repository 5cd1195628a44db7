package keyword

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/pcre"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// Transform changes a buffer before a rule looks at it. It appends its result
// to dst; ok is false when there is none.
type Transform interface {
	Key() string
	Apply(dst, b []byte, two bool) (out []byte, ok bool)
}

type simple struct {
	name string
	f    func(dst, b []byte) ([]byte, bool)
}

func (s simple) Key() string { return s.name }
func (s simple) Apply(dst, b []byte, _ bool) ([]byte, bool) {
	if len(b) == 0 {
		return dst, true // Suricata leaves an empty buffer as it is
	}
	return s.f(dst, b)
}

func transform(name, help string, f func(dst, b []byte) ([]byte, bool)) *Keyword {
	return &Keyword{Name: name, Help: name + ": the chosen buffer " + help, Parse: func(b *Builder, o rule.Option) error {
		return b.transform(simple{name, f})
	}}
}

// maxTransforms bounds the transforms of one buffer.
const maxTransforms = 16

func (b *Builder) transform(t Transform) error {
	if b.sticky == nil {
		return fmt.Errorf("no buffer is chosen before it")
	}
	if len(b.sticky.Transforms) >= maxTransforms {
		return fmt.Errorf("more than %d transforms of one buffer", maxTransforms)
	}
	s := &Spec{ID: b.sticky.ID, Arg: b.sticky.Arg}
	s.Transforms = append(append(s.Transforms, b.sticky.Transforms...), t)
	s.Key = specKey(s.ID, s.Arg, s.Transforms)
	b.sticky = s
	return nil
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

var transforms = []*Keyword{
	transform("to_lowercase", "in lower case", func(dst, b []byte) ([]byte, bool) {
		for _, c := range b {
			if c >= 'A' && c <= 'Z' {
				c += 32
			}
			dst = append(dst, c)
		}
		return dst, true
	}),
	transform("to_uppercase", "in upper case", func(dst, b []byte) ([]byte, bool) {
		for _, c := range b {
			if c >= 'a' && c <= 'z' {
				c -= 32
			}
			dst = append(dst, c)
		}
		return dst, true
	}),
	transform("strip_whitespace", "without white space", func(dst, b []byte) ([]byte, bool) {
		for _, c := range b {
			if !isSpace(c) {
				dst = append(dst, c)
			}
		}
		return dst, true
	}),
	transform("compress_whitespace", "with runs of white space as one", func(dst, b []byte) ([]byte, bool) {
		for i, c := range b {
			if !isSpace(c) || i == 0 || !isSpace(b[i-1]) {
				dst = append(dst, c)
			}
		}
		return dst, true
	}),
	transform("url_decode", "with %XX and + decoded", func(dst, b []byte) ([]byte, bool) {
		for i := 0; i < len(b); i++ {
			c := b[i]
			if c == '+' {
				c = ' '
			} else if c == '%' && i+2 < len(b) {
				if v, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8); err == nil {
					c = byte(v)
					i += 2
				}
			}
			dst = append(dst, c)
		}
		return dst, true
	}),
	transform("dotprefix", "with a dot before it", func(dst, b []byte) ([]byte, bool) {
		return append(append(dst, '.'), b...), true
	}),
	transform("to_md5", "as its MD5", func(dst, b []byte) ([]byte, bool) {
		h := md5.Sum(b)
		return append(dst, h[:]...), true
	}),
	transform("to_sha1", "as its SHA-1", func(dst, b []byte) ([]byte, bool) {
		h := sha1.Sum(b)
		return append(dst, h[:]...), true
	}),
	transform("to_sha256", "as its SHA-256", func(dst, b []byte) ([]byte, bool) {
		h := sha256.Sum256(b)
		return append(dst, h[:]...), true
	}),
	transform("header_lowercase", "with header names in lower case", func(dst, b []byte) ([]byte, bool) {
		name := true
		for _, c := range b {
			if c == '\n' {
				name = true
			} else if c == ':' {
				name = false
			}
			if name && c >= 'A' && c <= 'Z' {
				c += 32
			}
			dst = append(dst, c)
		}
		return dst, true
	}),
	transform("strip_pseudo_headers", "without lines that begin with a colon", func(dst, b []byte) ([]byte, bool) {
		for len(b) > 0 {
			end := bytes.IndexByte(b, '\n') + 1
			if end == 0 {
				end = len(b)
			}
			if b[0] != ':' {
				dst = append(dst, b[:end]...)
			}
			b = b[end:]
		}
		return dst, true
	}),
	transform("domain", "as the registered domain: its last two labels", func(dst, b []byte) ([]byte, bool) {
		i := bytes.LastIndexByte(b, '.')
		if i < 0 {
			return dst, false
		}
		j := bytes.LastIndexByte(b[:i], '.')
		return append(dst, b[j+1:]...), true
	}),
	transform("tld", "as its last label", func(dst, b []byte) ([]byte, bool) {
		i := bytes.LastIndexByte(b, '.')
		if i < 0 {
			return dst, false
		}
		return append(dst, b[i+1:]...), true
	}),
}

type xorTransform struct{ key []byte }

func (x xorTransform) Key() string { return "xor " + hex.EncodeToString(x.key) }
func (x xorTransform) Apply(dst, b []byte, _ bool) ([]byte, bool) {
	for i, c := range b {
		dst = append(dst, c^x.key[i%len(x.key)])
	}
	return dst, true
}

var xorKeyword = &Keyword{
	Name: "xor",
	Help: `xor:"hex": the chosen buffer with every byte combined with the key`,
	Parse: func(b *Builder, o rule.Option) error {
		v := rule.Unquote(o.Value)
		key, err := hex.DecodeString(v)
		if err != nil || len(key) == 0 || len(key) > 255 {
			return fmt.Errorf("%q is no key of hexadecimal digits", clip(v))
		}
		return b.transform(xorTransform{key})
	},
}

// maxTransformSteps is what the search of a pcrexform may take.
const maxTransformSteps = 20_000

type pcreTransform struct {
	pattern string
	re      *pcre.Regexp
}

func (p pcreTransform) Key() string { return "pcrexform " + p.pattern }
func (p pcreTransform) Apply(dst, b []byte, _ bool) ([]byte, bool) {
	var g [4]int
	at, _, _, err := p.re.FindGroups(b, 0, maxTransformSteps, nil, g[:])
	if err != nil || at < 0 || g[2] < 0 {
		return dst, false
	}
	return append(dst, b[g[2]:g[3]]...), true
}

var pcrexformKeyword = &Keyword{
	Name: "pcrexform",
	Help: `pcrexform:"expression": the first group of the match in the chosen buffer`,
	Parse: func(b *Builder, o rule.Option) error {
		v := strings.Trim(o.Value, `"`)
		re, err := pcre.Compile(v, "")
		if err != nil {
			return fmt.Errorf("expression: %w", err)
		}
		if re.Groups() < 1 {
			return fmt.Errorf("the expression has no group")
		}
		return b.transform(pcreTransform{v, re})
	},
}

// fromBase64 decodes a buffer.
type fromBase64 struct {
	bytes, offset int
	skip          bool
}

func (f fromBase64) Key() string {
	return fmt.Sprintf("from_base64 %d %d %v", f.bytes, f.offset, f.skip)
}
func (f fromBase64) Apply(dst, b []byte, _ bool) ([]byte, bool) {
	if f.offset > len(b) {
		return dst, false
	}
	b = b[f.offset:]
	if f.bytes > 0 && f.bytes < len(b) {
		b = b[:f.bytes]
	}
	n := len(dst)
	dst = decodeBase64(dst, b, f.skip)
	return dst, len(dst) > n
}

var fromBase64Keyword = &Keyword{
	Name: "from_base64",
	Help: "from_base64[:bytes N][,offset N][,mode rfc4648|rfc2045|strict]: the chosen buffer decoded",
	Parse: func(b *Builder, o rule.Option) error {
		var f fromBase64
		for _, p := range strings.Split(o.Value, ",") {
			key, value, _ := strings.Cut(strings.TrimSpace(p), " ")
			value = strings.TrimSpace(value)
			switch key {
			case "":
			case "mode":
				switch value {
				case "rfc2045":
					f.skip = true
				case "rfc4648", "strict":
				default:
					return fmt.Errorf("unknown mode %q", clip(value))
				}
			case "bytes", "offset":
				n, err := strconv.Atoi(value)
				if err != nil || n < 0 || n > 65535 {
					return fmt.Errorf("%s %q is not in 0 to 65535", key, clip(value))
				}
				if key == "bytes" {
					f.bytes = n
				} else {
					f.offset = n
				}
			default:
				return fmt.Errorf("unknown parameter %q", clip(key))
			}
		}
		return b.transform(f)
	},
}

// inflate decompresses a buffer.
type inflate struct {
	name string
	max  int
	open func(r io.Reader) (io.Reader, error)
}

func (f inflate) Key() string { return fmt.Sprintf("%s %d", f.name, f.max) }
func (f inflate) Apply(dst, b []byte, _ bool) ([]byte, bool) {
	r, err := f.open(bytes.NewReader(b))
	if err != nil {
		return dst, false
	}
	out, _ := io.ReadAll(io.LimitReader(r, int64(f.max)))
	return append(dst, out...), len(out) > 0
}

func inflateKeyword(name string, open func(r io.Reader) (io.Reader, error)) *Keyword {
	return &Keyword{Name: name, Help: name + "[:max-size N]: the chosen buffer decompressed, to at most N bytes (1024)", Parse: func(b *Builder, o rule.Option) error {
		f := inflate{name, 1024, open}
		if o.Value != "" {
			v, ok := strings.CutPrefix(o.Value, "max-size")
			n, err := strconv.Atoi(strings.TrimSpace(v))
			if !ok || err != nil || n < 1 || n > 1<<20 {
				return fmt.Errorf("expected max-size and 1 to 1048576, found %q", clip(o.Value))
			}
			f.max = n
		}
		return b.transform(f)
	}}
}

var (
	gunzipKeyword = inflateKeyword("gunzip", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) })
	zlibKeyword   = inflateKeyword("zlib_deflate", func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) })
)
