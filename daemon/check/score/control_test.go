package score

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/check"
)

func ask(t *testing.T, c *Check, method, path, body string) (int, string) {
	t.Helper()
	h := c.ControlHandlers()[method+" "+path]
	if h == nil {
		t.Fatalf("nothing answers %s %s", method, path)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

func TestContextIsCarriedFromOneGatewayToAnother(t *testing.T) {
	from, to := testCheck(t), testCheck(t)
	newWeek(t).run(from, 0, 1, false)
	_, shown := ask(t, from, "GET", "/context", "")
	var l Listing
	if err := json.Unmarshal([]byte(shown), &l); err != nil || len(l.Parameters) == 0 {
		t.Fatalf("%v in %s", err, shown)
	}
	status, exported := ask(t, from, "GET", "/context/export", "")
	if status != http.StatusOK {
		t.Fatal(exported)
	}
	if status, said := ask(t, to, "POST", "/context/import", exported); status != http.StatusOK {
		t.Fatal(said)
	}
	if _, again := ask(t, to, "GET", "/context", ""); again != shown {
		t.Fatalf("exported %s, imported %s", shown, again)
	}
	if status, said := ask(t, to, "POST", "/context/import", `{"version":9}`); status != http.StatusBadRequest || !strings.Contains(said, "version 9") {
		t.Fatalf("a context of another version: %d %s", status, said)
	}
	if _, again := ask(t, to, "GET", "/context", ""); again != shown {
		t.Fatal("a refused import changed the context")
	}
}

func TestWithoutContextTheVerbsSayWhy(t *testing.T) {
	s := Defaults()
	s.Context.Enabled = false
	c, err := New(s, check.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if status, said := ask(t, c.(*Check), "GET", "/context", ""); status != http.StatusNotFound || !strings.Contains(said, "switched off") {
		t.Fatalf("%d %s", status, said)
	}
}

func TestContextSurvivesAReload(t *testing.T) {
	old := testCheck(t)
	newWeek(t).run(old, 0, 1, false)
	for name, change := range map[string]func(*Settings){
		"same settings":  func(*Settings) {},
		"other settings": func(s *Settings) { s.Context.MinClients = 20 },
	} {
		s := Defaults()
		change(&s)
		c, err := New(s, check.Env{Old: old})
		if err != nil {
			t.Fatal(err)
		}
		if a, b := len(old.context.book.Load().Show()), len(c.(*Check).context.book.Load().Show()); a == 0 || a != b {
			t.Errorf("%s: %d parameters before, %d after", name, a, b)
		}
	}
}
