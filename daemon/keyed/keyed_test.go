package keyed

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func id(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }

func TestPartsOfAKeyAreToldApart(t *testing.T) {
	s := New(10, 7)
	keys := map[Key]string{}
	for name, k := range map[string]Key{
		"ab,c": s.Key("x", []byte("ab"), []byte("c")), "a,bc": s.Key("x", []byte("a"), []byte("bc")),
		"abc": s.Key("x", []byte("abc")), "abc,": s.Key("x", []byte("abc"), nil),
		"xabc": s.Key("xabc"), "y": s.Key("y", []byte("abc")),
	} {
		if other, ok := keys[k]; ok {
			t.Errorf("%s and %s share a key", name, other)
		}
		keys[k] = name
	}
	if s.Key("x", []byte("a")) == New(10, 8).Key("x", []byte("a")) {
		t.Error("the seed does not change keys")
	}
}

// A small store with every operation against a plain map: nothing is lost,
// doubled or mixed up while there is room.
func TestTheTableKeepsWhatAMapKeeps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(rapid.SampledFrom([]int{64, 700, 3000}).Draw(t, "size"), rapid.Uint64().Draw(t, "seed"))
		want := map[int]uint64{}
		held := map[int][]Held{}
		for i, n := 0, rapid.IntRange(0, 300).Draw(t, "steps"); i < n; i++ {
			x := rapid.IntRange(0, 15).Draw(t, "key")
			k := s.Key("t", id(x))
			switch rapid.IntRange(0, 5).Draw(t, "do") {
			case 0, 1, 2:
				for range rapid.IntRange(1, 40).Draw(t, "times") {
					want[x]++
					s.SetBits(k, start, time.Hour, ^uint64(0), want[x])
				}
			case 3:
				token, _, _ := s.Hold(k, start, time.Hour, 1000)
				held[x] = append(held[x], token)
			case 4:
				if n := len(held[x]); n > 0 {
					s.Release(held[x][n-1], start)
					held[x] = held[x][:n-1]
				}
			case 5:
				if rapid.IntRange(0, 20).Draw(t, "reset") == 0 {
					s.Reset()
					clear(want)
					clear(held)
				}
			}
			for x := range 16 {
				k := s.Key("t", id(x))
				if got := s.Bits(k, start); got != want[x] {
					t.Fatalf("step %d: bits of %d are %d, want %d", i, x, got, want[x])
				}
				if got := s.Holding(k, start); got != float64(len(held[x])) {
					t.Fatalf("step %d: held by %d %v, want %d", i, x, got, len(held[x]))
				}
			}
			check(t, s)
		}
	})
}

// check looks at every shard's structure.
func check(t interface{ Fatalf(string, ...any) }, s *Store) {
	for n := range s.shards {
		sh := &s.shards[n]
		used, count := 0, [classes]int{}
		for p := range len(sh.buckets) * ways {
			e := sh.at(p)
			if e.mark == 0 {
				if *e != (entry{}) {
					t.Fatalf("shard %d: the free place %d is not empty", n, p)
				}
				continue
			}
			used++
			count[class(e.uses())]++
			if got := sh.find(e.mark); got != p {
				t.Fatalf("shard %d: entry at %d is found at %d", n, p, got)
			}
		}
		if used != sh.used || count != sh.count || used > sh.room {
			t.Fatalf("shard %d: %d entries in classes %v, noted as %d in %v, room for %d", n, used, count, sh.used, sh.count, sh.room)
		}
	}
}

