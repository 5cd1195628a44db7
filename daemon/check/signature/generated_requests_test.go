package signature_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"math/rand"
	"strings"
)

// maker makes random requests and rules. The same seed makes the same ones.
type maker struct{ *rand.Rand }

func (m maker) one(from ...string) string { return from[m.Intn(len(from))] }

// some joins between 1 and n picks.
func (m maker) some(n int, from ...string) string {
	var b strings.Builder
	for k := 1 + m.Intn(n); k > 0; k-- {
		b.WriteString(m.one(from...))
	}
	return b.String()
}

func (m maker) chance(percent int) bool { return m.Intn(100) < percent }

var (
	words    = []string{"a", "b", "ab", "aab", "Ab", "x1", "select", "12", "007", "evil", "-", "_", "~", "."}
	uriParts = []string{"/", "//", "/a", "/b", "/./", "/../", "/..", "/.", "\\", "%2e", "%2F", "%5c", "%41", "%252f", "%25", "%u0041", "%uff0f", "%c0%af", "%e0%80%af", "%c3%a9", "%00", "%0a", "%zz", "%4", "%", "+", ";", "=", "&", ":", "@", "!", "'", "\"", "<", "\xc3\xa9", "\xff", "|"}
	values   = []string{" ", ",", "; ", "/", "=", "%41", "+", "\t", "(", ")", "\"", "'", "*", "\xe9", "="}
	names    = []string{"User-Agent", "Cookie", "Referer", "Accept", "Accept-Language", "Accept-Encoding", "Connection", "X-A", "X-B", "Content-Type", "X-Forwarded-For", "Via", "If-None-Match", "Range", "x_y"}
)

func (m maker) target() string {
	path := "/" + m.some(6, append(uriParts, words...)...)
	if m.chance(60) {
		query := m.some(5, append(uriParts, append(words, "?", "#")...)...)
		path += "?" + strings.ReplaceAll(query, "%u", "") // Suricata 8 decodes it there, 7 does not
	}
	if m.chance(10) {
		path += "#" + m.some(2, words...)
	}
	if m.chance(6) {
		path = m.one("http://h.test", "http://H.Test:8080", "HTTP://a.b", "http://u:p@h.test") + path
	}
	return path
}

func (m maker) value() string {
	return strings.Trim(m.some(5, append(values, words...)...), " \t")
}

func (m maker) caseOf(s string) string {
	switch m.Intn(5) {
	case 0:
		return strings.ToLower(s)
	case 1:
		return strings.ToUpper(s)
	}
	return s
}

// header is a header line without its end, folded at times.
func (m maker) header(end string) string {
	name, value := m.caseOf(m.one(names...)), m.value()
	switch m.Intn(24) {
	case 0:
		return name + ":" + value
	case 1:
		return name + ":  " + value + " \t"
	case 2:
		return name + ": " + value + end + " " + m.value()
	case 3:
		return name + ": " + value + end + "\t" + m.value()
	case 4:
		return name + ": "
	}
	return name + ": " + value
}

func (m maker) body() (body string, kind string) {
	switch m.Intn(6) {
	case 0:
		return m.some(4, words...) + "=" + m.some(6, append(uriParts, words...)...) + "&b=" + m.value(), "application/x-www-form-urlencoded"
	case 1:
		return `{"` + m.some(3, words...) + `": "` + m.value() + `", "n": ` + fmt.Sprint(m.Intn(3000)) + "}", "application/json"
	case 2:
		var b strings.Builder
		for k := 1 + m.Intn(3); k > 0; k-- {
			fmt.Fprintf(&b, "--XbX\r\nContent-Disposition: form-data; name=\"%s\"", m.some(2, "a", "b", "c"))
			if m.chance(60) {
				fmt.Fprintf(&b, "; filename=\"%s.%s\"", m.some(3, "a", "B", "c", "1"), m.one("php", "PDF", "txt", "jpg"))
			}
			// Behind a part that holds an empty line Suricata finds no files.
			fmt.Fprintf(&b, "\r\nContent-Type: text/plain\r\n\r\n%s\r\n", m.some(20, append(words, " ", "\n", "\x00", "\xff")...))
		}
		return b.String() + "--XbX--\r\n", "multipart/form-data; boundary=XbX"
	case 3:
		return "k=" + base64.StdEncoding.EncodeToString([]byte(m.some(8, words...))), "text/plain"
	case 4:
		b := make([]byte, 1+m.Intn(60))
		m.Read(b)
		return string(b), "application/octet-stream"
	}
	return m.some(40, append(words, " ", "\r\n", "\n", "<", ">", "(", ")")...), "text/plain"
}

func (m maker) chunked(body string) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(1+m.Intn(20), len(body))
		fmt.Fprintf(&b, m.one("%x", "%X", "%04x", "%x;a=b")+"\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

// request is a whole request as it goes over the wire. Behind another one its
// method is one that Suricata knows: it takes what else follows for a body.
func (m maker) request(first bool) string {
	end := "\r\n"
	if m.chance(5) {
		end = "\n"
	}
	method := m.one("GET", "GET", "GET", "POST", "POST", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "PROPFIND")
	if first && m.chance(10) {
		method = m.one("get", "FROB", "X-Y", "Post")
	}
	var b strings.Builder
	b.WriteString(method + " " + m.target() + " " + m.one("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0") + end)
	b.WriteString(m.one("Host: h.test", "Host: h.test", "host: a.b", "HOST:  h.test ", "Host: 198.51.100.1") + end)
	for k := m.Intn(6); k > 0; k-- {
		b.WriteString(m.header(end) + end)
	}
	if method == "POST" || method == "PUT" || method == "PATCH" {
		body, kind := m.body()
		b.WriteString("Content-Type: " + kind + end)
		if m.chance(12) {
			body = gzipped(body)
			b.WriteString("Content-Encoding: gzip" + end)
		}
		if m.chance(25) {
			body = m.chunked(body)
			b.WriteString("Transfer-Encoding: chunked" + end)
		} else {
			fmt.Fprintf(&b, "Content-Length: %d%s", len(body), end)
		}
		b.WriteString(end + body)
		return b.String()
	}
	b.WriteString(end)
	return b.String()
}

// answer is an answer to a request.
func (m maker) answer(request string) string {
	if m.chance(50) {
		return "HTTP/1.1 204 No Content\r\n\r\n"
	}
	var b strings.Builder
	b.WriteString(m.one("HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found", "HTTP/1.0 500 Error") + "\r\n")
	for k := m.Intn(4); k > 0; k-- {
		b.WriteString(m.caseOf(m.one("Server", "Set-Cookie", "X-A", "Vary", "Date", "ETag")) + ": " + m.value() + "\r\n")
	}
	body, kind := m.body()
	b.WriteString("Content-Type: " + kind + "\r\n")
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
	if !strings.HasPrefix(request, "HEAD ") {
		b.WriteString(body)
	}
	return b.String()
}
