package host

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxProcLines bounds what is read of a table in /proc.
const maxProcLines = 1 << 16

// listening are the addresses that something on this machine listens on at a
// port, from /proc/net/tcp and tcp6 (proc_net_tcp of the kernel's documentation).
func listening(proc string, port uint16) (found []netip.Addr) {
	for _, name := range []string{"tcp", "tcp6"} {
		f, err := os.Open(filepath.Join(proc, "net", name))
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(f)
		for n := 0; n < maxProcLines && lines.Scan(); n++ {
			fields := strings.Fields(lines.Text())
			if len(fields) < 4 || fields[3] != "0A" { // TCP_LISTEN
				continue
			}
			if at, ok := procAddress(fields[1]); ok && at.Port() == port && !slices.Contains(found, at.Addr()) {
				found = append(found, at.Addr())
			}
		}
		f.Close()
	}
	return found
}

// procAddress reads "0100007F:1F90": words in the machine's byte order, which
// is little-endian on amd64 and arm64, and a port.
func procAddress(text string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(text, ":")
	p, err := strconv.ParseUint(port, 16, 16)
	raw, hexErr := hex.DecodeString(host)
	if !ok || err != nil || hexErr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(p)), ok
}

// exposed tells of a backend that NGINX reaches on this machine while it
// listens for others too: they get past the doors.
func (d *Doctor) exposed(place, host, port string) {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if host == "localhost" {
		ip, err = netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	p, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || !ip.IsLoopback() {
		return
	}
	for _, at := range listening(d.Proc, uint16(p)) {
		if at.IsLoopback() {
			continue
		}
		where := at.String()
		if at.IsUnspecified() {
			where = "every address"
		}
		d.add(Weak, place, fmt.Sprintf("the backend at port %d listens on %s: it can be reached past NGINX", p, where),
			"have it listen on 127.0.0.1 alone, or close the port; sallyport watch reports who comes that way")
		return
	}
}

// workers says whether NGINX's running workers are in the door's group: they
// learn of it only when they are started anew.
func (d *Doctor) workers(door string, gid uint32) {
	comms, _ := filepath.Glob(filepath.Join(d.Proc, "[0-9]*", "comm"))
	for _, name := range comms {
		if text, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(text)) != "nginx" {
			continue
		}
		status, err := os.ReadFile(filepath.Join(filepath.Dir(name), "status"))
		if err != nil {
			continue
		}
		var uid string
		var groups []string
		for _, line := range strings.Split(string(status), "\n") {
			switch fields := strings.Fields(line); {
			case strings.HasPrefix(line, "Uid:") && len(fields) > 2:
				uid = fields[2]
			case (strings.HasPrefix(line, "Gid:") || strings.HasPrefix(line, "Groups:")) && len(fields) > 1:
				groups = append(groups, fields[1:]...)
			}
		}
		if uid != "0" && !slices.Contains(groups, strconv.FormatUint(uint64(gid), 10)) {
			d.add(Bad, door, "NGINX's running workers are not in the door's group yet", "systemctl reload nginx")
			return
		}
	}
}
