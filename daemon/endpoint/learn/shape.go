package learn

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"sort"
	"strings"

	"github.com/sallyport/sallyport/daemon/endpoint"
	"github.com/sallyport/sallyport/daemon/request"
)

// shape is what is known of a place in a body.
type shape struct {
	profile
	members map[string]*shape
	items   *shape
	// filled stands for all members whose names clients fill in.
	filled *shape
}

// body learns from a call's body.
func (l *Learner) body(op *operation, r *request.Request, client uint64) {
	if !r.Body.Present || len(r.Body.Bytes) == 0 || r.Body.Cut || r.Body.Length > maxBody {
		return
	}
	media := mediaType(r)
	if media == "" {
		return
	}
	if w := op.bodies.at(client); w != nil {
		w.calls++
	}
	s := op.media[media]
	if s == nil {
		if len(op.media) >= maxMedia {
			if !evictMedia(op, &l.budget) {
				l.dropped++
				return
			}
		}
		if s = l.shape(client); s == nil {
			return
		}
		if op.media == nil {
			op.media = map[string]*shape{}
		}
		op.media[media] = s
	}
	l.confirm(&s.profile, client)
	switch body := r.DecodedBody(); {
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		var v any
		if len(body) > maxBody || !shallow(body) || d.Decode(&v) != nil {
			return
		}
		count := 0
		l.value(s, v, client, 0, &count)
	case media == "application/x-www-form-urlencoded":
		r.BodyValues()
		s.note(kindObject, nil, client, false)
		for _, p := range r.Form() {
			if p.Rest {
				break
			}
			if l.goodName(p.Name) && !p.Again {
				if m := l.member(s, string(p.Name), client); m != nil {
					l.confirm(&m.profile, client)
					m.text(p.Value, client, l.examples)
				}
			}
		}
	default:
		s.note(textOther, nil, client, false)
	}
}

// mediaType is the body's type without its parameters; empty when it is none
// that a document would name.
func mediaType(r *request.Request) string {
	m, _, err := mime.ParseMediaType(string(r.Header("content-type")))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || len(m) > maxName || strings.Count(m, "/") != 1 {
		return ""
	}
	return m
}

// shallow refuses bodies that are nested more deeply than is learned, before
// they are decoded.
func shallow(b []byte) bool {
	depth, text := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			if depth++; depth > 4*maxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}

// value learns from a decoded JSON value.
func (l *Learner) value(s *shape, v any, client uint64, depth int, count *int) {
	if *count++; *count > maxValues {
		return
	}
	l.confirm(&s.profile, client)
	switch v := v.(type) {
	case nil:
		s.note(kindNull, nil, client, false)
	case bool:
		s.note(kindBool, nil, client, false)
	case json.Number:
		kind := kindNumber
		if !strings.ContainsAny(v.String(), ".eE") {
			kind = kindInt
		}
		s.note(kind, []byte(v), client, l.examples)
	case string:
		s.text([]byte(v), client, l.examples)
	case []any:
		s.note(kindArray, nil, client, false)
		if depth == maxDepth || len(v) == 0 {
			return
		}
		if s.items == nil {
			if s.items = l.shape(client); s.items == nil {
				return
			}
		}
		for _, e := range v[:min(len(v), maxElements)] {
			l.value(s.items, e, client, depth+1, count)
		}
	case map[string]any:
		s.note(kindObject, nil, client, false)
		if depth == maxDepth {
			return
		}
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names[:min(len(names), 2*maxMembers)] {
			var m *shape
			if l.goodName([]byte(name)) || len(name) <= maxName && strings.Contains(name, " ") && endpoint.Classify([]byte(name)) == endpoint.Text {
				m = l.member(s, name, client)
			} else {
				m = l.filledIn(s, client)
			}
			if m != nil {
				l.value(m, v[name], client, depth+1, count)
			}
		}
	}
}

// shape takes one from the budget; nil when there is none.
func (l *Learner) shape(client uint64) *shape {
	p := l.profile(client)
	if p == nil {
		return nil
	}
	return &shape{profile: *p}
}

func (l *Learner) filledIn(s *shape, client uint64) *shape {
	if s.filled == nil {
		s.filled = l.shape(client)
	}
	return s.filled
}

// member finds or makes a member; one that a single client sent makes room.
func (l *Learner) member(s *shape, name string, client uint64) *shape {
	if m := s.members[name]; m != nil {
		return m
	}
	if len(s.members) >= maxMembers {
		gone := false
		for k, m := range s.members {
			if !m.confirmed {
				delete(s.members, k)
				l.forgetShape(m)
				gone = true
				break
			}
		}
		l.dropped++
		if !gone {
			return nil
		}
	}
	m := l.shape(client)
	if m == nil {
		return nil
	}
	if s.members == nil {
		s.members = map[string]*shape{}
	}
	s.members[name] = m
	return m
}

func (s *shape) merge(o *shape) {
	s.profile.merge(&o.profile)
	for name, from := range o.members {
		if m := s.members[name]; m != nil {
			m.merge(from)
			continue
		}
		if len(s.members) < maxMembers {
			if s.members == nil {
				s.members = map[string]*shape{}
			}
			s.members[name] = from
		}
	}
	for _, pair := range []struct{ to, from **shape }{{&s.items, &o.items}, {&s.filled, &o.filled}} {
		switch {
		case *pair.from == nil:
		case *pair.to == nil:
			*pair.to = *pair.from
		default:
			(*pair.to).merge(*pair.from)
		}
	}
}

// merge adds one operation to another when their templates turn out to be one.
func merge(dst, src *operation) {
	if src.params == nil {
		return
	}
	if dst.params == nil {
		*dst = *src
		return
	}
	dst.crowd.merge(&src.crowd)
	dst.bodies.merge(&src.bodies)
	for k, p := range src.params {
		if d := dst.params[k]; d != nil {
			d.merge(p)
		} else if len(dst.params) < maxParams {
			dst.params[k] = p
		}
	}
	for k, s := range src.media {
		if d := dst.media[k]; d != nil {
			d.merge(s)
		} else if len(dst.media) < maxMedia {
			if dst.media == nil {
				dst.media = map[string]*shape{}
			}
			dst.media[k] = s
		}
	}
	for code, a := range src.statuses {
		if d := dst.statuses[code]; d != nil {
			d.calls += a.calls
			d.clients.Merge(&a.clients)
		} else if len(dst.statuses) < maxStatuses {
			dst.statuses[code] = a
		}
	}
	dst.ended += src.ended
	dst.failed += src.failed
}
