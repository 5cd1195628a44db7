package redact

import (
	"strings"
	"testing"
)

// Secrets as they stand in requests, commands and files that people send.
func TestCommonFormsOfSecretsAreMasked(t *testing.T) {
	for _, c := range []struct{ kind, text, secret string }{
		{"text", "hook https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX end", "XXXXXXXXXXXXXXXXXXXXXXXX"},
		{"text", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
		{"text", "Server=db;User Id=sa;Password=Pa55w0rd!;Database=x", "Pa55w0rd!"},
		{"text", `{"type":"service_account","private_key":"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\n-----END PRIVATE KEY-----\n"}`, "MIIEvQIBADAN"},
		{"text", `{"query":"mutation($p:String!){login(password:$p){ok}}","variables":{"p":"x","password":"varpass12"}}`, "varpass12"},
		{"form", "card_number=4111-1111-1111-1111&cvv=123", "4111-1111-1111-1111"},
		{"form", "cc=3782-822463-10005", "3782-822463-10005"},
		{"form", "cc=4111+1111+1111+1111", "4111+1111+1111+1111"},
		{"form", "cc=4111%201111%201111%201111", "4111%201111%201111%201111"},
		{"form", "client_id=a&client_secret=shhh-secret&grant_type=x", "shhh-secret"},
		{"form", "grant_type=refresh_token&refresh_token=rt-1234", "rt-1234"},
		{"form", "id_token=abc.def.ghi", "abc.def.ghi"},
		{"uri", "/x?X-Amz-Signature=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE/2013", "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024"},
		{"uri", "/blob?sv=2020&sig=abcDEF123%2Fxyz%3D&se=1", "abcDEF123%2Fxyz%3D"},
		{"uri", "/x?access_key=abc123", "abc123"},
		{"uri", "/x?auth=abc123def456ghi", "abc123def456ghi"},
		{"uri", "/x?sessionid=abc", "=abc"},
		{"uri", "/x?session=0123456789abcdef", "0123456789abcdef"},
		{"uri", "/x?pw=tiger12", "tiger12"},
		{"uri", "/x?user_pass=tiger12", "tiger12"},
		{"uri", "/x?passwd=tiger12", "tiger12"},
		{"uri", "/api/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc123def456/x", "eyJzdWIiOiIxIn0"},
		{"uri", "https://user:pw12345@h/x", "pw12345"},
		{"uri", "/x?passphrase=correct%20horse", "correct%20horse"},
		{"text", "curl -u admin:hunter22 http://x", "hunter22"},
		{"text", "xoxb-123456789012-abcdefABCDEF", "xoxb-123456789012-abcdefABCDEF"},
		{"text", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "sk_live_4eC39HqLyjWDarjtT1zdp7dc"},
		{"text", "SK0123456789abcdef0123456789abcdef", "SK0123456789abcdef0123456789abcdef"},
		{"text", "SG.abcdefghijklmnop.qrstuvwxyz0123456789", "SG.abcdefghijklmnop.qrstuvwxyz0123456789"},
		{"text", "glpat-abcdefghijklmnopqrst", "glpat-abcdefghijklmnopqrst"},
		{"text", "Bearer abcdefghijklmnop", "abcdefghijklmnop"},
		{"text", `{"Authorization":"Bearer abc"}`, "Bearer abc"},
		{"text", `{"headers":{"cookie":"sid=zzz999"}}`, "zzz999"},
		{"text", `password => "hunter22"`, "hunter22"},
		{"text", `password: 'hunter22'`, "hunter22"},
		{"text", `PASSWORD=hunter22 ./run`, "hunter22"},
		{"text", `export DB_PASSWORD="hunter 22"`, "hunter 22"},
		{"text", `<input type="password" name="password" value="hunter22">`, "hunter22"},
		{"text", `<config password="hunter22"/>`, "hunter22"},
		{"text", "redis://:hunter22@h:6379/0", "hunter22"},
		{"text", "mongodb+srv://u:hunter22@h/x", "hunter22"},
		{"text", `<param><name>password</name><value>hunter22</value></param>`, "hunter22"},
		{"text", "----BEGIN\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE\n", "b3BlbnNzaC1rZXktdjE"},
		{"header:Cookie", "a=b; session=zzz", "zzz"},
		{"header:Cookie", "justvalue", "justvalue"},
		{"header:X-Session-Id", "zzz999", "zzz999"},
		{"header:Authentication", "zzz999", "zzz999"},
		{"header:X-Access-Key", "zzz999", "zzz999"},
		{"header:Api-Key", "zzz999", "zzz999"},
		{"header:apikey", "zzz999", "zzz999"},
		{"header:X-Goog-Api-Key", "zzz999", "zzz999"},
		{"header:X-Original-URL", "/x?token=zzz999", "zzz999"},
		{"header:X-Forwarded-Authorization", "zzz999", "zzz999"},
		{"header:Authorization", "zzz 999", "999"},
		{"header:Location", "https://x/cb#access_token=zzz999&x=1", "zzz999"},
		{"uri", "/cb#access_token=zzz999&x=1", "zzz999"},
		{"text", `{"a":[{"password":"zz1"},{"password":"zz2222"}]}`, "zz2222"},
		{"text", `{"passwords":["zz1","zz2222"]}`, "zz2222"},
		{"text", `{"new_password":"zz2222","password_confirmation":"zz3333"}`, "zz3333"},
		{"form", "a=1;password=zz2222;b=3", "zz2222"},
		{"text", "pin=1234", "1234"},
		{"text", `{"ssn":"078-05-1120"}`, "078-05-1120"},
		{"text", `{"iban":"DE89370400440532013000"}`, "DE89370400440532013000"},
		{"text", "a=1\npassword=zz2222\n", "zz2222"},
	} {
		s := New(nil).Session()
		var got string
		switch kind, name, _ := strings.Cut(c.kind, ":"); kind {
		case "text", "form":
			got = s.Body([]byte(c.text), kind == "form")
		case "uri":
			got = s.URI(c.text)
		default:
			got = s.Header(name, c.text)
		}
		if strings.Contains(got, c.secret) || !strings.Contains(got, Mask) {
			t.Errorf("%s %s\nstays   %s", c.kind, c.text, got)
		}
	}
}

// Over-masking has its price too: what a person needs to see must stay.
func TestWhatIsNoSecretStays(t *testing.T) {
	for _, text := range []string{
		`{"key":"name","value":"bob","code":"DE","state":"open","hash":"short"}`,
		`{"id":"3f2504e0-4f89-11d3-9a0c-0305e82c3301","total_tokens":120,"token_type":"bearer"}`,
		"GET /v1/items?page=2&sort=price&session=new HTTP/1.1",
		"select id, name from users where id = 5 and 1=1",
		"order 1234567890123 of 2026-11-24 12:30:00 for 49.90",
		`<script>alert(document.cookie)</script>`,
		"../../../../etc/passwd",
		"mkdir -p /tmp/x && sudo -u www-data id",
	} {
		if got := New(nil).Text(text); got != text {
			t.Errorf("%s\nbecame  %s", text, got)
		}
	}
}
