package sip

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func socketOf(t *testing.T, ip net.IP) (*net.UDPConn, *udpSocket) {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	u := newUDPSocket(c)
	if u.udp == nil {
		t.Fatal("the kernel tells no times")
	}
	return c, u
}

// A datagram's wait in the socket counts: its time is the kernel's, not the reader's.
func TestSocketTellsWhenADatagramCame(t *testing.T) {
	c, u := socketOf(t, net.IPv4(127, 0, 0, 1))
	for { // the kernel begins to keep times a moment after it was asked to
		before := time.Now()
		if _, err := c.WriteTo([]byte("hello"), c.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		sent := time.Now() // on loopback it is in the socket by now
		data, from, came, err := u.read()
		if err != nil || string(data) != "hello" || from.String() != c.LocalAddr().String() {
			t.Fatalf("%q from %v, %v", data, from, err)
		}
		if came.Before(before.Add(-time.Millisecond)) {
			t.Fatalf("came %v before it was sent", before.Sub(came))
		}
		if !came.After(sent) {
			return
		}
	}
}

// What has piled up is read by few system calls, and each datagram is what it was.
func TestSocketReadsManyAtOnce(t *testing.T) {
	for _, ip := range []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback} {
		c, u := socketOf(t, ip)
		u.piled = true
		begin := time.Now()
		want := make([]string, 3*atOnceRead/2)
		for i := range want {
			want[i] = strings.Repeat("x", 1000*(i%3)) + strconv.Itoa(i)
			if _, err := c.WriteTo([]byte(want[i]), c.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		for i, want := range want {
			data, from, came, err := u.read()
			if err != nil || string(data) != want || from.String() != c.LocalAddr().String() {
				t.Fatalf("%d: %.9q of %d bytes from %v, %v", i, data, len(data), from, err)
			}
			if came.Before(begin.Add(-time.Millisecond)) || came.After(time.Now()) {
				t.Errorf("%d came %v after the beginning", i, came.Sub(begin))
			}
			if i == 0 && u.got != atOnceRead {
				t.Fatalf("%d were read at once", u.got)
			}
		}
		if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		for u.piled = true; ; u.piled = false {
			if _, _, _, err := u.read(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read at a time past: %v", err)
			}
			if !u.piled {
				break
			}
		}
	}
}

// One that is too long to be read with others is as one that was lost; when it comes again it is whole.
func TestSocketReadsLongDatagramsAlone(t *testing.T) {
	c, u := socketOf(t, net.IPv4(127, 0, 0, 1))
	u.piled = true
	long := strings.Repeat("x", readTogether+1)
	for _, s := range []string{"a", long, long[1:], "b", long} {
		if _, err := c.WriteTo([]byte(s), c.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"a", long[1:], "b"} {
		if data, _, _, err := u.read(); err != nil || string(data) != want {
			t.Fatalf("%.9q of %d bytes, %v", data, len(data), err)
		}
	}
	if _, err := c.WriteTo([]byte(long), c.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if data, _, _, err := u.read(); err != nil || string(data) != long {
		t.Fatalf("%.9q of %d bytes, %v", data, len(data), err)
	}
}

// What can't be right, and what isn't there, counts as no wait.
func TestArrivalThatIsNotThere(t *testing.T) {
	for _, ctrl := range [][]byte{nil, make([]byte, 3), make([]byte, 16), make([]byte, 64)} {
		if at, ok := arrivalIn(ctrl); ok {
			t.Errorf("%x: %v", ctrl, at)
		}
	}
}

func TestProbeCountsTheWaitInTheSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		a := newAdmission(20*time.Millisecond, func(d time.Duration) { took = d })
		if now := time.Now(); !a.admit(familiar, now.Add(-300*time.Millisecond), now) {
			t.Fatal("refused before anything was known")
		}
		synctest.Wait()
		if took != 300*time.Millisecond {
			t.Errorf("the wait was %v", took)
		}
		for range 4 * few { // virtual time
			time.Sleep(interval / few)
			now := time.Now()
			a.admit(familiar, now.Add(-300*time.Millisecond), now)
			synctest.Wait()
		}
		if a.rate == 0 {
			t.Error("there is no limit where all wait for 300 ms")
		}
	})
}
