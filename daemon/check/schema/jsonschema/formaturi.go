package jsonschema

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// isHostname is RFC 1123 section 2.1, letters, digits and hyphens; a label
// that begins xn-- is decoded and held to RFC 5891.
func isHostname(s []byte) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	label, encoded := 0, false
	for i, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			label++
		case c == '-':
			if label == 0 || i+1 == len(s) || s[i+1] == '.' {
				return false
			}
			if label == 2 && i+1 < len(s) && s[i+1] == '-' {
				if s[i-1]|0x20 != 'n' || s[i-2]|0x20 != 'x' {
					return false
				}
				encoded = true
			}
			label++
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	if label == 0 {
		return false
	}
	return !encoded || isIDNHostname(bytes.ToLower(s))
}

// lookup is the strict profile of RFC 5891 for names as they are registered.
var lookup = idna.New(idna.ValidateLabels(true), idna.VerifyDNSLength(true), idna.StrictDomainName(true), idna.BidiRule(), idna.CheckHyphens(true), idna.CheckJoiners(true))

// isIDNHostname is RFC 5890 section 2.3.2.3, U-labels and A-labels.
func isIDNHostname(s []byte) bool {
	if len(s) == 0 || len(s) > 1024 {
		return false
	}
	name := string(s)
	for _, dot := range []string{"\u3002", "\uff0e", "\uff61"} {
		name = strings.ReplaceAll(name, dot, ".")
	}
	if strings.HasSuffix(name, ".") {
		return false
	}
	if ascii, err := lookup.ToASCII(name); err != nil || ascii == "" {
		return false
	}
	unicodeName, err := lookup.ToUnicode(name)
	return err == nil && contextOK([]rune(unicodeName))
}

// contextOK holds the contextual rules of RFC 5892 appendix A that the idna
// package leaves out, and the characters its exceptions disallow.
func contextOK(s []rune) bool {
	arabic, extended, kana, katakanaDot := false, false, false, false
	for i, r := range s {
		switch {
		case r == 0xb7: // middle dot between two l
			if i == 0 || i+1 == len(s) || s[i-1] != 'l' || s[i+1] != 'l' {
				return false
			}
		case r == 0x375: // Greek keraia before a Greek letter
			if i+1 == len(s) || s[i+1] < 0x370 || s[i+1] > 0x3ff && (s[i+1] < 0x1f00 || s[i+1] > 0x1fff) {
				return false
			}
		case r == 0x5f3 || r == 0x5f4: // Hebrew geresh after a Hebrew letter
			if i == 0 || s[i-1] < 0x590 || s[i-1] > 0x5ff {
				return false
			}
		case r == 0x30fb:
			katakanaDot = true
		case r >= 0x660 && r <= 0x669:
			arabic = true
		case r >= 0x6f0 && r <= 0x6f9:
			extended = true
		case r == 0x640 || r == 0x7fa || r == 0x302e || r == 0x302f || r >= 0x3031 && r <= 0x3035 || r == 0x303b:
			return false
		case r >= 0x3041 && r <= 0x30ff || r >= 0x4e00 && r <= 0x9fff || r == 0x3005 || r == 0x3007 || r >= 0x3400 && r <= 0x4dbf:
			kana = true
		}
	}
	return !(katakanaDot && !kana) && !(arabic && extended)
}

// isURI is RFC 3986 (wide: RFC 3987): a URI when absolute, else a reference.
func isURI(s []byte, absolute, wide bool) bool {
	for i, c := range s {
		switch {
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
		case c <= ' ', c == 0x7f, strings.IndexByte("\"<>\\^`{|}", c) >= 0, c >= 0x80 && !wide:
			return false
		}
	}
	if wide && !utf8.Valid(s) {
		return false
	}
	rest, fragment, _ := bytes.Cut(s, []byte("#"))
	if bytes.IndexByte(fragment, '#') >= 0 {
		return false
	}
	rest, query, _ := bytes.Cut(rest, []byte("?"))
	if bytes.ContainsAny(query, "[]") || bytes.ContainsAny(fragment, "[]") {
		return false
	}
	scheme := false
	if i := bytes.IndexAny(rest, ":/"); i >= 0 && rest[i] == ':' {
		if !isScheme(rest[:i]) {
			return false
		}
		scheme = true
		rest = rest[i+1:]
	}
	if absolute && !scheme {
		return false
	}
	if after, ok := bytes.CutPrefix(rest, []byte("//")); ok {
		authority, path := after, []byte(nil)
		if i := bytes.IndexByte(after, '/'); i >= 0 {
			authority, path = after[:i], after[i:]
		}
		return isAuthority(authority) && !bytes.ContainsAny(path, "[]")
	}
	return !bytes.ContainsAny(rest, "[]")
}

func isScheme(s []byte) bool {
	for i, c := range s {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return false
		}
	}
	return len(s) > 0
}

func isAuthority(s []byte) bool {
	if i := bytes.LastIndexByte(s, '@'); i >= 0 {
		if bytes.ContainsAny(s[:i], "[]@") {
			return false
		}
		s = s[i+1:]
	}
	port := []byte(nil)
	if len(s) > 0 && s[0] == '[' {
		end := bytes.IndexByte(s, ']')
		if end < 0 {
			return false
		}
		inner := s[1:end]
		if !isIPv6(inner) && !(len(inner) > 3 && inner[0]|0x20 == 'v') {
			return false
		}
		if s = s[end+1:]; len(s) > 0 && s[0] != ':' {
			return false
		}
		port = bytes.TrimPrefix(s, []byte(":"))
	} else {
		host, after, _ := bytes.Cut(s, []byte(":"))
		if bytes.ContainsAny(host, "[]") {
			return false
		}
		port = after
	}
	for _, c := range port {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// isURITemplate is RFC 6570 section 2.
func isURITemplate(s []byte) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '{':
			end := bytes.IndexByte(s[i:], '}')
			if end < 0 || !isExpression(s[i+1:i+end]) {
				return false
			}
			i += end
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
		case c == '}', c <= ' ', c == 0x7f, strings.IndexByte("\"'<>\\^`|", c) >= 0:
			return false
		}
	}
	return true
}

func isExpression(s []byte) bool {
	if len(s) > 0 && strings.IndexByte("+#./;?&=,!@|", s[0]) >= 0 {
		s = s[1:]
	}
	for _, v := range bytes.Split(s, []byte(",")) {
		name := v
		if n, ok := bytes.CutSuffix(v, []byte("*")); ok {
			name = n
		} else if i := bytes.IndexByte(v, ':'); i >= 0 {
			name = v[:i]
			length := v[i+1:]
			if len(length) == 0 || len(length) > 4 || length[0] == '0' {
				return false
			}
			for _, c := range length {
				if c < '0' || c > '9' {
					return false
				}
			}
		}
		if len(name) == 0 || name[0] == '.' || name[len(name)-1] == '.' {
			return false
		}
		for i := 0; i < len(name); i++ {
			c := name[i]
			switch {
			case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9', c == '_', c == '.':
			case c == '%' && i+2 < len(name) && isHex(name[i+1]) && isHex(name[i+2]):
				i += 2
			default:
				return false
			}
		}
	}
	return true
}
