package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/sallyport/sallyport/daemon/request"
	"github.com/sallyport/sallyport/daemon/request/decode"
)

func packedWith(t *testing.T, coding string, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch coding {
	case "gzip":
		z := gzip.NewWriter(&b)
		_, err = z.Write(plain)
		_ = z.Close()
	case "br":
		z := brotli.NewWriter(&b)
		_, err = z.Write(plain)
		_ = z.Close()
	case "zstd":
		z, made := zstd.NewWriter(&b)
		if made != nil {
			t.Fatal(made)
		}
		_, err = z.Write(plain)
		_ = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestInspectAnswersRequestsPastEveryBound shows that a bound that is hit is
// named by a finding, that no more values are made than it allows, and that an
// attack right behind it is found all the same where the reading says that what
// is behind it is one value.
func TestInspectAnswersRequestsPastEveryBound(t *testing.T) {
	type headers = map[string]string
	form, asJSON := headers{"Content-Type": "application/x-www-form-urlencoded"}, headers{"Content-Type": "application/json"}
	coded := func(coding string) headers {
		return headers{"Content-Type": "text/plain", "Content-Encoding": coding}
	}
	behind := func(one string, bound int, attack string, in int) string {
		return strings.Repeat(one, bound+10) + attack + strings.Repeat(one, in-bound)
	}
	const attack = "1' UNION SELECT username,password FROM users-- -"
	for _, c := range []struct {
		name, uri string
		headers   headers
		body      []byte
		finding   string
		values    int
		seen      bool // the attack behind the bound
	}{
		{name: "a million parameters", uri: "/?" + behind("a=b&", request.MaxParams, "z="+strings.ReplaceAll(attack, " ", "+")+"&", 1_000_000), finding: "parameters_many", values: request.MaxParams + 10, seen: true},
		{name: "a form of a quarter million fields", headers: form, body: []byte(behind("a=b&", request.MaxParams, "z="+strings.ReplaceAll(attack, " ", "+")+"&", 1<<18-100)), finding: "parameters_many", values: request.MaxParams + 10, seen: true},
		{name: "JSON 100,000 deep", headers: asJSON, body: []byte(strings.Repeat(`[`, 100_000) + `"` + attack + `"` + strings.Repeat(`]`, 100_000)), finding: "json_deep", values: 10, seen: true},
		{name: "objects 100,000 deep", headers: asJSON, body: []byte(strings.Repeat(`{"a":`, 100_000) + `"` + attack + `"` + strings.Repeat(`}`, 100_000)), finding: "json_deep", values: 10, seen: true},
		{name: "a JSON list of 300,000 numbers", headers: asJSON, body: []byte("[" + strings.Repeat("1,", 300_000) + `"` + attack + `"]`), finding: "values_many", values: request.MaxValues + 10, seen: true},
		{name: "a path of a mebibyte", uri: behind("/aaaaaaa", request.MaxSegments, "/"+strings.ReplaceAll(attack, " ", "%20"), 1<<17), finding: "path_segments", values: request.MaxSegments + 10, seen: true},
		{name: "a path of one segment of a mebibyte", uri: "/" + strings.Repeat("a", 1<<20), finding: "uri_long", values: 10},
		{name: "a gzip bomb", headers: coded("gzip"), body: packedWith(t, "gzip", make([]byte, 8<<20)), finding: "body_bomb", values: 20},
		{name: "a gzip bomb of a gibibyte's kind", headers: coded("gzip"), body: packedWith(t, "gzip", make([]byte, 64<<20)), finding: "body_decoded_large", values: 20},
		{name: "a brotli bomb", headers: coded("br"), body: packedWith(t, "br", make([]byte, 64<<20)), finding: "body_bomb", values: 20},
		{name: "a zstd bomb", headers: coded("zstd"), body: packedWith(t, "zstd", make([]byte, 64<<20)), finding: "body_bomb", values: 20},
		{name: "a gzip bomb in a gzip bomb", headers: coded("gzip, gzip"), body: packedWith(t, "gzip", packedWith(t, "gzip", make([]byte, 64<<20))), finding: "body_bomb", values: 20},
		{name: "XML 100,000 deep", headers: headers{"Content-Type": "text/xml"}, body: []byte(strings.Repeat(`<a>`, 100_000) + attack), finding: "xml_deep", values: 10, seen: true},
		{name: "entities that hold entities", headers: headers{"Content-Type": "text/xml"}, finding: "xml_entity", values: 30,
			body: []byte(`<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;">]><a>&e;</a>`)},
		{name: "5,000 parts", headers: headers{"Content-Type": "multipart/form-data; boundary=A"}, finding: "multipart_many", values: 1100, seen: true,
			body: []byte(behind("--A\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n", decode.MaxParts, "--A\r\nContent-Disposition: form-data; name=\"z\"\r\n\r\n"+attack+"\r\n", 5_000) + "--A--")},
		{name: "percent signs 200 deep", uri: "/?a=%" + strings.Repeat("25", 200) + "27", finding: "encoded_deep", values: 10},
	} {
		line := map[string]any{"method": "POST", "uri": "/", "headers": c.headers}
		if c.uri != "" {
			line["uri"] = c.uri
		}
		if c.body != nil {
			line["body_base64"] = base64.StdEncoding.EncodeToString(c.body)
		}
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		_, answers, errs := inspectLines(t, string(text)+"\n", "--explain", "-")
		if len(answers) != 1 || answers[0]["error"] != nil {
			t.Errorf("%s: %d answers, %.200v; %s", c.name, len(answers), answers, errs)
			continue
		}
		var found []string
		attacked := false
		for _, f := range answers[0]["findings"].([]any) {
			f := f.(map[string]any)
			found = append(found, fmt.Sprint(f["check"], ":", f["id"]))
			attacked = attacked || f["id"] == "sqli" || f["check"] == "signature"
		}
		if !slices.Contains(found, "protocol:"+c.finding) {
			t.Errorf("%s: found %v, want %s", c.name, found, c.finding)
		}
		if n := len(answers[0]["values"].([]any)); n > c.values {
			t.Errorf("%s: %d values, want at most %d", c.name, n, c.values)
		}
		if c.seen && !attacked {
			t.Errorf("%s: the attack behind the bound is not found: %v", c.name, found)
		}
	}
}
