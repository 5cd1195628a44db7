// Package daemon holds no code: its test keeps the imports one-way, so that a
// request walks through the folders forward and no folder knows who comes
// before it.
package daemon

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/sallyport/sallyport/daemon/"

// law forbids imports. A folder stands for itself and all below it, "*" for
// every folder; forbidden may name a package outside the daemon. In except
// stand folders that may all the same, and tests are free.
var law = []struct {
	folders, forbidden, except, why string
}{
	{"request keyed endpoint outcome safefile", "check door inspect policy event config control capture host", "",
		"it is a value or a store that everything else stands on"},
	{"endpoint", "keyed", "", "profiles are bounded on their own"},
	{"request keyed outcome safefile", "endpoint", "", "it stands below the endpoints"},
	{"check", "door inspect policy event config control capture host", "",
		"a check emits findings and knows nothing of who asks or what becomes of them"},
	{"policy", "door inspect event config control keyed capture host", "",
		"it is pure: findings in, a verdict out"},
	{"event", "door inspect config control capture host", "", "it records what it is told"},
	{"inspect", "door config control capture host", "", "it leads the walk for whoever calls it"},
	{"door", "config control capture host", "", "it is handed a ready walk"},
	{"control", "door inspect config capture host", "", "handlers are registered with it by cmd"},
	{"*", "config", "cmd", "only cmd wires, and everything else is handed what it needs"},
	{"*", "cmd", "", "nothing stands on a program"},
	// capture reads the wire formats into the rule language's own buffers.
	{"*", "check/inventory check/limit check/pressure check/protocol check/reputation check/schema check/score check/signature check/token",
		"config cmd check capture", "only config builds checks, and only cmd uses their offline tools"},
	{"*", "github.com/google/gopacket", "capture", "packets stay in capture"},
	{"*", "testing nginxtest redistest casefile labelled", "nginxtest redistest casefile labelled", "test rigs stay in tests"},
}

// ownCheck tells whether two packages lie in the same check's folder: only
// there may one check package import another.
func ownCheck(from, to string) bool {
	f, t := strings.Split(from, "/"), strings.Split(to, "/")
	return len(f) > 1 && len(t) > 1 && f[0] == "check" && t[0] == "check" && f[1] == t[1]
}

func within(pkg, folders string) bool {
	for _, f := range strings.Fields(folders) {
		if f == "*" || pkg == f || strings.HasPrefix(pkg, f+"/") {
			return true
		}
	}
	return false
}

func TestImportsGoOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("no go command on the path: install golang-go")
	}
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; packages++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		from := strings.TrimPrefix(p.ImportPath, module)
		for _, i := range p.Imports {
			to := strings.TrimPrefix(i, module)
			if within(from, "check") && within(to, "check") && to != "check" && !ownCheck(from, to) {
				t.Errorf("%s imports %s: checks know nothing of each other", from, to)
			}
			for _, l := range law {
				if within(from, l.folders) && within(to, l.forbidden) && !within(from, l.except) {
					t.Errorf("%s imports %s: %s", from, to, l.why)
				}
			}
		}
	}
	if packages < 30 {
		t.Errorf("go list names %d packages: the test no longer sees the daemon", packages)
	}
}
