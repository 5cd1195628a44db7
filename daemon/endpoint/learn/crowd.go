package learn

import "math"

// crowdMax is how many clients are told apart per thing.
const crowdMax = 128

// crowd is a sample of the clients that sent a thing: all up to 128, then
// those with the 128 lowest hashes. It takes 48 bytes a client, 6 KB at most.
type crowd struct {
	w       []witness
	highest uint64 // hash, once the crowd is full
	sampled bool   // a client was left out
}

// witness is what one client sent of a thing.
type witness struct {
	hash         uint64
	calls        uint32
	kinds        uint32 // bits: types of a value, credentials of a call
	chars        uint16
	minLen       uint32
	maxLen       uint32
	low, high    float64
	lenSet, nums bool
}

// at finds or makes a client's witness; nil when the client is not in the sample.
func (c *crowd) at(hash uint64) *witness {
	full := len(c.w) == crowdMax
	if full && hash > c.highest {
		c.sampled = true
		return nil
	}
	for i := range c.w {
		if c.w[i].hash == hash {
			return &c.w[i]
		}
	}
	if !full {
		c.w = append(c.w, witness{hash: hash})
		c.findHighest()
		return &c.w[len(c.w)-1]
	}
	c.sampled = true
	for i := range c.w {
		if c.w[i].hash == c.highest {
			c.w[i] = witness{hash: hash}
			c.findHighest()
			return &c.w[i]
		}
	}
	return nil
}

func (c *crowd) findHighest() {
	c.highest = 0
	for i := range c.w {
		c.highest = max(c.highest, c.w[i].hash)
	}
}

// covers says whether a client would be in this crowd's sample.
func (c *crowd) covers(hash uint64) bool { return !c.sampled || hash <= c.highest }

func (c *crowd) find(hash uint64) *witness {
	for i := range c.w {
		if c.w[i].hash == hash {
			return &c.w[i]
		}
	}
	return nil
}

// of counts the clients of c that are in the sample of scope and satisfy is.
func (c *crowd) of(scope *crowd, is func(*witness) bool) (n int) {
	for i := range c.w {
		if scope.covers(c.w[i].hash) && (is == nil || is(&c.w[i])) {
			n++
		}
	}
	return n
}

// omitted counts the clients of scope that at least once did not send what c
// stands for.
func (c *crowd) omitted(scope *crowd) (n int) {
	for i := range scope.w {
		s := &scope.w[i]
		if !c.covers(s.hash) {
			continue
		}
		if w := c.find(s.hash); w == nil || w.calls < s.calls {
			n++
		}
	}
	return n
}

func (c *crowd) calls() (n uint64) {
	for i := range c.w {
		n += uint64(c.w[i].calls)
	}
	return n
}

func (c *crowd) merge(o *crowd) {
	for i := range o.w {
		from := &o.w[i]
		w := c.at(from.hash)
		if w == nil {
			continue
		}
		w.calls += from.calls
		w.kinds |= from.kinds
		w.chars |= from.chars
		if from.lenSet {
			w.length(from.minLen)
			w.length(from.maxLen)
		}
		if from.nums {
			w.number(from.low)
			w.number(from.high)
		}
	}
	c.sampled = c.sampled || o.sampled
}

func (w *witness) length(n uint32) {
	if !w.lenSet {
		w.minLen, w.maxLen, w.lenSet = n, n, true
		return
	}
	w.minLen, w.maxLen = min(w.minLen, n), max(w.maxLen, n)
}

func (w *witness) number(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return
	}
	if !w.nums {
		w.low, w.high, w.nums = f, f, true
		return
	}
	w.low, w.high = min(w.low, f), max(w.high, f)
}
