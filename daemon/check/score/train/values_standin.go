package train

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/daemon/request"
)

func unescape(b []byte, plus bool) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '+' && plus {
			out = append(out, ' ')
			continue
		}
		if c == '%' && i+2 < len(b) {
			if v, err := url.PathUnescape(string(b[i : i+3])); err == nil {
				out = append(out, v...)
				i += 2
				continue
			}
		}
		out = append(out, c)
	}
	return out
}

// Values calls see with every text a client chose.
func Values(r *request.Request, see func(where string, text []byte)) {
	pairs := func(where string, q []byte) {
		for _, p := range bytes.FieldsFunc(q, func(c rune) bool { return c == '&' }) {
			k, v, ok := bytes.Cut(p, []byte("="))
			see(where+".name", unescape(k, true))
			if ok {
				see(where+":"+string(k), unescape(v, true))
			}
		}
	}
	path, q, _ := bytes.Cut(r.URI, []byte("?"))
	see("path", unescape(path, false))
	for _, s := range bytes.Split(path, []byte("/")) {
		see("path", unescape(s, false))
	}
	pairs("query", q)
	ct := ""
	for _, h := range r.Headers {
		n := strings.ToLower(string(h.Name))
		switch n {
		case "content-type":
			ct = strings.ToLower(string(h.Value))
			if strings.HasPrefix(ct, "multipart/") {
				ct = string(h.Value)
			} else {
				see("header:"+n, h.Value)
			}
		case "cookie":
			for _, p := range bytes.Split(h.Value, []byte(";")) {
				_, v, _ := bytes.Cut(p, []byte("="))
				see("cookie", unescape(bytes.TrimSpace(v), false))
			}
		case "host", "accept", "accept-encoding", "accept-language", "connection":
		case "referer":
			p, q, _ := bytes.Cut(h.Value, []byte("?"))
			see("referer", unescape(p, false))
			pairs("referer", q)
		default:
			see("header:"+n, h.Value)
		}
	}
	b := r.Body.Bytes
	if len(b) == 0 {
		return
	}
	var v any
	switch {
	case strings.HasPrefix(ct, "multipart/"):
		_, bd, _ := strings.Cut(ct, "boundary=")
		for _, part := range bytes.Split(b, []byte("--"+strings.Trim(bd, `"`))) {
			h, c, ok := bytes.Cut(part, []byte("\r\n\r\n"))
			if !ok {
				h, c, ok = bytes.Cut(part, []byte("\n\n"))
			}
			if ok {
				see("multipart.head", bytes.TrimSpace(h))
				see("multipart", bytes.TrimSpace(c))
			}
		}
	case json.Unmarshal(b, &v) == nil:
		var walk func(v any)
		walk = func(v any) {
			switch v := v.(type) {
			case map[string]any:
				for k, x := range v {
					see("json.name", []byte(k))
					walk(x)
				}
			case []any:
				for _, x := range v {
					walk(x)
				}
			case string:
				see("json", []byte(v))
				var in any
				if len(v) > 2 && (v[0] == '{' || v[0] == '[') && json.Unmarshal([]byte(v), &in) == nil {
					walk(in)
				}
			}
		}
		walk(v)
	case strings.Contains(ct, "form") || ct == "" && bytes.IndexByte(b, '=') > 0 && bytes.IndexByte(b, '<') < 0:
		pairs("form", b)
	default:
		see("body", b)
	}
}
