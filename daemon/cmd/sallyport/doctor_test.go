package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestDoctorNamesTheCauseAndTheNextStepOfAStrangeNGINX(t *testing.T) {
	binary, err := daemonBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "spd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	said := func(modules, test string) string {
		return "#!/bin/sh\ncase \"$*\" in *-V*) echo 'nginx version: nginx/1.14.0'; echo 'configure arguments: " + modules + "';; *-t*) " + test + ";; esac\n"
	}
	whole := file("nginx", said("--with-http_auth_request_module --with-http_ssl_module --with-http_v2_module", "true"), 0o755)
	without := file("nginx-without", said("--with-http_ssl_module", "true"), 0o755)
	refusing := file("nginx-refusing", said("--with-http_auth_request_module", "echo 'nginx: [emerg] host not found in upstream \"gone\"' >&2; exit 1"), 0o755)
	site := file("site.conf", "http { server { listen 127.0.0.1:1; location / { proxy_pass http://127.0.0.1:2; } } }\n", 0o644)
	broken := file("broken.conf", "http {\n server {\n  listen 80\n }\n}\n", 0o644)
	secret := file("secret.conf", "http { }\n", 0o600)
	dangling := file("dangling.conf", "http {\n include gone.conf;\n}\n", 0o644)
	config := file("sallyport.toml", "[server]\ndoor = \""+dir+"/none.sock\"\n", 0o644)
	badConfig := file("bad.toml", "[server]\ndoors = 1\n", 0o644)
	secretConfig := file("secret.toml", "", 0o600)
	for _, c := range []struct {
		title, nginx, conf, config string
		nobody                     bool
		what, do                   string
	}{
		{"no nginx is installed", "", site, config, false, "there is no nginx on the path", "install nginx-light"},
		{"an nginx that is none", "/bin/false", site, config, false, "ask /bin/false for its version", "--nginx"},
		{"an old one without the module", without, site, config, false, "NGINX was built without http_auth_request_module", "install nginx-light or nginx-core"},
		{"a broken configuration", whole, broken, config, false, "broken.conf:4: ", "mend that line, then nginx -t"},
		{"one that nginx -t refuses", refusing, site, config, false, "host not found in upstream", "NGINX does not start again"},
		{"one that is not there", whole, dir + "/none.conf", config, false, "not whole", "--nginx-conf"},
		{"an include that is not there", whole, dangling, config, false, "dangling.conf:2: include", "mend that line"},
		{"one that is not yours to read", whole, secret, config, true, "not yours to read", "run doctor as root"},
		{"no site is guarded", whole, site, config, false, "leads to a backend and is not guarded", "sallyport setup"},
		{"a daemon that does not run", whole, site, config, false, "the daemon does not run", "systemctl start sallyport"},
		{"a bad configuration of the daemon's", whole, site, badConfig, false, "bad.toml:2:", "sallyport check"},
		{"one of the daemon's that is not yours to read", whole, site, secretConfig, true, "the daemon's configuration is not yours to read", "run doctor as root"},
		{"none of the daemon's", whole, site, dir + "/none.toml", false, "the daemon's configuration cannot be found", "--config"},
	} {
		t.Run(c.title, func(t *testing.T) {
			args := []string{"doctor", "--nginx-conf", c.conf, "--config", c.config}
			if c.nginx != "" {
				args = append(args, "--nginx", c.nginx)
			}
			cmd := exec.Command(binary, args...)
			if c.nobody {
				if os.Geteuid() != 0 {
					t.Skip("needs root, to become somebody else")
				}
				if err := os.Chmod(filepath.Dir(binary), 0o755); err != nil {
					t.Fatal(err)
				}
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			}
			cmd.Env = []string{"PATH=/nowhere"}
			if c.nginx == "" {
				if _, err := os.Stat("/usr/sbin/nginx"); err == nil {
					cmd.Args = append(cmd.Args, "--nginx", dir+"/none")
					c.what, c.do = "none: no such file", "--nginx"
				}
			}
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			_ = cmd.Run()
			if code := cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit status %d, want 1", code)
			}
			if !strings.Contains(out.String(), c.what) || !strings.Contains(out.String(), c.do) {
				t.Errorf("said\n%s\nwant %q and %q", out.String(), c.what, c.do)
			}
			if strings.Count(out.String(), "bad   ")+strings.Count(out.String(), "weak  ") > strings.Count(out.String(), "do: ") {
				t.Errorf("something is wrong without a next step:\n%s", out.String())
			}
		})
	}
}
