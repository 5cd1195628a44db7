package limit

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/sallyport/sallyport/daemon/check"
)

// Every example in the README is a configuration that loads.
func TestTheREADMEsExamplesLoad(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```toml\n")[1:]
	if len(blocks) < 2 {
		t.Fatal("no examples")
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		root := struct {
			Check struct {
				Limit Settings `toml:"limit"`
			} `toml:"check"`
		}{}
		root.Check.Limit = Defaults()
		md, err := toml.Decode(block, &root)
		if err != nil || len(md.Undecoded()) > 0 {
			t.Errorf("%v, unknown %v in\n%s", err, md.Undecoded(), block)
			continue
		}
		if _, err := New(root.Check.Limit, check.Env{DoorTimeout: 500 * time.Millisecond}); err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
	}
}
