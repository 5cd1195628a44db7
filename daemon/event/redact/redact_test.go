package redact

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// cases are read from testdata: a line "kind<TAB>text<TAB>wanted", kind being
// text, uri, form, or header:NAME.
func TestSecretsAreMaskedAndTheRestIsKept(t *testing.T) {
	data, err := os.ReadFile("testdata/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	r := New([]string{"Badge-Number"})
	for n, line := range strings.Split(string(data), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 3 {
			t.Fatalf("cases.txt:%d: three fields were expected, %d found", n+1, len(f))
		}
		unline := strings.NewReplacer("␍␊", "\r\n", "␊", "\n")
		text, want := unline.Replace(f[1]), unline.Replace(f[2])
		s := r.Session()
		var got string
		switch kind, name, _ := strings.Cut(f[0], ":"); kind {
		case "text":
			got = s.Body([]byte(text), false)
		case "form":
			got = s.Body([]byte(text), true)
		case "uri":
			got = s.URI(text)
		case "header":
			got = s.Header(name, text)
		default:
			t.Fatalf("cases.txt:%d: unknown kind %s", n+1, kind)
		}
		if got != want {
			t.Errorf("cases.txt:%d:\n text %s\n got  %s\n want %s", n+1, text, got, want)
		}
	}
}

func TestAnExcerptKeepsWhatMatchedUnlessItIsASecret(t *testing.T) {
	for _, c := range []struct{ name, where, text, mark, want, wantMark string }{
		{"a match beside a secret stays", "body", `user=a' or 1=1--&password=hunter2`, `' or 1=1--`, `user=a' or 1=1--&password=[redacted]`, `' or 1=1--`},
		{"a match in a password keeps its outline", "form:password", `hunter2' OR 1=1--`, `' OR 1=1--`, `[redacted]' OR 1=1--`, `' OR 1=1--`},
		{"credentials taken out of a header are masked", "header:authorization?password", `correct horse`, `correct horse`, `[redacted]`, `[redacted]`},
		{"a URL's token is masked", "query:next?url:access_token", `abcdefgh12`, `abcdefgh12`, `[redacted]`, `[redacted]`},
		{"a match that is the whole password keeps the attack's words alone", "form:password", `hunter2' OR 1=1--`, `hunter2' OR 1=1--`, `*' OR 1=1--`, `*' OR 1=1--`},
		{"a password that was matched for no attack in it is masked", "form:password", `correct horse`, `correct horse`, `[redacted]`, `[redacted]`},
		{"a token is masked though it matched", "header:authorization", `Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefgh12345678`, `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefgh12345678`, `[redacted]`, `[redacted]`},
		{"a token in a harmless place is masked", "query:q", `x AKIAIOSFODNN7EXAMPLE y`, `AKIAIOSFODNN7EXAMPLE`, `x [redacted] y`, `[redacted]`},
		{"a script in a query's token stays", "query:token", `<script>alert(1)</script>`, `<script>alert(1)</script>`, `<script>alert(1)</script>`, `<script>alert(1)</script>`},
		{"a mark after a masked value moves along", "body", `token=abcdefghijk&q=<svg onload=x>`, `<svg onload`, `token=[redacted]&q=<svg onload=x>`, `<svg onload`},
	} {
		s := New(nil).Session()
		i := strings.Index(c.text, c.mark)
		got, m := s.Excerpt(c.where, c.text, [2]int{i, len(c.mark)})
		if got != c.want || got[m[0]:m[0]+m[1]] != c.wantMark {
			t.Errorf("%s: got %q with mark %q, want %q with %q", c.name, got, got[m[0]:m[0]+m[1]], c.want, c.wantMark)
		}
	}
}

func TestAMaskedValueIsMaskedWhereverItTurnsUp(t *testing.T) {
	s := New(nil).Session()
	s.Body([]byte("login=bob&password=pl%61in+sight"), true)
	for _, text := range []string{"the value plain sight is common", "excerpt pl%61in+sight", "pla plain+sight"} {
		if got := s.Text(text); strings.Contains(got, "sight") {
			t.Errorf("%q stays %q", text, got)
		}
	}
}

func TestMarksStayInsideWhateverIsGiven(t *testing.T) {
	s := New(nil).Session()
	for _, m := range [][2]int{{-5, 3}, {3, 1 << 40}, {1 << 40, 1}, {0, -1}} {
		got, mark := s.Excerpt("query:q", "token=abcdefgh12", m)
		if mark[0] < 0 || mark[1] < 0 || mark[0]+mark[1] > len(got) {
			t.Errorf("%v became %v in %q", m, mark, got)
		}
	}
}

func FuzzRedact(f *testing.F) {
	data, _ := os.ReadFile("testdata/cases.txt")
	for line := range bytes.Lines(data) {
		if p := bytes.Split(line, []byte("\t")); len(p) == 3 {
			f.Add(string(p[1]), 3, 9)
		}
	}
	r := New(nil)
	f.Fuzz(func(t *testing.T, text string, from, length int) {
		s := r.Session()
		s.Header("Cookie", text)
		s.URI(text)
		s.Body([]byte(text), true)
		for _, where := range []string{"query:q", "form:password"} {
			got, m := s.Excerpt(where, text, [2]int{from, length})
			if m[0] < 0 || m[1] < 0 || m[0]+m[1] > len(got) {
				t.Fatalf("mark %v outside of %q", m, got)
			}
		}
	})
}

func BenchmarkBody8K(b *testing.B) {
	body := []byte(strings.Repeat(`{"name":"a b c","email":"x@example.com","n":123456,"password":"hunter2","note":"some text that goes on"},`, 80))
	r := New(nil)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		s := r.Session()
		s.Body(body, false)
	}
}
