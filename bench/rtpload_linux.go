package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	rtpTick  = 200 * time.Microsecond
	rtpTicks = 100 // in 20 ms; streams are spread over them

	// stampChunk is how many packets share a send time and a system call: the last of them leaves
	// some 20 µs after it.
	stampChunk = 16
	readChunk  = 64
	readEvery  = 5 // ticks; the kernel stamps what comes, so that it may wait
)

// rtpLoad sends and checks the RTP of many phones: those of side 0 are the callers, those of side 1
// the agents. All of a side share a socket, and packets leave and arrive many in a system call.
type rtpLoad struct {
	sides [2]*rtpSide
	done  chan struct{}
	halt  atomic.Bool

	mu  sync.Mutex // held for a tick by the loop
	own histogram  // how late our own ticks are
}

// rtpSide is one socket and the streams on it.
type rtpSide struct {
	fd, rtcp int // rtcp only takes what comes
	addr     netip.AddrPort
	slots    [rtpTicks]rtpSlot
	streams  []*rtpStream // by number; nil: none
	from     [1 << 16]*rtpStream
	figures  rtpFigures

	msgs  [readChunk]message
	iovs  [readChunk]unix.Iovec
	bufs  [readChunk][2048]byte
	names [readChunk]unix.RawSockaddrInet4
	ctls  [readChunk][64]byte
}

// message is the kernel's struct mmsghdr.
type message struct {
	hdr unix.Msghdr
	n   uint32
}

// rtpSlot is the streams that send in the same tick, with what sendmmsg(2) needs.
type rtpSlot struct {
	streams []*rtpStream
	msgs    []message
}

func openRTPLoad() (*rtpLoad, error) {
	l := &rtpLoad{done: make(chan struct{})}
	for i := range l.sides {
		s, err := openRTPSide()
		if err != nil {
			return nil, fmt.Errorf("opening the load's RTP sockets: %w", err)
		}
		l.sides[i] = s
	}
	go l.run()
	return l, nil
}

func openRTPSide() (*rtpSide, error) {
	s := &rtpSide{}
	for range 100 { // until the kernel gives an even port with a free neighbour
		fd, port, err := bindLoopback(0)
		if err != nil {
			return nil, err
		}
		rtcp, _, err := bindLoopback(int(port) + 1)
		if port&1 == 1 || err != nil {
			unix.Close(fd)
			if err == nil {
				unix.Close(rtcp)
			}
			continue
		}
		s.fd, s.rtcp, s.addr = fd, rtcp, netip.AddrPortFrom(loopback.Addr(), port)
		break
	}
	if !s.addr.IsValid() {
		return nil, errors.New("no pair of ports")
	}
	_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 64<<20)
	_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20) // as root only
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return nil, err
	}
	for i := range s.msgs {
		s.iovs[i].Base = &s.bufs[i][0]
		s.iovs[i].SetLen(len(s.bufs[i]))
		h := &s.msgs[i].hdr
		h.Iov, h.Iovlen = &s.iovs[i], 1
		h.Name, h.Control = (*byte)(unsafe.Pointer(&s.names[i])), &s.ctls[i][0]
	}
	return s, nil
}

func bindLoopback(port int) (fd int, bound uint16, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, 0, err
	}
	if err = unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		unix.Close(fd)
		return 0, 0, err
	}
	a, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return 0, 0, err
	}
	return fd, uint16(a.(*unix.SockaddrInet4).Port), nil
}

// close ends the sending and gives the sockets back.
func (l *rtpLoad) close() {
	l.halt.Store(true)
	<-l.done
	for _, s := range l.sides {
		unix.Close(s.fd)
		unix.Close(s.rtcp)
	}
}

// add begins a stream: number i of a side, to and from that port of the server. It ends with the load.
// It tells whether the stream is new.
func (l *rtpLoad) add(side, i int, port uint16, kind streamKind) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sides[side]
	for len(s.streams) <= i {
		s.streams = append(s.streams, nil)
	}
	if s.streams[i] != nil {
		return false // an INVITE sent again
	}
	st := newStream(side, i, port, kind)
	s.streams[i] = st
	if !kind.shared {
		s.from[port] = st
	}
	if !kind.sends {
		return true
	}
	slot := &s.slots[(i*37+side*11)%rtpTicks]
	slot.streams = append(slot.streams, st)
	m := message{}
	m.hdr.Iov, m.hdr.Iovlen = &st.iov, 1
	m.hdr.Name, m.hdr.Namelen = (*byte)(unsafe.Pointer(&st.to)), unix.SizeofSockaddrInet4
	slot.msgs = append(slot.msgs, m)
	return true
}

