package jsonschema

import (
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
)

// Error is one reason why an instance is none of its schema's.
type Error struct {
	// Pointer is the value's place, a JSON pointer (RFC 6901) from the root.
	Pointer string
	// Keyword is the schema's keyword that failed, "type" or "required".
	Keyword string
	// At is the schema's place, "file:line:column".
	At string
	// Want is what the keyword asks for; Got the value, if it is at most MaxGot
	// bytes of plain text, else what it is.
	Want, Got string
	// Member is the name of the missing member, for required.
	Member string
}

// MaxGot is the longest value, in bytes, that an Error shows.
const MaxGot = 64

// collector gathers errors, as many as asked for.
type collector struct {
	errs []Error
	most int
}

// Errors says why the value at a node is none of the schema's, in at most most
// errors; none when it is one.
func (s *Schema) Errors(in *Instance, at, most int) []Error {
	if s.always || at >= len(in.nodes) {
		return nil
	}
	c := &collector{most: most}
	in.start(errorSteps+stepsPerValue*len(in.nodes), c)
	in.check(s, int32(at))
	in.eval.errs = nil
	for k := range c.errs {
		c.errs[k].Pointer = strings.TrimPrefix(c.errs[k].Pointer, in.pointer(int32(at)))
	}
	return c.errs
}

// fail records why, and answers false.
func (in *Instance) fail(s *Schema, i int32, keyword, want, member string) bool {
	c := in.eval.errs
	if c == nil || len(c.errs) >= c.most {
		return false
	}
	switch keyword {
	case "type":
		want = s.typeText
	case "enum":
		want = "one of " + listing(s.enum)
	case "const":
		want = listing([]*document.Node{s.constant})
	case "pattern":
		want = "a match of " + s.pattern.String()
	case "format":
		want = "the format " + want
	case "required":
		want = "the member " + want
	}
	c.errs = append(c.errs, Error{
		Pointer: in.pointer(i), Keyword: keyword, At: s.at, Want: want, Got: in.show(i), Member: member,
	})
	return false
}

func (in *Instance) failCount(s *Schema, i int32, keyword, relation string, want, got int64, unit string) bool {
	c := in.eval.errs
	if c == nil || len(c.errs) >= c.most {
		return false
	}
	c.errs = append(c.errs, Error{
		Pointer: in.pointer(i), Keyword: keyword, At: s.at,
		Want: relation + strconv.FormatInt(want, 10) + unit, Got: strconv.FormatInt(got, 10) + unit,
	})
	return false
}

// failBranches explains alternatives by the one that came nearest: whose
// errors lie deepest in the value.
func (in *Instance) failBranches(s *Schema, branches []*Schema, i int32, keyword, want string) bool {
	errs := in.eval.errs
	if errs == nil {
		return false
	}
	var best []Error
	depth := -1
	for k, b := range branches {
		if k == 8 {
			break
		}
		sub := &collector{most: 2}
		in.eval.errs = sub
		in.check(b, i)
		in.eval.errs = errs
		if len(sub.errs) == 0 {
			continue
		}
		d := 2 * strings.Count(sub.errs[0].Pointer, "/")
		if sub.errs[0].Keyword != "type" {
			d++
		}
		if d > depth {
			best, depth = sub.errs, d
		}
	}
	if len(best) > 0 && (len(branches) == 1 || depth > 2*strings.Count(in.pointer(i), "/")) {
		if room := errs.most - len(errs.errs); room > 0 {
			errs.errs = append(errs.errs, best[:min(room, len(best))]...)
		}
		return false
	}
	return in.fail(s, i, keyword, want, "")
}

// pointer finds the way from the root to a node.
func (in *Instance) pointer(target int32) string {
	var b strings.Builder
	at := int32(0)
	for at < target && int(target) < len(in.nodes) {
		k := 0
		next := int32(-1)
		for c := at + 1; c < in.nodes[at].end; c = in.nodes[c].end {
			if c <= target && target < in.nodes[c].end {
				next = c
				break
			}
			k++
		}
		if next < 0 {
			break
		}
		b.WriteByte('/')
		if in.nodes[at].kind == kindArray {
			b.WriteString(strconv.Itoa(k))
		} else {
			b.WriteString(document.EscapeToken(string(in.nodes[next].key)))
		}
		at = next
	}
	return b.String()
}

// show writes a value for a person.
func (in *Instance) show(i int32) string {
	n := &in.nodes[i]
	switch n.kind {
	case kindNull:
		return "null"
	case kindBool:
		return strconv.FormatBool(n.truth)
	case kindNumber:
		if len(n.text) > MaxGot {
			return "number of " + strconv.Itoa(len(n.text)) + " digits"
		}
		return string(n.text)
	case kindArray:
		return "array of " + strconv.Itoa(int(n.count))
	case kindObject:
		return "object of " + strconv.Itoa(int(n.count))
	}
	if !plainASCII(n.text) {
		return "string of " + strconv.Itoa(len(n.text)) + " bytes"
	}
	return `"` + string(n.text) + `"`
}

// plainASCII says that a text can be shown as it is and whole. What cannot is
// described instead: cut or escaped it would slip past those who look for
// secrets in messages.
func plainASCII(s []byte) bool {
	for _, c := range s {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return len(s) <= MaxGot
}

func listing(values []*document.Node) string {
	var b strings.Builder
	for k, v := range values {
		if k > 0 {
			b.WriteString(", ")
		}
		if k == 12 || b.Len() > 160 {
			b.WriteString("... (" + strconv.Itoa(len(values)) + " in all)")
			break
		}
		switch v.Kind {
		case document.String:
			b.WriteString(strconv.Quote(v.Text))
		case document.Null:
			b.WriteString("null")
		case document.Number, document.Bool:
			b.WriteString(v.Text)
		default:
			b.WriteString("an " + v.Kind.String())
		}
	}
	return b.String()
}

func limit(strict bool, above, from string, d *decimal) string {
	if !strict {
		above = from
	}
	return above + d.String()
}

// String writes the number in plain digits where that is short.
func (d decimal) String() string {
	if d.small && d.scale == 0 {
		return strconv.FormatInt(d.coef, 10)
	}
	d = d.expand()
	sign := ""
	if d.negative {
		sign = "-"
	}
	switch {
	case d.exp > 0 && d.exp < len(d.digits):
		return sign + string(d.digits[:d.exp]) + "." + string(d.digits[d.exp:])
	case d.exp <= 0 && d.exp > -7:
		return sign + "0." + strings.Repeat("0", -d.exp) + string(d.digits)
	}
	text := sign + string(d.digits[:1])
	if len(d.digits) > 1 {
		text += "." + string(d.digits[1:])
	}
	return text + "e" + strconv.Itoa(d.exp-1)
}
