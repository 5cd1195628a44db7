package jsonschema

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
)

func compileText(t testing.TB, text string, d Dialect) *Schema {
	t.Helper()
	set, root, err := document.Parse("schema.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return NewCompiler(set, true, func(n *document.Node, m string) { t.Logf("flaw %s: %s", n.At(), m) }).Compile(root, d)
}

func TestErrorsNameThePlaceTheSchemaAndTheValue(t *testing.T) {
	s := compileText(t, `{"type":"object","required":["a"],"properties":{"a/b":{"type":"array","items":{"type":"integer","maximum":5}}}}`, Draft2020)
	var in Instance
	if err := in.Parse(nil, []byte(`{"a/b":[1,9]}`)); err != nil {
		t.Fatal(err)
	}
	if s.Valid(&in) {
		t.Fatal("valid")
	}
	errs := s.Errors(&in, 0, 8)
	var got []string
	for _, e := range errs {
		got = append(got, e.Pointer+" "+e.Keyword+" want "+e.Want+" got "+e.Got+" at "+e.At)
	}
	want := `/a~1b/1 maximum want at most 5 got 9 at schema.json:1:79| required want the member a got object of 1 at schema.json:1:1`
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
}

func TestNumbersAreComparedInDecimal(t *testing.T) {
	for _, c := range []struct {
		schema, value string
		ok            bool
	}{
		{`{"multipleOf":0.01}`, `19.99`, true},
		{`{"multipleOf":0.01}`, `0.015`, false},
		{`{"multipleOf":0.0001}`, `0.0075`, true},
		{`{"multipleOf":1e-8}`, `12391239123`, true},
		{`{"type":"integer"}`, `1e3`, true},
		{`{"type":"integer"}`, `1.0`, true},
		{`{"type":"integer"}`, `1e-1`, false},
		{`{"type":"integer"}`, `123456789012345678901234567890`, true},
		{`{"maximum":9007199254740993}`, `9007199254740994`, false},
		{`{"minimum":0.1}`, `0.1`, true},
		{`{"maximum":300}`, `300.00000001`, false},
		{`{"const":1}`, `1.0`, true},
		{`{"enum":[1e2]}`, `100`, true},
		{`{"multipleOf":0.5}`, `1e1000000`, false},
		{`{"maximum":1e400}`, `1e399`, true},
		{`{"type":"integer","format":"int32"}`, `2147483648`, false},
		{`{"type":"integer","format":"int32"}`, `-2147483648`, true},
		{`{"type":"integer","format":"int64"}`, `9223372036854775807`, true},
		{`{"type":"integer","format":"int64"}`, `9223372036854775808`, false},
	} {
		s := compileText(t, c.schema, Draft2020)
		var in Instance
		if err := in.Parse(nil, []byte(c.value)); err != nil {
			t.Fatal(err)
		}
		if got := s.Valid(&in); got != c.ok {
			t.Errorf("%s on %s: %v", c.schema, c.value, got)
		}
	}
}

func TestTextIsReadAsTheSchemaAsks(t *testing.T) {
	for _, c := range []struct {
		schema, text string
		ok           bool
	}{
		{`{"type":"integer"}`, "5", true},
		{`{"type":"integer"}`, "05", false},
		{`{"type":"integer"}`, "5.5", false},
		{`{"type":"integer"}`, "Infinity", false},
		{`{"type":"integer"}`, " 5", false},
		{`{"type":"string"}`, "5", true},
		{`{"type":"boolean"}`, "true", true},
		{`{"type":"boolean"}`, "1", false},
		{`{"oneOf":[{"type":"integer"},{"type":"string","enum":["all"]}]}`, "all", true},
		{`{"oneOf":[{"type":"integer"},{"type":"string","enum":["all"]}]}`, "none", false},
		{`{"enum":[1,2]}`, "2", true},
		{`{"enum":["1","2"]}`, "2", true},
	} {
		s := compileText(t, c.schema, OpenAPI30)
		var in Instance
		in.Text(nil, []byte(c.text))
		if got := s.Valid(&in); got != c.ok {
			t.Errorf("%s on %q: %v", c.schema, c.text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"x\u00e9\ud83d\ude00",null,true]}`, `[`, `"\`, `{"a":1,}`, `01`, "\"\x00\"", `{"a":{"a":1}} `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var in Instance
		_ = in.Parse(nil, text)
	})
}

// The arithmetic on 64 bits and the one on digits must agree.
func TestDecimalsAgreeWithRationals(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?`)
		a, b := number.Draw(rt, "a"), number.Draw(rt, "b")
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		da, db := parseDecimal([]byte(a)), parseDecimal([]byte(b))
		if got, want := da.compare(db), x.Cmp(y); got != want {
			rt.Fatalf("%s against %s: %d, want %d", a, b, got, want)
		}
		if got, want := da.integer(), x.IsInt(); got != want {
			rt.Fatalf("%s whole: %v, want %v", a, got, want)
		}
		if y.Sign() != 0 {
			if got, want := da.multipleOf(db), new(big.Rat).Quo(x, y).IsInt(); got != want {
				rt.Fatalf("%s multiple of %s: %v, want %v", a, b, got, want)
			}
		}
	})
}

// Alternatives that hold each other multiply with the depth of the instance: a
// value of a few kilobytes must not cost more than its bound.
func TestAlternativesWithinAlternativesEndInTime(t *testing.T) {
	s := compileText(t, `{"$defs":{"t":{"oneOf":[
		{"type":"object","required":["a"],"properties":{"k":{"$ref":"#/$defs/t"},"a":{"const":1}}},
		{"type":"object","required":["b"],"properties":{"k":{"$ref":"#/$defs/t"},"b":{"const":1}}},
		{"type":"object","required":["c"],"properties":{"k":{"$ref":"#/$defs/t"},"c":{"const":1}}}]}},"$ref":"#/$defs/t"}`, Draft2020)
	value := `{"c":1}`
	for range 150 {
		value = `{"k":` + value + `,"c":1}`
	}
	var in Instance
	if err := in.Parse(nil, []byte(value)); err != nil {
		t.Fatal(err)
	}
	if !s.Valid(&in) {
		t.Error("a valid value was refused")
	}
	if used := freeSteps + stepsPerValue*len(in.nodes) - in.eval.steps; used > 30000 {
		t.Errorf("%d steps", used)
	}
}

// Hostile instances: what would cost a square or more of their size must not.
func TestHostileInstancesEndInTime(t *testing.T) {
	object := func(n int) string {
		var b strings.Builder
		b.WriteByte('{')
		for i := range n {
			fmt.Fprintf(&b, `"k%d":%d,`, i, i)
		}
		return b.String() + `"z":0}`
	}
	numbers := strings.Repeat("1,", 60000)
	for _, c := range []struct {
		name, schema, value string
		ok                  bool
	}{
		{"equal large objects", `{"uniqueItems":true}`, "[" + object(20000) + "," + object(20000) + "]", false},
		{"a long array of equal numbers", `{"uniqueItems":true}`, "[" + numbers + "1]", false},
		{"a long array of different strings", `{"uniqueItems":true}`, "[" + strings.TrimSuffix(strings.ReplaceAll(object(20000)[1:], ":", ",\"v\","), ",\"z\",\"v\",0}") + "]", false},
		{"many members against minProperties", `{"maxProperties":5}`, object(30000), false},
		{"digits without end", `{"multipleOf":0.01}`, strings.Repeat("9", 500000), false},
		{"an exponent without end", `{"multipleOf":0.01,"maximum":5}`, "1e" + strings.Repeat("9", 100000), false},
		{"a repeated name", `{"properties":{"a":{"type":"integer"}},"required":["a"]}`, `{"a":1` + strings.Repeat(`,"a":1`, 30000) + `}`, true},
		{"unevaluated within unevaluated", `{"$defs":{"b":{"properties":{"k":{"$ref":"#"}}}},"allOf":[{"$ref":"#/$defs/b"}],"unevaluatedProperties":false}`, strings.Repeat(`{"k":`, 150) + "{}" + strings.Repeat("}", 150), true},
		{"too deep", `{}`, strings.Repeat("[", 100000), false},
	} {
		start := time.Now()
		s := compileText(t, c.schema, Draft2020)
		var in Instance
		ok := in.Parse(nil, []byte(c.value)) == nil && s.Valid(&in)
		if !ok {
			s.Errors(&in, 0, 8)
		}
		if ok != c.ok {
			t.Errorf("%s: %v", c.name, ok)
		}
		if d := time.Since(start); d > 20*time.Second { // a square would take minutes
			t.Errorf("%s: %v", c.name, d)
		}
	}
}
