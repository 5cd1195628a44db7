package pcre

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestWhatPCREFinds(t *testing.T) {
	for _, c := range []struct {
		pattern, options, subject string
		want                      string // "-" for no match
	}{
		{`abc`, "", "xxabcxx", "abc"},
		{`ABC`, "i", "xxabcxx", "abc"},
		{`^abc$`, "", "abc\n", "abc"},
		{`^abc$`, "E", "abc\n", "-"},
		{`^b`, "m", "a\nb", "b"},
		{`a.b`, "", "a\nb", "-"},
		{`a.b`, "s", "a\nb", "a\nb"},
		{`a+?`, "", "aaa", "a"},
		{`a+`, "G", "aaa", "a"},
		{`a+?`, "G", "aaa", "aaa"},
		{`a b # c`, "x", "ab", "ab"},
		{`(a|b)*c`, "", "ababc", "ababc"},
		{`(a*)*b`, "", "aaab", "aaab"},
		{`(?:a|ab)(?:c|bcd)`, "", "abcd", "abcd"},
		{`(['"]).*?\1`, "", `x"a'b"c`, `"a'b"`},
		{`foo(?=bar)`, "", "foobaz foobar", "foo"},
		{`foo(?!bar)`, "", "foobar foobaz", "foo"},
		{`(?<=a)b`, "", "cb ab", "b"},
		{`(?<!a)b`, "", "ab cb", "b"},
		{`(?>a+)ab`, "", "aaab", "-"},
		{`a++b`, "", "aaab", "aaab"},
		{`a++ab`, "", "aaab", "-"},
		{`[^\x00-\x7f]+`, "", "a\xff\xfeb", "\xff\xfe"},
		{`\xe9`, "i", "\xc9", "-"},
		{`[[:alpha:]]+`, "", "12ab3", "ab"},
		{`[a-f\d-]+`, "", "zz0a-fz", "0a-f"},
		{`[]a]+`, "", "x]a]", "]a]"},
		{`a{2,3}`, "", "aaaa", "aaa"},
		{`a{,3}`, "", "a{,3}", "a{,3}"},
		{`(?i)abc(?-i)D`, "", "ABCD", "ABCD"},
		{`(?i:a)b`, "", "AB", "-"},
		{`\bfoo\b`, "", "afoo foo", "foo"},
		{`a\Kb`, "", "ab", "b"},
		{`(?P<q>a)(?P=q)`, "", "xaa", "aa"},
		{`(a)?(?(1)b|c)`, "", "c", "c"},
		{`\Qa.b\E`, "", "a.b", "a.b"},
		{`(?:(?:a{0,5}){0,5}){0,5}b`, "", "aaab", "aaab"},
		{`x*`, "", "", ""},
		{`$`, "", "ab", ""},
		{`a(?:b(?=c)|bd)`, "", "abd", "abd"},
		{`\x{41}\101`, "", "AA", "AA"},
		{`a|`, "", "b", ""},
	} {
		re, err := Compile(c.pattern, c.options)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		at, end, _, err := re.Find([]byte(c.subject), 0, MaxSteps, nil)
		got := "-"
		if err == nil && at >= 0 {
			got = c.subject[at:end]
		}
		if got != c.want {
			t.Errorf("/%s/%s on %q: got %q, want %q (%v)", c.pattern, c.options, c.subject, got, c.want, err)
		}
	}
}

func TestWhatIsNotSupportedIsRefused(t *testing.T) {
	for _, p := range []string{`(?R)`, `(?|a)`, `(*UTF8)a`, `\p{L}`, `(a`, `a)`, `[a`, `*a`, `a{3,2}`, `\2(a)`, `(?<=a*)b`, `a\`, strings.Repeat("(", 300)} {
		if _, err := Compile(p, ""); err == nil {
			t.Errorf("/%s/ compiled", p)
		}
	}
}

func TestAHostileSubjectEndsAtTheStepBound(t *testing.T) {
	re, err := Compile(`^(a+)+$`, "")
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, err = re.Find([]byte(strings.Repeat("a", 40)+"!"), 0, MaxSteps, nil)
	if !errors.Is(err, ErrSteps) {
		t.Fatalf("got %v, want ErrSteps", err)
	}
}

// FuzzAgainstRegexp compares with Go's engine where both understand a pattern
// alike.
func FuzzAgainstRegexp(f *testing.F) {
	for _, s := range [][2]string{{`a(b|c)*d`, "xabcbd"}, {`^[a-c]+?x{1,3}$`, "abcxx"}, {`(?i)foo|ba[rz]`, "BAZ"}, {`(a|ab)(c|bcd)(d*)`, "abcd"}, {`(?:a*)+b?`, "aaab"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, subject string) {
		for _, s := range [2]string{pattern, subject} {
			for i := 0; i < len(s); i++ {
				if s[i] >= 0x80 {
					return
				}
			}
		}
		// Spellings that Go and PCRE read differently.
		for _, odd := range []string{`\`, `[:`, `(?`, `{`, "[^", "$", "\n", "[["} {
			if strings.Contains(pattern, odd) {
				return
			}
		}
		re, err := Compile(pattern, "")
		goRe, goErr := regexp.Compile(pattern)
		if err != nil || goErr != nil {
			return
		}
		at, end, _, err := re.Find([]byte(subject), 0, MaxSteps, nil)
		if err != nil {
			return
		}
		// Whether there is a match is the same in both; which one PCRE prefers
		// differs from Go's only in loops over the empty string.
		loc := goRe.FindStringIndex(subject)
		if (loc != nil) != (at >= 0) || loc != nil && loc[0] != at {
			t.Fatalf("/%s/ on %q: %d-%d, regexp says %v", pattern, subject, at, end, loc)
		}
	})
}
