package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// networks are three hosts in namespaces of their own: two phones, each with a cable to the machine
// in the middle, which forwards between them.
type networks struct {
	t                   testing.TB
	left, middle, right string
}

func newNetworks(t testing.TB, six bool) *networks {
	t.Helper()
	n := &networks{t: t}
	for i, name := range []*string{&n.left, &n.middle, &n.right} {
		*name = fmt.Sprintf("hotline-%d-%d", os.Getpid(), i)
		n.ip("netns", "add", *name)
		t.Cleanup(func() {
			if out, err := exec.Command("ip", "netns", "del", *name).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
		n.ip("-n", *name, "link", "set", "lo", "up")
	}
	for i, phone := range []string{n.left, n.right} {
		side := []string{"west", "east"}[i]
		n.ip("-n", n.middle, "link", "add", side, "type", "veth", "peer", "name", "eth", "netns", phone)
		near, far := fmt.Sprintf("10.9.%d.1/24", i), fmt.Sprintf("10.9.%d.2/24", i)
		if six {
			near, far = fmt.Sprintf("fd09:%d::1/64", i), fmt.Sprintf("fd09:%d::2/64", i)
		}
		for _, end := range [][3]string{{n.middle, side, near}, {phone, "eth", far}} {
			n.ip("-n", end[0], "addr", "add", end[2], "dev", end[1], "nodad")
			n.ip("-n", end[0], "link", "set", end[1], "up")
			n.in(end[0], func() {
				setFeature(t, end[1], unix.ETHTOOL_STXCSUM, 0) // as cables carry them, packets have their checksums filled in
				setFeature(t, end[1], unix.ETHTOOL_SGRO, 1)    // else the far end takes nothing from a driver's XDP
			})
		}
		gateway, _, _ := strings.Cut(near, "/")
		n.ip("-n", phone, "route", "add", "default", "via", gateway)
	}
	n.in(n.middle, func() {
		for _, name := range []string{"ipv4/conf/west", "ipv4/conf/east", "ipv6/conf/west", "ipv6/conf/east"} {
			if err := os.WriteFile(filepath.Join("/proc/sys/net", name, "forwarding"), []byte("1"), 0); err != nil {
				t.Error(err)
			}
		}
	})
	return n
}

func (n *networks) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// in runs fn in a namespace.
func (n *networks) in(name string, fn func()) {
	n.t.Helper()
	done := make(chan error)
	go func() {
		// The thread stays locked, and so ends with the goroutine: it isn't fit for others.
		runtime.LockOSThread()
		done <- func() error {
			f, err := os.Open("/var/run/netns/" + name)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := unix.Unshare(unix.CLONE_NEWNS); err != nil { // for a /sys and /proc of its own
				return err
			}
			if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
				return err
			}
			if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
				return err
			}
			fn()
			return nil
		}()
	}()
	if err := <-done; err != nil {
		n.t.Fatal(err)
	}
}

// setFeature switches one of the interface's features (ethtool).
func setFeature(t testing.TB, name string, feature, to uint32) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer unix.Close(fd)
	value := struct{ cmd, data uint32 }{feature, to}
	var request struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(request.name[:], name)
	request.data = unsafe.Pointer(&value)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		t.Errorf("feature %#x of %s: %v", feature, name, errno)
	}
}

// cableAddresses are our own on the left cable, and those of the phones at the far ends of both.
func cableAddresses(six bool) (near, left, right string) {
	if six {
		return "fd09:0::1", "fd09:0::2", "fd09:1::2"
	}
	return "10.9.0.1", "10.9.0.2", "10.9.1.2"
}

// onCables runs a test with two cables, for each family and way of attaching; the driver's is veth's.
func onCables(t *testing.T, run func(t *testing.T, n *networks, six bool, m Mode)) {
	for _, six := range []bool{false, true} {
		for _, m := range []Mode{TCX, XDP, XDPGeneric} {
			t.Run(fmt.Sprintf("IPv6 %v by %s", six, m), func(t *testing.T) { run(t, newNetworks(t, six), six, m) })
		}
	}
}

// openPath opens a path between the cables; it is called within the middle.
func (n *networks) openPath(t *testing.T, near string, m Mode) *Path {
	t.Helper()
	// Loopback has no driver that knows XDP.
	p := openPath(t, Options{Addr: netip.MustParseAddr(near), Interfaces: []string{"west", "east"}, Modes: []Mode{m, TCX}})
	for _, a := range p.Attached() {
		if a.Interface != "lo" && a.Mode != m {
			t.Errorf("attached to %s by %s, want %s", a.Interface, a.Mode, m)
		}
	}
	return p
}

// Between two interfaces packets take the way that the kernel's table of routes says.
func TestForwardsBetweenInterfaces(t *testing.T) {
	onCables(t, func(t *testing.T, n *networks, six bool, m Mode) {
		near, left, right := cableAddresses(six)
		l := &line{t: t, seq: 65530, ts: 1000, firstByte: 0x80, floor: (65530 + 100) % 65536}
		n.in(n.left, func() { l.phone = listen(t, netip.MustParseAddr(left)) })
		n.in(n.right, func() { l.far = listen(t, netip.MustParseAddr(right)) })
		opened := monotonic()
		n.in(n.middle, func() {
			l.up, l.out = listen(t, netip.MustParseAddr(near)), listen(t, netip.MustParseAddr(near))
			l.path = n.openPath(t, near, m)
		})
		l.describe()
		l.now(opened)
		n.meet(l)
		l.now(opened)
		for range 20 {
			in := l.speak()
			out, from := receive(t, "the packet", l.far)
			if from != addrOf(l.out) || !bytes.Equal(out[12:], in[12:]) || len(out) != len(in) {
				t.Fatalf("from %s: % x", from, out[:14])
			}
		}
		if s := l.state(); s.OutPackets != 20 || s.Packets != 20 {
			t.Errorf("state %+v", s)
		}
	})
}

// Where the kernel isn't told to forward it doesn't say which way packets take.
func TestNeedsForwarding(t *testing.T) {
	n := newNetworks(t, false)
	n.in(n.middle, func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/west/forwarding", []byte("0"), 0); err != nil {
			t.Error(err)
		}
		p, err := Open(Options{Addr: netip.MustParseAddr("10.9.0.1")})
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "net.ipv4.conf.west.forwarding") {
			t.Errorf("%v, %v", p, err)
		}
	})
}

// meet waits until the neighbours know each other's MAC addresses: until then packets go up.
func (n *networks) meet(l *line) {
	n.t.Helper()
	for deadline := time.Now().Add(patience); l.state().OutPackets == 0; {
		if time.Now().After(deadline) {
			n.t.Fatal("nothing was ever forwarded")
		}
		seq, ts := l.seq, l.ts
		l.speak()
		if err := l.far.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			n.t.Fatal(err)
		}
		if _, _, err := l.far.ReadFromUDPAddrPort(make([]byte, 2048)); err != nil {
			l.seq, l.ts = seq, ts
			n.in(n.middle, func() { // what userland sends has the kernel ask for the address
				if c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addrOf(l.far))); err == nil {
					c.Write(nil)
					c.Close()
				}
			})
		}
	}
	for { // what came meanwhile
		if err := l.far.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			n.t.Fatal(err)
		}
		if _, _, err := l.far.ReadFromUDPAddrPort(make([]byte, 2048)); err != nil {
			break
		}
	}
	l.seq, l.ts = 65530, 1000
	l.set()
}
