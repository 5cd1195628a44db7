package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// expectedKeys says which keys may stand where an unknown one does, and which
// of them was probably meant.
func expectedKeys(key toml.Key) string {
	known := keysOf(reflect.TypeOf(Settings{}), key[:len(key)-1])
	if len(known) == 0 {
		return "one of the keys in the reference, see `sallyport check --reference`"
	}
	last := key[len(key)-1]
	best, distance := "", 3
	for _, k := range known {
		if d := edits(last, k); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return strconv.Quote(best) + " or another of " + strings.Join(known, ", ")
	}
	return "one of " + strings.Join(known, ", ")
}

// keysOf are the keys of the table that path leads to, none when it leads nowhere.
func keysOf(t reflect.Type, path toml.Key) []string {
	for i, part := range path {
		if part == "check" && i+1 < len(path) {
			e := find(path[i+1])
			if e == nil {
				return nil
			}
			known := keysOf(reflect.TypeOf(e.defaults()), path[i+2:])
			if i+2 == len(path) {
				known = append(known, "mode")
			}
			return known
		}
		if len(path) == 1 {
			for _, o := range otherTables() {
				if o.name == "["+part+"]" {
					return keysOf(reflect.TypeOf(o.defaults), nil)
				}
			}
		}
		var ok bool
		if t, ok = fields(t)[part]; !ok {
			return nil
		}
	}
	var out []string
	for name := range fields(t) {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// fields are the TOML keys of a struct, behind pointers and lists.
func fields(t reflect.Type) map[string]reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	out := map[string]reflect.Type{}
	if t.Kind() != reflect.Struct {
		return out
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		switch {
		case f.Anonymous && name == "":
			for k, v := range fields(f.Type) {
				out[k] = v
			}
		case name != "" && name != "-":
			out[name] = f.Type
		}
	}
	return out
}

// edits is how many letters must be put in, taken out, changed or swapped with
// their neighbour to make b of a (the restricted edit distance).
func edits(a, b string) int {
	row := func() []int { return make([]int, len(b)+1) }
	before, last, now := row(), row(), row()
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
