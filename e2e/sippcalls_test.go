package e2e

import (
	"testing"

	"hotline/config"
	"hotline/sip"
)

// agentsOnly leaves 127.0.0.1 to agents: the trunk is known by its password.
func agentsOnly(c *config.Config) {
	twoDesks(c)
	c.Agents = append(c.Agents, agent("alice", false))
	c.Trunks[0].Addresses = nil
	c.Trunks[0].User, c.Trunks[0].Password, c.Trunks[0].Algorithm = "carrier", password, sip.MD5
}

// RFC 3262 with sipp: an agent's call to a colleague whose ringing must be acknowledged,
// after the password was asked for.
func TestSippPrack(t *testing.T) {
	h := startHotline(t, agentsOnly)
	olga := h.seat("olga")
	ended := sippCallers{scenario: "prack.xml", server: h.SIPAddr().String(), did: "802", calls: 1}.start(t)
	ring := olga.ring(t)
	h.log.await(t, "agent's call rings", "to", "agent olga")
	c, err := ring.Answer()
	if err != nil {
		t.Fatal(err)
	}
	awaitDone(t, "the end", c.Done())
	if err := awaitSipp(t, ended); err != nil {
		t.Error(err)
	}
}

// RFC 4028 with sipp: a caller who asks for too short a timer, then for one that he
// refreshes.
func TestSippSessionTimer(t *testing.T) {
	h := startHotline(t, oneAgent)
	for i, transport := range []string{"u1", "t1"} {
		callers := sippCallers{scenario: "timer.xml", server: h.SIPAddrs()[i].String(), did: "1", calls: 3, rate: 10, args: []string{"-t", transport}}
		if err := awaitSipp(t, callers.start(t)); err != nil {
			t.Errorf("%s: %v", transport, err)
		}
	}
}

// And somebody whom we call, who refreshes the session.
func TestSippRefreshes(t *testing.T) {
	port := freePorts(t, 6)
	ended := startCalled(t, "refresher.xml", port, 1)
	us := openEnd(t, 0, sip.Trunk{Name: "carrier", Outbound: sip.Outbound{Gateways: []sip.Gateway{{Host: "127.0.0.1", Port: port, Network: "udp"}}}})
	l := us.dialled(us.DialTrunk("carrier", sip.Outgoing{ToUser: "+8613800000000", FromUser: "+8695599", Offer: []byte(someSDP)}))
	us.over(l.Done(), "the other side to hang up")
	if c := l.End().Cause; c != sip.EndRemoteBye {
		t.Errorf("ended with %q", c)
	}
	if err := awaitSipp(t, ended); err != nil {
		t.Error(err)
	}
}

// RFC 3515 with sipp as the agent's phone: its caller is sent to a colleague, and it is
// told so.
func TestSippRefers(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		twoDesks(c)
		c.Agents = append(c.Agents, agent("alice", false, "sales"))
	})
	port := freePorts(t, 6)
	register := sippCallers{scenario: "register.xml", server: h.SIPAddr().String(), did: "alice", calls: 1, port: port}
	if err := awaitSipp(t, register.start(t)); err != nil {
		t.Fatal(err)
	}
	h.log.await(t, "seat registered", "seat", "alice")
	phone := startCalled(t, "refer.xml", port, 1)
	olga := h.seat("olga")
	call := h.dial(h.phone(), "1", "13900000001")
	c, _ := olga.pickUp(t)
	if err := awaitSipp(t, phone); err != nil {
		t.Error(err)
	}
	h.log.await(t, "seat changed", "seat", "alice", "state", "wrap_up")
	c.Hangup()
	awaitDone(t, "the end of the call", call.Done())
}
