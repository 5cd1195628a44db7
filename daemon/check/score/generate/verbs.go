package generate

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// makers make text that no rule can list.
var makers = map[string]func(w *writer) string{
	"sp":  func(*writer) string { return " " },
	"nl":  func(*writer) string { return "\n" },
	"cr":  func(*writer) string { return "\r" },
	"tab": func(*writer) string { return "\t" },
	"nul": func(*writer) string { return "\x00" },
	"bt":  func(*writer) string { return "`" },
	// no is the empty text, for an optional part.
	"no":    func(*writer) string { return "" },
	"digit": func(w *writer) string { return string(rune('0' + w.r.IntN(10))) },
	"int": func(w *writer) string {
		return fmt.Sprint(w.r.IntN([]int{10, 100, 1000, 10000, 100000000}[w.r.IntN(5)]))
	},
	"small":    func(w *writer) string { return fmt.Sprint(1 + w.r.IntN(9)) },
	"year":     func(w *writer) string { return fmt.Sprint(1970 + w.r.IntN(60)) },
	"float":    func(w *writer) string { return fmt.Sprintf("%.*f", 1+w.r.IntN(4), w.r.Float64()*200) },
	"signed":   func(w *writer) string { return fmt.Sprintf("%.*f", 1+w.r.IntN(3), w.r.Float64()*400-200) },
	"epoch":    func(w *writer) string { return fmt.Sprint(1500000000000 + w.r.Int64N(300000000000)) },
	"hex2":     func(w *writer) string { return w.chars("0123456789abcdef", 2) },
	"hex8":     func(w *writer) string { return w.chars("0123456789abcdef", 8) },
	"hex32":    func(w *writer) string { return w.chars("0123456789abcdef", 32) },
	"uuid":     func(w *writer) string { return w.uuid() },
	"b64":      func(w *writer) string { return base64.StdEncoding.EncodeToString(w.bytes(6 + w.r.IntN(150))) },
	"b64u":     func(w *writer) string { return base64.RawURLEncoding.EncodeToString(w.bytes(6 + w.r.IntN(90))) },
	"b64short": func(w *writer) string { return base64.StdEncoding.EncodeToString(w.bytes(3 + w.r.IntN(20))) },
	"ascii":    func(w *writer) string { return w.ascii(4 + w.r.IntN(40)) },
	"id":       func(w *writer) string { return w.chars(idChars, 4+w.r.IntN(20)) },
	"letters":  func(w *writer) string { return w.chars("abcdefghijklmnopqrstuvwxyz", 3+w.r.IntN(8)) },
	"v":        func(w *writer) string { return w.chars("abcdefghijklmnopqrstuvwxyzABCDEFGHKLMN_$", 1+w.r.IntN(2)) },
	"x":        func(w *writer) string { return w.chars("abcdefghijklmnopqrstuvwxyz", 1) },
	"latin":    func(w *writer) string { return w.pronounceable() },
	"Latin":    func(w *writer) string { p := w.pronounceable(); return strings.ToUpper(p[:1]) + p[1:] },
	"legacy":   func(w *writer) string { return w.legacy() },
	"han":      func(w *writer) string { return w.runes(0x4e00, 0x6fff, 2+w.r.IntN(14)) },
	"kana":     func(w *writer) string { return w.runes(0x3042, 0x3093, 2+w.r.IntN(12)) },
	"hangul":   func(w *writer) string { return w.runes(0xac00, 0xd7a3, 2+w.r.IntN(6)) },
	"cyrillic": func(w *writer) string { return w.runes(0x430, 0x44f, 2+w.r.IntN(9)) },
	"greek":    func(w *writer) string { return w.runes(0x3b1, 0x3c9, 2+w.r.IntN(8)) },
	"arabic":   func(w *writer) string { return w.runes(0x627, 0x64a, 2+w.r.IntN(7)) },
	"thai":     func(w *writer) string { return w.runes(0xe01, 0xe2e, 3+w.r.IntN(14)) },
	"hindi":    func(w *writer) string { return w.runes(0x905, 0x939, 2+w.r.IntN(6)) },
	"emoji":    func(w *writer) string { return w.runes(0x1f600, 0x1f64f, 1) },
}

const idChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// verbs make something of a rule's expansion.
var verbs map[string]func(w *writer, rule string, depth int) string

