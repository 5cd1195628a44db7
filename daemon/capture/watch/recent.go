package watch

import "container/list"

// recent is a map that forgets what was used least recently past its bound.
type recent[K comparable, V any] struct {
	bound int
	byKey map[K]*list.Element
	order list.List // of *slot[K, V], the latest in front
}

type slot[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](bound int) *recent[K, V] {
	return &recent[K, V]{bound: bound, byKey: map[K]*list.Element{}}
}

// get is the value of k, or nil; it counts as a use.
func (r *recent[K, V]) get(k K) *V {
	e, ok := r.byKey[k]
	if !ok {
		return nil
	}
	r.order.MoveToFront(e)
	return &e.Value.(*slot[K, V]).value
}

// add puts v under a key that is not there and says whether another had to go.
func (r *recent[K, V]) add(k K, v V) (*V, bool) {
	full := len(r.byKey) >= r.bound
	if full {
		last := r.order.Back()
		delete(r.byKey, last.Value.(*slot[K, V]).key)
		r.order.Remove(last)
	}
	s := &slot[K, V]{k, v}
	r.byKey[k] = r.order.PushFront(s)
	return &s.value, full
}

func (r *recent[K, V]) each(f func(*V)) {
	for e := r.order.Back(); e != nil; e = e.Prev() {
		f(&e.Value.(*slot[K, V]).value)
	}
}
