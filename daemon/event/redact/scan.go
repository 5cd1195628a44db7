package redact

import "bytes"

// spans finds the secrets of a text, looking through its encodings. form adds
// the stricter reading of a URL-encoded form, where a value ends at & alone.
func (r *Redactor) spans(dst []span, text []byte, form bool) []span {
	dst = r.scan(dst, text)
	if form {
		dst = r.formSpans(dst, text)
	}
	var offsets []int
	for round := 0; round < maxRounds; round++ {
		decoded, next, changed := decode(text, offsets)
		if !changed {
			break
		}
		n := len(dst)
		dst = r.scan(dst, decoded)
		for i := n; i < len(dst); i++ {
			dst[i].from, dst[i].to = next[dst[i].from], next[dst[i].to]
		}
		text, offsets = decoded, next
	}
	return merge(dst)
}

// decode undoes percent and backslash escapes once. at[i] is where byte i of
// the result began in the text that before maps to, at[len] its end.
func decode(text []byte, before []int) (out []byte, at []int, changed bool) {
	if bytes.IndexByte(text, '%') < 0 && bytes.IndexByte(text, '\\') < 0 {
		return text, nil, false
	}
	out = make([]byte, 0, len(text))
	at = make([]int, 0, len(text)+1)
	origin := func(i int) int {
		if before == nil {
			return i
		}
		return before[i]
	}
	for i := 0; i < len(text); {
		c, n := text[i], 1
		switch {
		case c == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			c, n = unhex(text[i+1])<<4|unhex(text[i+2]), 3
		case c == '\\' && i+1 < len(text):
			if c, n = unescape(text[i:]); n == 2 && c == '\\' {
				out, at = append(out, c, text[i+1]), append(at, origin(i), origin(i+1))
				i += n
				continue
			}
		}
		if n > 1 {
			changed = true
		}
		out = append(out, c)
		at = append(at, origin(i))
		i += n
	}
	return out, append(at, origin(len(text))), changed
}

// unescape reads a JSON or C string escape that begins with a backslash. What
// is past Latin-1 is of no use for names and becomes a question mark.
func unescape(b []byte) (byte, int) {
	switch b[1] {
	case 'u':
		if len(b) >= 6 && isHex(b[2]) && isHex(b[3]) && isHex(b[4]) && isHex(b[5]) {
			if b[2] != '0' || b[3] != '0' {
				return '?', 6
			}
			return unhex(b[4])<<4 | unhex(b[5]), 6
		}
	case 'x':
		if len(b) >= 4 && isHex(b[2]) && isHex(b[3]) {
			return unhex(b[2])<<4 | unhex(b[3]), 4
		}
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case '/':
		return '/', 2
	case '"', '\\', '\'':
		return '\\', 2 // stays as it is: it says where a string does not end
	}
	return b[0], 1
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// scan finds secrets in text as it stands: by name before a separator, and by
// shape at the start of a word. Shapes begin at word starts alone and names end
// at separators, so each byte is looked at a bounded number of times, but for
// values, after which the scan goes on.
func (r *Redactor) scan(dst []span, text []byte) []span {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '=' || c == ':' || c == '>':
			if from, to := r.named(text, i); to > from {
				dst = append(dst, span{from, to, false})
				i = max(i, to-2)
				continue
			}
			if c == ':' {
				if from, to := userinfo(text, i); to > from {
					dst = append(dst, span{from, to, true})
				}
			}
		case c == '-' && i+2 < len(text) && text[i+1] == '-' && (i == 0 || !wordByte(text[i-1])):
			if n := pemEnd(text[i:]); n > 0 {
				dst = append(dst, span{i, i + n, true})
				i += n - 1
			} else if from, to := r.option(text, i+2); to > from {
				dst = append(dst, span{from, to, false})
			}
		case c == '-' && i+3 < len(text) && text[i+1] == 'u' && text[i+2] == ' ' && (i == 0 || text[i-1] == ' '):
			if from, to := userOption(text, i+3); to > from {
				dst = append(dst, span{from, to, false})
			}
		case c >= '0' && c <= '9' && (i == 0 || !digitJoin(text, i)):
			if n := card(text[i:]); n > 0 {
				dst = append(dst, span{i, i + n, true})
				i += n - 1
				continue
			}
			if n := shape(text, i); n > 0 {
				dst = append(dst, span{i, i + n, true})
				i += n - 1
			}
		case wordByte(c) && (i == 0 || !wordByte(text[i-1])):
			if skip, n := tokenShape(text, i); n > 0 {
				dst = append(dst, span{i + skip, i + n, true})
				i += n - 1
			}
		}
	}
	return dst
}

