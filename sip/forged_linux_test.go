package sip

import (
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inNamespace is set in the environment of a test that runs in a network of its own.
const inNamespace = "HOTLINE_TEST_NAMESPACE"

// alone runs the test once more, in a network namespace where it may forge packets, and is
// false in the process that does so. No right is needed where users may have namespaces.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=3m")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	runtime.LockOSThread() // Pdeathsig is about the thread
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in a network namespace (it takes root or user namespaces): %v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

// loopbackUp makes the namespace's loopback work, with 198.18.0.0/15 beside 127.0.0.0/8.
func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	set := func(name string, request uint, fill func(*unix.Ifreq)) {
		ifr, err := unix.NewIfreq(name)
		if err != nil {
			t.Fatal(err)
		}
		fill(ifr)
		if err := unix.IoctlIfreq(fd, request, ifr); err != nil {
			t.Fatalf("set up %s: %v", name, err)
		}
	}
	addr := func(a ...byte) func(*unix.Ifreq) {
		return func(ifr *unix.Ifreq) {
			if err := ifr.SetInet4Addr(a); err != nil {
				t.Fatal(err)
			}
		}
	}
	set("lo", unix.SIOCSIFFLAGS, func(ifr *unix.Ifreq) { ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING) })
	set("lo:1", unix.SIOCSIFADDR, addr(198, 18, 0, 1))
	set("lo:1", unix.SIOCSIFNETMASK, addr(255, 254, 0, 0))
}

// forger writes datagrams with any source address.
type forger struct {
	fd   int
	sent atomic.Int64
}

func newForger(t *testing.T) *forger {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return &forger{fd: fd}
}

// send forges one datagram; the kernel fills in length and checksum of the IPv4 head, UDP
// may go without.
func (f *forger) send(from, to netip.AddrPort, data []byte) {
	p := make([]byte, 28, 28+len(data))
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_UDP
	src, dst := from.Addr().As4(), to.Addr().As4()
	copy(p[12:], src[:])
	copy(p[16:], dst[:])
	binary.BigEndian.PutUint16(p[20:], from.Port())
	binary.BigEndian.PutUint16(p[22:], to.Port())
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(data)))
	if unix.Sendto(f.fd, append(p, data...), 0, &unix.SockaddrInet4{Addr: dst}) == nil {
		f.sent.Add(1)
	}
}

// flood sends rate requests a second from n forged sources until stop is closed.
func (f *forger) flood(to netip.AddrPort, n, rate int, stop <-chan struct{}, method string) {
	begin := time.Now()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		if ahead := time.Duration(i)*time.Second/time.Duration(rate) - time.Since(begin); ahead > time.Millisecond {
			rest(ahead)
		}
		k := i % n
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(k >> 8), byte(k)}), uint16(1024+i%60000))
		f.send(from, to, request(method, from, int64(i)))
	}
}

// Ten thousand forged sources flood with calls and registrations. Nobody is behind them:
// each answer comes back as an ICMP error. Others are served, and afterwards all is as
// before. 2,000 a second is what a busy machine with the race detector can take.
func TestForgedSources(t *testing.T) {
	if !alone(t) {
		return
	}
	loopbackUp(t)
	for _, method := range []string{"INVITE", "REGISTER"} {
		t.Run(method, func(t *testing.T) {
			srv, count := floodedStack(t, Options{})
			o := newOthers(t, srv, "127.7.0.1")
			o.calls(100*time.Millisecond, 0)
			f := newForger(t)
			goroutines, memory := runtime.NumGoroutine(), heap()
			o.areServed(count, &f.sent, leastRate(forgedRate(t), 10_000), func(stop chan struct{}) { f.flood(srv.Addr(0), 10_000, forgedRate(t), stop, method) })
			seen := count.answered()
			if seen[401]+count.of("overload") < int(f.sent.Load())/10 {
				t.Errorf("of %d forged requests hardly one came: %v", f.sent.Load(), seen)
			}
			asBefore(t, goroutines, memory, 150)
		})
	}
}
