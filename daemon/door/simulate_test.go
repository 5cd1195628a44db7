package door

import (
	"encoding/binary"
	"encoding/hex"
	"maps"
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
	free    []*waiter // of connections that are idle
	done    int
	allowed int
	met     map[string]int // how often each thing happened
}

// happenings are what a run must have met to be worth something.
var happenings = []string{"no body", "verdict first", "leave first", "body lost", "body again", "deadline", "table full", "client gone",
	"client gone while waiting", "asked again while waiting", "reload", "panic", "expired", "restart", "verdict handed over"}

type simulated struct {
	id       []byte
	k        id
	hostile  bool
	step     int // 0 nothing sent, 1 entered, then body and leave in either order
	bodySent bool
	left     bool
	bodiless bool
	gone     bool // nobody reads its answer any more
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
		s.met["reload"]++
	case n < 12:
		s.met["expired"] += s.table.expire(s.now)
	case n < 20:
		s.judge.panic = !s.judge.panic
	case n < 21:
		s.restart()
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

// restart hands the verdicts to the next daemon. Those that wait are let go
// without an answer, and NGINX asks the next daemon.
func (s *simulation) restart() {
	s.met["restart"]++
	data, err := s.table.export()
	if err != nil {
		s.t.Fatal(err)
	}
	next := newTable(24)
	if err := next.load(data, s.now); err != nil {
		s.t.Fatal(err)
	}
	for k, h := range all(next) {
		if was := s.table.shard(k).m[k]; was.answer != h.answer || was.waiter != nil {
			s.t.Fatalf("%x was %+v and is handed over as %+v", k, was, h)
		}
		s.met["verdict handed over"]++
	}
	s.table = next
	for _, q := range s.open {
		if q.waiter != nil {
			q.waiter, q.left = nil, false // the connection, and its waiter, are gone
		}
	}
	s.free = nil
}

func all(t *table) map[id]held {
	out := map[id]held{}
	for i := range t.shards {
		maps.Copy(out, t.shards[i].m)
	}
	return out
}

func (s *simulation) begin() {
	s.next++
	q := &simulated{hostile: s.rng.IntN(4) == 0, bodiless: s.rng.IntN(5) == 0}
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
	if s.rng.IntN(50) == 0 {
		s.met["client gone"]++
		return true // what was held for it is left to expire
	}
	switch {
	case q.step == 0:
		return s.enter(q)
	case !q.bodySent && (q.left || s.rng.IntN(2) == 0):
		s.deliver(q)
		return q.left
	case !q.left:
		q.left = true
		return s.leave(q)
	}
	return true
}

func (s *simulation) enter(q *simulated) bool {
	r := s.request(q, false)
	defer r.Release()
	w := s.i.Begin(r, inspect.Enter)
	v := w.Head(q.bodiless)
	w.End()
	q.step = 1
	if _, there := s.table.shard(q.k).m[q.k]; there {
		s.t.Fatal("ENTER left an entry behind")
	}
	if q.bodiless {
		s.met["no body"]++
	}
	return v.Deny || q.bodiless
}

// deliver brings the body, now and then twice (NGINX asks again when a
// kept-alive connection was dead), or loses it on its way.
func (s *simulation) deliver(q *simulated) {
	q.bodySent = true
	if s.rng.IntN(20) == 0 {
		s.met["body lost"]++
		return
	}
	s.body(q)
	if s.rng.IntN(20) == 0 {
		s.met["body again"]++
		s.body(q)
	}
}

func (s *simulation) body(q *simulated) {
	r := s.request(q, true)
	defer r.Release()
	if s.judge.panic {
		s.met["panic"]++
	}
	w := s.i.Begin(r, inspect.Body)
	v := w.Body(nil)
	if _, room := s.table.put(q.k, answerOf(&v), s.now.Add(10*time.Second)); !room {
		s.met["table full"]++
		s.i.Event(&event.Event{Kind: event.KindLimit, ID: string(q.id)})
	}
	w.End()
}

// wait takes the waiter of an idle connection, as the next LEAVE on it does.
func (s *simulation) wait() *waiter {
	if n := len(s.free); n > 0 {
		w := s.free[n-1]
		s.free = s.free[:n-1]
		if len(w.c) > 0 {
			s.t.Fatal("an answer was left in the waiter of an idle connection")
		}
		return w
	}
	return &waiter{c: make(chan answer, 1)}
}

func (s *simulation) leave(q *simulated) bool {
	w := s.wait()
	a, now, ok := s.table.take(q.k, w, s.now.Add(4*time.Second))
	switch {
	case now:
		s.met["verdict first"]++
		s.free = append(s.free, w)
		s.answered(q, a)
		return true
	case !ok:
		s.met["table full"]++
		s.free = append(s.free, w)
		s.unjudged(q)
		return true
	}
	s.met["leave first"]++
	q.waiter, q.deadline = w, s.now.Add(4*time.Second)
	return false
}

// poll looks at a LEAVE that waits and says whether it has ended.
func (s *simulation) poll(q *simulated) bool {
	select {
	case a := <-q.waiter.c:
		return s.waited(q, &a)
	default:
	}
	if s.now.After(q.deadline) {
		if s.table.leave(q.k, q.waiter) {
			s.met["deadline"]++
			return s.waited(q, nil)
		}
		a := <-q.waiter.c
		return s.waited(q, &a)
	}
	switch n := s.rng.IntN(60); {
	case n == 0 && !q.gone:
		q.gone = true // the daemon learns of it when it answers
		s.met["client gone while waiting"]++
	case n == 1 && !q.gone:
		// NGINX's connection broke and it asks on another: one LEAVE waits
		// already, so this one is answered by the failure policy.
		if _, now, ok := s.table.take(q.k, &waiter{c: make(chan answer, 1)}, s.now.Add(4*time.Second)); now || ok {
			s.t.Fatal("two wait for one verdict")
		}
		s.met["asked again while waiting"]++
		s.unjudged(q)
		q.gone = true
	case n < 20 && !q.bodySent:
		s.deliver(q)
	}
	return false
}

// waited ends a wait with an answer, or with none.
func (s *simulation) waited(q *simulated, a *answer) bool {
	s.free = append(s.free, q.waiter)
	switch {
	case q.gone:
	case a != nil:
		s.answered(q, *a)
	default:
		s.unjudged(q)
	}
	return true
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
		s := &simulation{t: t, met: map[string]int{}, rng: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1e9, 0), table: newTable(24), judge: j, ledger: l,
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
		for _, h := range happenings {
			if s.met[h] == 0 {
				t.Errorf("seed %d: it never happened: %s", seed, h)
			}
		}
		t.Logf("seed %d: %v", seed, s.met)
		if s.done < steps/60 || s.allowed == 0 {
			t.Fatalf("seed %d: only %d requests ended, %d allowed: the simulation does not move", seed, s.done, s.allowed)
		}
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Fatalf("%d goroutines were left", n-goroutines)
	}
}
