package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// liveHeap is what is reachable, in bytes: pools outlive one collection.
func liveHeap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Resident memory shows what the collector leaves lying about, too; this shows
// what a reload leaves reachable, with every check on.
func TestFourHundredReloadsLeaveNothingReachable(t *testing.T) {
	steps := [3]int{10, 100, 400}
	if testing.Short() {
		steps = [3]int{5, 10, 40}
	}
	dir, err := os.MkdirTemp("", "sp")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "sallyport.toml")
	configure := func(n int) {
		text := fmt.Sprintf("[server]\ndoor = %q\naccess = \"\"\ncontrol = \"\"\nstate_dir = %q\n", filepath.Join(dir, "door.sock"), dir) +
			fmt.Sprintf("[[site]]\nname = \"s%d\"\nhosts = [\"s%d.example\"]\n[[site.route]]\npath = \"/r%d\"\nmode = \"detect\"\n", n%7, n%7, n) +
			fmt.Sprintf("[check.protocol]\nmax_headers = %d\n", 50+n%5) +
			fmt.Sprintf("[[check.limit.limit]]\nname = \"l\"\nkey = [\"address\"]\nrate = \"%d/1m\"\n", 1000+n)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure(0)
	s, err := start(path, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.stop(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}()
	var heap [3]uint64
	var goroutines [3]int
	n := 0
	for at, step := range steps {
		for n < step {
			n++
			configure(n)
			s.reload()
			if r := s.refused.Load(); r != nil {
				t.Fatal(*r)
			}
		}
		for range 500 {
			if s.garbage.Load() == 0 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		heap[at], goroutines[at] = liveHeap(), runtime.NumGoroutine()
	}
	t.Logf("after %v reloads: %v bytes reachable, %v goroutines", steps, heap, goroutines)
	if heap[2] > heap[1]+heap[1]/50 {
		t.Errorf("after %d reloads %d bytes are reachable, after %d %d: more than 2%% more", steps[1], heap[1], steps[2], heap[2])
	}
	if goroutines[2] > goroutines[0] {
		t.Errorf("%d goroutines after %d reloads, %d after %d", goroutines[0], steps[0], goroutines[2], steps[2])
	}
}
