package server

import (
	"context"
	"errors"
	"time"

	"hotline/routing"
	"hotline/sip"
)

// handBack asks the caller's trunk to connect the caller itself; the answer comes by
// t.handed. The rights are those of a call that we would dial, and it has its place among
// the agent's calls until the trunk tells how it came out: from then on nobody here sees
// it any more. So where minutes are counted we dial, and count them.
func (t *talk) handBack(to destination, r asked) refused {
	who := byAgent(string(t.b.seat))
	if right := t.s.settings.Load().rightOf(who); right != nil && right.MinutesPerDay > 0 {
		return t.dialOn(to, r)
	}
	c, err := t.s.beginOutside(who, to.number)
	if err != nil {
		return notOutside(err)
	}
	if r.Referral != nil {
		r.Accept()
	}
	in := t.a.Incoming()
	number := in.Trunk.Outbound.Numbers.Apply(c.number)
	t.log.Info("caller is handed back to the trunk", "trunk", in.Trunk.Name, "number", maskNumber(number))
	t.part()
	t.handing = &handing{to: to, agent: string(t.b.seat), asked: r, done: make(chan int, 1)}
	h := t.handing
	t.s.calls.Go(func() {
		ctx, cancel := context.WithTimeout(t.s.ctx, t.s.handBackWithin)
		defer cancel()
		code, err := t.a.ReferTo(ctx, number)
		if err != nil {
			t.log.Info("trunk doesn't take the caller back", "error", err)
		}
		if refused := (*sip.RefusedError)(nil); err != nil && (!errors.As(err, &refused) || refused.Code == 408) {
			code = 504 // it may yet connect the caller: were we to dial as well, the number would ring twice
		}
		c.end(time.Now().In(c.zone))
		h.done <- code
	})
	return refused{}
}

const handBackWithin = time.Minute

// handing is a caller whom the trunk is asked to connect itself.
type handing struct {
	to    destination
	agent string
	asked asked
	done  chan int // the status of the trunk's call; 0 when it has refused
}

// over tells how it came out; nil when nothing is under way.
func (h *handing) over() <-chan int {
	if h == nil {
		return nil
	}
	return h.done
}

// handedBack follows what the trunk made of it. If it doesn't do such things we dial.
func (t *talk) handedBack(code int) after {
	h := t.handing
	t.handing = nil
	switch {
	case code >= 200 && code < 300:
		if t.b != nil {
			t.forward(destination{trunk: t.a.Incoming().Trunk.Name})
			t.leave(t.answer(h.asked, 200, "OK"))
		}
		t.cause = routing.CauseAgentHungUp
		return overAfter
	case code == 0:
		no := t.dialFor(h.agent, h.to, h.asked)
		if no.code == 0 {
			return talkAfter
		}
		code = no.code
	}
	t.failed = time.Now()
	t.answer(h.asked, code, "Transfer Failed")
	if t.b == nil {
		return t.giveBack()
	}
	t.together()
	return talkAfter
}

// callerGone follows a trunk that hangs up while it is asked to connect the caller
// itself: often right after it has said that it did.
func (t *talk) callerGone() {
	if t.handing == nil {
		return
	}
	limit := time.NewTimer(lastWordWithin)
	defer limit.Stop()
	code := 0
	select {
	case code = <-t.handing.done:
	case <-limit.C:
	}
	if code < 200 || code >= 300 {
		t.answer(t.handing.asked, 487, "Request Terminated")
		t.handing = nil
		return
	}
	t.handedBack(code)
}

// lastWordWithin is how long a NOTIFY may come behind the BYE that follows it.
const lastWordWithin = 100 * time.Millisecond
