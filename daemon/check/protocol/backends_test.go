package protocol

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/daemon/casefile"
	"github.com/sallyport/sallyport/daemon/request"
)

const backendDir = "testdata/backends"

// reading is what a backend says that it read: its path, and pairs of where
// and text, all base64 but the where.
type reading struct {
	Path   []byte      `json:"path"`
	Values [][2]string `json:"values"`
}

// backend is a server that answers each request with its reading.
type backend struct {
	name string
	addr string
}

// goBackend reads with net/http and encoding/json.
func goBackend(t *testing.T) backend {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := reading{Path: []byte(r.URL.Path)}
		add := func(where, text string) {
			out.Values = append(out.Values, [2]string{where, base64.StdEncoding.EncodeToString([]byte(text))})
		}
		for _, c := range r.Cookies() {
			add("cookie:"+c.Name, c.Value)
		}
		switch media := r.Header.Get("Content-Type"); {
		case strings.HasPrefix(media, "application/json"):
			var v any
			if json.NewDecoder(r.Body).Decode(&v) == nil {
				goLeaves("json", v, add)
			}
		case strings.HasPrefix(media, "multipart/"):
			_ = r.ParseMultipartForm(1 << 20)
		default:
			_ = r.ParseForm()
		}
		_ = r.ParseForm()
		for name, vs := range r.Form {
			for _, v := range vs {
				add("form:"+name, v)
			}
		}
		if r.MultipartForm != nil {
			for name, fs := range r.MultipartForm.File {
				for _, f := range fs {
					add("filename:"+name, f.Filename)
					if c, err := f.Open(); err == nil {
						b, _ := io.ReadAll(c)
						add("multipart:"+name, string(b))
						c.Close()
					}
				}
			}
		}
		w.Header().Set("Connection", "close")
		_ = json.NewEncoder(w).Encode(out)
	}))
	t.Cleanup(s.Close)
	return backend{"go", s.Listener.Addr().String()}
}

func goLeaves(where string, v any, add func(where, text string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			goLeaves(where+"/"+k, x, add)
		}
	case []any:
		for i, x := range v {
			goLeaves(fmt.Sprint(where, "/", i), x, add)
		}
	case string:
		add(where, v)
	}
}

// startBackend starts a program that prints the port it listens on.
func startBackend(t *testing.T, name, program string, args ...string) backend {
	c := exec.Command(program, args...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%s did not say its port: %v", name, err)
	}
	return backend{name, "127.0.0.1:" + strings.TrimSpace(line)}
}

// startPHP starts PHP's own server, which cannot choose a port itself.
func startPHP(t *testing.T) backend {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c := exec.Command("php", "-d", "display_errors=0", "-d", "log_errors=0", "-S", addr, filepath.Join(backendDir, "read.php"))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	for range 100 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return backend{"php", addr}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("php does not listen")
	return backend{}
}

// backends starts every backend that is installed.
func backends(t *testing.T) []backend {
	all := []backend{goBackend(t)}
	missing := func(what string) {
		if os.Getenv("SALLYPORT_BACKENDS") != "" {
			t.Fatalf("%s is missing: run make backends", what)
		}
		t.Logf("not asked: %s; run make backends", what)
	}
	if exec.Command("python3", "-c", "").Run() == nil {
		all = append(all, startBackend(t, "python", "python3", filepath.Join(backendDir, "stdlib.py")))
	} else {
		missing("python3")
	}
	if exec.Command("python3", "-c", "import flask").Run() == nil {
		all = append(all, startBackend(t, "flask", "python3", filepath.Join(backendDir, "flask_app.py")))
	} else {
		missing("python3-flask")
	}
	if exec.Command("node", "-e", "process.exit(typeof Response === 'undefined' ? 1 : 0)").Run() == nil {
		all = append(all, startBackend(t, "node", "node", filepath.Join(backendDir, "node.js")))
	} else {
		missing("nodejs 18 or later")
	}
	if exec.Command("php", "-v").Run() == nil {
		all = append(all, startPHP(t))
	} else {
		missing("php-cli")
	}
	return all
}

