package door

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// id is a request's $request_id.
type id [16]byte

func parseID(b []byte) (k id, ok bool) {
	if len(b) != 32 {
		return k, false
	}
	_, err := hex.Decode(k[:], b)
	return k, err == nil
}

// table holds requests between the two doors: the verdict on a body until
// LEAVE collects it, or a LEAVE until the verdict is there, in either order.
// It never holds bodies. It is a plain state machine: time is given, and
// nothing in it waits.
type table struct {
	max    int
	shards [16]tableShard
}

type tableShard struct {
	mu sync.Mutex
	m  map[id]held
}

type held struct {
	answer  answer
	waiter  *waiter // nil while a verdict is held
	expires time.Time
}

// waiter is a LEAVE that waits; its channel takes one answer.
type waiter struct{ c chan answer }

func newTable(max int) *table {
	t := &table{max: max}
	for i := range t.shards {
		t.shards[i].m = make(map[id]held)
	}
	return t
}

func (t *table) shard(k id) *tableShard { return &t.shards[k[15]%16] }

// put brings the verdict on a body. It says whether a LEAVE was waiting, and
// whether there was room.
func (t *table) put(k id, a answer, expires time.Time) (met, ok bool) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	h, there := s.m[k]
	switch {
	case there && h.waiter != nil:
		delete(s.m, k)
		h.waiter.c <- a
		return true, true
	case !there && len(s.m) >= t.max/16+1:
		return false, false
	}
	s.m[k] = held{answer: a, expires: expires}
	return false, true
}

// take collects the verdict if it is there; otherwise it leaves w to wait for
// it. ok is false when there is no room to wait, or another LEAVE waits.
func (t *table) take(k id, w *waiter, expires time.Time) (a answer, now, ok bool) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	h, there := s.m[k]
	switch {
	case there && h.waiter == nil:
		delete(s.m, k)
		return h.answer, true, true
	case there:
		return answer{}, false, false
	case len(s.m) >= t.max/16+1:
		return answer{}, false, false
	}
	s.m[k] = held{waiter: w, expires: expires}
	return answer{}, false, true
}

// leave ends w's wait. It says false when a verdict was brought at the same
// moment: then it stands in w's channel.
func (t *table) leave(k id, w *waiter) bool {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if h, there := s.m[k]; there && h.waiter == w {
		delete(s.m, k)
		return true
	}
	return false
}

// expire drops verdicts that nobody collected and counts them. Waiters end
// their own wait.
func (t *table) expire(now time.Time) (dropped int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for k, h := range s.m {
			if h.waiter == nil && now.After(h.expires) {
				delete(s.m, k)
				dropped++
			}
		}
		s.mu.Unlock()
	}
	return dropped
}

func (t *table) len() int {
	n := 0
	for i := range t.shards {
		t.shards[i].mu.Lock()
		n += len(t.shards[i].m)
		t.shards[i].mu.Unlock()
	}
	return n
}

// handover is how a verdict is written for the next daemon.
type handover struct {
	ID      string
	Answer  answer
	Expires time.Time
}

// export writes the verdicts that nobody has collected yet.
func (t *table) export() ([]byte, error) {
	var all []handover
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for k, h := range s.m {
			if h.waiter == nil {
				all = append(all, handover{hex.EncodeToString(k[:]), h.answer, h.expires})
			}
		}
		s.mu.Unlock()
	}
	return json.Marshal(all)
}

// load takes over what export wrote.
func (t *table) load(data []byte, now time.Time) error {
	var all []handover
	if err := json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("read the verdicts handed over: %w", err)
	}
	for _, h := range all {
		if k, ok := parseID([]byte(h.ID)); ok && now.Before(h.Expires) {
			t.put(k, h.Answer, h.Expires)
		}
	}
	return nil
}
