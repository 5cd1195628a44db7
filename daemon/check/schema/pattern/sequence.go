package pattern

// asciiSet is a set of ASCII characters.
type asciiSet [2]uint64

func (s *asciiSet) add(r rune)           { s[r>>6] |= 1 << (r & 63) }
func (s *asciiSet) has(b byte) bool      { return b < 0x80 && s[b>>6]&(1<<(b&63)) != 0 }
func (s asciiSet) meets(o asciiSet) bool { return s[0]&o[0] != 0 || s[1]&o[1] != 0 }

func single(r rune) *asciiSet {
	if r >= 0x80 {
		return nil
	}
	var s asciiSet
	s.add(r)
	return &s
}

// asciiClass reads the inside of a class in the syntax that the translator
// writes, or answers nil if there is more than ASCII in it.
func asciiClass(s string) *asciiSet {
	var set asciiSet
	in := []rune(s)
	for i := 0; i < len(in); {
		from, next, ok := classRune(in, i)
		if !ok {
			return nil
		}
		to := from
		if next+1 < len(in) && in[next] == '-' {
			if to, next, ok = classRune(in, next+1); !ok {
				return nil
			}
		}
		if to >= 0x80 {
			return nil
		}
		for r := from; r <= to; r++ {
			set.add(r)
		}
		i = next
	}
	return &set
}

func classRune(in []rune, i int) (r rune, next int, ok bool) {
	if in[i] != '\\' {
		return in[i], i + 1, true
	}
	if i+1 >= len(in) {
		return 0, 0, false
	}
	c := in[i+1]
	if c > ' ' && c < 0x7f && !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
		return c, i + 2, true
	}
	return 0, 0, false
}

// item is one step of a sequence: so many characters of a set, or an anchor.
type item struct {
	set      asciiSet
	min, max int // max -1: no bound
	anchor   byte
}

// sequence is the commonest shape of pattern: anchored at both ends, a row of
// ASCII classes with counts, where no step's characters can begin the next
// unless its count is fixed. It matches in one pass without trying again.
type sequence struct{ items []item }

func (t *translator) sequence() *sequence {
	n := len(t.items)
	if !t.plain || n < 2 || t.items[0].anchor != '^' || t.items[n-1].anchor != '$' {
		return nil
	}
	items := t.items[1 : n-1]
	for i, it := range items {
		if it.anchor != 0 {
			return nil
		}
		if it.min == it.max {
			continue
		}
		for _, later := range items[i+1:] {
			if it.set.meets(later.set) {
				return nil
			}
			if later.min > 0 {
				break
			}
		}
	}
	return &sequence{append([]item(nil), items...)}
}

func (q *sequence) match(s []byte) bool {
	at := 0
	for i := range q.items {
		it := &q.items[i]
		n := 0
		for at < len(s) && n != it.max && it.set.has(s[at]) {
			at++
			n++
		}
		if n < it.min {
			return false
		}
	}
	return at == len(s)
}
