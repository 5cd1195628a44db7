package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"github.com/rogpeppe/go-internal/diff"

	"github.com/sallyport/sallyport/daemon/safefile"
)

// NGINX is the NGINX that is set up: its binary and its main file.
type NGINX struct {
	Binary, Conf string
	// Prefix is passed as -p when set.
	Prefix string
}

// Build is what an NGINX says of how it was built.
type Build struct {
	Version [3]int
	// Modules are the names in its configure arguments, such as
	// "http_auth_request_module".
	Modules []string
	// AccessLog is the log it writes unless told otherwise.
	AccessLog string
	Text      string
}

var (
	versionIn = regexp.MustCompile(`nginx/(\d+)\.(\d+)\.(\d+)`)
	moduleIn  = regexp.MustCompile(`--with-(\w+_module)`)
	logIn     = regexp.MustCompile(`--http-log-path=(\S+)`)
)

// Build asks the binary with -V.
func (n NGINX) Build() (Build, error) {
	out, err := exec.Command(n.Binary, "-V").CombinedOutput()
	if err != nil {
		return Build{}, fmt.Errorf("ask %s for its version: %w", n.Binary, err)
	}
	b := Build{Text: string(out), AccessLog: "logs/access.log"}
	m := versionIn.FindStringSubmatch(b.Text)
	if m == nil {
		return b, fmt.Errorf("%s -V names no version", n.Binary)
	}
	for i := range b.Version {
		b.Version[i], _ = strconv.Atoi(m[i+1])
	}
	for _, m := range moduleIn.FindAllStringSubmatch(b.Text, -1) {
		b.Modules = append(b.Modules, m[1])
	}
	if m := logIn.FindStringSubmatch(b.Text); m != nil {
		b.AccessLog = m[1]
	}
	return b, nil
}

// Has says whether a module is built in.
func (b Build) Has(module string) bool { return slices.Contains(b.Modules, module) }

func (n NGINX) args(more ...string) []string {
	args := []string{"-c", n.Conf}
	if n.Prefix != "" {
		args = append(args, "-p", n.Prefix)
	}
	return append(args, more...)
}

// Test runs nginx -t and returns what it says.
func (n NGINX) Test() (string, error) {
	out, err := exec.Command(n.Binary, n.args("-t")...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("nginx -t refuses the configuration: %w\n%s", err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

// Diff shows a plan as a unified diff.
func Diff(before, after map[string]string) string {
	var names []string
	for name := range after {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		b.Write(diff.Diff(name, []byte(before[name]), name+" (guarded)", []byte(after[name])))
	}
	return b.String()
}

// Backup is what Remove needs: each file as it was, and as setup left it.
type Backup struct {
	Made  time.Time
	Files map[string]FileBackup
}

// FileBackup is one file before and after.
type FileBackup struct{ Before, After string }

// ErrNothing says that there is nothing to remove.
var ErrNothing = errors.New("setup has changed nothing here")

// Write puts new texts into files, after a backup at path. It keeps an older
// backup's first texts, so that several setups are undone together.
func Write(path string, before, after map[string]string) error {
	b, err := readBackup(path)
	if err != nil && !errors.Is(err, ErrNothing) {
		return err
	}
	b.Made = time.Now()
	for name, text := range after {
		one, known := b.Files[name]
		if !known || one.After != before[name] {
			one.Before = before[name]
		}
		one.After = text
		b.Files[name] = one
	}
	data, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	if err := safefile.Write(path, data); err != nil {
		return fmt.Errorf("nothing was changed, for the backup cannot be kept: %w", err)
	}
	return replace(after)
}

func replace(texts map[string]string) error {
	for name, text := range texts {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("change %s: %w", name, err)
		}
		options := []renameio.Option{renameio.WithPermissions(info.Mode().Perm())}
		f, err := renameio.NewPendingFile(resolveLink(name), options...)
		if err != nil {
			return fmt.Errorf("change %s: %w", name, err)
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = f.Chown(int(owner.Uid), int(owner.Gid)) // not root: it stays ours, as the file was
		}
		if _, err := f.WriteString(text); err != nil {
			_ = f.Cleanup()
			return fmt.Errorf("change %s: %w", name, err)
		}
		if err := f.CloseAtomicallyReplace(); err != nil {
			return fmt.Errorf("change %s: %w", name, err)
		}
	}
	return nil
}

// resolveLink follows links, such as Debian's sites-enabled, so that the link stays one.
func resolveLink(name string) string {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		return target
	}
	return name
}

func readBackup(path string) (Backup, error) {
	data, err := safefile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Backup{Files: map[string]FileBackup{}}, ErrNothing
	}
	if err != nil {
		return Backup{}, fmt.Errorf("read the backup: %w", err)
	}
	var b Backup
	if err := json.Unmarshal(data, &b); err != nil {
		return Backup{}, fmt.Errorf("read the backup %s: %w", path, err)
	}
	if b.Files == nil {
		b.Files = map[string]FileBackup{}
	}
	return b, nil
}

// Remove gives every file back the bytes it had. A file that was changed since
// is not touched, and then none is: the error names them.
func Remove(path string) (names []string, err error) {
	b, err := readBackup(path)
	if err != nil {
		return nil, err
	}
	before := map[string]string{}
	var changed []string
	for name, one := range b.Files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("remove: %w", err)
		}
		switch string(text) {
		case one.Before: // given back already
		case one.After:
			before[name] = one.Before
			names = append(names, name)
		default:
			changed = append(changed, name)
		}
	}
	if len(changed) > 0 {
		slices.Sort(changed)
		return nil, fmt.Errorf("changed since setup, so nothing was touched: %s; the lines of ours end in %q: take them out by hand, give each @sallyport_ location its old name back, and delete %s",
			strings.Join(changed, ", "), marker, path)
	}
	if err := replace(before); err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, os.Remove(path)
}
