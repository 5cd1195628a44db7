package learn

import (
	"math"
	"sort"
	"strings"
)

// scope is the operation a thing belongs to, and how many of its clients make
// a thing count.
type scope struct {
	o     *Options
	crowd *crowd
	need  int
}

func (o *Options) scope(c *crowd) scope { return scope{o, c, o.threshold(len(c.w), c.sampled)} }

// counts says whether enough of the operation's clients sent p.
func (s *scope) counts(p *profile) bool { return p.crowd.of(s.crowd, nil) >= s.need }

// always says whether too few clients of parent left out what c stands for to
// make it optional.
func (s *scope) always(c, parent *crowd) bool {
	return parent.calls() >= enoughCalls && len(c.w) >= s.o.MinClients && c.omitted(parent) < s.o.threshold(len(parent.w), parent.sampled)
}

// kinds are the kinds that count: the one most clients sent, and every other
// that enough of the operation's clients sent.
func (s *scope) kinds(p *profile, groups []uint32) (out []uint32) {
	best, most := uint32(0), 0
	for _, g := range groups {
		n := p.crowd.of(s.crowd, func(w *witness) bool { return w.kinds&g != 0 })
		if n > most {
			best, most = g, n
		}
	}
	for _, g := range groups {
		if g == best || p.crowd.of(s.crowd, func(w *witness) bool { return w.kinds&g != 0 }) >= s.need {
			out = append(out, g)
		}
	}
	return out
}

// own is how many of p's own clients go beyond what narrows it before it is
// given up.
func (s *scope) own(p *profile) int { return s.o.threshold(len(p.crowd.w), p.crowd.sampled) }

// wireTypes are what text can mean in a path, a query, a header or a form.
var wireTypes = []uint32{textInt, textNumber, textBool, anyText &^ (textInt | textNumber | textBool)}

// wire is the schema of a parameter that is text on the wire.
func (s *scope) wire(p *profile, in, name string) object {
	var bits uint32
	for _, k := range s.kinds(p, wireTypes) {
		bits |= k
	}
	var o object
	switch bits {
	case textInt:
		o.set("type", "integer")
		s.bounds(&o, p, in == "path" || isID(name))
	case textNumber, textInt | textNumber:
		o.set("type", "number")
		s.bounds(&o, p, in == "path" || isID(name))
	case textBool:
		o.set("type", "boolean")
	default:
		o.set("type", "string")
		s.str(&o, p)
	}
	s.example(&o, p)
	return o
}

var jsonTypes = []struct {
	kind uint32
	name string
}{{kindObject, "object"}, {kindArray, "array"}, {anyText, "string"}, {kindInt, "integer"}, {kindNumber, "number"}, {kindBool, "boolean"}, {kindNull, "null"}}

// schema is the schema of a place in a JSON body, or a form as a whole.
func (s *scope) schema(sh *shape, name string, form bool) object {
	groups := make([]uint32, len(jsonTypes))
	for i := range jsonTypes {
		groups[i] = jsonTypes[i].kind
	}
	var types list
	var bits uint32
	for _, k := range s.kinds(&sh.profile, groups) {
		bits |= k
	}
	for _, t := range jsonTypes {
		if bits&t.kind != 0 && (t.kind != kindInt || bits&kindNumber == 0) {
			types = append(types, t.name)
		}
	}
	var o object
	switch len(types) {
	case 0:
	case 1:
		o.set("type", types[0])
	default:
		o.set("type", types)
	}
	if bits&kindObject != 0 {
		s.members(&o, sh, form)
	}
	if bits&kindArray != 0 && sh.items != nil && len(sh.items.crowd.w) > 0 {
		o.set("items", s.schema(sh.items, "", false))
	}
	if bits&anyText != 0 && bits&^(anyText|kindNull) == 0 {
		s.str(&o, &sh.profile)
	}
	if bits&(kindInt|kindNumber) != 0 && bits&^(kindInt|kindNumber|kindNull) == 0 {
		s.bounds(&o, &sh.profile, isID(name))
	}
	s.example(&o, &sh.profile)
	return o
}