func init() { // a record expands rules, so these tables would refer to themselves
	makers["record"] = (*writer).record
	on := func(f func(string) string) func(*writer, string, int) string {
		return func(w *writer, rule string, depth int) string { return f(w.expand(rule, depth)) }
	}
	times := func(low, high int, sep string) func(*writer, string, int) string {
		return func(w *writer, rule string, depth int) string {
			n := low + w.r.IntN(high-low+1)
			out := make([]string, n)
			for i := range out {
				out[i] = w.expand(rule, depth)
			}
			return strings.Join(out, sep)
		}
	}
	same := func(low, high int) func(*writer, string, int) string {
		return func(w *writer, rule string, depth int) string {
			return strings.Repeat(w.expand(rule, depth), low+w.r.IntN(high-low+1))
		}
	}
	verbs = map[string]func(*writer, string, int) string{
		"url":   on(escapeAll),
		"url2":  on(func(s string) string { return escapeAll(escapeAll(s)) }),
		"b64":   on(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }),
		"hex":   on(func(s string) string { return hex.EncodeToString([]byte(s)) }),
		"json":  on(jsonInner),
		"json2": on(func(s string) string { return jsonInner(jsonInner(s)) }),
		"upper": on(strings.ToUpper),
		"title": on(func(s string) string {
			if s == "" || s[0] >= 0x80 {
				return s
			}
			return strings.ToUpper(s[:1]) + s[1:]
		}),
		"maybe": func(w *writer, rule string, depth int) string {
			if w.r.IntN(2) == 0 {
				return ""
			}
			return w.expand(rule, depth)
		},
		"case":   func(w *writer, rule string, depth int) string { return w.randomCase(w.expand(rule, depth)) },
		"words":  times(2, 6, " "),
		"many":   times(6, 40, " "),
		"lines":  times(2, 9, "\n"),
		"para":   times(1, 4, "\n\n"),
		"commas": times(2, 9, ","),
		"list":   times(2, 5, ", "),
		"amps":   times(2, 9, "&"),
		"semis":  times(2, 9, "; "),
		"join":   times(2, 12, ""),
		"long":   times(8, 40, ""),
		"dots":   times(2, 5, "."),
		"slash":  times(1, 6, "/"),
		"same":   same(2, 9),
		"far":    same(3, 14),
	}
}

func jsonInner(s string) string {
	b, _ := json.Marshal(s)
	out := string(b[1 : len(b)-1])
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(out)
}

func escapeAll(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func (w *writer) chars(from string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = from[w.r.IntN(len(from))]
	}
	return string(b)
}

func (w *writer) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.r.Uint32())
	}
	return b
}

func (w *writer) ascii(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(33 + w.r.IntN(94))
	}
	return string(b)
}

func (w *writer) uuid() string {
	h := w.chars("0123456789abcdef", 32)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func (w *writer) runes(from, to, n int) string {
	b := make([]rune, n)
	for i := range b {
		b[i] = rune(from + w.r.IntN(to-from+1))
	}
	return string(b)
}

func (w *writer) pronounceable() string {
	const c, v = "bcdfghjklmnpqrstvwxz", "aeiouy"
	var b strings.Builder
	for n := 1 + w.r.IntN(4); n > 0; n-- {
		b.WriteByte(c[w.r.IntN(len(c))])
		b.WriteByte(v[w.r.IntN(len(v))])
		if w.r.IntN(3) == 0 {
			b.WriteByte(c[w.r.IntN(len(c))])
		}
	}
	return b.String()
}

// record is fields joined by whatever some program's author chose.
func (w *writer) record() string {
	marks := []string{"~", "^", "*", "@", "%", "!", "|", "$", "#", ":", ";", ",", "=", "+", ".", "_", "/", "-", "&", " ", "**", "::", "||", "--", "~~", "@@", "%%", ";;",
		"|#|", "$$", "==", "=>", "->", ":=", "<>", "()", "[]", "{}", "'", "\"", "\\", "%1%", "%0%", "!!", "/*", "*/", "//"}
	outer, inner := marks[w.r.IntN(len(marks))], marks[w.r.IntN(len(marks))]
	fields := []string{"int", "hex8", "letters", "id", "pword", "float", "uuid", "epoch", "latin", "host", "no", "signed", "digit", "pname", "b64short", "words2"}
	var b strings.Builder
	for n := 2 + w.r.IntN(14); n > 0; n-- {
		b.WriteString(w.expand(fields[w.r.IntN(len(fields))], maxDepth-4))
		if w.r.IntN(3) == 0 {
			b.WriteString(inner)
			b.WriteString(w.expand(fields[w.r.IntN(len(fields))], maxDepth-4))
		}
		if n > 1 {
			b.WriteString(outer)
		}
	}
	return b.String()
}

// legacy is text in a charset of before UTF-8: single-byte letters, or double
// bytes whose second byte can be ASCII punctuation.
func (w *writer) legacy() string {
	var b []byte
	double := w.r.IntN(2) == 0
	for n := 3 + w.r.IntN(14); n > 0; n-- {
		switch {
		case w.r.IntN(7) == 0:
			b = append(b, " .,-"[w.r.IntN(4)])
		case double:
			second := 0xa1 + w.r.IntN(94)
			if w.r.IntN(4) == 0 {
				second = 0x40 + w.r.IntN(63)
			}
			b = append(b, byte(0x81+w.r.IntN(0x7e)), byte(second))
		default:
			b = append(b, byte(0xc0+w.r.IntN(64)))
		}
	}
	return string(b)
}

func (w *writer) randomCase(s string) string {
	b := []byte(s)
	for i, c := range b {
		if (c|0x20) >= 'a' && (c|0x20) <= 'z' && w.r.IntN(2) == 0 {
			b[i] = c ^ 0x20
		}
	}
	return string(b)
}
