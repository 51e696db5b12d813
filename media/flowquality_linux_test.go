package media

import (
	"bytes"
	"testing"
	"time"
)

// A phone that says nothing at first isn't called silent because the kernel forwards what it says later.
func TestSpeechThroughKernelIsNoSilence(t *testing.T) {
	c := newTalk(t, nil)
	quiet := bytes.Repeat([]byte{EncodeALaw(0)}, wordSize)
	for range 200 {
		c.phones[0].speak(c.legs[0], quiet)
		<-time.After(time.Millisecond)
	}
	c.enter()
	await(t, "ten seconds' packets were forwarded", func() bool {
		c.speak()
		s := c.legs[0].Stats()
		return s.Forwarded > 100 && s.PacketsReceived > 600
	})
	if s := c.legs[0].Stats(); s.Fault() != "" {
		t.Errorf("fault %q of %d packets, %d of them forwarded", s.Fault(), s.PacketsReceived, s.Forwarded)
	}
}

// A phone that is sent sound by the kernel, and sends nothing, isn't heard.
func TestOneWayThroughKernel(t *testing.T) {
	c := newTalk(t, nil)
	c.enter()
	sender := &c.legs[1].sender
	sender.mu.Lock()
	byUs := sender.sentAt
	sender.mu.Unlock()
	await(t, "the kernel has gone on", func() bool {
		c.speak()
		return c.e.now() > byUs+100*time.Millisecond
	})
	if s := c.legs[0].Stats(); !s.InKernel {
		t.Fatalf("stats %+v", s)
	}
	c.legs[1].mu.Lock()
	defer c.legs[1].mu.Unlock()
	if !c.legs[1].deaf(byUs + deafAfter + ptime) {
		t.Error("a phone that only the kernel sends sound is not told of")
	}
}
