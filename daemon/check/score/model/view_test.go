package model

import "testing"

func TestEncodingsAreUndone(t *testing.T) {
	for in, want := range map[string]string{
		"%253Cscript%253E":                         "<script>",
		"%u003cb%u003e":                            "<b>",
		"&#x3c;b&#62;&lt;i&gt;":                    "<b><i>",
		`\x3cb\u003e\u{3c}i\076`:                   "<b><i>",
		"%uff1cb%uff1e":                            "<b>",
		"%%32%%65%2%e%5%cboot.ini":                 "..\\boot.ini",
		"5%6%7":                                    "5%6%7",
		"\xef\xbc\x9cb\xef\xbc\x9e":                "<b>",
		"..\xc0\xaf..\xc0\xaf":                     "../../",
		"..%c0%af..%c0%af":                         "../../",
		"se\xe2\x80\x8blect":                       "select",
		"\xc2\xbcscript\xc2\xbe":                   "<script>",
		"j\x00a\x00v\x00a":                         "java",
		"java&Tab;script&colon;alert&lpar;1&rpar;": "java\tscript:alert(1)",
		"100% sure & 5 \\o/":                       "100% sure & 5 \\o/",
		"\xc0\xe0\xf1\xc0\xaf\xe0":                 "\xc0\xe0\xf1\xc0\xaf\xe0", // Windows-1251
	} {
		text := []byte(in)
		for range maxDecodeRounds {
			out, changed := decode(nil, text)
			if !changed {
				break
			}
			text = out
		}
		if string(text) != want {
			t.Errorf("%q: got %q, want %q", in, text, want)
		}
	}
}

func TestWhatInterpretersSkipIsRemoved(t *testing.T) {
	for in, want := range map[string]string{
		"union/**/select":           "union select",
		"/*!50000union*/select":     " union select",
		"'sel'+'ect'":               "'select'",
		"'a'||'b'":                  "'ab'",
		"c''at /e\"\"tc":            "cat /etc",
		"w'h'o":                     "who",
		`c\at`:                      "cat",
		"cat$IFS/etc":               "cat /etc",
		"cat${IFS}/etc":             "cat /etc",
		"who$@ami":                  "whoami",
		"O'Brien and D'Angelo":      "O'Brien and D'Angelo",
		"it's 'fine' to say \"so\"": "it's 'fine' to say \"so\"",
	} {
		if out, _ := simplify(nil, []byte(in)); string(out) != want {
			t.Errorf("%q: got %q, want %q", in, out, want)
		}
	}
}

func TestPathsAreFolded(t *testing.T) {
	for in, want := range map[string]string{
		`..\..\win.ini`: "../../win.ini", "....//....//etc": "../../etc", "/./a//b/./../c": "/a/b/../c", "..;/x": "../x", "http://a/../b": "http://a/../b",
	} {
		if out, _ := pathView(nil, []byte(in)); string(out) != want {
			t.Errorf("%q: got %q, want %q", in, out, want)
		}
	}
}

func TestTheGatePassesWhatCannotBeAnAttack(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "8841": true, "2024-05-01T10:00:00+02:00": true, "anne@example.com": true, "v1.2.3": true, "The quick brown fox jumps.": true,
		"..": false, "../x": false, "1 or 1": false, "select a": false, "a'b": false, "a;b": false, "x -- y": false, "1 order by 9": false, "O Brien": true, "user id": true, "id user": false,
		"text/xml": true, "application/vnd.api+json": true, "Europe/Paris": true, "read/write": true, "and/or": true, "root/id": true, "a/b/c.html": true,
		"etc/passwd": false, "bin/id": false, "a//b": false, "a/../b": false, ".git/config": false, "a/.env": false, "/x": false, "http://x": false,
		"java.lang.Runtime": false, "ProcessBuilder.x": false, "java": true, "a.b.c": true,
	} {
		if got := Harmless([]byte(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func TestOnlyCertainTextsHaveAFloor(t *testing.T) {
	for text, want := range map[string]bool{
		"${jndi:ldap://x}": true, "${${::-j}${::-n}${::-d}${::-i}:rmi://x}": true, "${j${env:X:-n}di:ldap://x}": true, "${jnd${upper:ı}:ldap://x}": true, "() { :;}; id": true, "() { x;};echo": true,
		"(){ :;};id": true, "${user.name}": false, "${env:HOME}": false, "function() { x; };": false, "(function(){a;})();": false, "x=>{a}": false, "f() { return; }": false,
		"${jndi}": false,
	} {
		if name, _ := floor([]byte(text)); (name != "") != want {
			t.Errorf("%q: got %q", text, name)
		}
	}
}

func TestAFormEscapedTwiceIsReadWithItsBlanks(t *testing.T) {
	for text, want := range map[string]string{"1+or+1+%3D+1": "1 or 1 = 1", "a+b %3D c": "a+b = c", "1+1": "1+1"} {
		var last string
		new(Scratch).views([]byte(text), func(v View, text []byte) {
			if v == Raw || v == Decoded {
				last = string(text)
			}
		})
		if last != want {
			t.Errorf("%q: got %q, want %q", text, last, want)
		}
	}
}
