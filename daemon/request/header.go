package request

// Header is the value of the first header of that name, in any case, or nil.
// A header without a value is an empty slice that is not nil.
func (r *Request) Header(name string) []byte {
	for i := range r.Headers {
		if h := &r.Headers[i]; equalFold(h.Name, name) {
			if h.Value == nil {
				return []byte{}
			}
			return h.Value
		}
	}
	return nil
}

// AppendHeader appends every value of the headers of that name to dst.
func (r *Request) AppendHeader(dst [][]byte, name string) [][]byte {
	for i := range r.Headers {
		if h := &r.Headers[i]; equalFold(h.Name, name) {
			dst = append(dst, h.Value)
		}
	}
	return dst
}

// CountHeader is how many headers have that name.
func (r *Request) CountHeader(name string) (n int) {
	for i := range r.Headers {
		if equalFold(r.Headers[i].Name, name) {
			n++
		}
	}
	return n
}

// lower maps ASCII capitals to small letters.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
	}
	for c := byte('A'); c <= 'Z'; c++ {
		t[c] = c | 0x20
	}
	return
}()

// equalFold compares ASCII without case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if lower[b[i]] != lower[s[i]] {
			return false
		}
	}
	return true
}

// lowered is b in lower case: b itself when it is, else a copy.
func (r *Request) lowered(b []byte) []byte {
	i := 0
	for i < len(b) && lower[b[i]] == b[i] {
		i++
	}
	if i == len(b) {
		return b
	}
	room, ok := r.arena.open(len(b))
	if !ok {
		return b
	}
	for _, c := range b {
		room = append(room, lower[c])
	}
	return r.arena.keep(room)
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
