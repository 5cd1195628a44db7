package endpoint

// Bounds of a template. What lies past them is written as Rest or Long.
const (
	MaxSegments     = 16  // segments of a path that are looked at
	MaxSegmentBytes = 96  // a longer segment is {long}
	MaxTemplate     = 512 // bytes of a whole template
	rest            = "/{rest}"
)

// Kind is what a path segment looks like.
type Kind uint8

// The kinds of segment. Literal is a name the API chose; the others are
// values that a client fills in.
const (
	Literal Kind = iota
	Int          // 42
	Number       // 4.25, -1, or a list of numbers: 1,2,3
	UUID         // 8-4-4-4-12 hexadecimal digits
	Date         // 2026-11-24, with or without a time
	Hex          // 12 or more hexadecimal digits with at least one digit in them
	Email        // a@b.c
	Token        // a key, a base64 token, a prefixed id: cus_NffrFeUfNV2Hib, A-10293
	Slug         // the-title-of-a-long-article
	Text         // bytes no literal segment has: spaces, quotes, non-ASCII
	Long         // more than MaxSegmentBytes
)

var kindNames = [...]string{"literal", "int", "number", "uuid", "date", "hex", "email", "token", "slug", "text", "long"}
var placeholders = [...]string{"", "{int}", "{number}", "{uuid}", "{date}", "{hex}", "{email}", "{token}", "{slug}", "{text}", "{long}"}

// String is the kind's name, as it stands in a template's braces.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Template is the path with its variable segments replaced by what they look
// like: /users/42/orders/3f2a... becomes /users/{int}/orders/{uuid}. The path
// is one a backend reads (request.Path): decoded once, without a query. The
// result alone is allocated.
func Template(path []byte) string {
	var buf [MaxTemplate]byte
	return string(AppendTemplate(buf[:0], path))
}

// AppendTemplate appends the template of path to dst, at most MaxTemplate
// bytes. It allocates nothing when dst has the room.
func AppendTemplate(dst, path []byte) []byte {
	start := len(dst)
	for n := 0; ; n++ {
		seg, left, more := nextSegment(path)
		if !more {
			break
		}
		if n == MaxSegments || len(dst)-start+len(seg)+len("/{number}") > MaxTemplate-len(rest) {
			return append(dst, rest...)
		}
		dst = appendSegment(append(dst, '/'), seg)
		path = left
	}
	if len(dst) == start {
		dst = append(dst, '/')
	}
	return dst
}

// nextSegment cuts the first segment, without its slash, off path. A path of
// "" has none; the empty segment after a trailing slash counts.
func nextSegment(path []byte) (seg, left []byte, more bool) {
	if len(path) == 0 {
		return nil, nil, false
	}
	if path[0] == '/' {
		path = path[1:]
	}
	for i, c := range path {
		if c == '/' {
			return path[:i], path[i:], true
		}
	}
	return path, nil, true
}

// appendSegment writes one segment. Besides whole values it knows values with
// a part the API chose: 42.json, 42:cancel (a custom method), Users(42), and
// drops path parameters (;v=1).
func appendSegment(dst, seg []byte) []byte {
	for i, c := range seg {
		if c == ';' {
			seg = seg[:i]
			break
		}
	}
	if k := Classify(seg); k != Literal && k != Text && k != Slug && k != Long {
		return append(dst, placeholders[k]...)
	}
	if stem, tail := splitTail(seg); tail != nil {
		if k := Classify(stem); k != Literal && k != Text {
			return append(append(dst, placeholders[k]...), tail...)
		}
		if hashedFile(stem) {
			return append(append(dst, placeholders[Token]...), tail...)
		}
	}
	if n := len(seg); n > 2 && n <= MaxSegmentBytes && seg[n-1] == ')' {
		for i, c := range seg {
			if c != '(' {
				continue
			}
			arg := seg[i+1 : n-1]
			if a := len(arg); a > 1 && arg[0] == '\'' && arg[a-1] == '\'' {
				return append(append(dst, seg[:i]...), "({text})"...)
			}
			if k := Classify(arg); i > 0 && k != Literal && Classify(seg[:i]) == Literal {
				dst = append(append(dst, seg[:i]...), '(')
				return append(append(dst, placeholders[k]...), ')')
			}
			break
		}
	}
	if k := Classify(seg); k != Literal {
		return append(dst, placeholders[k]...)
	}
	return append(dst, seg...)
}

