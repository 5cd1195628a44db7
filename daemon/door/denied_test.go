package door_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/nginxtest"
)

// denials are the statuses a denial can have, with the Retry-After of each.
var denials = map[int]string{401: "", 403: "", 404: "", 413: "", 415: "", 422: "", 426: "", 429: "7", 451: "", 503: "7"}

// reason must never be told to a client.
const reason = "the-secret-reason"

// asked is a finding that asks for a denial with a status, as a limit, a
// schema or a token check would.
func asked(text string) check.Finding {
	status, _ := strconv.Atoi(text)
	f := check.Finding{Check: "word", ID: reason, Message: reason, Detail: reason, Severity: check.Critical, Deny: true, Status: status}
	if denials[status] != "" {
		f.RetryAfter = 6500 * time.Millisecond
	}
	return f
}

func send(t *testing.T, client *http.Client, addr string, header map[string]string, body string) (*http.Response, string) {
	t.Helper()
	method := "GET"
	if body != "" {
		method = "POST"
	}
	req, err := http.NewRequest(method, "http://"+addr+"/a?x=1", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func TestADenialOfAnyStatusTellsTheClientItsIDAndNotTheReason(t *testing.T) {
	for _, mode := range []string{"inline-closed", "relay-closed", "guard-closed", "metadata-closed"} {
		for _, proto := range []string{"", "http2"} {
			t.Run(mode+" "+proto, func(t *testing.T) {
				b := newBackend(t)
				n := nginxtest.Start(t, nginxtest.Conf{Server: guarded(mode, b.URL), Listen: proto})
				daemon(t, n.Door, nil)
				client := plain
				if proto == "http2" {
					client = h2
				}
				bodies := strings.HasPrefix(mode, "inline") || strings.HasPrefix(mode, "relay")
				if proto == "http2" && strings.HasPrefix(mode, "inline") && nginxtest.Older(t, 1, 19, 3) {
					bodies = false
				}
				for status, retry := range denials {
					for accept, kind := range map[string]string{"application/json": "application/json", "text/html,*/*;q=0.8": "text/html", "": "application/json"} {
						for _, where := range []string{"head", "body"} {
							header, body := map[string]string{"Accept": accept}, ""
							if where == "head" {
								header["X-Deny"] = fmt.Sprint(status)
							} else if body = fmt.Sprint("deny ", status); !bodies {
								continue
							}
							resp, text := send(t, client, n.Addr, header, body)
							denied(t, resp, text, status, retry, kind)
						}
					}
				}
				if b.reached() != 0 {
					t.Errorf("the backend was reached %d times", b.reached())
				}
			})
		}
	}
}

// denied judges one denial as the client sees it.
func denied(t *testing.T, resp *http.Response, text string, status int, retry, kind string) {
	t.Helper()
	id := resp.Header.Get("X-Request-Id")
	want := `{"error":"request refused","request_id":"` + id + `"}` + "\n"
	if kind == "text/html" {
		want = "<!doctype html><title>Request refused</title><p>The request was refused. If you think it should not have been, tell the operator this id: <code>" + id + "</code></p>\n"
	}
	switch {
	case resp.StatusCode != status:
		t.Errorf("status %d, want %d", resp.StatusCode, status)
	case resp.Header.Get("Retry-After") != retry:
		t.Errorf("%d: Retry-After %q, want %q", status, resp.Header.Get("Retry-After"), retry)
	case !strings.HasPrefix(resp.Header.Get("Content-Type"), kind):
		t.Errorf("%d: Content-Type %q, want %s", status, resp.Header.Get("Content-Type"), kind)
	case len(id) != 32 || text != want:
		t.Errorf("%d: the body is %q, want %q", status, text, want)
	case status == 401 && resp.Header.Get("WWW-Authenticate") == "":
		t.Error("401 without WWW-Authenticate")
	case (status == 426 && resp.ProtoMajor == 1) != (resp.Header.Get("Upgrade") != ""):
		t.Errorf("%d over %s with Upgrade %q", status, resp.Proto, resp.Header.Get("Upgrade"))
	}
	for name, values := range resp.Header {
		if strings.Contains(fmt.Sprint(values), reason) {
			t.Errorf("%d: the header %s tells the reason: %v", status, name, values)
		}
	}
}

func TestAStatusThatNobodyKnowsIsAnswered403(t *testing.T) {
	b := newBackend(t)
	n := nginxtest.Start(t, nginxtest.Conf{Server: guarded("inline-closed", b.URL)})
	daemon(t, n.Door, nil)
	for _, status := range []string{"0", "200", "302", "418", "500", "999"} {
		resp, text := send(t, plain, n.Addr, map[string]string{"X-Deny": status}, "")
		denied(t, resp, text, 403, "", "application/json")
	}
	if b.reached() != 0 {
		t.Errorf("the backend was reached %d times", b.reached())
	}
}

func TestTheDenialsPageCanBeTheSitesOwn(t *testing.T) {
	texts := `map "" $sallyport_page_json { default '{"mine":"$request_id"}'; } map "" $sallyport_page_html { default '<b>mine $request_id</b>'; }`
	file := `map "" $sallyport_denied { default @my_denied; }`
	server := `
        location @my_denied { include sallyport/denied-file.conf; error_page 400 401 403 404 405 413 415 422 426 429 451 503 /my-denied.html; }
        location = /my-denied.html { internal; include sallyport/denied.conf; default_type text/html; ssi on; root DIR/pages; }`
	for _, c := range []struct{ title, http, server, accept, want string }{
		{"its own JSON", texts, "", "application/json", `{"mine":"ID"}`},
		{"its own HTML", texts, "", "text/html", `<b>mine ID</b>`},
		{"its own file", file, server, "text/html", "<p>our page ID</p>"},
		{"its own file for whoever wants JSON", file, server, "application/json", "<p>our page ID</p>"},
	} {
		for _, mode := range []string{"inline-closed", "relay-closed"} {
			t.Run(c.title+" "+mode, func(t *testing.T) {
				b := newBackend(t)
				n := nginxtest.Start(t, nginxtest.Conf{HTTP: c.http, Server: guarded(mode, b.URL) + c.server})
				if err := os.MkdirAll(filepath.Join(n.Dir, "pages"), 0o755); err != nil {
					t.Fatal(err)
				}
				page := `<p>our page <!--# echo var="request_id" --></p>`
				if err := os.WriteFile(filepath.Join(n.Dir, "pages", "my-denied.html"), []byte(page), 0o644); err != nil {
					t.Fatal(err)
				}
				daemon(t, n.Door, nil)
				for status, retry := range denials {
					for _, body := range []string{"", fmt.Sprint("deny ", status)} {
						header := map[string]string{"Accept": c.accept}
						if body == "" {
							header["X-Deny"] = fmt.Sprint(status)
						}
						resp, text := send(t, plain, n.Addr, header, body)
						want := strings.Replace(c.want, "ID", resp.Header.Get("X-Request-Id"), 1)
						if resp.StatusCode != status || text != want || resp.Header.Get("Retry-After") != retry {
							t.Errorf("%d: answered %d %q %v, want %q\n%s", status, resp.StatusCode, text, resp.Header, want, n.ErrorLog())
						}
					}
				}
				if b.reached() != 0 {
					t.Errorf("the backend was reached %d times", b.reached())
				}
			})
		}
	}
}
