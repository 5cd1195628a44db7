package jsonschema

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/schema/pattern"
)

// format judges strings; other values have every format.
type format struct{ ok func(s []byte) bool }

// formats are those of JSON Schema 2020-12 (validation, section 7.3) that
// speak of strings. Those of OpenAPI's registry that only hint (password,
// binary, byte, float) assert nothing; int32, int64 and their like bound
// numbers, see Compiler.numbers. An unknown format asserts nothing.
var formats map[string]*format

func init() {
	formats = map[string]*format{
		"date-time":             {isDateTime},
		"date":                  {isDate},
		"time":                  {isTime},
		"duration":              {isDuration},
		"email":                 {func(s []byte) bool { return isEmail(s, false) }},
		"idn-email":             {func(s []byte) bool { return isEmail(s, true) }},
		"hostname":              {isHostname},
		"idn-hostname":          {isIDNHostname},
		"ipv4":                  {isIPv4},
		"ipv6":                  {isIPv6},
		"uuid":                  {isUUID},
		"uri":                   {func(s []byte) bool { return isURI(s, true, false) }},
		"uri-reference":         {func(s []byte) bool { return isURI(s, false, false) }},
		"iri":                   {func(s []byte) bool { return isURI(s, true, true) }},
		"iri-reference":         {func(s []byte) bool { return isURI(s, false, true) }},
		"uri-template":          {isURITemplate},
		"json-pointer":          {isJSONPointer},
		"relative-json-pointer": {isRelativePointer},
		"regex":                 {isRegex},
	}
}

func twoDigits(s []byte) int {
	if len(s) < 2 || s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9' {
		return -1
	}
	return int(s[0]-'0')*10 + int(s[1]-'0')
}

var monthDays = [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// isDate is RFC 3339 section 5.6, full-date.
func isDate(s []byte) bool {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return false
	}
	century, y, m, d := twoDigits(s), twoDigits(s[2:]), twoDigits(s[5:]), twoDigits(s[8:])
	if century < 0 || y < 0 || m < 1 || m > 12 || d < 1 {
		return false
	}
	year := century*100 + y
	days := monthDays[m-1]
	if m == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		days = 29
	}
	return d <= days
}

// isTime is RFC 3339 full-time, with leap seconds where there can be some.
func isTime(s []byte) bool {
	if len(s) < 9 || s[2] != ':' || s[5] != ':' {
		return false
	}
	h, m, sec := twoDigits(s), twoDigits(s[3:]), twoDigits(s[6:])
	if h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 60 {
		return false
	}
	rest := s[8:]
	if rest[0] == '.' {
		n := 1
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		if n == 1 {
			return false
		}
		rest = rest[n:]
	}
	offset := 0
	switch {
	case len(rest) == 1 && rest[0]|0x20 == 'z':
	case len(rest) == 6 && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':':
		oh, om := twoDigits(rest[1:]), twoDigits(rest[4:])
		if oh < 0 || oh > 23 || om < 0 || om > 59 {
			return false
		}
		offset = oh*60 + om
		if rest[0] == '-' {
			offset = -offset
		}
	default:
		return false
	}
	if sec == 60 {
		utc := ((h*60+m-offset)%1440 + 1440) % 1440
		return utc == 23*60+59
	}
	return true
}

func isDateTime(s []byte) bool {
	return len(s) > 11 && s[10]|0x20 == 't' && isDate(s[:10]) && isTime(s[11:])
}

// isDuration is RFC 3339 appendix A.
func isDuration(s []byte) bool {
	if len(s) < 3 {
		return false
	}
	if s[0] != 'P' {
		return false
	}
	s = s[1:]
	date, clock, hasTime := bytes.Cut(s, []byte("T"))
	if hasTime && len(clock) == 0 {
		return false
	}
	if bytes.IndexByte(date, 'W') >= 0 {
		return !hasTime && units(date, "W") == 1
	}
	nd, nt := units(date, "YMD"), units(clock, "HMS")
	return nd >= 0 && nt >= 0 && nd+nt > 0
}

