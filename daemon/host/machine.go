package host

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/daemon/host/nginxconf"
)

// parseCertificate reads the first certificate of a PEM file.
func parseCertificate(text []byte) (*x509.Certificate, error) {
	for len(text) > 0 {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
		text = rest
	}
	return nil, errors.New("no PEM block of a certificate")
}

// socketRights says whether NGINX's user may write to the door.
func (d *Doctor) socketRights(door, name string, info fs.FileInfo) {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || name == "" {
		return
	}
	u, err := user.Lookup(name)
	if err != nil {
		d.add(Bad, door, "NGINX's user "+name+" does not exist", "see the user directive of nginx.conf")
		return
	}
	groups, err := u.GroupIds()
	if err != nil {
		return
	}
	mode := info.Mode().Perm()
	may := mode&0o002 != 0 || u.Uid == "0" ||
		(mode&0o200 != 0 && u.Uid == strconv.Itoa(int(owner.Uid))) ||
		(mode&0o020 != 0 && slices.Contains(groups, strconv.Itoa(int(owner.Gid))))
	if group, err := user.LookupGroup("sallyport-door"); !may && (err != nil || group.Gid != strconv.Itoa(int(owner.Gid))) {
		d.add(Bad, door, "NGINX's user "+name+" may not use the door: it belongs to another group than sallyport-door", "systemctl restart sallyport.socket, which makes it anew")
		return
	}
	if !may {
		d.add(Bad, door, "NGINX's user "+name+" may not use the door", "usermod -a -G sallyport-door "+name+", then systemctl reload nginx")
		return
	}
	d.add(Good, door, "NGINX's user "+name+" may use the door", "")
	if mode&0o002 == 0 && u.Uid != strconv.Itoa(int(owner.Uid)) {
		d.workers(door, owner.Gid)
	}
}

// Log says whether the events' file can be written.
func (d *Doctor) Log(path string) {
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		d.add(Weak, path, "the events' file cannot be written: "+err.Error(), "check its owner, and the disk")
		return
	}
	f.Close()
	d.add(Good, path, "the events' file can be written", "")
}

// oldRules is after how long rules are worth a look.
const oldRules = 90 * 24 * time.Hour

// Rules says how old the newest of the rule files is.
func (d *Doctor) Rules(files []string) {
	var newest time.Time
	for _, name := range files {
		if info, err := os.Stat(name); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	switch {
	case len(files) == 0:
		d.add(Weak, "", "no rule file is loaded", "see [check.signature] rules")
	case d.Now.Sub(newest) > oldRules:
		d.add(Weak, "", "the newest rule file is of "+newest.Format(time.DateOnly), "update the package, or your own rules")
	default:
		d.add(Good, "", "the newest rule file is of "+newest.Format(time.DateOnly), "")
	}
}

// User is the user that NGINX's workers run as.
func User(c *nginxconf.Config) string {
	for _, u := range c.Root.Find("user") {
		return u.Args[0]
	}
	for _, name := range []string{"www-data", "nginx"} {
		if _, err := user.Lookup(name); err == nil {
			return name
		}
	}
	return "nobody"
}
