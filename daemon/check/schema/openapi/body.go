package openapi

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"mime"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/schema/jsonschema"
	"github.com/sallyport/sallyport/daemon/request"
)

// parseMediaType reads a media type (RFC 9110 section 8.3.1); what cannot be
// read is answered as "".
func parseMediaType(s string) (essence string, params map[string]string) {
	essence, params, err := mime.ParseMediaType(s)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		essence, _, _ = strings.Cut(s, ";")
		essence = strings.ToLower(strings.TrimSpace(essence))
	}
	if strings.Count(essence, "/") != 1 || strings.HasPrefix(essence, "/") || strings.HasSuffix(essence, "/") {
		return "", nil
	}
	return essence, params
}

func isJSON(essence string) bool {
	return essence == "application/json" || strings.HasSuffix(essence, "+json") || essence == "text/json"
}

func isXML(essence string) bool {
	return essence == "application/xml" || essence == "text/xml" || strings.HasSuffix(essence, "+xml")
}

// body judges what was sent against the media type it says it is.
func (j *judge) body() {
	b := j.op.body
	present := j.r.Body.Present && (len(j.r.Body.Bytes) > 0 || j.r.Body.Length > 0)
	if b == nil {
		if present && j.r.Method != "HEAD" {
			j.add(Violation{ID: "body_undeclared", Where: "body", Want: "no body", Got: "a body", At: j.op.at, Status: 400, Open: true})
		}
		return
	}
	if !present {
		if b.required && j.r.Method != "HEAD" {
			j.add(Violation{ID: "body_missing", Where: "body", Want: "a body", Got: "none", At: b.at, Status: 400})
		}
		return
	}
	var header []byte
	for i := range j.r.Headers {
		if strings.EqualFold(string(j.r.Headers[i].Name), "content-type") {
			header = j.r.Headers[i].Value
			break
		}
	}
	if len(b.media) == 0 { // a body of which nothing is said
		return
	}
	essence, params := parseMediaType(string(header))
	m := b.find(essence, params)
	if m == nil {
		j.add(Violation{ID: "content_type", Where: "header:content-type", Want: b.types(), Got: clip(header), At: b.at, Status: 415})
		return
	}
	text, ok := j.content()
	if !ok {
		return
	}
	j.media(m, essence, params, text)
}

// find picks the media type that says most: the type itself, then its range,
// then */*.
func (b *body) find(essence string, params map[string]string) *media {
	var best *media
	rank := 0
	for _, m := range b.media {
		r := 0
		switch {
		case essence != "" && m.name == essence:
			r = 3
			if len(m.params) > 0 {
				same := true
				for k, v := range m.params {
					same = same && (strings.EqualFold(params[k], v) || k == "charset" && params[k] == "")
				}
				if same {
					r = 4
				} else if m.params["charset"] == "" {
					r = 0
				}
			}
		case essence != "" && strings.HasSuffix(m.name, "/*") && m.name != "*/*" && strings.HasPrefix(essence, strings.TrimSuffix(m.name, "*")):
			r = 2
		case m.name == "*/*":
			r = 1
		case essence != "" && strings.Contains(m.name, "/*+"): // application/*+json
			before, after, _ := strings.Cut(m.name, "*")
			if strings.HasPrefix(essence, before) && strings.HasSuffix(essence, after) {
				r = 2
			}
		}
		if r > rank {
			best, rank = m, r
		}
	}
	return best
}

func (b *body) types() string {
	names := make([]string, len(b.media))
	for i, m := range b.media {
		names[i] = m.name
	}
	return strings.Join(names, " or ")
}

