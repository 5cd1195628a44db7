package learn

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/request"
)

// harEntry is the part of an HTTP Archive's entry (HAR 1.2) that is read.
type harEntry struct {
	Started time.Time `json:"startedDateTime"`
	Request struct {
		Method   string      `json:"method"`
		URL      string      `json:"url"`
		Protocol string      `json:"httpVersion"`
		Headers  []harHeader `json:"headers"`
		PostData *struct {
			MimeType string      `json:"mimeType"`
			Text     string      `json:"text"`
			Encoding string      `json:"encoding"` // "base64", by some tools
			Params   []harHeader `json:"params"`
		} `json:"postData"`
	} `json:"request"`
	Response struct {
		Status int `json:"status"`
	} `json:"response"`
}

type harHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ReadHAR reads an HTTP Archive entry by entry. It does not say who called:
// client stands for the person at the browser, another for each file. Entries
// that were never answered are skipped.
func ReadHAR(in io.Reader, client netip.Addr, add func(Call)) (Lines, error) {
	var n Lines
	d := json.NewDecoder(in)
	found := false
	err := inObject(d, func(name string) error {
		if name != "log" {
			return skipValue(d)
		}
		return inObject(d, func(name string) error {
			if name != "entries" {
				return skipValue(d)
			}
			found = true
			return n.entries(d, client, add)
		})
	})
	if err == nil && !found {
		err = errors.New("no log.entries")
	}
	if err != nil {
		return n, fmt.Errorf("read the HTTP archive, at byte %d: %w", d.InputOffset(), err)
	}
	return n, nil
}

func (n *Lines) entries(d *json.Decoder, client netip.Addr, add func(Call)) error {
	if err := delim(d, '['); err != nil {
		return err
	}
	for number := 1; d.More(); number++ {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		var e harEntry
		err := json.Unmarshal(raw, &e)
		if err == nil {
			err = e.call(client, add)
		}
		if err != nil {
			if n.Skipped++; n.Skipped == 1 {
				n.Why = fmt.Sprintf("entry %d: %v", number, err)
			}
			continue
		}
		n.Read++
	}
	return delim(d, ']')
}

func (e *harEntry) call(client netip.Addr, add func(Call)) error {
	if e.Response.Status <= 0 {
		return errors.New("it was never answered")
	}
	u, err := url.Parse(e.Request.URL)
	if err != nil || u.Host == "" || !strings.HasPrefix(u.Scheme, "http") {
		return fmt.Errorf("%.80q is no URL of HTTP", e.Request.URL)
	}
	r := request.Get()
	defer r.Release()
	r.Received, r.Method, r.Protocol = e.Started, e.Request.Method, e.Request.Protocol
	r.Host, r.URI, r.Client = []byte(strings.ToLower(u.Hostname())), []byte(u.RequestURI()), netip.AddrPortFrom(client, 0)
	mime := ""
	for _, h := range e.Request.Headers {
		if strings.HasPrefix(h.Name, ":") || strings.EqualFold(h.Name, "content-encoding") {
			continue // an archive holds the body decoded
		}
		if strings.EqualFold(h.Name, "content-type") {
			mime = h.Value
		}
		r.Headers = append(r.Headers, request.Header{Name: []byte(h.Name), Value: []byte(h.Value)})
	}
	if p := e.Request.PostData; p != nil {
		body := []byte(p.Text)
		if p.Encoding == "base64" {
			if body, err = base64.StdEncoding.DecodeString(p.Text); err != nil {
				return fmt.Errorf("its body is no base64: %w", err)
			}
		}
		if len(body) == 0 && len(p.Params) > 0 && strings.HasPrefix(p.MimeType, "application/x-www-form-urlencoded") {
			form := url.Values{}
			for _, v := range p.Params {
				form.Add(v.Name, v.Value)
			}
			body = []byte(form.Encode())
		}
		if mime == "" && p.MimeType != "" {
			r.Headers = append(r.Headers, request.Header{Name: []byte("Content-Type"), Value: []byte(p.MimeType)})
		}
		r.Body = request.Body{Present: true, Bytes: body, Length: int64(len(body))}
	}
	add(Call{Request: r, Status: e.Response.Status})
	return nil
}

// inObject calls f for each name; f reads the value.
func inObject(d *json.Decoder, f func(name string) error) error {
	if err := delim(d, '{'); err != nil {
		return err
	}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		name, ok := tok.(string)
		if !ok {
			return fmt.Errorf("%v is no name", tok)
		}
		if err := f(name); err != nil {
			return err
		}
	}
	return delim(d, '}')
}

func delim(d *json.Decoder, want json.Delim) error {
	tok, err := d.Token()
	if err != nil {
		return err
	}
	if tok != want {
		return fmt.Errorf("%v, expected %v", tok, want)
	}
	return nil
}

// skipValue passes over a value token by token, so that it is never held.
func skipValue(d *json.Decoder) error {
	for depth := 0; ; {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
