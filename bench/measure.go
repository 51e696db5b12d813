package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"hotline/media"
	"hotline/sip"
	"hotline/softphone"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// measure runs one measurement after the other and prints a line for each.
func measure(ctx context.Context, calls, workers int, span time.Duration) (err error) {
	if err := pin(os.Getpid(), 1); err != nil {
		return err
	}
	fmt.Printf("%s, %d CPUs, %s; the load runs on the same machine\n", runtime.Version(), runtime.NumCPU(), time.Now().Format(time.DateOnly))
	for _, m := range []func(context.Context, *process, int, int, time.Duration) error{signalling, inIVR, bridged} {
		p, err := startPinned("hotline", calls)
		if err != nil {
			return err
		}
		if err := errors.Join(m(ctx, p, calls, workers, span), p.stop()); err != nil {
			return err
		}
	}
	return nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// signalling answers and hangs up as many calls as it can.
func signalling(_ context.Context, p *process, _, workers int, span time.Duration) error {
	stack, err := sip.Open(sip.Options{Listen: []sip.Listener{{Network: "udp", Addr: loopback}}, Logger: quiet(), MaxCalls: 1 << 20})
	if err != nil {
		return err
	}
	defer stack.Close()
	to, err := stack.ContactTo("sip:1@" + p.addr.String())
	if err != nil {
		return err
	}
	sdp := []byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n")
	var done, failed atomic.Int64
	before, err := p.usage()
	if err != nil {
		return err
	}
	end := time.Now().Add(span)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for time.Now().Before(end) {
				d := stack.Dial(sip.Outgoing{Contacts: []sip.Contact{to}, FromUser: "13800000000", ToUser: "1", Offer: sdp, Unreachable: 5 * time.Second})
				<-d.Done()
				leg := d.Outcome().Leg
				if leg == nil {
					failed.Add(1)
					fmt.Fprintf(os.Stderr, "not answered: %+v\n", d.Outcome())
					continue
				}
				select {
				case <-leg.Done(): // the hotline hangs up
					done.Add(1)
				case <-time.After(5 * time.Second):
					failed.Add(1)
					fmt.Fprintln(os.Stderr, "answered, not hung up:", leg.CallID())
					leg.Hangup()
				}
			}
		})
	}
	wg.Wait()
	after, err := p.usage()
	if err != nil {
		return err
	}
	n := done.Load()
	if n == 0 {
		return errors.New("no call was answered")
	}
	fmt.Printf("signalling: %.0f calls answered/s with %d callers at once, %.3f ms CPU per call, %d failed of %d\n",
		float64(n)/after.at.Sub(before.at).Seconds(), workers, 1000*(after.cpu-before.cpu).Seconds()/float64(n), failed.Load(), n+failed.Load())
	return nil
}

// inIVR lets callers listen to prompts.
func inIVR(ctx context.Context, p *process, calls, _ int, span time.Duration) error {
	return whileUp(ctx, p, "2", calls, span,
		"in the IVR: %.2f %% of a core per 100 callers who send too, %.0f KiB per call, %d of %d callers hear it\n")
}

// whileUp makes the calls to number, measures the server for span while they are
// up, and prints: percent of a core per 100 calls, KiB per call, callers who hear
// something, callers.
func whileUp(ctx context.Context, p *process, number string, calls int, span time.Duration, format string) error {
	idle, err := p.usage()
	if err != nil {
		return err
	}
	phone, err := softphone.Open(softphone.Options{Server: "sip:" + p.addr.String(), Listen: loopback})
	if err != nil {
		return err
	}
	defer phone.Close()
	legs, err := dialAll(ctx, phone, number, calls)
	if err != nil {
		return err
	}
	before, after, err := over(p, span)
	if err != nil {
		return err
	}
	fmt.Printf(format, percent(before, after, calls), float64(after.rss-idle.rss)/1024/float64(calls), heard(legs), calls)
	hangUp(ctx, phone, legs)
	return nil
}

// bridged lets callers talk to agents, both sides speaking all the time.
func bridged(ctx context.Context, p *process, calls, _ int, span time.Duration) error {
	hum := media.Tone(620, time.Second, 0.3)
	for i := range calls {
		agent, err := softphone.Open(softphone.Options{Server: "sip:" + p.addr.String(), Listen: loopback,
			Credentials: sip.Credentials{User: fmt.Sprintf("agent%d", i), Password: "bench-secret"},
			Ring: func(r *softphone.Ringing) {
				if c, err := r.Answer(); err == nil {
					c.Media.Play(hum, media.PlayOptions{Loop: true})
				}
			}})
		if err != nil {
			return err
		}
		defer agent.Close()
		if err := agent.Register(ctx, 10*time.Minute); err != nil {
			return err
		}
	}
	return whileUp(ctx, p, "3", calls, span,
		"bridged: %.2f %% of a core per 100 calls of two legs, %.0f KiB per call, %d of %d callers hear their agent\n")
}

// dialAll makes the calls, a few at once; each caller hums.
func dialAll(ctx context.Context, phone *softphone.Phone, number string, calls int) ([]*softphone.Call, error) {
	hum := media.Tone(440, time.Second, 0.3)
	var legs []*softphone.Call
	for i := range calls {
		c, cancel := context.WithTimeout(ctx, 5*time.Second)
		call, err := phone.Dial(c, number, fmt.Sprintf("138%08d", i), "")
		cancel()
		if err != nil {
			return nil, err
		}
		call.Media.Play(hum, media.PlayOptions{Loop: true})
		legs = append(legs, call)
	}
	return legs, nil
}

// over waits two seconds for things to settle, then measures for span.
func over(p *process, span time.Duration) (before, after usage, err error) {
	time.Sleep(2 * time.Second)
	if before, err = p.usage(); err != nil {
		return
	}
	time.Sleep(span)
	after, err = p.usage()
	return
}

func percent(before, after usage, calls int) float64 {
	return 100 * (after.cpu - before.cpu).Seconds() / after.at.Sub(before.at).Seconds() * 100 / float64(calls)
}

func heard(legs []*softphone.Call) int {
	n := 0
	for _, l := range legs {
		if st := l.Media.Stats(); st.PacketsReceived > 100 && st.Lost == 0 {
			n++
		}
	}
	return n
}

func hangUp(ctx context.Context, phone *softphone.Phone, legs []*softphone.Call) {
	for _, l := range legs {
		l.Hangup()
	}
	c, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	phone.Settle(c)
}
