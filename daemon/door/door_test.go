package door_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/door"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/policy"
)

const testID = "0123456789abcdef0123456789abcdef"

// nginxLike asks a door as NGINX would.
type nginxLike struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

func ask(t *testing.T, socket string) *nginxLike {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &nginxLike{t, nc, bufio.NewReader(nc)}
}

func headOf(target, mode, extra string) string {
	return "POST /" + target + " HTTP/1.1\r\nX-Sallyport-Meta: 1 " + testID + " 192.0.2.7 4711   1   HTTP/1.1 POST 5 0 " + mode + "\r\nX-Sallyport-Uri: /a\r\n" + extra + "\r\n"
}

func (n *nginxLike) send(s string) { _, _ = io.WriteString(n.nc, s) }

func (n *nginxLike) answer() *http.Response {
	n.t.Helper()
	resp, err := http.ReadResponse(n.r, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp
}

// slow takes its time on paths that ask for it, until released.
type slow struct{ release chan struct{} }

func (s *slow) Name() string       { return "slow" }
func (s *slow) Needs() check.Phase { return check.Head | check.Body }
func (s *slow) Judge(v *check.Visit) {
	for _, h := range v.Request.Headers {
		switch {
		case strings.EqualFold(string(h.Name), "x-slow"):
			<-s.release
		case strings.EqualFold(string(h.Name), "x-panic"):
			panic("asked to")
		}
	}
}

func slowDoor(t *testing.T, s door.Settings, failure policy.Failure, change func(*policy.Route)) (*door.Server, *events, string, *slow) {
	t.Helper()
	sl := &slow{release: make(chan struct{})}
	r := &policy.Route{Site: "s", Name: "r", Mode: policy.Enforce, DenyAt: 80, DenyAtName: "high", MaxInspectBytes: 1 << 20,
		FailMetadata: failure, FailBodies: failure}
	_ = r.Match("", nil)
	r.SetChecks([]policy.Slot{{Check: sl, Mode: policy.Enforce}, {Check: word{}, Mode: policy.Enforce}})
	if change != nil {
		change(r)
	}
	p := &policy.Policy{Sites: []*policy.Site{{Name: "s", Routes: []*policy.Route{r}}}, Checks: []check.Check{sl, word{}}}
	p.Index()
	ev := &events{}
	if s.MaxHeld == 0 {
		s.MaxHeld = 100
	}
	if s.MaxHeadBytes == 0 {
		s.MaxHeadBytes = 64 << 10
	}
	s.MaxConnections = 100
	if s.MaxBodyMemory == 0 {
		s.MaxBodyMemory = 1 << 20
	}
	d := door.NewServer(inspect.New(p, inspect.Options{State: keyed.New(100, 1), Recorder: ev}), s)
	socket := filepath.Join(t.TempDir(), "d")
	l, err := door.Listen(socket, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = d.Serve(l) }()
	var once sync.Once
	t.Cleanup(func() { once.Do(func() { close(sl.release) }); l.Close() })
	return d, ev, socket, sl
}

var times = door.Settings{EnterTimeout: 200 * time.Millisecond, LeaveTimeout: 300 * time.Millisecond}

func TestALateCheckIsAnsweredByTheFailurePolicy(t *testing.T) {
	verdicts := map[int]string{403: "deny", 204: "allow"}
	for failure, want := range map[policy.Failure]int{policy.Closed: 403, policy.Open: 204} {
		d, ev, socket, sl := slowDoor(t, times, failure, nil)
		n := ask(t, socket)
		n.send(headOf("enter", "inline", "X-Slow: 1\r\n"))
		resp := n.answer()
		if resp.StatusCode != want || (want == 204) != (resp.Header.Get("X-Sallyport-Receipt") == testID) {
			t.Errorf("answered %v, want %d", resp, want)
		}
		if want == 403 && resp.Header.Get("X-Sallyport-Status") != "503" {
			t.Errorf("status %s, want 503", resp.Header.Get("X-Sallyport-Status"))
		}
		sl.release <- struct{}{}
		waitFor(t, func() bool {
			return ev.count(func(e *event.Event) bool {
				return e.Kind == event.KindLate && e.ID == testID && e.Verdict == verdicts[want]
			}) == 1
		})
		if d.Late() != 1 {
			t.Errorf("%d late answers counted, want 1", d.Late())
		}
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it did not come to be")
}

func TestACheckThatPanicsIsAnsweredByTheFailurePolicyAndIsAnEvent(t *testing.T) {
	for failure, want := range map[policy.Failure]int{policy.Closed: 403, policy.Open: 204} {
		_, ev, socket, _ := slowDoor(t, times, failure, nil)
		n := ask(t, socket)
		for range 2 { // the connection lives on
			n.send(headOf("enter", "metadata", "X-Panic: 1\r\n"))
			if resp := n.answer(); resp.StatusCode != want {
				t.Errorf("answered %v, want %d", resp, want)
			}
		}
		waitFor(t, func() bool { return ev.count(func(e *event.Event) bool { return e.Kind == event.KindPanic }) == 2 })
	}
}

func TestABodyThatNeverArrivesIsAnsweredByTheFailurePolicy(t *testing.T) {
	for failure, want := range map[policy.Failure]int{policy.Closed: 403, policy.Open: 204} {
		d, ev, socket, _ := slowDoor(t, times, failure, nil)
		n := ask(t, socket)
		n.send(headOf("leave", "inline", ""))
		if resp := n.answer(); resp.StatusCode != want {
			t.Errorf("answered %v, want %d", resp, want)
		}
		if d.Held() != 0 {
			t.Error("an entry was left behind")
		}
		waitFor(t, func() bool { return ev.count(func(e *event.Event) bool { return e.Kind == event.KindLate }) == 1 })
	}
}

func TestBodyAndLeaveMeetInEitherOrder(t *testing.T) {
	for _, body := range []string{"clean", "attack"} {
		want := 204
		if body == "attack" {
			want = 403
		}
		_, _, socket, _ := slowDoor(t, door.Settings{EnterTimeout: time.Second, LeaveTimeout: 10 * time.Second}, policy.Closed, nil)
		for _, bodyFirst := range []bool{true, false} {
			b, l := ask(t, socket), ask(t, socket)
			post := headOf("body?x=1", "inline", fmt.Sprintf("Content-Length: %d\r\n", len(body))) + body
			if bodyFirst {
				b.send(post)
				b.answer()
				l.send(headOf("leave", "inline", ""))
			} else {
				l.send(headOf("leave", "inline", ""))
				time.Sleep(20 * time.Millisecond)
				b.send(post)
			}
			if resp := l.answer(); resp.StatusCode != want {
				t.Errorf("%s, body first %v: %v, want %d", body, bodyFirst, resp, want)
			}
		}
	}
}

func TestAHeadPastTheBoundIsReadToItsEndAndAnswered(t *testing.T) {
	_, ev, socket, _ := slowDoor(t, times, policy.Closed, nil)
	n := ask(t, socket)
	n.send(headOf("enter", "metadata", "X-Long: "+strings.Repeat("a", 300<<10)+"\r\nX-Last: attack\r\n"))
	if resp := n.answer(); resp.StatusCode != 403 {
		t.Errorf("answered %v", resp)
	}
	waitFor(t, func() bool { return ev.count(func(e *event.Event) bool { return e.Kind == event.KindLimit }) == 1 })
}

func TestALargeBodyFollowsTheRoute(t *testing.T) {
	for _, c := range []struct {
		large  policy.LargeBody
		attack string // where the attack stands
		want   int
		id     string
	}{
		{policy.LargeDeny, "none", 403, "body_cut"}, {policy.LargeInspect, "none", 204, "body_cut"}, {policy.LargeAllow, "none", 204, "body_uninspected"},
		{policy.LargeInspect, "front", 403, "body_cut"}, {policy.LargeInspect, "back", 204, "body_cut"}, {policy.LargeAllow, "front", 204, "body_uninspected"},
	} {
		d, ev, socket, _ := slowDoor(t, door.Settings{EnterTimeout: time.Second, LeaveTimeout: 10 * time.Second}, policy.Closed, func(r *policy.Route) { r.LargeBody, r.MaxInspectBytes = c.large, 1000 })
		body := strings.Repeat("a", 50_000)
		switch c.attack {
		case "front":
			body = "attack" + body
		case "back":
			body += "attack"
		}
		for _, framing := range []string{fmt.Sprintf("Content-Length: %d\r\n", len(body)), "Transfer-Encoding: chunked\r\n"} {
			sent := body
			if framing[0] == 'T' {
				sent = fmt.Sprintf("%x\r\n%s\r\n%x;ext=1\r\n%s\r\n0\r\nTrailer: x\r\n\r\n", 700, body[:700], len(body)-700, body[700:])
			}
			b, l := ask(t, socket), ask(t, socket)
			for range 2 { // the connection lives on, in step
				b.send(headOf("body", "inline", framing) + sent)
				if resp := b.answer(); resp.StatusCode != 204 {
					t.Fatal(resp)
				}
				l.send(headOf("leave", "inline", ""))
				if resp := l.answer(); resp.StatusCode != c.want {
					t.Errorf("%v %s: %v, want %d", c.large, c.attack, resp, c.want)
				}
			}
		}
		waitFor(t, func() bool {
			return ev.count(func(e *event.Event) bool {
				for _, f := range e.Findings {
					if f.ID == c.id {
						return true
					}
				}
				return false
			}) == 4
		})
		if d.BodyMemory() != 0 {
			t.Errorf("%d bytes of bodies are still counted", d.BodyMemory())
		}
	}
}

func TestAShutdownHandsVerdictsToTheNextDaemon(t *testing.T) {
	d, _, socket, _ := slowDoor(t, door.Settings{EnterTimeout: time.Second, LeaveTimeout: 10 * time.Second}, policy.Closed, nil)
	b := ask(t, socket)
	b.send(headOf("body", "inline", "Content-Length: 6\r\n") + "attack")
	b.answer()
	data, err := d.Handover()
	if err != nil {
		t.Fatal(err)
	}
	next, _, socket2, _ := slowDoor(t, door.Settings{EnterTimeout: time.Second, LeaveTimeout: 10 * time.Second}, policy.Open, nil)
	if err := next.TakeOver(data, time.Now()); err != nil {
		t.Fatal(err)
	}
	l := ask(t, socket2)
	l.send(headOf("leave", "inline", ""))
	if resp := l.answer(); resp.StatusCode != 403 {
		t.Fatalf("%v: the verdict was lost", resp)
	}
}
