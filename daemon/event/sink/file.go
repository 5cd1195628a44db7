package sink

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/daemon/event"
)

// File writes one JSON object a line to a file, for its owner and group to
// read. It is opened again on Reopen, and within a second of being moved away
// or removed.
type File struct {
	path    string
	f       *os.File
	checked time.Time
	buf     []byte
}

// NewFile opens the file at path, which is made if need be.
func NewFile(path string) (*File, error) {
	s := &File{path: path}
	return s, s.Reopen()
}

// Name is "file".
func (s *File) Name() string { return "file" }

// Reopen opens the path again; on an error the old file stays open.
func (s *File) Reopen() error {
	// Without O_NONBLOCK a FIFO that nobody reads would hold up the start.
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK, 0o640)
	if err != nil {
		return fmt.Errorf("open event file: %w; its folder must exist and the daemon's user may write there", err)
	}
	if s.f != nil {
		_ = s.f.Close()
	}
	s.f, s.checked = f, time.Now()
	return nil
}

// Write appends a line for each entry. After an error no part of a line stays
// behind in a regular file.
func (s *File) Write(entries []event.Entry) (int, error) {
	if time.Since(s.checked) > time.Second {
		if err := s.follow(); err != nil {
			return 0, err
		}
	}
	s.buf = s.buf[:0]
	for _, e := range entries {
		s.buf = append(append(s.buf, e.JSON...), '\n')
	}
	n, err := s.f.Write(s.buf)
	if err == nil {
		return len(entries), nil
	}
	whole, taken := 0, 0
	for _, e := range entries {
		if whole+len(e.JSON)+1 > n {
			break
		}
		whole += len(e.JSON) + 1
		taken++
	}
	if n > whole {
		s.cut(int64(n - whole))
	}
	if errors.Is(err, os.ErrClosed) {
		return taken, errors.Join(err, s.Reopen())
	}
	return taken, fmt.Errorf("write to event file: %w", err)
}

// cut takes the last n bytes away again.
func (s *File) cut(n int64) {
	if info, err := s.f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() >= n {
		_ = s.f.Truncate(info.Size() - n)
	}
}

// follow opens the path again when another file, or none, is there now.
func (s *File) follow() error {
	s.checked = time.Now()
	there, err := os.Stat(s.path)
	if err == nil {
		if open, err := s.f.Stat(); err == nil && os.SameFile(there, open) {
			return nil
		}
	}
	return s.Reopen()
}

// Close closes the file.
func (s *File) Close() error { return s.f.Close() }