// splitTail cuts a file extension of one to five letters and digits, or a
// custom method after a colon, off a segment.
func splitTail(seg []byte) (stem, tail []byte) {
	for i := len(seg) - 1; i > 0; i-- {
		switch c := seg[i]; {
		case c == '.':
			if t := len(seg) - i - 1; t < 1 || t > 5 || !isAlpha(seg[i+1]) {
				return seg, nil
			}
			return seg[:i], seg[i:]
		case c == ':':
			if len(seg)-i-1 < 2 {
				return seg, nil
			}
			return seg[:i], seg[i:]
		case !isAlpha(c) && !isDigit(c):
			return seg, nil
		}
	}
	return seg, nil
}

// hashedFile says whether a file's stem carries a hash of its contents:
// app.3f2a1b9c, main-5d41402abc4b.
func hashedFile(stem []byte) bool {
	for i := len(stem) - 1; i > 0; i-- {
		if stem[i] == '.' || stem[i] == '-' {
			tail := stem[i+1:]
			return len(tail) >= 8 && shapeOf(tail).hexOnly && shapeOf(tail).digits > 0
		}
	}
	return false
}

// Classify says what one segment looks like. A segment that could be either a
// name or a value is called a name: the Book finds out by how many values
// there are (see Book.Fold).
func Classify(seg []byte) Kind {
	if len(seg) == 0 {
		return Literal
	}
	if len(seg) > MaxSegmentBytes {
		return Long
	}
	s := shapeOf(seg)
	switch {
	case s.digits >= 8 && isDate(seg):
		return Date
	case s.other > 0:
		if s.at == 1 && isEmail(seg) {
			return Email
		}
		if s.other == s.commas && s.digits > 0 && s.letters() == 0 {
			return Number
		}
		if s.strange > 0 {
			return Text
		}
	case s.digits == len(seg):
		return Int
	case isUUID(seg):
		return UUID
	case s.digits > 0 && s.letters() == 0 && s.underscores == 0:
		if s.digits+s.dots+s.dashes == len(seg) && s.dots <= 1 && (s.dashes == 0 || s.dashes == 1 && seg[0] == '-') {
			return Number
		}
		return Token // 555-12-34, 10.0.0.1
	case s.hexOnly && len(seg) >= 12 && s.digits > 0:
		return Hex
	}
	if s.strange > 0 {
		return Text
	}
	if s.looksLikeToken(seg) {
		return Token
	}
	if s.dashes >= 3 && s.dots == 0 && len(seg) >= 24 || s.underscores >= 4 && len(seg) >= 32 {
		return Slug
	}
	return Literal
}

// shape counts the bytes of a segment by class.
type shape struct {
	lower, upper, digits, dots, dashes, underscores, commas, at int
	other                                                       int // anything else
	strange                                                     int // of other, what no name in a URL has
	longestDigits, digitRuns, longestLetters                    int
	hexOnly                                                     bool
}

func (s *shape) letters() int { return s.lower + s.upper }

