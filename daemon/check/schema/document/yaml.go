package document

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads the first YAML document of a file: what JSON can say, with
// anchors, aliases and merge keys. Numbers that JSON writes otherwise (0x1f,
// .5) are written anew; a date is a string.
func parseYAML(f *File, text []byte) (*Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: not YAML: %w", f.Name, err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return nil, fmt.Errorf("%s:1:1: the file is empty", f.Name)
	}
	c := &yamlConverter{file: f, done: map[*yaml.Node]*Node{}}
	return c.convert(doc.Content[0], 0)
}

type yamlConverter struct {
	file *File
	done map[*yaml.Node]*Node // of anchored nodes, so that an alias is no copy
}

func (c *yamlConverter) convert(y *yaml.Node, depth int) (*Node, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("%s:%d:%d: nested deeper than %d", c.file.Name, y.Line, y.Column, MaxDepth)
	}
	if y.Kind == yaml.AliasNode {
		if n, ok := c.done[y.Alias]; ok {
			return n, nil
		}
		return nil, fmt.Errorf("%s:%d:%d: alias *%s stands inside its own anchor", c.file.Name, y.Line, y.Column, y.Value)
	}
	n := &Node{File: c.file, Line: int32(y.Line), Col: int32(y.Column)}
	var err error
	switch y.Kind {
	case yaml.SequenceNode:
		n.Kind = Array
		for _, item := range y.Content {
			child, err := c.convert(item, depth+1)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, child)
		}
	case yaml.MappingNode:
		n.Kind = Object
		err = c.mapping(n, y, depth)
		n.seal()
	default:
		scalar(n, y)
	}
	if y.Anchor != "" {
		c.done[y] = n
	}
	return n, err
}

func (c *yamlConverter) mapping(n *Node, y *yaml.Node, depth int) error {
	var merged []*Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := y.Content[i]
		child, err := c.convert(y.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		if key.Tag == "!!merge" || (key.Value == "<<" && key.Style == 0) {
			if child.Kind == Array {
				merged = append(merged, child.Items...)
			} else {
				merged = append(merged, child)
			}
			continue
		}
		name := key.Value
		if key.Kind == yaml.AliasNode {
			name = key.Alias.Value
		}
		n.Keys = append(n.Keys, name)
		n.Items = append(n.Items, child)
	}
	for _, m := range merged {
		for i, k := range m.Keys {
			if n.Get(k) == nil {
				n.Keys = append(n.Keys, k)
				n.Items = append(n.Items, m.Items[i])
			}
		}
	}
	return nil
}

func scalar(n *Node, y *yaml.Node) {
	n.Kind, n.Text = String, y.Value
	switch y.ShortTag() {
	case "!!null":
		n.Kind, n.Text = Null, ""
	case "!!bool":
		n.Kind = Bool
		n.Text = strings.ToLower(y.Value)
		if b, err := strconv.ParseBool(n.Text); err == nil {
			n.Text = strconv.FormatBool(b)
		}
	case "!!int":
		n.Kind = Number
		if IsNumber(y.Value) {
			return
		}
		var i int64
		var u uint64
		switch {
		case y.Decode(&i) == nil:
			n.Text = strconv.FormatInt(i, 10)
		case y.Decode(&u) == nil:
			n.Text = strconv.FormatUint(u, 10)
		default:
			n.Kind = String
		}
	case "!!float":
		n.Kind = Number
		if IsNumber(y.Value) {
			return
		}
		var f float64
		if y.Decode(&f) != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			n.Kind = String
			return
		}
		n.Text = strconv.FormatFloat(f, 'g', -1, 64)
	}
}

// IsNumber says whether s is a number as RFC 8259 section 6 writes it.
func IsNumber[T ~string | ~[]byte](s T) bool {
	i := 0
	digits := func() bool {
		start := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > start
	}
	if i < len(s) && s[i] == '-' {
		i++
	}
	if i < len(s) && s[i] == '0' {
		i++
	} else if !digits() {
		return false
	}
	if i < len(s) && s[i] == '.' {
		i++
		if !digits() {
			return false
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(s)
}
