package door

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
)

// Listen opens a Unix socket with the mode and group given. A socket that a
// dead daemon left behind is removed; one that answers is not ours to take.
func Listen(path string, mode fs.FileMode, group string) (net.Listener, error) {
	if nc, err := net.Dial("unix", path); err == nil {
		nc.Close()
		return nil, fmt.Errorf("open the door %s: another daemon answers there; stop it first (systemctl stop sallyport)", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the door %s: remove what a dead daemon left: %w", path, err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the door %s: %w; does its folder exist, and may we write there?", path, err)
	}
	if err := SetOwner(path, mode, group); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// SetOwner gives a socket its mode and, unless empty, its group.
func SetOwner(path string, mode fs.FileMode, group string) error {
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return fmt.Errorf("give %s to group %s: %w", path, group, err)
		}
		gid, err := strconv.Atoi(g.Gid)
		if err != nil {
			return fmt.Errorf("give %s to group %s: its id %q is no number", path, group, g.Gid)
		}
		if err := os.Chown(path, -1, gid); err != nil {
			return fmt.Errorf("give %s to group %s: %w", path, group, err)
		}
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("set the mode of %s: %w", path, err)
	}
	return nil
}