func (s *scope) members(o *object, sh *shape, form bool) {
	var names []string
	for name, m := range sh.members {
		if s.counts(&m.profile) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	var props object
	var required list
	for _, name := range names {
		m := sh.members[name]
		if s.always(&m.crowd, &sh.crowd) {
			required = append(required, name)
		}
		var schema object
		if form {
			schema = s.wire(&m.profile, "body", name)
		} else {
			schema = s.schema(m, name, false)
		}
		schema.set("x-sallyport", seen(&m.profile))
		props.set(name, schema)
	}
	if len(props) > 0 {
		o.set("properties", props)
	}
	if len(required) > 0 {
		o.set("required", required)
	}
	switch {
	case sh.filled != nil && s.counts(&sh.filled.profile):
		o.set("additionalProperties", s.schema(sh.filled, "", false))
	case s.o.Strict:
		o.set("additionalProperties", false)
	}
}

func seen(p *profile) object {
	return object{{"calls", p.calls}, {"clients", p.clients.Count()}}
}

var formats = []struct {
	kind uint32
	name string
}{{textUUID, "uuid"}, {textDate, "date"}, {textDateTime, "date-time"}, {textEmail, "email"}, {textURI, "uri"}, {textIPv4, "ipv4"}}

// str adds format, enum, lengths or pattern: the first that holds.
func (s *scope) str(o *object, p *profile) {
	need := s.own(p)
	if len(p.crowd.w) < s.o.MinClients {
		return
	}
	for _, f := range formats {
		if p.crowd.of(&p.crowd, func(w *witness) bool { return w.kinds&anyText&^f.kind != 0 }) < need &&
			p.crowd.of(&p.crowd, func(w *witness) bool { return w.kinds&f.kind != 0 }) >= need {
			o.set("format", f.name)
			return
		}
	}
	if values := s.enum(p); len(values) > 0 {
		o.set("enum", values)
		return
	}
	lows, highs := p.ends(func(w *witness) (float64, float64, bool) {
		return float64(w.minLen), float64(w.maxLen), w.lenSet
	})
	if len(lows) < need {
		return
	}
	if lows[need-1] >= 1 {
		o.set("minLength", 1)
	}
	o.set("maxLength", 1<<int(math.Ceil(math.Log2(max(16, 2*highs[need-1])))))
	if pattern := s.pattern(p, need); pattern != "" {
		o.set("pattern", pattern)
	}
}

// pattern is a character class, when what clients send keeps to one.
func (s *scope) pattern(p *profile, need int) string {
	if p.crowd.calls() < 2*enoughCalls {
		return ""
	}
	has := func(bit uint16) bool {
		return p.crowd.of(&p.crowd, func(w *witness) bool { return w.chars&bit != 0 }) >= need
	}
	if has(charOther) {
		return ""
	}
	class := "A-Za-z0-9"
	for _, c := range []struct {
		bit  uint16
		text string
	}{{charUnderscore, "_"}, {charDot, "."}, {charDash, "-"}} {
		if has(c.bit) {
			class += c.text
		}
	}
	return "^[" + class + "]*$"
}

// maxEnum bounds the values of an enum in a document.
const maxEnum = 12

// enum is the list of values, when enough clients sent each of them, too few
// sent any other, and there were ten calls a value.
func (s *scope) enum(p *profile) list {
	if p.open {
		return nil
	}
	need := s.o.threshold(p.clients.Count(), false)
	other := p.spill
	var values list
	for i := range p.choices {
		c := &p.choices[i]
		if c.clients.Count() >= need {
			values = append(values, c.value)
		} else {
			other.Merge(&c.clients)
		}
	}
	if len(values) > maxEnum || other.Count() >= need || p.calls < enoughCalls*uint64(len(values)) {
		return nil
	}
	sort.Slice(values, func(i, j int) bool { return values[i].(string) < values[j].(string) })
	return values
}

// bounds adds minimum and maximum, one power of ten outward: fewer than the
// threshold of clients went beyond what is widened. An id has no maximum.
func (s *scope) bounds(o *object, p *profile, id bool) {
	need := s.own(p)
	lows, highs := p.ends(func(w *witness) (float64, float64, bool) { return w.low, w.high, w.nums })
	if len(lows) < need {
		return
	}
	low, high := lows[need-1], highs[need-1]
	switch {
	case low >= 1 && low == math.Trunc(low) && id:
		o.set("minimum", 1)
	case low >= 0:
		o.set("minimum", 0)
	default:
		o.set("minimum", plain(-powerOfTen(-2*low)))
	}
	if !id {
		if high > 0 {
			o.set("maximum", plain(powerOfTen(2*high)))
		} else {
			o.set("maximum", 0)
		}
	}
}

func powerOfTen(f float64) float64 { return math.Pow(10, math.Ceil(math.Log10(max(f, 1)))) }

// plain writes whole numbers without an exponent.
func plain(f float64) any {
	if math.Abs(f) < 1<<53 {
		return int64(f)
	}
	return f
}

// ends are the lowest values of each client, lowest first, and the highest,
// highest first.
func (p *profile) ends(of func(*witness) (low, high float64, ok bool)) (lows, highs []float64) {
	for i := range p.crowd.w {
		if low, high, ok := of(&p.crowd.w[i]); ok {
			lows, highs = append(lows, low), append(highs, high)
		}
	}
	sort.Float64s(lows)
	sort.Sort(sort.Reverse(sort.Float64Slice(highs)))
	return lows, highs
}

func (s *scope) example(o *object, p *profile) {
	if s.o.Examples && p.example != "" {
		o.set("x-sallyport-example", p.example)
	}
}

// isID says whether a name is an id's: such numbers grow.
func isID(name string) bool {
	l := strings.ToLower(name)
	return l == "id" || strings.HasSuffix(name, "Id") || strings.HasSuffix(name, "ID") || strings.HasSuffix(l, "_id") || strings.HasSuffix(l, "-id") ||
		strings.HasSuffix(l, "timestamp") || l == "ts" || l == "time" || l == "cursor" || l == "offset"
}

// named gives each placeholder of a template a parameter's name: of the
// segment before it in the singular, and id.
func named(template string) (path string, names map[string]string) {
	names = map[string]string{}
	used := map[string]bool{}
	before := ""
	var b strings.Builder
	for i, seg := range strings.Split(template[1:], "/") {
		b.WriteByte('/')
		open, end := strings.IndexByte(seg, '{'), strings.IndexByte(seg, '}')
		if open < 0 || end < open {
			b.WriteString(seg)
			before = seg
			continue
		}
		name := paramName(before, seg[open+1:end])
		for n := 2; used[name]; n++ {
			name = strings.TrimRight(name, "0123456789") + string(rune('0'+min(n, 9)))
		}
		used[name] = true
		names[position(i)] = name
		b.WriteString(seg[:open] + "{" + name + "}" + seg[end+1:])
		before = ""
	}
	return b.String(), names
}

func paramName(before, kind string) string {
	var clean strings.Builder
	upper := false
	for _, c := range []byte(before) {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' && clean.Len() > 0:
			if upper && c >= 'a' {
				c -= 0x20
			}
			clean.WriteByte(c)
			upper = false
		default:
			upper = clean.Len() > 0
		}
	}
	s := clean.String()
	switch {
	case strings.HasSuffix(s, "ies") && len(s) > 4:
		s = s[:len(s)-3] + "y"
	case strings.HasSuffix(s, "sses"), strings.HasSuffix(s, "xes"), strings.HasSuffix(s, "ches"):
		s = s[:len(s)-2]
	case strings.HasSuffix(s, "s") && !strings.HasSuffix(s, "ss") && len(s) > 2:
		s = s[:len(s)-1]
	}
	last := map[string]string{"date": "Date", "name": "Name", "email": "Email"}[kind]
	if last == "" {
		last = "Id"
	}
	if s == "" {
		return strings.ToLower(last)
	}
	return s + last
}

// outline is a template with its placeholders without names: templates of one
// outline are one path to OpenAPI.
func outline(template string) string {
	var b strings.Builder
	inside := false
	for _, c := range []byte(template) {
		switch {
		case c == '{':
			inside = true
			b.WriteString("{}")
		case c == '}':
			inside = false
		case !inside:
			b.WriteByte(c)
		}
	}
	return b.String()
}
