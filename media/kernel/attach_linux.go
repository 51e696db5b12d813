package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// target is an interface and the modes to try on it.
type target struct {
	name  string
	index int
	modes []Mode
}

// findInterfaces names those that Options mean.
func findInterfaces(o Options) ([]target, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	var found []target
	held := o.Addr.IsLoopback() || o.Interfaces != nil
	for _, i := range all {
		holds := o.Interfaces == nil && holds(i, o.Addr)
		held = held || holds
		if !holds && i.Flags&net.FlagLoopback == 0 && !contains(o.Interfaces, i.Name) {
			continue
		}
		if err := routes(i, o.Addr); err != nil {
			return nil, err
		}
		found = append(found, target{i.Name, i.Index, modes(o, i.Name)})
	}
	if !held {
		return nil, fmt.Errorf("%w: no interface holds the address %s", ErrUnsupported, o.Addr)
	}
	return found, nil
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

func holds(i net.Interface, addr netip.Addr) bool {
	addrs, err := i.Addrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(addr.AsSlice()) {
			return true
		}
	}
	return false
}

// routes fails where the kernel's table of routes won't be asked for packets that come in.
func routes(i net.Interface, addr netip.Addr) error {
	if i.Flags&net.FlagLoopback != 0 {
		return nil
	}
	family := "ipv6"
	if addr.Is4() {
		family = "ipv4"
	}
	name := filepath.Join("/proc/sys/net", family, "conf", i.Name, "forwarding")
	setting, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading whether %s forwards: %w", i.Name, err)
	}
	if strings.TrimSpace(string(setting)) == "0" {
		return fmt.Errorf("%w: net.%s.conf.%s.forwarding is 0; set it to 1", ErrUnsupported, family, i.Name)
	}
	return nil
}

// modes are those to try. The driver's own is for hardware alone: virtual interfaces drop what their
// other end isn't prepared for. TCX comes before generic XDP, which copies each packet that has little
// room before it, and which one program alone may have.
func modes(o Options, name string) []Mode {
	if o.Modes != nil {
		return o.Modes
	}
	if _, err := os.Stat(filepath.Join("/sys/class/net", name, "device")); err == nil {
		return []Mode{XDP, TCX, XDPGeneric}
	}
	return []Mode{TCX, XDPGeneric}
}

// attach tries the modes in turn.
func (p *Path) attach(t target) error {
	var errs []error
	for _, m := range t.modes {
		l, err := p.attachBy(m, t.index)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m, err))
			continue
		}
		p.links = append(p.links, l)
		p.attached = append(p.attached, Attachment{t.name, m})
		if err := p.objects.Interfaces.Put(uint32(t.index), uint8(1)); err != nil {
			return fmt.Errorf("noting interface %s: %w", t.name, err)
		}
		return nil
	}
	return fmt.Errorf("attaching to %s: %w", t.name, errors.Join(errs...))
}

func (p *Path) attachBy(m Mode, index int) (link.Link, error) {
	switch m {
	case XDP:
		return link.AttachXDP(link.XDPOptions{Program: p.objects.ForwardXdp, Interface: index, Flags: link.XDPDriverMode})
	case XDPGeneric:
		return link.AttachXDP(link.XDPOptions{Program: p.objects.ForwardXdp, Interface: index, Flags: link.XDPGenericMode})
	case TCX:
		return link.AttachTCX(link.TCXOptions{Program: p.objects.ForwardTcx, Interface: index, Attach: ebpf.AttachTCXIngress})
	}
	return nil, fmt.Errorf("no such mode: %q", m)
}

// loopbackIndex is the index of lo, 0 if there is none.
func loopbackIndex() (uint32, error) {
	all, err := net.Interfaces()
	if err != nil {
		return 0, err
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			return uint32(i.Index), nil
		}
	}
	return 0, nil
}
