package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const lentDocument = `openapi: 3.0.3
info: {title: Lending, version: "1"}
servers: [{url: https://lend.example/v1}]
paths:
  /books/{id}:
    get:
      parameters:
        - {name: id, in: path, required: true, schema: {type: integer}}
        - {name: lost, in: query, schema: {$ref: '#/components/schemas/Nowhere'}}
      responses: {"200": {description: ok}}
`

func TestInspectJudgesByOneDocumentAlone(t *testing.T) {
	doc := filepath.Join(t.TempDir(), "lend.yaml")
	if err := os.WriteFile(doc, []byte(lentDocument), 0o600); err != nil {
		t.Fatal(err)
	}
	in := `{"id":"a","method":"GET","uri":"/v1/books/7","headers":{"Host":"lend.example"}}
{"id":"b","method":"GET","uri":"/v1/books/x?q=<script>alert(1)</script>","headers":{"Host":"lend.example"}}
{"id":"c","method":"GET","uri":"/v1/books/7?q=1%27%20OR%20%271%27=%271","headers":{"Host":"lend.example"}}
{"id":"d","method":"GET","uri":"/books/7","headers":{"Host":"lend.example"}}
`
	status, answers, errs := inspectLines(t, in, "--openapi", doc, "-")
	if status != exitOK || len(answers) != 4 {
		t.Fatalf("status %d, %d answers: %s", status, len(answers), errs)
	}
	want := []string{"allow 200", "deny 400", "allow 200", "deny 404"} // the attack in c is another check's matter
	for i, a := range answers {
		if got := fmt.Sprint(a["verdict"], " ", a["status"]); got != want[i] {
			t.Errorf("%s: %s, want %s: %v", a["id"], got, want[i], a["findings"])
		}
		for _, f := range a["findings"].([]any) {
			if f.(map[string]any)["check"] != "schema" {
				t.Errorf("%s: a finding of another check: %v", a["id"], f)
			}
		}
	}
	if !strings.Contains(errs, doc+":9:") || !strings.Contains(errs, "Nowhere") {
		t.Errorf("the flaw is not told with its place: %s", errs)
	}
	staging := `{"method":"GET","uri":"/v1/books/7","headers":{"Host":"staging.example:8080"}}`
	if _, answers, _ := inspectLines(t, staging, "--openapi", doc, "-"); answers[0]["verdict"] != "deny" || !strings.Contains(fmt.Sprint(answers), "header:host: want a host of the document's servers, got staging.example") {
		t.Errorf("another host: %v", answers)
	}
	if _, answers, _ := inspectLines(t, staging, "--openapi", doc, "--any-host", "-"); answers[0]["verdict"] != "allow" {
		t.Errorf("another host with --any-host: %v", answers)
	}
	if status, _, errs := inspectLines(t, in, "--openapi", doc+"x", "-"); status != exitFailed || !strings.Contains(errs, doc+"x") {
		t.Errorf("a missing document: status %d, %s", status, errs)
	}
}
