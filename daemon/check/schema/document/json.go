package document

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// parseJSON reads one JSON text. Repeated names keep the last value, as most
// readers do; everything else is as RFC 8259 has it.
func parseJSON(f *File, text []byte) (*Node, error) {
	p := &jsonParser{
		file: f,
		text: text,
		dec:  jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)),
		line: 1,
		keys: map[string]string{},
	}
	n, err := p.value(0)
	if err == nil {
		if _, err = p.dec.ReadToken(); err == nil {
			err = errors.New("more text after the value")
		} else if err.Error() == "EOF" {
			return n, nil
		}
	}
	p.advance(int(p.dec.InputOffset()))
	return nil, fmt.Errorf("%s:%d:%d: not JSON: %w", f.Name, p.line, p.offset-p.lineStart+1, err)
}

type jsonParser struct {
	file      *File
	text      []byte
	dec       *jsontext.Decoder
	offset    int
	line      int
	lineStart int
	keys      map[string]string // one string for each name
}

// advance moves the line count on to an offset, which never goes back.
func (p *jsonParser) advance(to int) {
	for p.offset < to && p.offset < len(p.text) {
		i := bytes.IndexByte(p.text[p.offset:to], '\n')
		if i < 0 {
			break
		}
		p.offset += i + 1
		p.line++
		p.lineStart = p.offset
	}
	p.offset = to
}

func (p *jsonParser) node(k Kind, end, length int) *Node {
	p.advance(end - length)
	return &Node{Kind: k, File: p.file, Line: int32(p.line), Col: int32(p.offset - p.lineStart + 1)}
}

func (p *jsonParser) value(depth int) (*Node, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	tok, err := p.dec.ReadToken()
	if err != nil {
		return nil, err
	}
	end := int(p.dec.InputOffset())
	switch tok.Kind() {
	case 'n':
		return p.node(Null, end, 4), nil
	case 't':
		n := p.node(Bool, end, 4)
		n.Text = "true"
		return n, nil
	case 'f':
		n := p.node(Bool, end, 5)
		n.Text = "false"
		return n, nil
	case '0':
		text := tok.String()
		n := p.node(Number, end, len(text))
		n.Text = text
		return n, nil
	case '"':
		n := p.node(String, end, 1)
		n.Text = tok.String()
		return n, nil
	case '[':
		n := p.node(Array, end, 1)
		for p.dec.PeekKind() != ']' {
			item, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, item)
		}
		_, err = p.dec.ReadToken()
		return n, err
	}
	n := p.node(Object, end, 1)
	for p.dec.PeekKind() != '}' {
		name, err := p.dec.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		if k, ok := p.keys[key]; ok {
			key = k
		} else {
			p.keys[key] = key
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.Keys = append(n.Keys, key)
		n.Items = append(n.Items, item)
	}
	n.seal()
	_, err = p.dec.ReadToken()
	return n, err
}
