package endpoint

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

func numbered(i int) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(i))
	return xxhash.Sum64(b[:])
}

func TestSixteenThingsAreCountedExactly(t *testing.T) {
	var d Distinct
	for i := range 16 {
		for range 3 {
			d.Add(numbered(i))
		}
		if d.Count() != i+1 || !d.Exact() {
			t.Fatalf("after %d things: %d, exact %v", i+1, d.Count(), d.Exact())
		}
	}
}

func TestManyThingsAreCountedWithinFourStandardErrors(t *testing.T) {
	for _, n := range []int{17, 50, 128, 300, 500, 1000, 10_000, 1_000_000} {
		var d Distinct
		for i := range n {
			d.Add(numbered(i + n*7))
		}
		if e := math.Abs(float64(d.Count())/float64(n) - 1); e > 4*0.092 {
			t.Errorf("%d things counted as %d, off by %.0f %%", n, d.Count(), 100*e)
		}
	}
}

func TestACounterIs136Bytes(t *testing.T) {
	if n := unsafe.Sizeof(Distinct{}); n != 136 {
		t.Errorf("%d bytes", n)
	}
}

func TestMergedCountersCountTheUnion(t *testing.T) {
	for _, c := range []struct{ a, b int }{{5, 5}, {5, 100}, {100, 5}, {200, 300}} {
		var a, b, union Distinct
		for i := range c.a {
			a.Add(numbered(i))
			union.Add(numbered(i))
		}
		for i := range c.b {
			b.Add(numbered(i + 3))
			union.Add(numbered(i + 3))
		}
		a.Merge(&b)
		if a.Count() != union.Count() {
			t.Errorf("%d and %d: merged %d, counted together %d", c.a, c.b, a.Count(), union.Count())
		}
	}
}

func TestACounterSurvivesAStateFile(t *testing.T) {
	for _, n := range []int{0, 7, 16, 400} {
		var d, back Distinct
		for i := range n {
			d.Add(numbered(i))
		}
		b, _ := d.MarshalBinary()
		if err := back.UnmarshalBinary(b); err != nil || back != d {
			t.Errorf("%d things: %v", n, err)
		}
	}
	for _, bad := range [][]byte{nil, {3}, {17}, {255, 1}} {
		if err := new(Distinct).UnmarshalBinary(bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}

func TestOneIPv6NetworkIsOneClient(t *testing.T) {
	a, b := netip.MustParseAddr("2001:db8:1:2::1"), netip.MustParseAddr("2001:db8:1:2:ffff::9")
	if Client(a, 1) != Client(b, 1) {
		t.Error("two addresses of one /64 are two clients")
	}
	if Client(a, 1) == Client(a, 2) {
		t.Error("the seed makes no difference")
	}
	if Client(netip.MustParseAddr("::ffff:10.0.0.1"), 1) != Client(netip.MustParseAddr("10.0.0.1"), 1) {
		t.Error("a mapped IPv4 address is another client")
	}
}

func BenchmarkDistinctAdd(b *testing.B) {
	var d Distinct
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d.Add(numbered(i & 1023))
		i++
	}
}
