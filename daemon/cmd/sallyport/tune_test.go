package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/event"
	"github.com/sallyport/sallyport/daemon/event/store"
)

func TestTuneProposesExceptionsFromTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	s, _, err := store.Open(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var entries []event.Entry
	for n := range 20 {
		e := &event.Event{
			Kind: event.KindRequest, Time: time.Now().Add(-time.Duration(n) * time.Minute), ID: fmt.Sprintf("%032x", n+1),
			Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 4711), Method: "POST", Host: "shop.example", URI: "/cms/pages/17",
			Site: "shop", Route: "cms", Mode: "enforce", Verdict: "deny", Status: 403,
			Findings: []check.Finding{{Check: "score", ID: "xss", Where: "form:body", Score: 91, Message: "looks like cross-site scripting", Excerpt: "<p onclick=x()>"}},
		}
		entries = append(entries, event.Entry{Event: e, JSON: event.AppendJSON(nil, e)})
	}
	if _, err := s.Write(entries); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	if code := run([]string{"tune", "--store", path}, strings.NewReader(""), &out, &errOut); code != 0 {
		t.Fatalf("exit %d: %s", code, errOut.String())
	}
	for _, want := range []string{"[[exception]]", `where = "form:body"`, `id = "xss"`, "20 distinct clients", "let through 20 denied requests"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
}
