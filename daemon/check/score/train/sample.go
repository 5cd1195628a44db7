// Package train makes attack models from labelled requests and measures them.
// Nothing of it runs in the daemon.
package train

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/score/model"
	"github.com/sallyport/sallyport/daemon/request"
)

// Sample is one labelled request.
type Sample struct {
	ID        string
	Malicious bool
	Class     string // as the data has it
	Source    string
	Request   *request.Request
}

type record struct {
	ID         string          `json:"id"`
	Method     string          `json:"method"`
	URI        string          `json:"uri"`
	Headers    json.RawMessage `json:"headers"`
	Body       *string         `json:"body"`
	BodyBase64 *string         `json:"body_base64"`
	Label      string          `json:"label"`
	Class      string          `json:"class"`
	Source     string          `json:"source"`
}

// maxLine bounds a line of a data file, in bytes.
const maxLine = 16 << 20

// Read calls see with every sample of a file of JSON lines, plain or gzipped.
func Read(path string, see func(*Sample) error) error {
	return lines(path, func(line []byte) error {
		s, err := decodeSample(line)
		if err != nil {
			return err
		}
		return see(s)
	})
}

// lines calls see with every line of a file, plain or gzipped.
func lines(path string, see func(line []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read samples: %w", err)
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		in = z
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if err := see(lines.Bytes()); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

var errLabel = errors.New(`label is neither "benign" nor "malicious"`)

func decodeSample(line []byte) (*Sample, error) {
	var rec record
	if err := json.Unmarshal(line, &rec); err != nil {
		return nil, fmt.Errorf("not a request in JSON: %w", err)
	}
	if rec.Label != "benign" && rec.Label != "malicious" {
		return nil, errLabel
	}
	r := &request.Request{Method: rec.Method, URI: []byte(rec.URI), Protocol: "HTTP/1.1"}
	headers, err := decodeHeaders(rec.Headers)
	if err != nil {
		return nil, err
	}
	r.Headers = headers
	for _, h := range headers {
		if strings.EqualFold(string(h.Name), "host") {
			r.Host = bytes.ToLower(h.Value)
		}
	}
	switch {
	case rec.Body != nil:
		r.Body.Bytes = []byte(*rec.Body)
	case rec.BodyBase64 != nil:
		r.Body.Bytes, err = base64.StdEncoding.DecodeString(*rec.BodyBase64)
		if err != nil {
			return nil, fmt.Errorf("body_base64: %w", err)
		}
	}
	r.Body.Present = rec.Body != nil || rec.BodyBase64 != nil
	r.Body.Length = int64(len(r.Body.Bytes))
	return &Sample{ID: rec.ID, Malicious: rec.Label == "malicious", Class: rec.Class, Source: rec.Source, Request: r}, nil
}

// decodeHeaders takes an object of names and values (strings or lists of
// them) or a list of pairs. An object's order is lost, so names are sorted.
func decodeHeaders(raw json.RawMessage) ([]request.Header, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var out []request.Header
	if raw[0] == '[' {
		var pairs [][2]string
		if err := json.Unmarshal(raw, &pairs); err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
		for _, p := range pairs {
			out = append(out, request.Header{Name: []byte(p[0]), Value: []byte(p[1])})
		}
		return out, nil
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values, ok := object[name].([]any)
		if !ok {
			values = []any{object[name]}
		}
		for _, v := range values {
			out = append(out, request.Header{Name: []byte(name), Value: []byte(fmt.Sprint(v))})
		}
	}
	return out, nil
}

// classOf maps the data's class names to the model's.
func classOf(name string) (model.Class, bool) {
	switch name {
	case "lfi", "rfi", "traversal":
		return model.Path, true
	case "rce", "shellshock":
		return model.Command, true
	case "log4shell", "jndi":
		return model.Lookup, true
	case "crlf":
		return model.Header, true
	case "ssi", "php":
		return model.Code, true
	case "deser":
		return model.Deserialization, true
	}
	for _, c := range model.Classes() {
		if c.String() == name {
			return c, true
		}
	}
	return 0, false
}
