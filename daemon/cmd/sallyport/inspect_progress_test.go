package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal: what is written to slave is read from master.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func TestInspectKeepsAProgressLineOnATerminalAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.jsonl")
	if err := os.WriteFile(path, []byte(strings.Repeat(`{"method":"GET","uri":"/"}`+"\n", 1234)), 0o600); err != nil {
		t.Fatal(err)
	}
	master, slave := terminal(t)
	shown := make(chan string)
	go func() {
		var all []byte
		buf := make([]byte, 4096)
		for !bytes.HasSuffix(all, []byte("\n")) {
			n, err := master.Read(buf)
			if err != nil {
				break
			}
			all = append(all, buf[:n]...)
		}
		shown <- string(all)
	}()
	var out bytes.Buffer
	if status := run([]string{"inspect", path}, strings.NewReader(""), &out, slave); status != exitOK {
		t.Fatalf("status %d", status)
	}
	text := <-shown
	if !strings.Contains(text, "\r\x1b[K1,234 requests judged (100%), ") || !strings.HasSuffix(text, " a second\r\n") {
		t.Errorf("the terminal shows %q", text)
	}
	if n := strings.Count(out.String(), "\n"); n != 1234 || strings.Contains(out.String(), "judged") {
		t.Errorf("%d lines of output", n)
	}
	var errs bytes.Buffer
	if status := run([]string{"inspect", path}, strings.NewReader(""), &out, &errs); status != exitOK || errs.Len() > 0 {
		t.Errorf("without a terminal: status %d, %q", status, errs.String())
	}
}
