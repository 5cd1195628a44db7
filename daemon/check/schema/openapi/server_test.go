package openapi

import (
	"testing"

	"github.com/sallyport/sallyport/daemon/request"
)

func TestServers(t *testing.T) {
	for _, tc := range []struct {
		servers string
		uri     string
		host    string
		ok      bool
	}{
		{`[]`, "/p", "any.example", true},
		{`[{"url":"https://a.example:8443/v1/"}]`, "/v1/p", "A.example", true},
		{`[{"url":"//a.example/v1"}]`, "/v1/p", "a.example", true},
		{`[{"url":"//a.example/v1"}]`, "/v1/p", "b.example", false},
		{`[{"url":"{scheme}://{host}:{port}/v1"}]`, "/v1/p", "c.example:90", true},
		{`[{"url":"https://{sub}.a.example/v1"}]`, "/v1/p", "x.a.example", true},
		{`[{"url":"https://{sub}.a.example/v1"}]`, "/v1/p", "a.example", false},
		{`[{"url":"https://user@a.example/v1"}]`, "/v1/p", "a.example", true},
		{`[{"url":"{base}/v1","variables":{"base":{"default":"https://a.example/api"}}}]`, "/api/v1/p", "a.example", true},
		{`[{"url":"/{v}/x","variables":{"v":{"enum":["a/b","c"],"default":"c"}}}]`, "/a/b/x/p", "h", true},
		{`[{"url":"/{v}/x","variables":{"v":{"enum":["a/b","c"],"default":"c"}}}]`, "/d/x/p", "h", false},
		{`[{"url":"/{v}x","variables":{"v":{"default":""}}}]`, "/x/p", "h", true},
		{`[{"url":"./v1"}]`, "/v1/p", "h", true},
		{`[{"url":"a.example/v1"}]`, "/v1/p", "a.example", true},
		{`[{"url":"https://a.example/v%201"}]`, "/v%201/p", "a.example", true},
	} {
		a, err := Parse("s.json", []byte(`{"openapi":"3.0.3","servers":`+tc.servers+`,"paths":{"/p":{"get":{"responses":{}}}}}`), Options{MatchHost: true})
		if err != nil {
			t.Fatal(err)
		}
		got := a.Judge(&request.Request{Method: "GET", URI: []byte(tc.uri), Host: []byte(tc.host)}, Head|Body, nil)
		if (len(got) == 0) != tc.ok {
			t.Errorf("%s: %s%s: %+v", tc.servers, tc.host, tc.uri, got)
		}
	}
}
