package jsonschema

import (
	"unicode/utf8"
)

// A judgement may visit freeSteps schemas and stepsPerValue more for each value
// of the instance. A schema that multiplies (alternatives within alternatives)
// on a hostile instance ends there, and the instance is taken as invalid. From
// memoSteps on, what was found out once is remembered, so that alternatives
// that share their parts do not multiply; maxMemo bounds that.
const (
	freeSteps     = 50_000
	stepsPerValue = 40
	memoSteps     = 4_000 // and 8 for each value
	maxMemo       = 1 << 15
	errorSteps    = 20_000 // to explain a no
)

// maxFrames bounds the schemas within each other, which recursive schemas and
// references in circles could else make endless.
const maxFrames = 2000

// evaluator walks a schema and an instance together.
type evaluator struct {
	steps  int // left
	used   int
	frames []frame
	errs   *collector // nil: only yes or no is asked
	memo   map[memoKey]bool
	// readOnly are the readOnly members met, at most 8.
	readOnly []int32
}

type memoKey struct {
	schema *Schema
	at     int32
	kind   kind
}

func (in *Instance) start(steps int, errs *collector) {
	e := &in.eval
	e.steps, e.used, e.errs, e.frames = steps, -8*len(in.nodes), errs, e.frames[:0]
	clear(e.memo)
	e.readOnly = e.readOnly[:0]
}

type frame struct {
	schema *Schema
	at     int32
}

// Valid says whether the instance is one of the schema's.
func (s *Schema) Valid(in *Instance) bool { return s.ValidAt(in, 0) }

// ValidAt judges the value that begins at a node, as Mark gave it.
func (s *Schema) ValidAt(in *Instance, at int) bool {
	if s.always || at >= len(in.nodes) {
		return s.always
	}
	in.start(freeSteps+stepsPerValue*len(in.nodes), nil)
	return in.check(s, int32(at))
}

// check judges one node, text in each of the ways it can be read.
func (in *Instance) check(s *Schema, i int32) bool {
	if s.always {
		return true
	}
	n := &in.nodes[i]
	if n.kind != kindText {
		return in.judge(s, i)
	}
	return in.checkText(s, i)
}

func (in *Instance) checkText(s *Schema, i int32) bool {
	n := &in.nodes[i]
	errs := in.eval.errs
	in.eval.errs = nil
	defer func() { in.nodes[i].kind, in.eval.errs = kindText, errs }()
	accepts := s.accepts(0)
	if accepts&(typeNumber|typeInteger) != 0 && isNumber(n.text) {
		n.kind = kindNumber
		if in.judge(s, i) {
			return true
		}
	}
	if accepts&typeBool != 0 {
		if n.truth = string(n.text) == "true"; n.truth || string(n.text) == "false" {
			n.kind = kindBool
			if in.judge(s, i) {
				return true
			}
		}
	}
	if accepts&typeNull != 0 && (len(n.text) == 0 || string(n.text) == "null") {
		n.kind = kindNull
		if in.judge(s, i) {
			return true
		}
	}
	n.kind = kindString
	if in.judge(s, i) {
		return true
	}
	if errs != nil {
		if accepts&typeString == 0 {
			switch {
			case isNumber(n.text):
				n.kind = kindNumber
			case string(n.text) == "true" || string(n.text) == "false":
				n.kind = kindBool
			}
		}
		in.eval.errs = errs
		in.judge(s, i)
	}
	return false
}

func isNumber(s []byte) bool {
	if len(s) == 0 || (s[0] != '-' && (s[0] < '0' || s[0] > '9')) {
		return false
	}
	probe := Instance{text: s}
	return probe.number(nil) == nil && probe.at == len(s)
}

// judge applies every keyword of s to node i. Without a collector it stops at
// the first that fails.
func (in *Instance) judge(s *Schema, i int32) bool {
	if s.always {
		return true
	}
	e := &in.eval
	if e.steps--; e.steps < 0 {
		return in.fail(s, i, "", "a value that can be judged in bounded time", "")
	}
	if e.used++; e.used > memoSteps && e.errs == nil && s.memorable {
		return in.remembered(s, i)
	}
	return in.judgeAnew(s, i)
}

// remembered answers what was found out before of s and i.
func (in *Instance) remembered(s *Schema, i int32) bool {
	e := &in.eval
	key := memoKey{s, i, in.nodes[i].kind}
	if ok, known := e.memo[key]; known {
		return ok
	}
	ok := in.judgeAnew(s, i)
	if e.memo == nil {
		e.memo = map[memoKey]bool{}
	}
	if len(e.memo) < maxMemo {
		e.memo[key] = ok
	}
	return ok
}

func (in *Instance) judgeAnew(s *Schema, i int32) bool {
	e := &in.eval
	if s.never {
		return in.fail(s, i, "false", "nothing here", "")
	}
	if s.scoped {
		if len(e.frames) >= maxFrames {
			return in.fail(s, i, "$ref", "a value that references do not nest endlessly for", "")
		}
		e.frames = append(e.frames, frame{s, i})
		ok := in.keywords(s, i)
		e.frames = e.frames[:len(e.frames)-1]
		return ok
	}
	return in.keywords(s, i)
}

