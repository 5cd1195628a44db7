package door

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/inspect"
	"github.com/sallyport/sallyport/daemon/keyed"
	"github.com/sallyport/sallyport/daemon/policy"
	"github.com/sallyport/sallyport/daemon/request"
)

// judge notes which bodies it saw, denies those that begin with x, and fails now and then.
type judge struct {
	seen  map[string]bool
	panic bool
}

func (*judge) Name() string       { return "judge" }
func (*judge) Needs() check.Phase { return check.Head | check.Body }
func (j *judge) Judge(v *check.Visit) {
	if v.Phase != check.Body {
		return
	}
	if j.panic {
		panic("simulated")
	}
	j.seen[string(v.Request.ID)] = true
	if len(v.Request.Body.Bytes) > 0 && v.Request.Body.Bytes[0] == 'x' {
		v.Add(check.Finding{Check: "judge", ID: "x", Severity: check.Critical, Deny: true})
	}
}

type ledger struct{ byID map[string]int }

func (l *ledger) Record(e *event.Event) { l.byID[e.ID]++ }

// simulation is the daemon's side of many requests at once, in one goroutine:
// the real table, walk and policy, with time, order, loss and reloads drawn
// from a seed.
type simulation struct {
	t       *testing.T
	rng     *rand.Rand
	now     time.Time
	table   *table
	i       *inspect.Inspector
	judge   *judge
	ledger  *ledger
	open    []*simulated
	next    uint64
	done    int
	allowed int
}

type simulated struct {
	id       []byte
	k        id
	hostile  bool
	step     int // 0 nothing sent, 1 entered, then body and leave in either order
	bodySent bool
	left     bool
	waiter   *waiter
	deadline time.Time
}

func (s *simulation) request(q *simulated, body bool) *request.Request {
	r := request.Get()
	r.ID, r.Method, r.URI, r.Received = q.id, "POST", []byte("/"), s.now
	if body {
		r.Body = request.Body{Present: true, Bytes: []byte("clean"), Length: 5}
		if q.hostile {
			r.Body.Bytes = []byte("x")
		}
	}
	return r
}

func simulatedPolicy(j *judge, bodies policy.Failure, mode policy.Mode) *policy.Policy {
	r := &policy.Route{Site: "s", Name: "r", Mode: mode, DenyAt: 80, DenyAtName: "high", FailBodies: bodies, FailMetadata: bodies}
	_ = r.Match("", nil)
	r.SetChecks([]policy.Slot{{Check: j, Mode: policy.Enforce}})
	p := &policy.Policy{Sites: []*policy.Site{{Name: "s", Routes: []*policy.Route{r}}}, Checks: []check.Check{j}}
	p.Index()
	return p
}

func (s *simulation) step() {
	s.now = s.now.Add(time.Duration(s.rng.IntN(40)) * time.Millisecond)
	switch n := s.rng.IntN(1000); {
	case n < 2:
		s.i.Apply(simulatedPolicy(s.judge, policy.Failure(s.rng.IntN(2)), policy.Mode(1+s.rng.IntN(2))))
	case n < 12:
		s.table.expire(s.now)
	case n < 20:
		s.judge.panic = !s.judge.panic
	}
	if len(s.open) < 60 && s.rng.IntN(3) == 0 {
		s.begin()
		return
	}
	if len(s.open) == 0 {
		return
	}
	n := s.rng.IntN(len(s.open))
	if s.advance(s.open[n]) {
		s.open[n] = s.open[len(s.open)-1]
		s.open = s.open[:len(s.open)-1]
		s.done++
	}
}

func (s *simulation) begin() {
	s.next++
	q := &simulated{hostile: s.rng.IntN(4) == 0}
	binary.BigEndian.PutUint64(q.k[:], s.rng.Uint64())
	binary.BigEndian.PutUint64(q.k[8:], s.next)
	q.id = []byte(hex.EncodeToString(q.k[:]))
	s.open = append(s.open, q)
}

