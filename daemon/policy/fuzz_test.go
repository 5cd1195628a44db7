package policy

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzPathPattern reads any text as a pattern. One that is taken matches what
// it spells out, and what it matches has as many segments as it has.
func FuzzPathPattern(f *testing.F) {
	for _, s := range [][2]string{{"/users/{id}/**", "/users/7/x"}, {"/a/", "/a/"}, {"/**", "/"}, {"", ""}, {"/a/{b}", "/a//"}, {"x", "/x"}, {"/{a}{b}", "/ab"}} {
		f.Add(s[0], []byte(s[1]))
	}
	f.Fuzz(func(t *testing.T, text string, path []byte) {
		p, err := parsePattern(text)
		if err != nil {
			return
		}
		kept := bytes.Clone(path)
		matched := p.match(path)
		if !bytes.Equal(kept, path) {
			t.Fatal("the path was changed")
		}
		if own := strings.NewReplacer("{", "", "}", "").Replace(strings.TrimSuffix(text, "/**")); own != "" && !p.match([]byte(own)) {
			t.Fatalf("%q does not match %q", text, own)
		}
		if matched && !p.all && !p.rest && bytes.Count(path, []byte("/")) != strings.Count(text, "/") {
			t.Fatalf("%q matches %q", text, path)
		}
	})
}
