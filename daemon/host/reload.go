package host

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/daemon/host/nginxconf"
)

// reloadTime bounds the wait for NGINX's old workers to stop accepting.
const reloadTime = 10 * time.Second

var pidIn = regexp.MustCompile(`--pid-path=(\S+)`)

// Reload tells the running NGINX to take its configuration again, and returns
// once no worker with the old one accepts connections: "nginx -s reload" itself
// returns before, and says nothing when the master keeps the old workers since
// it could not use the new configuration. Where the workers cannot be seen, as
// in a container beside ours, it does not wait.
func (n NGINX) Reload() error {
	old := n.workers()
	out, err := exec.Command(n.Binary, n.args("-s", "reload")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("reload NGINX: %w\n%s", err, bytes.TrimSpace(out))
	}
	for end := time.Now().Add(reloadTime); accepting(old); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("reload NGINX: its workers still have the old configuration after %s; NGINX's error log says why", reloadTime)
		}
	}
	return nil
}

// workers are the pids of the running NGINX's workers, by its pid file. A
// worker just begun still has its master's title.
func (n NGINX) workers() (pids []string) {
	b, err := os.ReadFile(n.pidFile())
	if err != nil {
		return nil
	}
	master := strings.TrimSpace(string(b))
	if _, err := strconv.Atoi(master); err != nil {
		return nil
	}
	b, _ = os.ReadFile("/proc/" + master + "/task/" + master + "/children")
	for _, pid := range strings.Fields(string(b)) {
		if !strings.HasPrefix(title(pid), "nginx: cache ") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// pidFile is where the master writes its pid: by the directive, or as built.
func (n NGINX) pidFile() string {
	path := "logs/nginx.pid"
	if conf, err := nginxconf.Read(n.Conf); err == nil {
		if d := conf.Root.Find("pid"); len(d) > 0 && len(d[0].Args) > 0 {
			path = d[0].Args[0]
		} else if b, err := n.Build(); err == nil {
			if m := pidIn.FindStringSubmatch(b.Text); m != nil {
				path = m[1]
			}
		}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(n.Prefix, path)
	}
	return path
}

// accepting says whether a worker among pids still takes new connections: one
// that is told to end names itself "worker process is shutting down".
func accepting(pids []string) bool {
	for _, pid := range pids {
		if t := title(pid); t != "" && !strings.HasSuffix(t, "is shutting down") {
			return true
		}
	}
	return false
}

func title(pid string) string {
	b, _ := os.ReadFile("/proc/" + pid + "/cmdline")
	return strings.TrimRight(string(b), "\x00 ")
}
