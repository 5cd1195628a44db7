package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inspectLines runs the verb over lines and returns its answers.
func inspectLines(t *testing.T, in string, args ...string) (status int, answers []map[string]any, errOut string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(append([]string{"inspect"}, args...), strings.NewReader(in), &out, &errs)
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		if line == "" {
			continue
		}
		m := map[string]any{}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("answer %q: %v", line, err)
		}
		answers = append(answers, m)
	}
	return status, answers, errs.String()
}

func TestInspectAnswersEveryLineInOrder(t *testing.T) {
	var in strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&in, `{"id":"%d","method":"GET","uri":"/a?n=%d"}`+"\n", i, i)
	}
	status, answers, errs := inspectLines(t, in.String(), "--workers", "4", "-")
	if status != exitOK || len(answers) != 3000 {
		t.Fatalf("status %d, %d answers, %s", status, len(answers), errs)
	}
	for i, a := range answers {
		if a["id"] != fmt.Sprint(i) || a["verdict"] != "allow" {
			t.Fatalf("answer %d is %v", i, a)
		}
	}
}

func TestInspectReadsAFilePackedWithGzip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.jsonl.gz")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprintln(z, `{"method":"GET","uri":"/"}`)
	_ = z.Close()
	if err := os.WriteFile(path, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, answers, errs := inspectLines(t, "", path); status != exitOK || len(answers) != 1 {
		t.Errorf("status %d, answers %v, %s", status, answers, errs)
	}
}

func TestInspectAnswersABadLineAndGoesOn(t *testing.T) {
	status, answers, errs := inspectLines(t, "{\"id\":\"a\",\"uri\":\"/\"}\n\n{\"id\":\"b\",\"method\":\"GET\",\"uri\":\"/\"}\n", "-")
	if status != exitFailed || !strings.Contains(errs, "1 lines could not be read") {
		t.Errorf("status %d, said %q", status, errs)
	}
	if len(answers) != 2 || answers[0]["error"] != `line 1: "method" is missing` || answers[1]["verdict"] != "allow" {
		t.Errorf("answers %v", answers)
	}
}