func (in *Instance) keywords(s *Schema, i int32) bool {
	n := &in.nodes[i]
	ok := true
	if s.types != typeAny && !in.typeOK(s, n) {
		if in.fail(s, i, "type", "", ""); in.eval.errs == nil {
			return false
		}
		return false // the other keywords would only repeat it
	}
	if s.external != nil && !s.external(in, i) {
		return in.fail(s, i, "$ref", "a schema", "")
	}
	if s.ref != nil {
		target := s.ref
		if s.dynamic != "" {
			target = in.dynamicTarget(s)
		}
		if !in.check(target, i) {
			if in.eval.errs == nil {
				return false
			}
			ok = false
		}
	}
	if (s.enum != nil || s.constant != nil) && !in.listedValue(s, i) {
		if in.eval.errs == nil {
			return false
		}
		ok = false
	}
	switch n.kind {
	case kindNumber:
		ok = (!s.numeric || in.numberOK(s, i)) && ok
	case kindString:
		ok = (!s.textual || in.stringOK(s, i)) && ok
	case kindArray:
		ok = (!s.listed || in.arrayOK(s, i)) && ok
	case kindObject:
		ok = in.objectOK(s, i) && ok
	}
	if !ok && in.eval.errs == nil {
		return false
	}
	return in.combinationsOK(s, i) && ok
}

// dynamicTarget is the outermost schema of the dynamic scope with the anchor.
func (in *Instance) dynamicTarget(s *Schema) *Schema {
	name := s.dynamic
	if name == recursive {
		name = ""
	}
	for _, f := range in.eval.frames {
		if f.schema.resource != nil {
			if t, ok := f.schema.resource.anchors[name]; ok {
				return t
			}
		}
	}
	return s.ref
}

func (in *Instance) typeOK(s *Schema, n *node) bool {
	switch n.kind {
	case kindNull:
		return s.types&typeNull != 0
	case kindBool:
		return s.types&typeBool != 0
	case kindNumber:
		return s.types&typeNumber != 0 || s.types&typeInteger != 0 && wholeNumber(n.text)
	case kindString:
		return s.types&typeString != 0
	case kindArray:
		return s.types&typeArray != 0
	}
	return s.types&typeObject != 0
}

func wholeNumber(text []byte) bool {
	for i, c := range text {
		if (c < '0' || c > '9') && !(c == '-' && i == 0) {
			return parseDecimal(text).integer()
		}
	}
	return true
}

func (in *Instance) listedValue(s *Schema, i int32) bool {
	n := &in.nodes[i]
	ok := true
	if s.constant != nil && !in.equalsConstant(i, s.constant) {
		ok = in.fail(s, i, "const", "", "")
	}
	if s.enum == nil {
		return ok
	}
	if s.enumText != nil {
		if n.kind != kindString || !s.enumText[string(n.text)] {
			return in.fail(s, i, "enum", "", "")
		}
		return ok
	}
	for _, v := range s.enum {
		if in.equalsConstant(i, v) {
			return ok
		}
	}
	return in.fail(s, i, "enum", "", "")
}

func (in *Instance) numberOK(s *Schema, i int32) bool {
	d := parseDecimal(in.nodes[i].text)
	ok := true
	if s.min != nil {
		if c := d.compare(*s.min); c < 0 || c == 0 && s.exMin {
			ok = in.fail(s, i, "minimum", limit(s.exMin, "above ", "at least ", s.min), "")
		}
	}
	if s.max != nil {
		if c := d.compare(*s.max); c > 0 || c == 0 && s.exMax {
			ok = in.fail(s, i, "maximum", limit(s.exMax, "below ", "at most ", s.max), "") && ok
		}
	}
	if s.exMin2 != nil && d.compare(*s.exMin2) <= 0 {
		ok = in.fail(s, i, "exclusiveMinimum", limit(true, "above ", "", s.exMin2), "") && ok
	}
	if s.exMax2 != nil && d.compare(*s.exMax2) >= 0 {
		ok = in.fail(s, i, "exclusiveMaximum", limit(true, "below ", "", s.exMax2), "") && ok
	}
	if s.multipleOf != nil && !d.multipleOf(*s.multipleOf) {
		ok = in.fail(s, i, "multipleOf", limit(true, "a multiple of ", "", s.multipleOf), "") && ok
	}
	if s.intBounded && !inRange(d, s) {
		ok = in.fail(s, i, "format", s.formatName, "") && ok
	}
	return ok
}

// inRange holds the integer formats: a fraction is another keyword's matter.
func inRange(d decimal, s *Schema) bool {
	if d.small && d.scale == 0 {
		return d.coef >= s.intMin && d.coef <= s.intMax
	}
	low, high := decimal{small: true, coef: s.intMin}, decimal{small: true, coef: s.intMax}
	return d.compare(low) >= 0 && d.compare(high) <= 0
}

