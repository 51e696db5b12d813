package sip

import (
	"encoding/binary"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// askArrivals has the kernel tell when each datagram comes.
func askArrivals(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1)
	})
	if err != nil {
		return err
	}
	return failed
}

// arrivalIn is what the kernel told of a datagram: the header of a control message, and a time of two
// numbers of 64 bits.
func arrivalIn(ctrl []byte) (at time.Time, ok bool) {
	for len(ctrl) >= unix.CmsgLen(0) {
		h, data, rest, err := unix.ParseOneSocketControlMessage(ctrl)
		if err != nil {
			break
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SO_TIMESTAMPNS_NEW && len(data) >= 16 {
			sec, nsec := binary.NativeEndian.Uint64(data), binary.NativeEndian.Uint64(data[8:])
			return time.Unix(int64(sec), int64(nsec)), true
		}
		ctrl = rest
	}
	return time.Time{}, false
}

// isCut tells whether a datagram was longer than the room for it.
func isCut(flags int) bool { return flags&unix.MSG_TRUNC != 0 }
