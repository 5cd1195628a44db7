package pressure

import (
	"os"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/sallyport/sallyport/daemon/check"
)

// The example in the README is a configuration that loads.
func TestTheREADMEsExampleLoads(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "```toml\n")
	block, _, _ = strings.Cut(block, "[[site]]")
	var root struct {
		Check struct {
			Pressure Settings `toml:"pressure"`
		} `toml:"check"`
	}
	md, err := toml.Decode(block, &root)
	if err != nil || !found || len(md.Undecoded()) > 0 {
		t.Fatalf("%v, unknown %v", err, md.Undecoded())
	}
	want := Defaults()
	want.Shed = true
	want.MinRequests, root.Check.Pressure.MinRequests = 0, 0
	if root.Check.Pressure != want {
		t.Errorf("the example is %+v, the defaults are %+v", root.Check.Pressure, want)
	}
	root.Check.Pressure.MinRequests = 10
	if _, err := New(root.Check.Pressure, check.Env{}); err != nil {
		t.Error(err)
	}
}