func tokenShape(text []byte, i int) (skip, n int) {
	if skip, n = scheme(text[i:]); n > 0 {
		return skip, n
	}
	return 0, shape(text, i)
}

// digitJoin says that the digit at i goes on a number that began before it.
func digitJoin(text []byte, i int) bool {
	p := text[i-1]
	if p >= '0' && p <= '9' {
		return true
	}
	return wordByte(p)
}

// named reads the name that ends before the separator at i and returns the
// bounds of its value, if the name is one of a secret.
func (r *Redactor) named(text []byte, i int) (from, to int) {
	if text[i] == '>' {
		return r.element(text, i)
	}
	end := i
	if end > 0 && text[end-1] == ':' { // ":=" and "::"
		return 0, 0
	}
	for end > 0 && (text[end-1] == ' ' || text[end-1] == '\t') && i-end < 4 {
		end--
	}
	quoted := false
	for end > 0 && i-end < 8 && (text[end-1] == '"' || text[end-1] == '\'' || text[end-1] == '\\' || text[end-1] == ']' || text[end-1] == '*') {
		end--
		quoted = true
	}
	start := end
	for start > 0 && end-start < maxName && nameByte(text[start-1]) {
		start--
	}
	if start == end {
		return 0, 0
	}
	name := text[start:end]
	lv := r.level(name)
	if lv == plain {
		if text[i] == '=' || quoted {
			return r.fieldNamed(text, name, i)
		}
		return 0, 0
	}
	if lv == weak { // looked at again for each name: bounded
		text = text[:min(len(text), i+maxWeak)]
	}
	from, to = unquoted(text, i, name)
	if lv == weak && !tokenLike(text[from:to]) {
		return 0, 0
	}
	return from, to
}

// maxWeak bounds how far a value of a weak name is looked at, in bytes.
const maxWeak = 1024

// unquoted is value without the quotes around it, so that what is masked
// stays a string.
func unquoted(text []byte, i int, name []byte) (from, to int) {
	from, to = value(text, i, name)
	if to-from < 2 {
		return from, to
	}
	switch v := text[from:to]; {
	case (v[0] == '"' || v[0] == '\'' || v[0] == '`') && v[len(v)-1] == v[0]:
		return from + 1, to - 1
	case v[0] == '"' || v[0] == '\'' || v[0] == '`':
		return from + 1, to
	case v[0] == '\\':
		if n := escaped(v, 0); n > 0 && len(v) >= 2*n+2 && v[len(v)-1] == v[n] {
			return from + n + 1, to - n - 1
		}
	}
	return from, to
}

func nameByte(c byte) bool {
	return wordByte(c) || c == '-' || c == '.' || c == '$'
}

// fieldNamed finds the value of a field that is named beside it: the part of
// a multipart body after name="password", and "value" after "name":"password".
func (r *Redactor) fieldNamed(text, name []byte, i int) (from, to int) {
	if !bytes.EqualFold(name, []byte("name")) && !bytes.EqualFold(name, []byte("key")) && !bytes.EqualFold(name, []byte("field")) {
		return 0, 0
	}
	vf, vt := value(text[:min(len(text), i+2*maxName)], i, name)
	if vt-vf > maxName {
		return 0, 0
	}
	inner := bytes.Trim(text[vf:vt], "\"'")
	if r.level(inner) != strong {
		return 0, 0
	}
	rest := text[vt:min(len(text), vt+512)]
	if text[i] == '=' {
		for _, gap := range []string{"\r\n\r\n", "\n\n"} {
			if g := bytes.Index(rest, []byte(gap)); g >= 0 {
				from = vt + g + len(gap)
				if e := bytes.Index(text[from:], []byte("\n--")); e >= 0 {
					return from, from + e
				}
				return from, len(text)
			}
		}
	}
	if v := bytes.Index(rest[:min(len(rest), 48)], []byte("value")); v >= 0 {
		for p := vt + v + len("value"); p < len(text) && p < vt+v+12; p++ {
			if text[p] == ':' || text[p] == '=' {
				return unquoted(text, p, name)
			}
		}
	}
	return 0, 0
}

