package softphone

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

func open(t *testing.T, o Options) *Phone {
	t.Helper()
	o.Listen = netip.MustParseAddrPort("127.0.0.1:0")
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func await[T any](t *testing.T, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		t.Fatalf("%s: nothing within %v", what, patience)
	}
	return v
}

// One phone rings another, over UDP and over TCP; they hear each other, and
// either may hang up.
func TestPhoneCallsPhone(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			rings := make(chan *Ringing, 1)
			callee := open(t, Options{Network: network, Ring: func(r *Ringing) { rings <- r }})
			caller := open(t, Options{Network: network, Server: "sip:" + callee.Addr().String() + ";transport=" + network})
			answered := make(chan *Call, 1)
			go func() {
				r := <-rings
				if r.Number != "+8613800000001" || r.Name != "Ada" {
					t.Errorf("shown %q %q", r.Number, r.Name)
				}
				c, err := r.Answer()
				if err != nil {
					t.Error(err)
				}
				answered <- c
			}()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			a, err := caller.Dial(ctx, "1", "+8613800000001", "Ada")
			if err != nil {
				t.Fatal(err)
			}
			b := await(t, "answer", answered)
			heard := make(chan struct{}, 1)
			b.Media.OnAudio(func([]int16) {
				select {
				case heard <- struct{}{}:
				default:
				}
			})
			await(t, "sound", heard)
			b.Hangup()
			await(t, "end at the caller", a.Done())
		})
	}
}

func TestPhoneIsRefusedOrGivesUp(t *testing.T) {
	rings := make(chan *Ringing, 1)
	callee := open(t, Options{Ring: func(r *Ringing) { rings <- r }})
	caller := open(t, Options{Server: "sip:" + callee.Addr().String()})

	go func() { (<-rings).Refuse(486) }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var refused *RefusedError
	if _, err := caller.Dial(ctx, "1", "1", ""); !errors.As(err, &refused) || refused.Code != 486 {
		t.Errorf("refused: %v, want 486", err)
	}

	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	ended := make(chan error, 1)
	go func() {
		_, err := caller.Dial(ctx, "1", "1", "")
		ended <- err
	}()
	r := await(t, "ring", rings)
	giveUp()
	if err := await(t, "end of the dialling", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	await(t, "the other phone to stop ringing", r.Gone())
	caller.Settle(t.Context())
}
