package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/check/inventory"
	"github.com/sallyport/sallyport/daemon/control"
	"github.com/sallyport/sallyport/daemon/outcome"
	"github.com/sallyport/sallyport/daemon/request"
)

func sourceFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func verb(t *testing.T, want int, args ...string) (out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	if got := run(args, strings.NewReader(""), &o, &e); got != want {
		t.Fatalf("sallyport %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, want, o.String(), e.String())
	}
	return o.String(), e.String()
}

func accessLog() string {
	var b strings.Builder
	for c := range 20 {
		at := time.Date(2026, 11, 24, 12, 0, c, 0, time.UTC).Format("02/Jan/2006:15:04:05 -0700")
		fmt.Fprintf(&b, "192.0.2.%d - - [%s] \"GET /items/%d?limit=%d HTTP/1.1\" 200 5 \"-\" \"-\"\n", c, at, c, c+1)
		fmt.Fprintf(&b, "192.0.2.%d - - [%s] \"GET /wp-login.php HTTP/1.1\" 404 5 \"-\" \"-\"\n", c, at)
	}
	fmt.Fprintf(&b, "192.0.2.1 - - [24/Nov/2026:12:00:00 +0000] \"GET /rare HTTP/1.1\" 200 5 \"-\" \"-\"\nnonsense\n")
	return b.String()
}

const itemsDocument = `openapi: 3.0.0
info: {title: x, version: "1"}
paths:
  /items/{id}: {get: {deprecated: true}}
  /rare: {get: {}}
  /never: {get: {}}
`

func TestLearnWritesADocumentOfAnAccessLog(t *testing.T) {
	log := sourceFile(t, "access.log", accessLog())
	out, told := verb(t, exitOK, "learn", log)
	doc, err := openapi3.NewLoader().LoadFromData([]byte(out))
	if err != nil || doc.Paths.Len() != 1 || doc.Paths.Find("/items/{itemId}") == nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"1 operations from 21 calls of", "20 calls refused", "GET /rare (1 of", "1 of 42 skipped, first line 42"} {
		if !strings.Contains(told, want) {
			t.Errorf("told %q, which lacks %q", told, want)
		}
	}
	target := filepath.Join(t.TempDir(), "api.json")
	verb(t, exitOK, "learn", "--json", "-o", target, "--min-clients", "1", "--min-share", "0", log)
	b, err := os.ReadFile(target)
	if err != nil || !json.Valid(b) || !bytes.Contains(b, []byte(`"/rare"`)) {
		t.Errorf("%v\n%s", err, b)
	}
	verb(t, exitUsage, "learn")
	verb(t, exitUsage, "learn", "--min-share", "2", log)
	verb(t, exitUsage, "learn", "--format", "xml", log)
	verb(t, exitUsage, "learn", "--live", log)
	verb(t, exitFailed, "learn", filepath.Join(t.TempDir(), "absent"))
}

func TestLearnDiffTellsWhatDiffers(t *testing.T) {
	log, doc := sourceFile(t, "access.log", accessLog()), sourceFile(t, "api.yaml", itemsDocument)
	out, _ := verb(t, exitFailed, "learn", "diff", doc, log)
	want := "zombie  GET     /items/{id} (20 calls"
	if !strings.Contains(out, want) || !strings.Contains(out, `drift   GET     /items/{id}: query parameter "limit" is sent but not documented`) ||
		!strings.Contains(out, "orphan  GET     /never\n") || strings.Contains(out, "/rare") {
		t.Errorf("%s", out)
	}
	same := sourceFile(t, "same.yaml", "openapi: 3.0.0\npaths:\n  /items/{id}: {get: {parameters: [{name: limit, in: query}]}}\n")
	if out, _ := verb(t, exitOK, "learn", "diff", same, log); out != "" {
		t.Errorf("%s", out)
	}
	verb(t, exitUsage, "learn", "diff")
}

// daemonWithInventory serves an inventory on a control socket.
func daemonWithInventory(t *testing.T) (*inventory.Check, string) {
	t.Helper()
	c, err := inventory.New(inventory.Defaults(), check.Env{})
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "control.sock")
	s := control.NewServer(control.Settings{Socket: socket})
	for pattern, h := range c.(*inventory.Check).ControlHandlers() {
		s.Handle(pattern, h)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return c.(*inventory.Check), socket
}

func visit(c *inventory.Check, client, status int, method, uri string) {
	now := time.Now()
	r := &request.Request{Received: now, Method: method, URI: []byte(uri), Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(client)}), 1)}
	c.Found(&check.Visit{Request: r, Phase: check.Head, Last: true, Now: now}, false)
	c.Ended(&outcome.Outcome{Time: now, Client: r.Client.Addr(), Method: method, URI: uri, Status: status}, nil)
}

func TestTheRunningDaemonIsAskedForItsEndpoints(t *testing.T) {
	c, socket := daemonWithInventory(t)
	for i := range 10 {
		visit(c, i, 200, "GET", fmt.Sprintf("/items/%d", i))
		visit(c, i, 404, "GET", "/wp-login.php")
	}
	visit(c, 1, 200, "GET", "/rare")
	out, _ := verb(t, exitOK, "endpoints", "--control", socket)
	if !strings.Contains(out, "/items/{int}") || strings.Contains(out, "wp-login") || !strings.Contains(out, "2 more") {
		t.Errorf("%s", out)
	}
	out, _ = verb(t, exitOK, "endpoints", "--control", socket, "--all", "--json")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 3 || !json.Valid([]byte(lines[0])) {
		t.Errorf("%s", out)
	}
	doc := sourceFile(t, "api.yaml", itemsDocument)
	out, _ = verb(t, exitFailed, "learn", "diff", "--control", socket, doc)
	if !strings.Contains(out, "zombie  GET     /items/{id}") || !strings.Contains(out, "orphan  GET     /never") || strings.Contains(out, "rare") || strings.Contains(out, "drift") {
		t.Errorf("%s", out)
	}
}