func shapeOf(seg []byte) (s shape) {
	s.hexOnly = true
	digitRun, letterRun := 0, 0
	for _, c := range seg {
		switch {
		case isDigit(c):
			if digitRun == 0 {
				s.digitRuns++
			}
			digitRun++
			letterRun = 0
			s.longestDigits = max(s.longestDigits, digitRun)
			s.digits++
			continue
		case isAlpha(c):
			digitRun = 0
			letterRun++
			s.longestLetters = max(s.longestLetters, letterRun)
			if c >= 'a' {
				s.lower++
			} else {
				s.upper++
			}
			if c|0x20 > 'f' {
				s.hexOnly = false
			}
			continue
		}
		digitRun, letterRun = 0, 0
		s.hexOnly = false
		switch c {
		case '.':
			s.dots++
		case '-':
			s.dashes++
		case '_':
			s.underscores++
		case '~', '!', '$', '(', ')', '*', '+', '=', ':':
			s.other++
		case ',':
			s.other++
			s.commas++
		case '@':
			s.other++
			s.at++
		default:
			s.other++
			s.strange++
		}
	}
	return s
}

// looksLikeToken recognises ids that are neither numbers nor hexadecimal: a
// digit run of four or more beside letters, letters and digits in turn, or
// a long run of mixed case. Names with a version or a size in them (v2,
// oauth2, sha256, ipv4, h264) are none.
func (s *shape) looksLikeToken(seg []byte) bool {
	if s.dots >= 2 && len(seg) >= 24 && seg[0] == 'e' && seg[1] == 'y' {
		return true // a JWT, whatever its letters
	}
	if s.digits == 0 {
		return s.lower > 0 && s.upper >= 4 && s.dashes+s.underscores+s.dots == 0 && len(seg) >= 20 && 2*caseChanges(seg) >= len(seg)
	}
	if s.dots > 0 && s.digits < 6 {
		return false
	}
	switch {
	case s.longestDigits >= 4:
		return true
	case s.digitRuns >= 3 && s.letters() >= 2 && len(seg) >= 6:
		return true
	case s.digitRuns >= 2 && len(seg) >= 10 && s.dashes+s.underscores <= 2:
		return true
	case len(seg) >= 16 && s.upper > 0 && s.lower > 0 && caseChanges(seg) >= 5:
		return true
	case s.upper > 0 && s.lower == 0 && s.dashes == 1 && s.digits >= 2: // ABC-12
		return true
	}
	return false
}

func caseChanges(seg []byte) (n int) {
	last := byte(0)
	for _, c := range seg {
		class := byte(0)
		switch {
		case c >= 'a' && c <= 'z':
			class = 1
		case c >= 'A' && c <= 'Z':
			class = 2
		case isDigit(c):
			class = 3
		}
		if last != 0 && class != last {
			n++
		}
		last = class
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isHex(c byte) bool   { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// isUUID reads the 36-byte form of RFC 9562 section 4, of any version.
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

// isDate reads a full-date of RFC 3339, alone or with a time behind it.
func isDate(s []byte) bool {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return false
	}
	for _, i := range [...]int{0, 1, 2, 3, 5, 6, 8, 9} {
		if !isDigit(s[i]) {
			return false
		}
	}
	month, day := int(s[5]-'0')*10+int(s[6]-'0'), int(s[8]-'0')*10+int(s[9]-'0')
	if month < 1 || month > 12 || day < 1 || day > 31 {
		return false
	}
	return len(s) == 10 || len(s) >= 16 && s[10]|0x20 == 't' && isDigit(s[11])
}

// isEmail is a plain test for something@domain.name: enough to tell a value
// from a name, not a validation.
func isEmail(s []byte) bool {
	at := -1
	for i, c := range s {
		switch {
		case c == '@':
			if at >= 0 {
				return false
			}
			at = i
		case isAlpha(c), isDigit(c), c == '.', c == '-', c == '_':
		case at < 0 && (c == '+' || c == '%' || c == '\''):
		default:
			return false
		}
	}
	if at < 1 || at+4 > len(s) {
		return false
	}
	dot := -1
	for i := at + 1; i < len(s); i++ {
		if s[i] == '.' {
			dot = i
		}
	}
	return dot > at+1 && len(s)-dot-1 >= 2 && !isDigit(s[len(s)-1])
}
