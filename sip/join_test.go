package sip

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An agent's INVITE with Join (RFC 3911) brings its owner the call that it names; everybody else's
// is refused, and what is wrong with one. The call that is named goes on, and nobody is taken for
// another caller.
func TestInviteWithJoin(t *testing.T) {
	const first = "Join: uac-" + callerAddr + ";to-tag=%s;from-tag=u"
	for _, tc := range []struct {
		name, header, agent, trunk string // the status told to an agent, and to a trunk
	}{
		{"a call", first, "200", "403"},
		{"required", "Require: join\r\n" + first, "200", "420"},
		{"tags the other way round", "Join: uac-" + callerAddr + ";from-tag=%s;to-tag=u", "200", "403"},
		{"nothing we know", "Join: x;to-tag=%s;from-tag=u", "481", "481"},
		{"no tags", "Join: %s", "400", "400"},
		{"two", first + "\r\nJoin: a;to-tag=1;from-tag=2", "400", "400"},
		{"and Replaces", first + "\r\nReplaces: a;to-tag=1;from-tag=2", "400", "400"},
	} {
		for _, who := range []string{"agent", "trunk"} {
			t.Run(tc.name+" by "+who, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newMemNet()
					srv, legs := answering(t, n, Options{Access: Access{Accounts: []Account{{Credentials{User: "alice", Password: "pw"}}}}})
					defer srv.Close()
					u := newUAC(t, n, callerAddr)
					u.call()
					called := <-legs
					status := joining(t, n, u, who, fmt.Sprintf(tc.header, u.toTag), tc.agent, tc.trunk)
					if status == "200" {
						if in := (<-legs).Incoming(); in.Joins != called || in.Replaces != nil {
							t.Errorf("joins %v, want %v", in.Joins, called)
						}
					}
					time.Sleep(time.Second)
					if isClosed(called.Done()) || len(legs) > 0 {
						t.Errorf("the first call is over: %t; %d more calls", isClosed(called.Done()), len(legs))
					}
				})
			})
		}
	}
}

// joining sends the INVITE of an agent, who is told that joining is possible, or of a trunk, which
// isn't.
func joining(t *testing.T, n *memNet, u *uac, who, field, agent, trunk string) (status string) {
	t.Helper()
	if who == "trunk" {
		other := &uac{t: t, c: u.c, to: serverAddr, callID: "other"}
		other.send("INVITE", 1, append([]string{field}, sdp("v=0")...)...)
		if res := other.until("SIP/2.0 "+trunk, "1 INVITE"); trunk == "420" && header(res, "Unsupported") != "join" {
			t.Errorf("unsupported is %q", res)
		}
		other.send("ACK", 1)
		return trunk
	}
	res := newUAC(t, n, agentAddr).request("INVITE", "alice", "join", 1, agent, field)
	if agent == "200" && !strings.Contains(header(res, "Supported"), "join") {
		t.Errorf("an agent isn't told: %q", res)
	}
	return agent
}

// A call that isn't answered, or is over, can't be joined.
func TestJoinOfWhatDoesntTalk(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer func(*Leg)
		status string
	}{
		{"rings", func(l *Leg) { l.Ring() }, "481"},
		{"has hung up, unacknowledged", func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); l.Hangup() }, "603"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv, _ := answering(t, n, Options{Access: Access{Accounts: []Account{{Credentials{User: "alice", Password: "pw"}}}}, Handlers: Handlers{Invite: tc.answer}})
				defer srv.Close()
				u := newUAC(t, n, callerAddr)
				u.send("INVITE", 1, sdp("v=0")...)
				u.until("SIP/2.0 ", "1 INVITE")
				synctest.Wait()
				newUAC(t, n, agentAddr).request("INVITE", "alice", "join", 1, tc.status, "Join: uac-"+callerAddr+";to-tag="+u.toTag+";from-tag=u")
			})
		})
	}
}

// Agents' phones are told that they may join, trunks aren't.
func TestJoinIsAnnouncedToAgents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, _, invite := calling(t, n, Options{}, Outgoing{})
		defer srv.Close()
		if got := header(invite, "Supported"); !strings.HasSuffix(got, ", join") {
			t.Errorf("an agent's phone is told %q", got)
		}
		u.answer(invite, "486 Busy Here")
	})
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.send("INVITE", 1, sdp("v=0")...)
		res := u.until("SIP/2.0 200", "1 INVITE")
		u.send("ACK", 1)
		<-legs
		if got := header(res, "Supported"); strings.Contains(got, "join") || !strings.Contains(got, "replaces") {
			t.Errorf("a trunk is told %q", got)
		}
	})
}