// remove ends the stream of number i on both sides. What still comes for it is nobody's business.
func (l *rtpLoad) remove(i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for side, s := range l.sides {
		if i >= len(s.streams) || s.streams[i] == nil {
			continue
		}
		st := s.streams[i]
		st.over, s.streams[i] = true, nil
		slot := &s.slots[(i*37+side*11)%rtpTicks]
		if at := slices.Index(slot.streams, st); at >= 0 {
			slot.streams = slices.Delete(slot.streams, at, at+1)
			slot.msgs = slices.Delete(slot.msgs, at, at+1)
		}
	}
}

// run keeps to an absolute grid of ticks: a late one is followed by the next at once.
func (l *rtpLoad) run() {
	defer close(l.done)
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	start := time.Now()
	for k := 0; !l.halt.Load(); k++ {
		due := time.Duration(k) * rtpTick
		if wait := due - time.Since(start); wait > 0 {
			ts := unix.NsecToTimespec(int64(wait))
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
		}
		l.mu.Lock()
		l.own.add(time.Since(start) - due)
		for i, s := range l.sides {
			s.send(&s.slots[k%rtpTicks])
			if k%readEvery == 0 {
				s.read(l.sides[1-i])
			}
		}
		l.mu.Unlock()
	}
}

func (s *rtpSide) send(slot *rtpSlot) {
	for at := 0; at < len(slot.streams); at += stampChunk {
		end := min(at+stampChunk, len(slot.streams))
		now := time.Now().UnixNano()
		for _, st := range slot.streams[at:end] {
			st.next(now, &s.figures)
		}
		for at := at; at < end; {
			n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&slot.msgs[at])), uintptr(end-at), unix.MSG_DONTWAIT, 0, 0)
			if errno != 0 {
				s.figures.failed++
				n = 1
			}
			at += int(n)
		}
	}
}

// read takes all that has come; peers are the streams whose sound it ought to be.
func (s *rtpSide) read(peers *rtpSide) {
	for {
		for i := range s.msgs {
			h := &s.msgs[i].hdr
			h.Namelen = unix.SizeofSockaddrInet4
			h.SetControllen(len(s.ctls[i]))
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.msgs)), readChunk, unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			break
		}
		for i := range int(n) {
			port := binary.NativeEndian.Uint16((*[2]byte)(unsafe.Pointer(&s.names[i].Port))[:])
			s.take(s.bufs[i][:s.msgs[i].n], port>>8|port<<8, arrival(&s.ctls[i]), peers)
		}
		if n < readChunk {
			break
		}
	}
	var sink [64]byte
	for {
		if _, _, err := unix.Recvfrom(s.rtcp, sink[:], unix.MSG_DONTWAIT); err != nil {
			return
		}
	}
}

// arrival is the kernel's time stamp, in ns since 1970; the only control message asked for.
func arrival(ctl *[64]byte) int64 {
	h := (*unix.Cmsghdr)(unsafe.Pointer(ctl))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_TIMESTAMPNS {
		return time.Now().UnixNano()
	}
	ts := (*unix.Timespec)(unsafe.Pointer(&ctl[unix.CmsgLen(0)]))
	return ts.Nano()
}

// take finds the stream that a packet belongs to: by the port it comes from, or, where all share one,
// by what it carries.
func (s *rtpSide) take(b []byte, port uint16, at int64, peers *rtpSide) {
	st := s.from[port]
	if st == nil {
		if i, ok := carried(b); ok && i < len(s.streams) {
			st = s.streams[i]
		}
		if st == nil || !st.kind.shared {
			s.figures.foreign++
			return
		}
	}
	if st.over {
		return
	}
	var peer *rtpStream
	if st.i < len(peers.streams) {
		peer = peers.streams[st.i]
	}
	st.take(b, at, peer, &s.figures)
}