func TestInspectExplainsWhatItSaw(t *testing.T) {
	_, answers, _ := inspectLines(t, `{"method":"GET","uri":"/a?q=%2527"}`, "--explain", "-")
	text, _ := json.Marshal(answers)
	for _, want := range []string{`{"layers":[{"by":"percent","text":"'"}],"text":"%27","where":"query:q"}`, `"marks":[]`, `"looked":[`, `"why":`} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

func TestInspectRefusesAMissingFileAndAWrongCommandLine(t *testing.T) {
	if status, _, errs := inspectLines(t, "", "/nowhere/at/all"); status != exitFailed || !strings.Contains(errs, "open the requests") {
		t.Errorf("status %d, said %q", status, errs)
	}
	if status, _, _ := inspectLines(t, ""); status != exitUsage {
		t.Errorf("status %d without a file, want %d", status, exitUsage)
	}
	if status, _, errs := inspectLines(t, "", "--config", "/nowhere.toml", "-"); status != exitFailed || !strings.Contains(errs, "/nowhere.toml") {
		t.Errorf("status %d, said %q", status, errs)
	}
}

func TestInspectKeepsStateOnlyWhenAsked(t *testing.T) {
	config := filepath.Join(t.TempDir(), "sallyport.toml")
	text := "[defaults]\nmode = \"enforce\"\n[check.limit]\n[[check.limit.limit]]\nname = \"calls\"\nkey = [\"address\"]\nrate = \"2/1m\"\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var in strings.Builder
	for i, c := range []struct{ client, time string }{
		{"192.0.2.1", "10:00:00"}, {"192.0.2.1", "10:00:01"}, {"192.0.2.1", "10:00:02"}, {"192.0.2.2", "10:00:03"}, {"192.0.2.1", "10:05:00"},
	} {
		fmt.Fprintf(&in, `{"id":"%d","method":"GET","uri":"/","headers":{"Host":"x.org"},"client":"%s","time":"2026-01-02T%sZ"}`+"\n", i, c.client, c.time)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--config", config, "--stateful", "-"}, "allow allow deny allow allow"},
		{[]string{"--config", config, "-"}, "allow allow allow allow allow"},
	} {
		_, answers, errs := inspectLines(t, in.String(), c.args...)
		var got []string
		for _, a := range answers {
			got = append(got, fmt.Sprint(a["verdict"]))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: %v, want %s; %s", c.args, got, c.want, errs)
		}
	}
}

func TestInspectFindsTheSameAsAloneOnAllCores(t *testing.T) {
	var in strings.Builder
	for i := range 600 {
		fmt.Fprintf(&in, `{"id":"%d","method":"GET","uri":"/a%%00b?q=%%27%%20or%%201%%3D1--&n=%d"}`+"\n", i, i)
	}
	_, one, _ := inspectLines(t, in.String(), "--workers", "1", "-")
	_, many, _ := inspectLines(t, in.String(), "--workers", "8", "-")
	a, _ := json.Marshal(one)
	b, _ := json.Marshal(many)
	if !bytes.Equal(a, b) || one[0]["verdict"] != "deny" {
		t.Errorf("one worker and eight differ, or nothing was found: %v, %v", one[0], many[0])
	}
}

func TestInspectFindsAHostThatNoSiteServes(t *testing.T) {
	config := filepath.Join(t.TempDir(), "sallyport.toml")
	if err := os.WriteFile(config, []byte("[[site]]\nname = \"api\"\nhosts = [\"api.example.com\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, answers, errs := inspectLines(t, `{"method":"GET","uri":"/","headers":{"Host":"api.example.com:8443"}}
{"method":"GET","uri":"/","headers":{"Host":"203.0.113.9"}}`, "--config", config, "-")
	if len(answers) != 2 {
		t.Fatalf("%d answers; %s", len(answers), errs)
	}
	text, _ := json.Marshal(answers[1])
	if len(answers[0]["findings"].([]any)) != 0 || !bytes.Contains(text, []byte("host_unknown")) {
		t.Errorf("answers %v", answers)
	}
}

func TestInspectAnswersEveryLineThatIsNotBlank(t *testing.T) {
	in := "\xef\xbb\xbf" + strings.Join([]string{
		`{"id":1,"method":"GET","uri":"/a b` + "\xff" + `?x=1"}`,
		``,
		`{"id":"crlf","method":"GET","uri":"/"}` + "\r",
		`not JSON`,
		`{"id":"cut","method":"GET","uri":"/x`,
		`{"id":"lone","method":"POST","uri":"/\ud800?q=\udcff","headers":{"Host":"x","A":["1","2"]},"body":"\u0000\ud83d"}`,
		`{"id":"odd","method":"weird method\n","uri":""}`,
		`{"id":"pairs","method":"GET","uri":"/","headers":[["Host","x"],["Cookie","a=b"]]}`,
		`{"id":"large","method":"POST","uri":"/","body":"` + strings.Repeat("A", 3<<20) + `"}`,
		`{"id":"last","method":"GET","uri":"/"}`, // no line break behind it
	}, "\n")
	for _, workers := range []string{"1", "4"} {
		status, answers, errs := inspectLines(t, in, "--workers", workers, "-")
		var got []string
		for _, a := range answers {
			got = append(got, fmt.Sprint(a["id"], ":", a["verdict"], a["error"]))
		}
		want := `1:allow<nil> crlf:allow<nil> :<nil>line 4: byte 1: expected '{' cut:<nil>line 5: byte 34: the line ends inside a string ` +
			`lone:allow<nil> odd:deny<nil> pairs:allow<nil> large:allow<nil> last:allow<nil>`
		if strings.Join(got, " ") != want || status != exitFailed || errs != "2 lines could not be read; their output says why\n" {
			t.Errorf("%s workers: status %d, %q\n got %s\nwant %s", workers, status, errs, strings.Join(got, " "), want)
		}
		if id, number := answers[0]["id"].(float64); !number || id != 1 {
			t.Errorf("a number for an id comes back as %v", answers[0]["id"])
		}
	}
}