// content is the body after its Content-Encoding; ok is false when it cannot
// be judged, which is told.
func (j *judge) content() (text []byte, ok bool) {
	if j.r.Body.Cut {
		j.add(Violation{ID: "body_too_large", Where: "body", Want: "a body that is inspected whole", Got: "a longer one", At: j.op.body.at, Status: 413})
		return nil, false
	}
	text = j.r.DecodedBody()
	switch {
	case j.r.Marked(request.MarkDecoded), j.r.Marked(request.MarkRatio):
		j.add(Violation{ID: "body_too_large", Where: "body", Want: "a body that is inspected whole after its Content-Encoding", Got: "a longer one", At: j.op.body.at, Status: 413})
		return nil, false
	case j.r.Marked(request.MarkEncodingUnknown), j.r.Marked(request.MarkEncodingBroken):
		j.add(Violation{ID: "body_malformed", Where: "header:content-encoding", Want: "a body in the coding that the header names, one of gzip, deflate, br, zstd", Got: clip(j.r.Header("content-encoding")), At: j.op.body.at, Status: 415})
		return nil, false
	}
	return text, true
}

func (j *judge) media(m *media, essence string, params map[string]string, text []byte) {
	switch {
	case isJSON(essence):
		j.jsonBody(m, text)
	case essence == "application/x-www-form-urlencoded":
		j.formBody(m, text)
	case strings.HasPrefix(essence, "multipart/"):
		j.multipartBody(m, essence, params, text)
	case isXML(essence):
		j.xmlBody(m, text)
	default:
		j.textBody(m, essence, text)
	}
}

func (j *judge) jsonBody(m *media, text []byte) {
	j.in.Reset()
	if err := j.in.Parse(nil, text); err != nil {
		j.add(Violation{ID: parseID(err), Where: "body", Want: "JSON", Got: err.Error(), At: m.at, Status: 400})
		return
	}
	if !m.schema.Valid(&j.in) {
		j.explain(m.schema, "body", "json:", 0, "")
		return
	}
	j.readOnly(m, "json:", "")
}

// readOnly tells of members that a client SHOULD NOT send.
func (j *judge) readOnly(m *media, where, cut string) {
	for _, p := range j.in.ReadOnly() {
		j.add(Violation{ID: "body_read_only", Where: where + strings.TrimPrefix(p, cut), Want: "no readOnly member", Got: "one", At: m.at, Keyword: "readOnly", Status: 422, Open: true})
	}
}

func parseID(err error) string {
	switch {
	case errors.Is(err, jsonschema.ErrTooDeep):
		return "body_too_deep"
	case errors.Is(err, jsonschema.ErrTooLarge):
		return "body_too_large"
	}
	return "body_malformed"
}

// xmlBody holds XML to being well-formed; its mapping to the schema is not
// judged.
func (j *judge) xmlBody(m *media, text []byte) {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.Strict = true
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	depth, elements := 0, 0
	for {
		tok, err := d.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			j.add(Violation{ID: "body_malformed", Where: "body", Want: "XML", Got: clip([]byte(err.Error())), At: m.at, Status: 400})
			return
		}
		switch tok.(type) {
		case xml.StartElement:
			elements++
			if depth++; depth > jsonschema.MaxDepth {
				j.add(Violation{ID: "body_too_deep", Where: "body", Want: "at most 200 elements within each other", Got: "more", At: m.at, Status: 400})
				return
			}
		case xml.EndElement:
			depth--
		}
	}
	if depth != 0 || elements == 0 {
		j.add(Violation{ID: "body_malformed", Where: "body", Want: "XML", Got: "elements that are not closed, or none", At: m.at, Status: 400})
	}
}

// textBody judges what is no structure: the schema sees one string.
func (j *judge) textBody(m *media, essence string, text []byte) {
	if !strings.HasPrefix(essence, "text/") {
		if s := m.schema.Shape(); !s.String {
			return // bytes whose structure is not known
		}
		j.in.Reset()
		j.in.String(nil, text)
	} else {
		j.in.Reset()
		j.in.Text(nil, text)
		if s := m.schema.Shape(); !s.Primitive {
			return
		}
	}
	if !m.schema.Valid(&j.in) {
		j.explain(m.schema, "body", "body", 0, "")
	}
}
