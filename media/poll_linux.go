package media

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// turnEvents bounds the sockets read at once.
	turnEvents = 128

	chunkSize = 1024
	maxChunks = 1024 // times chunkSize: more file descriptors than a process has
)

// poller reads many sockets by one epoll(7), in turns that a timerfd(2) paces. The runtime waits for
// the timer as it does for connections; a thread that waits in a system call of its own would cost
// the scheduler more than the packets do, and the runtime's timers are a millisecond coarse.
type poller struct {
	now   func() time.Duration
	log   *slog.Logger
	epoll int
	timer *os.File
	wait  syscall.RawConn // of timer

	// sockets by file descriptor. Its chunks are made when first needed and stay.
	sockets [maxChunks]atomic.Pointer[[chunkSize]atomic.Pointer[socket]]
	growing sync.Mutex

	// Owned by who calls turn.
	events  [turnEvents]unix.EpollEvent
	buf     [2048]byte
	from    target
	expired func(timer uintptr) bool
}

func newPoller(now func() time.Duration, log *slog.Logger) (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		unix.Close(epoll)
		return nil, err
	}
	p := &poller{now: now, log: log, epoll: epoll, timer: os.NewFile(uintptr(timer), "timer")}
	if p.wait, err = p.timer.SyscallConn(); err != nil {
		p.close()
		return nil, err
	}
	p.expired = func(fd uintptr) bool {
		// Reading is what sets a periodic timer again.
		_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&p.buf)), 8)
		return errno != unix.EAGAIN
	}
	return p, nil
}

// pace sets the time between ticks; 0 ends them. They come at multiples of it since the engine's start, so that
// beats aren't moved by another pace.
func (p *poller) pace(every time.Duration) (err error) {
	var spec unix.ItimerSpec
	if every > 0 {
		spec.Interval = unix.NsecToTimespec(int64(every))
		spec.Value = unix.NsecToTimespec(int64(every - p.now()%every))
	}
	failed := p.wait.Control(func(fd uintptr) { err = unix.TimerfdSettime(int(fd), 0, &spec, nil) })
	return errors.Join(failed, err)
}

// add has the socket read from now on.
func (p *poller) add(s *socket) error {
	if s.fd >= chunkSize*maxChunks {
		return unix.EMFILE
	}
	p.place(s.fd).Store(s)
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(s.fd)})
}

// remove ends the reading of the socket; it must be closed after, not before.
func (p *poller) remove(s *socket) {
	p.place(s.fd).Store(nil)
	_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, s.fd, nil) // fails only if it isn't in there
}

// place is where the socket with that descriptor is kept.
func (p *poller) place(fd int) *atomic.Pointer[socket] {
	chunk := &p.sockets[fd/chunkSize]
	if chunk.Load() == nil {
		p.growing.Lock()
		if chunk.Load() == nil {
			chunk.Store(new([chunkSize]atomic.Pointer[socket]))
		}
		p.growing.Unlock()
	}
	return &chunk.Load()[fd%chunkSize]
}

// close ends the wait of turn for good.
func (p *poller) close() error { return errors.Join(p.timer.Close(), unix.Close(p.epoll)) }

// turn waits for the next tick and reads each ready socket once. It returns an error when the poller
// is closed.
func (p *poller) turn() error {
	if err := p.wait.Read(p.expired); err != nil {
		return err
	}
	for range maxRounds {
		n := p.ready()
		if n == 0 {
			break
		}
		now, more := p.now(), n == turnEvents
		for i := range n {
			if s := p.place(int(p.events[i].Fd)).Load(); s != nil { // not one removed meanwhile
				more = p.take(s, now) || more
			}
		}
		if !more {
			break
		}
	}
	return nil
}

// maxRounds bounds the sockets read in a turn, so that a flood doesn't keep beats waiting.
const maxRounds = 8

// maxJunk bounds the datagrams of no use that are read from a socket in a round, beside one of use.
const maxJunk = 32

// take reads a datagram and has it handled; those that are of no use don't count, and more says that there were only
// such: what is of use may lie behind them.
func (p *poller) take(s *socket, now time.Duration) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return false // closed since it was found ready
	}
	for range maxJunk {
		s.junk.Store(false)
		if p.takeOne(s, now); !s.junk.Load() {
			return false
		}
	}
	return true
}

func (p *poller) takeOne(s *socket, now time.Duration) {
	n, errno := s.receive(p.buf[:], &p.from)
	switch errno {
	case 0:
		s.failures = 0
		if s.handle != nil {
			s.handle(p.buf[:n], p.from.addrPort(), now)
		}
	case unix.EAGAIN, unix.EINTR:
	default:
		if s.failures++; s.failures == maxReadErrors {
			p.log.Error("RTP socket fails; its leg receives no more", "port", s.port, "error", errno)
			p.remove(s)
		}
	}
}

// ready tells how many sockets can be read; their events are in p.events.
func (p *poller) ready() int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events)), turnEvents, 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// zone is the interface of a link-local address, 0 if there is none.
func zone(addr netip.Addr) uint32 {
	if addr.Zone() == "" {
		return 0
	}
	i, err := net.InterfaceByName(addr.Zone())
	if err != nil {
		return 0
	}
	return uint32(i.Index)
}