// units counts the numbers with units of the given order, which may not leave
// one out in the middle, or answers -1.
func units(s []byte, order string) int {
	n, last := 0, -1
	for len(s) > 0 {
		d := 0
		for d < len(s) && s[d] >= '0' && s[d] <= '9' {
			d++
		}
		if d == 0 || d == len(s) {
			return -1
		}
		at := strings.IndexByte(order, s[d])
		if at < 0 || at <= last || last >= 0 && at != last+1 {
			return -1
		}
		last = at
		n++
		s = s[d+1:]
	}
	return n
}

// isEmail is RFC 5321 section 4.1.2, Mailbox; wide allows RFC 6531's letters.
func isEmail(s []byte, wide bool) bool {
	at := bytes.LastIndexByte(s, '@')
	if at < 1 || at > 64*4 || len(s)-at > 256 {
		return false
	}
	local, domain := s[:at], s[at+1:]
	if len(local) > 64 && !wide {
		return false
	}
	if !localPart(local, wide) || len(domain) == 0 {
		return false
	}
	if domain[0] == '[' {
		if domain[len(domain)-1] != ']' {
			return false
		}
		literal := domain[1 : len(domain)-1]
		if v6, ok := bytes.CutPrefix(literal, []byte("IPv6:")); ok {
			return isIPv6(v6)
		}
		return isIPv4(literal)
	}
	if wide {
		return isIDNHostname(domain)
	}
	return isLDH(domain)
}

// isLDH is RFC 5321's Domain: labels of letters, digits and hyphens within.
func isLDH(s []byte) bool {
	label := 0
	for i, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			label++
		case c == '-':
			if label == 0 || i+1 == len(s) || s[i+1] == '.' {
				return false
			}
			label++
		case c == '.' && label > 0 && i+1 < len(s):
			label = 0
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 253
}

func localPart(s []byte, wide bool) bool {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		for i := 1; i < len(s)-1; i++ {
			switch c := s[i]; {
			case c == '\\':
				if i++; i >= len(s)-1 || s[i] < 0x20 || s[i] == 0x7f {
					return false
				}
			case c == '"', c < 0x20, c == 0x7f, c >= 0x80 && !wide:
				return false
			}
		}
		return true
	}
	if s[0] == '.' || s[len(s)-1] == '.' {
		return false
	}
	for i, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '.':
			if s[i-1] == '.' {
				return false
			}
		case c >= 0x80:
			if !wide {
				return false
			}
		case strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) < 0:
			return false
		}
	}
	return true
}

// isIPv4 is RFC 2673 section 3.2: four decimals without leading zeros.
func isIPv4(s []byte) bool {
	a, err := netip.ParseAddr(string(s))
	return err == nil && a.Is4()
}

// isIPv6 is RFC 4291 section 2.2, without a zone.
func isIPv6(s []byte) bool {
	if bytes.IndexByte(s, '%') >= 0 || bytes.IndexByte(s, ':') < 0 {
		return false
	}
	a, err := netip.ParseAddr(string(s))
	return err == nil && a.Is6()
}

func isUUID(s []byte) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range s {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !isHex(c) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

func isJSONPointer(s []byte) bool {
	if len(s) > 0 && s[0] != '/' {
		return false
	}
	for i, c := range s {
		if c == '~' && (i+1 >= len(s) || s[i+1] != '0' && s[i+1] != '1') {
			return false
		}
	}
	return true
}

func isRelativePointer(s []byte) bool {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	if n == 0 || n > 1 && s[0] == '0' {
		return false
	}
	return string(s[n:]) == "#" || isJSONPointer(s[n:])
}

func isRegex(s []byte) bool {
	if len(s) > 4096 || bytes.Contains(s, []byte(`\a`)) || bytes.Contains(s, []byte(`\Z`)) {
		return len(s) > 4096
	}
	_, err := pattern.Compile(string(s))
	return err == nil
}
