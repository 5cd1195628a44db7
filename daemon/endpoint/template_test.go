package endpoint

import (
	"strings"
	"testing"
)

var templates = []struct{ path, want string }{
	{"/", "/"},
	{"", "/"},
	{"/users", "/users"},
	{"/users/", "/users/"},
	{"/users/42", "/users/{int}"},
	{"/users/42/orders/7", "/users/{int}/orders/{int}"},
	{"/api/v1/users/me", "/api/v1/users/me"},
	{"/api/v2.1/status", "/api/v2.1/status"},
	{"/oauth2/token", "/oauth2/token"},
	{"/.well-known/openid-configuration", "/.well-known/openid-configuration"},
	{"/orders/0b5c6f4e-9d1e-4c57-8d28-2f0f6d0f4f3a", "/orders/{uuid}"},
	{"/orders/0B5C6F4E-9D1E-4C57-8D28-2F0F6D0F4F3A/lines", "/orders/{uuid}/lines"},
	{"/reports/2026-11-24", "/reports/{date}"},
	{"/reports/2026-11-24T10:00:00Z", "/reports/{date}"},
	{"/reports/2026-13-24", "/reports/{token}"},
	{"/commits/9fceb02d0ae598e95dc970b74767f19372d61af8", "/commits/{hex}"},
	{"/objects/507f1f77bcf86cd799439011", "/objects/{hex}"},
	{"/decade/facade", "/decade/facade"},
	{"/customers/cus_NffrFeUfNV2Hib", "/customers/{token}"},
	{"/videos/dQw4w9WgXcQ", "/videos/{token}"},
	{"/files/aGVsbG8gd29ybGQhIGhlbGxv", "/files/{token}"},
	{"/sku/ABC-12", "/sku/{token}"},
	{"/parts/A10293", "/parts/{token}"},
	{"/hash/sha256", "/hash/sha256"},
	{"/users/jane.doe@example.org/keys", "/users/{email}/keys"},
	{"/users/jane+x@example.co.uk", "/users/{email}"},
	{"/@scope/package", "/@scope/package"},
	{"/posts/how-to-build-a-better-gateway", "/posts/{slug}"},
	{"/forgot-password", "/forgot-password"},
	{"/reset-my-password", "/reset-my-password"},
	{"/geo/48.137,11.575", "/geo/{number}"},
	{"/ids/1,2,3", "/ids/{number}"},
	{"/t/-12.5", "/t/{number}"},
	{"/items/42.json", "/items/{int}.json"},
	{"/items/42:cancel", "/items/{int}:cancel"},
	{"/operations:batch", "/operations:batch"},
	{"/odata/Users(42)", "/odata/Users({int})"},
	{"/odata/Users('jane')", "/odata/Users({text})"},
	{"/static/app.3f2a1b9c.js", "/static/{token}.js"},
	{"/static/logo.png", "/static/logo.png"},
	{"/cars;color=red/wheels", "/cars/wheels"},
	{"/search/hello world", "/search/{text}"},
	{"/search/\xc3\xa9t\xc3\xa9", "/search/{text}"},
	{"/t/eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2ln", "/t/{token}"},
	{"/createUserWithList", "/createUserWithList"},
	{"/pet/findByStatus", "/pet/findByStatus"},
	{"/getAllCustomersByRegionAndDate", "/getAllCustomersByRegionAndDate"},
	{"/x/" + strings.Repeat("a", MaxSegmentBytes+1), "/x/{long}"},
	{strings.Repeat("/a", MaxSegments), strings.Repeat("/a", MaxSegments)},
	{strings.Repeat("/a", MaxSegments+1), strings.Repeat("/a", MaxSegments) + "/{rest}"},
}

func TestAPathBecomesItsTemplate(t *testing.T) {
	for _, c := range templates {
		if got := Template([]byte(c.path)); got != c.want {
			t.Errorf("Template(%q) = %q, want %q", c.path, got, c.want)
		}
	}
}

func TestATemplateAllocatesNothingWithRoom(t *testing.T) {
	path := []byte("/api/v1/users/0b5c6f4e-9d1e-4c57-8d28-2f0f6d0f4f3a/orders/2026-11-24")
	buf := make([]byte, 0, MaxTemplate)
	if n := testing.AllocsPerRun(100, func() { buf = AppendTemplate(buf[:0], path) }); n != 0 {
		t.Errorf("AppendTemplate allocates %v times, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { _ = Template(path) }); n > 1 {
		t.Errorf("Template allocates %v times, want at most 1", n)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, c := range templates {
		f.Add([]byte(c.path))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		got := Template(path)
		if len(got) > MaxTemplate {
			t.Fatalf("%d bytes, at most %d expected", len(got), MaxTemplate)
		}
		if got == "" || got[0] != '/' {
			t.Fatalf("template %q does not start with a slash", got)
		}
		if n := strings.Count(got, "/"); n > MaxSegments+1 {
			t.Fatalf("%d segments", n)
		}
	})
}

func BenchmarkTemplate(b *testing.B) {
	path := []byte("/api/v1/users/0b5c6f4e-9d1e-4c57-8d28-2f0f6d0f4f3a/orders/2026-11-24")
	buf := make([]byte, 0, MaxTemplate)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendTemplate(buf[:0], path)
	}
}
