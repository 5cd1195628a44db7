package jsonschema

import "bytes"

func (in *Instance) objectOK(s *Schema, i int32) bool {
	n := &in.nodes[i]
	ok := true
	if s.minProps >= 0 || s.maxProps >= 0 {
		count := int64(in.distinct(i))
		if count < s.minProps {
			ok = in.failCount(s, i, "minProperties", "at least ", s.minProps, count, " members")
		}
		if s.maxProps >= 0 && count > s.maxProps {
			ok = in.failCount(s, i, "maxProperties", "at most ", s.maxProps, count, " members") && ok
		}
		if !ok && in.eval.errs == nil {
			return false
		}
	}
	if s.props != nil || s.additional != nil || s.patterns != nil || s.names != nil {
		ok = in.membersOK(s, i) && ok
		if !ok && in.eval.errs == nil {
			return false
		}
	}
	if s.dependent != nil {
		for c := i + 1; c < n.end; c = in.nodes[c].end {
			if dep := s.dependent[string(in.nodes[c].key)]; dep != nil && !in.dependencyOK(s, dep, i, c) {
				if in.eval.errs == nil {
					return false
				}
				ok = false
			}
		}
	}
	if s.unevaluatedProps != nil && (ok || in.eval.errs != nil) {
		ok = in.unevaluatedPropsOK(s, i) && ok
	}
	return ok
}

// distinct counts an object's names, a repeated one once.
func (in *Instance) distinct(i int32) int {
	n := &in.nodes[i]
	if n.count > 64 {
		seen := make(map[string]struct{}, n.count)
		for c := i + 1; c < n.end; c = in.nodes[c].end {
			seen[string(in.nodes[c].key)] = struct{}{}
		}
		return len(seen)
	}
	count := 0
	for c := i + 1; c < n.end; c = in.nodes[c].end {
		repeated := false
		for b := i + 1; b < c; b = in.nodes[b].end {
			if bytes.Equal(in.nodes[b].key, in.nodes[c].key) {
				repeated = true
				break
			}
		}
		if !repeated {
			count++
		}
	}
	return count
}

func (in *Instance) membersOK(s *Schema, i int32) bool {
	n := &in.nodes[i]
	ok := true
	var seen uint64
	for c := i + 1; c < n.end; c = in.nodes[c].end {
		key := in.nodes[c].key
		p, known := s.props[string(key)]
		if known && p.must >= 0 && p.must < 64 {
			seen |= 1 << p.must
		}
		if p.readOnly && len(in.eval.readOnly) < 8 {
			in.eval.readOnly = append(in.eval.readOnly, c)
		}
		known = known && p.schema != nil
		good := !known || in.child(p.schema, c)
		for k := range s.patterns {
			if s.patterns[k].pattern.Match(key) {
				known = true
				good = in.child(s.patterns[k].schema, c) && good
			}
		}
		if !known && s.additional != nil && !s.additional.always {
			if s.additional.never {
				good = in.fail(s, c, "additionalProperties", "no members beyond those of the schema", "") && good
			} else {
				good = in.child(s.additional, c) && good
			}
		}
		if s.names != nil && good {
			good = in.nameOK(s, c)
		}
		if !good {
			if in.eval.errs == nil {
				return false
			}
			ok = false
		}
	}
	return in.requiredOK(s, i, seen) && ok
}

func (in *Instance) requiredOK(s *Schema, i int32, seen uint64) bool {
	k := len(s.required)
	if k == 0 || k < 64 && seen == 1<<k-1 {
		return true
	}
	ok := true
	for j, name := range s.required {
		if j < 64 && seen&(1<<j) != 0 || j >= 64 && in.member(i, name) >= 0 {
			continue
		}
		if in.readOnlyElsewhere(i, name) {
			continue
		}
		ok = in.fail(s, i, "required", name, name)
		if in.eval.errs == nil {
			return false
		}
	}
	return ok
}

// readOnlyElsewhere says that a schema which judges the same object through
// allOf or a reference declares the missing property readOnly.
func (in *Instance) readOnlyElsewhere(i int32, name string) bool {
	frames := in.eval.frames
	for k := len(frames) - 1; k >= 0 && frames[k].at == i; k-- {
		if frames[k].schema.declaresReadOnly(name, 0) {
			return true
		}
	}
	return false
}

func (s *Schema) declaresReadOnly(name string, depth int) bool {
	if s == nil || depth > 10 {
		return false
	}
	if p, ok := s.props[name]; ok && p.schema != nil && p.schema.isReadOnly(0) {
		return true
	}
	if s.ref.declaresReadOnly(name, depth+1) {
		return true
	}
	for _, b := range s.allOf {
		if b.declaresReadOnly(name, depth+1) {
			return true
		}
	}
	return false
}

func (s *Schema) isReadOnly(depth int) bool {
	return s != nil && depth < 10 && (s.readOnly || s.ref.isReadOnly(depth+1))
}

// member finds a member by name, the last of repeated ones, or answers -1.
func (in *Instance) member(i int32, name string) int32 {
	found := int32(-1)
	for c := i + 1; c < in.nodes[i].end; c = in.nodes[c].end {
		if string(in.nodes[c].key) == name {
			found = c
		}
	}
	return found
}

// nameOK judges a member's name as a string of its own.
func (in *Instance) nameOK(s *Schema, c int32) bool {
	mark := len(in.nodes)
	in.nodes = append(in.nodes, node{kind: kindString, text: in.nodes[c].key, end: int32(mark + 1)})
	errs, used := in.eval.errs, in.eval.used
	in.eval.errs, in.eval.used = nil, -1<<40 // the node is another name's the next time
	ok := in.check(s.names, int32(mark))
	in.eval.errs, in.eval.used = errs, used
	in.nodes = in.nodes[:mark]
	if !ok {
		return in.fail(s, c, "propertyNames", "another name", "")
	}
	return true
}

func (in *Instance) dependencyOK(s *Schema, dep *dependency, i, c int32) bool {
	ok := true
	for _, name := range dep.required {
		if in.member(i, name) < 0 {
			ok = in.fail(s, i, "dependentRequired", name+", because "+string(in.nodes[c].key)+" is there", name)
		}
	}
	return (dep.schema == nil || in.check(dep.schema, i)) && ok
}

// ReadOnly says where the last judgement met members that are readOnly, at
// most 8 of them. One may stand in an alternative that does not apply.
func (in *Instance) ReadOnly() (pointers []string) {
	for _, i := range in.eval.readOnly {
		pointers = append(pointers, in.pointer(i))
	}
	return pointers
}