// Who invents keys cannot have his own counter forgotten: a key used n times
// outlives any number of keys used fewer than n/2 times, and one used once
// outlives a quarter of a store of others.
func TestInventedKeysDoNotEvictACounter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{16, 200, 2000}).Draw(t, "size")
		s := New(size, rapid.Uint64().Draw(t, "seed"))
		next := 1
		for range rapid.IntRange(0, 3*size).Draw(t, "before") {
			s.Add(s.Key("t", id(next)), start, time.Hour, 1)
			next++
		}
		own := s.Key("t", id(0))
		uses := rapid.IntRange(2, 20).Draw(t, "uses")
		for range uses {
			s.Add(own, start, time.Hour, 1)
		}
		each := rapid.IntRange(1, max(1, uses/2)).Draw(t, "each")
		if class(uint8(each)) >= class(uint8(uses)) {
			each = 1
		}
		for range rapid.IntRange(0, 4*size).Draw(t, "invented") {
			k := s.Key("t", id(next))
			next++
			for range each {
				s.Add(k, start, time.Hour, 1)
			}
		}
		check(t, s)
		if got := s.Count(own, start, time.Hour); got < float64(uses)*0.99 {
			t.Fatalf("a counter of %d stands at %v after %d keys used %d times each", uses, got, next, each)
		}
	})
}

func TestAKeyUsedOnceOutlivesAQuarterOfAStoreOfInventedOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(200, rapid.Uint64().Draw(t, "seed")) // one shard
		room := s.shards[0].room
		next := 1
		for range rapid.IntRange(0, 5*room).Draw(t, "before") {
			k := s.Key("t", id(next))
			next++
			for range rapid.IntRange(1, 3).Draw(t, "uses") {
				s.Add(k, start, time.Hour, 1)
			}
		}
		own := s.Key("t", id(0))
		s.Add(own, start, time.Hour, 1)
		for range room / 4 {
			s.Add(s.Key("t", id(next)), start, time.Hour, 1)
			next++
		}
		if s.Count(own, start, time.Hour) == 0 {
			t.Fatalf("forgotten after %d others of %d", room/4, room)
		}
	})
}

func TestEndedEntriesGiveWayFirst(t *testing.T) {
	s := New(1000, 3)
	for i := range 1000 {
		for range 200 {
			s.Add(s.Key("t", id(i)), start, time.Second, 1)
		}
	}
	now := start.Add(10 * time.Second)
	for i := range 900 {
		s.Add(s.Key("n", id(i)), now, time.Hour, 1)
	}
	lost := 0
	for i := range 900 {
		if s.Count(s.Key("n", id(i)), now, time.Hour) == 0 {
			lost++
		}
	}
	if lost > 0 || s.Evicted() > 0 {
		t.Errorf("%d of 900 new keys lost, %d evicted, though all older ones had ended", lost, s.Evicted())
	}
}

func TestHeldRequestsAndBansOutliveAnyCounter(t *testing.T) {
	s := New(16, 1)
	s.Hold(s.Key("held"), start, time.Hour, 10)
	s.Ban(s.Key("ban"), start, Growth{First: time.Hour, Max: time.Hour})
	for i := range 2000 {
		for range 5 {
			s.Add(s.Key("t", id(i)), start, time.Hour, 1)
		}
	}
	if s.Holding(s.Key("held"), start) != 1 {
		t.Error("a held request was forgotten")
	}
	if _, banned := s.Banned(s.Key("ban"), start); !banned {
		t.Error("a ban was forgotten")
	}
}

func TestAMillionKeysFitIntoSixtyFourMegabytes(t *testing.T) {
	const keys = 1_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := New(keys, 99)
	runtime.ReadMemStats(&after)
	took := after.HeapAlloc - before.HeapAlloc
	for i := range keys {
		s.Add(s.Key("t", id(i)), start, time.Hour, 1)
	}
	live := 0
	for i := range keys {
		if s.Count(s.Key("t", id(i)), start, time.Hour) == 1 {
			live++
		}
	}
	t.Logf("%d live keys, %d bytes, %.1f a key", live, took, float64(took)/keys)
	if took >= 64_000_000 {
		t.Errorf("%d bytes for %d keys, want below 64,000,000", took, keys)
	}
	if live < keys {
		t.Errorf("%d of %d keys live", live, keys)
	}
}

