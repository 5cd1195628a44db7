package host

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/daemon/nginxtest"
)

const plain = `daemon off; user root; worker_processes 2; pid DIR/nginx.pid; error_log DIR/error.log warn;
events {}
http {
    access_log off;
    server { listen 127.0.0.1:PORT; return 204; }
}
`

func TestReloadReturnsWhenNoWorkerHasTheOldConfiguration(t *testing.T) {
	n := nginxtest.Start(t, nginxtest.Conf{Whole: plain})
	nginx := NGINX{Binary: nginxtest.Binary(t), Conf: filepath.Join(n.Dir, "nginx.conf"), Prefix: n.Dir}
	for range 5 {
		old := nginx.workers()
		if len(old) == 0 {
			t.Fatal("no worker is seen")
		}
		if err := nginx.Reload(); err != nil {
			t.Fatal(err)
		}
		if accepting(old) {
			t.Fatal("an old worker accepts connections after the reload")
		}
	}
}

func TestReloadSaysThatNginxKeptItsOldConfiguration(t *testing.T) {
	n := nginxtest.Start(t, nginxtest.Conf{Whole: plain})
	nginx := NGINX{Binary: nginxtest.Binary(t), Conf: filepath.Join(n.Dir, "nginx.conf"), Prefix: n.Dir}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	b, err := os.ReadFile(nginx.Conf)
	if err != nil {
		t.Fatal(err)
	}
	// A port that another process has: nginx -t passes, as a reload's bind does not.
	text := strings.Replace(string(b), "http {", "http { server { listen "+taken.Addr().String()+"; }", 1)
	if err := os.WriteFile(nginx.Conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	err = nginx.Reload()
	if err == nil || !strings.Contains(err.Error(), "old configuration") {
		t.Errorf("reload says %v, expected that the workers still have the old configuration", err)
	}
}
