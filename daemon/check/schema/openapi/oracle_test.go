package openapi

import (
	"bytes"
	"encoding/json"
	"math/rand"
	"path/filepath"
	"testing"

	v5 "github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/sallyport/sallyport/daemon/check/schema/document"
	"github.com/sallyport/sallyport/daemon/check/schema/jsonschema"
)

// modern writes a schema of OpenAPI 3.0 as one of 2020-12: nullable becomes a
// type. Formats are left out, for the two validators know different ones.
func modern(n *document.Node, names bool) any {
	switch n.Kind {
	case document.Array:
		out := []any{}
		for _, i := range n.Items {
			out = append(out, modern(i, false))
		}
		return out
	case document.Object:
		if ref := n.Get("$ref"); ref != nil && !names {
			return map[string]any{"$ref": ref.Text}
		}
		out := map[string]any{}
		for i, k := range n.Keys {
			switch {
			case names, k == "properties", k == "enum":
				out[k] = modern(n.Items[i], k == "properties")
				if k == "enum" && !names {
					out[k] = constant(n.Items[i])
				}
			case k == "type" && n.Get("nullable").True():
				out[k] = []any{n.Items[i].Text, "null"}
			case k == "nullable", k == "format", k == "example", k == "default", k == "discriminator", k == "xml", k == "externalDocs", k == "deprecated", k == "title", k == "description", k[0] == 'x':
			default:
				out[k] = modern(n.Items[i], false)
			}
		}
		return out
	}
	return constant(n)
}

// mutate changes one place of a value, in a way that may or may not matter.
func mutate(v any, roll dice) any {
	strange := []any{nil, true, json.Number("-1"), json.Number("1.5"), "zz", []any{}, &object{values: map[string]any{}}}
	switch v := v.(type) {
	case *object:
		if len(v.keys) == 0 || roll(6) == 0 {
			return strange[roll(len(strange))]
		}
		out := &object{values: map[string]any{}}
		at := roll(len(v.keys) + 1)
		for i, k := range v.keys {
			switch {
			case i == at && roll(4) == 0: // left out
			case i == at:
				out.set(k, mutate(v.values[k], roll))
			default:
				out.set(k, v.values[k])
			}
		}
		if at == len(v.keys) {
			out.set("zz-extra", strange[roll(len(strange))])
		}
		return out
	case []any:
		if len(v) == 0 || roll(6) == 0 {
			return strange[roll(len(strange))]
		}
		out := append([]any(nil), v...)
		at := roll(len(v))
		if roll(4) == 0 {
			return append(out, out[at])
		}
		out[at] = mutate(v[at], roll)
		return out
	}
	return strange[roll(len(strange))]
}

// The schemas of large documents, the values a generator makes of them and
// changes at random: the evaluator and santhosh-tekuri/jsonschema must agree.
func TestTheEvaluatorAgreesWithItsOracle(t *testing.T) {
	dir := fixturesDir(t)
	for _, name := range []string{"asana.yaml", "stripe.json", "github.json"} {
		set, root, err := document.Open(filepath.Join(dir, name))
		if err != nil {
			t.Skip(err)
		}
		all := map[string]any{"components": map[string]any{"schemas": modern(root.Get("components").Get("schemas"), true)}}
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		ownSet, own, err := document.Parse("modern.json", text)
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler(ownSet, false, nil)
		oracle := v5.NewCompiler()
		if err := oracle.AddResource("mem:///modern.json", bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewSource(7))
		g := generator{set: set, roll: rng.Intn}
		checked, valid, left := 0, 0, 0
		schemas := root.Get("components").Get("schemas")
		for i, key := range schemas.Keys {
			if i > 400 {
				break
			}
			theirs, err := oracle.Compile("mem:///modern.json#/components/schemas/" + key)
			if err != nil {
				left++
				continue
			}
			ours := compiler.Compile(own.Get("components").Get("schemas").Get(key), jsonschema.Draft2020)
			for round := range 12 {
				g.fail = ""
				v := g.value(schemas.Items[i], 4)
				for range round % 3 {
					v = mutate(v, rng.Intn)
				}
				value, _ := json.Marshal(v)
				d := json.NewDecoder(bytes.NewReader(value))
				d.UseNumber()
				var plain any
				if d.Decode(&plain) != nil {
					continue
				}
				var in jsonschema.Instance
				if err := in.Parse(nil, value); err != nil {
					t.Fatal(err)
				}
				want, got := theirs.Validate(plain) == nil, ours.Valid(&in)
				if checked++; want {
					valid++
				}
				if got != want {
					t.Errorf("%s: %s: %s: ours %v, theirs %v; %+v", name, key, clip(value), got, want, ours.Errors(&in, 0, 3))
				}
			}
		}
		t.Logf("%s: %d values compared, %d of them valid; %d schemas left out", name, checked, valid, left)
	}
}