// advance lets one thing happen to a request and says whether it has ended.
func (s *simulation) advance(q *simulated) bool {
	if q.waiter != nil {
		return s.poll(q)
	}
	switch {
	case q.step == 0:
		if s.rng.IntN(50) == 0 {
			return true // the client went away
		}
		r := s.request(q, false)
		w := s.i.Begin(r, inspect.Enter)
		v := w.Head(false)
		w.End()
		r.Release()
		q.step = 1
		return v.Deny
	case !q.bodySent && (q.left || s.rng.IntN(2) == 0):
		q.bodySent = true
		if s.rng.IntN(20) > 0 { // else it is lost on its way
			s.body(q)
		}
		return q.left
	case !q.left:
		q.left = true
		return s.leave(q)
	}
	return true
}

func (s *simulation) body(q *simulated) {
	r := s.request(q, true)
	defer r.Release()
	w := s.i.Begin(r, inspect.Body)
	v := w.Body(nil)
	if _, room := s.table.put(q.k, answerOf(&v), s.now.Add(10*time.Second)); !room {
		s.i.Event(&event.Event{Kind: event.KindLimit, ID: string(q.id)})
	}
	w.End()
}

func (s *simulation) leave(q *simulated) bool {
	w := &waiter{c: make(chan answer, 1)}
	a, now, ok := s.table.take(q.k, w, s.now.Add(4*time.Second))
	switch {
	case now:
		s.answered(q, a)
		return true
	case !ok:
		s.unjudged(q)
		return true
	}
	q.waiter, q.deadline = w, s.now.Add(4*time.Second)
	return false
}

func (s *simulation) poll(q *simulated) bool {
	select {
	case a := <-q.waiter.c:
		s.answered(q, a)
		return true
	default:
	}
	if s.now.After(q.deadline) {
		if s.table.leave(q.k, q.waiter) {
			s.unjudged(q)
		} else {
			s.answered(q, <-q.waiter.c)
		}
		return true
	}
	if !q.bodySent && s.rng.IntN(3) == 0 {
		q.bodySent = true
		if s.rng.IntN(20) > 0 {
			s.body(q)
		}
	}
	return false
}

func (s *simulation) unjudged(q *simulated) {
	r := s.request(q, false)
	defer r.Release()
	w := s.i.Begin(r, inspect.Leave)
	v := w.Fail(event.KindLate, w.Route().FailBodies, "late")
	w.End()
	s.answered(q, answerOf(&v))
}

func (s *simulation) answered(q *simulated, a answer) {
	if a.Deny {
		return
	}
	s.allowed++
	if !s.judge.seen[string(q.id)] && s.ledger.byID[string(q.id)] == 0 {
		s.t.Fatalf("request %s passed with its body unseen and no event", q.id)
	}
	if q.hostile && s.ledger.byID[string(q.id)] == 0 {
		s.t.Fatalf("hostile request %s passed without an event", q.id)
	}
	delete(s.judge.seen, string(q.id))
	delete(s.ledger.byID, string(q.id))
}

func TestAMillionStepsLeaveNoBodyUnseenAndNothingBehind(t *testing.T) {
	steps := 1_000_000
	if testing.Short() {
		steps = 50_000
	}
	goroutines := runtime.NumGoroutine()
	for _, seed := range []uint64{1, 2, 3} {
		j := &judge{seen: map[string]bool{}}
		l := &ledger{byID: map[string]int{}}
		s := &simulation{t: t, rng: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1e9, 0), table: newTable(24), judge: j, ledger: l,
			i: inspect.New(simulatedPolicy(j, policy.Closed, policy.Enforce), inspect.Options{State: keyed.New(100, 1), Recorder: l})}
		for range steps / 3 {
			s.step()
		}
		for len(s.open) > 0 { // no new ones: let all end
			s.now = s.now.Add(time.Second)
			for n := 0; n < len(s.open); n++ {
				if s.advance(s.open[n]) {
					s.open = append(s.open[:n], s.open[n+1:]...)
					n--
				}
			}
		}
		s.table.expire(s.now.Add(time.Hour))
		if n := s.table.len(); n != 0 {
			t.Fatalf("seed %d: %d entries were left in the table", seed, n)
		}
		if s.done < steps/60 || s.allowed == 0 {
			t.Fatalf("seed %d: only %d requests ended, %d allowed: the simulation does not move", seed, s.done, s.allowed)
		}
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Fatalf("%d goroutines were left", n-goroutines)
	}
}
