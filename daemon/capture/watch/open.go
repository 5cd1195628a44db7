package watch

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/google/gopacket/pcapgo"
)

// maxInterfaces bounds the interfaces watched at a time.
const maxInterfaces = 32

// Capture is a Watch with its interfaces open.
type Capture struct {
	watch   *Watch
	handles map[string]*pcapgo.EthernetHandle
}

// Open opens interfaces by name; "any" is every interface that is up now. It
// needs CAP_NET_RAW, which Run no longer does. Interfaces must carry Ethernet
// frames, as loopback does and a tunnel does not.
func Open(w *Watch, names []string) (*Capture, error) {
	names, err := expand(names)
	if err != nil {
		return nil, err
	}
	var ports []uint16
	for _, b := range w.backends {
		if !slices.Contains(ports, b.Port()) {
			ports = append(ports, b.Port())
		}
	}
	program, err := filter(ports, w.gateways)
	if err != nil {
		return nil, fmt.Errorf("make the filter: %w", err)
	}
	c := &Capture{watch: w, handles: map[string]*pcapgo.EthernetHandle{}}
	for _, name := range names {
		h, err := pcapgo.NewEthernetHandle(name)
		if err != nil {
			return nil, fmt.Errorf("watch interface %s: %w; it must exist, and root or CAP_NET_RAW is needed", name, err)
		}
		if err := errors.Join(h.SetBPF(program), h.SetCaptureLength(snapLength)); err != nil {
			return nil, fmt.Errorf("filter interface %s: %w", name, err)
		}
		c.handles[name] = h
	}
	return c, nil
}

func expand(names []string) ([]string, error) {
	if slices.Contains(names, "any") {
		all, err := net.Interfaces()
		if err != nil {
			return nil, fmt.Errorf("list the interfaces: %w", err)
		}
		names = nil
		for _, i := range all {
			if i.Flags&net.FlagUp != 0 && (len(i.HardwareAddr) == 6 || i.Flags&net.FlagLoopback != 0) {
				names = append(names, i.Name)
			}
		}
	}
	if len(names) == 0 || len(names) > maxInterfaces {
		return nil, fmt.Errorf("%d interfaces: one to %d were expected", len(names), maxInterfaces)
	}
	return names, nil
}

// Run reads the interfaces in the background until the process ends. trouble
// hears, at most once a second an interface, of one that cannot be read, such
// as one that is down; it is tried again.
func (c *Capture) Run(trouble func(name string, err error)) {
	for name, h := range c.handles {
		go func() {
			for {
				frame, info, err := h.ZeroCopyReadPacketData()
				if err != nil {
					trouble(name, err)
					time.Sleep(time.Second)
					continue
				}
				c.watch.Frame(frame, name, info.Timestamp)
			}
		}()
	}
}
