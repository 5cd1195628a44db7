package generate

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/daemon/request"
)

// Sample is one made request: a value, put where clients put values.
type Sample struct {
	Malicious bool
	Class     string // the class of attack, or "benign"
	Source    string // "made-" and the grammar's root rule
	Text      string // the value
	Request   *request.Request
}

// Maker makes samples.
type Maker struct {
	w             *writer
	attack, plain []string // root rules, each attack.CLASS.NAME or benign.NAME
}

// New makes a maker whose samples the seed decides.
func New(seed uint64) (*Maker, error) {
	g, err := load()
	if err != nil {
		return nil, err
	}
	m := &Maker{w: &writer{g: g, r: rand.New(rand.NewPCG(seed, 0x5a11))}}
	for _, name := range g.names {
		switch {
		case strings.HasPrefix(name, "attack."):
			m.attack = append(m.attack, name)
		case strings.HasPrefix(name, "benign."):
			m.plain = append(m.plain, name)
		}
	}
	slices.Sort(m.attack)
	slices.Sort(m.plain)
	return m, nil
}

// Benign makes a request of ordinary traffic.
func (m *Maker) Benign() *Sample {
	root := m.plain[m.w.r.IntN(len(m.plain))]
	text := m.w.expand(root, 0)
	s := &Sample{Class: "benign", Source: "made-" + strings.TrimPrefix(root, "benign."), Text: text, Request: m.place(text)}
	switch n := m.w.r.IntN(3); {
	case root == "benign.placeholder" && n == 0:
		s.Request = m.target("/" + text)
	case root == "benign.webpath" && n > 0:
		s.Request = m.target(text)
	case root == "benign.url" && n > 0:
		s.Request = m.header("Referer", text)
	case root == "benign.cookie" && n > 0:
		s.Request = m.header("Cookie", text)
	case root == "benign.agent" && n > 0:
		s.Request = m.header("User-Agent", text)
	case root == "benign.header" && n > 0:
		s.Request = m.header("X-"+m.w.pronounceable(), text)
	}
	return s
}

// Attack makes a request with an attack, half of the time mutated.
func (m *Maker) Attack() *Sample {
	root := m.attack[m.w.r.IntN(len(m.attack))]
	class, name, _ := strings.Cut(strings.TrimPrefix(root, "attack."), ".")
	text := m.w.expand(root, 0)
	if m.w.r.IntN(2) == 0 {
		text = m.mutate(text, class)
	}
	return &Sample{Malicious: true, Class: class, Source: "made-" + name, Text: text, Request: m.place(text)}
}

// target makes a request for a path as it stands.
func (m *Maker) target(path string) *request.Request {
	r := m.place("")
	r.Method, r.URI, r.Body = "GET", []byte(path), request.Body{}
	r.Headers = r.Headers[:1]
	return r
}

// header makes a request with the value in a header.
func (m *Maker) header(name, text string) *request.Request {
	r := m.target("/" + m.w.pronounceable())
	r.Headers = append(r.Headers, request.Header{Name: []byte(name), Value: []byte(strings.NewReplacer("\n", " ", "\r", " ").Replace(text))})
	return r
}

// Place puts a value into a request of its own.
func (m *Maker) Place(text string) *request.Request { return m.place(text) }

func (m *Maker) place(text string) *request.Request {
	r := &request.Request{Method: "GET", Protocol: "HTTP/1.1", Host: []byte("api.example.test")}
	r.Headers = []request.Header{{Name: []byte("Host"), Value: []byte("api.example.test")}}
	name := m.w.chars("abcdefghijklmnopqrstuvwxyz", 4)
	body := func(contentType, text string) {
		r.Method, r.URI = "POST", []byte("/"+name)
		r.Headers = append(r.Headers, request.Header{Name: []byte("Content-Type"), Value: []byte(contentType)})
		r.Body = request.Body{Present: true, Bytes: []byte(text), Length: int64(len(text))}
	}
	switch m.w.r.IntN(9) {
	case 8:
		r.URI = []byte("/" + name + "/" + escapeAll(text))
	case 0, 1, 2:
		r.URI = []byte("/" + name + "?" + name + "=" + escapeAll(text))
	case 3, 4:
		body("application/x-www-form-urlencoded", name+"="+escapeAll(text)+"&id=1")
	default:
		quoted, err := json.Marshal(text)
		if err != nil {
			quoted = []byte(`""`)
		}
		body("application/json", `{"`+name+`":`+string(quoted)+`,"id":1}`)
	}
	return r
}
