// Package safefile keeps small state files that survive a crash: written to a
// new file, synced and renamed into place, and read back only when whole. A
// torn or altered file is set aside under a name of its own, never fatal.
package safefile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cespare/xxhash/v2"
	"github.com/google/renameio/v2"
)

// MaxSize bounds what Read takes, in bytes.
const MaxSize = 256 << 20

const headerFormat = "sallyport-state 1 %016x %d\n"

// ErrCorrupt says that a file was not whole; it wraps the name it was moved to.
var ErrCorrupt = errors.New("state file is not whole")

// Write replaces the file at path by data, readable by its owner and group alone.
func Write(path string, data []byte) error {
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o640))
	if err != nil {
		return fmt.Errorf("write state file %s: %w", path, err)
	}
	defer f.Cleanup() //nolint:errcheck // after a replace there is nothing left to clean
	if _, err := fmt.Fprintf(f, headerFormat, xxhash.Sum64(data), len(data)); err != nil {
		return fmt.Errorf("write state file %s: %w", path, err)
	}
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("write state file %s: %w", path, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("replace state file %s: %w", path, err)
	}
	return nil
}

// Read returns what Write last put at path, and fs.ErrNotExist when there is
// nothing. A file that is not whole is renamed to path.corrupt, and the error
// wraps ErrCorrupt: the caller starts afresh and says so in an event.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fs.ErrNotExist
		}
		return nil, fmt.Errorf("read state file %s: %w", path, err)
	}
	if info.Size() > MaxSize {
		return nil, setAside(path, fmt.Sprintf("%d bytes, at most %d expected", info.Size(), MaxSize))
	}
	all, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read state file %s: %w", path, err)
	}
	head, data, found := bytes.Cut(all, []byte("\n"))
	var sum uint64
	var size int
	if _, err := fmt.Sscanf(string(head)+"\n", headerFormat, &sum, &size); err != nil || !found {
		return nil, setAside(path, "no header")
	}
	if size != len(data) || sum != xxhash.Sum64(data) {
		return nil, setAside(path, "length or checksum differs")
	}
	return data, nil
}

func setAside(path, why string) error {
	aside := path + ".corrupt"
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("%w: %s (%s), and it cannot be moved away: %w", ErrCorrupt, path, why, err)
	}
	return fmt.Errorf("%w: %s (%s), moved to %s", ErrCorrupt, path, why, aside)
}
