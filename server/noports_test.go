package server

import (
	"errors"
	"testing"

	"hotline/config"
	"hotline/softphone"
)

// Without a free RTP port an agent's call outside is refused with 503, whether there is none for the
// far side or none for the agent; a transfer is told the same, and the talk goes on.
func TestCallOutsideWithoutAPort(t *testing.T) {
	for _, tc := range []struct {
		name  string
		taken int // of the two pairs of ports, by callers whom nobody is there for
		run   func(*testing.T, *hotline, <-chan *softphone.Ringing)
	}{
		{"for the far side", 2, func(t *testing.T, h *hotline, _ <-chan *softphone.Ringing) {
			phone, _ := h.desk("alice")
			_, err := phone.Dial(h.context(), "+8613900000000", "alice", "")
			isRefused(t, err, 503)
		}},
		{"for the agent", 1, func(t *testing.T, h *hotline, rings <-chan *softphone.Ringing) {
			phone, _ := h.desk("alice")
			go func() { _, _ = (<-rings).Answer() }()
			_, err := phone.Dial(h.context(), "+8613900000000", "alice", "")
			isRefused(t, err, 503)
		}},
		{"for a transfer", 0, func(t *testing.T, h *hotline, _ <-chan *softphone.Ringing) {
			_, alice := h.desk("alice")
			caller, a := h.talking("alice", alice)
			if code, err := a.Transfer(h.context(), "+8613900000000"); code != 503 {
				t.Errorf("told %d, %v", code, err)
			}
			h.hears("caller to alice", caller, a, '1')
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rings, cfg := outside(t)
			h := start(t, func(c *config.Config) {
				cfg(c)
				c.Media.Ports.Min, c.Media.Ports.Max = 34010, 34013
				if tc.taken > 0 {
					c.Agents[0].Queues = nil
				}
			})
			for range tc.taken {
				h.call()
			}
			tc.run(t, h, rings)
		})
	}
}

// A trunk that has as many calls as it may leads nowhere: that is 503 (RFC 3398 7.2.4.1, no circuit available), and not
// somebody who isn't there.
func TestCallOutsideByAFullTrunk(t *testing.T) {
	rings, cfg := outside(t)
	h := start(t, func(c *config.Config) {
		cfg(c)
		c.Trunks[len(c.Trunks)-1].MaxCalls = 1
	})
	phone, _ := h.desk("alice")
	go func() { _, _ = (<-rings).Answer() }()
	if _, err := phone.Dial(h.context(), "+8613900000000", "alice", ""); err != nil {
		t.Fatal(err)
	}
	_, err := phone.Dial(h.context(), "+8613900000001", "alice", "")
	isRefused(t, err, 503)
}

func isRefused(t *testing.T, err error, code int) {
	t.Helper()
	var no *softphone.RefusedError
	if !errors.As(err, &no) || no.Code != code {
		t.Errorf("%v, want %d", err, code)
	}
}
