package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check/limit"
)

func TestDelayHoldsRequestsBackInsteadOfRefusingThem(t *testing.T) {
	r := limitRig(t, &login{}, `
[[check.limit.limit]]
name = "paced"
key = ["address"]
rate = "1200/1m"
action = "delay"
delay_ms = 200
`)
	if s, _ := r.call("192.0.2.9", "GET", "/api", ""); s != 200 {
		t.Fatal(s)
	}
	begin := time.Now()
	var mu sync.Mutex
	statuses := map[int]int{}
	var wg sync.WaitGroup
	for range 5 { // at 50 ms each: the last waits 200 ms
		wg.Go(func() {
			s, _ := r.call("192.0.2.1", "GET", "/api", "")
			mu.Lock()
			statuses[s]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if statuses[http.StatusOK] != 5 || time.Since(begin) < 190*time.Millisecond {
		t.Errorf("%v after %v, want five 200 after 200 ms", statuses, time.Since(begin))
	}
	clear(statuses)
	for range 30 {
		wg.Go(func() {
			s, _ := r.call("192.0.2.2", "GET", "/api", "")
			mu.Lock()
			statuses[s]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if statuses[http.StatusTooManyRequests] == 0 || statuses[http.StatusOK] < 5 || statuses[200]+statuses[429] != 30 {
		t.Error(fmt.Sprint(statuses), "want some 200 and the rest 429")
	}
}

// A body counts by its length, whether a header announces it or it comes in
// chunks, whose sum is known when NGINX logs the request.
func TestBytesOfBodiesAreCountedBehindARealNGINX(t *testing.T) {
	r := limitRig(t, http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { _, _ = io.Copy(io.Discard, q.Body) }), `
[[check.limit.limit]]
name = "upload"
key = ["address"]
rate = "10000/1h"
cost = "request_bytes"
`)
	body := strings.Repeat("x", 4000)
	for i, want := range []int{200, 200, 429} {
		if s, h := r.call("192.0.2.1", "POST", "/", body); s != want {
			t.Errorf("upload %d was answered %d, want %d", i+1, s, want)
		} else if want == 429 && h.Get("RateLimit-Policy") != `"upload";q=10000;w=3600;qu="content-bytes"` {
			t.Errorf("%v", h)
		}
	}
	chunked := func() int {
		q, err := http.NewRequest("POST", "http://"+r.nginx.Addr+"/", io.MultiReader(strings.NewReader(body), strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("X-Forwarded-For", "192.0.2.2")
		resp, err := patient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for i := range 2 {
		if s := chunked(); s != 200 {
			t.Errorf("chunked upload %d was answered %d", i+1, s)
		}
		r.until("its bytes are counted", func() bool {
			var rows []limit.Row
			r.verb(&rows, "limits", "--json")
			return i == 0 || slices.ContainsFunc(rows, func(row limit.Row) bool { return row.Key == "192.0.2.2" && row.Count > 16000 })
		})
	}
	if s := chunked(); s != 429 {
		t.Errorf("the third chunked upload was answered %d", s)
	}
}

func TestRequestsUnderWayAreBoundedBehindARealNGINX(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 10)
	r := limitRig(t, http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/slow" {
			entered <- struct{}{}
			<-release
		}
	}), `
[[check.limit.limit]]
name = "held"
key = ["address"]
concurrent = 2
`)
	answers := make(chan int, 10)
	for range 2 {
		go func() { s, _ := r.call("192.0.2.1", "GET", "/slow", ""); answers <- s }()
	}
	<-entered
	<-entered
	if s, h := r.call("192.0.2.1", "GET", "/", ""); s != 429 || h.Get("RateLimit-Policy") != `"held";q=2;qu="concurrent-requests"` {
		t.Errorf("the third at once was answered %d, %v", s, h)
	}
	if s, _ := r.call("192.0.2.2", "GET", "/", ""); s != 200 {
		t.Errorf("another client was answered %d", s)
	}
	close(release)
	for range 2 {
		if s := <-answers; s != 200 {
			t.Errorf("a held request was answered %d", s)
		}
	}
	r.until("the end of both lets more in", func() bool { s, _ := r.call("192.0.2.1", "GET", "/", ""); return s == 200 })
}