// value is the value after the separator at i: a quoted string, a bracketed
// JSON value, or what runs to the end of its kind.
func value(text []byte, i int, name []byte) (from, to int) {
	from = i + 1
	if from < len(text) && (text[from] == '=' || text[from] == '>') { // "==", "=>"
		from++
	}
	for from < len(text) && (text[from] == ' ' || text[from] == '\t') {
		from++
	}
	if text[i] == ':' { // pretty-printed JSON may break the line
		for from < len(text) && from-i < 64 && (text[from] == '\n' || text[from] == '\r' || text[from] == ' ' || text[from] == '\t') {
			from++
		}
	}
	if from >= len(text) {
		return from, from
	}
	switch c := text[from]; c {
	case '"', '\'', '`':
		return from, quotedEnd(text, from)
	case '\\':
		if depth := escaped(text, from); depth > 0 {
			return from, escapedEnd(text, from, depth)
		}
	case '{', '[':
		return from, bracketEnd(text, from)
	}
	to = from
	if text[i] == ':' && wholeLine(name) {
		for to < len(text) && text[to] != '\r' && text[to] != '\n' {
			to++
		}
		return from, to
	}
	for to < len(text) && !valueEnd(text[to]) {
		to++
	}
	return from, to
}

func valueEnd(c byte) bool {
	switch c {
	case '&', '\r', '\n', ' ', '\t', '"', '<', '>', ',', '}', ';', ')', ']':
		return true
	}
	return false
}

// wholeLine are headers whose value has several parts.
func wholeLine(name []byte) bool {
	var buf [maxName]byte
	n := string(normalName(buf[:0], name[:min(len(name), maxName)]))
	return n == "cookie" || n == "setcookie" || n == "authorization" || n == "proxyauthorization"
}

func quotedEnd(text []byte, from int) int {
	q := text[from]
	for i := from + 1; i < len(text); i++ {
		if text[i] == '\\' {
			i++
		} else if text[i] == q {
			return i + 1
		}
	}
	return len(text)
}

// escaped is how many backslashes stand before a quote at from, 0 when there
// is no quote after them.
func escaped(text []byte, from int) int {
	n := 0
	for from+n < len(text) && n < 16 && text[from+n] == '\\' {
		n++
	}
	if from+n < len(text) && (text[from+n] == '"' || text[from+n] == '\'') {
		return n
	}
	return 0
}

// escapedEnd finds the end of a string inside a string, \"...\", where the
// quotes have depth backslashes: a quote with no more of them.
func escapedEnd(text []byte, from, depth int) int {
	q := text[from+depth]
	run := 0
	for i := from + depth + 1; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			run++
			continue
		case text[i] == q && run <= depth:
			return i + 1
		}
		run = 0
	}
	return len(text)
}

