package media

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A shard that has seen a socket ready when its pair is closed reads nothing from whoever has the descriptor
// by then.
func TestClosedSocketIsNotRead(t *testing.T) {
	e := openEngine(t, nil)
	p, err := e.openPair(loopback, 0)
	for err != nil {
		p, err = e.openPair(loopback, 0)
	}
	ready, fd := p.rtp, p.rtp.fd
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	other, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	mine, theirs := other[0], other[1]
	if mine != fd && theirs != fd { // else the kernel has given the lowest one that was free
		if err := unix.Dup3(mine, fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	} else if theirs == fd {
		mine, theirs = theirs, mine
	}
	defer unix.Close(mine)
	defer unix.Close(theirs)
	if _, err := unix.Write(theirs, []byte("somebody else's")); err != nil {
		t.Fatal(err)
	}
	poll, err := newPoller(e.now, e.cfg.Logger)
	if err != nil {
		t.Fatal(err)
	}
	poll.take(ready, e.now())
	if n, _, err := unix.Recvfrom(fd, make([]byte, 64), unix.MSG_DONTWAIT); err != nil || n != 15 {
		t.Errorf("%d bytes left, %v", n, err)
	}
	if err := poll.close(); err != nil {
		t.Fatal(err)
	}
}
