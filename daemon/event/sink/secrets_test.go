package sink

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/event"
)

// seeded is one secret and the request it stands in.
type seeded struct {
	secret string
	e      *event.Event
}

func uriWith(uri string) *event.Event { return requestWith(uri, nil, "") }
func headerWith(name, value string) *event.Event {
	return requestWith("/a", []event.Field{{Name: name, Value: value}}, "")
}
func bodyWith(contentType, body string) *event.Event {
	return requestWith("/a", []event.Field{{Name: "Content-Type", Value: contentType}}, body)
}

func requestWith(uri string, headers []event.Field, body string) *event.Event {
	return &event.Event{Kind: event.KindRequest, Time: time.Now(), Method: "POST", Host: "api.example.com", URI: uri, Protocol: "HTTP/1.1",
		Headers: headers, Body: []byte(body), BodyBytes: int64(len(body)), Route: "all", Mode: "enforce", Verdict: "deny", Status: 403, Why: "score 95 reaches high (80)"}
}

const (
	form = "application/x-www-form-urlencoded"
	js   = "application/json"
)

// seededSecrets are 50 secrets in the places they stand in real requests. Each
// event also quotes its secret in a finding's message, detail and excerpt.
func seededSecrets() []seeded {
	jwt := "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
	basic := base64.StdEncoding.EncodeToString([]byte("admin:s3cr3t-basic"))
	multipart := "--b\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nbob\r\n--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nmulti part pa55\r\n--b--\r\n"
	list := []seeded{
		{"tok-authorization-1", headerWith("Authorization", "Bearer tok-authorization-1")},
		{basic, headerWith("Authorization", "Basic "+basic)},
		{"opaque-authz-77", headerWith("authorization", "opaque-authz-77")},
		{"0f1e2d3c-digest", headerWith("Authorization", `Digest username="bob", response="0f1e2d3c-digest"`)},
		{"proxy-tok-3", headerWith("Proxy-Authorization", "Bearer proxy-tok-3")},
		{"cookie-sid-4", headerWith("Cookie", "sid=cookie-sid-4; theme=dark")},
		{"second-cookie-5", headerWith("Cookie", "theme=dark; remember=second-cookie-5")},
		{"set-cookie-6", headerWith("Set-Cookie", "sid=set-cookie-6; Path=/; HttpOnly")},
		{"x-api-key-7", headerWith("X-Api-Key", "x-api-key-7")},
		{"x-auth-token-8", headerWith("X-Auth-Token", "x-auth-token-8")},
		{"csrf-value-9", headerWith("X-CSRF-Token", "csrf-value-9")},
		{"sub-key-10-abcdef", headerWith("Ocp-Apim-Subscription-Key", "sub-key-10-abcdef")},
		{"vault-tok-11", headerWith("X-Vault-Token", "vault-tok-11")},
		{"amz-sec-12", headerWith("X-Amz-Security-Token", "amz-sec-12")},
		{"referer-tok-13", headerWith("Referer", "https://example.com/cb?access_token=referer-tok-13&x=1")},
		{"ref-pass-14", headerWith("Referer", "https://bob:ref-pass-14@example.com/")},
		{jwt, headerWith("X-Forwarded-Assertion", "a "+jwt+" b")},
		{"uri-token-15", uriWith("/a?token=uri-token-15&q=x")},
		{"uri-pass-16", uriWith("/login?user=bob&password=uri-pass-16")},
		{"uri-apikey-17", uriWith("/a?api_key=uri-apikey-17")},
		{"uri,odd'pass 18", uriWith("/a?pass%77ord=" + url.QueryEscape("uri,odd'pass 18"))},
		{"nested-tok-19", uriWith("/go?next=" + url.QueryEscape("https://x/?token=nested-tok-19&y=1"))},
		{"twice-nested-20", uriWith("/go?next=" + url.QueryEscape("/in?u="+url.QueryEscape("/x?secret=twice-nested-20")))},
		{"json-in-query-21", uriWith("/a?d=" + url.QueryEscape(`{"password":"json-in-query-21"}`))},
		{"jsess-22-ABCDEF", uriWith("/a;jsessionid=jsess-22-ABCDEF?x=1")},
		{"9f8e7d6c5b4a39281706", uriWith("/password/reset/9f8e7d6c5b4a39281706")},
		{"4f8d9a7b6c5e3d2f1a0b9c8d", uriWith("/cb?code=4f8d9a7b6c5e3d2f1a0b9c8d&state=ok")},
		{"AIzaSyD23456789abcdefghijklmnopqrstuvwx", uriWith("/maps?key=AIzaSyD23456789abcdefghijklmnopqrstuvwx")},
		{"url-userinfo-27", uriWith("/fetch?u=ftp://joe:url-userinfo-27@files.example.com/")},
		{"form-pass-28", bodyWith(form, "user=bob&password=form-pass-28")},
		{`form"quoted;29`, bodyWith(form, `user=bob&passwd=form"quoted;29&x=1`)},
		{"user[pw]-30", bodyWith(form, "user[name]=bob&user[password]=user[pw]-30")},
		{"4111111111111111", bodyWith(form, "amount=5&pan=x&number=4111111111111111")},
		{"5500 0055 5555 5559", bodyWith("text/plain", "please charge 5500 0055 5555 5559 now")},
		{"378282246310005", bodyWith(js, `{"payment":{"n":"378282246310005"}}`)},
		{"json-pass-34", bodyWith(js, `{"user":"bob","password":"json-pass-34"}`)},
		{"escaped-name-35", bodyWith(js, `{"user":"bob","pass\u0077ord":"escaped-name-35"}`)},
		{`with \"quote\" 36`, bodyWith(js, `{"password":"with \"quote\" 36","x":1}`)},
		{"nested-cred-37", bodyWith(js, `{"credentials":{"k":{"clientSecret":"nested-cred-37"}}}`)},
		{"739182", bodyWith(js, `{"otp": 739182, "x": 1}`)},
		{"in-a-string-39", bodyWith(js, `{"payload":"{\"refresh_token\":\"in-a-string-39\"}"}`)},
		{"har-style-40", bodyWith(js, `{"params":[{"name":"password","value":"har-style-40"}]}`)},
		{"xml-pass-41", bodyWith("application/xml", `<login><password>xml-pass-41</password></login>`)},
		{"wsse-pass-42", bodyWith("text/xml", `<wsse:Password Type="text">wsse-pass-42</wsse:Password>`)},
		{"multi part pa55", bodyWith("multipart/form-data; boundary=b", multipart)},
		{"gql-pass-44", bodyWith("application/graphql", `mutation { login(user: "bob", password: "gql-pass-44") { ok } }`)},
		{"db-pass-45", bodyWith("text/plain", "postgres://app:db-pass-45@db.internal/orders")},
		{"AKIAIOSFODNN7EXAMPLE", bodyWith("text/plain", "found AKIAIOSFODNN7EXAMPLE in a file")},
		{"ghp_abcdefghijklmnopqrstuvwxyz0123456789", bodyWith("text/plain", "push with ghp_abcdefghijklmnopqrstuvwxyz0123456789")},
		{"MIIEpAIBAAKCAQEA48", bodyWith("text/plain", "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA48\n-----END RSA PRIVATE KEY-----")},
	}
	for i := range list {
		s := &list[i]
		s.e.ID = fmt.Sprintf("%032x", i+1)
		where, text := "body", string(s.e.Body)
		switch {
		case s.e.URI != "/a":
			where, text = "path", s.e.URI
		case text == "":
			where, text = "header:"+strings.ToLower(s.e.Headers[0].Name), s.e.Headers[0].Value
		}
		text = text[:min(len(text), check.MaxExcerpt)]
		s.e.Findings = []check.Finding{
			{Check: "score", ID: "attack", Message: "the value " + s.secret + " reads like an attack", Where: where, Severity: check.High, Score: 90, Excerpt: text, Mark: [2]int{0, len(text)}},
			{Check: "signature", ID: "1:1", Message: "a match", Where: where, Severity: check.High, Score: 90, Excerpt: text, Mark: [2]int{len(text) / 3, len(text) / 2}, Detail: "found " + s.secret},
		}
	}
	return list
}

// forms are how a secret may stand in a sink.
func (s *seeded) forms() []string {
	quoted := strings.ReplaceAll(s.secret, `"`, `\"`)
	return []string{s.secret, quoted, url.QueryEscape(s.secret), url.PathEscape(s.secret)}
}
