package decode

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/casefile"
)

func unquote(t testing.TB, s string) []byte {
	t.Helper()
	u, err := casefile.Unquote(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return []byte(u)
}

// decoders are the decoders that have a file of cases.
var decoders = map[string]func(dst, src []byte) []byte{
	"percent": func(dst, src []byte) []byte { out, _, _ := Percent(dst, src, false); return out },
	"html":    func(dst, src []byte) []byte { out, _ := HTML(dst, src); return out },
	"js":      func(dst, src []byte) []byte { out, _ := JS(dst, src); return out },
	"utf8":    func(dst, src []byte) []byte { out, _ := UTF8(dst, src); return out },
	"utf7":    UTF7,
	"quoted":  QuotedPairs,
	"string":  JSONString,
	"entity":  entities,
	"base64": func(dst, src []byte) []byte {
		start, end, ok := Base64Token(src, 0)
		if ok {
			if out, ok := Base64(dst, src[start:end]); ok {
				return out
			}
		}
		return append(dst, src...)
	},
}

// entities writes down the entities of a document type, name by text.
func entities(dst, src []byte) []byte {
	for name, text, rest := Entity(src); rest != nil; name, text, rest = Entity(rest) {
		dst = append(append(append(append(dst, name...), '='), text...), ';')
	}
	return dst
}

type decoderCase struct {
	at       string
	in, want []byte
}

func decoderCases(t testing.TB, name string) (cases []decoderCase) {
	t.Helper()
	file := "testdata/" + name + ".txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		at := file + ":" + strconv.Itoa(i+1)
		in, out, ok := strings.Cut(line, " => ")
		if !ok {
			t.Fatalf("%s: expected input => output", at)
		}
		c := decoderCase{at: at, in: unquote(t, in)}
		if c.want = c.in; out != "=" {
			c.want = unquote(t, out)
		}
		cases = append(cases, c)
	}
	return cases
}

func TestDecodersDoWhatTheirCasesSay(t *testing.T) {
	for name, decode := range decoders {
		for _, c := range decoderCases(t, name) {
			if got := decode(nil, c.in); !bytes.Equal(got, c.want) {
				t.Errorf("%s: %q became %q, want %q", c.at, c.in, got, c.want)
			}
		}
	}
}

// fuzz checks that a decoder writes no more than it reads, behind what stood
// in dst, and does the same each time.
func fuzz(f *testing.F, name string) {
	for _, c := range decoderCases(f, name) {
		f.Add(c.in)
	}
	decode := decoders[name]
	f.Fuzz(func(t *testing.T, src []byte) {
		kept := bytes.Clone(src)
		room := make([]byte, 0, len(src))
		got := decode(room, src)
		if limit := len(src); len(got) > limit && (name != "utf7" || len(got) > limit*3/2) {
			t.Fatalf("%q grew to %q", src, got)
		}
		if again := decode([]byte("x"), src); !bytes.Equal(again[1:], got) || again[0] != 'x' {
			t.Fatalf("%q became %q, then %q", src, got, again)
		}
		if !bytes.Equal(src, kept) {
			t.Fatalf("the input was changed: %q, %q", kept, src)
		}
	})
}

func FuzzPercent(f *testing.F) { fuzz(f, "percent") }
func FuzzHTML(f *testing.F)    { fuzz(f, "html") }
func FuzzJS(f *testing.F)      { fuzz(f, "js") }
func FuzzUTF8(f *testing.F)    { fuzz(f, "utf8") }
func FuzzUTF7(f *testing.F)    { fuzz(f, "utf7") }
func FuzzBase64(f *testing.F)  { fuzz(f, "base64") }
func FuzzQuoted(f *testing.F)  { fuzz(f, "quoted") }
func FuzzString(f *testing.F)  { fuzz(f, "string") }
func FuzzEntity(f *testing.F)  { fuzz(f, "entity") }

// events writes down a walk.
type events struct {
	leaves, keys int
	flaws        map[JSONFlaw]bool
	longest      int
	bytes        int
}

func (e *events) JSONLeaf(pointer, raw []byte, _, escaped bool) {
	e.leaves++
	e.longest = max(e.longest, len(pointer))
	e.bytes += len(raw)
	if escaped {
		if out := JSONString(nil, raw); len(out) > len(raw) {
			panic("a JSON string grew")
		}
	}
}
func (e *events) JSONKey(pointer, raw []byte, _ bool) { e.keys++; e.bytes += len(raw) }
func (e *events) JSONFlaw(f JSONFlaw, _ []byte)       { e.flaws[f] = true }

