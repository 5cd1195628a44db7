package request

// Bounds of the memory that a request's decodings may take.
const (
	// MaxDerived bounds the bytes of one request's decoded values and layers.
	// Past it, a value's Text is its Raw and it has no further layers.
	MaxDerived = 8 << 20

	firstChunk = 16 << 10
	lastChunk  = 256 << 10
	keepChunks = 512 << 10 // bytes that stay with a pooled request
)

// arena hands out memory that lives until Release.
type arena struct {
	chunks [][]byte // len is what is used
	at     int      // the chunk in use
	spent  int
}

// open returns room for n bytes, empty, to append to; ok is false when the
// request has used up its share.
func (a *arena) open(n int) (b []byte, ok bool) {
	if a.spent+n > MaxDerived {
		return nil, false
	}
	for a.at < len(a.chunks) {
		c := a.chunks[a.at]
		if cap(c)-len(c) >= n {
			return c[len(c) : len(c) : len(c)+n], true
		}
		if a.at+1 == len(a.chunks) {
			break
		}
		a.at++
	}
	size := firstChunk
	if len(a.chunks) > 0 {
		size = min(lastChunk, 2*cap(a.chunks[len(a.chunks)-1]))
	}
	a.chunks = append(a.chunks, make([]byte, 0, max(size, n)))
	a.at = len(a.chunks) - 1
	return a.chunks[a.at][:0:n], true
}

// keep takes what was appended to an opened slice; it must not have outgrown it.
func (a *arena) keep(b []byte) []byte {
	c := a.chunks[a.at]
	a.chunks[a.at] = c[:len(c)+len(b)]
	a.spent += len(b)
	return b[:len(b):len(b)]
}

// copy keeps a copy of b.
func (a *arena) copy(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	if a.at < len(a.chunks) && a.spent+len(b) <= MaxDerived {
		if c := a.chunks[a.at]; cap(c)-len(c) >= len(b) {
			n := len(c)
			c = append(c, b...)
			a.chunks[a.at] = c
			a.spent += len(b)
			return c[n:len(c):len(c)]
		}
	}
	room, ok := a.open(len(b))
	if !ok {
		return nil
	}
	return a.keep(append(room, b...))
}

func (a *arena) reset() {
	kept := 0
	for i := range a.chunks {
		if kept += cap(a.chunks[i]); kept > keepChunks {
			clear(a.chunks[i:])
			a.chunks = a.chunks[:i]
			break
		}
		a.chunks[i] = a.chunks[i][:0]
	}
	a.at, a.spent = 0, 0
}
