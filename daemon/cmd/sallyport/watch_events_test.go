package main

import (
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/capture/watch"
	"github.com/sallyport/sallyport/daemon/control"
)

func TestWhatWatchFindsBecomesAnEventAndAMetricOfTheDaemon(t *testing.T) {
	r := newRig(t, "inline", "closed")
	r.start()
	socket := filepath.Join(r.nginx.Dir, "control.sock")
	found := []watch.Finding{{Source: netip.MustParseAddr("10.9.0.3"), Backend: netip.MustParseAddrPort("10.9.0.1:8080"),
		Interface: "v0", First: time.Now(), Last: time.Now(), Connections: 5, New: 3, Request: "GET /orders HTTP/1.1"}}
	if err := control.Post(t.Context(), socket, "/bypass", found, nil); err != nil {
		t.Fatal(err)
	}
	if err := control.Post(t.Context(), socket, "/bypass", []watch.Finding{{}}, nil); err == nil {
		t.Error("a finding without a source was taken")
	}
	stream, err := control.Stream(t.Context(), socket, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	metrics, _ := io.ReadAll(stream)
	if want := `sallyport_bypass_connections_total{backend="10.9.0.1:8080"} 3`; !strings.Contains(string(metrics), want) {
		t.Error("the metrics lack ", want)
	}
	r.until("the event is stored", func() bool {
		for _, e := range r.events("kind=bypass") {
			if e.Event != nil && strings.Contains(e.Event.Message, "10.9.0.3 reached backend") {
				return true
			}
		}
		return false
	})
}
