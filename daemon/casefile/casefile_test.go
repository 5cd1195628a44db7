package casefile

import (
	"fmt"
	"strings"
	"testing"
)

func TestACaseHasARequestAndWhatIsWantedOfIt(t *testing.T) {
	cases, err := parse(nil, "a.txt", "# why\n== one\n> POST /a\\x20b\n> :x: y\n> A: \"b\"\n> \n> c\n> d\\\\\n  e\n\n== two\n> GET /\n!\n")
	if err != nil || len(cases) != 2 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	r := cases[0].Request()
	if got := fmt.Sprintf("%s %s %s %q %q %s", r.Method, r.URI, r.Headers, r.Body, cases[0].Want, cases[0].At); got != `POST /a b [{:x y} {A "b"}] "c\nd\\" ["  e"] a.txt:2` {
		t.Errorf("got %s", got)
	}
	if r = cases[1].Request(); r.Body != nil || cases[1].Want[0] != "!" {
		t.Errorf("got %+v", r)
	}
	if got, err := Unquote(Quote([]byte("a\"\\\x00\xff表"))); err != nil || got != "a\"\\\x00\xff表" {
		t.Errorf("quoted and back: %q, %v", got, err)
	}
}

func TestALineOutOfPlaceIsNamed(t *testing.T) {
	for text, want := range map[string]string{"x\n": "a.txt:1: a line before the first case", "== a\n> \\q\n": "a.txt:2: invalid syntax"} {
		if _, err := parse(nil, "a.txt", text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
