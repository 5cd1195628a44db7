package jsonschema

// The members and items that no keyword beside unevaluated* looked at are
// found after the fact: by walking the schemas that judge the same value and
// succeed. It costs a second look, at schemas with these keywords alone.

func (in *Instance) unevaluatedPropsOK(s *Schema, i int32) bool {
	return in.unevaluatedOK(s, s.unevaluatedProps, i, "unevaluatedProperties", "no members beyond those of the schema")
}

func (in *Instance) unevaluatedItemsOK(s *Schema, i int32) bool {
	return in.unevaluatedOK(s, s.unevaluatedItems, i, "unevaluatedItems", "no items beyond those of the schema")
}

// unevaluatedOK holds the children of node i that nothing else in s looked at
// against rest, the schema of keyword.
func (in *Instance) unevaluatedOK(s, rest *Schema, i int32, keyword, expected string) bool {
	if rest.always {
		return true
	}
	ok := true
	seen := map[int32]bool{}
	in.evaluated(s, i, seen, true)
	for c := i + 1; c < in.nodes[i].end; c = in.nodes[c].end {
		if seen[c] {
			continue
		}
		if rest.never {
			ok = in.fail(s, c, keyword, expected, "")
		} else {
			ok = in.check(rest, c) && ok
		}
		if !ok && in.eval.errs == nil {
			return false
		}
	}
	return ok
}

// evaluated marks the children of node i that s, which accepts i, looks at.
// self says that s is the schema that asks: its own unevaluated* are not counted.
func (in *Instance) evaluated(s *Schema, i int32, seen map[int32]bool, self bool) {
	e := &in.eval
	if e.steps--; e.steps < 0 || len(e.frames) >= maxFrames {
		return
	}
	e.frames = append(e.frames, frame{s, i})
	defer func() { e.frames = e.frames[:len(e.frames)-1] }()
	switch in.nodes[i].kind {
	case kindObject:
		in.evaluatedMembers(s, i, seen, self)
	case kindArray:
		in.evaluatedItems(s, i, seen, self)
	}
	errs := e.errs
	e.errs = nil
	defer func() { e.errs = errs }()
	branch := func(b *Schema) {
		if b != nil && in.check(b, i) {
			in.evaluated(b, i, seen, false)
		}
	}
	if s.ref != nil {
		target := s.ref
		if s.dynamic != "" {
			target = in.dynamicTarget(s)
		}
		branch(target)
	}
	for _, list := range [][]*Schema{s.allOf, s.anyOf, s.oneOf} {
		for _, b := range list {
			branch(b)
		}
	}
	if s.cond != nil {
		if in.check(s.cond, i) {
			in.evaluated(s.cond, i, seen, false)
			branch(s.then)
		} else {
			branch(s.els)
		}
	}
	if in.nodes[i].kind == kindObject {
		for name, dep := range s.dependent {
			if dep.schema != nil && in.member(i, name) >= 0 {
				branch(dep.schema)
			}
		}
	}
}

func (in *Instance) evaluatedMembers(s *Schema, i int32, seen map[int32]bool, self bool) {
	all := s.additional != nil || s.unevaluatedProps != nil && !self
	for c := i + 1; c < in.nodes[i].end; c = in.nodes[c].end {
		key := in.nodes[c].key
		if p, ok := s.props[string(key)]; ok && p.schema != nil || all {
			seen[c] = true
			continue
		}
		for k := range s.patterns {
			if s.patterns[k].pattern.Match(key) {
				seen[c] = true
			}
		}
	}
}

func (in *Instance) evaluatedItems(s *Schema, i int32, seen map[int32]bool, self bool) {
	all := s.items != nil || s.unevaluatedItems != nil && !self
	k := 0
	for c := i + 1; c < in.nodes[i].end; c = in.nodes[c].end {
		if all || k < len(s.prefix) {
			seen[c] = true
		} else if s.contains != nil && s.containsEvaluates {
			errs := in.eval.errs
			in.eval.errs = nil
			if in.check(s.contains, c) {
				seen[c] = true
			}
			in.eval.errs = errs
		}
		k++
	}
}
