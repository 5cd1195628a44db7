package redact

import (
	"bytes"
	"strings"
)

// level says how sure a name makes us that its value is a secret.
type level uint8

const (
	plain  level = iota
	weak         // a secret if the value looks like a token
	strong       // a secret whatever it is
)

// strongParts make a name that contains one of them, after normalName, the
// name of a secret.
var strongParts = []string{
	"password", "passwd", "passphrase", "passcode", "pwd", "secret", "token", "apikey",
	"accesskey", "privatekey", "secretkey", "signingkey", "encryptionkey", "masterkey", "subscriptionkey",
	"sharedkey", "authkey", "accountkey", "credential", "authorization", "bearer", "jwt", "sessid", "sessionid", "sessionkey",
	"cardnumber", "creditcard", "cardno", "ccnumber", "securitycode", "clientassertion", "codeverifier", "samlresponse",
	"connectionstring", "kennwort", "passwort", "motdepasse", "contrasena", "senha", "mnemonic", "seedphrase", "recoverycode", "backupcode",
}

// strongNames are names of secrets when they are the whole name.
var strongNames = set("pass", "pw", "cookie", "setcookie", "cookie2", "pin", "otp", "totp", "mfa", "cvv", "cvc", "cvv2", "cvc2", "csc", "pan", "ccnum",
	"ssn", "iban", "accountnumber", "routingnumber", "taxid", "psk", "sid", "connectsid", "csrf", "xsrf", "dsn", "authentication", "proxyauthentication", "assertion", "aspxauth", "laravelsession", "remembermes",
	"privkey", "passw", "pword", "userpass", "userpw", "dbpass", "mysqlpwd", "pgpass", "vcode", "smscode", "authcode", "refresh", "xapi",
	"xfunctionskey", "xauth", "xauthkey", "sasl", "hmackey", "rememberme", "unlockcode")

// weakNames are often secrets; a value of theirs is masked if it looks like one.
var weakNames = set("key", "code", "auth", "session", "sig", "signature", "hash", "hmac", "ticket", "otc", "magic", "license", "licensekey", "invite",
	"state", "nonce", "login", "credentials", "verify", "verification", "activation", "reset", "confirm", "confirmation", "apitoken", "uid", "sign")

// notSecrets contain a strong part or look like a weak name, and are none.
var notSecrets = set("tokentype", "tokencount", "maxtokens", "tokens", "totaltokens", "prompttokens", "completiontokens", "tokenlimit", "tokenizer",
	"idempotencykey", "publickey", "secwebsocketkey", "cachekey", "passwordless", "passwordpolicy", "tokenexpiresin", "secretary",
	"passwordlength", "passwordexpires", "passwordstrength", "forgotpassword", "resetpassword", "tokenuri", "tokenurl", "tokenendpoint")

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// normalName appends a name in lower case without what writers put between words.
func normalName(dst, name []byte) []byte {
	for _, c := range name {
		switch {
		case c >= 'A' && c <= 'Z':
			dst = append(dst, c+'a'-'A')
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c >= 0x80:
			dst = append(dst, c)
		}
	}
	return dst
}

// maxName bounds the names that are looked at, in bytes.
const maxName = 96

// level judges a name as it stands in a request.
func (r *Redactor) level(name []byte) level {
	if len(name) < 2 || len(name) > maxName {
		return plain
	}
	var buf [maxName]byte
	n := normalName(buf[:0], name)
	if len(n) < 2 {
		return plain
	}
	switch {
	case r.extra[string(n)]:
		return strong
	case notSecrets[string(n)]:
		return plain
	case strongNames[string(n)]:
		return strong
	case weakNames[string(n)]:
		return weak
	}
	for _, p := range strongParts {
		if bytes.Contains(n, []byte(p)) {
			return strong
		}
	}
	if bytes.HasSuffix(n, []byte("key")) || bytes.HasSuffix(n, []byte("signature")) || bytes.HasSuffix(n, []byte("hash")) || bytes.HasSuffix(n, []byte("code")) || bytes.HasSuffix(n, []byte("session")) {
		return weak
	}
	if bytes.HasSuffix(n, []byte("pass")) && !bytes.HasSuffix(n, []byte("bypass")) && !bytes.HasSuffix(n, []byte("compass")) {
		return strong
	}
	return plain
}

