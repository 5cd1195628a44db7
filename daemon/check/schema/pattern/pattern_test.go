package pattern

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Each line of testdata/patterns.txt: the expression, "yes" or "no", and a Go
// string.
func TestPatternsMeanWhatECMA262Says(t *testing.T) {
	f, err := os.Open("testdata/patterns.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, "\t")
		if len(parts) != 3 {
			t.Fatalf("patterns.txt:%d: want three columns", n)
		}
		value, err := strconv.Unquote(parts[2])
		if err != nil {
			t.Fatalf("patterns.txt:%d: %v", n, err)
		}
		p, err := Compile(parts[0])
		if err != nil {
			t.Errorf("patterns.txt:%d: %v", n, err)
			continue
		}
		if got := p.Match([]byte(value)); got != (parts[1] == "yes") {
			t.Errorf("patterns.txt:%d: %s on %q: got %v (%s engine)", n, parts[0], value, got, p.Engine())
		}
	}
}

func TestAHostileValueEndsWithinTheBound(t *testing.T) {
	p, err := Compile(`^(?=a)(a+)+$`)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if p.Match([]byte(strings.Repeat("a", 40) + "!")) {
		t.Error("matched")
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestBrokenExpressionsAreRefused(t *testing.T) {
	for _, s := range []string{"(", "[", "a**", "*", `\`, "[b-a]", "(?<n", "a{2,1}", ")"} {
		if _, err := Compile(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

func FuzzCompileAndMatch(f *testing.F) {
	f.Add(`^[a-z]{2,3}$`, "ab")
	f.Add(`^(?!x)\w+\s\cA?$`, "a b")
	f.Add(`[^\S]\p{L}`, " é")
	f.Fuzz(func(t *testing.T, expr, s string) {
		if len(expr) > 200 || len(s) > 200 {
			return
		}
		if p, err := Compile(expr); err == nil {
			p.Match([]byte(s))
		}
	})
}
