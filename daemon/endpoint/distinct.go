package endpoint

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"net/netip"

	"github.com/cespare/xxhash/v2"
)

const (
	exactMax     = 16  // distinct hashes that are counted exactly
	registers    = 128 // HyperLogLog registers after that: standard error 9.2 %
	registerBits = 7
)

// Distinct counts distinct things by their hashes in 136 bytes: exactly up to
// 16, then by HyperLogLog in the same memory (128 registers, standard error
// 1.04/sqrt(128) = 9.2 %). The zero value is empty and ready. The hashes must
// be seeded (see Client), or a client could choose what it is counted as.
//
// It is not safe for concurrent use.
type Distinct struct {
	mem [exactMax]uint64 // exact: the hashes; after that: 128 registers
	n   uint8            // hashes kept; 255 when mem holds registers
}

const sketched = 255

// Client is the hash of a client: an IPv4 address, or the /64 of an IPv6
// address, since one host is commonly given a whole /64.
func Client(a netip.Addr, seed uint64) uint64 {
	a = a.Unmap()
	b := a.As16()
	n := 16
	if a.Is6() {
		n = 8
	}
	var d xxhash.Digest
	d.ResetWithSeed(seed)
	_, _ = d.Write(b[:n])
	return d.Sum64()
}

// Add counts one hash and says whether the count may have changed.
func (d *Distinct) Add(hash uint64) bool {
	if d.n == sketched {
		return d.observe(hash)
	}
	for _, h := range d.mem[:d.n] {
		if h == hash {
			return false
		}
	}
	if d.n < exactMax {
		d.mem[d.n] = hash
		d.n++
		return true
	}
	old := d.mem
	d.mem = [exactMax]uint64{}
	d.n = sketched
	for _, h := range old {
		d.observe(h)
	}
	d.observe(hash)
	return true
}

// observe raises the register that the hash's upper bits name to one more
// than the zeros that lead its other bits.
func (d *Distinct) observe(hash uint64) bool {
	i := hash >> (64 - registerBits)
	rank := uint64(bits.LeadingZeros64(hash<<registerBits|1<<(registerBits-1))) + 1
	word, shift := i/8, i%8*8
	if d.mem[word]>>shift&0xff >= rank {
		return false
	}
	d.mem[word] = d.mem[word]&^(0xff<<shift) | rank<<shift
	return true
}

// Exact says whether Count is exact.
func (d *Distinct) Exact() bool { return d.n != sketched }

// Count is the number of distinct hashes added: exact up to 16, an estimate above.
func (d *Distinct) Count() int {
	if d.n != sketched {
		return int(d.n)
	}
	// The estimator of Ertl, "New cardinality estimation algorithms for
	// HyperLogLog sketches" (2017), algorithm 6: no bias at any size.
	const q = 64 - registerBits
	var hist [q + 2]int
	for _, w := range d.mem {
		for s := 0; s < 64; s += 8 {
			hist[min(w>>s&0xff, q+1)]++
		}
	}
	const m = float64(registers)
	z := m * tau(1-float64(hist[q+1])/m)
	for k := q; k >= 1; k-- {
		z = 0.5 * (z + float64(hist[k]))
	}
	z += m * sigma(float64(hist[0])/m)
	estimate := m * m / (2 * math.Ln2 * z)
	return max(exactMax+1, int(min(estimate, math.MaxInt32)+0.5))
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += x * y
		y += y
		if z == before {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= (1 - x) * (1 - x) * y
		if z == before {
			return z / 3
		}
	}
}

// Merge adds all that o counted.
func (d *Distinct) Merge(o *Distinct) {
	if o.n != sketched {
		for _, h := range o.mem[:o.n] {
			d.Add(h)
		}
		return
	}
	if d.n != sketched {
		old, n := d.mem, d.n
		*d = *o
		for _, h := range old[:n] {
			d.observe(h)
		}
		return
	}
	for w := range d.mem {
		for s := 0; s < 64; s += 8 {
			if a, b := d.mem[w]>>s&0xff, o.mem[w]>>s&0xff; b > a {
				d.mem[w] = d.mem[w]&^(0xff<<s) | b<<s
			}
		}
	}
}

// MarshalBinary is the counter for a state file: 1 to 129 bytes.
func (d Distinct) MarshalBinary() ([]byte, error) {
	words := int(d.n)
	if d.n == sketched {
		words = exactMax
	}
	b := append(make([]byte, 0, 1+8*words), d.n)
	for _, w := range d.mem[:words] {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote and refuses anything else.
func (d *Distinct) UnmarshalBinary(b []byte) error {
	if len(b) == 0 {
		return errors.New("distinct counter: no bytes")
	}
	words := int(b[0])
	if b[0] == sketched {
		words = exactMax
	}
	if words > exactMax || len(b) != 1+8*words {
		return errors.New("distinct counter: length does not fit")
	}
	*d = Distinct{n: b[0]}
	for i := range words {
		d.mem[i] = binary.LittleEndian.Uint64(b[1+8*i:])
	}
	return nil
}
