package sip

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Nobody is put into a call by Join (RFC 3911), nor taken for a caller: the call that is
// named goes on, and nobody is told of another one.
func TestInviteWithJoin(t *testing.T) {
	for _, tc := range []struct {
		name, header, status string
	}{
		{"a call", "Join: uac-%s;to-tag=%s;from-tag=u", "488"},
		{"required", "Require: join\r\nJoin: uac-%s;to-tag=%s;from-tag=u", "420"},
		{"nothing we know", "Join: x%s;to-tag=%s;from-tag=u", "481"},
		{"no tags", "Join: x%s%s", "400"},
		{"two", "Join: uac-%s;to-tag=%s;from-tag=u\r\nJoin: a;to-tag=1;from-tag=2", "400"},
		{"and Replaces", "Join: uac-%s;to-tag=%s;from-tag=u\r\nReplaces: a;to-tag=1;from-tag=2", "400"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv, legs := answering(t, n, Options{})
				defer srv.Close()
				u := newUAC(t, n, callerAddr)
				u.call()
				first := <-legs
				other := &uac{t: t, c: u.c, to: serverAddr, callID: "other"}
				other.send("INVITE", 1, append([]string{fmt.Sprintf(tc.header, callerAddr, u.toTag)}, sdp("v=0")...)...)
				other.until("SIP/2.0 "+tc.status, "1 INVITE")
				other.send("ACK", 1)
				time.Sleep(time.Second)
				if isClosed(first.Done()) || len(legs) > 0 || srv.Calls() != 1 {
					t.Errorf("the first call is over: %t; %d more calls; %d legs", isClosed(first.Done()), len(legs), srv.Calls())
				}
			})
		})
	}
}