// secretPlace says whether a finding's where, "form:password" or
// "json:/user/pin", names a place of secrets.
func (r *Redactor) secretPlace(where string) bool {
	kind, name, ok := strings.Cut(where, ":")
	if !ok {
		return false
	}
	if kind == "cookie" {
		return true
	}
	if kind == "json" || kind == "xml" || kind == "graphql" {
		for part := range strings.SplitSeq(name, "/") {
			if r.level([]byte(part)) == strong {
				return true
			}
		}
		return false
	}
	// header:authorization?password, query:next?url:token
	for part := range strings.FieldsFuncSeq(name, func(c rune) bool { return c == '?' || c == ':' || c == '/' }) {
		if r.level([]byte(part)) == strong {
			return true
		}
	}
	return r.level([]byte(name)) == strong
}

// tokenLike says that a value looks drawn at random: one run of at least 12
// token characters with letters and digits, or with both cases and no vowelled
// word of its own, or hexadecimal.
func tokenLike(v []byte) bool {
	if len(v) < 12 {
		return false
	}
	var digits, upper, lower int
	for _, c := range v {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'A' && c <= 'Z':
			upper++
		case c >= 'a' && c <= 'z':
			lower++
		case c == '-', c == '_', c == '.', c == '+', c == '/', c == '=', c == '~', c == '%':
		default:
			return false
		}
	}
	return digits >= 2 && upper+lower >= 2 || upper >= 3 && lower >= 3 || digits >= 20
}

// attackWords may stand in an outline: they are the vocabulary of attacks, not
// of secrets.
var attackWords = set("or", "and", "not", "union", "all", "select", "from", "where", "insert", "into", "values", "update", "set", "delete", "drop",
	"table", "exec", "execute", "xp_cmdshell", "sleep", "benchmark", "waitfor", "delay", "pg_sleep", "order", "by", "group", "having", "limit", "like",
	"null", "true", "false", "concat", "char", "chr", "ascii", "substr", "substring", "cast", "convert", "information_schema", "tables", "columns",
	"script", "alert", "confirm", "prompt", "img", "svg", "onerror", "onload", "onclick", "onmouseover", "onfocus", "src", "href", "iframe", "body",
	"javascript", "document", "cookie", "eval", "window", "location", "fetch", "style", "input", "autofocus",
	"jndi", "ldap", "ldaps", "rmi", "dns", "lower", "upper", "env", "java", "http", "https", "file", "gopher", "php", "expect", "data",
	"etc", "passwd", "shadow", "hosts", "proc", "self", "environ", "windows", "win", "ini", "system32", "boot", "bin", "usr", "tmp", "var",
	"cat", "ls", "id", "whoami", "uname", "wget", "curl", "bash", "sh", "nc", "ping", "echo", "cmd", "exe", "powershell", "python", "perl", "ruby",
	"system", "passthru", "shell_exec", "popen", "assert", "include", "require", "base64_decode", "xml", "doctype", "entity", "system", "public",
	"ne", "gt", "lt", "gte", "lte", "regex", "exists", "func", "function", "return", "this", "constructor", "prototype", "__proto__",
	"class", "mro", "subclasses", "config", "self", "request", "application", "globals", "builtins", "import", "os")

// showsAttack says whether a match holds anything that is of an attack rather
// than of a secret.
func showsAttack(b []byte) bool {
	return bytes.ContainsAny(b, "'\"<>();|`{}\\") || bytes.Contains(b, []byte("--")) ||
		bytes.Contains(b, []byte("/*")) || bytes.Contains(b, []byte("../"))
}

// appendOutline appends b with every word that is not of an attack's
// vocabulary, and every number of more than two digits, as an asterisk.
func appendOutline(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		j := i
		for j < len(b) && (wordByte(b[j]) || j > i && j+1 < len(b) && (b[j] == '-' || b[j] == '.') && wordByte(b[j+1])) {
			j++ // what hyphens and dots join is one word
		}
		switch w := b[i:j]; {
		case len(w) == 0:
			dst = append(dst, b[i])
			j = i + 1
		case len(w) == 1 || len(w) == 2 && isDigits(w) || len(w) <= 24 && attackWords[string(bytes.ToLower(w))]:
			dst = append(dst, w...)
		default:
			dst = append(dst, '*')
		}
		i = j
	}
	return dst
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
