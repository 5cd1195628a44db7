package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/event"
)

func startServer(t *testing.T, setup func(*Server)) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "control.sock")
	srv := NewServer(Settings{Socket: socket})
	if setup != nil {
		setup(srv)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = srv.Close(ctx)
	})
	return socket
}

func TestGetAndPostReachAHandler(t *testing.T) {
	socket := startServer(t, func(s *Server) {
		s.HandleFunc("POST /double", func(w http.ResponseWriter, r *http.Request) {
			var in struct{ N int }
			if err := Read(r, &in); err != nil {
				Refuse(w, http.StatusBadRequest, err)
				return
			}
			Answer(w, map[string]any{"n": 2 * in.N, "by": Caller(r)})
		})
	})
	var out struct {
		N  int
		By string
	}
	if err := Post(t.Context(), socket, "/double", map[string]int{"N": 21}, &out); err != nil {
		t.Fatal(err)
	}
	if out.N != 42 || !strings.Contains(out.By, fmt.Sprintf("uid %d", os.Getuid())) {
		t.Fatalf("got %+v", out)
	}
	err := Post(t.Context(), socket, "/double", map[string]int{"M": 1}, &out)
	var refused *Error
	if !errors.As(err, &refused) || refused.Status != 400 || !strings.Contains(err.Error(), `"M"`) {
		t.Fatalf("an unknown field was answered %v", err)
	}
	err = Get(t.Context(), socket, "/nothing", nil)
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "does not know /nothing") {
		t.Fatalf("an unknown path was answered %v", err)
	}
}

func TestTheSocketIsForItsOwnerAndGroup(t *testing.T) {
	info, err := os.Stat(startServer(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o660 {
		t.Fatalf("mode %o, 660 was expected", got)
	}
}

func TestAnUnknownGroupIsRefusedWithARemedy(t *testing.T) {
	srv := NewServer(Settings{Socket: filepath.Join(t.TempDir(), "c.sock"), Group: "no-such-group-here"})
	err := srv.Start()
	if err == nil || !strings.Contains(err.Error(), "groupadd") {
		t.Fatalf("got %v", err)
	}
}

func TestASocketLeftByADeadDaemonIsReplacedAndALiveOneIsNot(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "c.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if err := NewServer(Settings{Socket: socket}).Start(); err == nil || !strings.Contains(err.Error(), "another daemon") {
		t.Fatalf("a live socket: %v", err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	srv := NewServer(Settings{Socket: socket})
	if err := srv.Start(); err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	_ = srv.Close(t.Context())
}

func TestClientErrorsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	err := Get(t.Context(), filepath.Join(dir, "none.sock"), "/status", nil)
	if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "systemctl status sallyport") {
		t.Fatalf("no socket: %v", err)
	}
	err = unreachable(dir, os.ErrPermission)
	if !strings.Contains(err.Error(), "root and group") {
		t.Fatalf("no permission: %v", err)
	}
}

func TestHealthAndReadinessFollowConditions(t *testing.T) {
	h := NewHealth()
	socket := startServer(t, func(s *Server) { HandleHealth(s, h) })
	if err := Get(t.Context(), socket, "/readyz", nil); err == nil {
		t.Fatal("ready before it was")
	}
	h.Ready()
	h.Degraded("sink syslog", "the server does not answer")
	body, err := Stream(t.Context(), socket, "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, _ := io.ReadAll(body)
	if !strings.HasPrefix(string(text), "ok\n") || !strings.Contains(string(text), "degraded: sink syslog since ") {
		t.Fatalf("got %q", text)
	}
	if !h.Recovered("sink syslog") || len(h.Conditions()) != 0 {
		t.Fatal("the condition stays")
	}
}

func TestMetricsAreExposedByCheckRouteAndMode(t *testing.T) {
	m := NewMetrics()
	m.Judged(&Judgement{Site: "api", Route: "login", Mode: "enforce", Door: "body", Deny: true, Final: true, Checks: []string{"signature"}, Took: 3 * time.Millisecond})
	m.Judged(&Judgement{Site: "api", Route: "login", Mode: "enforce", Door: "enter", Took: time.Millisecond})
	m.Late("leave")
	m.Panicked("schema")
	m.Reloaded(true)
	m.FailedOpen(3)
	m.BodyOverLimit("upload")
	m.Gauge("sallyport_held_requests", nil, func() float64 { return 7 })
	m.Gauge("sallyport_queue_depth", map[string]string{"sink": "file"}, func() float64 { return 2 })
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, nil)
	for _, want := range []string{
		`sallyport_verdicts_total{site="api",route="login",mode="enforce",verdict="deny"} 1`,
		`sallyport_findings_total{check="signature",route="login",mode="enforce",verdict="deny"} 1`,
		`sallyport_door_seconds_bucket{door="body",le="0.005"} 1`,
		`sallyport_door_seconds_count{door="enter"} 1`,
		`sallyport_late_verdicts_total{door="leave"} 1`,
		`sallyport_check_panics_total{check="schema"} 1`,
		`sallyport_reloads_total{result="applied"} 1`,
		`sallyport_fail_open_total 3`,
		`sallyport_bodies_over_limit_total{route="upload"} 1`,
		`sallyport_held_requests 7`,
		`sallyport_queue_depth{sink="file"} 2`,
		`process_resident_memory_bytes`,
	} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("missing %s", want)
		}
	}
	if t.Failed() {
		t.Log(rec.Body.String())
	}
}

