package media

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is one bound UDP port. It is sent on by system calls of its own, which cost a third less
// than those of package net: nothing there ever has to wait.
type socket struct {
	fd   int
	port uint16

	mu       sync.Mutex  // held while a datagram is handled, so that silence waits for it
	handle   handler     // nil: what comes is thrown away
	failures int         // to read, in a row
	junk     atomic.Bool // the datagram being handled was of no use
}

// again has the next datagram read at once, in place of the one being handled, which was of no use: junk
// is not to keep the peer's packets waiting until the socket's buffer is full.
func (s *socket) again() {
	if s != nil {
		s.junk.Store(true)
	}
}

// handler takes a datagram; it must not keep data.
type handler func(data []byte, src netip.AddrPort, now time.Duration)

// maxReadErrors in a row end the reading of a socket, so that a broken one doesn't spin.
const maxReadErrors = 1000

// listen binds a port; 0 lets the kernel choose.
func listen(addr netip.Addr, port uint16) (*socket, error) {
	family := unix.AF_INET
	if addr.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening RTP socket: %w", err)
	}
	s := &socket{fd: fd}
	if err := s.bind(addr, port); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("binding RTP socket to %s: %w", netip.AddrPortFrom(addr, port), err)
	}
	return s, nil
}

func (s *socket) bind(addr netip.Addr, port uint16) error {
	if addr.Is6() {
		if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
		if err := unix.Bind(s.fd, &unix.SockaddrInet6{Port: int(port), Addr: addr.As16(), ZoneId: zone(addr)}); err != nil {
			return err
		}
	} else if err := unix.Bind(s.fd, &unix.SockaddrInet4{Port: int(port), Addr: addr.As4()}); err != nil {
		return err
	}
	local, err := unix.Getsockname(s.fd)
	if err != nil {
		return err
	}
	switch a := local.(type) {
	case *unix.SockaddrInet4:
		s.port = uint16(a.Port)
	case *unix.SockaddrInet6:
		s.port = uint16(a.Port)
	}
	return nil
}

// close waits for the datagram being handled; after it nothing is read.
func (s *socket) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fd := s.fd
	s.fd = -1 // the number may be another's at once
	return unix.Close(fd)
}

// target is an address in the form that the kernel takes.
type target struct {
	raw    unix.RawSockaddrInet6 // or the shorter RawSockaddrInet4
	length uintptr
}

func newTarget(to netip.AddrPort) (t target) {
	port := to.Port()>>8 | to.Port()<<8
	if nativeBigEndian {
		port = to.Port()
	}
	if a := to.Addr().Unmap(); a.Is4() {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&t.raw)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: a.As4()}
		t.length = unix.SizeofSockaddrInet4
	} else if a.Is6() {
		t.raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: a.As16(), Scope_id: zone(a)}
		t.length = unix.SizeofSockaddrInet6
	}
	return t
}

// addrPort is the address as the rest of the package reads it.
func (t *target) addrPort() netip.AddrPort {
	port := t.raw.Port
	if !nativeBigEndian {
		port = port>>8 | port<<8
	}
	if t.raw.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&t.raw)).Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(t.raw.Addr).Unmap(), port)
}

// nativeBigEndian tells how ports lie in memory.
var nativeBigEndian = func() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 0
}()

// send never waits: a full socket is an error.
func (s *socket) send(data []byte, to *target) error {
	// A raw system call: it takes microseconds, less than telling the scheduler of it is worth.
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)), unix.MSG_DONTWAIT,
		uintptr(unsafe.Pointer(&to.raw)), to.length)
	if errno != 0 {
		return errno
	}
	return nil
}

// receive reads one datagram, if there is one.
func (s *socket) receive(buf []byte, from *target) (int, syscall.Errno) {
	length := uint32(unsafe.Sizeof(from.raw))
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), unix.MSG_DONTWAIT,
		uintptr(unsafe.Pointer(&from.raw)), uintptr(unsafe.Pointer(&length)))
	return int(n), errno
}

// holds tells whether a datagram waits to be read. The socket's lock is held.
func (s *socket) holds() bool {
	var buf [1]byte
	_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&buf)), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	return errno == 0
}

// maxStale bounds the leftovers that listenTo throws away: more than a socket's buffer holds.
const maxStale = 2000

// listenTo makes fn the one that takes what comes from now on; nil throws it away. It waits for the
// datagram being handled, so that after listenTo(nil) nothing is.
func (s *socket) listenTo(fn handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = fn
	if fn == nil {
		return
	}
	var buf [1]byte
	var from target
	for range maxStale { // what came for the leg before
		if _, errno := s.receive(buf[:], &from); errno != 0 {
			break
		}
	}
}
