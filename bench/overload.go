package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"time"
)

// overload measures what gets done when more calls come than can be answered: first the capacity, the most calls a
// second that got done while the rate was raised, then multiples of it. A VIP trunk sends a twentieth of the capacity
// meanwhile, and calls that are up are hung up at the end. All of it is repeated, as what a machine can do changes from
// one minute to the next: each share is one of the capacity just found.
func overload(span time.Duration, repeat int) error {
	if err := pin(os.Getpid(), 1); err != nil {
		return err
	}
	fmt.Printf("%s, server on core 0, load on core 1; %s a measurement\n", runtime.Version(), span)
	multiples := []float64{1, 2, 5, 10}
	shares := make([][]float64, len(multiples))
	least := 800.0
	for range repeat {
		capacity, err := capacityFrom(least, span)
		if err != nil {
			return err
		}
		least = max(least, capacity/2)
		fmt.Printf("capacity: %.0f calls/s\n", capacity)
		for i, times := range multiples {
			o, err := offer(times*capacity, capacity/20, span)
			if err != nil {
				return err
			}
			shares[i] = append(shares[i], o.done/capacity)
			fmt.Printf("%4.0f × capacity: %6.0f calls/s offered, %5.0f/s done (%3.0f %%), INVITE to 200 p50 %s p99 %s; VIP %.1f %% of %d; %d answered calls lost, %d of %d calls in progress, %d answered after they were refused\n",
				times, o.rate, o.done, 100*o.done/capacity, o.p50, o.p99, 100*o.vip, o.vips, o.lost, o.cut, inProgress, o.ghosts)
		}
	}
	for i, times := range multiples {
		slices.Sort(shares[i])
		fmt.Printf("%4.0f × capacity: %.0f %% done (median of %d; %.0f to %.0f)\n", times, 100*shares[i][repeat/2], repeat, 100*shares[i][0], 100*shares[i][repeat-1])
	}
	return nil
}

// capacityFrom raises the rate from there, until twice no more gets done: once may be another program's doing.
func capacityFrom(rate float64, span time.Duration) (capacity float64, err error) {
	for failed := 0; failed < 2; {
		o, err := offer(rate, 0, span) // what is borne for a moment is no capacity
		if err != nil {
			return 0, err
		}
		capacity = max(capacity, o.done)
		if o.done < 0.9*o.rate {
			failed++
			continue
		}
		rate, failed = rate*1.25, 0
	}
	return capacity, nil
}

// inProgress calls are up before the load begins.
const inProgress = 50

type offered struct {
	sent       int
	rate, good float64 // a second; calls
	done       float64 // a second, VIP's too
	lost       int     // answered, but the BYE wasn't
	ghosts     int     // answered after they were refused
	p50, p99   time.Duration
	vip        float64 // share of them that succeeded
	vips       int
	cut        int // calls in progress that couldn't be hung up
}

// offer makes rate calls a second, and vip of them by the VIP trunk, at a new server.
func offer(rate, vip float64, span time.Duration) (o offered, err error) {
	p, err := startPinned("hotline", 10)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	var loads []*load
	for i, name := range []string{"u", "uv", "hold"} {
		l, err := openLoadFrom(p.addr, name, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i%2)}), 0))
		if err != nil {
			return o, err
		}
		defer l.close()
		loads = append(loads, l)
	}
	l, v, up := loads[0], loads[1], loads[2]
	up.run("2", 200, time.Duration(inProgress)*time.Second/200, 0)
	l.run("2", 200, time.Second, 0) // warm
	vips := make(chan []loadCall, 1)
	go func() {
		if vip == 0 {
			vips <- nil
			return
		}
		vips <- v.run("2", vip, span, 0)
	}()
	stop := make(chan struct{})
	defer close(stop)
	go l.repeat(stop)
	go v.repeat(stop)
	begin := time.Now()
	calls := l.run("2", rate, span, 0)
	took := span
	if n := len(calls); n > 0 {
		took = max(span, calls[n-1].sent.Sub(begin))
	}
	ok, _ := split(calls)
	o = offered{sent: len(calls), rate: float64(len(calls)) / took.Seconds(), good: float64(len(ok)), p50: quantile(ok, 0.5), p99: quantile(ok, 0.99)}
	priority := <-vips
	vipOK, _ := split(priority)
	if o.vips = len(priority); o.vips > 0 {
		o.vip = float64(len(vipOK)) / float64(o.vips)
	}
	o.done = float64(len(ok)+len(vipOK)) / took.Seconds()
	for _, c := range append(calls, priority...) {
		if c.code == 200 && !c.over {
			o.lost++
		}
		if c.ghost {
			o.ghosts++
		}
	}
	o.cut = up.hangUpAll()
	return o, nil
}

// repeat repeats INVITEs and BYEs that are not answered, as any phone does (Timers A and E of RFC 3261).
func (l *load) repeat(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(500 * time.Millisecond):
		}
		l.mu.Lock()
		tos := map[int][]byte{}
		var silent []int
		for i := range l.calls {
			c := &l.calls[i]
			if wait := 500 * time.Millisecond << c.repeated; c.code == 0 && time.Since(c.sent) > 2*wait-500*time.Millisecond {
				c.repeated++
				silent = append(silent, i)
			}
			if c.code == 200 && !c.over && time.Since(c.answered) > 500*time.Millisecond {
				tos[i] = c.to
			}
		}
		l.mu.Unlock()
		for i, to := range tos {
			l.inDialog("BYE", i, 2, []byte("2"), to)
		}
		for _, i := range silent {
			l.sendInvite("2", i)
		}
	}
}

// hangUpAll hangs up the calls that are up and tells how many of them were lost.
func (l *load) hangUpAll() (lost int) {
	l.mu.Lock()
	calls := append([]loadCall(nil), l.calls...)
	l.mu.Unlock()
	for i, c := range calls {
		if c.code == 200 {
			l.inDialog("BYE", i, 2, []byte("2"), c.to)
		}
	}
	l.settle(0, 5*time.Second, 0)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.calls {
		if c.code != 200 || !c.over {
			lost++
		}
	}
	return lost
}

func openLoadFrom(server netip.AddrPort, name string, from netip.AddrPort) (*load, error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(from))
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(8 << 20)
	_ = c.SetWriteBuffer(8 << 20)
	l := &load{conn: c, server: server, name: name, self: c.LocalAddr().String(), invited: map[int]time.Time{}, reg: make(chan string, 16), sdp: loadSDP}
	go l.read()
	return l, nil
}

// hangsUp says that the caller hangs up as soon as it is answered.
func (l *load) hangsUp() bool { return l.name[0] == 'u' }
