package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport/sallyport/daemon/policy"
	"github.com/sallyport/sallyport/daemon/request"
)

func TestABadConfigurationIsRefusedWithEveryPlace(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/bad.txt")
	if err != nil {
		t.Fatal(err)
	}
	dirs, wants := map[string]string{}, map[string]string{}
	for _, f := range archive.Files {
		title, name, _ := strings.Cut(f.Name, "/")
		if dirs[title] == "" {
			dirs[title] = t.TempDir()
		}
		if name == "want" {
			wants[title] = string(f.Data)
			continue
		}
		path := filepath.Join(dirs[title], name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for title, want := range wants {
		t.Run(title, func(t *testing.T) {
			_, err := Load(filepath.Join(dirs[title], "sallyport.toml"), Options{Offline: true})
			if err == nil {
				t.Fatal("it was taken")
			}
			want = strings.NewReplacer("DIR", dirs[title], "CHECKS", strings.Join(names(), ", ")).Replace(want)
			if got := err.Error() + "\n"; got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

func load(t *testing.T, text string) *Loaded {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sallyport.toml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := Load(path, Options{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const shop = `
[defaults]
mode = "enforce"
failure = { bodies = "open" }
[[site]]
name = "shop"
hosts = ["shop.example", "*.shop.example"]
deny = ["192.0.2.0/24"]
[[site.route]]
name = "login"
path = "/login"
methods = ["POST"]
threshold = "medium"
[[site.route]]
path = "/users/{id}/**"
mode = "detect"
`

func TestARouteTakesWhatItLeavesOutFromSiteAndDefaults(t *testing.T) {
	p := load(t, shop).Policy
	for _, c := range []struct {
		host, method, uri, route string
		mode                     policy.Mode
		denyAt                   float64
		deny                     bool
	}{
		{"shop.example", "POST", "/login", "login", policy.Enforce, 60, true},
		{"shop.example", "GET", "/login", "default", policy.Enforce, 80, true},
		{"a.b.shop.example", "GET", "/users/7/orders/1", "/users/{id}/**", policy.Detect, 80, true},
		{"a.b.shop.example", "GET", "/users/7", "/users/{id}/**", policy.Detect, 80, true},
		{"shop.example", "GET", "/users//", "default", policy.Enforce, 80, true},
		{"other.example", "GET", "/login", "default", policy.Enforce, 80, false},
	} {
		r := request.Get()
		r.Host, r.Method, r.URI = []byte(c.host), c.method, []byte(c.uri)
		got := p.Route(r)
		if got.Name != c.route || got.Mode != c.mode || got.DenyAt != c.denyAt || (got.Deny != nil) != c.deny || got.FailBodies != policy.Open || got.FailMetadata != policy.Closed {
			t.Errorf("%s %s%s: got %+v", c.method, c.host, c.uri, got)
		}
		r.Release()
	}
}

func TestAReloadSaysWhatItChanges(t *testing.T) {
	old := load(t, shop)
	now := load(t, strings.Replace(shop, `threshold = "medium"`, `threshold = "critical"`, 1)+"[[exception]]\ncheck = \"bounds\"\nreason = \"r\"\n")
	got := now.Changes(old)
	if !strings.HasPrefix(got, "changed: 1 exception, 1 route; unchanged: ") || !strings.Contains(got, "3 routes") {
		t.Fatal(got)
	}
}

func TestPositionsOfKeysAreFoundInAnyForm(t *testing.T) {
	at := locations(`
top = 1
[a.b]
 x = """
fake = 1
"""
y = [ # [
  "]",
  "z = 2",
]
z.w = 3
[[s]]
n = 1
[[s.r]]
m = 1
[[s]]
[[s.r]]
[[s.r]]
"m" = 2
`)
	for path, want := range map[string]position{
		"top": {2, 1}, "a.b": {3, 1}, "a.b.x": {4, 2}, "a.b.y": {7, 1}, "a.b.z.w": {11, 1},
		"s.0.n": {13, 1}, "s.0.r.0.m": {15, 1}, "s.1": {16, 1}, "s.1.r.1.m": {19, 1},
	} {
		if at[path] != want {
			t.Errorf("%s: got %v, want %v", path, at[path], want)
		}
	}
	if _, found := at["a.b.fake"]; found {
		t.Error("a key was found inside a string")
	}
}

func TestWhatIsTakenWithAFlawIsWarnedOf(t *testing.T) {
	for text, want := range map[string]string{
		"[[exception]]\ncheck = \"bounds\"\nreason = \"r\"\nexpires = 2020-01-01T00:00:00Z\n": ":4:1: the exception for bounds expired on 2020-01-01 and holds no more",
		"[server]\nenter_timeout_ms = 1000\n":                                                 ":2:1: NGINX waits 500 ms for ENTER",
	} {
		if l := load(t, text); !strings.Contains(strings.Join(l.Warnings, "\n"), want) {
			t.Errorf("%q: warned of %q, want %q", text, l.Warnings, want)
		}
	}
}
