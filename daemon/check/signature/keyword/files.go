package keyword

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// Bounds of a list that a rule names: of its file and of what is kept of it.
const (
	maxListBytes   = 64 << 20
	maxListEntries = 1 << 20
)

// readList reads a file beside the rule's own, line by line, without comments
// and empty lines.
func (b *Builder) readList(name string, each func(line string) error) error {
	name = strings.Trim(strings.TrimSpace(name), `"`)
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(b.Rule.File), path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read list: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxListBytes {
		return fmt.Errorf("read list %s: %d bytes, a file of at most %d expected", path, info.Size(), maxListBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read list: %w", err)
	}
	s := bufio.NewScanner(bytes.NewReader(data))
	s.Buffer(nil, 1<<20)
	entries := 0
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if entries++; entries > maxListEntries {
			return fmt.Errorf("%s:%d: more than %d entries", path, n, maxListEntries)
		}
		if err := each(line); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	return s.Err()
}

// file adds a step on a buffer of files, as a group of its own.
func (b *Builder) file(id buffer.ID, s Step) {
	b.http = true
	b.seq++
	b.items = append(b.items, item{spec: newSpec(id, ""), seq: b.seq, step: s})
	b.lastAt = len(b.items) - 1
	b.seq++
}

var filenameKeyword = &Keyword{
	Name: "filename",
	Help: `filename:[!]"text": the name of an uploaded file holds the text, in any case`,
	Parse: func(b *Builder, o rule.Option) error {
		text, neg, err := parseContent(o.Value)
		if err != nil {
			return err
		}
		c := &Content{Text: text, Negated: neg, Nocase: true}
		c.settle()
		b.file(buffer.SFileName, c)
		return nil
	},
}

var fileextKeyword = &Keyword{
	Name: "fileext",
	Help: `fileext:[!]"ext": the name of an uploaded file ends in this extension, in any case`,
	Parse: func(b *Builder, o rule.Option) error {
		text, neg, err := parseContent(o.Value)
		if err != nil {
			return err
		}
		c := &Content{Text: append([]byte("."), text...), Negated: neg, Nocase: true, ends: true}
		c.settle()
		b.file(buffer.SFileName, c)
		return nil
	},
}

// units are what a file's size may be written in.
var units = []struct {
	name string
	n    int
}{{"KB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}

// withoutUnits writes the numbers of a size in bytes.
func withoutUnits(v string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(v); {
		if v[i] < '0' || v[i] > '9' {
			out.WriteByte(v[i])
			i++
			continue
		}
		end := i
		for end < len(v) && v[end] >= '0' && v[end] <= '9' {
			end++
		}
		n, err := strconv.ParseUint(v[i:end], 10, 40)
		if err != nil {
			return "", fmt.Errorf("%q is no size", clip(v))
		}
		for end < len(v) && v[end] == ' ' {
			end++
		}
		for _, u := range units {
			if len(v)-end >= len(u.name) && strings.EqualFold(v[end:end+len(u.name)], u.name) {
				n *= uint64(u.n)
				end += len(u.name)
				break
			}
		}
		out.WriteString(strconv.FormatUint(n, 10))
		i = end
	}
	return out.String(), nil
}

var filesizeKeyword = &Keyword{
	Name: "filesize",
	Help: "filesize:[<>]N[KB|MB|GB][<>M]: the size of an uploaded file",
	Parse: func(b *Builder, o rule.Option) error {
		v, err := withoutUnits(o.Value)
		if err != nil {
			return err
		}
		s, err := parseSpan(v)
		if err != nil {
			return err
		}
		b.file(buffer.SFileData, &length{span: s})
		return nil
	},
}

// sums are checksums to look a file's up in.
type sums struct {
	of      func(b []byte) string
	set     map[string]bool
	negated bool
}

func (s *sums) Match(c *Cursor) bool { return s.set[s.of(c.Buf)] != s.negated }

// checksum is the checksum of a name, as raw bytes, and its length.
func checksum(name string) (of func(b []byte) string, size int) {
	switch name {
	case "md5":
		return func(b []byte) string { h := md5.Sum(b); return string(h[:]) }, md5.Size
	case "sha1":
		return func(b []byte) string { h := sha1.Sum(b); return string(h[:]) }, sha1.Size
	}
	return func(b []byte) string { h := sha256.Sum256(b); return string(h[:]) }, sha256.Size
}

func filesumKeyword(kind string) *Keyword {
	name := "file" + kind
	return &Keyword{Name: name, Help: name + ":[!]list: the checksum of an uploaded file stands in the file beside the rules", Parse: func(b *Builder, o rule.Option) error {
		list, negated := strings.CutPrefix(strings.TrimSpace(o.Value), "!")
		s := &sums{set: map[string]bool{}, negated: negated}
		size := 0
		s.of, size = checksum(kind)
		err := b.readList(list, func(line string) error {
			sum, err := hex.DecodeString(line[:min(len(line), 2*size)])
			if err != nil || len(sum) != size {
				return fmt.Errorf("expected a checksum of %d hexadecimal digits, found %q", 2*size, clip(line))
			}
			s.set[string(sum)] = true
			return nil
		})
		if err != nil {
			return err
		}
		b.file(buffer.SFileData, s)
		return nil
	}}
}