func (in *Instance) stringOK(s *Schema, i int32) bool {
	text := in.nodes[i].text
	ok := true
	if s.minLen >= 0 || s.maxLen >= 0 {
		length := int64(utf8.RuneCount(text))
		if length < s.minLen {
			ok = in.failCount(s, i, "minLength", "at least ", s.minLen, length, " characters")
		}
		if s.maxLen >= 0 && length > s.maxLen {
			ok = in.failCount(s, i, "maxLength", "at most ", s.maxLen, length, " characters") && ok
		}
	}
	if s.pattern != nil && (ok || in.eval.errs != nil) && !s.pattern.Match(text) {
		ok = in.fail(s, i, "pattern", "", "") && ok
	}
	if s.format != nil && (ok || in.eval.errs != nil) && !s.format.ok(text) {
		ok = in.fail(s, i, "format", s.formatName, "") && ok
	}
	return ok
}

func (in *Instance) arrayOK(s *Schema, i int32) bool {
	n := &in.nodes[i]
	ok := true
	if s.minItems >= 0 && int64(n.count) < s.minItems {
		ok = in.failCount(s, i, "minItems", "at least ", s.minItems, int64(n.count), " items")
	}
	if s.maxItems >= 0 && int64(n.count) > s.maxItems {
		ok = in.failCount(s, i, "maxItems", "at most ", s.maxItems, int64(n.count), " items") && ok
	}
	if !ok && in.eval.errs == nil {
		return false
	}
	if s.prefix != nil || s.items != nil {
		k := 0
		for c := i + 1; c < n.end; c = in.nodes[c].end {
			sub := s.items
			if k < len(s.prefix) {
				sub = s.prefix[k]
			}
			if sub != nil && !in.child(sub, c) {
				if in.eval.errs == nil {
					return false
				}
				ok = false
			}
			k++
		}
	}
	if s.contains != nil && !in.containsOK(s, i) {
		ok = false
	}
	if s.unique && (ok || in.eval.errs != nil) && !in.uniqueItems(i) {
		ok = in.fail(s, i, "uniqueItems", "items that differ from each other", "") && ok
	}
	if s.unevaluatedItems != nil && (ok || in.eval.errs != nil) {
		ok = in.unevaluatedItemsOK(s, i) && ok
	}
	return ok
}

// child judges a member or an item.
func (in *Instance) child(s *Schema, c int32) bool { return in.check(s, c) }

func (in *Instance) containsOK(s *Schema, i int32) bool {
	errs := in.eval.errs
	in.eval.errs = nil
	found := int64(0)
	for c := i + 1; c < in.nodes[i].end; c = in.nodes[c].end {
		if in.check(s.contains, c) {
			found++
		}
	}
	in.eval.errs = errs
	least := max(s.minContains, 0)
	if s.minContains < 0 {
		least = 1
	}
	if found < least {
		return in.failCount(s, i, "contains", "at least ", least, found, " items of the kind asked for")
	}
	if s.maxContains >= 0 && found > s.maxContains {
		return in.failCount(s, i, "maxContains", "at most ", s.maxContains, found, " items of the kind asked for")
	}
	return true
}

func (in *Instance) combinationsOK(s *Schema, i int32) bool {
	e := &in.eval
	ok := true
	for _, b := range s.allOf {
		if !in.check(b, i) {
			if e.errs == nil {
				return false
			}
			ok = false
		}
	}
	if s.anyOf != nil && !in.anyOf(s, i) {
		ok = false
	}
	if s.oneOf != nil && (ok || e.errs != nil) && !in.oneOf(s, i) {
		ok = false
	}
	if s.not == nil && s.cond == nil || !ok && e.errs == nil {
		return ok
	}
	errs := e.errs
	e.errs = nil
	refused := s.not != nil && in.check(s.not, i)
	branch := s.then
	if s.cond != nil && !in.check(s.cond, i) {
		branch = s.els
	}
	e.errs = errs
	if refused {
		ok = in.fail(s, i, "not", "a value that the schema under not refuses", "")
	}
	if s.cond != nil && branch != nil && !in.check(branch, i) {
		ok = false
	}
	return ok
}

func (in *Instance) anyOf(s *Schema, i int32) bool {
	errs := in.eval.errs
	in.eval.errs = nil
	for _, b := range s.anyOf {
		if in.check(b, i) {
			in.eval.errs = errs
			return true
		}
	}
	in.eval.errs = errs
	return in.failBranches(s, s.anyOf, i, "anyOf", "a value that one of the alternatives accepts")
}

func (in *Instance) oneOf(s *Schema, i int32) bool {
	errs := in.eval.errs
	in.eval.errs = nil
	fits := 0
	for _, b := range s.oneOf {
		if in.check(b, i) {
			if fits++; fits > 1 {
				break
			}
		}
	}
	in.eval.errs = errs
	switch fits {
	case 1:
		return true
	case 0:
		return in.failBranches(s, s.oneOf, i, "oneOf", "a value that one of the alternatives accepts")
	}
	return in.fail(s, i, "oneOf", "a value that exactly one of the alternatives accepts, not two", "")
}