func bracketEnd(text []byte, from int) int {
	depth := 0
	for i := from; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = quotedEnd(text, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// element is the content of an XML element whose start tag ends at i.
func (r *Redactor) element(text []byte, i int) (from, to int) {
	open := bytes.LastIndexByte(text[max(0, i-160):i], '<')
	if open < 0 {
		return 0, 0
	}
	tag := text[max(0, i-160)+open+1 : i]
	if len(tag) == 0 || tag[0] == '/' || tag[0] == '!' || tag[0] == '?' || tag[len(tag)-1] == '/' {
		return 0, 0
	}
	if sp := bytes.IndexAny(tag, " \t\r\n"); sp >= 0 {
		tag = tag[:sp]
	}
	if colon := bytes.LastIndexByte(tag, ':'); colon >= 0 {
		tag = tag[colon+1:]
	}
	lv := r.level(tag)
	if lv == plain && (string(tag) == "name" || string(tag) == "key") {
		return r.namedElement(text, i+1)
	}
	if lv == plain {
		return 0, 0
	}
	if lv == weak {
		text = text[:min(len(text), i+maxWeak)]
	}
	from = i + 1
	to = len(text)
	if e := bytes.Index(text[from:], []byte("</")); e >= 0 {
		to = from + e
	}
	if lv == weak && !tokenLike(bytes.TrimSpace(text[from:to])) {
		return 0, 0
	}
	return from, to
}

// namedElement is the content of the element after <name>password</name>, as
// XML-RPC and property lists have it.
func (r *Redactor) namedElement(text []byte, from int) (int, int) {
	rest := text[from:min(len(text), from+2*maxName)]
	end := bytes.Index(rest, []byte("</"))
	if end < 0 || r.level(bytes.TrimSpace(rest[:end])) != strong {
		return 0, 0
	}
	closed := bytes.IndexByte(rest[end:], '>')
	if closed < 0 {
		return 0, 0
	}
	at := from + end + closed + 1
	open := bytes.IndexByte(text[at:min(len(text), at+maxName)], '>')
	if open < 0 {
		return 0, 0
	}
	at += open + 1
	if e := bytes.Index(text[at:], []byte("</")); e >= 0 {
		return at, at + e
	}
	return at, len(text)
}

// userOption is the password of curl's -u name:password, which begins at i.
func userOption(text []byte, i int) (from, to int) {
	end := i
	for end < len(text) && text[end] != ' ' && text[end] != '\'' && text[end] != '"' && text[end] != '\n' {
		end++
	}
	if colon := bytes.IndexByte(text[i:end], ':'); colon > 0 && !bytes.HasPrefix(text[i+colon:end], []byte("://")) {
		return i + colon + 1, end
	}
	return 0, 0
}

// option is the value of a command line option, --password x; name begins at i.
func (r *Redactor) option(text []byte, i int) (from, to int) {
	end := i
	for end < len(text) && end-i < maxName && nameByte(text[end]) {
		end++
	}
	if end >= len(text) || text[end] != ' ' || r.level(text[i:end]) != strong {
		return 0, 0
	}
	return unquoted(text, end, text[i:end])
}

// formSpans reads text as a URL-encoded form: pairs apart by &, a name up to
// the first =, everything after it the value.
func (r *Redactor) formSpans(dst []span, text []byte) []span {
	for at := 0; at < len(text); {
		end := at + len(text[at:])
		if n := bytes.IndexByte(text[at:], '&'); n >= 0 {
			end = at + n
		}
		if eq := bytes.IndexByte(text[at:end], '='); eq > 0 {
			name, value := text[at:at+eq], span{at + eq + 1, end, false}
			for range maxRounds {
				decoded, _, changed := decode(name, nil)
				if !changed {
					break
				}
				name = decoded
			}
			if b := bytes.TrimRight(name, "[]"); bytes.IndexByte(b, '[') >= 0 { // user[password]
				name = b[bytes.LastIndexByte(b, '[')+1:]
			}
			lv := r.level(name)
			if lv == strong || lv == weak && tokenLike(text[value.from:value.to]) {
				dst = append(dst, value)
			}
		}
		at = end + 1
	}
	return dst
}

// headerSpans judges a header by its name, then its text.
func (r *Redactor) headerSpans(dst []span, name, v []byte) []span {
	var buf [maxName]byte
	switch n := normalName(buf[:0], name[:min(len(name), maxName)]); string(n) {
	case "authorization", "proxyauthorization":
		from := 0
		if sp := bytes.IndexByte(v, ' '); sp > 0 && sp <= 16 {
			from = sp + 1
		}
		return append(dst, span{from, len(v), false})
	case "cookie", "cookie2":
		return cookieSpans(dst, v, false)
	case "setcookie", "setcookie2":
		return cookieSpans(dst, v, true)
	}
	lv := r.level(name)
	if lv == strong || lv == weak && tokenLike(v) {
		return append(dst, span{0, len(v), false})
	}
	return r.spans(dst, v, false)
}

// cookieSpans masks the value of every cookie, or of the first pair alone
// where the rest are attributes.
func cookieSpans(dst []span, v []byte, first bool) []span {
	for at := 0; at < len(v); {
		end := len(v)
		if n := bytes.IndexByte(v[at:], ';'); n >= 0 {
			end = at + n
		}
		from := at
		if eq := bytes.IndexByte(v[at:end], '='); eq >= 0 {
			from = at + eq + 1
		}
		dst = append(dst, span{from, end, false})
		if first {
			break
		}
		at = end + 1
		for at < len(v) && v[at] == ' ' {
			at++
		}
	}
	return dst
}