func TestSeriesAreBounded(t *testing.T) {
	m := NewMetrics()
	for i := range maxSeries + 100 {
		m.BodyOverLimit(fmt.Sprintf("route-%d", i))
	}
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, nil)
	if !strings.Contains(rec.Body.String(), `sallyport_bodies_over_limit_total{route="other"} 100`) {
		t.Fatal("what is past the bound is not counted under other")
	}
}

func TestCountingAKnownSeriesDoesNotAllocate(t *testing.T) {
	m := NewMetrics()
	j := &Judgement{Site: "s", Route: "r", Mode: "enforce", Door: "enter", Final: true, Checks: []string{"signature"}}
	if n := testing.AllocsPerRun(100, func() { m.Judged(j) }); n > 6 {
		t.Fatalf("%v allocations", n)
	}
}

func TestMetricsAreNotServedBeyondLoopback(t *testing.T) {
	l := fakeListener{&net.TCPAddr{IP: net.IPv4zero, Port: 1}}
	if err := ServeMetrics(l, NewMetrics(), NewHealth()); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Fatalf("got %v", err)
	}
}

type fakeListener struct{ addr net.Addr }

func (f fakeListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (f fakeListener) Close() error              { return nil }
func (f fakeListener) Addr() net.Addr            { return f.addr }

type setter struct {
	mu  sync.Mutex
	now *ModeChange
}

func (s *setter) SetMode(c ModeChange) error {
	if c.Route == "nowhere" {
		return errors.New("no route is named nowhere; the routes are api, login")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = &c
	return nil
}
func (s *setter) ClearMode() { s.mu.Lock(); defer s.mu.Unlock(); s.now = nil }
func (s *setter) ModeNow() *ModeChange {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

type recorder struct {
	mu     sync.Mutex
	events []*event.Event
}

func (r *recorder) Record(e *event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) last() *event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) == 0 {
		return nil
	}
	return r.events[len(r.events)-1]
}

func TestBreakGlassIsAuditedAndEndsByItself(t *testing.T) {
	s, rec := &setter{}, &recorder{}
	socket := startServer(t, func(srv *Server) { HandleMode(srv, s, rec) })
	var state ModeState
	post := func(r ModeRequest) error { return Post(t.Context(), socket, "/mode", r, &state) }
	for _, bad := range []ModeRequest{
		{Mode: "detect", ForSeconds: 60},
		{Mode: "shout", ForSeconds: 60, Why: "x"},
		{Mode: "detect", ForSeconds: 1e9, Why: "x"},
		{Mode: "detect", ForSeconds: 60, Why: "x", Route: "nowhere"},
	} {
		if err := post(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if err := post(ModeRequest{Mode: "detect", ForSeconds: 1, Why: "a false alarm on checkout"}); err != nil {
		t.Fatal(err)
	}
	if state.Change == nil || state.Change.Mode != "detect" || state.Change.By == "" {
		b, _ := json.Marshal(state)
		t.Fatalf("state %s", b)
	}
	if e := rec.last(); e.Kind != event.KindAudit || e.Why != "a false alarm on checkout" || !strings.Contains(e.Message, "mode detect on all routes until") {
		t.Fatalf("audit event %+v", e)
	}
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(rec.last().Message, "ended by itself") {
		if time.Now().After(deadline) {
			t.Fatal("the end was not recorded")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestRatesForgetAfterFiveMinutes(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	m := NewMetrics()
	m.routes = newRouteRates(func() time.Time { return now })
	for range 60 {
		m.routes.add(m.routes.ring("s", "r"), "deny")
	}
	r := m.Rates()[0]
	if r.PerSecond != 1 || r.Denied != 60 {
		t.Fatalf("got %+v", r)
	}
	now = now.Add(2 * time.Minute)
	if r := m.Rates()[0]; r.PerSecond != 0 || r.Denied != 60 {
		t.Fatalf("after two minutes %+v", r)
	}
	now = now.Add(4 * time.Minute)
	if r := m.Rates()[0]; r.Requests != 0 {
		t.Fatalf("after six minutes %+v", r)
	}
}