// wire is the request as it goes over the wire.
func wire(c casefile.Case) []byte {
	head, body, _ := bytes.Cut(c.Raw, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	has := func(name string) bool {
		for _, l := range lines[1:] {
			if len(l) > len(name) && strings.EqualFold(l[:len(name)+1], name+":") {
				return true
			}
		}
		return false
	}
	lines[0] += " HTTP/1.1"
	if !has("host") {
		lines = append(lines, "Host: x.org")
	}
	if len(body) > 0 && !has("content-length") {
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	lines = append(lines, "Connection: close", "", "")
	return append([]byte(strings.Join(lines, "\r\n")), body...)
}

// ask sends a request; refused says that the backend answered an error.
func (b backend) ask(t *testing.T, raw []byte) (got reading, refused bool) {
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(raw); err != nil {
		t.Fatal(err)
	}
	// A request whose framing lies must end, not wait for more.
	_ = conn.(*net.TCPConn).CloseWrite()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return got, true
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return got, true
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		t.Errorf("%s: %v", b.name, err)
	}
	return got, false
}

// seenTexts are all texts that a check is shown of a request.
func seenTexts(r *request.Request) (texts [][]byte) {
	for _, vs := range [][]request.Value{r.HeadValues(), r.BodyValues()} {
		for i := range vs {
			texts = append(texts, vs[i].Text, vs[i].Raw)
			for _, l := range r.Layers(&vs[i]) {
				texts = append(texts, l.Text)
			}
		}
	}
	return texts
}

func seen(texts [][]byte, v []byte) bool {
	for _, t := range texts {
		if bytes.Contains(t, v) {
			return true
		}
	}
	return len(v) == 0
}

// explained reads the table of differences.
func explained(t *testing.T) map[string]bool {
	text, err := os.ReadFile(filepath.Join(backendDir, "differences.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) == 3 && cells[0] != "case" {
			for _, name := range strings.Split(cells[1], ", ") {
				out[cells[0]+" | "+name] = true
			}
		}
	}
	return out
}

func TestWhatBackendsReadIsSeenFoundOrExplained(t *testing.T) {
	asked := backends(t)
	excuses := explained(t)
	used := map[string]bool{}
	c := newCheck(t, Defaults())
	read, refusals, found := 0, 0, 0
	asks := casefile.Read(t, filepath.Join(backendDir, "requests.txt"))
	asks = append(asks, casefile.Read(t, "testdata/*.txt")...)
	asks = append(asks, casefile.Read(t, "../../request/testdata/*.txt")...)
	for _, one := range asks {
		r := opened(one)
		if r.Header("host") == nil {
			r.Headers = append(r.Headers, request.Header{Name: []byte("Host"), Value: []byte("x.org")})
		}
		findings := judge(c, r)
		texts := seenTexts(r)
		for _, b := range asked {
			got, refused := b.ask(t, wire(one))
			if refused {
				refusals++
				continue
			}
			var wrong []string
			if len(got.Path) > 0 && !bytes.Equal(got.Path, r.Path()) {
				wrong = append(wrong, fmt.Sprintf("path %q, here %q", got.Path, r.Path()))
			}
			for _, v := range got.Values {
				read++
				text, err := base64.StdEncoding.DecodeString(v[1])
				if err != nil {
					t.Fatal(err)
				}
				if v[0] != "error" && !seen(texts, text) {
					wrong = append(wrong, fmt.Sprintf("%s %q", v[0], text))
				}
			}
			if len(wrong) == 0 {
				continue
			}
			key := one.Name + " | " + b.name
			if len(findings) > 0 {
				found++
				t.Logf("%s: found: %s; findings %v", key, strings.Join(wrong, ", "), ids(findings))
				continue
			}
			if used[key] = true; !excuses[key] {
				t.Errorf("%s: %s: not seen, found or explained:\n  %s\n  findings %v", one.At, key, strings.Join(wrong, "\n  "), ids(findings))
			}
		}
		r.Release()
	}
	ran := map[string]bool{}
	for _, b := range asked {
		ran[b.name] = true
	}
	for key := range excuses {
		if _, name, _ := strings.Cut(key, " | "); ran[name] && !used[key] {
			t.Errorf("differences.md explains %q, which is no difference", key)
		}
	}
	t.Logf("%d backends, %d values read, %d requests refused, %d differences found by protocol, %d explained", len(asked), read, refusals, found, len(used))
}
