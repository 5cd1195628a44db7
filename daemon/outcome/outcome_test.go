package outcome

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	door = "/run/sallyport/door.sock"
	id1  = "0123456789abcdef0123456789abcdef"
)

func line(more string) string {
	return `<190>Nov 24 17:00:00 sallyport: {"id":"` + id1 + `","t":"1764003600.125","client":"192.0.2.7","host":"api.example.com","method":"POST",` +
		`"uri":"/a?b=\"c\"\\d","proto":"HTTP/2.0","status":"201","in":"512","out":"1024","rt":"0.250"` + more + `}`
}

func TestALineOfTheAccessLogIsRead(t *testing.T) {
	for _, c := range []struct {
		name, more string
		want       Outcome
	}{
		{"one try", `,"ut":"0.200","us":"201","ua":"10.0.0.1:80","open":"","auth":"1"`,
			Outcome{UpstreamTime: 200 * time.Millisecond, UpstreamStatus: 201, UpstreamAddr: "10.0.0.1:80", Authenticated: true}},
		{"a second try", `,"ut":"0.100, 0.200","us":"502, 201","ua":"10.0.0.1:80, 10.0.0.2:80","open":"","auth":"0"`,
			Outcome{UpstreamTime: 300 * time.Millisecond, UpstreamStatus: 201, UpstreamAddr: "10.0.0.2:80"}},
		{"the relay's own part is left out", `,"ut":"0.001 : 0.200","us":"200 : 201","ua":"unix:/run/sallyport/door.sock : 10.0.0.2:80"`,
			Outcome{UpstreamTime: 200 * time.Millisecond, UpstreamStatus: 201, UpstreamAddr: "10.0.0.2:80"}},
		{"the relay denied it", `,"ut":"0.001","us":"403","ua":"unix:/run/sallyport/door.sock"`, Outcome{}},
		{"no backend was asked", `,"ut":"-","us":"-","ua":"-"`, Outcome{}},
		{"the backend did not answer", `,"ut":"0.050, 0.060","us":"504, -","ua":"[2001:db8::1]:80, 10.0.0.2:80"`,
			Outcome{UpstreamTime: 110 * time.Millisecond, UpstreamAddr: "10.0.0.2:80"}},
		{"let pass unjudged", `,"open":"` + id1 + `"`, Outcome{FailedOpen: true}},
		{"a name of later times", `,"new":"x","n":7`, Outcome{}},
		{"a backend on a Unix socket", `,"ut":"0.010","us":"200","ua":"unix:/run/app.sock"`,
			Outcome{UpstreamTime: 10 * time.Millisecond, UpstreamStatus: 200, UpstreamAddr: "unix:/run/app.sock"}},
	} {
		want := c.want
		want.ID, want.Time, want.Client = id1, time.UnixMilli(1764003600125).UTC(), netip.MustParseAddr("192.0.2.7")
		want.Host, want.Method, want.URI, want.Protocol = "api.example.com", "POST", `/a?b="c"\d`, "HTTP/2.0"
		want.Status, want.RequestBytes, want.ResponseBytes, want.RequestTime = 201, 512, 1024, 250*time.Millisecond
		got, err := Parse([]byte(line(c.more)), door)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestALineThatIsNotWholeIsAnError(t *testing.T) {
	for _, bad := range []string{
		"", "no object", `{}`, `{"id":"x"`, `{"id":"x","uri":"/aaaa`, `{"id":"x","status":"many"}`, `{"id":"x","t":"now"}`,
		`{"id":"x","client":"somewhere"}`, `{"id":{"a":"b"}}`, `{"id":["a"]}`, `{"id":"x" "t":"1"}`, `{"id":"x","in":"-5"}`, `{"id":"x","rt":"NaN"}`, `{"id":"\q"}`,
		`{"id":"` + strings.Repeat("x", MaxLine) + `"}`,
	} {
		if o, err := Parse([]byte(bad), door); err == nil {
			t.Errorf("%.60s gave %+v", bad, o)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(line("")))
	f.Add([]byte(line(`,"ut":"0.001 : 0.200, -","us":"200 : 201","ua":"unix:/run/sallyport/door.sock : 10.0.0.2:80","n":7,"x":"é\xff"`)))
	f.Add([]byte(`{"id":"a","us":",:, : ,"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := Parse(b, door)
		if err != nil {
			return
		}
		if o.ID == "" || o.RequestTime < 0 || o.UpstreamTime < 0 || o.RequestBytes < 0 || o.Status < 0 || o.Status > 999 {
			t.Fatalf("%q gave %+v", b, o)
		}
	})
}

func TestDatagramsReachTheHandlerAndMalformedOnesAreCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.sock")
	var mu sync.Mutex
	var got []string
	l, err := Listen(path, "", door, func(o *Outcome) { mu.Lock(); defer mu.Unlock(); got = append(got, o.ID) })
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		if _, err := c.Write([]byte(strings.ReplaceAll(line(""), id1, fmt.Sprint("id", i)))); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = c.Write([]byte("nonsense"))
	_ = c.Close()
	deadline := time.Now().Add(10 * time.Second)
	for l.Counts().Received < 501 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := l.Counts(); n.Received != 501 || n.Malformed != 1 || n.Dropped != 0 || n.LastError == "" || len(got) != 500 || got[499] != "id499" {
		t.Fatalf("%+v, %d handled", n, len(got))
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("the socket is still there")
	}
}

func TestAFileIsNeverTakenForASocketLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, "", door, func(*Outcome) {}); err == nil {
		t.Fatal("the file was replaced")
	}
}

type joined struct {
	ended   []string
	missing []string
}

func newJoin() (*Join, *joined) {
	var r joined
	return &Join{
		Ended: func(o *Outcome, expected bool) {
			r.ended = append(r.ended, fmt.Sprint(o.ID, " expected=", expected, " denied=", o.Denied))
		},
		Missing: func(id string) { r.missing = append(r.missing, id) },
	}, &r
}

func TestAnOutcomeMeetsItsEventInEitherOrder(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	j, r := newJoin()
	j.Expect("a", true, now)
	j.Expect("a", false, now)
	j.Finished(&Outcome{ID: "a"}, now)
	j.Finished(&Outcome{ID: "b"}, now)
	j.Expect("b", true, now)
	j.Finished(&Outcome{ID: "c"}, now)
	j.Tick(now.Add(holdBack))
	want := []string{"a expected=true denied=true", "b expected=true denied=true", "c expected=false denied=false"}
	if d := cmp.Diff(want, r.ended); d != "" || len(r.missing) != 0 {
		t.Fatal(d, r.missing)
	}
}

func TestAnOutcomeThatDoesNotComeIsMissingAndStillTakenLater(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	j, r := newJoin()
	j.Expect("a", true, now)
	j.Tick(now.Add(Within - time.Millisecond))
	if len(r.missing) != 0 {
		t.Fatal("missing too early")
	}
	j.Tick(now.Add(Within))
	j.Expect("b", false, now.Add(Within))
	j.Tick(now.Add(Within * 2))
	if d := cmp.Diff([]string{"a", "b"}, r.missing); d != "" {
		t.Fatal(d)
	}
	j.Finished(&Outcome{ID: "a"}, now.Add(time.Minute))
	if d := cmp.Diff([]string{"a expected=true denied=true"}, r.ended); d != "" {
		t.Fatal(d)
	}
	j.Tick(now.Add(time.Hour))
	if len(j.waiting)+len(j.first)+len(j.late)+len(j.early)+len(j.held) != 0 {
		t.Fatal("something is kept for ever")
	}
}

func TestWhatWaitsIsBounded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	j, r := newJoin()
	for i := range maxWaiting + 10 {
		j.Expect(fmt.Sprint("w", i), false, now)
	}
	for i := range maxEarly + 10 {
		j.Finished(&Outcome{ID: fmt.Sprint("e", i)}, now)
	}
	if len(j.waiting) != maxWaiting || len(j.early) != maxEarly || len(r.missing) != 10 || len(r.ended) != 10 {
		t.Fatal(len(j.waiting), len(j.early), len(r.missing), len(r.ended))
	}
}

func TestTheFailOpenLogIsReadOnceAcrossRotation(t *testing.T) {
	dir := t.TempDir()
	path, state := filepath.Join(dir, "open.log"), filepath.Join(dir, "open.state")
	read := func() (ids []string, skipped int) {
		_, skipped, err := NewOpenLog(path, state, door).Read(func(o *Outcome) {
			if !o.FailedOpen {
				t.Error("not marked as failed open")
			}
			ids = append(ids, o.ID)
		})
		if err != nil {
			t.Fatal(err)
		}
		return ids, skipped
	}
	add := func(name, text string) {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	entry := func(id string) string { return `{"id":"` + id + `","status":"200"}` + "\n" }
	check := func(what string, want []string, wantSkipped int) {
		t.Helper()
		ids, skipped := read()
		if d := cmp.Diff(want, ids, cmpopts.EquateEmpty()); d != "" || skipped != wantSkipped {
			t.Fatalf("%s: %s, %d skipped", what, d, skipped)
		}
	}
	check("no file", nil, 0)
	add(path, entry("a")+entry("b")+`{"id":"c","sta`)
	check("a line is still being written", []string{"a", "b"}, 0)
	check("nothing new", nil, 0)
	add(path, `tus":"200"}`+"\n"+"garbage\n")
	check("the line is whole now, and one is none", []string{"c"}, 1)
	add(path, entry("d"))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	add(path, entry("e"))
	check("rotated", []string{"d", "e"}, 0)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	add(path, `{"id":"f"}`+"\n")
	check("emptied in place", []string{"f"}, 0)
	add(path, strings.Repeat("x", MaxLine+10)+"\n"+entry("g"))
	check("a line that is too long", []string{"g"}, 1)
}
