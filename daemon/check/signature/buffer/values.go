package buffer

import "github.com/sallyport/sallyport/daemon/request"

// MaxValues bounds the values of one request that rules look at, layers
// counted.
const MaxValues = 4096

// clientValues are all values that a client chose (parameters, JSON leaves,
// form fields, cookies, headers, path segments, and their names), each as a
// backend reads it, and again after every further decoding. Without all, only
// those of the part of the request that is being looked at.
func (s *Set) clientValues(all bool) Value {
	r := s.Req.Parsed
	if r == nil {
		return Value{}
	}
	first := len(s.parts)
	if s.head || all {
		s.take(first, r, r.HeadValues())
	}
	if s.bodyToo || all {
		s.take(first, r, r.BodyValues())
	}
	return Value{Many: s.parts[first:len(s.parts):len(s.parts)], Present: len(s.parts) > first}
}

func (s *Set) take(first int, r *request.Request, values []request.Value) {
	for i := range values {
		v := &values[i]
		if len(s.parts)-first >= MaxValues {
			return
		}
		if len(v.Text) > 0 {
			s.parts = append(s.parts, v.Text)
		}
		// A name that is a plain word is no value of its own there, but rules
		// look for class.classLoader and __proto__.
		if v.Part == "" && len(v.Name) > 4 && (v.Kind == request.Query || v.Kind == request.Form || v.Kind == request.Multipart) {
			s.parts = append(s.parts, v.Name)
		}
		for _, l := range r.Layers(v) {
			if len(l.Text) > 0 {
				s.parts = append(s.parts, l.Text)
			}
		}
	}
}