func TestNoOperationAllocates(t *testing.T) {
	s := New(1000, 1)
	part, other := []byte("192.0.2.1"), []byte("/login")
	i := 0
	got := testing.AllocsPerRun(2000, func() {
		i++
		now := start.Add(time.Duration(i) * time.Millisecond)
		k := s.Key("t", part, other)
		s.Add(k, now, time.Minute, 1)
		s.Take(k, now, time.Hour, 2.5, 1e6)
		s.Count(k, now, time.Minute)
		s.SetBits(k, now, time.Minute, 0, 1)
		s.Bits(k, now)
		s.Pace(k, now, time.Second, 5, 1)
		token, _, _ := s.Hold(k, now, time.Minute, 10)
		s.Release(token, now)
		s.Raise(k, now, time.Hour, 1, 100)
		s.Score(k, now, time.Hour)
		s.Ban(k, now, Growth{First: time.Second, Max: time.Hour, Factor: 2})
		s.Banned(k, now)
		s.Add(s.Key("new", part, []byte{byte(i), byte(i >> 8)}), now, time.Minute, 1)
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestManyGoroutinesCountTogether(t *testing.T) {
	s := New(100, 1)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 2000 {
				s.Add(s.Key("t", id(i%50)), start, time.Hour, 1)
				token, _, _ := s.Hold(s.Key("h", id(i%50)), start, time.Hour, 1e9)
				s.Release(token, start)
			}
		})
	}
	wg.Wait()
	for i := range 50 {
		if got := s.Count(s.Key("t", id(i)), start, time.Hour); got != 320 {
			t.Fatalf("key %d: %v, want 320", i, got)
		}
	}
	check(t, s)
}

func benchmarkKeys(b *testing.B, keys int) {
	s := New(max(keys, 1000), 1)
	ks := make([]Key, keys)
	for i := range ks {
		ks[i] = s.Key("t", id(i))
		s.Add(ks[i], start, time.Hour, 1)
	}
	b.ReportAllocs()
	defer reportCPU(b)()
	b.RunParallel(func(pb *testing.PB) {
		i, x := 0, uint64(88172645463325252)
		part := id(0)
		for pb.Next() {
			i++
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			binary.BigEndian.PutUint64(part, x%uint64(keys))
			s.Take(s.Key("t", part), start.Add(time.Duration(i)*time.Microsecond), time.Hour, 1, 1e12)
		}
	})
}

// reportCPU starts the clock and stops it with the CPU time taken.
func reportCPU(b *testing.B) func() {
	b.ResetTimer()
	before := cpuTime()
	return func() { b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op") }
}

// cpuTime is what this process used: on a busy machine it says more than the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The figures are printed by: go test -run - -bench Take -cpu 1,2 ./daemon/keyed
// The last, one byte at random of as much memory as a million keys take, is
// what of the one before it is the machine's: no table is faster.
func BenchmarkTake(b *testing.B) {
	for _, keys := range []int{1, 1000, 1_000_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) { benchmarkKeys(b, keys) })
	}
	b.Run("one-random-read", benchmarkRandomRead)
}

func benchmarkRandomRead(b *testing.B) {
	memory := make([]bucket, 64_000_000/bucketSize)
	wantHuge(memory)
	for i := range memory {
		memory[i][0].mark = 1
	}
	defer reportCPU(b)()
	b.RunParallel(func(pb *testing.PB) {
		x, sum := uint64(88172645463325252), uint64(0)
		for pb.Next() {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			sum += memory[(x+sum)%uint64(len(memory))][0].mark // each waits for the one before
		}
		randomRead.Add(sum)
	})
}

var randomRead atomic.Uint64

// A new key for each operation, with the store full: the cost of eviction.
func BenchmarkNewKeys(b *testing.B) {
	s := New(100_000, 1)
	part := id(0)
	b.ReportAllocs()
	for i := range b.N {
		binary.BigEndian.PutUint64(part, uint64(i))
		s.Add(s.Key("t", part), start, time.Hour, 1)
	}
}

func BenchmarkResetOfASmallStore(b *testing.B) {
	s := New(1024, 1)
	part := id(0)
	b.ReportAllocs()
	for range b.N {
		s.Add(s.Key("t", part), start, time.Hour, 1)
		s.Reset()
	}
}