func TestTheRunningDaemonLearns(t *testing.T) {
	c, socket := daemonWithInventory(t)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				visit(c, i%20, 200, "GET", fmt.Sprintf("/items/%d?limit=%d", i, i%50))
				visit(c, i%20, 404, "GET", "/wp-login.php")
			}
		}
	}()
	out, told := verb(t, exitOK, "learn", "--live", "--for", "1s", "--control", socket)
	close(stop)
	<-done
	doc, err := openapi3.NewLoader().LoadFromData([]byte(out))
	if err != nil || doc.Paths.Len() != 1 || doc.Paths.Find("/items/{itemId}") == nil {
		t.Fatalf("%v\n%s\n%s", err, out, told)
	}
	var none map[string]any
	if err := control.Get(t.Context(), socket, "/learn", &none); err == nil {
		t.Error("it still learns")
	}
}

// shopLines writes calls of a demo API as inspect reads them.
func shopLines(rnd *rand.Rand, clients, calls int) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	uuid := func() string {
		return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", rnd.Uint32(), rnd.IntN(1<<16), rnd.IntN(1<<12), rnd.IntN(1<<12), rnd.Uint64()>>16)
	}
	for i := range clients * calls {
		client := i % clients
		q := map[string]any{"client": fmt.Sprintf("10.0.%d.%d", client/250, client%250), "method": "GET", "headers": map[string]string{"Host": "shop.example"}}
		switch rnd.IntN(5) {
		case 0:
			q["uri"] = fmt.Sprintf("/v1/items?limit=%d&sort=%s", 1+rnd.IntN(100), []string{"name", "price", "newest"}[rnd.IntN(3)])
			if rnd.IntN(2) == 0 {
				q["uri"] = q["uri"].(string) + fmt.Sprintf("&page=%d", rnd.IntN(20))
			}
		case 1:
			q["uri"] = fmt.Sprintf("/v1/items/%d", 1+rnd.IntN(5000))
		case 2:
			q["uri"] = "/v1/orders/" + uuid()
			q["headers"] = map[string]string{"Host": "shop.example", "Authorization": "Bearer abc", "X-Tenant": []string{"north", "south"}[rnd.IntN(2)]}
		case 3:
			order := map[string]any{"customer": map[string]any{"id": uuid(), "email": fmt.Sprintf("u%d@example.org", client)}, "express": rnd.IntN(2) == 0,
				"lines": []any{map[string]any{"item": 1 + rnd.IntN(5000), "count": 1 + rnd.IntN(9)}}, "total": float64(rnd.IntN(100000)) / 100}
			if rnd.IntN(2) == 0 {
				order["note"] = fmt.Sprintf("please ring twice, number %d", rnd.IntN(1e6))
			}
			body, _ := json.Marshal(order)
			q["method"], q["uri"], q["body"] = "POST", "/v1/orders", string(body)
			q["headers"] = map[string]string{"Host": "shop.example", "Authorization": "Bearer abc", "Content-Type": "application/json"}
		case 4:
			q["method"], q["uri"], q["body"] = "POST", "/v1/login", fmt.Sprintf("user=name%d&password=p%%26w%d%%21", client, rnd.IntN(1e6))
			q["headers"] = map[string]string{"Host": "shop.example", "Content-Type": "application/x-www-form-urlencoded"}
		}
		if err := e.Encode(q); err != nil {
			panic(err)
		}
	}
	return b.String()
}

func TestALearnedDocumentJudgesOtherCallsOfTheSameAPI(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	document := filepath.Join(t.TempDir(), "learned.yaml")
	verb(t, exitOK, "learn", "--strict", "-o", document, sourceFile(t, "calls.jsonl", shopLines(rnd, 60, 60)))
	verdicts := func(lines string) (allowed, denied int) {
		out, _ := verb(t, exitOK, "inspect", "--openapi", document, sourceFile(t, "others.jsonl", lines))
		return strings.Count(out, `"verdict":"allow"`), strings.Count(out, `"verdict":"deny"`)
	}
	if allowed, denied := verdicts(shopLines(rnd, 300, 10)); denied*1000 > allowed { // 0.1 %
		text, _ := os.ReadFile(document)
		t.Errorf("of 3000 other calls %d were denied\n%s", denied, text)
	}
	bad := []string{
		`{"method":"GET","uri":"/v1/backdoor"}`,
		`{"method":"DELETE","uri":"/v1/items/1"}`,
		`{"method":"GET","uri":"/v1/items?limit=all&sort=name"}`,
		`{"method":"GET","uri":"/v1/items?limit=1&sort=evil"}`,
		`{"method":"GET","uri":"/v1/items?sort=name"}`,
		`{"method":"GET","uri":"/v1/items/abc"}`,
		`{"method":"GET","uri":"/v1/orders/17","headers":{"Authorization":"Bearer abc","X-Tenant":"north"}}`,
		`{"method":"POST","uri":"/v1/login","headers":{"Content-Type":"application/json"},"body":"{}"}`,
		`{"method":"POST","uri":"/v1/orders","headers":{"Authorization":"Bearer abc","Content-Type":"application/json"},"body":"{\"admin\":true}"}`,
	}
	if allowed, denied := verdicts(strings.Join(bad, "\n") + "\n"); allowed != 0 || denied != len(bad) {
		out, _ := verb(t, exitOK, "inspect", "--openapi", document, sourceFile(t, "bad.jsonl", strings.Join(bad, "\n")+"\n"))
		t.Errorf("of %d calls that nobody makes %d were allowed:\n%s", len(bad), allowed, out)
	}
}
