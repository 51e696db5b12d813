package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bareRelay passes RTP on between callers at one address and agents at another and does nothing else:
// what the hotline costs beyond it is the hotline's own. It prints the ports of each call's two
// legs. Kinds: "epoll", one loop with a socket per leg; "goroutines", one per leg on package net;
// "batch", one socket for all legs, many packets in a system call.
func bareRelay(kind string, calls int, callers, agents string) error {
	var to [2]netip.AddrPort
	for i, s := range []string{callers, agents} {
		a, err := netip.ParseAddrPort(s)
		if err != nil {
			return err
		}
		to[i] = a
	}
	relay := map[string]func([][2]int, [2]netip.AddrPort) error{"epoll": relayByEpoll, "goroutines": relayByGoroutines, "batch": relayByBatch}[kind]
	if relay == nil {
		return fmt.Errorf("no relay %q", kind)
	}
	var fds, ports [][2]int
	for len(fds) < calls && (kind != "batch" || len(fds) == 0) {
		var f, p [2]int
		for side := range f {
			fd, port, err := bindLoopback(0)
			if err != nil {
				return err
			}
			f[side], p[side] = fd, int(port)
		}
		fds, ports = append(fds, f), append(ports, p)
	}
	for kind == "batch" && len(ports) < calls {
		ports = append(ports, ports[0])
	}
	for i := range ports {
		if kind == "batch" {
			ports[i][1] = ports[i][0]
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(ports); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- relay(fds, to) }()
	closed := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		closed <- err
	}()
	select {
	case err := <-failed:
		return err
	case err := <-closed:
		return err
	}
}

func sockaddr(a netip.AddrPort) *unix.RawSockaddrInet4 {
	s := &unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.Addr().As4()}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&s.Port))[:], a.Port())
	return s
}

// relayByEpoll waits in epoll_wait(2) and handles each packet by one recvfrom(2) and one sendto(2).
func relayByEpoll(fds [][2]int, to [2]netip.AddrPort) error {
	epoll, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	type way struct {
		out int
		to  *unix.RawSockaddrInet4
	}
	ways := map[int]way{}
	most := 0
	for _, f := range fds {
		for side, fd := range f {
			ways[fd] = way{f[1-side], sockaddr(to[1-side])}
			most = max(most, fd)
			if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
				return err
			}
		}
	}
	byFD := make([]way, most+1)
	for fd, w := range ways {
		byFD[fd] = w
	}
	var events [128]unix.EpollEvent
	var from unix.RawSockaddrInet4
	buf := make([]byte, 2048)
	for {
		n, err := unix.EpollWait(epoll, events[:], -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			w := &byFD[e.Fd]
			length := uint32(unix.SizeofSockaddrInet4)
			size, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(e.Fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&length)))
			if errno != 0 {
				continue
			}
			unix.RawSyscall6(unix.SYS_SENDTO, uintptr(w.out), uintptr(unsafe.Pointer(&buf[0])), size, 0, uintptr(unsafe.Pointer(w.to)), unix.SizeofSockaddrInet4)
		}
	}
}

// relayByGoroutines has a goroutine for each leg, which blocks in package net.
func relayByGoroutines(fds [][2]int, to [2]netip.AddrPort) error {
	failed := make(chan error)
	for _, f := range fds {
		var conns [2]*net.UDPConn
		for side, fd := range f {
			file := os.NewFile(uintptr(fd), "rtp")
			c, err := net.FilePacketConn(file)
			if err != nil {
				return err
			}
			file.Close()
			conns[side] = c.(*net.UDPConn)
		}
		for side := range conns {
			go func() {
				buf := make([]byte, 2048)
				for {
					n, _, err := conns[side].ReadFromUDPAddrPort(buf)
					if err != nil {
						failed <- err
						return
					}
					_, _ = conns[1-side].WriteToUDPAddrPort(buf[:n], to[1-side])
				}
			}()
		}
	}
	return <-failed
}

// relayByBatch reads and sends many packets at once; the SSRC tells whose they are.
func relayByBatch(fds [][2]int, to [2]netip.AddrPort) error {
	fd := fds[0][0]
	if err := unix.SetNonblock(fd, false); err != nil {
		return err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	dest := [2]*unix.RawSockaddrInet4{sockaddr(to[0]), sockaddr(to[1])}
	var msgs [64]message
	var iovs [64]unix.Iovec
	var bufs [64][2048]byte
	for i := range msgs {
		iovs[i].Base = &bufs[i][0]
		msgs[i].hdr.Iov, msgs[i].hdr.Iovlen = &iovs[i], 1
	}
	for {
		for i := range msgs {
			iovs[i].SetLen(len(bufs[i]))
			msgs[i].hdr.Name, msgs[i].hdr.Namelen = nil, 0
		}
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&msgs)), uintptr(len(msgs)), unix.MSG_WAITFORONE, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return errno
		}
		for i := range int(n) {
			m := &msgs[i]
			iovs[i].SetLen(int(m.n))
			ssrc := binary.BigEndian.Uint32(bufs[i][8:]) ^ 1
			binary.BigEndian.PutUint32(bufs[i][8:], ssrc)
			m.hdr.Name, m.hdr.Namelen = (*byte)(unsafe.Pointer(dest[ssrc&1])), unix.SizeofSockaddrInet4
		}
		for at := 0; at < int(n); {
			sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&msgs[at])), uintptr(int(n)-at), 0, 0, 0)
			if errno != 0 {
				sent = 1
			}
			at += int(sent)
		}
	}
}
