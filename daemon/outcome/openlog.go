package outcome

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/sallyport/sallyport/daemon/safefile"
)

// maxOpenLines bounds the lines that are read of a fail-open log at once; more
// are counted, not handled.
const maxOpenLines = 100_000

// OpenLog is the file in which NGINX notes what it let pass while the daemon
// could not be reached, in the log format sallyport. How far it was read is
// remembered in a state file.
type OpenLog struct {
	path, state, door string
}

// position is how far a file was read.
type position struct {
	Inode  uint64 `json:"inode"`
	Offset int64  `json:"offset"`
}

// NewOpenLog reads the log at path; state is the file that remembers how far.
func NewOpenLog(path, state, door string) *OpenLog {
	return &OpenLog{path: path, state: state, door: door}
}

// Read hands over what was added since the last Read, the oldest first, each
// with FailedOpen set. A log that was rotated is read to its end under
// path.1 first. It returns how many lines were handled, and how many were
// malformed or past the bound. A log that is not there has nothing to say.
func (l *OpenLog) Read(handle func(*Outcome)) (handled, skipped int, err error) {
	var at position
	if data, err := safefile.Read(l.state); err == nil {
		_ = json.Unmarshal(data, &at) // what cannot be read is begun anew
	} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, safefile.ErrCorrupt) {
		return 0, 0, fmt.Errorf("read the fail-open log's position: %w", err)
	}
	f, err := os.Open(l.path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return 0, 0, nil
		}
		return 0, 0, fmt.Errorf("read the fail-open log: %w; the daemon's user must be able to read it", err)
	}
	defer f.Close()
	inode, size, err := identify(f)
	if err != nil {
		return 0, 0, fmt.Errorf("read the fail-open log: %w", err)
	}
	if at.Inode != 0 && at.Inode != inode {
		handled, skipped = l.rotated(at, handle)
		at.Offset = 0
	}
	if at.Offset > size {
		at.Offset = 0 // emptied in place
	}
	n, h, s, err := l.lines(f, at.Offset, maxOpenLines-handled, handle)
	if err != nil {
		return handled + h, skipped + s, fmt.Errorf("read the fail-open log %s: %w", l.path, err)
	}
	next, err := json.Marshal(position{inode, at.Offset + n})
	if err == nil && (position{inode, at.Offset + n}) != at {
		err = safefile.Write(l.state, next)
	}
	return handled + h, skipped + s, err
}

// rotated reads the rest of the file that was renamed.
func (l *OpenLog) rotated(at position, handle func(*Outcome)) (handled, skipped int) {
	f, err := os.Open(l.path + ".1")
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	if inode, _, err := identify(f); err != nil || inode != at.Inode {
		return 0, 0
	}
	_, handled, skipped, _ = l.lines(f, at.Offset, maxOpenLines, handle)
	return handled, skipped
}

func identify(f *os.File) (inode uint64, size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = st.Ino
	}
	return inode, info.Size(), nil
}

// lines reads whole lines from offset on and returns how many bytes they took.
// A last line without an end is still being written: it is left for later.
func (l *OpenLog) lines(f *os.File, offset int64, room int, handle func(*Outcome)) (n int64, handled, skipped int, err error) {
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return 0, 0, 0, err
	}
	r := bufio.NewReaderSize(f, MaxLine)
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			n += int64(len(line))
			skipped++
			for errors.Is(err, bufio.ErrBufferFull) { // the rest of a line that is too long
				line, err = r.ReadSlice('\n')
				n += int64(len(line))
			}
			if err != nil {
				return n, handled, skipped, nil
			}
			continue
		case errors.Is(err, io.EOF):
			return n, handled, skipped, nil
		case err != nil:
			return n, handled, skipped, err
		}
		n += int64(len(line))
		o, err := Parse(line, l.door)
		if err != nil || handled >= room {
			skipped++
			continue
		}
		o.FailedOpen = true
		handled++
		handle(&o)
	}
}
