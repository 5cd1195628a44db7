package endpoint

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func call[V any](b *Book[V], template string, client int) {
	e := b.Acquire("shop", "GET", []byte(template), numbered(client), start)
	e.Release()
}

func established[V any](b *Book[V]) map[string]int {
	out := map[string]int{}
	b.Each(func(e *Entry[V]) {
		if e.Established() {
			out[e.Template] = e.Clients.Count()
		}
	})
	return out
}

func TestAClientThatInventsPathsEvictsItsOwnInventions(t *testing.T) {
	b := NewBook[int](Options{Max: 256}, nil)
	for i := range 40 { // what many use
		for c := range 5 {
			call(b, fmt.Sprintf("/used/%c%c", 'a'+i/26, 'a'+i%26), c)
		}
	}
	for i := range 10 { // what one client each has begun to use
		call(b, fmt.Sprintf("/begun/%c", 'a'+i), 100+i)
	}
	for i := range 30_000 {
		call(b, fmt.Sprintf("/invented/%d", i), 7777)
	}
	got := established(b)
	for i := range 40 {
		if got[fmt.Sprintf("/used/%c%c", 'a'+i/26, 'a'+i%26)] != 5 {
			t.Fatalf("an established endpoint was pushed out: %v", got)
		}
	}
	for i := range 10 {
		for c := range 2 {
			call(b, fmt.Sprintf("/begun/%c", 'a'+i), 200+c)
		}
	}
	got = established(b)
	for i := range 10 {
		if got[fmt.Sprintf("/begun/%c", 'a'+i)] != 3 {
			t.Errorf("/begun/%c was pushed out of probation by one client", 'a'+i)
		}
	}
	if st := b.Stats(); st.Endpoints > 256 {
		t.Errorf("%d endpoints held, at most 256 expected", st.Endpoints)
	}
}

func TestABotnetPushesOutNothingThatMoreClientsUse(t *testing.T) {
	b := NewBook[int](Options{Max: 256}, nil)
	for i := range 50 {
		for c := range 60 {
			call(b, fmt.Sprintf("/used/%c%c", 'a'+i/26, 'a'+i%26), c)
		}
	}
	for i := range 1000 { // 40 addresses that agree on what they invent
		for c := range 40 {
			call(b, fmt.Sprintf("/invented/x%dx", i), 1000+c)
		}
	}
	got := established(b)
	for i := range 50 {
		if k := fmt.Sprintf("/used/%c%c", 'a'+i/26, 'a'+i%26); got[k] == 0 {
			t.Errorf("%s was pushed out", k)
		}
	}
}

func TestMemoryStaysFixedUnderInventedPaths(t *testing.T) {
	b := NewBook[[64]byte](Options{Max: 4096}, nil)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			call(b, fmt.Sprintf("/x%c/y%d/%d", 'a'+i%26, i, i*7), i%5000)
		}
	}
	fill(0, 40_000)
	before := heap()
	fill(40_000, 160_000)
	if after := heap(); after > before+2<<20 {
		t.Errorf("heap grew from %d to %d bytes", before, after)
	}
	runtime.KeepAlive(b)
}

func TestNamesThatClientsFillInAreFoldedAndEstablishedOnesStay(t *testing.T) {
	b := NewBook[int](Options{}, func(d, s *int) { *d += *s })
	for c := range 200 {
		call(b, "/users/me", c)
		call(b, "/users/"+word(c), c)
		call(b, "/users/"+word(c)+"/repos/"+word(c*31+7), c)
		call(b, "/users/"+word(c)+"/repos/"+word(c*17+5), c)
	}
	b.Fold(start)
	for c := range 200 { // the second pass sees /users/{name}/repos/...
		call(b, "/users/"+word(c)+"/repos/"+word(c*13+3), c)
	}
	b.Fold(start)
	got := established(b)
	for _, want := range []string{"/users/me", "/users/{name}", "/users/{name}/repos/{name}"} {
		if got[want] < 100 {
			t.Errorf("%s has %d clients; established: %v", want, got[want], got)
		}
	}
	if len(got) != 3 {
		t.Errorf("established: %v", got)
	}
	if tpl, ok := b.Known("shop", "GET", []byte("/users/nobody")); !ok || tpl != "/users/{name}" {
		t.Errorf("Known says %q, %v", tpl, ok)
	}
}

func TestAMinorityCannotFoldWhatOthersUse(t *testing.T) {
	b := NewBook[int](Options{}, nil)
	for c := range 190 {
		for _, p := range []string{"/api/orders", "/api/items", "/api/login", "/api/status"} {
			call(b, p, c)
		}
	}
	for i := range 20_000 { // 5 % of the clients
		call(b, "/api/"+word(i), 1000+i%10)
	}
	if n := b.Fold(start); n != 0 {
		t.Errorf("%d prefixes folded by 10 of 200 clients", n)
	}
	if _, ok := b.Known("shop", "GET", []byte("/api/orders")); !ok {
		t.Error("/api/orders is gone")
	}
}

func TestSixtyRealResourcesAreNotFolded(t *testing.T) {
	b := NewBook[int](Options{}, nil)
	for r := range 60 {
		for c := range 50 {
			call(b, "/api/"+word(r), c)
		}
	}
	if n := b.Fold(start); n != 0 {
		t.Errorf("%d prefixes folded", n)
	}
}

func TestManyNamesWithTheSameBelowThemAreFolded(t *testing.T) {
	b := NewBook[int](Options{}, nil)
	for r := range 200 {
		for c := range 50 {
			call(b, "/products/"+word(r), c)
			call(b, "/products/"+word(r)+"/reviews", c)
		}
	}
	b.Fold(start)
	got := established(b)
	if len(got) != 2 || got["/products/{name}"] == 0 || got["/products/{name}/reviews"] == 0 {
		t.Errorf("established: %v", got)
	}
}

// word makes a distinct word of letters alone for a number.
func word(i int) string {
	w := []byte("w")
	for i += 1; i > 0; i /= 20 {
		w = append(w, "bcdfghjklmnpqrstvwxz"[i%20], 'o')
	}
	return string(w)
}

func TestEntriesAreRestored(t *testing.T) {
	b, c := NewBook[int](Options{}, nil), NewBook[int](Options{}, nil)
	for i := range 30 {
		for k := range i%4 + 1 {
			call(b, "/"+word(i), k)
		}
	}
	b.Each(func(e *Entry[int]) { c.Restore(*e) })
	if x, y := b.Stats(), c.Stats(); x.Established != y.Established || x.Endpoints != y.Endpoints || x.Clients != y.Clients {
		t.Errorf("%+v became %+v", x, y)
	}
}

func TestAKnownEndpointAllocatesNothing(t *testing.T) {
	b := NewBook[int](Options{}, nil)
	tpl := []byte("/api/v1/users/{int}/orders")
	do := func() { b.Acquire("shop", "GET", tpl, 9, start).Release() }
	do()
	if n := testing.AllocsPerRun(100, do); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBookKnown(b *testing.B) {
	book := NewBook[int](Options{}, nil)
	tpl := []byte("/api/v1/users/{int}/orders")
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		book.Acquire("shop", "GET", tpl, numbered(i&255), start).Release()
		i++
	}
}

func BenchmarkBookInvented(b *testing.B) {
	book := NewBook[int](Options{}, nil)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		book.Acquire("shop", "GET", fmt.Appendf(nil, "/x/%d", i), numbered(i&255), start).Release()
		i++
	}
}
