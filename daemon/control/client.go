package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
)

// ErrNotRunning says that nobody listens on the control socket.
var ErrNotRunning = errors.New("the daemon is not running")

// Error is the daemon's own refusal.
type Error struct {
	Status  int
	Message string
}

func (e *Error) Error() string { return e.Message }

// SocketFlag adds --control to a verb's flags; the value is the socket to ask.
func SocketFlag(flags *pflag.FlagSet) *string {
	def := os.Getenv(SocketEnv)
	if def == "" {
		def = DefaultSocket
	}
	return flags.String("control", def, "the daemon's control socket (environment: "+SocketEnv+")")
}

// maxAnswer bounds what a client reads of one answer, in bytes.
const maxAnswer = 256 << 20

// Get asks for path ("/status?x=y") and decodes the JSON answer into out,
// which may be nil.
func Get(ctx context.Context, socket, path string, out any) error {
	return call(ctx, socket, http.MethodGet, path, nil, out)
}

// Post sends in as JSON to path and decodes the answer into out; both may be nil.
func Post(ctx context.Context, socket, path string, in, out any) error {
	return call(ctx, socket, http.MethodPost, path, in, out)
}

// Stream asks for path and hands over the answer's body as it comes; it ends
// with ctx. The caller closes it.
func Stream(ctx context.Context, socket, path string) (io.ReadCloser, error) {
	resp, err := send(ctx, socket, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

func call(ctx context.Context, socket, method, path string, in, out any) error {
	resp, err := send(ctx, socket, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read the daemon's answer to %s: %w", path, err)
	}
	return nil
}

func send(ctx context.Context, socket, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("write the request to %s: %w", path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://sallyport"+path, body)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, unreachable(socket, err)
	}
	if resp.StatusCode >= 400 {
		defer resp.Body.Close()
		return nil, refusal(path, resp)
	}
	return resp, nil
}

// unreachable says what to do when the socket does not answer.
func unreachable(socket string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w, or its control socket is not %s; see 'systemctl status sallyport', or name the socket with --control or %s", ErrNotRunning, socket, SocketEnv)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the control socket %s may not be opened: %s", socket, whoMay(socket))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("ask the daemon at %s: it did not answer in time: %w", socket, err)
	}
	return fmt.Errorf("ask the daemon at %s: %w", socket, err)
}

func whoMay(socket string) string {
	info, err := os.Stat(socket)
	if err != nil {
		info, err = os.Stat(filepath.Dir(socket))
	}
	st, ok := sysStat(info)
	if err != nil || !ok {
		return "run this as root"
	}
	gid := strconv.FormatUint(uint64(st.Gid), 10)
	group := gid
	if g, err := user.LookupGroupId(gid); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("it is for root and group %s; use sudo, or join with 'usermod -aG %s YOU' and log in again", group, group)
}

func sysStat(info fs.FileInfo) (*syscall.Stat_t, bool) {
	if info == nil {
		return nil, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return st, ok
}

func refusal(path string, resp *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(b, &said) == nil && said.Error != "" {
		return &Error{resp.StatusCode, said.Error}
	}
	if resp.StatusCode == http.StatusNotFound {
		return &Error{resp.StatusCode, "the running daemon does not know " + path + "; it may be of another version, or the part is turned off in its configuration"}
	}
	return &Error{resp.StatusCode, fmt.Sprintf("the daemon answered %s to %s: %s", resp.Status, path, strings.TrimSpace(string(b)))}
}
