package main

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/casefile"
	"github.com/sallyport/sallyport/daemon/request/jsonl"
)

// asLine writes a case's request as a line that inspect reads.
func asLine(c casefile.Case) string {
	r := c.Request()
	b := append([]byte(`{"id":`), jsonl.AppendString(nil, []byte(c.At))...)
	b = append(append(b, `,"method":`...), jsonl.AppendString(nil, []byte(r.Method))...)
	b = append(append(b, `,"uri":`...), jsonl.AppendString(nil, r.URI)...)
	b = append(b, `,"headers":{`...)
	for i, h := range r.Headers {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(jsonl.AppendString(b, h.Name), ':'), jsonl.AppendString(nil, h.Value)...)
	}
	b = append(b, '}')
	if r.Body != nil {
		b = append(append(b, `,"body":`...), jsonl.AppendString(nil, r.Body)...)
	}
	return string(append(b, '}'))
}

func TestBenignCasesPassTheBuiltInPolicy(t *testing.T) {
	cases := casefile.Read(t, "testdata/benign/*.txt")
	var in strings.Builder
	for _, c := range cases {
		in.WriteString(asLine(c) + "\n")
	}
	_, answers, errs := inspectLines(t, in.String(), "-")
	if len(answers) != len(cases) {
		t.Fatalf("%d answers to %d cases: %s", len(answers), len(cases), errs)
	}
	for i, a := range answers {
		rest := 1.0
		var found []string
		for _, f := range a["findings"].([]any) {
			f := f.(map[string]any)
			found = append(found, f["check"].(string)+":"+f["id"].(string)+" at "+f["where"].(string))
			if f["check"] == "protocol" {
				rest *= 1 - f["score"].(float64)/100
			}
		}
		if a["verdict"] != "allow" || rest <= 0.5 {
			t.Errorf("%s: %s: %v, score %v, protocol alone %.0f: %s", cases[i].At, cases[i].Name, a["verdict"], a["score"], 100*(1-rest), strings.Join(found, ", "))
		}
	}
	t.Logf("%d benign requests", len(cases))
}
