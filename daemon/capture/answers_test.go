package capture

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAnswersAreReadAsTheirRequestsNeed(t *testing.T) {
	for _, c := range []struct{ name, requests, answers, want string }{
		{"a length", "GET /a HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nc", "/a ab,  c"},
		{"chunks", "GET /a HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nc", "/a a,  c"},
		{"neither", "GET /a HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nall that comes", "/a all that comes"},
		{"a continue before it", "PUT /a HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\ny", "/a y"},
		{"to HEAD", "HEAD /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny", "/a , /b y"},
		{"no content", "GET /a HTTP/1.1\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "/a ,  "},
		{"broken off", "GET /a HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", "/a ab"},
		{"no HTTP", "GET /a HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			w, err := NewWriter(&b)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Write(Conversation{Client: client, Server: server, Start: time.Unix(1_700_000_000, 0), Request: []byte(c.requests), Answer: []byte(c.answers)}); err != nil {
				t.Fatal(err)
			}
			var got []string
			err = ReadBoth(&b, false, func(*Request) {}, func(r *Request) {
				if !r.Answer || r.Client != client {
					t.Errorf("answer %v of %v", r.Answer, r.Client)
				}
				got = append(got, fmt.Sprintf("%s %s", r.URI, r.Body))
			})
			if err != nil {
				t.Fatal(err)
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("got %q, want %q", strings.Join(got, ", "), c.want)
			}
		})
	}
}
