package sip

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A datagram's wait in the socket counts: its time is the kernel's, not the reader's.
func TestSocketTellsWhenADatagramCame(t *testing.T) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	u := newUDPSocket(c)
	if u.udp == nil {
		t.Fatal("the kernel tells no times")
	}
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var b [16]byte
	for { // the kernel begins to keep times a moment after it was asked to
		before := time.Now()
		if _, err := c.WriteTo([]byte("hello"), c.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		sent := time.Now() // on loopback it is in the socket by now
		n, from, came, err := u.read(b[:])
		if err != nil || string(b[:n]) != "hello" || from.String() != c.LocalAddr().String() {
			t.Fatalf("%q from %v, %v", b[:n], from, err)
		}
		if came.Before(before.Add(-time.Millisecond)) {
			t.Fatalf("came %v before it was sent", before.Sub(came))
		}
		if !came.After(sent) {
			return
		}
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
		for range 20 { // virtual time
			time.Sleep(interval / 10)
			now := time.Now()
			a.admit(familiar, now.Add(-300*time.Millisecond), now)
			synctest.Wait()
		}
		if a.rate == 0 {
			t.Error("there is no limit where all wait for 300 ms")
		}
	})
}
