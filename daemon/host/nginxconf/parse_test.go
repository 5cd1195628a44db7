package nginxconf

import (
	"os"
	"path/filepath"
	"testing"
)

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestADirectiveKnowsItsPlaceToTheByte(t *testing.T) {
	dir := t.TempDir()
	text := "user www-data; # a comment {\nhttp {\n  map $a $b { default \"x;}\"; '~^\\w{2}' ${c}d; }\n  include sites/*.conf;\n}\n"
	path := write(t, dir, "nginx.conf", text)
	write(t, dir, "sites/a.conf", "server { listen 80; location ~ \\.php$ { fastcgi_pass x; } }")
	c, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	http := c.Root.Find("http")[0]
	if got := text[http.Start:http.End]; got[:4] != "http" || got[len(got)-1] != '}' {
		t.Errorf("got %q", got)
	}
	m := http.Find("map")[0]
	if m.Block[0].Args[0] != "x;}" || m.Block[1].Name != `~^\w{2}` || m.Block[1].Args[0] != "${c}d" || m.Line != 3 {
		t.Errorf("%+v %+v", m.Block[0], m.Block[1])
	}
	server := http.Find("server")[0]
	if loc := server.Find("location")[0]; loc.Args[0] != "~" || loc.Args[1] != `\.php$` || loc.Parent != server || filepath.Base(loc.File) != "a.conf" {
		t.Errorf("%+v", loc)
	}
}

func TestWhatNginxRefusesIsRefusedWithItsLine(t *testing.T) {
	for text, want := range map[string]int{"a;\nb": 2, "a {\n b;\n": 3, "}": 1, "a 'x;\n": 2, "a ${b;": 1, "a; {}": 1} {
		path := write(t, t.TempDir(), "nginx.conf", text)
		_, err := Read(path)
		if !IsSyntax(err) {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := err.(*Error).Line; got != want {
			t.Errorf("%q: line %d, want %d", text, got, want)
		}
	}
}

func TestFilesThatIncludeEachOtherAreRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.conf", "include b.conf;")
	write(t, dir, "b.conf", "include a.conf;")
	if _, err := Read(filepath.Join(dir, "a.conf")); err == nil {
		t.Fatal("taken")
	}
}

func FuzzRead(f *testing.F) {
	f.Add("http { server { location / { return 200 'x'; } } }")
	f.Add("a ${b} \"c\\n\"; d {} # e")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<12 {
			return
		}
		path := write(t, t.TempDir(), "nginx.conf", text)
		c, err := Read(path)
		if err != nil {
			return
		}
		c.Root.Walk(func(d *Directive) bool {
			if d.File == path && (d.Start < 0 || d.End > len(text) || d.Start >= d.End) {
				t.Fatalf("%+v is out of bounds", d)
			}
			return true
		})
	})
}