// FuzzJSON holds the walk against encoding/json: both must agree on what is
// well-formed, and no value may be reported twice.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,"x\u00e9",true,null],"b":{"a":{}}}`, `{"a":1,"a":2}`, `[[[[]]],"\ud800"]`, `{a:'b',/*c*/}`,
		`"` + "\x01" + `"`, `[1 2]`, `{"a" 1}`, `01`, `1.`, `{}{}`, "\ufeff[]", `[1,]`, `{"a":}`, "[\x0b]", `nul`} {
		f.Add([]byte(s))
	}
	var w JSON
	f.Fuzz(func(t *testing.T, src []byte) {
		e := events{flaws: map[JSONFlaw]bool{}}
		ok := w.Walk(src, false, &e)
		if e.longest > MaxJSONPointer+MaxJSONKey*2+24 {
			t.Fatalf("a pointer of %d bytes", e.longest)
		}
		if e.bytes > len(src) {
			t.Fatalf("%d bytes of values from %d bytes", e.bytes, len(src))
		}
		std := json.Valid(bytes.TrimPrefix(src, []byte("\ufeff")))
		if e.flaws[JSONDepth] {
			return
		}
		if ok != std {
			t.Fatalf("%q: well-formed here %v, in encoding/json %v, flaws %v", src, ok, std, e.flaws)
		}
	})
}

type parts struct {
	n, bytes int
	flaws    map[PartFlaw]bool
}

func (p *parts) Part(part Part)      { p.n++; p.bytes += len(part.Content) + len(part.Head) }
func (p *parts) PartFlaw(f PartFlaw) { p.flaws[f] = true }

func FuzzMultipart(f *testing.F) {
	f.Add([]byte("--X\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\\\"c\"\r\n\r\nd\r\n--X--\r\n"), []byte("X"))
	f.Add([]byte("--X\nContent-Disposition: form-data;\n name=a\n\nd\n--X"), []byte("X"))
	f.Add([]byte("pre--X\r\n\r\n--X--post"), []byte("X"))
	f.Fuzz(func(t *testing.T, body, boundary []byte) {
		p := parts{flaws: map[PartFlaw]bool{}}
		Multipart(body, boundary, true, &p)
		if p.n > MaxParts+2 || p.bytes > len(body) {
			t.Fatalf("%d parts with %d bytes out of %d", p.n, p.bytes, len(body))
		}
	})
}

type nodes struct{ bytes, longest int }

func (n *nodes) see(path, raw []byte) {
	n.bytes += len(raw)
	n.longest = max(n.longest, len(path))
}
func (n *nodes) XMLText(path, raw []byte, _ bool) { n.see(path, raw) }
func (n *nodes) XMLAttr(path, raw []byte)         { n.see(path, raw) }
func (n *nodes) XMLOther(path, raw []byte)        { n.see(path, raw) }
func (n *nodes) XMLFlaw(XMLFlaw)                  {}

func FuzzXML(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y>z">]><a b='c' d=e f><![CDATA[<g>]]>h<!-- i --></a>`))
	f.Add([]byte(`<a><b></a></b><a /`))
	f.Add([]byte(`<a "b"c>`))
	var w XML
	f.Fuzz(func(t *testing.T, src []byte) {
		var n nodes
		w.Walk(src, &n)
		if n.bytes > 2*len(src) || n.longest > MaxXMLPath+2*maxXMLName+4 {
			t.Fatalf("%d bytes out of %d, a path of %d", n.bytes, len(src), n.longest)
		}
	})
}

func (n *nodes) ProtobufLeaf(path, raw []byte, _ bool) { n.see(path, raw) }

func FuzzProtobuf(f *testing.F) {
	f.Add([]byte("\x0a\x05hello\x12\x07\x0a\x05world\x18\x07"))
	f.Fuzz(func(t *testing.T, src []byte) {
		var n nodes
		Protobuf(src, nil, &n)
		if n.bytes > len(src) || n.longest > maxProtobufPath {
			t.Fatalf("%d bytes out of %d, a path of %d", n.bytes, len(src), n.longest)
		}
	})
}

func (n *nodes) GraphQLLeaf(path, raw []byte, _ bool) { n.see(path, raw) }

func FuzzGraphQL(f *testing.F) {
	f.Add([]byte(`query Q($a: String = "b") { user(name: "x\"y", tags: ["""z"""]) { id } # c` + "\n}"))
	f.Fuzz(func(t *testing.T, src []byte) {
		var n nodes
		GraphQL(src, nil, &n)
		if n.bytes > len(src) || n.longest > maxGraphQLPath {
			t.Fatalf("%d bytes out of %d, a path of %d", n.bytes, len(src), n.longest)
		}
	})
}
