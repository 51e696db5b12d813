package media

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sprayedCalls are bridged while somebody sends RTP to every port.
const sprayedCalls = 200

// sprayedRounds are the packets that each phone says at least.
const sprayedRounds = 25

// sprayedSweeps is how often each port is sprayed at least while phones speak.
const sprayedSweeps = 10

// TestSprayedPorts has 200 calls, whose phones SDP names rightly or, behind a NAT, wrongly, while another
// host sends RTP to all ports of the range, again and again. Nobody may hear it: at most five packets while a
// leg doesn't know its phone yet, none in strict mode.
func TestSprayedPorts(t *testing.T) {
	testSprayedPorts(t, func(t *testing.T, change func(*Config)) *Engine { return openEngine(t, change) })
}

func testSprayedPorts(t *testing.T, open func(t *testing.T, change func(*Config)) *Engine) {
	probe := openEngine(t, nil)
	low := openLeg(t, probe).LocalAddr().Port()&^1023 | 512
	for _, c := range []struct {
		name   string
		strict bool
		nat    bool
		most   int // foreign packets forwarded in each direction of a call
	}{{"SDP is right", false, false, 5}, {"behind a NAT", false, true, 5}, {"strict", true, false, 0}} {
		t.Run(c.name, func(t *testing.T) {
			e := open(t, func(cfg *Config) { cfg.PortMin, cfg.PortMax, cfg.PortRest = low, low+8*sprayedCalls, -1 })
			sweeps, stop := sprayRTP(t, low, low+8*sprayedCalls)
			foreign := sprayed(t, e, c.strict, c.nat, sweeps)
			stop()
			for i, n := range foreign {
				if n > c.most {
					t.Errorf("phone %d heard %d foreign packets, want at most %d", i, n, c.most)
				}
			}
		})
	}
}

// sprayRTP sends RTP of a stream that would be right, and to the odd ports BYEs, from 127.0.0.66 to all ports until
// stop; sweeps counts how often to all.
func sprayRTP(t *testing.T, low, high uint16) (sweeps *atomic.Int64, stop func()) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 66)})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	sweeps = new(atomic.Int64)
	var wg sync.WaitGroup
	wg.Go(func() {
		p := &phone{t: t, codec: PCMA, ssrc: 0xBAD}
		for {
			datagram := p.packet(8, bytes.Repeat([]byte{0x66}, frameSamples), frameSamples)
			bye := []byte{0x81, 203, 0, 1, 0, 0, 0x0b, 0xad}
			for port := low; port < high; port++ {
				select {
				case <-over:
					return
				default:
				}
				_, _ = conn.WriteToUDPAddrPort(datagram, netip.AddrPortFrom(loopback, port))
				if port&1 == 1 {
					_, _ = conn.WriteToUDPAddrPort(bye, netip.AddrPortFrom(loopback, port))
				}
			}
			sweeps.Add(1)
			<-time.After(ptime)
		}
	})
	return sweeps, func() { close(over); wg.Wait(); conn.Close() }
}

// heard counts what a phone hears from its leg.
type heard struct {
	own, foreign atomic.Int64
	enough       chan struct{} // closed when own has reached half of what is said
	half         int64
}

// count reads until the phone's socket is closed. What reaches the phone from others is not the leg's doing.
func count(p *phone, l *Leg) *heard {
	h := &heard{enough: make(chan struct{}), half: sprayedRounds / 2}
	go func() {
		buf := make([]byte, 2048)
		for {
			n, src, err := p.rtp.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			switch {
			case src != l.LocalAddr() || n <= rtpHeader:
			case buf[rtpHeader] == 0x66:
				h.foreign.Add(1)
			case buf[rtpHeader] == 0x11:
				if h.own.Add(1) == h.half {
					close(h.enough)
				}
			}
		}
	}()
	return h
}

// sprayed makes the calls, lets both phones of each speak until ten sweeps more are over, and counts the foreign packets
// that each hears.
func sprayed(t *testing.T, e *Engine, strict, nat bool, sweeps *atomic.Int64) (foreign []int) {
	t.Helper()
	var legs []*Leg
	var phones []*phone
	var counts []*heard
	for range 2 * sprayedCalls {
		p := newPhone(t, PCMA)
		p.seq = uint16(len(phones)) * 331 // not in step with the others
		l := openLeg(t, e)
		l.SetStrict(strict)
		offer := p.offer()
		if nat {
			offer = bytes.ReplaceAll(offer, []byte("c=IN IP4 127.0.0.1"), []byte("c=IN IP4 10.9.8.7"))
			l.Expect(loopback)
		}
		if _, err := l.Answer(offer); err != nil {
			t.Fatal(err)
		}
		legs, phones = append(legs, l), append(phones, p)
		counts = append(counts, count(p, l))
	}
	for i := 0; i < len(legs); i += 2 {
		if err := Bridge(legs[i], legs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	own := bytes.Repeat([]byte{0x11}, frameSamples)
	began, deadline := sweeps.Load(), time.Now().Add(6*patience)
	for round := 0; round < sprayedRounds || sweeps.Load() < began+sprayedSweeps+1; round++ { // one was under way
		if time.Now().After(deadline) {
			t.Fatalf("only %d sweeps in %d rounds", sweeps.Load()-began, round)
		}
		for i, p := range phones {
			p.speak(legs[i], own)
		}
		<-time.After(ptime)
	}
	for i, c := range counts {
		select {
		case <-c.enough:
		case <-time.After(patience):
			t.Fatalf("phone %d heard %d of the other's %d packets", i, c.own.Load(), sprayedRounds)
		}
		foreign = append(foreign, int(c.foreign.Load()))
	}
	for i, l := range legs {
		if s := l.Stats(); s.Stray == 0 {
			t.Errorf("leg %d was sprayed by nobody: %+v", i, s)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return foreign
}
