package pass

import (
	"path/filepath"
	"testing"
	"time"
)

var now = time.Unix(1_700_000_000, 0)

const id = "0123456789abcdef0123456789abcdef"

func TestAPassHoldsForItsRequestAlone(t *testing.T) {
	keys, err := Load(filepath.Join(t.TempDir(), "keys"), now)
	if err != nil {
		t.Fatal(err)
	}
	value := string(keys.Append(nil, []byte(id), "POST", []byte("/a?x=1"), now))
	for _, c := range []struct {
		title, value, method, target string
		at                           time.Time
		ok                           bool
	}{
		{"as it was", value, "POST", "/a?x=1", now, true}, {"another query", value, "POST", "/a?y=2", now.Add(30 * time.Second), true},
		{"another method", value, "PUT", "/a", now, false}, {"another path", value, "POST", "/b", now, false},
		{"too old", value, "POST", "/a", now.Add(2 * Lives), false}, {"from the future", value, "POST", "/a", now.Add(-2 * Lives), false},
		{"none", "", "POST", "/a", now, false}, {"malformed", "1.2.3", "POST", "/a", now, false}, {"altered", value[:len(value)-1] + "g", "POST", "/a", now, false},
	} {
		if err := keys.Verify(c.value, c.method, c.target, c.at); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.title, err)
		}
	}
}

func TestKeysRotateAndTheOldOneHoldsOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	first, err := Load(path, now)
	if err != nil {
		t.Fatal(err)
	}
	value := string(first.Append(nil, []byte(id), "GET", []byte("/"), now.Add(Rotate)))
	second, err := Load(path, now.Add(Rotate))
	if err != nil || len(second) != 2 {
		t.Fatal(err, len(second))
	}
	if err := second.Verify(value, "GET", "/", now.Add(Rotate)); err != nil {
		t.Error(err)
	}
	if early, late := now.Add(Rotate+Ahead-time.Second), now.Add(Rotate+Ahead); string(second.Append(nil, []byte(id), "GET", []byte("/"), early)) != string(first.Append(nil, []byte(id), "GET", []byte("/"), early)) ||
		first.Verify(string(second.Append(nil, []byte(id), "GET", []byte("/"), late)), "GET", "/", late) == nil {
		t.Error("a new key must sign when its time has come, and not before")
	}
	later := now.Add(2*Rotate + Ahead)
	third, _ := Load(path, later)
	if err := third.Verify(string(first.Append(nil, []byte(id), "GET", []byte("/"), later)), "GET", "/", later); err == nil {
		t.Error("a key two rotations old still holds")
	}
}

func FuzzVerify(f *testing.F) {
	keys := Keys{{now, []byte("0123456789abcdef0123456789abcdef")}}
	f.Add(string(keys.Append(nil, []byte(id), "GET", []byte("/"), now)), "GET", "/")
	f.Fuzz(func(t *testing.T, value, method, target string) { _ = keys.Verify(value, method, target, now) })
}
